"""What experiments of many runs have in common: their command line, their processes, and results that outlive an interruption."""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from narrowfloat.golden.checks import check_choice, check_int
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evidence import results

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "evidence"
SEEDS, QUICK_SEEDS = 5, 2


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One command: ``python -m evidence.NAME``.

    Attributes
    ----------
    name, doc : str
        The module's name and docstring.
    choice : str
        What can be chosen: "task" makes the option --task.
    choices : sequence of str
    keys : tuple of str
        What names a run, the choice first and the seed last.
    jobs : callable
        The runs of some choices and seeds: a list with for each a tuple of `keys`, those to start first.
    run : callable
        ``run(*job, quick)`` gives a run's results, a dict for JSON. A function of a module, as other processes call it.
    told : callable
        What to say of a run's results as it ends: str.
    sources : sequence of Path
        Files that a run's numbers hang on.
    collect : callable
        ``collect(choices, runs, quick)``: all that goes into the JSON file, from the runs' keys and results in one dict each.
    tables : callable
        Yields rich tables of that.
    plot : callable or None
        ``plot(found, path)`` writes an HTML page with plotly.
    """

    name: str
    doc: str
    choice: str
    choices: Sequence[str]
    keys: Sequence[str]
    jobs: Callable
    run: Callable
    told: Callable
    sources: Sequence[Path]
    collect: Callable
    tables: Callable
    plot: Callable | None = None

    @property
    def results(self):
        """The file of a full run."""
        return HERE / f"{self.name}.json"

    def main(self, arguments=None):
        """The command; returns its exit status."""
        many, metavar = ", ".join(self.choices), self.choice.upper()
        parser = argparse.ArgumentParser(prog=f"python -m evidence.{self.name}", description=self.doc.partition("\n\n")[0])
        parser.add_argument(
            "--quick", action="store_true", help="a minute instead of half an hour: shows that all works, no more"
        )
        parser.add_argument(
            f"--{self.choice}", action="append", dest="chosen", metavar=metavar, help=f"some of {many}; default all"
        )
        parser.add_argument("--seeds", type=int, metavar="N", help=f"2 to 10, default {SEEDS}, quick {QUICK_SEEDS}")
        parser.add_argument("--jobs", type=int, metavar="N", help="processes, default one per core")
        parser.add_argument(
            "--json",
            type=Path,
            metavar="FILE",
            help=f"results; default, of a full run only, {self.results.name} beside this module",
        )
        try:
            return self._execute(parser.parse_args(arguments))
        except ValueError as error:
            message = error
        except OSError as error:
            message = f"{error.filename}: {error.strerror}"
        except KeyboardInterrupt:
            message = "interrupted; finished runs are kept, the same command goes on"
        print(f"evidence.{self.name}: {message}", file=sys.stderr)
        return 2

    def _execute(self, options):
        for name in options.chosen or ():
            check_choice(self.choice, name, self.choices)
        seeds = (QUICK_SEEDS if options.quick else SEEDS) if options.seeds is None else options.seeds
        check_int("seeds", seeds, 2, 10)
        jobs = (os.cpu_count() or 1) if options.jobs is None else options.jobs
        check_int("jobs", jobs, 1, 256)
        if importlib.util.find_spec("torch") is None:
            raise ValueError("PyTorch is not installed; get it with `pip install torch`")
        names = [name for name in self.choices if name in (options.chosen or self.choices)]
        about = {
            "command": f"python -m evidence.{self.name}" + (" --quick" if options.quick else ""),
            "versions": {name: importlib.metadata.version(name) for name in ("numpy", "torch")},
        }
        found = about | self.collect(names, self._run_all(names, seeds, jobs, options.quick), options.quick)

        console = Console(width=None if sys.stdout.isatty() else 140)
        for table in self.tables(found):
            console.print(table)
            console.print()
        path = options.json
        if path is None and not options.quick and seeds == SEEDS and names == list(self.choices):
            path = self.results
        if path is not None:
            results.write(path, found)
            console.print(f"{path.name} written")
        if self.plot and importlib.util.find_spec("plotly") is None:
            console.print("no curves: plotly is not installed; get it with `pip install plotly`", style="yellow")
        elif self.plot:
            curves = BUILD / (f"{self.name}_quick.html" if options.quick else f"{self.name}.html")
            curves.parent.mkdir(parents=True, exist_ok=True)
            self.plot(found, curves)
            console.print(f"curves: {os.path.relpath(curves)}")
        return 0

    def _run_all(self, names, seeds, jobs, quick):
        """Every run's keys and results. Those of earlier calls, if no source has changed, are taken from build/."""
        cache = BUILD / self.name / self._fingerprint(quick)
        cache.mkdir(parents=True, exist_ok=True)
        wanted = self.jobs(names, range(seeds))
        files = {job: cache / ("-".join(map(str, job)) + ".json") for job in wanted}
        todo = [job for job in wanted if not files[job].exists()]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"runs of {seeds} seeds", total=len(wanted), completed=len(wanted) - len(todo))
            # Spawned, not forked: PyTorch's threads do not survive a fork.
            with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
                futures = {pool.submit(_timed, self.run, job, quick): job for job in todo}
                try:
                    for future in as_completed(futures):
                        job, (result, seconds) = futures[future], future.result()
                        results.write(files[job], result)
                        words = " ".join(map(str, job[:-1]))
                        progress.console.print(f"{words} seed {job[-1]}: {self.told(result)} ({seconds:.0f} s)")
                        progress.advance(bar)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        return [dict(zip(self.keys, job, strict=True)) | json.loads(files[job].read_text()) for job in wanted]

    def _fingerprint(self, quick):
        """Of all that a run's numbers depend on, as far as it is known here."""
        digest = hashlib.sha256(f"{importlib.metadata.version('torch')} {quick}".encode())
        for path in sorted(self.sources):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def _timed(run, job, quick):
    start = time.monotonic()
    return run(*job, quick), time.monotonic() - start
