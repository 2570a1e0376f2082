"""What rows of results mean beside one another: labels, references, changes, the best of a kind."""

import json
from dataclasses import dataclass

from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.synth.baselines import BASELINES
from narrowfloat.synth.library import NANGATE45, OSU018

KINDS = {**DESIGNS, **BASELINES}

# Parameters that say how wide a unit is and how deep.
SHAPE = ("types", "lanes", "stages")

# A metric that got worse by more than this share is marked, and fails a check.
TOLERANCE = 0.02
# Of all others less is better.
MORE_IS_BETTER = {"fmax_mhz", "sqnr_db"}
# What is per lane where a unit has lanes; energies are per operation anyway.
PER_LANE = {"lut4", "lut6", "carry", "ff", "bram", "dsp", "gate_equivalents", "area_um2"}


def better(metric):
    """The function that picks the best of several figures."""
    return max if metric in MORE_IS_BETTER else min


def reference(design, parameters):
    """Name and settings of each unit that the figures of a design may be relative to when it is built with `parameters`.

    Of several, as many as are measured by default, each figure is relative to the best one.
    """
    found = KINDS[design].measured.relative_to
    if found is None:
        return []
    name, settings = found.to(parameters)
    if not found.best_of:
        return [(name, settings)]
    kind = KINDS[name]
    wanted = _but(kind.parse(settings), found.best_of)
    return [(name, build) for build in kind.builds if _but(kind.parse(build), found.best_of) == wanted]


def _but(values, names):
    return {name: value for name, value in values.items() if name not in names}


def reference_in_words(design):
    """What a design's figures are relative to, for headings, or None."""
    found = KINDS[design].measured.relative_to
    return found and found.in_words()


def measured(unit, column):
    """What a column (heading, target, recipe, metric, digits) shows of a unit, its rows by (target, recipe), or None."""
    _, target, recipe, metric, _ = column
    return unit.get((target, recipe), {"metrics": {}})["metrics"].get(metric)


def unit_key(row):
    """What all rows of a unit share."""
    return json.dumps([row["design"], row["parameters"]])


def key(row):
    """What makes a row the same measurement in another run."""
    return json.dumps([row["design"], row["parameters"], row["target"], row["recipe"]])


def merge(earlier, rows):
    """The rows `earlier` with `rows` in place of those that are the same measurement, in a fixed order.

    Units that can no longer be built are left out.
    """
    merged = {key(row): row for row in earlier if _exists(row)} | {key(row): row for row in rows}
    return [merged[name] for name in sorted(merged)]


def _exists(row):
    """Whether a unit like that of a row can still be built."""
    kind = KINDS.get(row["design"])
    if kind is None or {parameter.name for parameter in kind.parameters} != row["parameters"].keys():
        return False
    try:
        kind.parse([f"{name}={_text(value)}" for name, value in row["parameters"].items() if value is not None])
    except ValueError:
        return False
    return True


def settings(row):
    """NAME=VALUE of each parameter of a row's unit that a reader must know: formats, and what is not at its default."""
    parameters = KINDS[row["design"]].parameters
    return [
        f"{parameter.name}={_text(row['parameters'][parameter.name])}"
        for parameter in parameters
        if parameter.name == "formats"
        or row["role"] == "baseline"
        or row["parameters"][parameter.name] != parameter.to_json(parameter.default)
    ]


def label(row):
    """The unit of a row in a few words: the design, its formats, its other settings."""
    words = [word.removeprefix("formats=") for word in settings(row) if word.partition("=")[0] not in SHAPE]
    shape = [f"{row['parameters'][name]} {name}" for name in SHAPE if name in row["parameters"]]
    return " ".join([row["design"], *words, *([f"({', '.join(shape)})"] if shape else [])])


