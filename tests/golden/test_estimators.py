"""The estimators of `golden.statistics` against naive integers, and the claims that the paper makes for its own."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG, FloatFormat
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.rounding import ROUNDINGS, Flag
from narrowfloat.golden.statistics import (
    ExponentHistogram,
    LogMoments,
    MedianEstimator,
    MedianTracker,
    exact_median_bias,
    fit_bias,
    readout,
)

EVERY = (MedianEstimator, ExponentHistogram, MedianTracker, LogMoments)
# near one another, near the ends, and anything
words_ = st.lists(
    st.one_of(
        st.integers(0, 2**32 - 1),
        st.integers(0x3F7FFFF0, 0x3F80000F),
        st.sampled_from([0, 1, 0x7F7FFFFF, 0x7F800000, 0x800000]),
    ),
    min_size=1,
    max_size=80,
)


def counted(words):
    magnitudes = [word & 0x7FFFFFFF for word in words]
    return sorted(m for m in magnitudes if 0x00800000 <= m < 0x7F800000)


def as_beats(words, lanes=1):
    return np.array(words, np.uint32).reshape(-1, lanes)


def naive_pass(values, low, width, bins):
    """Counts of the bins, and below and above, with edges by repeated addition."""
    edges = [low]
    for _ in range(bins):
        edges.append(edges[-1] + width)
    counts = [sum(edges[i] <= v < edges[i + 1] for v in values) for i in range(bins)]
    counts[-1] += sum(v == edges[-1] for v in values)
    return counts, sum(v < low for v in values), sum(v > edges[-1] for v in values), edges


@given(st.lists(words_, min_size=4, max_size=4), st.integers(2, 32))
def test_median_estimator_by_the_papers_words(epochs, bins):
    estimator = MedianEstimator(1, bins=bins)
    values = counted(epochs[0])
    estimator.observe(as_beats(epochs[0]))
    estimator.end(0)
    assert estimator.raw(0)["pass"] == bool(values)
    assume(values)
    low, width = values[0], max(1, -(-(values[-1] - values[0]) // bins))
    passes = 1
    for epoch in epochs[1:]:
        estimator.observe(as_beats(epoch))
        values = counted(epoch)
        counts, below, above, edges = naive_pass(values, low, width, bins)
        raw = estimator.raw(0)
        assert (raw["low"], raw["reach"], raw["pass"]) == (low, width, passes)
        assert [raw[f"bin{i}"] for i in range(bins)] == counts
        assert (raw["below"], raw["above"], raw["total"]) == (below, above, len(values))
        assert raw["zeros"] == sum(word & 0x7F800000 == 0 for word in epoch)
        assert raw["specials"] == sum(word & 0x7F800000 == 0x7F800000 for word in epoch)
        estimator.end(0)
        if not values:
            continue
        half = -(-len(values) // 2)
        reached = [below + sum(counts[: i + 1]) >= half for i in range(bins)]
        half_bin = reached.index(True) if any(reached) else bins - 1
        assert estimator.raw(0)["drift"] == (below >= half or not any(reached))
        low, high, width = edges[half_bin], edges[half_bin + 1], max(1, -(-width // bins))
        passes += 1
    if passes == 4:
        median = (low + high) >> 1
        assert estimator.settled[0] and estimator.raw(0)["low"] == median
        assert estimator.bias[0] == min(max(143 - (median + 0x400000 >> 23), 10), 40)


@given(words_, st.integers(1, 254), st.integers(0, 60))
def test_exponent_histogram_by_counting(words, first, more):
    last = min(first + more, 254)
    histogram = ExponentHistogram(1, first=first, last=last)
    histogram.observe(as_beats(words))
    exponents = [min(max(v >> 23, first), last) for v in counted(words)]
    assert [histogram.raw(0)[f"exponent{e}"] for e in range(first, last + 1)] == [
        exponents.count(e) for e in range(first, last + 1)
    ]
    histogram.end(0)
    if exponents:
        assert histogram.raw(0)["median_exponent"] == exponents[(len(exponents) - 1) // 2]


@given(words_)
def test_histogram_with_a_bin_for_each_bias_answers_as_with_all_exponents(words):
    few, every = ExponentHistogram(1), ExponentHistogram(1, first=1, last=254)
    for histogram in (few, every):
        histogram.observe(as_beats(words))
        histogram.end(0)
    assert few.bias[0] == every.bias[0]
    if values := counted(words):
        exact = exact_median_bias(np.array(values, np.uint32).view(np.float32))
        assert few.bias[0] - exact in (0, 1)


@given(words_, st.sampled_from(["mitchell", "table"]))
def test_log_moments_by_exact_sums(words, log):
    moments = LogMoments(1, log=log)
    moments.observe(as_beats(words))
    moments.end(0)
    values = counted(words)
    assume(values)
    logs = np.log2(np.array(values, np.uint32).view(np.float32).astype(np.float64)) + 127
    raw = moments.raw(0)
    error = 0.5 / 256 + 1 / 256 + 1 / 256 if log == "table" else 0.0861 + 2 / 256
    assert -error <= raw["mean"] / 256 - logs.mean() <= 1 / 256
    assert -error <= raw["max"] / 256 - logs.max() <= 1 / 256
    assert raw["amax_window"] == values[-1]


@pytest.mark.parametrize("name", ["ab_e5m2", "float8_e4m3fn", "float8_e5m2", "float6_e2m3fn"])
def test_fit_bias_of_estimators_is_that_of_the_window(name):
    fmt = CATALOG[name]
    moments = LogMoments(1, fmt=fmt, bias_min=0, bias_max=63, history=1)
    rng = np.random.default_rng(5)
    exponent, fraction = divmod(fmt.max_finite, 2**fmt.man_bits)
    largest = Fraction(2**fmt.man_bits + fraction, 2**fmt.man_bits) * Fraction(2) ** exponent
    for value in [*(2.0 ** rng.uniform(-20, 10, 50)), *(float(largest * Fraction(2) ** -b) for b in range(1, 60))]:
        x = np.float32(value)
        moments.observe(np.full((1, 1), x))
        moments.end(0)
        fits = [b for b in range(64) if Fraction(float(x)) <= largest * Fraction(2) ** -b]
        assert moments.raw(0)["fit_bias"] == max(fits, default=0)


BIASED = {name: fmt for name, fmt in CATALOG.items() if isinstance(fmt, FloatFormat) and fmt.exp_bits <= 7}
every_biased = pytest.mark.parametrize("fmt", BIASED.values(), ids=BIASED)


@every_biased
def test_fit_bias_of_every_value(fmt):
    """Of every fraction, and of those about the largest number's with every exponent."""
    exponent, fraction = divmod(fmt.max_finite, 2**fmt.man_bits)
    largest = (1 + fraction / 2**fmt.man_bits) * 2.0**exponent
    near = (fraction << 23 - fmt.man_bits) + np.arange(-2, 3)
    words = np.add.outer(np.arange(1, 255) << 23, near[(near >= 0) & (near < 2**23)]).reshape(-1)
    for magnitudes in (np.arange(127 << 23, 128 << 23, dtype=np.uint32), words.astype(np.uint32)):
        biases, exact = fit_bias(fmt, magnitudes), magnitudes.view(np.float32).astype(np.float64)
        assert np.all(np.ldexp(largest, -biases) >= exact) and np.all(np.ldexp(largest, -biases - 1) < exact)


