"""Builds an emitted design for a simulator, runs its bench inside, and tells what came of it."""

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner
from narrowfloat.cosim import verilated
from narrowfloat.golden.reference.stimulus import KEPT_TENSORS, keep_real_tensors
from narrowfloat.hdl.lint import verilator_folder
from narrowfloat.hdl.yosys import ToolError

SIMULATORS = ("verilator", "icarus")
# A design has a bench of its own name, but for these.
_SHARED_BENCHES = dict.fromkeys(("median_estimator", "exponent_histogram", "median_tracker", "log_moments"), "estimators")
BUILD = Path("build", "sim")
_ICARUS_OPTIONS = ("-g2012", "-Wall")


@dataclass(frozen=True)
class Job:
    """One run: an emitted module in `folder`, to be simulated with the bench of its design.

    `tests` is a regular expression that picks tests of the bench, all by default; logs, waves and results go below `runs`.
    """

    folder: Path
    module: str
    simulator: str
    seed: int
    waves: bool = False
    tests: str | None = None
    runs: Path = BUILD / "runs"

    @property
    def manifest(self):
        return json.loads((self.folder / f"{self.module}.json").read_text())

    @property
    def run_folder(self):
        """Where logs, waves and results of the run are."""
        return (self.runs / f"{self.module}.{self.simulator}").absolute()

    @property
    def progress(self):
        """How many beats the simulation has taken so far."""
        path = self.run_folder / "progress"
        return int(path.read_text() or 0) if path.exists() else 0

    def started_since(self, moment):
        """Whether the simulation itself has begun after `moment`, in seconds since the epoch."""
        path = self.run_folder / "simulation.log"
        return path.exists() and path.stat().st_mtime > moment


@dataclass(frozen=True)
class Result:
    """What came of a job. `failure` is None, or says in a line or two what failed; `tensors` is the file of what came out."""

    job: Job
    design: str
    parameters: dict
    vectors: int
    cycles: int
    seconds: float
    failure: str | None
    tensors: Path

    def to_json(self):
        """A row of `python -m narrowfloat.cosim --json`."""
        return {
            "design": self.design,
            "parameters": self.parameters,
            "simulator": self.job.simulator,
            "seed": self.job.seed,
            "vectors": self.vectors,
            "cycles": self.cycles,
            "seconds": round(self.seconds, 3),
            "passed": self.failure is None,
        }


def check_simulator(simulator):
    """Raise ToolError, which says how to get it, if `simulator` is not installed."""
    if simulator == "verilator":
        verilator_folder()
    elif shutil.which("iverilog") is None:
        raise ToolError("Icarus Verilog is missing: sudo apt-get install iverilog, or use --sim verilator")


def run(job):
    """Build and run `job`; when it fails, run it once more with waves, and name their file.

    `seconds` of the result is the simulation's time alone.
    """
    result = _run(job)
    if result.failure is None or job.waves or not result.seconds:
        return result
    again = _run(replace(job, waves=True))
    waves = [path for path in job.run_folder.rglob("*") if path.suffix in (".fst", ".vcd")]
    note = f"waves: {os.path.relpath(waves[0])}" if waves and again.failure else "with waves it did not fail again"
    return replace(result, failure=f"{result.failure}\n{note}")


