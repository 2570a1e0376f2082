"""S2FP8 of short precision: logarithms and powers of two of 8 bits by tables, products by few and short summands.

What it loses beside full precision is 0.1 dB at most where codes themselves have a signal-to-noise ratio of 38 dB.
"""

from functools import cache

import numpy as np
from narrowfloat.golden.formats import FP32_MAN_BITS
from narrowfloat.golden.s2fp8.exact import middles
from narrowfloat.golden.s2fp8.tensor import (
    ALPHA_FRACTION_BITS,
    ALPHA_RANGE,
    INVERSE_FRACTION_BITS,
    MEAN_FRACTION_BITS,
    normalized,
)
from numpy.typing import NDArray

# Fraction bits of log2|X| and log2|Y| in the encoder; of log2|X|, of the results and of their table in the decoder.
LOG_BITS = 8
RESULT_BITS = 8
# The decoder: fraction bits of the logarithms of quarters, and how many more its summands have than their sum.
QUARTER_BITS = 7
GUARD_BITS = 2
# Beyond 32 octaves from the mean, before the product with alpha's significand, a code is the largest or zero.
_REACH = 32 << LOG_BITS


def log_table() -> NDArray[np.int64]:
    """log2(1 + f) in the middle of each of 256 intervals of f, in units of 2**-8, at most 255: int64 [256]."""
    middle = (np.arange(2**LOG_BITS) + 0.5) / 2**LOG_BITS
    return np.minimum(np.rint(np.log2(1 + middle) * 2**LOG_BITS), 2**LOG_BITS - 1).astype(np.int64)


def eighth_logs() -> NDArray[np.int64]:
    """Where rounding goes up, in units of 2**-8: 0, and what the table has of 1 + 1 / 8 to 1 + 7 / 8: int64 [8]."""
    return log_table()[:: 2**LOG_BITS // 8] * (np.arange(8) > 0)


def quarter_logs() -> NDArray[np.int64]:
    """log2 of 1, 1.25, 1.5 and 1.75 in units of 2**-7: int64 [4]."""
    return np.rint(np.log2(1 + np.arange(4) / 4) * 2**QUARTER_BITS).astype(np.int64)


def antilog_table() -> NDArray[np.int64]:
    """2**f - 1 in units of 2**-8, from f in units of 2**-8, at the logarithms of quarters exactly these: int64 [256]."""
    table = np.rint((np.exp2(np.arange(2**LOG_BITS) / 2**LOG_BITS) - 1) * 2**RESULT_BITS).astype(np.int64)
    table[quarter_logs() << LOG_BITS - QUARTER_BITS] = np.arange(4) << RESULT_BITS - 2
    return table


def nearest(magnitude: NDArray[np.uint32], alpha: NDArray[np.int32], mean: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The code of the number nearest to each magnitude, uint32 [n], if it is that of a normal number: uint8, at most 124.

    It never falls as the magnitude grows: when the distance from the mean rises by 1, the multiple of it that is not rounded
    rises by 1 and of all others, each a power of two of it rounded to nearest, no two change at once.
    """
    kept = (magnitude >> np.uint32(FP32_MAN_BITS - LOG_BITS)).view(np.int32)
    fraction = kept & 2**LOG_BITS - 1
    distance = kept - fraction + _log_table()[fraction] - (mean << LOG_BITS - MEAN_FRACTION_BITS)
    largest_exponent = ALPHA_RANGE[1] >> ALPHA_FRACTION_BITS
    distance = (distance << largest_exponent) >> largest_exponent - (alpha >> ALPHA_FRACTION_BITS)
    distance = np.clip(distance, -_REACH, _REACH - 1)
    power = distance + _product(distance, alpha & 2**ALPHA_FRACTION_BITS - 1, ALPHA_FRACTION_BITS)
    above, first = _magnitudes()
    return above.take(power - first, mode="clip")


def words(magnitude: NDArray[np.uint8], inverse: NDArray[np.int64], mean: NDArray[np.int64]) -> NDArray[np.int64]:
    """The FP32 words of magnitudes of numbers, uint8 [n], as if FP32's exponents had no limits."""
    exponents, quarters = normalized(magnitude.astype(np.int64))
    logs = (exponents << QUARTER_BITS) + quarter_logs()[quarters]
    drop = INVERSE_FRACTION_BITS - LOG_BITS - GUARD_BITS
    power = _product(inverse, logs, QUARTER_BITS + drop) + (mean << LOG_BITS + GUARD_BITS - MEAN_FRACTION_BITS)
    power = power + (1 << GUARD_BITS - 1) >> GUARD_BITS
    significand = _antilog_table()[power & 2**LOG_BITS - 1] << FP32_MAN_BITS - RESULT_BITS
    return (power >> LOG_BITS << FP32_MAN_BITS) + significand


def _product(value, factor, places):
    """`value` times `factor`, of at most 12 bits, times 2**-`places`: a sum of a summand, rounded to nearest, for each digit.

    Digits are from -2 to 2, each worth four times the one below, as Booth has them: twice a bit, with the other sign, and the
    two bits below. Halves are rounded up before a summand gets its sign.
    """
    total = np.zeros(np.broadcast_shapes(np.shape(value), np.shape(factor)), np.asarray(value).dtype)
    for digit in range(6):
        two, one, below = (factor << 1 >> 2 * digit + place & 1 for place in (2, 1, 0))
        size, down = one + below - 2 * two, places - 2 * digit
        for times in (1, 2):
            # Of a factor with fewer digits those above are 0.
            shift = max(down - times + 1, 0)
            summand = value + (1 << shift >> 1) >> shift
            total += np.where(np.abs(size) == times, np.sign(size) * summand, 0).astype(total.dtype)
    return total


@cache
def _magnitudes():
    """The nearest magnitude to 2**log2|Y|, uint8, for every log2|Y| from below the lowest threshold, and the first of these.

    Ties go up: a threshold is the middle between a magnitude and the one below.
    """
    significand, exponent = np.frexp(middles())
    eighths = (significand * 16 - 8).astype(np.int64)
    ends = (exponent.astype(np.int64) - 1 << LOG_BITS) + eighth_logs()[eighths]
    first = ends[0] - 1
    return np.searchsorted(ends, np.arange(first, ends[-1] + 1), side="right").astype(np.uint8), np.int32(first)


@cache
def _log_table():
    return log_table().astype(np.int32)


@cache
def _antilog_table():
    return antilog_table()
