"""The committed trainings are complete, paired and summed up rightly; the command refuses in one line, and its quick form
runs."""

import itertools
import json

import numpy as np
import pytest

from evidence.claims import fast_training
from evidence.harness.command import main
from evidence.harness.experiment import SEEDS
from evidence.training.arms import BLOCK_ARMS, OPERANDS

COMMITTED = fast_training.EXPERIMENT.read()


def test_committed_runs_are_complete():
    wanted = [(task, arm, seed) for task in fast_training.TASKS for arm in BLOCK_ARMS for seed in range(SEEDS)]
    assert [(run["task"], run["arm"], run["seed"]) for run in COMMITTED["runs"]] == wanted
    assert COMMITTED["arms"] == {name: arm.title for name, arm in BLOCK_ARMS.items()}
    for run in COMMITTED["runs"]:
        task, arm = COMMITTED["tasks"][run["task"]], BLOCK_ARMS[run["arm"]]
        assert len(run["scores"]) == task["epochs"]
        assert ("passes" in run, "bits" in run) == (not arm.fp32, not arm.fp32 and arm.bits is None)


def test_committed_summary_follows_from_the_runs():
    assert COMMITTED["summary"] == fast_training.REPORT.summarize(COMMITTED["runs"])


def test_committed_precisions_are_possible():
    """Fixed ones take a quarter of the passes or all; the policy's start at 4 bits, and passes lie between."""
    for run in COMMITTED["runs"]:
        arm = BLOCK_ARMS[run["arm"]]
        if arm.bits:
            assert run["passes"] == {2: 0.25, 4: 1.0}[arm.bits]
        elif not arm.fp32:
            assert 0.25 < run["passes"] < 1
            layers = len(COMMITTED["layers"][run["task"]])
            assert all(len(span) == layers and {len(layer) for layer in span} == {len(OPERANDS)} for span in run["bits"])
            assert all(2 <= bits <= 4 for span in run["bits"] for layer in span for bits in layer)
            assert min(bits for layer in run["bits"][0] for bits in layer) > 2, "the first step has 4 bits"


def test_tables_show_every_arm():
    shown = list(fast_training.EXPERIMENT.tables(COMMITTED))
    assert [table.row_count for table in shown] == [len(BLOCK_ARMS)] * len(fast_training.TASKS)


def test_plots_show_every_arm_and_layer():
    page = fast_training.plot(COMMITTED).to_html(include_plotlyjs=False)
    assert all(title in page for title in COMMITTED["arms"].values())
    assert all(layer in page for layers in COMMITTED["layers"].values() for layer in layers)


def test_quick_form_runs(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    assert main(["fast_training", "--quick", "--jobs", "1"]) == 0
    found = json.loads((tmp_path / "evidence" / "fast_training_quick.json").read_text())
    assert len(found["runs"]) == 2 * 2 * len(BLOCK_ARMS)
    assert (tmp_path / "evidence" / "fast_training_quick.html").exists()


def cnn():
    import torch

    from evidence.training import loop, tasks

    torch.set_num_threads(1)
    torch.manual_seed(0)
    task = tasks.TASKS["mnist"](0, False)
    model = task.model(lambda tensor: tensor)
    return task, model, loop.Trainer(task, model, task.epochs)


def kept_of_errors(bits, rounding, steps=60):
    """Of the errors of the CNN's last layer, training in FP32, what is left of the negative and of the positive ones."""
    import torch

    from evidence.training.block_layers import BlockTensor

    (task, model, training), seen = cnn(), []
    model.head.register_full_backward_hook(lambda layer, inner, outer: seen.append(outer[0].detach().clone()))
    for batch in itertools.islice(task.batches(), steps):
        training.step(*batch)
    rng, shares = np.random.default_rng(0), []
    for axis in (-1, -2):
        kept = []
        for error in seen:
            blocks = BlockTensor(error, axis)
            kept.append(blocks.rounded(bits, rounding, torch.from_numpy(rng.integers(0, 256, blocks.shape, np.uint8))))
        before, after = torch.cat(seen), torch.cat(kept)
        shares.append([float(after[part].sum() / before[part].sum()) for part in (before < 0, before > 0)])
    return np.array(shares)


@pytest.mark.parametrize(
    ("bits", "rounding", "negative", "positive"),
    [(2, "rtz", 0.82, 0.40), (2, "rne", 0.92, 0.72), (2, "sr", 0.96, 1.0), (4, "rne", 1.0, 0.97), (4, "sr", 1.0, 0.99)],
)
def test_what_rounding_keeps_of_errors(bits, rounding, negative, positive):
    """A softmax' errors add up to zero. Few large ones are negative, many small ones positive: those are lost to 2 bits."""
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    assert kept_of_errors(bits, rounding) == pytest.approx(np.array([[negative, positive]] * 2), abs=0.08)


@pytest.mark.long
def test_only_the_last_errors_make_two_bits_to_nearest_fail():
    """Three epochs of the CNN, weights and activations with 2 bits: 4 for one layer's gradients are enough, for all others
    not."""
    pytest.importorskip("torch", reason="PyTorch is for experiments only")
    from evidence.training.block_layers import Arithmetic

    scores = {}
    for finer in ("last", "others"):
        task, model, training = cnn()
        arithmetic = Arithmetic(BLOCK_ARMS["bfp2"], 0)
        arithmetic.attach(task, model, task.epochs * task.steps)
        for name, layer in arithmetic.layers.items():
            if (name == "head") == (finer == "last"):
                layer.bits = [2, 2, 4]
        for _ in range(3):
            for batch in task.batches():
                training.step(*batch)
        scores[finer] = training.score()
    assert scores["last"] > 85 and scores["others"] < 60, scores
