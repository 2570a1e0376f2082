"""Builds an emitted design for a simulator, runs its bench inside, and tells what came of it."""

import json
import os
import shlex
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import find_libpython
from cocotb_tools import config
from narrowfloat import tools
from narrowfloat.cache import folder as kept_folder
from narrowfloat.cosim import build
from narrowfloat.freshness import fingerprint
from narrowfloat.golden.reference import Reference, reference_class, stimulus

SIMULATORS = ("verilator", "icarus")


@dataclass(frozen=True)
class Job:
    """One run: an emitted module in `folder`, to be simulated with the bench of its design.

    `tests` is a regular expression that picks tests of the bench, all by default; logs, waves and results go below `runs`, by
    default `folder`; `rerun` is the command that does the same again, by default that of a shipped module; unless `keeps` the
    simulation is not kept for another run.
    """

    folder: Path
    module: str
    simulator: str
    seed: int
    waves: bool = False
    tests: str | None = None
    runs: Path | None = None
    rerun: str | None = None
    keeps: bool = True

    @property
    def source(self):
        return self.folder / f"{self.module}.v"

    @property
    def manifest_path(self):
        return self.folder / f"{self.module}.json"

    @property
    def run_folder(self):
        """Where logs, waves and results of the run are."""
        return ((self.runs or self.folder) / f"{self.module}.{self.simulator}").absolute()

    @property
    def progress(self):
        """How many beats the simulation has taken so far; None as long as it is not built."""
        try:
            return int((self.run_folder / "progress").read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0 if (self.run_folder / "simulation.log").exists() else None


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
        """A row of `narrowfloat sim --json`."""
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
        tools.VERILATOR.find(), tools.GXX.find()
    else:
        tools.ICARUS.find(), tools.VVP.find()


def benches(design, reference):
    """The modules of tests for `design`: those for all, and where it has some those of its own.

    Raises
    ------
    ValueError
        There is none.
    """
    module = reference.partition(":")[0]
    if not _exists(module):
        name = f"narrowfloat.cosim.bench_{design}"
        if not _exists(name):
            raise ValueError(f"{design} has no tests: there is no reference object {reference}, nor a bench {name}")
        return [name]
    own = f"narrowfloat.cosim.special.{module.rpartition('.')[2]}"
    generic = issubclass(reference_class({"reference": reference}), Reference)
    return [*(["narrowfloat.cosim.generic"] if generic else []), *([own] if _exists(own) else [])]


def _exists(module):
    with suppress(ModuleNotFoundError):
        return find_spec(module) is not None
    return False


def run(job):
    """Build and run `job`; when it fails, run it once more with waves, and name their file.

    `seconds` of the result is the simulation's time alone.

    Raises
    ------
    ValueError
        The design has no bench.
    narrowfloat.tools.ToolError
        The simulator is missing.
    """
    result = _run(job)
    if result.failure is None or job.waves or not result.seconds:
        return result
    again = _run(replace(job, waves=True))
    waves = [path for path in job.run_folder.rglob("*") if path.suffix in (".fst", ".vcd")]
    if again.failure is None:
        note = "with waves it did not fail again"
    else:
        note = f"waves: {os.path.relpath(waves[0])}" if waves else "no waves were written"
    return replace(result, failure=f"{result.failure}\n{note}")


def _run(job):
    manifest = json.loads(job.manifest_path.read_text())
    folder = job.run_folder
    modules = benches(manifest["design"], manifest["reference"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result = Result(job, manifest["design"], manifest["parameters"], 0, 0, 0.0, None, folder / "tensors.npz")
    try:
        built = build.simulation(job.source, manifest, job.simulator, job.waves)
    except build.BuildError as error:
        log = folder / "build.log"
        log.write_text(error.log)
        return replace(result, failure=f"{job.simulator} could not build it: see {os.path.relpath(log)}")
    started = time.monotonic()
    _simulate(job, built / "simulation", folder, _environment(job, modules))
    seconds = time.monotonic() - started
    if not job.keeps:
        shutil.rmtree(built)
    report_path = folder / "report.json"
    report = json.loads(report_path.read_text()) if report_path.exists() else {}
    return replace(result, **report, seconds=seconds, failure=_failure(folder / "results.xml"))


def _simulate(job, program, folder, variables):
    """Run the simulation to its end; whether it went well the results say, not its exit status."""
    options = {"variables": variables, "log": folder / "simulation.log"}
    if job.simulator == "icarus":
        library = config.lib_name_path("vpi", "icarus")
        tools.VVP.start(["-m", library, program, "-fst" if job.waves else "-none"], folder, **options)
    else:
        tools.start("the simulation", [program, *(["--trace"] if job.waves else [])], folder, **options)


def _environment(job, modules):
    """What cocotb and the bench are told by environment variables."""
    folder = job.run_folder
    variables = {
        "COCOTB_TOPLEVEL": job.module,
        "COCOTB_TEST_MODULES": ",".join(modules),
        "COCOTB_RESULTS_FILE": folder / "results.xml",
        "COCOTB_RANDOM_SEED": job.seed,
        "COCOTB_TRUST_INERTIAL_WRITES": int(job.simulator == "verilator"),
        "TOPLEVEL_LANG": "verilog",
        "GPI_USERS": f"{find_libpython.find_libpython()};{config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENBLAS_NUM_THREADS": 1,  # as many processes run as there are cores
        "NARROWFLOAT_MANIFEST": job.manifest_path.absolute(),
        "NARROWFLOAT_PROGRESS": folder / "progress",
        "NARROWFLOAT_REPORT": folder / "report.json",
        "NARROWFLOAT_TENSORS": folder / "tensors.npz",
        "NARROWFLOAT_RERUN": job.rerun or _rerun(job),
        "NARROWFLOAT_STATES": 2 if job.simulator == "verilator" else 4,
        stimulus.KEPT_TENSORS: _real_tensors(),
    }
    if job.tests:
        variables["COCOTB_TEST_FILTER"] = job.tests
    return {name: str(value) for name, value in variables.items()}


def _real_tensors():
    """The file of the real tensors, which are trained once for all simulations."""
    return kept_folder("tensors", [fingerprint(stimulus.__name__)], stimulus.keep_real_tensors) / stimulus.TENSORS_FILE


def _rerun(job):
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
