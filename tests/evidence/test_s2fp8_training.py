"""The committed trainings are complete, paired and summed up rightly, and hold what the README says of them; the quick form
runs."""

import json

import numpy as np
import pytest

from evidence.claims import s2fp8_training
from evidence.harness.command import main
from evidence.harness.experiment import SEEDS
from evidence.training import data
from evidence.training.arms import TRUNCATION_ARMS

COMMITTED = s2fp8_training.EXPERIMENT.read()
SUMMARY = {(row["task"], row["arm"]): row for row in COMMITTED["summary"]}


def test_committed_runs_are_complete():
    wanted = {(task, arm, seed) for task in s2fp8_training.TASKS for arm in TRUNCATION_ARMS for seed in range(SEEDS)}
    assert {(run["task"], run["arm"], run["seed"]) for run in COMMITTED["runs"]} == wanted
    assert len(COMMITTED["runs"]) == len(wanted)
    assert COMMITTED["arms"] == {name: arm.title for name, arm in TRUNCATION_ARMS.items()}


def test_committed_summary_follows_from_the_runs():
    assert COMMITTED["summary"] == s2fp8_training.REPORT.summarize(COMMITTED["runs"])


def test_s2fp8_learns_as_fp32_does_where_e5m2_fails():
    for task in s2fp8_training.TASKS:
        row = SUMMARY[task, "s2fp8"]
        assert row["low"] < 0 < row["high"], task
    assert SUMMARY["shakespeare", "e5m2"]["low"] > 0.7


def test_tables_show_every_arm():
    shown = list(s2fp8_training.EXPERIMENT.tables(COMMITTED))
    assert [table.row_count for table in shown] == [len(TRUNCATION_ARMS)] * len(s2fp8_training.TASKS)


def test_ratings_are_movielens():
    try:
        users, films, ratings = data.movielens()
    except FileNotFoundError as error:
        pytest.skip(error.strerror)
    assert (len(users), users.max() + 1, films.max() + 1) == (100004, 671, 9066)
    assert len(np.unique(users)) == 671 and len(np.unique(films)) == 9066
    assert np.array_equal(np.unique(ratings), np.arange(1, 11) / 2)
    assert (users[:5] == 0).all() and ratings[:5].tolist() == [2.5, 3, 3, 2, 4]


def test_quick_form_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    assert main(["s2fp8_training", "--quick", "--only", "mnist8", "--jobs", "1"]) == 0
    found = json.loads((tmp_path / "evidence" / "s2fp8_training_quick.json").read_text())
    assert len(found["runs"]) == 2 * len(TRUNCATION_ARMS)
    assert {run["arm"] for run in found["runs"] if "alphas" in run} == {"s2fp8"}
    assert "alpha of S2FP8" in (tmp_path / "evidence" / "s2fp8_training_quick.html").read_text()
