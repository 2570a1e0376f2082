"""`golden.lbfp.calibration`: the specified precision and exponents, histograms against NumPy's, measures against loops."""

import math
from itertools import count

import numpy as np
import pytest
from narrowfloat.golden.formats import CATALOG, LogBlockFormat
from narrowfloat.golden.lbfp import block_exponent, decode, encode
from narrowfloat.golden.lbfp.calibration import METHODS, Histogram, calibrate, losses

LBFP8 = CATALOG["lbfp8"]
SAMPLES = 300_000
DRAWS = {
    "gaussian": lambda rng: rng.normal(size=SAMPLES),
    "laplace": lambda rng: rng.laplace(size=SAMPLES),
    "relu": lambda rng: np.maximum(rng.normal(size=SAMPLES), 0),
    "student_t4": lambda rng: rng.standard_t(4, SAMPLES),
    "student_t5": lambda rng: rng.standard_t(5, SAMPLES),
    "lognormal": lambda rng: np.exp(rng.normal(size=SAMPLES)),
}


def drawn(name, seed=3):
    return DRAWS[name](np.random.default_rng(seed)).astype(np.float32)


def observed(*tensors, bins=2048):
    histogram = Histogram(bins)
    for x in tensors:
        histogram.observe(x)
    return histogram


def sqnr(x, fmt):
    """Signal to quantization noise in dB, with the best exponent."""
    exact = x.astype(np.float64)
    top = int(block_exponent(x, fmt)[0])
    noises = [np.mean((decode(encode(x, fmt, e), fmt, e) - exact) ** 2) for e in range(top - 6, top + 1)]
    return 10 * math.log10(np.mean(exact**2) / min(noises))


@pytest.mark.parametrize(
    ("name", "precisions"),
    [
        ("gaussian", (29.1, 38.0, 32.0)),
        ("laplace", (23.0, 37.7, 32.1)),
        ("relu", (29.1, 38.0, 32.0)),
        ("student_t4", (18.1, 35.2, 32.0)),
    ],
)
def test_precision_of_the_specification(name, precisions):
    """Within 0.35 dB; of Student's t within 1.2, for it hangs on the few largest samples."""
    for spelling, wanted in zip(("i2f5", "i3f4", "i4f3"), precisions, strict=True):
        assert sqnr(drawn(name), LogBlockFormat.parse(spelling)) == pytest.approx(
            wanted, abs=1.2 if "student" in name else 0.35
        )


@pytest.mark.parametrize(
    ("name", "by_divergence", "by_error"),
    [("gaussian", 3, 3), ("laplace", 4, 4), ("relu", 3, 3), ("student_t4", 6, 5), ("lognormal", 5, 6)],
)
def test_exponents_of_the_specification(name, by_divergence, by_error):
    x = drawn(name)
    assert (calibrate(x, LBFP8), calibrate(x, LBFP8, "mse")) == (by_divergence, by_error)


def test_no_clipping():
    x = drawn("student_t5")
    exponent = calibrate(x, LBFP8, "max")
    assert exponent == block_exponent(x, LBFP8)[0]
    assert calibrate(np.array([4.0]), LBFP8, "max") == 3 and calibrate(np.array([3.9]), LBFP8, "max") == 2


@pytest.mark.parametrize("method", METHODS)
def test_a_power_of_two_moves_the_exponent(method):
    x = drawn("student_t4")
    assert calibrate(x * np.float32(2**-20), LBFP8, method) == calibrate(x, LBFP8, method) - 20


@pytest.mark.parametrize("method", METHODS)
def test_exponents_stay_in_range(method):
    small = LogBlockFormat(name="small", exp_bits=4)
    assert calibrate(np.array([1e9]), small, method) == 7
    assert calibrate(np.array([1e-9]), small, method) == -8
    assert calibrate(np.zeros(3), small, method) == calibrate(np.array([]), small, method) == -8


def test_of_equally_good_exponents_the_largest():
    """Of one magnitude nothing is lost at any exponent that holds it."""
    found = losses(observed(np.ones(5)), LBFP8)
    assert found[1] == 0 and calibrate(np.ones(5), LBFP8) == 1


