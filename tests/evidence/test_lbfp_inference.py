"""The committed inferences are complete, summed up rightly and keep the accuracy; the command refuses in one line, its quick form runs."""

import importlib.util
import json
from pathlib import Path

import pytest

from evidence import experiment, lbfp_inference

COMMITTED = json.loads(lbfp_inference.RESULTS.read_text())
EXACT = {"fp32", "int8-max", "int8-entropy", "lbfp8-kl", "lbfp8-mse", "lbfp8-max", "lbfp7-kl", "lbfp6-kl", "lbfp5-kl"}
IN_HARDWARE = {"lbfp8-lut", "lbfp7-lut", "lbfp6-lut", "lbfp5-lut", "lbfp8-mitchell", "lbfp8-lut-16", "lbfp8-lut-16-sm"}


def test_committed_runs_are_complete():
    runs = [(run["network"], run["seed"]) for run in COMMITTED["runs"]]
    assert runs == [
        (name, seed) for name in lbfp_inference.NAMES for seed in range(1 if name == "minilm" else experiment.SEEDS)
    ]
    assert set(COMMITTED["arms"]) == EXACT | IN_HARDWARE
    for run in COMMITTED["runs"]:
        wanted = EXACT | ({"lbfp8-lut"} if run["network"] == "minilm" else IN_HARDWARE)
        assert set(run["correct"]) == set(run["won"]) == set(run["lost"]) == wanted


def test_committed_counts_are_paired():
    for run in COMMITTED["runs"]:
        for arm, correct in run["correct"].items():
            assert correct - run["correct"]["fp32"] == run["won"][arm] - run["lost"][arm]
            assert 0 <= run["won"][arm] <= run["items"] - run["correct"]["fp32"] and run["lost"][arm] <= run["correct"]["fp32"]


def test_committed_summary_follows_from_the_runs():
    assert COMMITTED["summary"] == lbfp_inference.summarize(COMMITTED["runs"])


def test_eight_bits_lose_at_most_half_a_point():
    rows = [row for row in COMMITTED["summary"] if row["arm"] in ("lbfp8-kl", "lbfp8-lut")]
    assert len(rows) == 2 * len(COMMITTED["networks"])
    assert all(row["difference"] >= -0.5 for row in rows), rows


def test_interval_over_items_is_that_of_the_normal_distribution():
    run = {"network": "one", "items": 2000, "correct": {"fp32": 1800, "arm": 1790}, "won": {"arm": 20}, "lost": {"arm": 30}}
    (row,) = (row for row in lbfp_inference.summarize([run]) if row["arm"] == "arm")
    half = 1.96 * 100 * (50 - 10**2 / 2000) ** 0.5 / 2000
    assert (row["accuracy"], row["difference"]) == (89.5, -0.5)
    assert (row["low"], row["high"]) == pytest.approx((-0.5 - half, -0.5 + half), abs=0.03)


def test_tables_show_every_arm():
    rows = {name: 10 if name == "minilm" else 16 for name in COMMITTED["networks"]}
    assert [table.row_count for table in lbfp_inference.tables(COMMITTED)] == list(rows.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "vgg"], "network must be one of mlp, cnn, text, minilm, not 'vgg'"),
        (["--seeds", "1"], "seeds must be an integer from 2 to 10, not 1"),
        (["--jobs", "0"], "jobs must be an integer from 1 to 256, not 0"),
    ],
)
def test_refusals_are_one_line(arguments, message, capsys):
    assert lbfp_inference.main(arguments) == 2
    assert capsys.readouterr().err == f"evidence.lbfp_inference: {message}\n"


def test_missing_pytorch_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert lbfp_inference.main([]) == 2
    assert capsys.readouterr().err == "evidence.lbfp_inference: PyTorch is not installed; get it with `pip install torch`\n"


def test_quick_form_runs_and_goes_on(tmp_path, monkeypatch, capfd):
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    monkeypatch.setattr(experiment, "BUILD", tmp_path)
    path = tmp_path / "found.json"
    arguments = ["--quick", "--network", "mlp", "--jobs", "1", "--json", str(path)]
    assert lbfp_inference.main(arguments) == 0
    found = json.loads(path.read_text())
    assert [len(run["correct"]) for run in found["runs"]] == [16, 16]
    (victim,) = Path(tmp_path).glob("lbfp_inference/*/mlp-1.json")
    victim.unlink()
    capfd.readouterr()
    assert lbfp_inference.main(arguments) == 0
    assert capfd.readouterr().err.count("seed") == 1, "only what was missing runs again"
    assert json.loads(path.read_text()) == found
