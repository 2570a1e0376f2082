"""Results of experiments: differences with their uncertainty, tables, and JSON."""

import json

import numpy as np
from rich import box
from rich.table import Table

# The 97.5 % point of Student's t by degrees of freedom, for intervals of 95 %.
_T = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646, 8: 2.3060, 9: 2.2622}


def paired_interval(values, references):
    """Mean of the differences of pairs, and the ends of its 95 % interval by Student's t (Student 1908).

    Parameters
    ----------
    values, references : sequences of float, of the same length from 2 to 10

    Returns
    -------
    mean, low, high : float
    """
    differences = np.subtract(values, references, dtype=np.float64)
    if len(differences) - 1 not in _T:
        raise ValueError(f"an interval needs 2 to {max(_T) + 1} pairs, not {len(differences)}")
    mean = float(differences.mean())
    half = _T[len(differences) - 1] * float(differences.std(ddof=1)) / len(differences) ** 0.5
    return mean, mean - half, mean + half


def sqnr(x, found):
    """The signal to quantization noise ratio of what was `found` in place of `x`, in dB."""
    exact = x.astype(np.float64)
    return round(float(10 * np.log10(np.square(exact).sum() / np.square(found - exact).sum())), 2)


def new_table(title, left, right, rows):
    """A rich table of `rows` of texts, with columns `left`, aligned to the left, and `right`, aligned to the right."""
    table = Table(*left, title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def comparison(title, heading, rows, titles, *, score="score", digits=2, more=(), cells=lambda row: ()):
    """A rich table of arms: each one's score beside that of FP32, and on the right ``cells(row)`` under the headings `more`.

    Parameters
    ----------
    rows : list of dict
        "arm", the score by the name `score`, and "difference", "low", "high", which are None where nothing is compared.
    titles : dict
        Of the arms.
    """

    def compared(row):
        if row["difference"] is None:
            return "", ""
        return f"{row['difference']:+.{digits}f}", f"{row['low']:+.{digits}f} .. {row['high']:+.{digits}f}"

    cells_of_rows = ((titles[row["arm"]], f"{row[score]:.{digits}f}", *compared(row), *cells(row)) for row in rows)
    return new_table(title, [heading], [score, "to FP32", "95 % interval", *more], cells_of_rows)


def to_json(results):
    """A list as JSON with a line for each element; a dict with a line for each value, or for each element of a list in it."""
    if isinstance(results, list):
        return "[\n" + ",\n".join(json.dumps(element, allow_nan=False) for element in results) + "\n]\n"
    lines = []
    for name, value in results.items():
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list):
            text = "[\n  " + ",\n  ".join(json.dumps(element, allow_nan=False) for element in value) + "\n ]"
        lines.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def differing(found, committed):
    """How many values differ between two results, a value that only one of them has included, and how many there are."""
    ours, theirs = _values(found), _values(committed)
    names = ours.keys() | theirs.keys()
    return sum(name not in ours or name not in theirs or ours[name] != theirs[name] for name in names), len(names)


def _values(results, place=()):
    """By place, the names and indices that lead there, everything that is no container; not how the results were made."""
    if isinstance(results, dict | list | tuple):
        items = results.items() if isinstance(results, dict) else enumerate(results)
        parts = [_values(value, (*place, name)) for name, value in items if name not in ("command", "versions")]
        return {name: value for part in parts for name, value in part.items()}
    return {place: results}
