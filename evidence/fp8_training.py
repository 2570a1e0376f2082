"""What adaptive-bias FP8 costs in accuracy: networks in training whose every tensor in DRAM is stored in eight bits.

The claim, as reported by the authors of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: about 1 % less accuracy than FP32.
Here: a CNN on MNIST-5k, a text classifier on Reuters R8 and a character Transformer on Shakespeare, each with five seeds. Of every
tensor that leaves the chip, activations, errors, weight gradients and weights, what is stored is what is used afterwards; the
bias comes from the golden model of an estimator, and from tensors before. The optimizer works on a master copy in FP32. See
`evidence.arms` for what is compared, `evidence.tasks` for the networks.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evidence import results, training_report
from evidence.arms import ARMS
from golden.checks import check_choice, check_int

HERE = Path(__file__).parent
RESULTS = HERE / "fp8_training.json"
BUILD = HERE.parent / "build" / "evidence"
TASKS = ("mnist", "reuters", "shakespeare")
SEEDS, QUICK_SEEDS = 5, 2
# What a run's numbers hang on.
_SOURCES = [
    *(HERE / f"{name}.py" for name in ("arms", "data", "store", "tasks", "training_run")),
    *HERE.parent.glob("golden/*.py"),
    HERE.parent / "cosim" / "training.py",
]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m evidence.fp8_training", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute instead of half an hour: shows that all works, no more")
    parser.add_argument("--task", action="append", metavar="TASK", help=f"some of {', '.join(TASKS)}; default all")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"2 to 10, default {SEEDS}, quick {QUICK_SEEDS}")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes, default one per core")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help=f"results; default, of a full run only, {RESULTS.name} beside this module"
    )
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except ValueError as error:
        message = error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    except KeyboardInterrupt:
        message = "interrupted; finished trainings are kept, the same command goes on"
    print(f"evidence.fp8_training: {message}", file=sys.stderr)
    return 2


def run(options):
    for task in options.task or ():
        check_choice("task", task, TASKS)
    seeds = (QUICK_SEEDS if options.quick else SEEDS) if options.seeds is None else options.seeds
    check_int("seeds", seeds, 2, 10)
    jobs = (os.cpu_count() or 1) if options.jobs is None else options.jobs
    check_int("jobs", jobs, 1, 256)
    if importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is not installed; get it with `pip install torch`")
    names = [name for name in TASKS if name in (options.task or TASKS)]
    runs = train_all(names, range(seeds), jobs, options.quick)

    found = collect(names, runs, options.quick)
    console = Console(width=None if sys.stdout.isatty() else 140)
    for table in training_report.tables(found):
        console.print(table)
        console.print()
    path = options.json
    if path is None and not options.quick and seeds == SEEDS and names == list(TASKS):
        path = RESULTS
    if path is not None:
        results.write(path, found)
        console.print(f"{path.name} written")
    if importlib.util.find_spec("plotly") is None:
        console.print("no curves: plotly is not installed; get it with `pip install plotly`", style="yellow")
    else:
        curves = BUILD / ("fp8_training_quick.html" if options.quick else "fp8_training.html")
        training_report.write_curves(found, curves)
        console.print(f"curves: {os.path.relpath(curves)}")
    return 0


def train_all(names, seeds, jobs, quick):
    """The results of every task, arm and seed. Those of earlier calls, if no source has changed, are taken from build/."""
    cache = BUILD / "fp8_training" / _fingerprint(quick)
    cache.mkdir(parents=True, exist_ok=True)
    wanted = [(name, arm, seed) for seed in seeds for name in names for arm in ARMS]
    files = {job: cache / ("-".join(map(str, job)) + ".json") for job in wanted}
    todo = [job for job in wanted if not files[job].exists()]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        description = f"training, seeds {', '.join(map(str, seeds))}"
        bar = progress.add_task(description, total=len(wanted), completed=len(wanted) - len(todo))
        # Spawned, not forked: PyTorch's threads do not survive a fork.
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            futures = {pool.submit(_train, *job, quick): job for job in todo}
            try:
                for future in as_completed(futures):
                    job, (result, seconds) = futures[future], future.result()
                    results.write(files[job], result)
                    progress.console.print(f"{job[0]} {job[1]} seed {job[2]}: {result['scores'][-1]:.4f} ({seconds:.0f} s)")
                    progress.advance(bar)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [
        {"task": name, "arm": arm, "seed": seed} | json.loads(files[name, arm, seed].read_text()) for name, arm, seed in wanted
    ]


def collect(names, runs, quick):
    """All that goes into the JSON file."""
    from evidence import tasks

    traffic = {run["task"]: run.pop("traffic") for run in runs if "traffic" in run}
    described = {}
    for name in names:
        task = tasks.TASKS[name](0, quick)
        described[name] = {
            "title": task.title,
            "score": task.score_name,
            "better": task.better,
            "digits": task.digits,
            "epochs": len(next(run["scores"] for run in runs if run["task"] == name)),
            "steps": task.steps,
        }
    order = sorted(runs, key=lambda run: (names.index(run["task"]), list(ARMS).index(run["arm"]), run["seed"]))
    return {
        "command": "python -m evidence.fp8_training" + (" --quick" if quick else ""),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "torch")},
        "tasks": described,
        "arms": {name: arm.title for name, arm in ARMS.items()},
        "traffic_per_epoch": traffic,
        "summary": training_report.summarize(order),
        "runs": order,
    }


def _train(task, arm, seed, quick):
    from evidence import training_run

    start = time.monotonic()
    return training_run.run(task, ARMS[arm], seed, quick), time.monotonic() - start


def _fingerprint(quick):
    """Of all that a training's numbers depend on, as far as it is known here."""
    digest = hashlib.sha256(f"{importlib.metadata.version('torch')} {quick}".encode())
    for path in sorted(_SOURCES):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
