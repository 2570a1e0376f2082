"""Run every input there is, or a large sample, through emitted designs at native speed, and compare with the golden model."""

import json
import time

from narrowfloat import shell
from narrowfloat.cosim.exhaustive import bfp, float_codec, lbfp, s2fp8
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.s2fp8 import PRECISIONS
from rich import box
from rich.table import Table

_NAME = "narrowfloat exhaustive"
FAMILIES = {design: family for family in (float_codec, lbfp, s2fp8, bfp) for design in family.DESIGNS}


def add_arguments(parser):
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"some of {', '.join(FAMILIES)}; default all")
    parser.add_argument("--formats", metavar="NAME,...", help="names or spellings")
    parser.add_argument("--biases", metavar="N,...", help=f"of float_encoder, or all; default {float_codec.BIASES}")
    parser.add_argument("--exponents", metavar="E,...", help="of lbfp_encoder; default 0")
    parser.add_argument("--parameters", metavar="ALPHA:MEAN,...", help=f"of S2FP8; default {s2fp8.PARAMETERS}")
    parser.add_argument("--precision", metavar="NAME,...", help=f"of S2FP8, {' or '.join(PRECISIONS)}; default both")
    parser.add_argument("--first", metavar="WORD", help="an encoder's first input; default 0")
    parser.add_argument("--stride", metavar="N", help="from one input of an encoder to the next; default 1")
    parser.add_argument("--count", metavar="N", help="how many inputs of an encoder, or random groups of fast_mac")
    parser.add_argument("--seed", metavar="N", help="of random groups; default 1")
    parser.add_argument("--json", type=shell.output_file, metavar="FILE", help="write the runs as JSON, too")


def run(options):
    planned = plan(options)
    rows, failures = [], []
    with shell.Progress(_NAME, "", sum(check.vectors for check in planned)) as progress:
        for check in planned:
            progress.tell(f"{check.design} {check}")
            row, failure = _run(check, progress.advance)
            rows.append(row)
            failures += [failure] if failure else []
    if options.json:
        shell.write(options.json, json.dumps(rows, indent=2) + "\n")
    console = shell.console()
    console.print(_table(planned, rows))
    for failure in failures:
        console.print(failure, markup=False, highlight=False, soft_wrap=True)
    return 1 if failures else 0


def plan(options):
    """All checks that are asked for, once everything that was asked for is found to be allowed."""
    for design in options.designs:
        if design not in FAMILIES:
            raise ValueError(f"unknown design {design!r}: use one of {', '.join(FAMILIES)}")
    designs = options.designs or list(FAMILIES)
    given = {name: text for name, text in vars(options).items() if name not in ("designs", "json") and text is not None}
    for name in given:
        has = [design for design, family in FAMILIES.items() if name in family.OPTIONS]
        if not set(designs) <= set(has):
            raise ValueError(f"--{name} goes with {', '.join(has)}: name one of them alone")
    return [check for design in designs for check in FAMILIES[design].checks(design, **given)]


def _run(check, advance):
    failure, started = None, time.perf_counter()
    try:
        check.run(advance)
    except Mismatch as mismatch:
        failure = str(mismatch)
    row = {"design": check.design, "settings": list(check.settings), **check.inputs, "vectors": check.vectors}
    return row | {"seconds": round(time.perf_counter() - started, 3), "passed": failure is None}, failure


def _table(planned, rows):
    table = Table("block", "settings", title="Inputs at native speed against the golden model", box=box.SIMPLE_HEAD)
    for name in ("vectors", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for check, row in zip(planned, rows, strict=True):
        result = "[green]bit-exact[/]" if row["passed"] else "[red]failed[/]"
        table.add_row(check.design, str(check), f"{check.vectors:,}", f"{row['seconds']:.1f}", result)
    return table