def short_label(row, but=()):
    """The unit of a row in as few words as tell it from others: values without the names of parameters, lanes and stages.

    Parameters in `but` are left out.
    """
    found = KINDS[row["design"]].parameters
    words = []
    for parameter in found:
        if parameter.name in but:
            continue
        value = row["parameters"][parameter.name]
        default = value == parameter.to_json(parameter.default)
        if parameter.name == "formats" or (row["role"] == "baseline" and isinstance(value, str)):
            words.append(_text(value).replace(",", ", ").replace("float8_", ""))
        elif parameter.name in SHAPE or default:
            continue
        elif isinstance(value, bool):
            words.append(parameter.name if value else f"no {parameter.name}")
        elif isinstance(value, int):
            words.append(f"{parameter.name} {value}")
        else:
            words.append(_text(value).replace(",", ", "))
    words += [f"{row['parameters'][name]} {name}" for name in SHAPE if row["parameters"].get(name, 0) > 1]
    return " ".join([row["design"].replace("_", " "), *words])


def _text(value):
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(int(value) if isinstance(value, bool) else value)


@dataclass(frozen=True)
class Results:
    """Rows of a run, beside those of an earlier one."""

    rows: list
    earlier: list

    def __post_init__(self):
        object.__setattr__(self, "_now", {key(row): row["metrics"] for row in self.rows})
        object.__setattr__(self, "_before", {key(row): row["metrics"] for row in self.earlier})

    def units(self, design=None):
        """The units of a design or of all, each as a dict of its rows by (target, recipe)."""
        units = {}
        for row in self.rows:
            if design in (None, row["design"]):
                units.setdefault(unit_key(row), {})[row["target"], row["recipe"]] = row
        return list(units.values())

    def libraries(self):
        """The targets that are libraries of standard cells, each with its name in headings."""
        names = {library.name: library.heading for library in (OSU018, NANGATE45)}
        return {row["target"]: names.get(row["target"], row["target"]) for row in self.rows if row["recipe"] == "area"}

    def change(self, row, metric):
        """How much the metric differs from the earlier run's, or None if it was not measured then."""
        old = self._before.get(key(row), {}).get(metric)
        return None if old is None or metric not in row["metrics"] else row["metrics"][metric] - old

    def worse(self, row, metric):
        """Whether it got worse by more than the tolerance."""
        change = self.change(row, metric)
        if not change:
            return False
        old = row["metrics"][metric] - change
        loss = -change if metric in MORE_IS_BETTER else change
        return loss > TOLERANCE * abs(old)

    def regressions(self):
        """A line for each metric that got worse by more than the tolerance."""
        for row in self.rows:
            for metric, value in row["metrics"].items():
                if self.worse(row, metric):
                    old = value - self.change(row, metric)
                    yield f"{label(row)} on {row['target']} ({row['recipe']}): {metric} {old:g} -> {value:g}"

    def ratio(self, row, metric):
        """The metric over the best one of the row's `reference` in this run, per lane where that makes sense, or None."""
        if metric not in row["metrics"]:
            return None
        found = []
        for name, given in reference(row["design"], row["parameters"]):
            kind = KINDS[name]
            values = kind.parse(given)
            parameters = {parameter.name: parameter.to_json(values[parameter.name]) for parameter in kind.parameters}
            if base := self._now.get(key(row | {"design": name, "parameters": parameters}), {}).get(metric):
                found.append(base / _lanes(name, parameters, metric))
        own = row["metrics"][metric] / _lanes(row["design"], row["parameters"], metric)
        return own / better(metric)(found) if found else None

    def best(self, target, recipe, metric):
        """Of each kind, things that do the same, the row whose metric is best: {kind: row}, for kinds of two and more."""
        kinds = {}
        for row in self.rows:
            if (row["target"], row["recipe"]) == (target, recipe) and metric in row["metrics"] and (kind := _kind(row)):
                kinds.setdefault(kind, []).append(row)
        return {
            kind: better(metric)(rows, key=lambda row: row["metrics"][metric]) for kind, rows in kinds.items() if len(rows) > 1
        }


def _lanes(design, parameters, metric):
    """What the metric is divided by to compare units of several widths."""
    if metric not in PER_LANE:
        return 1
    return BASELINES[design].lanes if design in BASELINES else parameters.get("lanes", 1)


def _kind(row):
    if purpose := KINDS[row["design"]].measured.purpose:
        lone = row["parameters"].get("lanes", 1) == 1 and not row["parameters"].get("stages")
        return purpose if lone else None
    return " ".join([row["design"], *(word for word in settings(row) if not word.startswith("method="))])