def _run(job):
    manifest = job.manifest
    folder = job.run_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    runner = get_runner(job.simulator)
    built = Result(job, manifest["design"], manifest["parameters"], 0, 0, 0.0, None, folder / "tensors.npz")
    try:
        build_folder = _build(job, runner, folder / "build.log")
    except (SystemExit, RuntimeError, subprocess.CalledProcessError):
        return replace(built, failure=f"{job.simulator} could not build it: see {os.path.relpath(folder / 'build.log')}")
    started = time.monotonic()
    # The runner ends the process when a test failed; the results say more.
    with suppress(SystemExit, RuntimeError):
        runner.test(
            test_module=_benches(manifest),
            hdl_toplevel=job.module,
            hdl_toplevel_lang="verilog",
            build_dir=build_folder,
            test_dir=folder,
            results_xml=str(folder / "results.xml"),
            seed=job.seed,
            waves=job.waves,
            test_filter=job.tests,
            log_file=folder / "simulation.log",
            extra_env={
                "NARROWFLOAT_MANIFEST": str((job.folder / f"{job.module}.json").absolute()),
                "NARROWFLOAT_PROGRESS": str(folder / "progress"),
                "NARROWFLOAT_REPORT": str(folder / "report.json"),
                "NARROWFLOAT_TENSORS": str(folder / "tensors.npz"),
                "NARROWFLOAT_RERUN": _rerun(job, manifest),
                "NARROWFLOAT_STATES": "2" if job.simulator == "verilator" else "4",
                KEPT_TENSORS: str(keep_real_tensors(BUILD).absolute()),
            },
        )
    seconds = time.monotonic() - started
    report_path = folder / "report.json"
    report = json.loads(report_path.read_text()) if report_path.exists() else {}
    return replace(built, **report, seconds=seconds, failure=_failure(folder / "results.xml"))


def _benches(manifest):
    """The modules of tests for the design: those for all, and where it has some those of its own."""
    module = manifest["reference"].partition(":")[0]
    if find_spec(module) is None:
        return [f"narrowfloat.cosim.bench_{_SHARED_BENCHES.get(manifest['design'], manifest['design'])}"]
    family = module.rpartition(".")[2]
    own = f"narrowfloat.cosim.special.{family}"
    return ["narrowfloat.cosim.generic", *([own] if find_spec(own) else [])]


def _build(job, runner, log):
    """The folder with the built simulation: made once for the same source, tool and options."""
    source = job.folder / f"{job.module}.sv"
    options = verilated.OPTIONS if job.simulator == "verilator" else _ICARUS_OPTIONS
    ingredients = (source.read_text(), job.simulator, _version(job.simulator), options, job.waves)
    key = hashlib.sha256(repr(ingredients).encode()).hexdigest()
    folder = (BUILD / "cache" / f"{job.simulator}-{key[:24]}").absolute()
    if folder.exists() and not job.waves:
        return folder
    # Icarus writes waves to a path that is compiled in: such a build stays where it is made.
    made = job.run_folder / "build" if job.waves else folder.with_name(f"{folder.name}.{os.getpid()}")
    if job.simulator == "verilator":
        ports = [port["name"] for port in job.manifest["ports"]]
        verilated.build(source.absolute(), job.module, ports, made, job.waves, log)
    else:
        runner.build(
            sources=[source.absolute()],
            hdl_toplevel=job.module,
            build_args=_ICARUS_OPTIONS,
            build_dir=made,
            always=True,
            timescale=("1ns", "1ps"),
            waves=job.waves,
            log_file=log,
        )
    if job.waves:
        return made
    with suppress(OSError):  # another run has built the same meanwhile
        made.rename(folder)
    return folder


def _version(simulator):
    command = [verilator_folder() / "verilator", "--version"] if simulator == "verilator" else ["iverilog", "-V"]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]


def _rerun(job, manifest):
    sim = "" if job.simulator == "verilator" else f" SIM={job.simulator}"
    return f"make sim DESIGN={shlex.quote(job.module)}{sim} SEED={job.seed}"


def _failure(results):
    """What the first failed test says, or that none ran; None if all passed."""
    if not results.exists():
        return f"the simulation ended early: see {os.path.relpath(results.with_name('simulation.log'))}"
    cases = ElementTree.parse(results).getroot().findall(".//testcase")
    if not cases:
        return "no test ran"
    for case in cases:
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            return f"{case.get('name')}: {problem.get('message') or problem.get('error_msg') or problem.text or 'failed'}"
    return None
