"""Results as tables on screen."""

from narrowfloat.synth.results import KINDS, SHAPE, label, reference_in_words, settings
from rich import box
from rich.table import Table
from rich.text import Text

# Tables: a title, groups of columns, notes. A group is a heading, target, recipe, and for each column its heading, metric and
# digits; "x" is the ratio of the metric before it.
_LUTS = (("LUT", "lut4", 0), ("x", "lut4", 2), ("carry", "carry", 0), ("FF", "ff", 0))
_LUT6 = (("LUT", "lut6", 0), ("x", "lut6", 2), ("carry", "carry", 0), ("FF", "ff", 0))
_DSP = (("LUT", "lut4", 0), ("DSP", "dsp", 0))
_DSP6 = (("LUT", "lut6", 0), ("DSP", "dsp", 0))
_FMAX = (("MHz", "fmax_mhz", 0), ("x", "fmax_mhz", 2))
_AREA = (("GE", "gate_equivalents", 0), ("x", "gate_equivalents", 2), ("ns", "delay_ns", 2))
_ENERGY = (
    ("pJ/op", "energy_pj_per_op", 2),
    ("x", "energy_pj_per_op", 2),
    ("without glitches", "energy_without_glitches_pj_per_op", 2),
    ("leak uW", "leakage_uw", 3),
)
_VIEWS = (
    (
        "look-up tables",
        (
            ("iCE40", "ice40", "luts", _LUTS),
            ("ECP5", "ecp5", "luts", _LUTS),
            ("generic", "generic", "nand2", (("NAND2", "gate_equivalents", 0), ("x", "gate_equivalents", 2))),
        ),
        (
            "LUT: all LUT4s, in ECP5 with two for each CCU2C; carry: SB_CARRY, CCU2C. No DSP, nothing placed. NAND2: "
            "transistors of static CMOS (NAND2 4, NOR2 4, inverter 2, flip-flop 16) divided by 4, of what has no "
            "memories."
        ),
    ),
    (
        "look-up tables",
        (
            ("Xilinx 7", "xc7", "luts", _LUT6),
            ("UltraScale+", "xcup", "luts", _LUT6),
            ("Gowin", "gowin", "luts", _LUTS),
        ),
        "LUT: all LUTs, of up to 6 inputs in Xilinx, of 4 in Gowin (with ALUs). No DSP, nothing placed.",
    ),
    (
        "with DSP",
        (("Xilinx 7", "xc7", "dsp", _DSP6), ("UltraScale+", "xcup", "dsp", _DSP6), ("Gowin", "gowin", "dsp", _DSP)),
        "Only what multiplies.",
    ),
    (
        "placed and routed",
        (
            ("iCE40 HX8K", "ice40-hx8k", "placed", _FMAX),
            ("iCE40 UP5K", "ice40-up5k", "placed", _FMAX),
            ("ECP5 25k", "ecp5-25k", "placed", _FMAX),
            ("ECP5 85k", "ecp5-85k", "placed", _FMAX),
        ),
        (
            "Fmax by nextpnr between registers in front and behind, median of three placer seeds, above 1000 LUT4s one "
            "seed; ECP5 of speed grade 6. Not placed: what does not fit, in UP5K and 85k what is above 100 LUT4s."
        ),
    ),
)
# And of standard cells, for each library.
_CELL_VIEWS = (
    (
        "standard cells, area",
        _AREA,
        (
            "GE: gate equivalents, area over that of the smallest NAND2 (24 um2 in OSU 0.18 um, 0.8 in NanGate 45 nm). ns: the "
            "longest path between inputs, registers and outputs by static timing, typical corner, without wires, ideal "
            "inputs, unloaded outputs."
        ),
    ),
    (
        "standard cells, energy",
        _ENERGY,
        (
            "Energy per operation (one lane, product, dot product, multiply-add) on real tensors, one beat in each "
            "cycle of a 50 MHz clock or the fastest that the unit keeps up with, inputs at the clock edge, leakage "
            "included: cells, their inputs' capacitances, clock pins of registers; glitches by simulation with the "
            "delay of each pin. Not modelled: wires, the clock's tree, drivers of the inputs."
        ),
    ),
)
# For the table of the best: heading, target, recipe, metric.
_BEST = (
    ("fewest iCE40 LUTs", "ice40", "luts", "lut4"),
    ("fewest Xilinx 7 LUTs", "xc7", "luts", "lut6"),
    ("smallest, 0.18 um", "osu018", "area", "gate_equivalents"),
    ("fastest, 0.18 um", "osu018", "delay", "delay_ns"),
    ("fastest, HX8K", "ice40-hx8k", "placed", "fmax_mhz"),
)


