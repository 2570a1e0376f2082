"""The committed trainings are complete, paired and summed up rightly; the command refuses in one line, and its quick form
runs."""

import json
from pathlib import Path

import pytest

from evidence.claims import fp8_training
from evidence.harness.command import main
from evidence.harness.experiment import SEEDS
from evidence.harness.report import paired_interval
from evidence.training import data
from evidence.training.arms import CALIBRATION, STORAGE_ARMS

COMMITTED = fp8_training.EXPERIMENT.read()


def test_interval_of_published_differences():
    """Student's own example, 1908: ten patients' extra hours of sleep with one drug over another, mean 1.58, s.e. 0.389."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    assert paired_interval(second, first) == pytest.approx((1.58, 0.7001, 2.4599), abs=1e-3)


def test_interval_needs_pairs():
    with pytest.raises(ValueError, match=r"^an interval needs 2 to 10 pairs, not 1$"):
        paired_interval([1.0], [2.0])


def test_committed_runs_are_complete():
    wanted = {(task, arm, seed) for task in fp8_training.TASKS for arm in STORAGE_ARMS for seed in range(SEEDS)}
    assert {(run["task"], run["arm"], run["seed"]) for run in COMMITTED["runs"]} == wanted
    assert len(COMMITTED["runs"]) == len(wanted)
    assert COMMITTED["arms"] == {name: arm.title for name, arm in STORAGE_ARMS.items()}


def test_committed_summary_follows_from_the_runs():
    assert COMMITTED["summary"] == fp8_training.REPORT.summarize(COMMITTED["runs"])


def test_committed_runs_are_paired():
    """While the paper's schedule calibrates, the training is FP32's, to the last digit."""
    runs = {(run["task"], run["arm"], run["seed"]): run for run in COMMITTED["runs"]}
    for (task, arm, seed), run in runs.items():
        if STORAGE_ARMS[arm].schedule == "frozen":
            assert run["scores"][:CALIBRATION] == runs[task, "fp32", seed]["scores"][:CALIBRATION], (task, arm, seed)
            assert all(biases is None for biases in run["biases"][:CALIBRATION])
            assert len({tuple(biases) for biases in run["biases"][CALIBRATION:]}) == 1, "frozen"


def test_tables_show_every_arm(capsys):
    shown = list(fp8_training.EXPERIMENT.tables(COMMITTED))
    assert [table.row_count for table in shown] == [len(STORAGE_ARMS)] * len(fp8_training.TASKS)


def test_missing_data_is_told():
    with pytest.raises(FileNotFoundError, match=r"not installed: python -m pip install --no-deps no-such-package"):
        data.package_file("no-such-package", "file.tab")


def test_quick_form_runs_and_goes_on(tmp_path, monkeypatch, capfd):
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    path = tmp_path / "found.json"
    arguments = ["fp8_training", "--quick", "--only", "mnist", "--jobs", "1", "--json", str(path)]
    assert main(arguments) == 0
    found = json.loads(path.read_text())
    assert len(found["runs"]) == 2 * len(STORAGE_ARMS)
    (victim,) = Path(tmp_path).glob("evidence/fp8_training/*/mnist-tracker-throughout-1.json")
    victim.unlink()
    capfd.readouterr()
    assert main(arguments) == 0
    assert capfd.readouterr().err.count("seed") == 1, "only what was missing is trained again"
    assert json.loads(path.read_text()) == found
