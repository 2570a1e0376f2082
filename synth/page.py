"""Results as one HTML page with plots, which needs nothing but itself."""

from html import escape
from math import log10

import plotly.graph_objects as go
from narrowfloat.synth.results import KINDS, label, reference_in_words
from plotly.subplots import make_subplots

# Panels of bars: heading, target, recipe, metric, digits.
_LUTS = (
    ("iCE40, LUT4", "ice40", "luts", "lut4", 0),
    ("ECP5, LUT4", "ecp5", "luts", "lut4", 0),
    ("Xilinx 7, LUT6", "xc7", "luts", "lut6", 0),
    ("UltraScale+, LUT6", "xcup", "luts", "lut6", 0),
    ("Gowin, LUT4", "gowin", "luts", "lut4", 0),
)
_FMAX = (
    ("iCE40 HX8K, MHz", "ice40-hx8k", "placed", "fmax_mhz", 0),
    ("iCE40 UP5K, MHz", "ice40-up5k", "placed", "fmax_mhz", 0),
    ("ECP5 25k, MHz", "ecp5-25k", "placed", "fmax_mhz", 0),
    ("ECP5 85k, MHz", "ecp5-85k", "placed", "fmax_mhz", 0),
)
_COLORS = {"block": "#3b6fb6", "baseline": "#b3b9c4"}

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2330; background: #fff; }
body { margin: 2rem auto; max-width: 1800px; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0; }
p { max-width: 60rem; margin: .4rem 0; } code { background: #eef0f4; padding: .1rem .35rem; }
"""


def page(results, command):
    """The page as text, from `synth.results.Results` and the command that made them, to which each plot adds its targets."""
    references = {}
    for design in dict.fromkeys(row["design"] for row in results.rows):
        if words := reference_in_words(design):
            references.setdefault(words, []).append(design)
    relative = "; ".join(f"{', '.join(designs)} to {name}" for name, designs in references.items())
    body = [
        "<h1>Narrowfloat: what the hardware costs</h1>",
        f"<p>Ratios (x) are relative to a baseline of the same run: {escape(relative)}. Baselines are grey.</p>",
    ]
    plots = 0
    for title, text, targets, figure in _sections(results):
        if figure is not None:
            whole = " ".join([command, *(f"--target {target}" for target in targets)])
            body += [f"<h2>{escape(title)}</h2>", f"<p>{escape(text)}</p>", f"<p><code>{escape(whole)}</code></p>"]
            # the library's own code is in the page once
            body.append(figure.to_html(full_html=False, include_plotlyjs=not plots))
            plots += 1
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Narrowfloat: what the hardware costs</title>'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"
    )


def _sections(results):
    """Title, text, targets and figure of each; the figure is None where nothing was measured."""
    cells = results.libraries()

    def panels(metric, unit, digits):
        return [
            (f"{heading} {recipe}, {unit}", target, recipe, metric, digits)
            for target, heading in cells.items()
            for recipe in ("area", "delay")
        ]

    yield (
        "Area",
        (
            "LUTs by Yosys alone, without DSP; those of ECP5 with two for each CCU2C. GE: gate equivalents, area over that of "
            "the library's smallest NAND2, by the area and the delay recipe. Logarithmic."
        ),
        *_bars(results, [*_LUTS, *panels("gate_equivalents", "GE", 0)]),
    )
    yield (
        "Speed",
        (
            "Fmax by nextpnr between registers, median of three placer seeds; delays by static timing without wires, ideal "
            "inputs, unloaded outputs. Logarithmic."
        ),
        *_bars(results, [*_FMAX, *panels("delay_ns", "ns", 2)]),
    )
    for target, heading in cells.items():
        for title in dict.fromkeys(filter(None, (kind.measured.curve for kind in KINDS.values()))):
            text = f"Combinational units in {heading} cells: the smallest netlist found within each delay target."
            yield f"Area against delay: {title}", text, [target], _curves(results, target, title)
    yield (
        "Energy per operation",
        (
            "On real tensors, one beat in each cycle of a 50 MHz clock, leakage included. Not modelled: wires, glitches, the "
            "clock's tree, drivers of the inputs. Logarithmic."
        ),
        *_bars(results, panels("energy_pj_per_op", "pJ", 2)),
    )


def _bars(results, panels):
    """Targets, and a figure with a panel of horizontal bars for each metric that is there, one bar for each unit, or None."""
    panels = [panel for panel in panels if any(row["metrics"].get(panel[3]) for row in _rows(results, *panel[1:3]))]
    shown = {label(row) for panel in panels for row in _rows(results, *panel[1:3])}
    names = [name for name in dict.fromkeys(label(row) for row in results.rows) if name in shown]
    if not panels:
        return [], None
    figure = make_subplots(
        cols=len(panels),
        shared_yaxes=True,
        column_titles=[panel[0].replace(", ", "<br>") for panel in panels],
        horizontal_spacing=0.01,
    )
    for column, (_, target, recipe, metric, digits) in enumerate(panels, 1):
        rows = [row for row in _rows(results, target, recipe) if row["metrics"].get(metric)]
        values = [row["metrics"][metric] for row in rows]
        ratios = [results.ratio(row, metric) for row in rows]
        bars = go.Bar(
            orientation="h",
            y=[label(row) for row in rows],
            x=values,
            marker_color=[_COLORS[row["role"]] for row in rows],
            text=[f"{x:.{digits}f}" + (f" ({ratio:.2f}x)" if ratio else "") for x, ratio in zip(values, ratios, strict=True)],
            textposition="outside",
            cliponaxis=False,
        )
        figure.add_trace(bars, row=1, col=column)
        # decades, with a length for the smallest; two thirds of the panel are for what stands behind the bars
        low, high = log10(min(values)) - 0.3, log10(max(values))
        figure.update_xaxes(range=[low, low + 3 * (high - low)], row=1, col=column)
    figure.update_xaxes(type="log", showticklabels=False)
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True)
    figure.update_layout(height=120 + 21 * len(names), showlegend=False, template="plotly_white", bargap=0.15, margin_t=70)
    return list(dict.fromkeys(panel[1] for panel in panels)), figure


def _curves(results, target, title):
    """Area against delay of the units of the plot `title` for which there is a curve; None if there is none."""
    figure = go.Figure()
    for unit in results.units():
        rows = [row for (where, recipe), row in unit.items() if where == target and recipe.startswith(("area", "delay"))]
        if len(rows) > 2 and KINDS[rows[0]["design"]].measured.curve == title:
            points = sorted({(row["metrics"]["delay_ns"], row["metrics"]["gate_equivalents"]) for row in rows})
            delays, areas = zip(*points, strict=True)
            dash = "dot" if rows[0]["role"] == "baseline" else "solid"
            figure.add_trace(go.Scatter(x=delays, y=areas, mode="lines+markers", name=label(rows[0]), line_dash=dash))
    if not figure.data:
        return None
    figure.update_xaxes(title="delay, ns", rangemode="tozero")
    figure.update_yaxes(title="gate equivalents", rangemode="tozero")
    return figure.update_layout(height=480, template="plotly_white", showlegend=True)


def _rows(results, target, recipe):
    return [row for row in results.rows if (row["target"], row["recipe"]) == (target, recipe)]
