"""The PyTorch twin of the port stores what the golden codec does, and what a bias is taken from comes before the tensor."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is for experiments only")

from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.reference import stimulus
from narrowfloat.golden.statistics import exact_median_bias

from evidence.training import storage, traffic
from evidence.training.arms import STORAGE_ARMS

FMT = CATALOG["ab_e5m2"]


def assert_stored_as_golden(words, bias):
    x = np.ascontiguousarray(words).view(np.float32)
    found = storage.quantise(torch.from_numpy(x), bias).numpy().view(np.uint32)
    wanted = decode(encode(x, FMT, bias=bias), FMT, bias=bias).view(np.uint32)
    wrong = np.flatnonzero(found != wanted)
    assert not wrong.size, f"bias {bias}, {words[wrong[0]]:#x}: got {found[wrong[0]]:#x}, want {wanted[wrong[0]]:#x}"


@pytest.mark.parametrize("bias", range(FMT.bias_range[0], FMT.bias_range[1] + 1))
def test_every_corner_is_stored_as_golden(bias):
    words, _ = stimulus.encoder_corners(FMT, [bias])
    assert_stored_as_golden(words, bias)


@pytest.mark.parametrize("bias", [0, 15, 31, 40, 63])
def test_random_words_are_stored_as_golden(bias):
    rng = np.random.default_rng(bias)
    assert_stored_as_golden(stimulus.random_words(rng, 2**18), bias)
    assert_stored_as_golden(stimulus.random_words_in_range(rng, FMT, np.full(2**18, bias)), bias)


def test_shape_and_input_survive():
    x = torch.randn(3, 4, 5).transpose(0, 2)
    before = x.clone()
    assert storage.quantise(x, 15).shape == x.shape and torch.equal(x, before)


class Recorder:
    """An estimator whose bias counts the tensors before."""

    def __init__(self):
        self.bias = np.full(4, 15)
        self.seen = []

    def observe(self, words, type):
        self.seen.append((type, words.copy()))
        self.bias[type] += 1


def passed(estimator, narrow=True):
    """A layer's weight, its input and output and what comes back pass once."""
    torch.manual_seed(1)
    held = storage.Storage(estimator)
    layer = torch.nn.Linear(32, 48, bias=False)
    held.hold_parameters(layer)
    held.narrow, held.observing = narrow, True
    x = torch.randn(64, 32, requires_grad=True)
    y = held(layer(held(x)))
    (y**3).sum().backward()
    return held, layer, x, y


def test_every_tensor_passes_with_its_own_type():
    estimator = Recorder()
    passed(estimator)
    assert sorted(storage.TYPES[type] for type, _ in estimator.seen) == [
        "activation", "activation", "error", "error", "gradient", "weight",
    ]  # fmt: skip


def test_a_tensor_gets_the_bias_from_before_it():
    estimator = Recorder()
    held, layer, x, y = passed(estimator)
    weight = layer.parametrizations.weight.original
    product = storage.quantise(x, 15) @ storage.quantise(weight, 15).T
    assert torch.equal(y, storage.quantise(product, 16))
    assert held.biases == [17, 17, 16, 16]


def test_gradients_are_stored_and_the_master_copy_is_not():
    _, layer, _, _ = passed(Recorder())
    weight = layer.parametrizations.weight.original
    assert torch.equal(weight.grad, storage.quantise(weight.grad, 15))
    assert not torch.equal(weight, storage.quantise(weight, 15))


def test_wide_storage_changes_no_bit():
    _, layer, x, y = passed(Recorder(), narrow=False)
    assert torch.equal(y, x @ layer.parametrizations.weight.original.T)


def test_estimators_see_a_third_of_the_beats_and_answer_the_median():
    estimator = STORAGE_ARMS["median-frozen"].new_estimator()
    held = storage.Storage(estimator)
    held.observing = True
    x = torch.from_numpy(np.random.default_rng(3).laplace(size=30_001).astype(np.float32)) * 1e-5
    seen = 0
    for _ in range(4):
        held(x)
        seen += estimator.raw(0)["total"]
        held.end()
    assert 0.3 < seen / (4 * x.numel()) < 0.35
    assert abs(held.biases[0] - exact_median_bias(x.numpy())) <= 1


def test_traffic_of_a_chain():
    first, second = torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.Linear(2 * 4 * 4, 3)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Flatten(), second)
    counted = traffic.Traffic(model, [first, second])
    model(torch.randn(5, 1, 4, 4))
    assert counted.take() == {
        "activation": {"written": 5 * (32 + 3), "read": 2 * 5 * (16 + 32) + 5 * 3},
        "error": {"written": 5 * (32 + 3), "read": 5 * (32 + 2 * 3)},
        "gradient": {"written": 20 + 99, "read": 20 + 99},
        "weight": {"written": 20 + 99, "read": 20 + 2 * 99},
        "parameters": 20 + 99,
    }
    model.eval()
    model(torch.randn(5, 1, 4, 4))
    assert counted.take()["parameters"] == 0
