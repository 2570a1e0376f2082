"""A training through the emitted memory port: bit for bit that of the model, and whatever is wrong is found and named."""

import json
import re
import shlex

import pytest
from narrowfloat import command as front
from narrowfloat.commands import training_loop
from narrowfloat.commands.training_loop import emit_port
from narrowfloat.cosim.native_port import NativePort
from narrowfloat.cosim.report import Mismatch
from narrowfloat.cosim.training_loop import SCHEMES, TYPES, Plan, Scheme, run, small_images
from narrowfloat.golden.memory import CoreBeats
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.tools import ToolError

# Odd numbers, so that neither tensors nor packs are full, and four epochs of calibration, which the median needs.
SMALL = Plan(widths=(196, 9, 7, 10), epochs=6, trained=45, held_out=11, batch=15)
TINY = Plan(widths=(196, 3, 10), epochs=2, calibration=1, trained=10, held_out=5, batch=5)
FAULTS = {
    "decoder": (
        SCHEMES[1],
        r"(i_zero \? )8'h0 ",
        r"\g<1>8'h1 ",
        (
            r"step 2: fc\d\.\w+ read back, value \d+: "
            r"got 0x00800000 \(1\.17\d*e-38\), want 0x00000000 \(0\.0\), bias 15; \d+ differ"
        ),
    ),
    "saturation": (
        Scheme("bias 40", force=40),
        r"\{7\{(i_formats_ab_e5m2_too_large)\}\};",
        r"{{6{\1}}, 1'h0};",
        (
            r"step 2: fc0\.activation in memory, value \d+, 0x\w{8} \(\S+\): "
            r"got 0x7e \(\S+\) at bias 40, want 0x7f \(\S+\) at bias 40; \d+ differ"
        ),
    ),
    "step": (
        SCHEMES[2],
        r"state1_minus_step <= 10'h0;",
        "state1_minus_step <= 10'h200;",
        r"step \d: (bias of the next error|error tracker\.position): got \d+, want \d+",
    ),
}


@pytest.fixture(autouse=True)
def compiler(require_tool):
    require_tool("g++")


@pytest.fixture
def emitted(tmp_path):
    """A function that emits a port with its settings and returns the manifest's path; `old` is replaced with `new`."""

    def make(*settings, old=None, new=None):
        emission = emit(find("memory_port"), settings)
        emission.write(tmp_path)
        if old:
            source = tmp_path / f"{emission.module}.v"
            text, number = re.subn(old, new, source.read_text(), count=1)
            assert number == 1
            source.write_text(text)
        return tmp_path / f"{emission.module}.json"

    return make


def assert_agrees(result):
    assert result.failure is None
    assert result.stalls == 0
    history, biases = result.training.history, result.training.biases
    assert [row["epoch"] for row in history] == [*range(1, len(history) + 1)]
    assert history[-1]["loss"] < history[0]["loss"]
    assert [row["when"] for row in biases] == sorted(row["when"] for row in biases)
    return [(row["type"], row["alpha" if result.scheme.s2fp8 else "bias"]) for row in biases]


