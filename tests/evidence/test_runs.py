"""Runs are kept, repeated when a module has changed that they depend on at any distance, and leave no process behind."""

import importlib
import multiprocessing
import sys

import pytest
from narrowfloat.tools import ToolError

from evidence.harness.experiment import Runs

PACKAGE = {
    "__init__.py": "",
    "run.py": """
import os
from pathlib import Path

from trial_runs import middle

def run(choice, arm, seed, quick):
    with open(Path(__file__).with_name("log"), "a") as log:
        log.write(f"{choice} {arm} {seed}\\n")
    if choice == "ends":
        os._exit(1)
    if choice == "fails":
        raise FileNotFoundError(2, "not there", "data.csv")
    return {"score": middle.score(seed), "quick": quick}
""",
    "middle.py": "def score(seed):\n    from trial_runs.last import FACTOR\n\n    return FACTOR * seed\n",
    "last.py": "FACTOR = 10\n",
}


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """The folder of a package `trial_runs`."""
    folder = tmp_path / "trial_runs"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    (folder / "log").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path / "build"))
    importlib.invalidate_caches()
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "trial_runs"]:
        del sys.modules[name]


def results(*choices, quick=False, unseeded=()):
    runs = Runs(
        function="trial_runs.run:run",
        kind="task",
        choices={choice: [] for choice in choices},
        arms=("x", "y"),
        unseeded=unseeded,
        shown=lambda result: f"score {result['score']}",
    )
    return runs.results("trial", list(choices), 2, 1, quick)


def started(trial):
    """The runs since the last call."""
    found = (trial / "log").read_text().split("\n")[:-1]
    (trial / "log").write_text("")
    return found


def test_runs_of_every_choice_arm_and_seed(trial, capfd):
    found = results("one", "two", unseeded=("two",))
    assert sorted((run["task"], run["arm"], run["seed"], run["score"]) for run in found) == [
        ("one", "x", 0, 0),
        ("one", "x", 1, 10),
        ("one", "y", 0, 0),
        ("one", "y", 1, 10),
        ("two", "x", 0, 0),
        ("two", "y", 0, 0),
    ]
    assert len(started(trial)) == 6
    assert "one y seed 1: score 10 (" in capfd.readouterr().err


def test_a_change_of_a_module_that_another_imports_makes_kept_runs_stale(trial):
    before = results("one")
    assert len(started(trial)) == 4
    assert results("one") == before
    assert started(trial) == []
    (trial / "last.py").write_text("FACTOR = 100\n")
    assert [run["score"] for run in results("one")] == [10 * run["score"] for run in before]
    assert len(started(trial)) == 4
    (trial / "last.py").write_text("FACTOR = 10\n")
    assert results("one") == before
    assert started(trial) == []


def test_quick_runs_are_kept_apart(trial):
    assert {run["quick"] for run in results("one")} == {False}
    assert {run["quick"] for run in results("one", quick=True)} == {True}
    assert len(started(trial)) == 8


@pytest.mark.parametrize("damage", ["", "{"])
def test_a_damaged_kept_run_is_repeated(trial, tmp_path, damage):
    before = results("one")
    started(trial)
    (victim,) = tmp_path.glob("build/evidence/trial/*/one-y-1.json")
    victim.write_text(damage)
    assert results("one") == before
    assert started(trial) == ["one y 1"]


def test_a_failing_run_keeps_the_finished_ones_and_leaves_no_process(trial):
    with pytest.raises(FileNotFoundError, match="not there"):
        results("fails", "one")
    assert not multiprocessing.active_children()
    started(trial)
    results("one")
    assert set(started(trial)) <= {"one x 1", "one y 1"}, "those of seed 0 came before the failure"


def test_a_process_that_ends_early_is_said_to(trial):
    with pytest.raises(ToolError, match="^a process of a run ended early"):
        results("ends")
