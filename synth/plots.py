"""Plots of results, which are read at any width."""

from itertools import accumulate
from textwrap import wrap

import plotly.graph_objects as go
from narrowfloat.synth.results import KINDS, measured, short_label

_COLORS = ("#3b6fb6", "#d1702c", "#3d9970", "#9b59b6", "#c0392b", "#7f8c8d", "#b7950b")
# Plotly's names, and what stands for them in a legend.
_SYMBOLS = {"circle": "●", "diamond": "◆", "square": "■", "triangle-up": "▲", "x": "✖", "star": "★", "cross": "✚"}
# Characters in a line of a name, as many as a telephone is wide.
_NAME = 44
# Pixels that a line of a name takes, and a row of marks.
_LINE, _MARKS = 16, 18
_NAME_STYLE = {"showarrow": False, "align": "left", "font_size": 12, "borderpad": 1, "bgcolor": "white"}


def ratios(results, columns):
    """Of each block what it costs over its alternative, a mark for each of `columns`; None if there is nothing to compare."""

    def value(unit, column):
        row = unit.get(column[1:3])
        return results.ratio(row, column[3]) if row and row["role"] == "block" else None

    return _marks(results, columns, value, line=1)


def dots(results, columns):
    """Of each unit a mark for each of `columns`; None if nothing was measured."""
    return _marks(results, columns, measured)


def _marks(results, columns, value, line=None):
    names, series = [], []
    for unit in results.units():
        found = [value(unit, column) for column in columns]
        if any(found):
            row = next(iter(unit.values()))
            names.append(_wrapped(short_label(row), row["role"] == "baseline"))
            series.append(found)
    if not names:
        return None
    # Each name stands above its marks, as beside them it would leave no room on a telephone.
    heights = [_MARKS + _LINE * (1 + name.count("<br>")) for name in names]
    tops = list(accumulate(heights, initial=0))
    figure = go.Figure()
    for index, (heading, *_) in enumerate(columns):
        values = [found[index] for found in series]
        if any(values):
            figure.add_trace(
                go.Scatter(
                    x=values,
                    y=[bottom - _MARKS / 2 for bottom in tops[1:]],
                    mode="markers",
                    name=heading,
                    marker=marker(index) | {"size": 9},
                    hovertemplate="%{x}",
                )
            )
    for top, name in zip(tops, names, strict=False):
        figure.add_annotation(text=name, x=0, y=top, xref="paper", yref="y", xanchor="left", yanchor="top", **_NAME_STYLE)
        figure.add_hline(y=top, line_width=1, line_color="rgba(128,128,128,0.25)")
    if line is not None:
        figure.add_vline(x=line, line_width=2, line_color="#8891a0")
    ticks = [digit * 10.0**power for power in range(-4, 6) for digit in (1, 2, 5)]
    figure.update_xaxes(type="log", side="top", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks], tickangle=0)
    figure.update_yaxes(range=[tops[-1], 0], showticklabels=False, showgrid=False, zeroline=False)
    return _styled(figure, tops[-1] + 40)


def marker(index):
    """Color and sign of a trace, another pair for each of the first 49."""
    turn = index // len(_COLORS)
    return {"color": _COLORS[index % len(_COLORS)], "symbol": list(_SYMBOLS)[(index + turn) % len(_SYMBOLS)]}


def legend(figure):
    """Of each line or kind of marks its color, sign and name. As text it breaks where the page is narrow; plotly's does not."""
    return [(trace.marker.color, _SYMBOLS[trace.marker.symbol], trace.name) for trace in figure.data]


def curves(results, target, title):
    """Area against delay of the units of the plot `title` for which there is a curve; None if there is none."""
    figure = go.Figure()
    for unit in results.units():
        rows = [row for (where, recipe), row in unit.items() if where == target and recipe.startswith(("area", "delay"))]
        if len(rows) > 2 and KINDS[rows[0]["design"]].measured.curve == title:
            points = sorted({(row["metrics"]["delay_ns"], row["metrics"]["gate_equivalents"]) for row in rows})
            delays, areas = zip(*points, strict=True)
            baseline = rows[0]["role"] == "baseline"
            figure.add_trace(
                go.Scatter(
                    x=delays,
                    y=areas,
                    mode="lines+markers",
                    name=short_label(rows[0]) + " (baseline)" * baseline,
                    line_dash="dot" if baseline else "solid",
                    marker=marker(len(figure.data)),
                )
            )
    if not figure.data:
        return None
    figure.update_xaxes(title="delay, ns", rangemode="tozero")
    figure.update_yaxes(title="gate equivalents", rangemode="tozero")
    return _styled(figure, 480)


def scatter(results, across, up):
    """A mark for each unit that has both figures, columns like those of `ratios`, by its kind; None if none has.

    Of units that differ in nothing but the method by which they compute the same, the one with the least figure `across`.
    """
    best = {}
    for unit in results.units():
        x, y = measured(unit, across), measured(unit, up)
        row = next(iter(unit.values()))
        name = short_label(row, but=("method",)) + " (baseline)" * (row["role"] == "baseline")
        if x is not None and y is not None:
            best[name] = min(best.get(name, (x, y)), (x, y))
    if not best:
        return None
    figure = go.Figure()
    for index, (name, (x, y)) in enumerate(best.items()):
        figure.add_trace(go.Scatter(x=[x], y=[y], mode="markers", name=name, marker=marker(index) | {"size": 10}))
    figure.update_xaxes(title=across[0], rangemode="tozero")
    figure.update_yaxes(title=up[0])
    return _styled(figure, 480)


def _styled(figure, height):
    figure.update_layout(
        height=height,
        template="plotly_white",
        showlegend=False,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _wrapped(name, oblique):
    text = "<br>".join(wrap(name, _NAME, break_long_words=True, break_on_hyphens=False))
    return f"<i>{text}</i>" if oblique else text
