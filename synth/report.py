"""Results as a table on screen, with the change against earlier ones."""

import json

from rich import box
from rich.table import Table
from rich.text import Text

from hdl.catalog import DESIGNS
from synth.baselines import BASELINES

# A metric that grew by more than this share is marked.
TOLERANCE = 0.02

_KINDS = {**DESIGNS, **BASELINES}

# Parameters that have their own columns.
_SHAPE = ("lanes", "stages")

# Tables for the screen: a title, groups of columns, notes. A group is a heading, target, recipe, and for each column its heading and
# metric.
_LUTS = (("LUT", "lut4"), ("carry", "carry"), ("FF", "ff"))
_CELLS = (("GE", "gate_equivalents"), ("ns", "delay_ns"))
VIEWS = (
    (
        "look-up tables",
        (
            ("iCE40", "ice40", "luts", _LUTS),
            ("ECP5", "ecp5", "luts", _LUTS),
            ("Xilinx 7", "xc7", "luts", (("LUT", "lut6"), ("carry", "carry"), ("FF", "ff"))),
            ("generic", "generic", "nand2", (("NAND2", "gate_equivalents"),)),
        ),
        (
            "LUT: all LUTs, of 4 inputs in iCE40 and ECP5 (with two for each CCU2C), of up to 6 in Xilinx; carry: SB_CARRY, CCU2C, CARRY4. "
            "No DSP, nothing placed.",
            "NAND2: transistors of static CMOS (NAND2 4, NOR2 4, inverter 2, flip-flop 16) divided by 4.",
        ),
    ),
    (
        "standard cells",
        (
            ("0.18 um small", "osu018", "area", (*_CELLS, ("FF", "ff"))),
            ("0.18 um fast", "osu018", "delay", _CELLS),
            ("0.35 um small", "osu035", "area", _CELLS),
            ("0.35 um fast", "osu035", "delay", _CELLS),
        ),
        (
            "GE: gate equivalents, area over that of NAND2X1 (24 um2 in OSU 0.18 um, 96 in 0.35 um). ns: the longest path between inputs, "
            "registers and outputs by static timing, typical corner, without wires, ideal inputs, unloaded outputs.",
        ),
    ),
)


def key(row):
    """What makes a row the same measurement in another run."""
    return json.dumps([row["design"], row["parameters"], row["target"], row["recipe"]])


def views(rows, earlier):
    """Each table for which there are `rows`, and each of its notes; figures that differ from the rows `earlier` show by how much."""
    before = {key(row): row["metrics"] for row in earlier}
    present = {(row["target"], row["recipe"]) for row in rows}
    for title, groups, notes in VIEWS:
        groups = [group for group in groups if group[1:3] in present]
        if groups:
            for design in dict.fromkeys(row["design"] for row in rows):
                yield _table(title, groups, design, [row for row in rows if row["design"] == design], before)
            yield from (Text(note, style="dim") for note in (*notes, ""))


def _table(title, groups, design, rows, before):
    title = f"{design}, {title}: {_KINDS[design].summary}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False, collapse_padding=True)
    table.add_column("built with", overflow="fold")
    for name in _SHAPE:
        table.add_column(name, justify="right", no_wrap=True)
    for heading, _, _, columns in groups:
        for index, (name, _) in enumerate(columns):
            table.add_column(f"{'' if index else heading}\n{name}", justify="right", no_wrap=True)
    units = {}
    for row in rows:
        units.setdefault(json.dumps(row["parameters"]), {})[row["target"], row["recipe"]] = row
    for unit, measured in units.items():
        cells = [*_built_with(design, json.loads(unit))]
        for _, target, recipe, columns in groups:
            row = measured.get((target, recipe))
            old = before.get(key(row), {}) if row else {}
            cells += [_figure(metric, row["metrics"][metric], old.get(metric)) if row else "" for _, metric in columns]
        table.add_row(*cells)
    return table


def _built_with(design, parameters):
    """Lines of the formats and of what else is not at its default, and the columns of `_SHAPE`."""
    rest = [
        f"{parameter.name}={_as_setting(parameters[parameter.name])}"
        for parameter in _KINDS[design].parameters
        if parameter.name not in ("formats", *_SHAPE) and parameters[parameter.name] != parameter.to_json(parameter.default)
    ]
    return "\n".join([*parameters.get("formats", ()), *rest]), *(str(parameters.get(name, "")) for name in _SHAPE)


def _as_setting(value):
    if isinstance(value, list):
        return ",".join(value)
    return str(int(value) if isinstance(value, bool) else value)


def _figure(metric, value, old):
    digits = 2 if metric == "delay_ns" else 0
    text = Text(f"{value:.{digits}f}")
    if old is not None and round(value - old, digits):
        text.append(f" {value - old:+.{digits}f}", style="red" if value > old else "green")
    return text


def merge(earlier, rows):
    """The rows `earlier` with `rows` in place of those that are the same measurement."""
    merged = {key(row): row for row in earlier} | {key(row): row for row in rows}
    return [merged[name] for name in sorted(merged)]
