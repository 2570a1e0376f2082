"""Truncation in PyTorch is the golden model's to the bit, and so are its statistics; layers truncate every tensor of every
product."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is for experiments only")

from narrowfloat.golden import float_codec, s2fp8
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.reference.stimulus import random_words, real_tensors, s2_corners, special_words
from narrowfloat.golden.statistics import LogMoments, MedianTracker
from torch import nn

from evidence.training.storage import ACTIVATION, ERROR, GRADIENT, WEIGHT, Storage
from evidence.training.tasks import Attention
from evidence.training.truncation import PLAIN, Biased, Plain, Squeezed, statistics, take_over, truncate

CORNERS = [
    s2fp8.Parameters(alpha, mean, s2fp8.inverse(alpha))
    for alpha in (-1024, -577, -130, -1, 0, 1, 127, 300, 511, 512, 640, 895, 1023)
    for mean in (0, 1, 127 * 256, 30011, 65535)
]


def golden(x, parameters):
    codes = s2fp8.encode(x, parameters.alpha, parameters.mean, precision="full")
    return s2fp8.decode(codes, parameters.inverse, parameters.mean, precision="full")


def assert_is_the_goldens(x, parameters):
    found = truncate(torch.from_numpy(x), parameters).numpy()
    wanted = golden(x, parameters)
    assert found.shape == wanted.shape
    wrong = np.flatnonzero(found.view(np.uint32) != wanted.view(np.uint32))
    assert not wrong.size, f"{parameters}: {x.flat[wrong[0]]!r} gives {found.flat[wrong[0]]!r}, want {wanted.flat[wrong[0]]!r}"


@pytest.mark.parametrize("parameters", CORNERS, ids=lambda p: f"{p.alpha}-{p.mean}")
def test_truncation_of_corners_and_random_words(parameters):
    rng = np.random.default_rng(parameters.alpha + 2000)
    words = [special_words(), random_words(rng, 2**14), s2_corners(parameters.alpha, parameters.mean, precision="full")]
    assert_is_the_goldens(np.concatenate(words).astype(np.uint32).view(np.float32), parameters)


def test_truncation_with_random_parameters():
    rng = np.random.default_rng(3)
    for _ in range(60):
        alpha, mean = int(rng.integers(-600, 1024)), int(rng.integers(2**16))
        parameters = s2fp8.Parameters(alpha, mean, s2fp8.inverse(alpha))
        steps = s2_corners(alpha, mean, precision="full").astype(np.uint32)
        assert_is_the_goldens(np.concatenate([steps, steps ^ 2**31]).view(np.float32), parameters)


def test_truncation_of_real_tensors():
    for x in real_tensors()[0].values():
        assert_is_the_goldens(x, s2fp8.tensor_parameters(x))


def test_plain_is_saturating_e5m2():
    rng = np.random.default_rng(4)
    x = np.concatenate([special_words(), random_words(rng, 2**16)]).astype(np.uint32).view(np.float32)
    x = x[~np.isnan(x) & ~((x != 0) & (np.abs(x) < 2.0**-126))]
    fmt = CATALOG["float8_e5m2"]
    wanted = float_codec.decode(float_codec.encode(x, fmt), fmt)
    assert np.array_equal(truncate(torch.from_numpy(x), PLAIN).numpy(), wanted)


def test_statistics_are_those_of_log_moments():
    rng = np.random.default_rng(5)
    drawn = [np.concatenate([special_words(), random_words(rng, 2**14)]).astype(np.uint32).view(np.float32)]
    for x in (*drawn, *real_tensors()[0].values()):
        moments = LogMoments(types=1)
        moments.observe(x.reshape(-1, 1))
        moments.end(0)
        assert statistics(torch.from_numpy(x)) == (moments.raw(0)["mean"], moments.raw(0)["max"])


def test_nothing_that_counts_has_no_statistics():
    assert statistics(torch.tensor([0.0, 1e-40, torch.inf, torch.nan])) is None


def recorded(layer, *inputs):
    """Every tensor that a layer has truncated, by the slot's type and in this order, and the gradients of its inputs."""
    seen = []

    class Recording(Plain):
        def through(self, x, slot):
            seen.append((slot.type, x.detach().clone()))
            return super().through(x, slot)

    model = nn.Sequential(layer)
    take_over(model, Recording())
    inputs = [x.requires_grad_() for x in inputs]
    output = model[0](*inputs)
    (output * torch.linspace(-1, 1, output.numel()).view(output.shape)).sum().backward()
    return seen, [x.grad for x in inputs], output


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(6, 4), (5, 6)), (nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 2, 9, 8)), (nn.Conv1d(3, 5, 3), (2, 3, 9))],
    ids=["linear", "conv2d", "conv1d"],
)
def test_layers_truncate_all_tensors_of_their_three_products(layer, shape):
    torch.manual_seed(1)
    x = torch.randn(shape)
    seen, (gradient,), output = recorded(layer, x)
    assert sorted(type for type, _ in seen) == sorted([ACTIVATION, WEIGHT, ACTIVATION, ERROR, ERROR, GRADIENT])
    kept = lambda tensor: truncate(tensor, PLAIN)
    # The same by hand, with the layer's own products of truncated operands.
    x, weight = kept(x).requires_grad_(), kept(layer.weight).requires_grad_()
    wanted = torch.func.functional_call(layer, {"weight": weight, "bias": layer.bias.detach()}, x)
    assert torch.equal(output, kept(wanted))
    error = kept(torch.linspace(-1, 1, output.numel()).view(output.shape))
    wanted_gradient, wanted_weight = torch.autograd.grad(wanted, (x, weight), error)
    assert torch.equal(gradient, kept(wanted_gradient))
    assert torch.equal(layer.weight.grad, kept(wanted_weight))


