"""Results as one HTML page with plots and tables, which needs nothing but itself: a section for each question."""

from html import escape

from narrowfloat.synth import plots
from narrowfloat.synth.results import KINDS, measured, reference_in_words, short_label

# Columns of tables: heading, target, recipe, metric, digits.
_COST = (
    ("iCE40 LUT4", "ice40", "luts", "lut4", 0),
    ("ECP5 LUT4", "ecp5", "luts", "lut4", 0),
    ("Xilinx 7 LUT6", "xc7", "luts", "lut6", 0),
    ("UltraScale+ LUT6", "xcup", "luts", "lut6", 0),
    ("Gowin LUT4", "gowin", "luts", "lut4", 0),
)
_SPEED = (
    ("HX8K MHz", "ice40-hx8k", "placed", "fmax_mhz", 0),
    ("ECP5 25k MHz", "ecp5-25k", "placed", "fmax_mhz", 0),
    ("UP5K MHz", "ice40-up5k", "placed", "fmax_mhz", 0),
    ("ECP5 85k MHz", "ecp5-85k", "placed", "fmax_mhz", 0),
)
_STYLE = """
:root { color-scheme: light dark; --text: #1d2330; --page: #fff; --line: #d9dde5; --soft: #eef0f4; }
@media (prefers-color-scheme: dark) { :root { --text: #dfe3ea; --page: #14171d; --line: #363c48; --soft: #232832; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); }
body { margin: 1.5rem auto; max-width: 1100px; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 0; } p { max-width: 60rem; margin: .4rem 0; }
code { background: var(--soft); padding: .1rem .35rem; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: .5rem 0; } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; } td, th { padding: .2rem .6rem; border-bottom: 1px solid var(--line); }
th { cursor: pointer; text-align: right; vertical-align: bottom; } td { text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--page); }
td:first-child { white-space: normal; min-width: 9rem; } tr.baseline td:first-child { font-style: italic; }
.js-plotly-plot text { fill: var(--text) !important; }
.js-plotly-plot .gridlayer path { stroke: var(--line) !important; }
.js-plotly-plot .annotation .bg { fill: var(--page) !important; fill-opacity: 1 !important; }
.legend span { white-space: nowrap; margin-right: 1rem; }
"""
# A click on a heading sorts by its column: numbers upwards, then downwards; what was not measured stays at the end.
_SORT = """
document.addEventListener("click", event => {
  const heading = event.target.closest("th");
  if (!heading) return;
  const body = heading.closest("table").tBodies[0];
  const column = heading.cellIndex, down = heading.dataset.order === "up";
  for (const other of heading.parentNode.cells) delete other.dataset.order;
  heading.dataset.order = down ? "down" : "up";
  const value = row => row.cells[column].dataset.value ?? "";
  const compare = (a, b) => column ? a - b : a.localeCompare(b);
  [...body.rows].sort((one, two) => {
    const [a, b] = [value(one), value(two)];
    if (a === "" || b === "") return (a === "") - (b === "");
    return down ? compare(b, a) : compare(a, b);
  }).forEach(row => body.append(row));
});
"""


def page(results, command):
    """The page as text, from `synth.results.Results` and the command that made them, to which each section adds its targets."""
    references = {}
    for design in dict.fromkeys(row["design"] for row in results.rows):
        if words := reference_in_words(design):
            references.setdefault(words, []).append(design)
    relative = "; ".join(f"{', '.join(designs)} to {name}" for name, designs in references.items())
    body = ["<h1>Narrowfloat: what the hardware costs</h1>"]
    if relative:
        body.append("<p>Names of baselines are oblique. Ratios (x) are over a unit of the same run.</p>")
        body.append(f"<details><summary>Over which</summary><p>{escape(relative)}.</p></details>")
    drawn = 0
    for title, text, figure, columns, needed in _sections(results):
        if figure is None:
            continue
        units = [unit for unit in results.units() if needed(measured(unit, column) is not None for column in columns)]
        columns = [column for column in columns if any(measured(unit, column) is not None for unit in units)]
        targets = dict.fromkeys(column[1] for column in columns)
        line = " ".join([command, *(f"--target {target}" for target in targets)])
        body += [f"<h2>{escape(title)}</h2>", f"<p>{escape(text)}</p>"]
        signs = [
            f'<span><b style="color: {color}">{sign}</b> {escape(name)}</span>' for color, sign, name in plots.legend(figure)
        ]
        body.append(f"<p class=legend>{' '.join(signs)}</p>")
        # The library's own code is in the page once.
        body.append(
            figure.to_html(full_html=False, include_plotlyjs=not drawn, config={"responsive": True, "displayModeBar": False})
        )
        body.append(_table(results, units, columns))
        body.append(f"<p><code>{escape(line)}</code></p>")
        drawn += 1
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Narrowfloat: what the hardware costs</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(body)
        + f"\n<script>{_SORT}</script>\n</body></html>\n"
    )


