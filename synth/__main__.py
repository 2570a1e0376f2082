"""Measure what designs cost on each target, beside baselines."""

import argparse
import json
import sys
from pathlib import Path

from narrowfloat.golden.checks import check_choice
from narrowfloat.hdl.yosys import ToolError
from narrowfloat.synth import asic, bench, fpga, page, report, units, yosys
from narrowfloat.synth.cache import FOLDER
from narrowfloat.synth.results import KINDS, Results, merge, reference
from rich.console import Console
from rich.progress import Progress

BASELINE = Path(__file__).with_name("baseline.json")
MEASUREMENTS = (*yosys.MEASUREMENTS, *fpga.MEASUREMENTS, *asic.MEASUREMENTS)
TARGETS = tuple(dict.fromkeys(measurement.target for measurement in MEASUREMENTS))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m narrowfloat.synth", description=__doc__)
    parser.add_argument(
        "designs", nargs="*", metavar="DESIGN", help=f"some of {', '.join(units.NAMES)}; in all shapes; default all as shipped"
    )
    parser.add_argument(
        "--set", action="append", metavar="NAME=VALUE", help="measure DESIGN with this parameter, not as shipped"
    )
    parser.add_argument("--target", action="append", metavar="TARGET", help=f"one of {', '.join(TARGETS)}; default all")
    parser.add_argument(
        "--liberty",
        type=Path,
        metavar="FILE",
        help="a library of standard cells, a target named as the file; the only one by default",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows of results there")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write the page with plots there, not to build/synth/report.html"
    )
    parser.add_argument("--check", action="store_true", help="fail if anything got worse by more than 2 %%")
    parser.add_argument("--update-baseline", action="store_true", help="make these results the ones to compare with")
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except (ValueError, ToolError) as error:
        message = error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    print(f"synth: {message}", file=sys.stderr)
    return 2


def run(options):
    measurements = MEASUREMENTS
    if options.liberty:
        measurements = (asic.StandardCells(asic.Library(options.liberty.stem, options.liberty), curve_limit=1000),)
        if options.target:
            measurements += MEASUREMENTS
    known = tuple(dict.fromkeys(measurement.target for measurement in measurements))
    for target in options.target or ():
        check_choice("target", target, known)
    for design in options.designs:
        check_choice("design", design, units.NAMES)
    if options.set and len(options.designs) != 1:
        raise ValueError("--set goes with exactly one design")
    for path in filter(None, (options.json, options.html)):
        if not path.resolve().parent.is_dir():
            raise ValueError(f"cannot write {path}: there is no folder {path.resolve().parent}")
    measurements = [each for each in measurements if not options.target or each.target in options.target]
    missing = {each.target: problem for each in measurements if (problem := each.missing())}
    if options.liberty and options.liberty.stem in missing:
        raise ToolError(missing[options.liberty.stem])
    measurements = [each for each in measurements if each.target not in missing]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        wanted = dict.fromkeys(wanted_builds(options))
        chosen = [units.unit(*build) for build in progress.track(wanted, description="emitting")]
        task = progress.add_task("synthesizing", total=len(chosen) * len(measurements))
        rows, problems = bench.measure(chosen, measurements, lambda: progress.advance(task))

    results = Results(rows, json.loads(BASELINE.read_text()) if BASELINE.exists() else [])
    console = Console()
    for part in report.views(results):
        console.print(part)
    for target, problem in missing.items():
        console.print(f"not measured: {target}: {problem}", style="yellow", highlight=False)
    for problem in problems:
        print(f"synth: {problem}", file=sys.stderr)
    html = options.html or FOLDER / "report.html"
    command = ["python -m narrowfloat.synth", *options.designs, *(f"--set {each}" for each in options.set or ())]
    _write(html, page.page(results, " ".join([*command, *([f"--liberty {options.liberty}"] if options.liberty else [])])))
    console.print(f"plots: {html}", highlight=False)
    if options.json:
        _write(options.json, _as_json(rows))
    if options.update_baseline and not problems:
        _write(BASELINE, _as_json(merge(results.earlier, rows)))
        console.print(f"{BASELINE.name} is up to date")
    if problems:
        return 2
    if options.check and (worse := list(results.regressions())):
        for line in worse:
            print(f"synth: worse by more than 2 %: {line}", file=sys.stderr)
        return 1
    return 0


def wanted_builds(options):
    """(design, settings) of each unit to measure, and of what it is relative to."""
    for name in options.designs or units.NAMES:
        for settings in [tuple(options.set)] if options.set else units.builds(name, every_shape=name in options.designs):
            yield name, settings
            if found := reference(name, KINDS[name].parse(settings)):
                yield found


def _as_json(rows):
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def _write(path, text):
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.rename(path)


if __name__ == "__main__":
    sys.exit(main())
