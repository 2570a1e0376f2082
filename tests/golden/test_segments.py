"""Segmented sums: each step against whole numbers, results against exact sums and against FP32 accumulation."""

from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.golden.bfp import SegmentedSums, accumulate_fp32, accumulate_segmented, segmented_width
from narrowfloat.golden.bfp.segments import HIGHEST_WEIGHT, LOWEST_WEIGHT

BITS = 9  # of a pass of 16 lanes
ROOM = segmented_width(BITS)


def exact(sums, weights):
    """The sum of ``sums * 2**weights`` along the first axis, fractions."""
    terms = np.vectorize(lambda s, w: int(s) * Fraction(2) ** int(w), otypes=[object])(sums, weights)
    return terms.sum(axis=0)


def rounded(value):
    """A fraction as binary32: to nearest even, zero below the smallest normal number after that, infinity above the largest."""
    if value == 0:
        return np.float32(0)
    sign, magnitude = (-1 if value < 0 else 1), abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent -= magnitude < Fraction(2) ** exponent
    unit = Fraction(2) ** (exponent - 23)
    whole = round(magnitude / unit) * unit  # Python rounds halves to even
    if whole < Fraction(2) ** -126:
        return np.float32(sign * 0.0)
    return np.float32(sign * (np.inf if whole >= Fraction(2) ** 128 else float(whole)))


def added(sums, weights, bits=BITS, start=None):
    """All rows of `sums` and `weights` added, one after the other."""
    total = SegmentedSums.zeros(sums.shape[1:]) if start is None else start
    for row, weight in zip(sums, weights, strict=True):
        total = accumulate_segmented(total, row, weight, bits=bits)
    return total


def value(total, at=()):
    """What sums mean, fractions."""
    return int(total.integers[at]) * Fraction(2) ** (8 * (int(total.places[at]) - 2) + LOWEST_WEIGHT)


def same(got, want):
    return np.array_equal(np.asarray(got, np.float32).view(np.uint32), np.asarray(want, np.float32).view(np.uint32))


def passes(rng, count, trials, spread, bits=BITS):
    """Sums of every size, some of them zero or the largest, at weights up to `spread` from the first one's."""
    largest = 2 ** (bits - 1) - 1
    sums = rng.integers(-largest, largest + 1, (count, trials)) >> rng.integers(0, bits, (count, trials))
    sums = np.where(rng.random(sums.shape) < 0.1, rng.choice([-1, 1], sums.shape) * largest, sums)
    sums[0] = np.where(sums[0] == 0, 1, sums[0])
    first = rng.integers(-90, 60, trials)
    weights = first + rng.integers(-spread, spread + 1, sums.shape)
    weights[0] = first
    return sums, weights


