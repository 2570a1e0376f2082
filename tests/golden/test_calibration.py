"""`golden.lbfp.calibration`: the specified precision and exponents, histograms against NumPy's, measures against loops."""

import math
import warnings
from itertools import count

import numpy as np
import pytest
from narrowfloat.golden.formats import CATALOG, LogBlockFormat
from narrowfloat.golden.lbfp import block_exponent, calibration, decode, encode
from narrowfloat.golden.lbfp.calibration import (
    FLUSHED_LIMIT,
    METHODS,
    OUTLIERS,
    FlushedWarning,
    Histogram,
    flushed,
    losses,
)

from tests.golden.distributions import DRAWS, observed

LBFP8 = CATALOG["lbfp8"]
SAMPLES = 300_000


def calibrate(x, *options, **more):
    """The exponent for the float32 numbers nearest to those in `x`, which most tests draw as float64."""
    return calibration.calibrate(x if isinstance(x, Histogram) else np.asarray(x, np.float32), *options, **more)


def drawn(name, seed=3, size=SAMPLES):
    return DRAWS[name](np.random.default_rng(seed), size).astype(np.float32)


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
    assert (calibrate(x, LBFP8, "kl"), calibrate(x, LBFP8)) == (by_divergence, by_error)


def test_no_clipping():
    x = drawn("student_t5")
    exponent = calibrate(x, LBFP8, "max")
    assert exponent == block_exponent(x, LBFP8)[0]
    assert calibrate(np.array([4.0]), LBFP8, "max") == 3 and calibrate(np.array([3.9]), LBFP8, "max") == 2


@pytest.mark.parametrize("method", METHODS)
def test_a_power_of_two_moves_the_exponent(method):
    x = drawn("student_t4")
    assert calibrate(x * np.float32(2**-20), LBFP8, method) == calibrate(x, LBFP8, method) - 20


@pytest.mark.filterwarnings("ignore::narrowfloat.golden.lbfp.calibration.FlushedWarning")
@pytest.mark.parametrize("method", METHODS)
def test_exponents_stay_in_range(method):
    small = LogBlockFormat(name="small", exp_bits=4)
    assert calibrate(np.array([1e9]), small, method) == 7
    assert calibrate(np.array([1e-9]), small, method) == -8
    assert calibrate(np.zeros(3), small, method) == calibrate(np.array([]), small, method) == -8


@pytest.mark.parametrize("method", METHODS)
def test_of_equally_good_exponents_the_largest(method):
    """Of one magnitude nothing is lost at any exponent that holds it."""
    assert losses(observed(np.ones(5)), LBFP8, method)[1] == pytest.approx(0, abs=1e-6)
    assert calibrate(np.ones(5), LBFP8, method) == 1


def test_divergence_by_hand():
    """2048 bins that span 1, codes that join some of them, one sample clipped."""
    x = np.array([0.03, 0.1001, 0.1003, 0.3, 0.3, 0.4, 0.4004, 0.4009, 0.47, 0.99])
    fmt, exponent = LogBlockFormat.parse("i3f0"), -1
    bins = np.floor(x * 2048).astype(int).tolist()
    kept = range(1024)
    p = {i: bins.count(i) for i in kept}
    codes = encode(((np.arange(1024) + 0.5) / 2048).astype(np.float32), fmt, exponent).tolist()
    q = {}
    for i in kept:
        alike = [j for j in kept if codes[j] == codes[i] and p[j]]
        q[i] = sum(p[j] for j in alike) / len(alike) if p[i] else 0
    p[1023] += 1
    total_p, total_q = sum(p.values()), sum(q.values())
    divergence = sum(n / total_p * math.log(n / total_p / max(q[i] / total_q, 1e-9)) for i, n in p.items() if n)
    assert divergence > 0 and losses(observed(x), fmt, "kl")[exponent] == pytest.approx(divergence)


def test_bins_are_the_upper_bits_of_magnitudes():
    x = drawn("laplace")
    x[:6] = 0, np.inf, -np.inf, np.nan, 1e-40, -1e-45
    histogram = observed(x)
    assert histogram.largest == np.abs(x[6:]).max()
    assert np.array_equal(histogram.counts, np.bincount(np.abs(x[6:]).view(np.uint32) >> 13, minlength=255 * 1024))


