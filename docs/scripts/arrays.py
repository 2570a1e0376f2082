"""Measures systolic arrays of several sizes: text, emission, lint, build, simulation and synthesis, into docs/arrays.json.

Seconds are those of the processor (user and system, with all processes that were started), as these depend least on what else a
machine does. Arrays have 16 lanes, groups of 4 bits and FP32 accumulators.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from types import SimpleNamespace

from narrowfloat import tools
from narrowfloat.cosim import build, runner
from narrowfloat.hdl import lint

ROOT = Path(__file__).resolve().parents[2]
SIDES = (1, 2, 4, 8, 16, 32)
TEXT_ONLY = 32  # from this side on: text and emission alone
PRODUCTS = "each_dataflow"  # the test of the bench: 24 products of matrices of random sizes, bit for bit


def measure(side, folder):
    """A row of the table, of an array of `side` by `side` cells."""
    module = f"array{side}"
    row = {"side": side, "emission_s": _seconds(_emit, side, module, folder)}
    source = folder / f"{module}.v"
    row |= {"bytes": source.stat().st_size}
    if side >= TEXT_ONLY:
        return row
    manifest = json.loads(source.with_suffix(".json").read_text())
    row["verilator_lint_s"] = _seconds(
        tools.VERILATOR.run, ["--lint-only", "-Wall", "--language", "1364-2005", source.name], folder
    )
    row["lint_s"] = _seconds(lint.check, SimpleNamespace(module=module, text=source.read_text(), manifest=manifest))
    row["build_s"] = _seconds(build.simulation, source, manifest, "verilator")
    row["simulation_s"] = _seconds(_simulate, module, folder, row)
    row["synthesis_s"] = _seconds(_synthesize, module, folder, row)
    return row


def _seconds(function, *arguments):
    """Seconds of the processor that a call takes."""
    before = _used()
    function(*arguments)
    return round(_used() - before, 2)


def _used():
    return sum(used.ru_utime + used.ru_stime for used in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def _emit(side, module, folder):
    settings = [word for each in (f"rows={side}", f"columns={side}", "accumulator=fp32") for word in ("--set", each)]
    command = [sys.executable, "-m", "narrowfloat", "emit", "systolic_array", *settings, "--name", module, "--out", folder]
    if (done := tools.start("narrowfloat", command)).returncode:
        raise tools.ToolError(done.stderr)


def _simulate(module, folder, row):
    result = runner.run(runner.Job(folder, module, "verilator", seed=1, tests=PRODUCTS))
    if result.failure:
        raise SystemExit(f"{module}: {result.failure}")
    row["simulated_cycles"] = result.cycles


def _synthesize(module, folder, row):
    tools.yosys(f"read_verilog {module}.v\nsynth_ecp5 -noflatten -top {module}\ntee -q -o stat.json stat -json", folder)
    cells = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    row |= {"lut4": cells["LUT4"] + 2 * cells["CCU2C"], "ff": cells["TRELLIS_FF"]}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m docs.scripts.arrays", description=__doc__.partition("\n\n")[0])
    parser.add_argument("sides", type=int, nargs="*", default=SIDES, help="cells along a side; default all of the table")
    options = parser.parse_args(arguments)
    path = ROOT / "docs" / "arrays.json"
    kept = {row["side"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["NARROWFLOAT_BUILD"] = str(folder / "build")
        _emit(1, "first", folder)  # what all builds and simulations share is made, and not measured
        _simulate("first", folder, {})
        for side in options.sides:
            kept[side] = measure(side, folder)
            print(json.dumps(kept[side]), flush=True)
            path.write_text(json.dumps([kept[side] for side in sorted(kept)], indent=1) + "\n")


if __name__ == "__main__":
    main()