def _sections(results):
    """Title, text, figure, columns of the table, and whether any or all of these a unit in it must have.

    The figure is None where nothing was measured.
    """
    cells = results.libraries()

    def columns(metric, unit, digits, recipes=("area", "delay")):
        return [
            (f"{heading} {recipe}, {unit}", target, recipe, metric, digits)
            for target, heading in cells.items()
            for recipe in recipes
        ]

    cost = [*_COST, *columns("gate_equivalents", "GE", 0)]
    yield (
        "What does it cost beside the best alternative?",
        (
            "LUTs by Yosys alone, without DSP; those of ECP5 with two for each CCU2C. GE: gate equivalents, area over that of "
            "the library's smallest NAND2, by the area and the delay recipe. Left of 1 is smaller than the alternative."
        ),
        plots.ratios(results, [column for column in cost if column[2] != "delay"]),
        cost,
        any,
    )
    for target, heading in cells.items():
        area = (f"{heading} area, GE", target, "area", "gate_equivalents", 0)
        error = ("products of real tensors, dB", "model", "error", "sqnr_db", 1)
        yield (
            f"What does precision cost? {heading}",
            (
                "Single multipliers: the signal over the noise of products of real tensors, that of rounding the factors and "
                "that of the product, each pair of tensors scaled to fit best. Up and to the left is better."
            ),
            plots.scatter(results, area, error),
            [error, area],
            all,  # a point in the plane
        )
    energy = columns("energy_pj_per_op", "pJ", 2)
    still = columns("energy_without_glitches_pj_per_op", "pJ without glitches", 2, ("area",))
    yield (
        "How much energy does an operation take?",
        (
            "On real tensors, one beat in each cycle of a 50 MHz clock or the fastest that the unit keeps up with, inputs at "
            "the clock edge, leakage included. Not modelled: wires, the clock's tree, drivers of the inputs."
        ),
        plots.dots(results, [*columns("energy_pj_per_op", "pJ", 2, ("area",)), *still]),
        [*energy, *still],
        any,
    )
    yield (
        "How fast is it?",
        (
            "Fmax by nextpnr between registers: the median of three placer seeds, above 1000 LUT4s one seed. In cells the "
            "longest path by static timing without wires, ideal inputs, unloaded outputs."
        ),
        plots.dots(results, _SPEED[:2]),
        [*_SPEED, *columns("delay_ns", "ns", 2)],
        any,
    )
    for target, heading in cells.items():
        for title in dict.fromkeys(filter(None, (kind.measured.curve for kind in KINDS.values()))):
            yield (
                f"What does speed cost? {title}",
                f"Combinational units in {heading} cells: the smallest netlist found within each delay target.",
                plots.curves(results, target, title),
                [
                    ("small, GE", target, "area", "gate_equivalents", 0),
                    ("small, ns", target, "area", "delay_ns", 2),
                    ("fast, GE", target, "delay", "gate_equivalents", 0),
                    ("fast, ns", target, "delay", "delay_ns", 2),
                ],
                any,
            )


def _table(results, units, columns):
    """A table, folded, with a row for each unit."""
    lines = ["<details><summary>Table</summary><div class=wide><table><thead><tr><th>unit</th>"]
    lines += [f"<th>{escape(column[0])}</th>" for column in columns]
    lines.append("</tr></thead><tbody>")
    for unit in units:
        row = next(iter(unit.values()))
        name = escape(short_label(row))
        cells = [f'<td data-value="{name}">{name}</td>']
        for column in columns:
            value = measured(unit, column)
            if value is None:
                cells.append("<td></td>")
                continue
            ratio = results.ratio(unit[column[1], column[2]], column[3])
            times = f" ({ratio:.2f}x)" if ratio else ""
            cells.append(f'<td data-value="{value}">{value:.{column[4]}f}{times}</td>')
        lines.append(f"<tr class={row['role']}>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table></div></details>"])