def step(m, q, begun, s, w, bits):
    """One addition of whole numbers, as the definition has it."""
    if s == 0:
        return m, q, begun
    place, within = (w + 288) // 8, (w + 288) % 8
    a = s * 2**within
    limit = 2 ** (bits + 40 - 2)
    if not begun:
        return a * 2**16, place, True
    byte, above_half = place - q + 2, 0
    if byte > 4 or not -limit <= m < limit:
        above_half |= m // 2**15 % 2
        m, q, byte = m // 2**16, q + 2, byte - 2
    if byte > 4:
        return a * 2**16, place, True
    if byte >= 0:
        return m + a * 256**byte + above_half, q, True
    if -byte < -(-(bits + 7) // 8):
        above_half |= a // (256**-byte // 2) % 2
        m += a // 256**-byte
    return m + above_half, q, True


@pytest.mark.parametrize("bits", [7, 9, 13, 23])
def test_every_step_is_that_of_the_definition(bits):
    rng = np.random.default_rng(bits)
    trials, width = 400, segmented_width(bits)
    largest = 2 ** (bits - 1) - 1
    spread = rng.choice([0, 4, 16, 40, 120], trials)
    middle = rng.integers(-150, 120, trials)
    total = SegmentedSums.zeros((trials,))
    want = [(0, 0, False)] * trials
    moved = 0
    for _ in range(60):
        sums = rng.integers(-largest, largest + 1, trials) >> rng.integers(0, bits + 1, trials)
        # most of one sign and large, so that sums grow out of their range
        sums = np.where(rng.random(trials) < 0.5, largest, sums)
        weights = np.clip(middle + rng.integers(-spread, spread + 1), LOWEST_WEIGHT, HIGHEST_WEIGHT)
        before = total.places
        total = accumulate_segmented(total, sums, weights, bits=bits)
        want = [step(*each, int(s), int(w), bits) for each, s, w in zip(want, sums, weights, strict=True)]
        for trial, (m, q, begun) in enumerate(want):
            assert begun == total.begun[trial]
            assert not begun or (m, q) == (total.integers[trial], total.places[trial])
            assert abs(m) < 2 ** (width - 1)
        moved += (total.places != before).sum()
    assert moved > trials


def test_sums_within_16_of_the_first_weight_are_exact_and_none_is_closer():
    """No FP32 accumulator is closer to any of those that stay where they began, and to most it is less close."""
    rng = np.random.default_rng(1)
    sums, weights = passes(rng, 200, 300, 16)
    total = added(sums, weights)
    fp32 = np.zeros(300, np.float32)
    for row, weight in zip(sums, weights, strict=True):
        fp32 = accumulate_fp32(fp32, row, weight)
    (stayed,) = np.nonzero(total.places == (weights[0] - LOWEST_WEIGHT) // 8)
    assert len(stayed) > 100
    want = exact(sums[:, stayed], weights[:, stayed])
    assert all(value(total, trial) == each for trial, each in zip(stayed, want, strict=True))
    got = total.to_fp32()[stayed]
    assert same(got, [rounded(each) for each in want])
    ours, theirs = ([abs(Fraction(float(x)) - y) for x, y in zip(each, want, strict=True)] for each in (got, fp32[stayed]))
    assert all(a <= b for a, b in zip(ours, theirs, strict=True))
    assert sum(a < b for a, b in zip(ours, theirs, strict=True)) > len(stayed) / 2


def test_sums_that_outgrow_their_range_keep_the_bound():
    """n additions within 16 of the first weight: an error below n * 2**-(W - 18) of the largest sum on the way."""
    rng = np.random.default_rng(2)
    sums, weights = passes(rng, 300, 40, 16)
    sums = np.abs(sums) | 192  # of one sign
    total, peak = SegmentedSums.zeros((40,)), np.zeros(40, object)
    for count in range(300):
        total = accumulate_segmented(total, sums[count], weights[count], bits=BITS)
        peak = np.maximum(peak, [abs(value(total, trial)) for trial in range(40)])
    want = exact(sums, weights)
    errors = [abs(value(total, trial) - want[trial]) for trial in range(40)]
    assert any(errors) and (total.places > (weights[0] - LOWEST_WEIGHT) // 8).any()
    assert all(error < 300 * largest * Fraction(2) ** (18 - ROOM) for error, largest in zip(errors, peak, strict=True))


@pytest.mark.parametrize("spread", [24, 48])
def test_bound_beyond_the_range(spread):
    """2**-16 of the unit of the largest weight for each addition, and more where a sum is dropped."""
    rng = np.random.default_rng(3)
    sums, weights = passes(rng, 60, 100, spread)
    total = added(sums, weights)
    want = exact(sums, weights)
    largest = np.where(sums != 0, weights, LOWEST_WEIGHT).max(axis=0)
    unit = [Fraction(2) ** int(each) for each in largest]
    bound = 60 * Fraction(2) ** -16 + (spread > 32) * Fraction(2) ** (ROOM - 57)
    errors = [abs(value(total, trial) - want[trial]) for trial in range(100)]
    assert any(errors)
    assert all(error < bound * each for error, each in zip(errors, unit, strict=True))


@pytest.mark.parametrize("spread", [8, 16, 24])
def test_mean_error_is_a_fraction_of_that_of_fp32(spread):
    """Of sums of many passes whose weights are anywhere in a range, so that the first may be at either end of it."""
    rng = np.random.default_rng(4)
    trials, count = 100, 512
    sums = np.rint(rng.normal(0, 40, (count, trials))).astype(np.int64)
    weights = rng.integers(-spread, spread + 1, sums.shape)
    total, fp32 = added(sums, weights), np.zeros(trials, np.float32)
    for row, weight in zip(sums, weights, strict=True):
        fp32 = accumulate_fp32(fp32, row, weight)
    want = exact(sums, weights)
    scale = exact(np.abs(sums), weights)
    ours = np.array([float(abs(value(total, t) - want[t]) / scale[t]) for t in range(trials)])
    theirs = np.array([float(abs(Fraction(float(fp32[t])) - want[t]) / scale[t]) for t in range(trials)])
    assert ours.mean() < theirs.mean() / 8


def test_results_are_rounded_once():
    """Ties and both neighbours, powers of two of either sign, and the ends of binary32."""
    rng = np.random.default_rng(5)
    heads = rng.integers(2**23, 2**24, 300)
    integers = [sign * (int(head) * 2**k + extra) for head in (*heads, 2**23, 2**24 - 1) for k in (1, 8, 23) for sign in (-1, 1)
                for extra in (2 ** (k - 1) - 1, 2 ** (k - 1), 2 ** (k - 1) + 1, 0)]  # fmt: skip
    integers += [sign * 2**k for k in range(48) for sign in (-1, 1)] + [0, 1, -1, 2**47 - 1, 1 - 2**47]
    for place in (0, 14, 15, 16, 17, 18, 19, 20, 36, 47, 48, 49, 50, 51, 70, 100):
        places = np.full(len(integers), place)
        total = SegmentedSums(np.array(integers), places, np.ones(len(integers), bool), np.zeros(len(integers), bool))
        assert same(total.to_fp32(), [rounded(value(total, number)) for number in range(len(integers))])


def test_sums_go_on_from_fp32():
    rng = np.random.default_rng(6)
    words = np.concatenate([rng.integers(0, 2**32, 20000), [0x00800000, 0x80800000, 0x7F7FFFFF]]).astype(np.uint32)
    values = words.view(np.float32)
    normal = np.isfinite(values) & (np.abs(values) >= 2.0**-126)
    total = SegmentedSums.of_fp32(values)
    assert same(total.to_fp32()[normal], values[normal])
    assert np.array_equal(total.begun, normal | ~np.isfinite(values))
    special = SegmentedSums.of_fp32(np.float32([np.inf, -np.inf, np.nan, 0, -0.0, 2.0**-127]))
    assert same(special.to_fp32(), [np.inf, -np.inf, np.nan, 0, 0, 0])
    # Infinity is 2**128, of which something may be taken away.
    less = accumulate_segmented(special[:1], np.array([-200]), np.array([118]), bits=BITS)
    assert less.to_fp32() == np.float32(2.0**128 - 200 * 2.0**118)


def test_nan_stays():
    total = accumulate_segmented(SegmentedSums.zeros((2,)), np.array([0, 5]), np.array([0, 0]), bits=BITS, nan=[True, False])
    total = accumulate_segmented(total, np.array([3, 0]), np.array([100, 255]), bits=BITS)
    assert same(total.to_fp32(), [np.nan, 5])


@pytest.mark.parametrize(
    ("sums", "weights", "bits", "message"),
    [
        ([256], [0], 9, "sums must be an integer from -256 to 255, not 256"),
        ([0], [-289], 9, "weights must be an integer from -288 to 255, not -289"),
        ([0], [256], 9, "weights must be an integer from -288 to 255, not 256"),
        ([0], [0], 24, "bits must be an integer from 2 to 23, not 24"),
    ],
)
def test_what_is_out_of_range_is_refused(sums, weights, bits, message):
    with pytest.raises(ValueError, match=message):
        accumulate_segmented(SegmentedSums.zeros((1,)), np.array(sums), np.array(weights), bits=bits)