@every_biased
def test_no_rounding_overflows_at_fit_bias(fmt):
    """One bias further, nearest rounding may come back to the largest number from above; stochastic rounding overflows."""
    low, high = fmt.bias_range
    words = np.random.default_rng(6).integers(127 << 23, 128 << 23, 4000, dtype=np.uint32)
    for shift in (-9, 0, 9):
        magnitudes = words + np.uint32(shift % 512 << 23)
        biases = fit_bias(fmt, magnitudes)
        for bias in set(biases.tolist()) & set(range(low, high)):
            x = magnitudes[biases == bias].view(np.float32)
            every = {"random_bits": np.full(x.shape, 255), "sr_bits": 8}
            for rounding in ROUNDINGS:
                _, raised = encode(x, fmt, bias=bias, rounding=rounding, flags=True, **(every if rounding == "sr" else {}))
                assert not np.any(raised & Flag.OVERFLOW), (rounding, bias)
            _, raised = encode(x, fmt, bias=bias + 1, rounding="sr", flags=True, **every)
            largest = decode(np.array(fmt.max_finite, np.uint8), fmt, bias=bias + 1)
            step = largest - decode(np.array(fmt.max_finite - 1, np.uint8), fmt, bias=bias + 1)
            above = x > largest + step / 256
            assert np.all(raised[above] & Flag.OVERFLOW), bias