def test_every_code_has_whole_bins():
    """So the squared error of a candidate takes each value for what `encode` makes of it, in every format."""
    edges = (np.arange(120 << 10, 130 << 10, dtype=np.uint32) << np.uint32(13)).view(np.float32)
    for int_bits, frac_bits in ((3, 4), (1, 6), (2, 5), (4, 0)):
        fmt = LogBlockFormat(name="any", int_bits=int_bits, frac_bits=frac_bits)
        last = (edges.view(np.uint32) | np.uint32(0x1FFF)).view(np.float32)
        assert np.array_equal(encode(edges, fmt, 1), encode(last, fmt, 1)), fmt


def test_equal_bins_are_numpys():
    x = drawn("lognormal")
    linear, exponent = observed(x).linear(0)
    assert 2 ** (exponent - 1) <= x.max() < 2**exponent
    assert np.array_equal(linear, np.histogram(x.astype(np.float64), 2048, (0, 2.0**exponent))[0])
    with pytest.raises(ValueError, match="the histogram must have counted a value"):
        Histogram().linear()


def test_any_order_of_batches_gives_the_same_histogram():
    batches = [drawn("gaussian"), drawn("student_t4"), np.zeros(4), drawn("lognormal"), np.array([1e6])]
    forward, backward, merged = observed(*batches), observed(*batches[::-1]), observed(*batches[:2])
    merged.merge(observed(*batches[2:]))
    for other in (backward, merged, observed(np.concatenate(batches))):
        assert np.array_equal(forward.counts, other.counts) and forward.largest == other.largest


SIZES = [10, 30, 100, 300, 1e3, 1e4, 1e5, 1e6]


@pytest.fixture(scope="module", params=["gaussian", "laplace", "student_t4", "student_t5", "lognormal"])
def million(request):
    """The name of a distribution, a million values of it, and their squared errors by exponent."""
    x = drawn(request.param, seed=12, size=10**6)
    return request.param, x, squared_errors(x)


def squared_errors(x):
    exact = x.astype(np.float64)
    return {e: np.square(decode(encode(x, LBFP8, e), LBFP8, e) - exact).sum() for e in range(-2, 22)}


def lost(errors, exponent):
    """SQNR below that of the best exponent, in dB."""
    return 10 * math.log10(errors[exponent] / min(errors.values()))


def errors_of_all(errors, few):
    return {e: errors[e] + rest for e, rest in squared_errors(few.astype(np.float32)).items()}


def with_outliers(x):
    """The histogram of `x` and one to five outliers; the outliers, of equal and of different size and sign."""
    for size in SIZES:
        for few in (np.full(1, size), np.full(5, -size), size * np.array([1, -1.3, 2])):
            yield observed(x, few), few


def test_outliers_cost_less_than_a_decibel(million):
    """Of all values but those left out, against the best of all exponents by brute force. What the tail of a distribution
    explains is not left out."""
    _, x, errors = million
    for histogram, few in with_outliers(x):
        exponent = calibrate(histogram, LBFP8)
        explained = few[np.abs(few) <= 1.001 * histogram.filled(OUTLIERS)[0][-1]]
        assert lost(errors_of_all(errors, explained), exponent) < 1, (few, exponent)
        assert np.abs(explained).max(initial=0) < 4 * np.abs(x).max()


def test_outliers_that_count_are_held(million):
    """If none may be left out, the squared error is the least that any exponent has, of outliers and all."""
    _, x, errors = million
    for histogram, few in with_outliers(x):
        with warnings.catch_warnings(action="ignore", category=FlushedWarning):
            exponent = calibrate(histogram, LBFP8, outliers=0)
        assert lost(errors_of_all(errors, few), exponent) < 0.01, (few, exponent)


def test_outliers_do_not_move_the_exponent_of_least_divergence(million):
    """Those that are beyond the distribution's tail. Where that is short, the exponent is the best by squared error, too."""
    name, x, errors = million
    alone = calibrate(x, LBFP8, "kl")
    for histogram, few in with_outliers(x):
        if np.abs(few).min() > 4 * np.abs(x).max():
            assert calibrate(histogram, LBFP8, "kl") == alone
        if name in ("gaussian", "laplace"):
            assert lost(errors, calibrate(histogram, LBFP8, "kl")) < 1, few


