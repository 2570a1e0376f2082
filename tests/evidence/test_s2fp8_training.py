"""The committed trainings are complete, paired and summed up rightly, and hold what the README says of them; the quick form runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from evidence import data, experiment, s2fp8_training, training_report
from evidence.arms import TRUNCATED_ARMS

COMMITTED = json.loads(s2fp8_training.RESULTS.read_text())
SUMMARY = {(row["task"], row["arm"]): row for row in COMMITTED["summary"]}


def test_committed_runs_are_complete():
    wanted = {(task, arm, seed) for task in s2fp8_training.TASKS for arm in TRUNCATED_ARMS for seed in range(experiment.SEEDS)}
    assert {(run["task"], run["arm"], run["seed"]) for run in COMMITTED["runs"]} == wanted
    assert len(COMMITTED["runs"]) == len(wanted)
    assert COMMITTED["arms"] == {name: arm.title for name, arm in TRUNCATED_ARMS.items()}


def test_committed_summary_follows_from_the_runs():
    assert COMMITTED["summary"] == training_report.summarize(COMMITTED["runs"], s2fp8_training.last_parameters)


def test_s2fp8_learns_as_fp32_does_where_e5m2_fails():
    for task in s2fp8_training.TASKS:
        row = SUMMARY[task, "s2fp8"]
        assert row["low"] < 0 < row["high"], task
    assert SUMMARY["shakespeare", "e5m2"]["low"] > 0.7


def test_tables_show_every_arm():
    shown = list(s2fp8_training.tables(COMMITTED))
    assert [table.row_count for table in shown] == [len(TRUNCATED_ARMS)] * len(s2fp8_training.TASKS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "mnist"], "task must be one of mnist8, shakespeare, movielens, not 'mnist'"),
        (["--seeds", "11"], "seeds must be an integer from 2 to 10, not 11"),
    ],
)
def test_refusals_are_one_line(arguments, message, capsys):
    assert s2fp8_training.main(arguments) == 2
    assert capsys.readouterr().err == f"evidence.s2fp8_training: {message}\n"


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
    monkeypatch.setattr(experiment, "BUILD", tmp_path)
    path = tmp_path / "found.json"
    assert s2fp8_training.main(["--quick", "--task", "mnist8", "--jobs", "1", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert len(found["runs"]) == 2 * len(TRUNCATED_ARMS)
    assert {run["arm"] for run in found["runs"] if "alphas" in run} == {"s2fp8"}
    assert "alpha of S2FP8" in Path(tmp_path / "s2fp8_training_quick.html").read_text()