def test_divergence_by_hand():
    """16 bins, codes that join some of them, one sample clipped."""
    x = np.array([0.03, 0.1, 0.3, 0.3, 0.4, 0.47, 0.47, 1.0])
    fmt, exponent = LogBlockFormat.parse("i3f0"), -1
    histogram = observed(x, bins=16)
    kept = [i for i, centre in enumerate(histogram.centres) if centre < 2**exponent]
    p = {i: int(histogram.counts[i]) for i in kept}
    codes = {i: int(encode(np.array([histogram.centres[i]], np.float32), fmt, exponent)[0]) for i in kept}
    q = {}
    for i in kept:
        alike = [j for j in kept if codes[j] == codes[i] and p[j]]
        q[i] = sum(p[j] for j in alike) / len(alike) if p[i] else 0
    p[kept[-1]] += 1
    total_p, total_q = sum(p.values()), sum(q.values())
    divergence = sum(n / total_p * math.log(n / total_p / max(q[i] / total_q, 1e-9)) for i, n in p.items() if n)
    assert divergence > 0 and losses(histogram, fmt)[exponent] == pytest.approx(divergence)


def test_histogram_is_numpys():
    x = drawn("laplace")
    x[:3] = 0, np.inf, np.nan
    histogram = observed(x)
    sizes = np.abs(x[3:]).astype(np.float64)
    assert histogram.largest == histogram.top == sizes.max()
    assert np.array_equal(histogram.counts, np.histogram(sizes, 2048, (0, sizes.max()))[0])
    assert histogram.centres[-1] == pytest.approx(sizes.max() * 4095 / 4096)


def test_histogram_of_batches_is_that_of_the_whole_on_the_wider_bins():
    batches = [drawn("gaussian"), drawn("student_t4"), np.zeros(4), drawn("lognormal")]
    histogram = observed(*batches)
    sizes = np.abs(np.concatenate(batches)).astype(np.float64)
    sizes = sizes[sizes > 0]
    assert histogram.largest == sizes.max() <= histogram.top < 2 * sizes.max()
    assert histogram.counts.sum() == sizes.size
    wanted = np.histogram(sizes, 2048, (0, histogram.top))[0]
    # a number on an edge may be on either side of it
    assert np.abs(np.cumsum(histogram.counts) - np.cumsum(wanted)).max() <= 2


def test_batches_in_any_order_give_the_same_exponent():
    batches = [drawn("gaussian", seed) * np.float32(scale) for seed, scale in enumerate((1, 3, 0.2))]
    found = {tuple(calibrate(observed(*some), LBFP8, m) for m in METHODS) for some in (batches, batches[::-1])}
    assert len(found) == 1


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_exponent_per_slice(axis):
    x = np.random.default_rng(3).standard_t(3, (4, 5)) * np.exp2(np.arange(5))
    x[:, 2] = 0
    exponents = calibrate(x, LBFP8, axis=axis)
    assert exponents.dtype == np.int32
    assert exponents.tolist() == [calibrate(part, LBFP8) for part in np.moveaxis(x, axis, 0)]


def test_progress_sees_every_slice():
    seen = count()
    calibrate(np.ones((7, 3)), LBFP8, axis=0, progress=lambda slices: (i for i in slices if next(seen) >= 0))
    assert next(seen) == 7


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: calibrate(np.ones(3), CATALOG["ab_e5m2"]), TypeError, r"fmt must be a LogBlockFormat"),
        (lambda: calibrate(np.ones(3), LBFP8, "entropy"), ValueError, r"method must be one of kl, mse, max, not 'entropy'"),
        (lambda: calibrate(np.ones(3), LBFP8, bins=7), ValueError, r"bins must be even, not 7"),
        (lambda: calibrate(np.ones(3), LBFP8, bins=1), ValueError, r"bins must be an integer from 2 to 1048576, not 1"),
        (lambda: calibrate(np.ones(3), LBFP8, axis=1), ValueError, r"axis must be an integer from -1 to 0, not 1"),
        (lambda: calibrate(Histogram(), LBFP8, axis=0), TypeError, r"axis needs an array: a Histogram has none"),
    ],
)
def test_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
