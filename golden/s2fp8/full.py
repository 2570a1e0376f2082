"""S2FP8 of full precision: logarithms and powers of two by straight lines, which are all but exact for FP8."""

from functools import cache

import numpy as np
from narrowfloat.golden.formats import FP32_MAN_BITS
from narrowfloat.golden.rounding import round_to_odd
from narrowfloat.golden.s2fp8.exact import middles
from narrowfloat.golden.s2fp8.tensor import (
    ALPHA_FRACTION_BITS,
    ALPHA_RANGE,
    FORMAT,
    INVERSE_FRACTION_BITS,
    MEAN_FRACTION_BITS,
    alpha_significand,
    normalized,
)
from numpy.typing import ArrayLike, NDArray

# The encoder: fraction bits of log2|X|, segments of its table, and fraction bits of log2|Y|.
LOG_BITS = 15
LOG_SEGMENTS = 64
POWER_BITS = 13
# The decoder: fraction bits of log2|X|, segments of the table of powers of two, and fraction bits of the results.
ANTILOG_BITS = 14
ANTILOG_SEGMENTS = 32
RESULT_BITS = 13


def log_nodes() -> NDArray[np.int64]:
    """The ends of the straight lines that stand for log2(1 + f), in units of 2**-15: int64 [65].

    At f = i / 64, raised by a twelfth of the curvature times the square of the width, so that the lines are off by 0 in the
    mean. At the eighths they are multiples of 2**-12: there are the middles between codes, and at alpha = 1 a value in the
    middle must be known from its neighbours.
    """
    i = np.arange(LOG_SEGMENTS + 1)
    exact = np.log2(1 + i / LOG_SEGMENTS) + np.log2(np.e) / (12 * (LOG_SEGMENTS + i) ** 2)
    unit = np.where(i % (LOG_SEGMENTS // 8), 1, 2 ** (LOG_BITS - POWER_BITS + 1))
    return np.rint(exact * 2**LOG_BITS / unit).astype(np.int64) * unit


def log2_fraction(fraction: ArrayLike) -> NDArray[np.int64]:
    """log2(1 + f) in units of 2**-15, from f in units of 2**-15: int64 of its shape."""
    return _on_lines(log_nodes(), fraction, LOG_BITS)


def antilog(fraction: ArrayLike) -> NDArray[np.int64]:
    """2**f - 1 in units of 2**-13, by straight lines, from f in units of 2**-14: int64 of its shape.

    The fractions nearest to log2 of 1.25, 1.5 and 1.75 give exactly these.
    """
    return _on_lines(antilog_nodes(), fraction, ANTILOG_BITS)


def antilog_nodes() -> NDArray[np.int64]:
    """The ends of the straight lines that stand for 2**f - 1, in units of 2**-13: int64 [33].

    At f = i / 32, lowered by a twelfth of the curvature times the square of the width; the first one is 0.
    """
    i = np.arange(ANTILOG_SEGMENTS + 1)
    exact = np.exp2(i / ANTILOG_SEGMENTS) * (1 - (np.log(2) / ANTILOG_SEGMENTS) ** 2 / 12) - 1
    return np.rint(np.maximum(exact, 0) * 2**RESULT_BITS).astype(np.int64)


def thresholds() -> NDArray[np.int64]:
    """The least log2|Y| of each magnitude from 1 to 124, which is above the largest, in units of 2**-13: int64 [124], rising.

    Those of the middles between a magnitude and the one below, and for the odd ones, to which no tie goes, one unit more.
    """
    significand, exponent = np.frexp(middles())
    eighths = (significand * 16 - 8).astype(np.int64)
    logs = log_nodes()[eighths * LOG_SEGMENTS // 8] >> LOG_BITS - POWER_BITS
    return (exponent.astype(np.int64) - 1 << POWER_BITS) + logs + np.arange(1, FORMAT.max_finite + 2) % 2


def nearest(magnitude: NDArray[np.uint32], alpha: NDArray[np.int32], mean: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The code of the number nearest to each magnitude, uint32 [n], if it is that of a normal number: uint8, at most 124."""
    kept = round_to_odd(magnitude, np.uint32(FP32_MAN_BITS - LOG_BITS))
    fraction = kept & np.uint32(2**LOG_BITS - 1)
    distance = (kept - fraction).view(np.int32) + _log2_fractions()[fraction]  # < 2**23, as is the mean
    distance -= mean << LOG_BITS - MEAN_FRACTION_BITS
    largest_exponent = ALPHA_RANGE[1] >> ALPHA_FRACTION_BITS
    distance <<= largest_exponent + POWER_BITS - LOG_BITS  # by 5 places, to at most 2**28 in magnitude
    distance = round_to_odd(distance, largest_exponent - (alpha >> ALPHA_FRACTION_BITS))
    # Times alpha's significand of 8 bits, cut: in two products, so that both are below 2**30.
    significand = alpha_significand(alpha)
    power = (distance & 2**ALPHA_FRACTION_BITS - 1) * significand >> ALPHA_FRACTION_BITS
    power += (distance >> ALPHA_FRACTION_BITS) * significand
    above, first = _magnitudes()
    power -= first
    return above.take(power, mode="clip")


def words(magnitude: NDArray[np.uint8], inverse: NDArray[np.int64], mean: NDArray[np.int64]) -> NDArray[np.int64]:
    """The FP32 words of magnitudes of numbers, uint8 [n], as if FP32's exponents had no limits."""
    exponents, logs = _magnitude_logs()
    power = inverse * exponents[magnitude] + (inverse * logs[magnitude] >> ANTILOG_BITS)
    power += mean << INVERSE_FRACTION_BITS - MEAN_FRACTION_BITS
    drop = INVERSE_FRACTION_BITS - ANTILOG_BITS
    power = power + (1 << drop - 1) >> drop
    significand = _antilogs()[power & 2**ANTILOG_BITS - 1] << FP32_MAN_BITS - RESULT_BITS
    return (power >> ANTILOG_BITS << FP32_MAN_BITS) + significand


@cache
def _magnitudes():
    """The nearest magnitude to 2**log2|Y|, uint8, for every log2|Y| from below the lowest threshold, and the first of these."""
    ends = thresholds()
    first = ends[0] - 1
    return np.searchsorted(ends, np.arange(first, ends[-1] + 1), side="right").astype(np.uint8), np.int32(first)


@cache
def _log2_fractions():
    return log2_fraction(np.arange(2**LOG_BITS)).astype(np.int32)


@cache
def _magnitude_logs():
    """Exponents of FP8 magnitudes, and the logarithms of their significands in units of 2**-14: int64 [128]."""
    exponent, mantissa = normalized(np.arange(128))
    quarters = np.rint(np.log2(1 + np.arange(4) / 4) * 2**ANTILOG_BITS).astype(np.int64)
    return exponent, quarters[mantissa]


@cache
def _antilogs():
    return antilog(np.arange(2**ANTILOG_BITS))


def _on_lines(nodes, fraction, bits):
    """The height at `fraction`, of so many bits, of straight lines from node to node, rounded to nearest."""
    fraction = np.asarray(fraction, np.int64)
    below = bits - (len(nodes) - 1).bit_length() + 1
    segment, rest = fraction >> below, fraction & 2**below - 1
    return nodes[segment] + (np.diff(nodes)[segment] * rest + 2 ** (below - 1) >> below)