def test_fit_bias_does_not_count_on_rounding():
    """14.4 becomes 14, without a flag, at bias 28; and 16 by stochastic rounding."""
    x = np.float32([14.4])
    assert fit_bias("ab_e5m2", x.view(np.uint32)) == 27
    code, raised = encode(x, CATALOG["ab_e5m2"], bias=28, flags=True)
    assert decode(code, CATALOG["ab_e5m2"], bias=28) == 14 and not raised & Flag.OVERFLOW
    _, raised = encode(x, CATALOG["ab_e5m2"], bias=28, rounding="sr", random_bits=np.array([255]), sr_bits=8, flags=True)
    assert raised & Flag.OVERFLOW


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: fit_bias("ab_e5m2", [0x7FFFFF]),
            ValueError,
            "magnitudes must be an integer from 8388608 to 2139095039, not 8388607",
        ),
        (lambda: fit_bias("ab_e5m2", 14.4), TypeError, "magnitudes must be of integers, not float64"),
        (lambda: fit_bias(5, [0x800000]), TypeError, "fmt must be a FloatFormat"),
    ],
)
def test_what_fit_bias_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_window_forgets_the_oldest_tensor():
    moments = LogMoments(1, history=3)
    for value, largest in ((8, 8), (1, 8), (0, 8), (2, 8), (1, 2), (1, 2), (1, 1)):
        moments.observe(np.full((2, 2), value, np.float32))
        moments.end(0)
        assert np.uint32(moments.raw(0)["amax_window"]).view(np.float32) == largest


@pytest.mark.parametrize("estimator", EVERY)
def test_one_call_or_many_with_types_and_gaps(estimator):
    rng = np.random.default_rng(1)
    words = rng.integers(2**32, size=(500, 4), dtype=np.uint32)
    types, keep = rng.integers(3, size=500), rng.random((500, 4)) < 0.7
    whole, parts = estimator(3), estimator(3)
    for epoch in range(4):
        whole.observe(words, types, keep)
        for beat in range(500):
            parts.observe(words[beat : beat + 1], types[beat], keep[beat : beat + 1])
        for type_ in range(3):
            whole.end(type_, late=epoch)
            parts.end(type_, late=epoch)
            assert whole.raw(type_) == parts.raw(type_)
    assert whole.bias.tolist() == parts.bias.tolist()
    assert whole.settled.all()


@pytest.mark.parametrize("estimator", [MedianEstimator, ExponentHistogram, LogMoments])
def test_late_beats_are_missed(estimator):
    unit = estimator(2, cnt_width=5)
    unit.observe(np.ones((3, 4), np.float32))
    unit.end(0, late=2)
    unit.observe(np.ones((1, 4), np.float32))
    unit.observe(np.ones((3, 4), np.float32), 1)
    unit.observe(np.ones((2, 4), np.float32))
    assert (unit.raw(0)["total"], unit.raw(0)["missed"], unit.raw(1)["total"]) == (4, 8, 12)
    unit.observe(np.ones((100, 4), np.float32))
    assert unit.raw(0)["total"] == 31


def test_words_of_raw_statistics():
    assert readout.words({"total": 0x123456789A, "low": 5}, ("total", "total_high", "low")) == [0x3456789A, 0x12, 5]


def estimated(x, epochs, **keywords):
    estimator = MedianEstimator(1, **keywords)
    for _ in range(epochs):
        estimator.observe(x.reshape(-1, 1))
        estimator.end(0)
    return estimator


DISTRIBUTIONS = {
    "Gaussian": lambda rng, n: 0.02 * rng.standard_normal(n),
    "Laplace": lambda rng, n: 1e-3 * rng.laplace(size=n),
    "ReLU": lambda rng, n: np.maximum(rng.standard_normal(n), 0),
    "lognormal": lambda rng, n: 1e-5 * np.exp(3 * rng.standard_normal(n)),
    "Student-t": lambda rng, n: 10 * rng.standard_t(2, n),
}


