"""S2FP8 in fixed point, as the hardware encodes and decodes it."""

from functools import cache, lru_cache, partial
from typing import Literal, overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_choice, check_dtype, integers_for
from narrowfloat.golden.formats import FP32_INFINITY, FP32_MAN_BITS, FP32_SMALLEST_NORMAL
from narrowfloat.golden.parts import codes_and_flags, in_parts, take
from narrowfloat.golden.rounding import OVERFLOWS, LogFlag, round_to_odd
from narrowfloat.golden.s2fp8.exact import middles
from narrowfloat.golden.s2fp8.tensor import (
    ALPHA_FRACTION_BITS,
    ALPHA_RANGE,
    FORMAT,
    INFINITY,
    INVERSE_FRACTION_BITS,
    INVERSE_RANGE,
    MEAN_FRACTION_BITS,
    MEAN_RANGE,
    alpha_significand,
)
from narrowfloat.golden.steps import WORTH_STEPS, Steps
from numpy.typing import ArrayLike, NDArray

# The encoder: fraction bits of log2|X|, segments of its table, and fraction bits of log2|Y|.
LOG_BITS = 15
LOG_SEGMENTS = 64
POWER_BITS = 13
# The decoder: fraction bits of log2|X|, segments of the table of powers of two, and fraction bits of the results.
ANTILOG_BITS = 14
ANTILOG_SEGMENTS = 32
RESULT_BITS = 13