def test_training_in_every_scheme_is_that_of_the_model(tmp_path):
    """Through the port as it is shipped or with S2FP8, with the registers, statistics and biases of all four types."""
    data = small_images()
    biases = {
        scheme.name: assert_agrees(run(emit_port(tmp_path, scheme.settings), SMALL, scheme, data, 3)) for scheme in SCHEMES
    }
    fp32, fixed, tracker, median, squeezed = biases.values()
    assert {len(each) for each in biases.values()} == {13 * SMALL.steps}
    assert {bias for _, bias in fixed + fp32} == {15}
    # the median answers when it has had all its passes; then what it and the tracker say is about the same
    calibrated = len(median) * SMALL.calibration // SMALL.epochs
    assert {bias for _, bias in median[:calibrated]} == {15}
    last = {kind: bias for kind, bias in median}
    assert len(set(median[calibrated:])) == len(last) == len(TYPES)
    assert all(abs(bias - last[kind]) <= 4 for kind, bias in tracker[calibrated:])
    # an epoch gives the parameters for the next
    assert {alpha for _, alpha in squeezed[: 13 * SMALL.steps // SMALL.epochs]} == {1}
    assert all(1 < alpha < 120 for _, alpha in squeezed[calibrated:])


@pytest.mark.parametrize(
    "settings",
    [
        ("lanes=3", "estimators=tracker", "reset=async_low", "fmt=ab_e5m2_gradual"),
        pytest.param(("lanes=8", "estimators=moments,histogram,median", "cnt_width=6"), marks=pytest.mark.long),
    ],
    ids=lambda settings: "-".join(settings[:2]),
)
def test_training_through_other_builds_is_that_of_the_model(settings, emitted):
    scheme = Scheme("adaptive", settings[1].partition("=")[2].partition(",")[0])
    assert_agrees(run(emitted(*settings), SMALL, scheme, small_images(), 4))


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_and_named(fault, emitted):
    scheme, old, new, message = FAULTS[fault]
    manifest = emitted("lanes=2", "estimators=tracker", old=old, new=new)
    failure = run(manifest, TINY, scheme, small_images(), 5).failure
    assert re.fullmatch(rf"{scheme.name}: {message}; rerun: narrowfloat training-loop --seed 5", failure), failure


def test_wrong_code_in_s2fp8_is_found_and_named(emitted):
    """Of codes of S2FP8 the message says what they are read with. By tensor, so that those of another layer saturate."""
    settings = ("lanes=1", "estimators=moments", "s2fp8=1")
    manifest = emitted(*settings, old=r"7'h7b", new="7'h7a")
    failure = run(manifest, TINY, Scheme("by tensor", "moments", s2fp8=True), small_images(), 5).failure
    read_with = r"in S2FP8 with the mean \d+ and the inverse \d+"
    found = rf"got 0x\wa {read_with}, want 0x\wb {read_with}; \d+ differ"
    assert re.match(rf"by tensor: step 2: fc\d\.\w+ in memory, value \d+, 0x\w{{8}} \(\S+\): {found}; rerun: ", failure), (
        failure
    )


def test_port_that_does_not_move_or_answer_is_one_clear_line(emitted):
    manifest = emitted(
        "lanes=1", "estimators=tracker", old=r"(\.i_valid +)\(\w+\)(,\s+\.i_ready +)\(s_core_ready\)", new=r"\1(1'b0)\2()"
    )
    port = NativePort(manifest)
    with pytest.raises(Mismatch, match=r"^memory_port_x1_\w+: write took 0 of 5 beats, and gave 0 in which .* does not end$"):
        port.write(CoreBeats.of_tensor(small_images()[0][0, :5], 0, lanes=1))
    assert port.peek("ID")["value"] == 0x4E464D50
    with pytest.raises(ValueError, match="FORCE0 has no field value"):
        port.poke("FORCE0", value=1)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs the command with text arguments; its exit status, and what it printed to stdout and stderr."""
    monkeypatch.setattr(training_loop, "Plan", lambda: TINY)
    monkeypatch.setattr(training_loop, "build_folder", tmp_path.joinpath)

    def run(text):
        status = front.main(["training-loop", *shlex.split(text)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_command_prints_a_table_and_writes_json_and_plot(command, tmp_path):
    status, out, err = command(f"--seed 2 --json {tmp_path / 'runs.json'}")
    assert status == 0, err
    assert out.count("bit-exact") == len(SCHEMES)
    assert re.search(r"beats in \d+ s: [\d,]+ beats/s; biases over time: ", out)
    runs = json.loads((tmp_path / "runs.json").read_text())
    assert [row["scheme"]["name"] for row in runs] == [scheme.name for scheme in SCHEMES]
    for row in runs:
        assert (row["design"], row["simulator"], row["seed"], row["passed"]) == ("memory_port", "verilator", 2, True)
        assert len(row["biases"]) == 9 * TINY.steps
        assert {tensor["type"] for tensor in row["biases"]} == set(TYPES)
        assert len(row["history"]) == TINY.epochs
    page = (tmp_path / "training_loop" / "biases.html").read_text()
    assert all(f"{kind}, {name}" in page for kind in TYPES for name in ("tracker", "median"))


def test_command_prints_what_differs_first(command, emitted, monkeypatch):
    _, old, new, _ = FAULTS["decoder"]
    monkeypatch.setattr(training_loop, "SCHEMES", SCHEMES[:3])
    monkeypatch.setattr(
        training_loop,
        "emit_port",
        lambda folder, settings: emitted(
            *settings, *(() if settings else ("estimators=tracker",)), "lanes=2", old=old, new=new
        ),
    )
    status, out, err = command("--seed 5")
    assert status == 1, err
    assert "bit-exact" in out and "failed" in out
    lines = [line for line in out.splitlines() if "; rerun: " in line]
    assert all(re.match(r"[\w ,]+: step \d: fc\d\.\w+ read back, value \d+: got 0x00800000 ", line) for line in lines)
    assert out.splitlines()[-1] == lines[-1]


@pytest.mark.parametrize(
    "arguments, line",
    [
        ("--seed -1", "--seed must be 0 or more, not -1"),
        ("--json nowhere/runs.json", "argument --json: cannot write 'nowhere/runs.json': there is no folder '.*/nowhere'; .*"),
    ],
)
def test_wrong_arguments_are_one_clear_line(command, arguments, line):
    status, out, err = command(arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(f"narrowfloat training-loop: {line}\n", err)


def test_missing_images_or_compiler_are_one_clear_line(command, monkeypatch):
    def missing(error):
        def fail(*arguments):
            raise error

        return fail

    monkeypatch.setattr(training_loop, "emit_port", missing(ToolError("g++ is missing: sudo apt-get install g++")))
    status, _, err = command("")
    assert (status, err) == (2, "narrowfloat training-loop: g++ is missing: sudo apt-get install g++\n")
    monkeypatch.setattr(
        training_loop, "small_images", missing(FileNotFoundError(2, "the images are not installed", "mnist.csv"))
    )
    status, _, err = command("")
    assert (status, err) == (2, "narrowfloat training-loop: mnist.csv: the images are not installed\n")


@pytest.mark.long
def test_training_that_users_run_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "build_folder", tmp_path.joinpath)
    assert front.main(["training-loop", "--json", str(tmp_path / "runs.json")]) == 0
    accuracies = [row["history"][-1]["accuracy"] for row in json.loads((tmp_path / "runs.json").read_text())]
    assert min(accuracies) > 0.8