def samples(name, count=2**15, outliers=False):
    x = DISTRIBUTIONS[name](np.random.default_rng(7), count).astype(np.float32)
    return np.concatenate([x, np.array([1e-38, 1e10] * 50, np.float32)]) if outliers else x


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_median_is_within_a_tenth_of_the_exact_one(name, outliers):
    """The paper's Fig. 5, and its bias."""
    x = samples(name, outliers=outliers)
    estimator = estimated(x, 4)
    median = np.uint32(estimator.raw(0)["low"]).view(np.float32)
    positive = np.sort(np.abs(x[x != 0]))
    assert abs(median / positive[(len(positive) - 1) // 2] - 1) < 0.1
    assert estimator.bias[0] == exact_median_bias(x)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_third_of_the_samples_moves_the_bias_by_one_at_most(name):
    x = samples(name)
    assert abs(estimated(x[::3], 4).bias[0] - exact_median_bias(x)) <= 1


def test_linear_bins_fall_to_outliers():
    x = samples("Gaussian", outliers=True)
    assert abs(estimated(x, 4).bias[0] - exact_median_bias(x)) == 0
    assert abs(estimated(x, 4, domain="linear").bias[0] - exact_median_bias(x)) >= 9
    assert estimated(samples("Gaussian"), 4, domain="linear").bias[0] == exact_median_bias(samples("Gaussian"))


def test_median_that_leaves_the_range_is_flagged():
    estimator = MedianEstimator(1)
    for scale, drift in ((1, 0), (1, 0), (2.0**-6, 1), (2.0**6, 1)):
        estimator.observe(samples("Gaussian").reshape(-1, 1) * np.float32(scale))
        estimator.end(0)
        assert estimator.raw(0)["drift"] == drift


def walk(tracker, x, lanes):
    """Biases after every beat."""
    biases = []
    for row in x[: len(x) // lanes * lanes].reshape(-1, lanes):
        tracker.observe(row[None])
        biases.append(int(tracker.bias[0]))
    return np.array(biases)


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_tracker_is_within_one_soon_and_stays(name, lanes, outliers):
    rng = np.random.default_rng(3)
    x = rng.permutation(samples(name, lanes * 3000, outliers))
    biases = walk(MedianTracker(1), x, lanes)
    soon = 1000 if name == "lognormal" else 150  # beats; so wide that a single value says little about the direction
    assert (np.abs(biases[soon:] - exact_median_bias(x)) <= 1).all()


def test_tracker_follows_drift():
    tracker, lanes = MedianTracker(1), 4
    x = samples("Gaussian", lanes * 6000)
    scale = 2.0 ** np.repeat(np.linspace(0, -6, 6000), lanes)
    biases = walk(tracker, (x * scale).astype(np.float32), lanes)
    wanted = exact_median_bias(x) + np.linspace(0, 6, 6000)
    assert (np.abs(biases - wanted)[50:] <= 2).all()
    settled = walk(tracker, (x * scale[-1]).astype(np.float32), lanes)
    assert (np.abs(settled[500:] - exact_median_bias((x * scale[-1]).astype(np.float32))) <= 1).all()


@pytest.mark.parametrize("lanes", [4, 16])
def test_tracker_holds_on_every_real_tensor(lanes):
    """After it has passed once, and from then on, though rows of errors and gradients differ by octaves: for one moment in ten
    it may run after them. How far depends on the training, whose last bits no two machines share."""
    for tensor in real_tensors()[0].values():
        x = tensor.reshape(-1)[: tensor.size // lanes * lanes].reshape(-1, lanes)
        tracker = MedianTracker(1)
        tracker.observe(x)
        distances = []
        for part in (x, *np.array_split(x, 50)):
            distances.append(abs(int(tracker.bias[0]) - exact_median_bias(tensor)))
            tracker.observe(part)
        assert np.mean(np.array(distances) > 1) <= 0.1 and max(distances) <= 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MedianEstimator(0), "types must be an integer from 1 to 16, not 0"),
        (lambda: MedianEstimator(bins=33), "bins must be an integer from 2 to 32, not 33"),
        (lambda: MedianEstimator(domain="log"), "domain must be one of bits, linear, not 'log'"),
        (lambda: MedianTracker(bias_min=20, initial_bias=19), "initial_bias must be an integer from 20 to 40, not 19"),
        (lambda: MedianEstimator(initial_bias=41), "initial_bias must be an integer from 10 to 40, not 41"),
        (lambda: ExponentHistogram(first=9, last=8), "first must be an integer from 1 to 8, not 9"),
        (lambda: LogMoments(log="ln"), "log must be one of mitchell, table, not 'ln'"),
        (lambda: MedianTracker(run=3), "run must be one of 2, 4, 8, 16, 32, 64, not 3"),
        (lambda: MedianTracker().observe(np.ones(3, np.float32)), r"words and keep must be \[beats, lanes\], not \(3,\)"),
        (lambda: MedianTracker().observe(np.ones((2, 1), np.float32), [0, 4]), "types must be an integer from 0 to 3, not 4"),
        (lambda: LogMoments(fmt="e8m5_ieee"), "fmt must have at most 7 exponent bits, unlike e8m5_ieee"),
        (lambda: MedianTracker().end(4), "type must be an integer from 0 to 3, not 4"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wrong_dtype():
    with pytest.raises(TypeError, match=r"words must be float32 or uint32, not float64: convert with \.astype\(np\.float32\)"):
        MedianEstimator().observe(np.ones((1, 1)))
