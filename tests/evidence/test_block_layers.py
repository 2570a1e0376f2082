"""The PyTorch twin of block floating point converts, sums and multiplies as the golden model; precisions come from the step
before."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is for experiments only")

from narrowfloat.golden.bfp import convert, decode, precision, relative_improvement
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.reference import stimulus
from torch import nn

from evidence.training import block_layers
from evidence.training.arms import BLOCK_ARMS, OPERANDS, BlockArm
from evidence.training.block_layers import ALPHA, BETA, FIRST_EXPONENT, GROUP, HEADROOM, SUM_BITS, Arithmetic, BlockTensor
from evidence.training.tasks import Attention

FORMATS = {bits: BlockFormat(name=f"bfp{bits}", man_bits=bits) for bits in (2, 4)}
each_rounding = pytest.mark.parametrize("rounding", ["rtz", "rne", "sr"])
each_precision = pytest.mark.parametrize("bits", FORMATS)
FINE = BlockArm(name="fine", title="8 bits", bits=8)


def assert_converted_as_golden(x, bits, rounding, axis=-1):
    lines = x if axis == -1 else x.swapaxes(-1, -2)
    shape = (*lines.shape[:-1], -(-lines.shape[-1] // GROUP), GROUP)
    random_bits = np.random.default_rng(bits).integers(0, 256, shape, np.uint8) if rounding == "sr" else None
    wanted = decode(convert(lines, FORMATS[bits], rounding=rounding, random_bits=random_bits))
    wanted = wanted if axis == -1 else wanted.swapaxes(-1, -2)
    groups = BlockTensor(torch.from_numpy(x), axis)
    if random_bits is not None:
        random_bits = torch.from_numpy(random_bits if axis == -1 else np.moveaxis(random_bits, -3, -1))
    found = groups.rounded(bits, rounding, random_bits).numpy()
    assert found.shape == x.shape and found.dtype == np.float32
    wrong = np.argwhere(found.view(np.uint32) != np.ascontiguousarray(wanted).view(np.uint32))
    assert not wrong.size, (
        f"{rounding} to {bits} bits along {axis}, at {wrong[0]}: {x[tuple(wrong[0])]!r} "
        f"gives {found[tuple(wrong[0])]!r}, want {wanted[tuple(wrong[0])]!r}"
    )


def corners(exponent, bits):
    """Groups whose largest exponent is `exponent`, of what lies at and beside every number, midpoint and step of 1/256 there:
    [n, 16]."""
    top = np.ldexp(np.float64(1), exponent - 127)
    steps = np.arange(2 ** (bits + 9)) / 2.0 ** (bits + 8) * 2 * top
    words = steps[steps < 2.0**128].astype(np.float32).view(np.uint32).astype(np.int64)
    words = (words[:, None] + [-1, 0, 1]).ravel()
    words = words[(words >= 0) & (words >> 23 <= exponent)].astype(np.uint32)
    words = np.concatenate([words, words | stimulus.SIGN])
    words = np.resize(np.random.default_rng(exponent).permutation(words), (-(-len(words) // (GROUP - 1)), GROUP - 1))
    return np.insert(words, 0, np.uint32(exponent << 23), axis=1).view(np.float32)


@each_precision
@each_rounding
@pytest.mark.parametrize("exponent", [1, 2, 3, 5, 12, 36, 37, 38, 90, 127, 216, 217, 218, 240, 253, 254])
def test_every_corner_is_converted_as_golden(exponent, rounding, bits):
    assert_converted_as_golden(corners(exponent, bits), bits, rounding)


@each_precision
@each_rounding
@pytest.mark.parametrize("axis", [-1, -2])
def test_random_words_are_converted_as_golden(axis, rounding, bits):
    rng = np.random.default_rng(7)
    assert_converted_as_golden(stimulus.random_words(rng, 2**16).view(np.float32).reshape(-1, 64), bits, rounding, axis)
    special = rng.permutation(np.repeat(stimulus.special_words(), 8)).view(np.float32)
    assert_converted_as_golden(special.reshape(8, -1), bits, rounding, axis)
    assert_converted_as_golden(rng.standard_normal((3, 75, 40)).astype(np.float32), bits, rounding, axis)
    spread = rng.standard_normal((70, 50)) * 2.0 ** rng.integers(-12, 1, (70, 50))
    assert_converted_as_golden((spread * (spread > 0)).astype(np.float32), bits, rounding, axis)


@each_precision
@each_rounding
@pytest.mark.parametrize("axis", [-1, -2])
def test_real_tensors_are_converted_as_golden(axis, rounding, bits):
    for tensor in stimulus.real_tensors()[0].values():
        assert_converted_as_golden(tensor, bits, rounding, axis)


@pytest.mark.parametrize("axis", [-1, -2])
def test_sums_are_the_goldens(axis):
    rng = np.random.default_rng(3)
    tensors = [
        *stimulus.real_tensors()[0].values(),
        stimulus.random_words(rng, 2**12).view(np.float32).reshape(-1, 64),
        (rng.standard_normal((3, 75, 40)) * 2.0**-20).astype(np.float32),
        np.zeros((5, 7), np.float32),
    ]
    stopped = 0
    for x in tensors:
        for reference in (0, 60, 100, 113, 127, 255):
            lines = x if axis == -1 else x.swapaxes(-1, -2)
            *wanted, saturated = relative_improvement(lines, FORMATS[4], reference)
            assert BlockTensor(torch.from_numpy(x), axis).sums(reference) == tuple(wanted), reference
            stopped += saturated and 2**SUM_BITS - 1 in wanted
    assert stopped, "both what fits and what does not"


@each_precision
def test_strided_tensors_and_input_survive(bits):
    x = torch.randn(50, 30)
    before = x.clone()
    for axis in (-1, -2):
        there = BlockTensor(x, axis).rounded(bits, "rne")
        assert torch.equal(BlockTensor(x.mT.contiguous().mT, axis).rounded(bits, "rne"), there)
        assert torch.equal(BlockTensor(x.mT, -3 - axis).rounded(bits, "rne").mT, there)
    assert torch.equal(x, before)


def on_grid(x, bits, axis):
    lines = x.numpy() if axis == -1 else x.numpy().swapaxes(-1, -2)
    found = decode(convert(lines, FORMATS[bits], rounding="rne")).astype(np.float64)
    return found if axis == -1 else found.swapaxes(-1, -2)


@pytest.mark.parametrize("bits", [(2, 2, 4), (2, 4, 2), (4, 2, 2), (4, 4, 4)])
def test_three_products_of_a_layer_are_the_goldens(bits):
    """To the last bit: sums of so few numbers of about the same size are exact in FP32."""
    torch.manual_seed(3)
    model = nn.ModuleDict({"only": nn.Linear(40, 24)})
    weight, offset = model["only"].parameters()
    weight.data, offset.data = torch.randn(24, 40), torch.zeros(24)
    x, error = torch.randn(50, 40, requires_grad=True), torch.randn(50, 24)
    arithmetic = Arithmetic(BLOCK_ARMS["bfp4"], 0)
    arithmetic.attach(None, model, 1)
    arithmetic.layers["only"].bits = bits
    out = model["only"](x)
    out.backward(error)
    a, w, (of_a, of_w, of_error) = x.detach(), weight.detach(), bits
    assert np.array_equal(out.detach(), on_grid(a, of_a, -1) @ on_grid(w, of_w, -1).T)
    assert np.array_equal(x.grad, on_grid(error, of_error, -1) @ on_grid(w, of_w, -2))
    assert np.array_equal(weight.grad, on_grid(error, of_error, -2).T @ on_grid(a, of_a, -2))
    passes = of_a * of_w + of_error * of_w + of_error * of_a  # four to a pair of chunks
    model.eval()
    model["only"](x)  # what is evaluated does not count
    assert (arithmetic.macs, arithmetic.passes) == (3 * 50 * 40 * 24, 50 * 40 * 24 * passes // 4)


LAYERS = {
    "linear of three axes": (lambda: nn.Linear(6, 4), [(2, 3, 6)]),
    "conv2d with stride": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1), [(2, 2, 9, 8)]),
    "attention": (Attention, [(2, 3, 17, 8)] * 3),
}


@pytest.mark.parametrize(("make", "shapes"), LAYERS.values(), ids=LAYERS)
def test_layers_compute_what_they_replace(make, shapes):
    """With 8 bits as nearly as those allow, gradients included."""
    torch.manual_seed(2)
    model = nn.ModuleDict({"only": make()})
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    leaves = [*inputs, *model.parameters()]
    wanted = model["only"](*inputs)
    error = torch.randn(wanted.shape)
    gradients = torch.autograd.grad(wanted, leaves, error)
    Arithmetic(FINE, 0).attach(None, model, 1)
    found = model["only"](*inputs)
    for near, exact in zip((found, *torch.autograd.grad(found, leaves, error)), (wanted, *gradients), strict=True):
        assert near.shape == exact.shape and (near - exact).abs().max() < 0.02 * exact.abs().max()


def test_only_gradients_are_stochastic_and_seeded():
    def gradients(arm, seed):
        torch.manual_seed(1)
        model = nn.ModuleDict({"only": nn.Linear(32, 8)})
        Arithmetic(BLOCK_ARMS[arm], seed).attach(None, model, 1)
        x = torch.randn(20, 32)
        out = model["only"](x)
        out.square().sum().backward()
        return out.detach(), model["only"].layer.weight.grad

    plain, first, again, other = (gradients(*which) for which in (("bfp2", 0), ("bfp2-sr", 0), ("bfp2-sr", 0), ("bfp2-sr", 1)))
    assert all(torch.equal(out, plain[0]) for out, _ in (first, again, other))
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1]) and not torch.equal(first[1], plain[1])


def test_precisions_are_the_goldens_from_the_step_before(monkeypatch):
    places = []

    def choose(*sums, **place):
        places.append({name: place[name] for name in ("iteration", "iterations", "layer", "layers")})
        return precision(*sums, **place)

    monkeypatch.setattr(block_layers, "precision", choose)
    torch.manual_seed(4)
    steps = 6
    model = nn.Sequential(nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 20))
    seen, sums = [], []  # of each step, of each layer: A, W and dO, as lines along which they are grouped; what was gathered
    arithmetic = Arithmetic(BLOCK_ARMS["fast"], 0)
    arithmetic.attach(None, model, steps)
    assert list(arithmetic.layers) == ["0", "2"]
    layers = [model[0], model[2]]
    for step in range(steps):
        arithmetic.begin_step()
        x, now = torch.randn(64, 48) ** (1 + 2 * (step % 3)), []
        for layer in model:
            if layer in layers:
                now.append([x.detach(), layer.layer.weight.detach().clone()])
            x = layer(x)
            if layer in layers:
                x.register_hook(lambda error, tensors=now[-1]: tensors.append(error.mT.contiguous()))
        with torch.no_grad():
            model.eval()(torch.randn(3, 48) * 1e9)  # what is evaluated does not count
            model.train()
        ((x**3).mean() * 1e-9).backward()
        seen.append(now)
        sums.append([list(layer.sums) for layer in arithmetic.layers.values()])
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad.sign()
                parameter.grad = None

    assert arithmetic.history[0] == [[4, 4, 4]] * 2
    largest = np.full((2, len(OPERANDS)), FIRST_EXPONENT)
    for step in range(1, steps):
        for number, tensors in enumerate(seen[step - 1]):
            for operand, tensor in enumerate(tensors):
                *wanted, _ = relative_improvement(tensor.numpy(), FORMATS[4], int(largest[number, operand]) - HEADROOM)
                assert sums[step - 1][number][operand] == tuple(wanted), (step, number, operand)
                largest[number, operand] = convert(tensor.numpy(), FORMATS[4]).exponents.max()
                place = {"iteration": step, "iterations": steps, "layer": number, "layers": 2}
                assert places.pop(0) == place
                bits = precision(*wanted, alpha=ALPHA, beta=BETA, **place)
                assert arithmetic.history[step][number][operand] == bits, (step, number, operand)
    assert {bits for step in arithmetic.history[1:] for layer in step for bits in layer} == {2, 4}, "both are chosen"
