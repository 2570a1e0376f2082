"""Emulated layers round and multiply as the golden model does, and compute what their shapes say."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is for experiments only")

from narrowfloat.golden.formats import LOGARITHMS
from narrowfloat.golden.lbfp import decode, encode, matmul, multiply
from narrowfloat.golden.lbfp import lsb_exponent as weight_of_lsb
from narrowfloat.golden.reference.stimulus import special_words
from torch import nn

from evidence.training.emulation import Emulated, Int8, Lbfp, OneHot, Rounding, emulate

LBFP8 = LOGARITHMS["lbfp8"]
LAYERS = {
    "linear": (nn.Linear(12, 7), (5, 12)),
    "linear of three axes": (nn.Linear(6, 4), (2, 3, 6)),
    "conv1d": (nn.Conv1d(3, 5, 3, padding=1), (2, 3, 9)),
    "conv2d with stride": (nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 2, 9, 8)),
}
each_layer = pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
each_format = pytest.mark.parametrize("fmt", LOGARITHMS.values(), ids=LOGARITHMS)


@pytest.fixture(autouse=True)
def without_gradients():
    torch.manual_seed(1)
    with torch.no_grad():
        yield


def calibrated(layer, x):
    emulated = Emulated(layer)
    emulated.observe(x)
    return emulated


@each_format
@pytest.mark.parametrize("exponent", [-20, 0, 3])
def test_rounding_is_the_goldens(fmt, exponent):
    rng = np.random.default_rng(exponent + 50)
    words = np.concatenate([rng.integers(0, 2**32, 2**18, dtype=np.uint32), special_words()])
    near = (rng.standard_normal(2**18) * 2.0**exponent).astype(np.float32)
    x = np.concatenate([words.view(np.float32), near])
    rounding = Rounding(fmt, exponent)
    codes = encode(x, fmt, exponent)
    assert np.array_equal(rounding.codes(torch.from_numpy(x)), codes)
    assert np.array_equal(rounding.values(torch.from_numpy(x)).numpy(), decode(codes, fmt, exponent))


@each_format
@pytest.mark.parametrize("product", [{"antilog": "lut", "guard_bits": 5}, {"antilog": "mitchell"}], ids=lambda p: p["antilog"])
def test_matrix_products_of_one_hot_inputs_are_the_goldens(fmt, product):
    """Each product by itself exactly; sums as far as FP32 accumulates."""
    every = np.arange(2**fmt.bits, dtype=np.uint8)
    found = OneHot(every[:, None], fmt, **product)(every[:, None])
    assert np.array_equal(found.numpy(), multiply(every[:, None], every, fmt, **product))
    rng = np.random.default_rng(2)
    a, b = (rng.integers(0, 2**fmt.bits, (rows, 300), np.uint8) for rows in (600, 20))
    sums = matmul(a, b, fmt, **product)
    assert np.abs(OneHot(b, fmt, **product)(a).numpy() - sums).max() < 1e-5 * np.abs(sums).max()


@each_layer
@pytest.mark.parametrize("is_large", [False, True])
def test_products_of_layers_are_the_goldens(layer, shape, is_large):
    """With a table that is exact the hardware's products are those of the rounded numbers, in every kind of layer."""
    x = torch.randn(shape)
    emulated = calibrated(layer, x)
    exact = Lbfp(fmt=LBFP8, method="kl").layer(emulated, is_large)(x)
    fine = Lbfp(fmt=LBFP8, method="kl", product={"guard_bits": 8}).layer(emulated, is_large)(x)
    assert fine.shape == exact.shape == layer(x).shape
    assert (fine - exact).abs().max() < 2**-9 * exact.abs().max()
    assert (exact - layer(x)).abs().max() < 0.1 * exact.abs().max()


def test_linear_layer_is_the_goldens_to_the_bit():
    layer, x = nn.Linear(40, 6), torch.randn(9, 40)
    emulated = calibrated(layer, x)
    product = {"guard_bits": 5, "out_bits": 16, "output": "sign_magnitude"}
    found = Lbfp(fmt=LBFP8, method="mse", product=product).layer(emulated, False)(x)
    exponents, exponent = emulated.exponents(LBFP8, "mse")
    a, b = encode(x.numpy(), LBFP8, exponent), encode(layer.weight.numpy(), LBFP8, exponents[:, None])
    lsb = weight_of_lsb(LBFP8, exponents + exponent, guard_bits=5, out_bits=16)
    wanted = np.ldexp(matmul(a, b, LBFP8, **product).astype(np.float64), lsb).astype(np.float32) + layer.bias.numpy()
    assert np.array_equal(found.numpy(), wanted)


@each_layer
@pytest.mark.parametrize("method", ["max", "entropy"])
def test_int8_is_near(layer, shape, method):
    x = torch.randn(shape)
    found = Int8(method=method).layer(calibrated(layer, x), False)(x)
    assert found.shape == layer(x).shape and (found - layer(x)).abs().max() < 0.1 * found.abs().max()


def test_int8_of_a_grid_is_exact():
    layer = nn.Linear(127, 1, bias=False)
    layer.weight[0] = torch.arange(-63, 64) * 0.25
    layer.weight[0, 0] = 127 * 0.25
    x = torch.arange(-63, 64).float()[None]
    x[0, 1] = -127
    assert torch.equal(Int8(method="max").layer(calibrated(layer, x), False)(x), layer(x))


def test_every_layer_with_products_is_replaced():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Sequential(nn.Linear(8, 3)))
    x = torch.randn(2, 1, 4, 4)
    before = model(x)
    found = emulate(model)
    assert list(found) == ["0", "3.0"] and isinstance(model[0], Emulated) and isinstance(model[3][0], Emulated)
    assert torch.equal(model(x), before)
