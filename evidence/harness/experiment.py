"""What an experiment is, and how the runs of one are kept: each in a process, its results under build/ as soon as it ends."""

import importlib
import importlib.metadata
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from narrowfloat import shell
from narrowfloat.freshness import fingerprint
from narrowfloat.places import build_folder
from narrowfloat.tools import ToolError

COMMITTED = Path(__file__).parents[1]
SEEDS, QUICK_SEEDS = 5, 2


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of minutes that an experiment repeats with several seeds: for each choice, of each arm.

    Attributes
    ----------
    function : str
        "MODULE:NAME" of the function that makes a run: ``function(choice, arm, seed, quick)``, without `arm` if there are no
        `arms`, returns a dict for JSON.
    kind : str
        What a choice is: "task" or "network".
    choices : dict
        For each choice the packages that bring its data.
    arms : sequence of str
        What is compared, each in runs of its own.
    unseeded : sequence of str
        Choices that have only one run.
    shown : callable
        A few words on a run's results.
    """

    function: str
    kind: str
    choices: Mapping[str, Sequence[str]]
    arms: Sequence[str] = ()
    unseeded: Sequence[str] = ()
    shown: Callable[[dict], str]

    def missing(self, chosen):
        """The packages that runs of the `chosen` choices need and that are not installed."""
        wanted = dict.fromkeys(["torch", *(package for choice in chosen for package in self.choices[choice])])
        return [package for package in wanted if not _is_installed(package)]

    def results(self, name, chosen, seeds, processes, quick):
        """The results of the runs of the experiment `name`, each with its choice, arm and seed. Kept ones that are fresh are
        taken from build/."""
        arms = [(arm,) for arm in self.arms] or [()]
        jobs = [
            (choice, *arm, seed)
            for seed in range(seeds)
            for choice in reversed(chosen)
            for arm in arms
            if not seed or choice not in self.unseeded
        ]
        folder = build_folder("evidence", name, f"{fingerprint(self.function.partition(':')[0])[:16]}{'-quick' * quick}")
        files = {job: folder / ("-".join(map(str, job)) + ".json") for job in jobs}
        found = {job: _kept(file) for job, file in files.items()}
        todo = [job for job in jobs if found[job] is None]
        folder.mkdir(parents=True, exist_ok=True)
        with shell.Progress("evidence", f"runs of {name}", len(jobs)) as progress:
            progress.advance(len(jobs) - len(todo))
            for job, (result, seconds) in _in_processes(self.function, {job: files[job] for job in todo}, processes, quick):
                found[job] = result
                progress.advance()
                words = f"{' '.join(map(str, job[:-1]))} seed {job[-1]}: {self.shown(result)} ({seconds:.0f} s)"
                print(words, file=sys.stderr, flush=True)
        keys = (self.kind, *("arm",) * bool(self.arms), "seed")
        return [dict(zip(keys, job, strict=True)) | found[job] for job in jobs]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What ``python -m evidence NAME`` runs: a plain measurement, or one that evaluates `runs`.

    Attributes
    ----------
    name, doc : str
        `doc` is the docstring of the experiment's module.
    measure : callable
        ``measure()`` returns all that goes into the JSON file, a dict or a list; with `runs` it is
        ``measure(choices, results, quick)`` of what those gave.
    tables : callable
        Yields rich tables of that.
    plot : callable or None
        ``plot(found)`` returns a plotly figure.
    runs : Runs or None
    figures : str
        What the option --synth brings, if `measure` takes a file by that.
    """

    name: str
    doc: str
    measure: Callable
    tables: Callable
    plot: Callable | None = None
    runs: Runs | None = None
    figures: str = ""

    @property
    def committed(self):
        """The file of the committed results."""
        return COMMITTED / f"{self.name}.json"

    def read(self):
        """The committed results.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        try:
            return json.loads(self.committed.read_text())
        except ValueError as error:
            raise ValueError(f"{self.committed} is damaged ({error}): python -m evidence {self.name} --update") from None


def _is_installed(package):
    try:
        return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return False


def _kept(file):
    """A kept result, or None if there is none or it is damaged."""
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _in_processes(function, jobs, processes, quick):
    """Yields each of `jobs`, the files of results by job, as it ends: with its result and the seconds it took. No process is
    left, whatever happens."""
    # Spawned, not forked: PyTorch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        # Processes start here. They leave an interrupt to this one, which ends them.
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        futures = {pool.submit(_run, function, job, quick, file): job for job, file in jobs.items()}
        signal.signal(signal.SIGINT, interrupt)
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenExecutor:
            raise ToolError("a process of a run ended early, perhaps for want of memory; finished runs are kept") from None
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            pool.shutdown(cancel_futures=True)
            raise


def _run(function, job, quick, file):
    """Make a run and keep its result in `file`. In the process of the run, so that what is finished is never lost."""
    module, _, name = function.partition(":")
    start = time.monotonic()
    result = getattr(importlib.import_module(module), name)(*job, quick)
    shell.write(file, json.dumps(result))
    return result, time.monotonic() - start
