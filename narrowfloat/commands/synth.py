"""Measure what designs cost on each target, beside baselines."""

import json
from importlib.resources import files
from pathlib import Path

from narrowfloat import shell
from narrowfloat.golden.checks import check_choice
from narrowfloat.places import build_folder
from narrowfloat.synth import asic, bench, errors, fpga, page, report, units, yosys
from narrowfloat.synth.results import KINDS, Results, merge, reference
from narrowfloat.tools import ToolError

BASELINE = Path(str(files("narrowfloat.synth").joinpath("baseline.json")))
MEASUREMENTS = (*yosys.MEASUREMENTS, *fpga.MEASUREMENTS, *errors.MEASUREMENTS, *asic.MEASUREMENTS)
TARGETS = tuple(dict.fromkeys(measurement.target for measurement in MEASUREMENTS))
_NAME = "narrowfloat synth"


def add_arguments(parser):
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
    parser.add_argument("--json", type=shell.output_file, metavar="FILE", help="write the rows of results there")
    parser.add_argument(
        "--html", type=shell.output_file, metavar="FILE", help="write the page with plots there, not to build/synth/report.html"
    )
    parser.add_argument("--check", action="store_true", help="fail if anything got worse by more than 2 %%")
    parser.add_argument("--update-baseline", action="store_true", help="make these results the ones to compare with")


def run(options):
    measurements = _chosen(options)
    wanted = dict.fromkeys(wanted_builds(options))
    if options.update_baseline:
        if "site-packages" in BASELINE.parts:
            raise ValueError("--update-baseline is for a checkout: nothing is written beside installed code")
        shell.output_file(str(BASELINE))
    missing = {each.target: problem for each in measurements if (problem := each.missing())}
    if options.liberty and options.liberty.stem in missing:
        raise ToolError(missing[options.liberty.stem])
    measurements = [each for each in measurements if each.target not in missing]
    with shell.Progress(_NAME, "emitting", len(wanted)) as progress:
        chosen = []
        for build in wanted:
            chosen.append(units.unit(*build))
            progress.advance()
    # On targets that a unit is not built for it is measured only if it is asked for by its settings.
    asked = options.set and (options.designs[0], tuple(options.set))
    pairs = [
        (unit, measurement)
        for build, unit in zip(wanted, chosen, strict=True)
        for measurement in measurements
        if build == asked or unit.is_for_fpgas in {None, _is_of_fpga(measurement)}
    ]
    with shell.Progress(_NAME, "synthesizing", len(pairs)) as progress:
        rows, problems = bench.measure(pairs, measurements, progress.advance)

    results = Results(rows, json.loads(BASELINE.read_text()) if BASELINE.exists() else [])
    html = options.html or build_folder("synth", "report.html")
    html.parent.mkdir(parents=True, exist_ok=True)
    command = [_NAME, *options.designs, *(f"--set {each}" for each in options.set or ())]
    command += [f"--liberty {options.liberty}"] if options.liberty else []
    shell.write(html, page.page(results, " ".join(command)))
    if options.json:
        shell.write(options.json, _as_json(rows))
    updated = options.update_baseline and not problems
    if updated:
        shell.write(BASELINE, _as_json(merge(results.earlier, rows)))
    console = shell.console()
    for part in report.views(results):
        console.print(part)
    for target, problem in missing.items():
        console.print(f"not measured: {target}: {problem}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(f"plots: {html}", highlight=False, markup=False, soft_wrap=True)
    if updated:
        console.print(f"{BASELINE.name} is up to date")
    worse = [f"worse by more than 2 %: {line}" for line in results.regressions()] if options.check and not problems else []
    for line in (*problems, *worse):
        shell.say(_NAME, line)
    return 2 if problems else 1 if worse else 0


def _is_of_fpga(measurement):
    return measurement in fpga.MEASUREMENTS or measurement in yosys.MEASUREMENTS and measurement.target != "generic"


def _chosen(options):
    """The measurements that are asked for."""
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
    return [each for each in measurements if not options.target or each.target in options.target]


def wanted_builds(options):
    """(design, settings) of each unit to measure, and of what it is relative to."""
    for name in options.designs or units.NAMES:
        for settings in [tuple(options.set)] if options.set else units.builds(name, every_shape=name in options.designs):
            yield name, settings
            yield from reference(name, KINDS[name].parse(settings))


def _as_json(rows):
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
