"""The committed biases are those of the golden estimators, and the table shows what is further away than claimed."""

import io

import numpy as np
from narrowfloat.golden.reference.network import EPOCHS
from rich.console import Console

from evidence.claims.estimators import CLAIMS, ESTIMATORS, EXPERIMENT, SAMPLES, SEED, SYNTHETIC, rows_of

COMMITTED = EXPERIMENT.read()


def test_committed_rows_of_the_first_random_tensors_are_the_models():
    (kind, draw), rng = next(iter(SYNTHETIC.items())), np.random.default_rng(SEED)
    epochs = [draw(rng, SAMPLES).astype(np.float32) for _ in range(EPOCHS)]
    assert list(rows_of(kind, epochs)) == [row for row in COMMITTED if row["kind"] == kind]


def test_committed_rows_are_complete_and_distances_follow_from_biases():
    kinds = [f"MNIST {type}" for type in ("activation", "error", "gradient", "weight")] + list(SYNTHETIC)
    assert [(row["kind"], row["condition"]) for row in COMMITTED] == [(kind, name) for kind in kinds for name in CLAIMS]
    biases = {row["kind"]: row["biases"] for row in COMMITTED if row["condition"] == "all"}
    for row in COMMITTED:
        for name in ESTIMATORS:
            held_to = biases[row["kind"]][name] if row["condition"] == "30 %" else row["exact"]
            assert row["away"][name] == abs(row["biases"][name] - held_to)


def test_table_marks_what_is_further_away_than_claimed():
    (table,) = EXPERIMENT.tables(COMMITTED)
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    console.print(table)
    too_far = sum(row["away"][name] > row["claimed"] for row in COMMITTED for name in ESTIMATORS)
    assert table.row_count == len(COMMITTED)
    assert console.file.getvalue().count("\x1b[31m") == too_far
