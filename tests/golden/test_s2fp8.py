"""`golden.s2fp8`: the exact transform against rational arithmetic and the plain codec, that in fixed point against it."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from narrowfloat.golden import float_codec
from narrowfloat.golden.formats import BIAS_MAX
from narrowfloat.golden.reference.stimulus import encoder_corners, random_words, real_tensors, special_words
from narrowfloat.golden.rounding import OVERFLOWS, Flag, LogFlag
from narrowfloat.golden.s2fp8 import (
    FORMAT,
    PRECISIONS,
    Parameters,
    decode,
    encode,
    exact_decode,
    exact_encode,
    exact_parameters,
    inverse,
    parameters,
    short,
    tensor_parameters,
)
from narrowfloat.golden.s2fp8.full import antilog, antilog_nodes, log2_fraction, log_nodes, thresholds

CODES = np.arange(256, dtype=np.uint8)
FINITE = CODES[(CODES & 0x7F) <= FORMAT.max_finite]
X1 = np.ones(1, np.float32)
SIZE = 2**18
SYNTHETIC = {
    "Gaussian": lambda rng: rng.normal(size=SIZE),
    "Laplace": lambda rng: rng.laplace(size=SIZE),
    "uniform": lambda rng: rng.random(SIZE),
    "ReLU": lambda rng: np.maximum(rng.normal(size=SIZE), 0),
    "lognormal": lambda rng: np.exp(2 * rng.normal(size=SIZE) - 9),
    "wide lognormal": lambda rng: np.exp(3.5 * rng.normal(size=SIZE) - 20),
}


def synthetic(name):
    return SYNTHETIC[name](np.random.default_rng(3)).astype(np.float32)


def spread_over_codes(alpha, size=SIZE):
    """Numbers whose codes at mu = 0 are of all sizes, and too small and too large ones."""
    logs = np.random.default_rng(5).uniform(max(-18 / alpha, -126), min(16.5 / alpha, 127), size)
    return np.exp2(logs).astype(np.float32)


def with_alpha(alpha):
    """Parameters with mu = 0 and the alpha that comes next to `alpha`."""
    exponent = int(np.floor(np.log2(alpha)))
    code = (exponent << 7) + int((alpha / 2.0**exponent - 1) * 128)
    return Parameters(code, 127 << 8, inverse(code))


def differences(x, found, precision):
    """Of the codes from fixed-point from those of the exact transform: their share, and the largest."""
    codes = encode(x, found.alpha, found.mean, precision=precision).astype(int)
    difference = np.abs(codes - exact_encode(x, found.squeeze, found.shift))
    return np.mean(difference > 0), difference.max()


@pytest.mark.parametrize("power", [1, 2, 3, Fraction(1, 2), Fraction(1, 4)], ids=str)
def test_exact_codes_of_rational_powers(power):
    """A power is below a middle where both, raised until they are rational, are."""
    rng = np.random.default_rng(1)
    beta = 3
    x = (rng.integers(1, 2**8, 2000) * np.exp2(rng.integers(-16, 12, 2000))).astype(np.float32)
    values = [Fraction(float(v)) for v in float_codec.decode(CODES[: FORMAT.max_finite + 1], FORMAT)] + [Fraction(2**16)]
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    n, d = Fraction(power).as_integer_ratio()
    wanted = []
    for value in x:
        raised = Fraction(float(value)) ** n * Fraction(2) ** (beta * d)
        passed = sum(raised > middle**d or (raised == middle**d and k % 2 == 1) for k, middle in enumerate(middles))
        wanted.append(min(passed, FORMAT.max_finite))
    assert np.array_equal(exact_encode(x, float(power), beta), wanted)


@pytest.mark.parametrize(
    ("alpha", "beta", "code"),
    [(1, 2000, 0x7B), (1, -2000, 0), (2, 2**70, 0x7B), (2, -(2**70), 0), (2.0**-20, -5, 0x28), (2.0**-20, 3, 0x48)],
)
def test_exact_codes_where_beta_is_far_from_all_numbers(alpha, beta, code):
    """To the smallest alphas all numbers are near 1, so that what is left is 2**beta."""
    assert exact_encode([2.0**-126, 0.7, 1, 3e38], alpha, beta).tolist() == [code] * 4


def test_exact_values_are_taken_back():
    x = synthetic("Gaussian")
    alpha, beta = exact_parameters(x)
    values = exact_decode(FINITE, alpha, beta).astype(np.float32)
    assert np.array_equal(exact_encode(values, alpha, beta), FINITE)
    assert np.allclose(exact_decode(CODES, 1, 0), float_codec.decode(CODES, FORMAT), rtol=1e-14, atol=0, equal_nan=True)


def test_exact_parameters_put_mean_and_maximum_where_they_belong():
    x = synthetic("Laplace")
    alpha, beta = exact_parameters(x)
    logs = alpha * np.log2(np.abs(x[x != 0].astype(np.float64))) + beta
    assert logs.mean() == pytest.approx(0, abs=1e-9) and logs.max() == pytest.approx(15)
    assert exact_parameters(np.zeros(3, np.float32)) == (1, 0)
    assert exact_parameters(np.array([np.nan, np.inf, 1e-40, 0, -4], np.float32)) == (120, -240)


@pytest.mark.parametrize("precision, bound", [("full", 0.001), ("short", 0.055)])
@pytest.mark.parametrize("name", SYNTHETIC)
def test_few_codes_differ_from_the_exact_ones(name, precision, bound):
    share, largest = differences(synthetic(name), tensor_parameters(synthetic(name)), precision)
    assert share <= bound and largest <= 1


@pytest.mark.parametrize("precision, bound", [("full", 0.001), ("short", 0.03)])
def test_few_codes_of_real_tensors_differ_from_the_exact_ones(precision, bound):
    found = [(differences(x, tensor_parameters(x), precision), x.size) for x in real_tensors()[0].values()]
    assert sum(share * size for (share, _), size in found) <= bound * sum(size for _, size in found)
    assert max(share for (share, _), size in found if size > 1000) <= 1.5 * bound
    assert max(largest for (_, largest), _ in found) <= 1


@pytest.mark.parametrize(
    "precision, alpha, bound, most",
    [
        *(("full", alpha, 0.001, 1) for alpha in (0.0625, 0.3, 1, 1.9, 8, 11)),
        ("full", 120, 0.015, 1),
        *(("short", alpha, 0.012, 1) for alpha in (0.0625, 0.3, 1, 1.9)),
        *(("short", alpha, 0.065, 1) for alpha in (8, 11)),
        ("short", 120, 0.55, 2),
    ],
)
def test_codes_differ_more_as_alpha_grows(precision, alpha, bound, most):
    share, largest = differences(spread_over_codes(alpha), with_alpha(alpha), precision)
    assert share <= bound and largest <= most


@pytest.mark.parametrize("precision, bound", [("full", 2.0**-12), ("short", 2.0**-7)])
@pytest.mark.parametrize("alpha", [0.06, 0.25, 1, 1.37, 4.59, 16, 120])
def test_values_are_within_the_bound(alpha, precision, bound):
    for mean in (127 << 8, 100 << 8 | 77, 150 << 8 | 200):
        found = Parameters(with_alpha(alpha).alpha, mean, with_alpha(alpha).inverse)
        exact = exact_decode(FINITE, found.squeeze, found.shift)
        held = (np.abs(exact) < 2.0**127) & (np.abs(exact) > 2.0**-125)
        error = np.abs(decode(FINITE, found.inverse, mean, precision=precision)[held] / exact[held] - 1)
        assert held.sum() > 20 and error.max() < bound * max(1, 1 / alpha)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("alpha", [0.2, 1, 2.7, 8, 33, 120])
def test_every_code_is_taken_back(alpha, precision):
    """In short precision as long as neighbouring codes are further apart than its numbers."""
    found = with_alpha(alpha)
    values = decode(FINITE, found.inverse, found.mean, precision=precision)
    codes = encode(values, found.alpha, found.mean, precision=precision)
    if precision == "short" and alpha > 20:
        assert np.abs(codes.astype(int) - FINITE).max() <= 3
    else:
        assert np.array_equal(codes, FINITE)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("alpha", [-700, -128, 0, 1, 300, 883, 1023])
def test_codes_rise_with_the_numbers_and_have_their_signs(alpha, precision):
    for mean in (0, 127 << 8, 130 << 8 | 55, 65535):
        x = np.sort(np.abs(random_words(np.random.default_rng(6), 2**16).view(np.float32)))
        near = np.clip((mean >> 8) - 3, 0, 250) << 23
        x = np.concatenate([x[np.isfinite(x)], np.arange(near, near + (5 << 23), 331, dtype=np.uint32).view(np.float32)])
        x = np.sort(x)
        codes = encode(x, alpha, mean, precision=precision)
        assert (np.diff(codes.astype(int)) >= 0).all() and codes[0] == 0
        assert np.array_equal(encode(-x, alpha, mean, precision=precision), codes | 0x80)


def test_short_codes_rise_at_every_alpha():
    """The product with alpha never falls as the distance from the mean grows, though its summands are rounded."""
    distances = np.arange(-(32 << 8), 32 << 8)
    for fraction in range(128):
        assert (np.diff(distances + short._product(distances, fraction, 7)) >= 0).all()


@pytest.mark.parametrize("precision, rounding", [("full", "rne"), ("short", "rna")])
@pytest.mark.parametrize("bias", range(0, BIAS_MAX + 1, 9))
def test_alpha_1_is_the_plain_codec(bias, precision, rounding):
    found = Parameters.of_bias(bias)
    assert (found.squeeze, found.shift) == (1, bias - FORMAT.bias)
    words = np.concatenate(
        [encoder_corners(FORMAT, [bias])[0], special_words(), random_words(np.random.default_rng(bias), 2**18)]
    )
    x = words.view(np.float32)
    for overflow in OVERFLOWS:
        want, flags = float_codec.encode(x, FORMAT, bias=bias, rounding=rounding, overflow=overflow, flags=True)
        codes, raised = encode(x, found.alpha, found.mean, overflow=overflow, precision=precision, flags=True)
        assert np.array_equal(codes, want)
        if precision == "full":
            assert np.array_equal(exact_encode(x, found.squeeze, found.shift, overflow=overflow), want)
        assert np.array_equal(raised & LogFlag.SATURATED != 0, flags & Flag.OVERFLOW != 0)
        assert np.array_equal(raised & LogFlag.INVALID != 0, flags & Flag.INVALID != 0)
    values = decode(CODES, found.inverse, found.mean, precision=precision)
    assert np.array_equal(values.view(np.uint32), float_codec.decode(CODES, FORMAT, bias=bias).view(np.uint32))


def test_flags_and_specials():
    x = np.array([0, -0.0, 1e-40, -1e-30, 1, 1e30, -np.inf, np.inf, np.nan, -np.nan], np.float32)
    flushed, saturated, invalid = LogFlag.FLUSHED, LogFlag.SATURATED, LogFlag.INVALID
    codes, raised = encode(x, 0, 127 << 8, flags=True)
    assert codes.tolist() == [0, 0x80, 0, 0x80, 0x3C, 0x7B, 0xFB, 0x7B, 0x7E, 0xFE]
    assert raised.tolist() == [0, 0, flushed, flushed, 0, saturated, invalid, invalid, 0, 0]
    codes, raised = encode(x, 0, 127 << 8, overflow="format", flags=True)
    assert codes.tolist() == [0, 0x80, 0, 0x80, 0x3C, 0x7C, 0xFC, 0x7C, 0x7E, 0xFE]
    assert raised.tolist() == [0, 0, flushed, flushed, 0, saturated, 0, 0, 0, 0]
    assert decode(codes, 1 << 17, 127 << 8)[-4:].tolist()[:2] == [-np.inf, np.inf]


@pytest.mark.parametrize("precision, largest", [("full", 0x7F7FFC00), ("short", 0x7F7F8000)])
def test_values_out_of_the_range_of_fp32(precision, largest):
    codes = np.array([0x7B, 0xFB, 0x7C, 0xFC, 0x7D, 0x00, 0x80], np.uint8)
    values = decode(codes, 1 << 19, 65535, precision=precision)
    assert values.view(np.uint32).tolist() == [
        largest,
        1 << 31 | largest,
        0x7F800000,
        0xFF800000,
        0x7FE00000,
        0,
        1 << 31,
    ]
    small = decode(np.array([1, 0x81], np.uint8), 1 << 19, 0, precision=precision)
    assert small.view(np.uint32).tolist() == [0, 1 << 31]


def test_tables_are_near_the_curves_and_rise():
    f = np.arange(2**15)
    logs = log2_fraction(f)
    assert np.abs(logs / 2**15 - np.log2(1 + f / 2**15)).max() < 2.0**-13 and np.diff(logs).min() >= 0
    f = np.arange(2**14)
    powers = antilog(f)
    assert np.abs(powers / 2**13 + 1 - np.exp2(f / 2**14)).max() < 2.0**-12 and np.diff(powers).min() >= 0
    assert np.diff(thresholds()).min() > 0 and len(thresholds()) == FORMAT.max_finite + 1


def test_parameters_of_every_spread():
    mean = 100 << 8
    for spread in (*range(65536 - mean), -1, -mean + 1):
        found = parameters(mean, mean + spread)
        exact = Fraction(3840, max(spread, 32))
        squeeze = Fraction(found.squeeze)
        assert squeeze <= exact < squeeze * (1 + Fraction(1, 128)) and found.mean == mean
        assert abs(found.inverse - 2**17 / squeeze) <= Fraction(1, 2)
    assert parameters(256, 65535).squeeze == 240 / 4096


def test_degenerate_tensors():
    assert tensor_parameters(np.zeros((2, 3), np.float32)) == parameters(0, 0) == Parameters.of_bias(15)
    assert tensor_parameters(np.zeros(0, np.float32)) == Parameters.of_bias(15)
    for x in (np.full(7, 3.14159, np.float32), np.array([-1e-30], np.float32), np.array([3e38, 0], np.float32)):
        found = tensor_parameters(x)
        assert found.squeeze == 120
        for precision, bound in (("full", 0.002), ("short", 0.006)):
            codes = encode(x, found.alpha, found.mean, precision=precision)
            assert decode(codes, found.inverse, found.mean, precision=precision) == pytest.approx(x, rel=bound)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_statistics_in_fixed_point_are_near_the_exact_ones(name):
    x = synthetic(name)
    alpha, beta = exact_parameters(x)
    found = tensor_parameters(x)
    assert found.squeeze == pytest.approx(alpha, rel=0.02) and found.shift == pytest.approx(beta, rel=0.02, abs=0.05)
    assert not (encode(x, found.alpha, found.mean, flags=True)[1] & LogFlag.SATURATED).any()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_arrays_of_parameters_broadcast(precision):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(5, 4)).astype(np.float32)
    alpha, mean = rng.integers(0, 400, 5), rng.integers(120 << 8, 130 << 8, 5)
    codes = encode(x, alpha[:, None], mean[:, None], precision=precision)
    inverses = np.array([inverse(int(a)) for a in alpha])
    values = decode(codes, inverses[:, None], mean[:, None], precision=precision)
    for row in range(5):
        assert np.array_equal(codes[row], encode(x[row], int(alpha[row]), int(mean[row]), precision=precision))
        assert np.array_equal(values[row], decode(codes[row], int(inverses[row]), int(mean[row]), precision=precision))
    assert encode(np.zeros((0, 3), np.float32), 0, 0).shape == (0, 3)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: encode(np.zeros(2), 0, 0), TypeError, "x must be float32, .*, not float64, .*: convert with"),
        (lambda: encode(np.zeros(2, np.float32), 1024, 0), ValueError, "alpha must be an integer from -1024 to 1023, not 1024"),
        (lambda: encode(np.zeros(2, np.float32), 0, -1), ValueError, "mean must be an integer from 0 to 65535, not -1"),
        (lambda: encode(np.zeros(2, np.float32), 0.5, 0), TypeError, "alpha must be of integers, not float64"),
        (lambda: encode(np.zeros(2, np.float32), [1, 2, 3], 0), ValueError, r"alpha of shape \(3,\) does not broadcast"),
        (lambda: encode(X1, 0, 0, precision="long"), ValueError, "precision must be one of short, full, not 'long'"),
        (lambda: decode(CODES, 0, 0, precision=8), ValueError, "precision must be one of short, full, not 8"),
        (lambda: decode(np.zeros(2, int), 0, 0), TypeError, "codes must be uint8, not int64: convert with"),
        (lambda: decode(CODES, 2**22, 0), ValueError, "inverse must be an integer from 0 to 4194303, not 4194304"),
        (lambda: parameters(-1, 0), ValueError, "mean must be an integer from 0 to 65535, not -1"),
        (lambda: parameters(0, 70000), ValueError, "largest must be an integer from 0 to 65535, not 70000"),
        (lambda: inverse(2000), ValueError, "alpha must be an integer from -1024 to 1023, not 2000"),
        (lambda: Parameters.of_bias(64), ValueError, "bias of float8_e5m2 must be an integer from 0 to 63, not 64"),
        (lambda: Parameters(0, 0, -1), ValueError, "inverse must be an integer from 0 to 4194303, not -1"),
        (lambda: tensor_parameters(np.ones(1)), TypeError, "x must be float32, .*, not float64"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nodes_of_the_logarithm_are_exact():
    """To 28 digits: log2(1 + i / 64) + log2(e) / (12 * (64 + i)**2) in units of 2**-15, at eighths in units of 2**-12."""
    ln2 = Decimal(2).ln()
    for i, node in enumerate(log_nodes().tolist()):
        exact = (1 + Decimal(i) / 64).ln() / ln2 + 1 / (ln2 * 12 * (64 + i) ** 2)
        unit = 1 if i % 8 else 8
        assert node == unit * int((exact * 2**15 / unit).to_integral_value())


def test_nodes_of_the_antilogarithm_are_exact():
    """To 28 digits: ``2**(i / 32) * (1 - (ln 2 / 32)**2 / 12) - 1`` in units of 2**-13, but 0 for i = 0."""
    ln2 = Decimal(2).ln()
    for i, node in enumerate(antilog_nodes().tolist()):
        exact = Decimal(2) ** (Decimal(i) / 32) * (1 - (ln2 / 32) ** 2 / 12) - 1
        assert node == (int((exact * 2**13).to_integral_value()) if i else 0)


def test_short_tables_are_exact():
    """To 28 digits: logarithms in the middle of 256 intervals and at eighths, powers of two but at those of quarters."""
    ln2 = Decimal(2).ln()

    def log2(x):
        return x.ln() / ln2

    for i, height in enumerate(short.log_table().tolist()):
        assert height == min(255, round(256 * log2(1 + (i + Decimal("0.5")) / 256)))
    # of what is an eighth or a little more: where a cut-off logarithm of an eighth begins
    assert short.eighth_logs().tolist() == [0, *(round(256 * log2(1 + Decimal(i) / 8 + Decimal(1) / 512)) for i in range(1, 8))]
    quarters = [round(128 * log2(1 + Decimal(i) / 4)) for i in range(4)]
    assert short.quarter_logs().tolist() == quarters
    powers = [round(256 * (Decimal(2) ** (Decimal(i) / 256) - 1)) for i in range(256)]
    for i, quarter in enumerate(quarters):
        powers[2 * quarter] = 64 * i
    assert short.antilog_table().tolist() == powers
    assert np.diff(short.log_table()).min() >= 0 and np.diff(short.antilog_table()).min() >= 0