def test_attention_truncates_all_tensors_of_its_six_products():
    torch.manual_seed(2)
    heads = [torch.randn(1, 2, 5, 4) for _ in range(3)]
    seen, gradients, output = recorded(Attention(), *heads)
    assert [type for type, _ in seen].count(ACTIVATION) == [type for type, _ in seen].count(ERROR) == 6
    kept = lambda tensor: truncate(tensor, PLAIN)
    for found in (output, *gradients[:2]):
        assert torch.equal(found, kept(found)), "already truncated"
    wanted = Attention()(*map(kept, heads))
    assert (output - wanted).abs().max() < 0.2 and not torch.equal(output, wanted)


def test_parameters_are_those_of_the_step_before():
    """Nothing is observed between steps."""
    squeezed, model = Squeezed(), nn.Sequential(nn.Linear(8, 3))
    slot = next(iter(take_over(model, squeezed).values())).products.slots[0][0]
    torch.manual_seed(3)
    first, second, third = (torch.randn(20, 8) * scale for scale in (1e-3, 1.0, 100.0))
    squeezed.observing = True
    assert torch.equal(squeezed.through(first, slot), truncate(first, PLAIN))
    of_first = s2fp8.tensor_parameters(first.numpy())
    assert slot.parameters == of_first
    assert torch.equal(squeezed.through(second, slot), truncate(second, of_first))
    squeezed.observing = False
    of_second = s2fp8.tensor_parameters(second.numpy())
    assert torch.equal(squeezed.through(third, slot), truncate(third, of_second))
    assert slot.parameters == of_second


def test_a_tensor_of_zeros_changes_no_parameters():
    squeezed = Squeezed()
    squeezed.observing = True
    layer = nn.Sequential(nn.Linear(2, 2))
    slot = next(iter(take_over(layer, squeezed).values())).products.slots[0][0]
    squeezed.through(torch.tensor([1.0, 3.0]), slot)
    before = slot.parameters
    squeezed.through(torch.zeros(2), slot)
    assert slot.parameters == before != PLAIN


def test_biases_follow_the_types():
    storage = Storage(MedianTracker())
    biased = Biased(storage)
    layer = nn.Sequential(nn.Linear(2, 2))
    (_, _), (weight, _), _ = next(iter(take_over(layer, biased).values())).products.slots
    biased.observing = True
    x = torch.full((64, 64), 2.0**-10)
    for _ in range(60):
        biased.through(x, weight)
    assert storage.biases[WEIGHT] == 26 and storage.biases[ACTIVATION] == 15
    assert torch.equal(biased.through(x, weight), x)
