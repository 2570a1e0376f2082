"""The committed inferences are complete, summed up rightly and keep the accuracy; the command refuses in one line, its quick
form runs."""

import json
from pathlib import Path

import pytest

from evidence.claims import lbfp_inference
from evidence.harness.command import main
from evidence.harness.experiment import SEEDS

COMMITTED = lbfp_inference.EXPERIMENT.read()
EXACT = {"fp32", "int8-max", "int8-entropy", "lbfp8-kl", "lbfp8-mse", "lbfp8-max", "lbfp7-kl", "lbfp6-kl", "lbfp5-kl"}
IN_HARDWARE = {"lbfp8-lut", "lbfp7-lut", "lbfp6-lut", "lbfp5-lut", "lbfp8-mitchell", "lbfp8-lut-16", "lbfp8-lut-16-sm"}


def test_committed_runs_are_complete():
    runs = [(run["network"], run["seed"]) for run in COMMITTED["runs"]]
    assert runs == [(name, seed) for name in lbfp_inference.NETWORKS for seed in range(1 if name == "minilm" else SEEDS)]
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


def test_quick_form_runs_and_goes_on(tmp_path, monkeypatch, capfd):
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    path = tmp_path / "found.json"
    arguments = ["lbfp_inference", "--quick", "--only", "mlp", "--jobs", "1", "--json", str(path)]
    assert main(arguments) == 0
    found = json.loads(path.read_text())
    assert [len(run["correct"]) for run in found["runs"]] == [16, 16]
    (victim,) = Path(tmp_path).glob("evidence/lbfp_inference/*/mlp-1.json")
    victim.unlink()
    capfd.readouterr()
    assert main(arguments) == 0
    assert capfd.readouterr().err.count("seed") == 1, "only what was missing runs again"
    assert json.loads(path.read_text()) == found
