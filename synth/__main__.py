"""Measure what designs cost on each target."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from golden.checks import check_choice
from hdl.catalog import DESIGNS
from hdl.yosys import ToolError
from synth import asic, bench, fpga, report, units, yosys

BASELINE = Path(__file__).with_name("baseline.json")
MEASUREMENTS = (
    *yosys.MEASUREMENTS,
    *fpga.MEASUREMENTS,
    asic.StandardCells(asic.LIBRARIES["osu018"], curve=True),
    asic.StandardCells(asic.LIBRARIES["osu035"]),
)
TARGETS = tuple(dict.fromkeys(measurement.target for measurement in MEASUREMENTS))
# What `make synth` measures in minutes; all else when it is asked for.
DEFAULT_TARGETS = ("ice40", "ecp5", "xc7", "generic")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m synth", description=__doc__)
    names, defaults = ", ".join(units.NAMES), ", ".join(DESIGNS)
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"some of {names}; default {defaults}")
    parser.add_argument("--set", action="append", metavar="NAME=VALUE", help="measure DESIGN with this parameter, not as shipped")
    targets, defaults = ", ".join(TARGETS), ", ".join(DEFAULT_TARGETS)
    parser.add_argument("--target", action="append", metavar="TARGET", help=f"one of {targets}; default {defaults}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows of results there")
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
    for target in options.target or ():
        check_choice("target", target, TARGETS)
    for design in options.designs:
        check_choice("design", design, units.NAMES)
    if options.set and len(options.designs) != 1:
        raise ValueError("--set goes with exactly one design")
    measurements = [each for each in MEASUREMENTS if each.target in (options.target or DEFAULT_TARGETS)]
    missing = {each.missing(): each for each in measurements if each.missing()}
    measurements = [each for each in measurements if not each.missing()]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        chosen = [
            units.unit(name, settings)
            for name in progress.track(options.designs or list(DESIGNS), description="emitting")
            for settings in ([options.set] if options.set else units.builds(name))
        ]
        task = progress.add_task("synthesizing", total=len(chosen) * len(measurements))
        rows, problems = bench.measure(chosen, measurements, lambda: progress.advance(task))

    earlier = json.loads(BASELINE.read_text()) if BASELINE.exists() else []
    console = Console(width=None if sys.stdout.isatty() else 140)
    for part in report.views(rows, earlier):
        console.print(part)
    for problem, measurement in missing.items():
        console.print(f"not measured: {measurement.target}: {problem}", style="yellow")
    for problem in problems:
        print(f"synth: {problem}", file=sys.stderr)
    if options.json:
        _write(options.json, rows)
    if options.update_baseline and not problems:
        _write(BASELINE, report.merge(earlier, rows))
        console.print(f"{BASELINE.name} is up to date")
    return 2 if problems else 0


def _write(path, rows):
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    unfinished.rename(path)


if __name__ == "__main__":
    sys.exit(main())
