"""Runs measurements on all cores and keeps their results."""

import tempfile
from concurrent.futures import as_completed
from pathlib import Path

from narrowfloat import cache, shell
from narrowfloat.tools import ToolError


def measure(pairs, measurements, done=lambda: None):
    """Rows of results, one or more for each pair of a unit and a measurement, and one line for each that failed.

    A result is cached by the content of the unit's Verilog, of the recipe's own source and by the versions of the tools.
    `done` is called after each.

    Returns
    -------
    rows : list of dict
        In the order of `pairs`: design, parameters, role, target, recipe, metrics.
    problems : list of str
    """
    # Standard cells, which take longest, first: at the end no core waits for the other.
    order = sorted(range(len(pairs)), key=lambda index: -measurements.index(pairs[index][1]))
    rows, problems = {}, {}
    with shell.Workers() as pool:
        futures = {pool.submit(_rows, *pairs[index]): index for index in order}
        for future in as_completed(futures):
            index = futures[future]
            try:
                rows[index] = future.result()
            except ToolError as error:
                unit, measurement = pairs[index]
                problems[index] = f"{unit.top} on {measurement.target}: {error}"
            done()
    return [row for index in sorted(rows) for row in rows[index]], [problems[index] for index in sorted(problems)]


def results(unit, measurement):
    """Metrics of one measurement of one unit by recipe, from the cache if they are there."""

    def run():
        with tempfile.TemporaryDirectory() as folder:
            return measurement.measure(unit, Path(folder))

    return cache.value("synth", [unit.top, unit.verilog, measurement.target, *measurement.key(unit)], run)


def _rows(unit, measurement):
    same = {"design": unit.design, "parameters": unit.parameters, "role": unit.role, "target": measurement.target}
    return [same | {"recipe": recipe, "metrics": metrics} for recipe, metrics in results(unit, measurement).items()]
