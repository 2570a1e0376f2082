"""Wrong and interrupted calls, drawn at random: each gives one line, the right status, and leaves nothing behind."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from narrowfloat import tools
from narrowfloat.command import COMMANDS, main
from narrowfloat.commands import emit as emit_command
from narrowfloat.hdl.block import Choice, Integer, Several, Switch
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.emit import Emission

QUICK, LONG = 48, 300
SEED = int(os.environ.get("NARROWFLOAT_SEED") or 1)
WORDS = ("", "nonsense", "-1", "1e9", "٣", "a b", "--", "=", "float_encodr", "\udcff", "x" * 300)


@dataclass
class Call:
    """Arguments of `narrowfloat`, environment variables for it, what goes wrong on the way, and the status it must have."""

    arguments: list
    status: int = 2
    variables: dict = field(default_factory=dict)
    fault: str | None = None
    emits: bool = False  # into the cache, before what goes wrong

    def __str__(self):
        faults = [*(f"{name}={value}" for name, value in self.variables.items()), *filter(None, [self.fault])]
        return f"narrowfloat {' '.join(map(repr, self.arguments))} {' '.join(faults)}"


def wrong_value(parameter, rng):
    """A text that `parameter` does not take."""
    if isinstance(parameter, Several):
        return rng.choice([wrong_value(parameter.each, rng), ","])
    values = [word for word in WORDS if word != "-1"]
    if isinstance(parameter, Integer):
        values += [str(parameter.low - 1), str(parameter.high + 1), str(-(10**30)), "1.5", "0x3", f"{parameter.high}_0"]
    elif isinstance(parameter, (Choice, Switch)):
        values += ["-7", "2.0"]
    return rng.choice(values)


def broken_relation(rng):
    """Settings of which each is allowed, and together they are not."""
    related = [design for design in DESIGNS.values() if design.component.relations]
    while True:
        design = rng.choice(related)
        component = design.component
        values = {parameter.name: parameter.draw(rng) for parameter in component.parameters}
        if not all(relation.of(values) for relation in component.relations):
            return design.name, component.settings(values)


class Calls:
    """Draws calls by `rng`; files are below `folder`."""

    def __init__(self, rng, folder):
        self._rng, self._folder = rng, folder
        self._out = ["--out", str(folder / "new" / "rtl")]

    def draw(self):
        return self._rng.choice(
            [self.command, self.option, self.setting, self.setting, self.relation, self.design, self.output]
            + [self.number, self.tool, self.full_disk, self.interrupt]
        )()

    def command(self):
        word = self._rng.choice([word for word in WORDS if word])
        return Call([word, *self._rng.sample(WORDS, 2)])

    def option(self):
        name = self._rng.choice([name for name in COMMANDS if name != "list"])
        return Call([name, f"--{self._rng.choice(['jsn', 'ot', 'se', 'no-such', 'x' * 200])}", self._rng.choice(WORDS)])

    def setting(self):
        design = self._rng.choice(list(DESIGNS.values()))
        parameter = self._rng.choice(design.parameters)
        value = f"{parameter.name}={wrong_value(parameter, self._rng)}"
        value = self._rng.choice([value, value, value, parameter.name, f"no_{parameter.name}=1", f"={parameter.name}"])
        return self._with_set(design.name, [value])

    def relation(self):
        return self._with_set(*broken_relation(self._rng))

    def _with_set(self, design, settings):
        command = self._rng.choice(["emit", "emit", "sim", "synth"])
        words = [word for setting in settings for word in (f"--set={setting}",)]
        return Call([command, design, *words, *(self._out if command == "emit" else [])])

    def design(self):
        command = self._rng.choice(["emit", "sim", "synth", "exhaustive"])
        word = self._rng.choice(["nonsense", "float_encodr", "FLOAT_ENCODER", "x" * 300, "a b", "e4m3"])
        return Call([command, word, *(self._out if command == "emit" else [])])

    def output(self):
        """Where nothing can be written."""
        file = self._folder / "file"
        bad = [str(file / "below"), "/proc/no-such/file", str(self._folder / "no" / "such" / "file")]
        if (command := self._rng.choice(["emit", "sim", "synth", "exhaustive", "training-loop"])) == "emit":
            return Call(["emit", "float_decoder", "--out", self._rng.choice([str(file), *bad[:2]])])
        option = "--html" if command == "synth" and self._rng.random() < 0.5 else "--json"
        return Call([command, option, self._rng.choice([str(self._folder), *bad])])

    def number(self):
        choice = self._rng.choice
        wrong = choice(["-1", "x", "", "1.5", "99999999999"])
        return choice(
            [
                Call(["sim", "--seed", choice(["-1", "x", "", "1.5"])]),
                Call(["sim", "--sim", choice(["vcs", "", "Verilator"])]),
                Call(["training-loop", "--seed", choice(["-1", "x"])]),
                Call(["exhaustive", "float_encoder", choice(["--stride", "--count", "--first"]), wrong]),
                Call(["exhaustive", "float_encoder", "--biases", choice(["-1", "64", "x", ""])]),
                Call(["exhaustive", "fast_mac", choice(["--seed", "--count"]), choice(["-1", "x"])]),
                Call(["exhaustive", "lbfp_encoder", "--exponents", choice(["128", "x", ""])]),
                Call(["exhaustive", "s2_decoder", "--parameters", choice(["5", "5000:0", "0:x", ""])]),
                Call(["exhaustive", choice(["s2_decoder", "fast_mac"]), "--formats", "ab_e5m2"]),
                Call(["synth", "--target", choice(["ice50", "", "x" * 99])]),
                Call(["synth", "--liberty", str(self._folder / "no.lib"), "float_decoder"]),
                Call(["emit", *self._out]),
                Call(["emit", "--all", "float_decoder", *self._out]),
            ]
        )

    def tool(self):
        if self._rng.random() < 0.5:
            return Call(["emit", "float_decoder", *self._out], variables={"YOSYS": "no-such-yosys"})
        return Call(["sim", "float_decoder", "--sim", "icarus"], variables={"PATH": str(self._folder)})

    def full_disk(self):
        return Call(["emit", "float_decoder", *self._out], fault=f"disk full at file {self._rng.randrange(4)}")

    def interrupt(self):
        command = self._rng.choice(["emit", "sim", "exhaustive", "synth"])
        more = self._out if command == "emit" else ["--target", "ice40"] if command == "synth" else []
        return Call([command, "float_decoder", *more], status=130, fault="interrupt", emits=command != "emit")


@pytest.fixture
def attempt(tmp_path, monkeypatch, capsys):
    """A function that makes a call in this process, with the checks that every call must pass."""
    (tmp_path / "file").touch()
    build = tmp_path / "build"
    text = "text" * 1000
    canned = Emission("m", {}, text, "", "")
    vars(canned)["files"] = {f"m.{suffix}": text for suffix in ("v", "json", "f", "core")}

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    def full(path, content, left, write=Path.write_bytes):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, content)

    def attempt(call):
        with monkeypatch.context() as patch:
            patch.setenv("NARROWFLOAT_BUILD", str(build))
            for name, value in call.variables.items():
                patch.setenv(name, value)
            if call.fault == "interrupt":
                patch.setattr(tools, "start", interrupted)
                # what another test has emitted with the same tools would be taken from there
                patch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(tmp_path)]))
            elif call.fault:
                patch.setattr(emit_command, "emit", lambda *_: canned)
                left = iter(range(int(call.fault.split()[-1])))
                patch.setattr(Path, "write_bytes", lambda path, content: full(path, content, left))
            status = main(call.arguments)
        out, err = capsys.readouterr()
        assert status == call.status, (str(call), err)
        assert out == "" and err.count("\n") == 1 and err.startswith("narrowfloat") and err.endswith("\n"), (str(call), err)
        assert "Traceback" not in err and "Errno" not in err, (str(call), err)
        if call.emits:
            for path in (build / "emissions").glob("*.json"):
                path.unlink()
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        assert left == {"file"}, str(call)
        assert not list(build.rglob("run-*")) and not list(tmp_path.glob("new")), str(call)

    return attempt


def test_wrong_calls_are_one_line_and_leave_nothing(attempt, tmp_path):
    calls = Calls(random.Random(SEED), tmp_path)
    for _ in range(QUICK):
        attempt(calls.draw())


@pytest.mark.long
@pytest.mark.parametrize("seed", [SEED + 1])
def test_300_wrong_calls_are_one_line_and_leave_nothing(seed, attempt, tmp_path, capsys):
    """Others come with another NARROWFLOAT_SEED; the seed is printed."""
    with capsys.disabled():
        print(f"wrong calls of NARROWFLOAT_SEED={seed}")
    calls = Calls(random.Random(seed), tmp_path)
    for _ in range(LONG):
        attempt(calls.draw())


REAL = (
    ["emit", "--all", "--out", "new/rtl"],
    ["sim", "float_decoder", "--sim", "icarus"],
    ["sim", "float_encoder"],
    ["exhaustive", "float_encoder", "--stride", "1"],
    ["synth", "float_decoder", "--target", "ice40", "--target", "osu018"],
    ["lint"],
)


# A shell makes its background jobs ignore interrupts, which a process of a test inherits.
HEED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
START = f"{HEED} import sys; from narrowfloat.command import main; sys.exit(main())"


def interrupted_call(arguments, seconds, number, folder):
    """Status and lines of a call in a process of its own that gets a signal, and what it leaves."""
    variables = os.environ | {"NARROWFLOAT_BUILD": str(folder / "build"), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, "-c", START, *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, env=variables, start_new_session=True, **pipes)
    time.sleep(seconds)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    lines = [line for line in err.splitlines() if " min" not in line]
    found = subprocess.run(["pgrep", "-s", str(process.pid), "-a", "-r", "D,R,S"], capture_output=True, text=True, check=False)
    return process.returncode, lines, found.stdout.splitlines()


@pytest.mark.long
@pytest.mark.parametrize("arguments", REAL, ids=" ".join)
def test_interrupted_commands_are_one_line_and_leave_nothing(arguments, tmp_path):
    rng = random.Random(f"{SEED} {arguments}")
    for _ in range(3):
        number = rng.choice([signal.SIGINT, signal.SIGTERM])
        status, lines, running = interrupted_call(arguments, rng.uniform(3, 15), number, tmp_path)
        if status in (0, 1):  # it was faster
            continue
        assert (status, lines) == (128 + number, [f"narrowfloat {arguments[0]}: interrupted"])
        assert not running
        assert not list((tmp_path / "tmp").iterdir())
        assert not [path for path in tmp_path.rglob("*") if path.name.startswith((".unfinished-", "run-"))]


@pytest.mark.long
def test_two_simulations_at_once_in_one_checkout_are_right(tmp_path, require_tool):
    """Each has what it has alone: finding 24."""
    require_tool("iverilog")
    variables = os.environ | {"NARROWFLOAT_BUILD": str(tmp_path / "build")}
    settings = ("formats=e2m0", "formats=e3m1")
    rows = {}
    for together in (False, True):
        started = []
        for number, seed in enumerate((1, 2)):
            path = tmp_path / f"{together}{number}.json"
            words = ["sim", "float_decoder", "--set", settings[0], "--sim", "icarus", "--seed", str(seed), "--json", str(path)]
            started.append((path, subprocess.Popen([sys.executable, "-m", "narrowfloat", *words], env=variables)))
            if not together:
                started[-1][1].wait()
        for path, process in started:
            assert process.wait() == 0
            (row,) = json.loads(path.read_text())
            rows[together, row["seed"]] = row["vectors"], row["cycles"], row["passed"]
    assert [rows[True, seed] for seed in (1, 2)] == [rows[False, seed] for seed in (1, 2)]


def test_wrong_calls_cover_every_command():
    drawn = {Calls(random.Random(seed), Path("none")).draw().arguments[0] for seed in range(300)}
    assert {"emit", "sim", "exhaustive", "synth", "training-loop"} <= drawn