def test_largest_value_follows_outliers_and_warns(million):
    for histogram, _ in with_outliers(million[1]):
        share = flushed(histogram, LBFP8, int(np.frexp(histogram.largest)[1]))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            exponent = calibrate(histogram, LBFP8, "max")
        assert exponent == np.frexp(histogram.largest)[1]
        assert len(caught) == (share > FLUSHED_LIMIT)
        if caught:
            assert caught[0].category is FlushedWarning and caught[0].filename == __file__
            assert f"{100 * share:.1f} % of the nonzero values are flushed to zero by lbfp8" in str(caught[0].message)
            assert "method 'mse'" in str(caught[0].message)


def test_share_that_is_flushed_is_that_of_codes():
    x = drawn("student_t4")
    x[:7] = 0
    for exponent in range(-3, 14):
        codes = encode(x[7:], LBFP8, exponent)
        assert flushed(observed(x), LBFP8, exponent) == np.mean(codes == 0)
    assert flushed(Histogram(), LBFP8, 0) == 0


def test_warning_of_a_slice_names_it():
    x = np.ones((4, 100))
    x[2, 0] = 1e5
    with pytest.warns(FlushedWarning, match=r"^99\.0 % of the nonzero values of slice 2 are flushed .* exponent 17 "):
        assert calibrate(x, LBFP8, "max", axis=0).tolist() == [1, 1, 17, 1]


def test_outliers_are_few_and_far_above():
    x = np.concatenate([np.ones(96), [1.4], [3], [50, 80]])
    for share, kept in ((0, 100), (0.01, 99), (0.02, 98), (0.03, 97), (0.04, 97), (0.499, 97)):
        assert observed(x).filled(share)[1].sum() == kept, share


@pytest.mark.parametrize(("name", "gap"), [("gaussian", 1.55), ("laplace", 1.9), ("student_t4", 4), ("lognormal", 4)])
def test_a_longer_tail_needs_a_wider_gap(name, gap):
    x = drawn(name)
    for factor, kept in ((gap, x.size), (1.3, x.size + 1)):
        assert observed(x, [factor * np.abs(x).max()]).filled(OUTLIERS)[1].sum() == kept


def test_a_small_tensor_has_no_outliers():
    """Of 1 / OUTLIERS values one may be an outlier, of fewer none."""
    size = round(1 / OUTLIERS)
    for count_, exponent in ((size - 2, 7), (size, 1)):
        assert calibrate(np.append(np.ones(count_ - 1), 64), LBFP8) == exponent


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CATALOG)
def test_candidates_are_in_range_and_fall(method, name):
    if isinstance(fmt := CATALOG[name], LogBlockFormat):
        for x in (drawn("lognormal"), np.array([1e-38, 1.0, 3e38])):
            found = list(losses(observed(x), fmt, method, outliers=0))
            assert found == sorted(found, reverse=True) and -128 <= found[-1] and found[0] <= 127


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
        (lambda: calibrate(np.ones(3), LBFP8, "entropy"), ValueError, r"method must be one of mse, kl, max, not 'entropy'"),
        (
            lambda: calibrate(np.ones(3), LBFP8, outliers=0.5),
            ValueError,
            r"outliers must be a share from 0 to below 0.5, not 0.5",
        ),
        (
            lambda: calibrate(np.ones(3), LBFP8, outliers=-1),
            ValueError,
            r"outliers must be a share from 0 to below 0.5, not -1",
        ),
        (lambda: calibrate(np.ones(3), LBFP8, axis=1), ValueError, r"axis must be an integer from -1 to 0, not 1"),
        (lambda: calibrate(Histogram(), LBFP8, axis=0), TypeError, r"axis needs an array: a Histogram has none"),
    ],
)
def test_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [2, 5, 16, 64, 128, 1000])
def test_few_values_are_not_clipped_away(size, method):
    """Of rows of weights as of long tensors: by no method is the loss far above the least, whatever was drawn."""
    rng = np.random.default_rng(17)
    x = rng.standard_normal((300, size)).astype(np.float32)
    exponents = calibrate(x, LBFP8, method, axis=0)
    highest = calibrate(x, LBFP8, "max", axis=0)
    assert (exponents >= highest - 2).all()
    errors, best = (
        np.square(decode(encode(x, LBFP8, chosen[:, None]), LBFP8, chosen[:, None]) - x).sum(axis=1)
        for chosen in (exponents, calibrate(x, LBFP8, "mse", axis=0))
    )
    assert (errors <= 10 * best + 1e-12).mean() > 0.99