@overload
def encode(
    x: ArrayLike, alpha: ArrayLike, mean: ArrayLike, *, overflow: str = ..., flags: Literal[False] = ...
) -> NDArray[np.uint8]: ...
@overload
def encode(
    x: ArrayLike, alpha: ArrayLike, mean: ArrayLike, *, overflow: str = ..., flags: Literal[True]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def encode(
    x: ArrayLike, alpha: ArrayLike, mean: ArrayLike, *, overflow: str = "saturate", flags: bool = False
) -> NDArray[np.uint8] | tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """FP32 values as codes, as the hardware encodes them.

    ============================  =======================================  ==============================
    value                         code, with the value's sign              flag
    ============================  =======================================  ==============================
    zero                          zero
    FP32 subnormal                zero                                     FLUSHED
    rounds to zero                zero                                     FLUSHED
    rounds to above the largest   `overflow` "saturate": the largest       SATURATED
                                  finite one; "format": infinity
    infinity                      as what rounds to above the largest      INVALID with "saturate"
    NaN                           NaN
    ============================  =======================================  ==============================

    The logarithm of |x| is that of its significand's fraction cut to 15 bits, the last one set if any below is, by a table of
    64 straight lines. Less the mean and times alpha it is compared with the logarithms of the middles between neighbouring
    codes.

    Parameters
    ----------
    x : array_like
        float32, float16, bfloat16 or Python's own numbers (see `golden.arrays.as_fp32`), any shape.
    alpha, mean : int or numpy.ndarray
        As of `Parameters`; arrays of integers broadcast to the shape of `x`.
    overflow : str
        One of `golden.rounding.OVERFLOWS`.
    flags : bool
        Whether to return the flags too.

    Returns
    -------
    codes : numpy.ndarray
        uint8 in the shape of `x`.
    raised : numpy.ndarray
        Only if `flags`: uint8 in the shape of `x`, sets of `golden.rounding.LogFlag`.

    Raises
    ------
    TypeError
        `x` is of another dtype; `alpha` or `mean` is not of integers.
    ValueError
        `alpha` or `mean` is out of range or of another shape; `overflow` is not allowed.
    """
    x = as_fp32("x", x)
    check_choice("overflow", overflow, OVERFLOWS)
    alpha, mean = integers_for("alpha", alpha, *ALPHA_RANGE, x.shape), integers_for("mean", mean, *MEAN_RANGE, x.shape)
    nearest = _nearest
    if alpha.ndim == mean.ndim == 0 and x.size >= WORTH_STEPS:
        nearest = _steps(int(alpha), int(mean))
    largest = INFINITY if overflow == "format" else FORMAT.max_finite
    encoded = codes_and_flags(partial(_encode, nearest, largest), x.view(np.uint32), alpha, mean)
    return encoded if flags else encoded[0]


def decode(codes: ArrayLike, inverse: ArrayLike, mean: ArrayLike) -> NDArray[np.float32]:
    """Codes as FP32 values of 13 fraction bits, as the hardware decodes them.

    They are within 2**-12 of the exact values, where alpha is below 1 within 2**-12 / alpha: neighbouring codes are then
    further apart.

    What is below the smallest normal FP32 number becomes zero, what is 2**128 or more the largest number of 13 fraction bits,
    each with its sign. Infinity and NaN are kept, NaN with its mantissa and the quiet bit.

    Parameters
    ----------
    codes : numpy.ndarray
        uint8, any shape.
    inverse, mean : int or numpy.ndarray
        As of `Parameters`; arrays of integers broadcast to the shape of `codes`.

    Returns
    -------
    numpy.ndarray
        float32 in the shape of `codes`.

    Raises
    ------
    TypeError
        `codes` is not uint8; `inverse` or `mean` is not of integers.
    ValueError
        `inverse` or `mean` is out of range or of another shape.
    """
    codes = check_dtype("codes", codes, np.uint8)
    inverse = integers_for("inverse", inverse, *INVERSE_RANGE, codes.shape)
    mean = integers_for("mean", mean, *MEAN_RANGE, codes.shape)
    flat = codes.reshape(-1)
    if inverse.ndim == mean.ndim == 0:
        return take(_decode_table(int(inverse), int(mean)), flat).reshape(codes.shape)
    values = np.empty(flat.shape, np.float32)
    in_parts(lambda *part: (_decode(*part),), (values,), flat, inverse, mean)
    return values.reshape(codes.shape)


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


def _encode(nearest, largest, words, alpha, mean):
    """Codes and flags of FP32 words, uint32 [n]; `nearest` is `_nearest` or a table of it, `largest` what infinity becomes."""
    magnitude = words & np.uint32(0x7FFFFFFF)
    k = nearest(magnitude, alpha, mean) * (magnitude >= FP32_SMALLEST_NORMAL)
    is_flushed = (k == 0) & (magnitude > 0)
    raised = (k > FORMAT.max_finite) * np.uint8(LogFlag.SATURATED) | is_flushed * np.uint8(LogFlag.FLUSHED)
    codes = np.minimum(k, np.uint8(largest))
    is_special = magnitude >= FP32_INFINITY
    if is_special.any():
        is_nan = magnitude[is_special] > FP32_INFINITY
        codes[is_special] = np.where(is_nan, FORMAT.nan, largest)
        raised[is_special] = (~is_nan & (largest != INFINITY)) * np.uint8(LogFlag.INVALID)
    return codes | (words >> np.uint32(31)).astype(np.uint8) << 7, raised


def _nearest(magnitude, alpha, mean):
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


@lru_cache(maxsize=64)
def _steps(alpha, mean):
    steps = Steps(lambda magnitude: _nearest(magnitude, np.int32(alpha), np.int32(mean)))
    return lambda magnitude, *_: steps(magnitude)


@cache
def _magnitudes():
    """The nearest magnitude to 2**log2|Y|, uint8, for every log2|Y| from below the lowest threshold, and the first of these."""
    ends = thresholds()
    first = ends[0] - 1
    return np.searchsorted(ends, np.arange(first, ends[-1] + 1), side="right").astype(np.uint8), np.int32(first)


@cache
def _log2_fractions():
    return log2_fraction(np.arange(2**LOG_BITS)).astype(np.int32)


@lru_cache(maxsize=64)
def _decode_table(inverse, mean):
    return _decode(np.arange(256, dtype=np.uint8), np.int64(inverse), np.int64(mean))


def _decode(codes, inverse, mean):
    """FP32 values of codes, uint8 [n]."""
    magnitude = codes & np.uint8(0x7F)
    exponents, logs = _magnitude_logs()
    inverse = inverse.astype(np.int64)
    power = inverse * exponents[magnitude] + (inverse * logs[magnitude] >> ANTILOG_BITS)
    power += mean.astype(np.int64) << INVERSE_FRACTION_BITS - MEAN_FRACTION_BITS
    drop = INVERSE_FRACTION_BITS - ANTILOG_BITS
    power = power + (1 << drop - 1) >> drop
    significand = _antilogs()[power & 2**ANTILOG_BITS - 1] << FP32_MAN_BITS - RESULT_BITS
    words = (power >> ANTILOG_BITS << FP32_MAN_BITS) + significand
    largest = FP32_INFINITY - (1 << FP32_MAN_BITS - RESULT_BITS)
    words = np.where((words < FP32_SMALLEST_NORMAL) | (magnitude == 0), 0, np.minimum(words, largest)).astype(np.uint32)
    words = np.where(magnitude == INFINITY, np.uint32(FP32_INFINITY), words)
    quiet = FP32_INFINITY | 1 << FP32_MAN_BITS - 1 | (magnitude & np.uint32(3)) << FP32_MAN_BITS - 2
    words = np.where(magnitude > INFINITY, quiet, words) | (codes >> 7).astype(np.uint32) << 31
    return words.view(np.float32)


@cache
def _magnitude_logs():
    """Exponents of FP8 magnitudes, and the logarithms of their significands in units of 2**-14: int64 [128]."""
    exponent, mantissa = _normalized(np.arange(128))
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


def _normalized(magnitude):
    """Exponent and quarters of the significand of nonzero FP8 magnitudes."""
    subnormal = magnitude < 4
    exponent = np.where(subnormal, np.where(magnitude < 2, -16, -15), (magnitude >> 2) - FORMAT.bias)
    return exponent, np.where(subnormal, (magnitude == 3) * 2, magnitude & 3)