def views(results):
    """Each table for which there are results (`synth.results.Results`), and each of its notes."""
    present = {(row["target"], row["recipe"]) for row in results.rows}
    views = [*_VIEWS]
    for title, columns, note in _CELL_VIEWS:
        recipes = (("area", "small"), ("delay", "fast"))
        groups = [
            (f"{heading}, {how}", target, recipe, columns)
            for target, heading in results.libraries().items()
            for recipe, how in recipes
        ]
        views.append((title, groups, note))
    for title, groups, note in views:
        groups = [group for group in groups if group[1:3] in present]
        for design in dict.fromkeys(row["design"] for row in results.rows) if groups else ():
            units = [unit for unit in results.units(design) if any(group[1:3] in unit for group in groups)]
            if units:
                words = reference_in_words(design)
                relative = f"; x: relative to {words}" if words else ""
                yield Text(f"{design}, {title}: {KINDS[design].summary}{relative}", style="italic")
                yield _table(groups, design, units, results)
        if groups:
            yield Text(f"{note}\n", style="dim")
    if any(results.best(*where) for _, *where in _BEST):
        yield _best(results)


def _table(groups, design, units, results):
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, collapse_padding=True)
    table.add_column("built with", min_width=20)
    for name in _shape(design):
        table.add_column(name, justify="right", no_wrap=True)
    for heading, _, _, columns in groups:
        for index, (name, _, _) in enumerate(columns):
            table.add_column(f"{'' if index else heading}\n{name}", justify="right", no_wrap=True)
    for unit in units:
        row = next(iter(unit.values()))
        words = [word.removeprefix("formats=") for word in settings(row) if word.partition("=")[0] not in SHAPE]
        cells = [" ".join(words).replace(",", ", "), *(str(row["parameters"][name]) for name in _shape(design))]
        for _, target, recipe, columns in groups:
            row = unit.get((target, recipe))
            cells += [_figure(results, row, *column) if row else Text("-", style="dim") for column in columns]
        table.add_row(*cells)
    return table


def _shape(design):
    return [parameter.name for parameter in KINDS[design].parameters if parameter.name in SHAPE]


def _figure(results, row, heading, metric, digits):
    if heading == "x":
        ratio = results.ratio(row, metric)
        return Text("" if ratio is None else f"{ratio:.{digits}f}", style="cyan")
    if metric not in row["metrics"]:
        return Text("-", style="dim")
    text = Text(f"{row['metrics'][metric]:.{digits}f}")
    change = results.change(row, metric)
    if change and round(change, digits):
        worse = results.worse(row, metric)
        text.append(f" {change:+.{digits}f}{'!' * worse}", style="bold red" if worse else "yellow")
    return text


def _best(results):
    table = Table(title="the best of each kind", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    best = {heading: results.best(*where) for heading, *where in _BEST}
    table.add_column("kind", overflow="fold")
    for heading in best:
        table.add_column(heading, overflow="fold")
    for kind in dict.fromkeys(kind for column in best.values() for kind in column):
        cells = []
        for (heading, _, _, metric), column in zip(_BEST, best.values(), strict=True):
            row = column.get(kind)
            cells.append(f"{_name_in_kind(row)} ({row['metrics'][metric]:g})" if row else "")
        table.add_row(kind, *cells)
    return table


def _name_in_kind(row):
    return row["parameters"].get("method") or label(row).removesuffix(" (1 lanes, 0 stages)")
