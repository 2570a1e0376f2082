"""S2FP8: tensors shifted and squeezed into FP8, exactly as Cambier et al. have it, and in fixed point, bit-exact to `hdl.s2fp8`.

A tensor X is stored as codes Y of 1 sign, 5 exponent and 2 mantissa bits, ``float8_e5m2``, with two numbers of its own:

    log2|Y| = alpha * log2|X| + beta = alpha * (log2|X| - mu),  alpha = 15 / (m - mu),  beta = -alpha * mu

where mu is the mean and m the largest log2|X| of what is not zero, so that log2|Y| has the mean 0 and its largest is 15.

`exact_parameters`, `exact_encode` and `exact_decode` are that in float64. `encode` and `decode` are what the hardware does. It
takes alpha, mu and 1 / alpha as integers, see `Parameters`: with mu in the place of beta, which may be 15000, all factors are
short. With alpha = 1 and whole beta they are the plain codec of ``float8_e5m2`` with the bias 15 + beta, bit for bit.

Source: L. Cambier et al., "Shifted and Squeezed 8-bit Floating Point format for Low-Precision Training of Deep Neural
Networks", ICLR 2020, arXiv 2001.05674.
"""

from dataclasses import dataclass

import numpy as np
from narrowfloat.golden.checks import check_int, integers_for
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.lbfp import Flag
from narrowfloat.golden.statistics import FP32_SMALLEST_NORMAL, LogMoments

FORMAT = CATALOG["float8_e5m2"]

# alpha is an exponent and a fraction, the others are fixed-point numbers.
ALPHA_FRACTION_BITS = 7
ALPHA_RANGE = -8 << ALPHA_FRACTION_BITS, (8 << ALPHA_FRACTION_BITS) - 1
MEAN_FRACTION_BITS = 8
MEAN_RANGE = 0, 2**16 - 1
INVERSE_FRACTION_BITS = 17
INVERSE_RANGE = 0, 2**22 - 1
# m - mu is 2**-3 at least, in units of 2**-8: of tensors whose numbers are all alike alpha is then 120.
MIN_SPREAD = 32

# The encoder: fraction bits of log2|X|, segments of its table, and fraction bits of log2|Y|.
LOG_BITS = 15
LOG_SEGMENTS = 64
POWER_BITS = 13
# The decoder: fraction bits of log2|X|, segments of the table of powers of two, and fraction bits of the results.
ANTILOG_BITS = 14
ANTILOG_SEGMENTS = 32
RESULT_BITS = 13

_FP32_BIAS = 127
_FP32_MAN_BITS = 23
_FP32_INFINITY = 255 << _FP32_MAN_BITS
_SIGN = 0x80
_MAX = FORMAT.max_finite
_PART = 2**16  # long arrays are worked off in parts whose intermediate results stay in the cache


@dataclass(frozen=True)
class Parameters:
    """What a tensor's codes are written and read with, as integers.

    ========  ==============================================================================================================
    alpha     exponent and fraction, a number from -1024 to 1023 that means ``2**(alpha >> 7) * (1 + (alpha & 127) / 128)``
    mean      mu + 127, so that it is positive, as FP32's exponents are, in units of 2**-8 and 16 bits
    inverse   1 / alpha in units of 2**-17 and 22 bits, that is below 32
    ========  ==============================================================================================================
    """

    alpha: int
    mean: int
    inverse: int

    def __post_init__(self):
        check_int("alpha", self.alpha, *ALPHA_RANGE)
        check_int("mean", self.mean, *MEAN_RANGE)
        check_int("inverse", self.inverse, *INVERSE_RANGE)

    @property
    def squeeze(self):
        """alpha as a float."""
        return float(_alpha_significand(self.alpha)) * 2.0 ** ((self.alpha >> ALPHA_FRACTION_BITS) - ALPHA_FRACTION_BITS)

    @property
    def shift(self):
        """beta = -alpha * mu as a float."""
        return -self.squeeze * (self.mean / 2**MEAN_FRACTION_BITS - _FP32_BIAS)

    @classmethod
    def of_bias(cls, bias):
        """Those of the plain codec with an exponent bias, an integer from 0 to 63: alpha = 1, beta = bias - 15."""
        FORMAT.check_bias(bias)
        return cls(0, _FP32_BIAS + FORMAT.bias - bias << MEAN_FRACTION_BITS, 1 << INVERSE_FRACTION_BITS)


def parameters(mean, largest):
    """Parameters from the statistics of a tensor, bit-exact to `hdl.s2fp8.S2Parameters`.

    With ``d = max(largest - mean, 32)``, both sides of alpha = 15 / (m - mu) in units of 2**-8: alpha is ``3840 / d``, its
    significand cut to 8 bits; 1 / alpha is that of this alpha, rounded to nearest.

    Parameters
    ----------
    mean, largest : int
        Of U = log2|x| + 127 in units of 2**-8, 0 to 65535, as ``raw(type)["mean"]`` and ``["max"]`` of
        `golden.statistics.LogMoments`. Largest 0, which it has before it has seen any value that counts, gives alpha = 1 and
        mu = 0.

    Returns
    -------
    Parameters

    Raises
    ------
    ValueError
        A statistic is out of its range.
    """
    check_int("mean", mean, 0, 65535)
    check_int("largest", largest, 0, 65535)
    if largest == 0:
        return Parameters.of_bias(FORMAT.bias)
    spread = max(largest - mean, MIN_SPREAD)
    exponent = 7
    while (
        significand := _shifted(15 << MEAN_FRACTION_BITS, ALPHA_FRACTION_BITS - exponent) // spread
    ) < 2**ALPHA_FRACTION_BITS:
        exponent -= 1
    alpha = (exponent << ALPHA_FRACTION_BITS) + significand - 2**ALPHA_FRACTION_BITS
    return Parameters(alpha, mean, inverse(alpha))


def inverse(alpha):
    """1 / alpha as `Parameters` have it, to the nearest, of an alpha as they have it."""
    check_int("alpha", alpha, *ALPHA_RANGE)
    doubled = (1 << INVERSE_FRACTION_BITS + ALPHA_FRACTION_BITS + 1 - (alpha >> ALPHA_FRACTION_BITS)) // _alpha_significand(
        alpha
    )
    return min(doubled + 1 >> 1, INVERSE_RANGE[1])


def tensor_parameters(x):
    """Parameters from the statistics that `golden.statistics.LogMoments` counts of a tensor, with its table of logarithms.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape. Zeros, subnormals, infinities and NaN do not count; without any that does, alpha = 1 and mu = 0.

    Returns
    -------
    Parameters

    Raises
    ------
    TypeError
        `x` is not float32.
    """
    moments = LogMoments(types=1)
    moments.observe(_checked(x).reshape(-1, 1))
    moments.end(0)
    raw = moments.raw(0)
    return parameters(raw["mean"], raw["max"])


def exact_parameters(x):
    """alpha and beta of Eq. 4 in float64.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape; what counts is as for `tensor_parameters`, and so is m - mu, which is ``2**-3`` at least.

    Returns
    -------
    alpha, beta : float

    Raises
    ------
    TypeError
        `x` is not float32.
    """
    magnitude = np.abs(_checked(x))
    logs = np.log2(magnitude[(magnitude >= 2.0**-126) & (magnitude < np.inf)].astype(np.float64))
    if logs.size == 0:
        return 1.0, 0.0
    mu = float(logs.mean())
    alpha = 15 / max(float(logs.max()) - mu, MIN_SPREAD / 2**MEAN_FRACTION_BITS)
    return alpha, -alpha * mu


def exact_encode(x, alpha, beta):
    """The codes of ``truncFP8(2**beta * |x|**alpha)``, rounded to nearest, ties to even, in float64.

    Too large becomes the largest finite number, as infinity does; NaN stays NaN; subnormals of FP32 are zero.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape.
    alpha, beta : float
        alpha is above 0.

    Returns
    -------
    numpy.ndarray
        uint8 in the shape of `x`.

    Raises
    ------
    TypeError
        `x` is not float32.
    """
    x = _checked(x)
    magnitude = np.where(np.isnan(x) | (np.abs(x) < 2.0**-126), 0, np.abs(x)).astype(np.float64)
    # Scaled by a power of two near the mean, which is exact, so that the power is of numbers near 1: ties then stay ties.
    center = round(-beta / alpha)
    with np.errstate(over="ignore"):
        powers = np.power(np.ldexp(magnitude, -center), alpha) * np.exp2(beta + alpha * center)
    middles = _middles()
    below, not_above = (np.searchsorted(middles, powers, side=side) for side in ("left", "right"))
    k = np.minimum(np.where(not_above % 2 == 0, not_above, below), _MAX)
    k = np.where(np.isnan(x), FORMAT.nan, k)
    return (k | np.signbit(x) * _SIGN).astype(np.uint8)


def exact_decode(codes, alpha, beta):
    """What codes mean in float64: ``sign * (2**-beta * |Y|)**(1 / alpha)``, infinity and NaN as they are.

    Parameters
    ----------
    codes : numpy.ndarray
        uint8, any shape.
    alpha, beta : float
        alpha is above 0.

    Returns
    -------
    numpy.ndarray
        float64 in the shape of `codes`.
    """
    values = _fp8_values()[np.asarray(codes) & 0x7F]
    with np.errstate(divide="ignore"):
        magnitude = np.exp2((np.log2(values) - beta) / alpha)
    return np.where(np.asarray(codes) & _SIGN, -magnitude, magnitude)


def encode(x, alpha, mean, *, flags=False):
    """FP32 values as codes, as the hardware encodes them.

    ==========================================  ======================================  =========
    value                                       code                                    flag
    ==========================================  ======================================  =========
    zero                                        zero, with its sign
    FP32 subnormal                              zero, with its sign                     FLUSHED
    rounds to zero                              zero, with its sign                     FLUSHED
    rounds to above the largest; infinity       the largest finite one, with its sign   SATURATED
    NaN                                         NaN, with its sign                      INVALID
    ==========================================  ======================================  =========

    The logarithm of |x| is that of its significand's fraction cut to 15 bits, the last one set if any below is, by a table of
    64 straight lines. Less the mean and times alpha it is compared with the logarithms of the middles between neighbouring
    codes.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape.
    alpha, mean : int or numpy.ndarray
        As of `Parameters`; arrays of integers broadcast to the shape of `x`.
    flags : bool
        Whether to return the flags too.

    Returns
    -------
    codes : numpy.ndarray
        uint8 in the shape of `x`.
    raised : numpy.ndarray
        Only if `flags`: uint8 in the shape of `x`, sets of `golden.lbfp.Flag`.

    Raises
    ------
    TypeError
        `x` is not float32; `alpha` or `mean` is not of integers.
    ValueError
        `alpha` or `mean` is out of range or of another shape.
    """
    x = _checked(x)
    alpha, mean = integers_for("alpha", alpha, *ALPHA_RANGE, x.shape), integers_for("mean", mean, *MEAN_RANGE, x.shape)
    words = x.reshape(-1).view(np.uint32)
    codes, raised = np.empty(words.shape, np.uint8), np.empty(words.shape, np.uint8)
    for start in range(0, words.size, _PART):
        part = slice(start, start + _PART)
        codes[part], raised[part] = _encode(words[part], *(each[part] if each.ndim else each for each in (alpha, mean)))
    codes = codes.reshape(x.shape)
    return (codes, raised.reshape(x.shape)) if flags else codes


def decode(codes, inverse, mean):
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
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise TypeError(f"codes must be uint8, not {codes.dtype}: convert with .astype(np.uint8)")
    inverse = integers_for("inverse", inverse, *INVERSE_RANGE, codes.shape)
    mean = integers_for("mean", mean, *MEAN_RANGE, codes.shape)
    flat = codes.reshape(-1).astype(np.int64)
    magnitude = flat & 0x7F
    exponent, mantissa = _normalized(magnitude)
    quarters = np.rint(np.log2(1 + np.arange(4) / 4) * 2**ANTILOG_BITS).astype(np.int64)
    power = inverse * exponent + (inverse * quarters[mantissa] >> ANTILOG_BITS)
    power += mean << INVERSE_FRACTION_BITS - MEAN_FRACTION_BITS
    drop = INVERSE_FRACTION_BITS - ANTILOG_BITS
    power = power + (1 << drop - 1) >> drop
    significand = antilog(power & 2**ANTILOG_BITS - 1) << _FP32_MAN_BITS - RESULT_BITS
    words = (power >> ANTILOG_BITS << _FP32_MAN_BITS) + significand
    largest = _FP32_INFINITY - (1 << _FP32_MAN_BITS - RESULT_BITS)
    words = np.where((words < FP32_SMALLEST_NORMAL) | (magnitude == 0), 0, np.minimum(words, largest))
    words = np.where(magnitude == FORMAT.infinity, _FP32_INFINITY, words)
    quiet = _FP32_INFINITY | 1 << _FP32_MAN_BITS - 1 | (magnitude & 3) << _FP32_MAN_BITS - 2
    words = np.where(magnitude > FORMAT.infinity, quiet, words) | flat >> 7 << 31
    return words.astype(np.uint32).view(np.float32).reshape(codes.shape)


def log_nodes():
    """The ends of the straight lines that stand for log2(1 + f), in units of 2**-15: int64 [65].

    At f = i / 64, raised by a twelfth of the curvature times the square of the width, so that the lines are off by 0 in the
    mean. At the eighths they are multiples of 2**-12: there are the middles between codes, and at alpha = 1 a value in the
    middle must be known from its neighbours.
    """
    i = np.arange(LOG_SEGMENTS + 1)
    exact = np.log2(1 + i / LOG_SEGMENTS) + np.log2(np.e) / (12 * (LOG_SEGMENTS + i) ** 2)
    unit = np.where(i % (LOG_SEGMENTS // 8), 1, 2 ** (LOG_BITS - POWER_BITS + 1))
    return np.rint(exact * 2**LOG_BITS / unit).astype(np.int64) * unit


def log2_fraction(fraction):
    """log2(1 + f) in units of 2**-15, from f in units of 2**-15: int64 of its shape."""
    return _on_lines(log_nodes(), fraction, LOG_BITS)


def antilog(fraction):
    """2**f - 1 in units of 2**-13, from f in units of 2**-14: int64 of its shape.

    By 32 straight lines between points of the curve, lowered by a twelfth of the curvature times the square of the width, but
    for the first one, which is 0. The fractions nearest to log2 of 1.25, 1.5 and 1.75 give exactly these.
    """
    i = np.arange(ANTILOG_SEGMENTS + 1)
    exact = np.exp2(i / ANTILOG_SEGMENTS) * (1 - (np.log(2) / ANTILOG_SEGMENTS) ** 2 / 12) - 1
    nodes = np.rint(np.maximum(exact, 0) * 2**RESULT_BITS).astype(np.int64)
    return _on_lines(nodes, fraction, ANTILOG_BITS)


def thresholds():
    """The least log2|Y| of each magnitude from 1 to 124, which is above the largest, in units of 2**-13: int64 [124], rising.

    Those of the middles between a magnitude and the one below, and for the odd ones, to which no tie goes, one unit more.
    """
    significand, exponent = np.frexp(_middles())
    eighths = (significand * 16 - 8).astype(np.int64)
    logs = log_nodes()[eighths * LOG_SEGMENTS // 8] >> LOG_BITS - POWER_BITS
    return (exponent.astype(np.int64) - 1 << POWER_BITS) + logs + np.arange(1, _MAX + 2) % 2


def _encode(words, alpha, mean):
    """Codes and flags of FP32 words, uint32 [n]."""
    magnitude = words & 0x7FFFFFFF
    dropped = _FP32_MAN_BITS - LOG_BITS
    kept = _jammed(magnitude.astype(np.int64), dropped)
    logs = (kept >> LOG_BITS << LOG_BITS) + log2_fraction(kept & 2**LOG_BITS - 1)
    distance = logs - (mean << LOG_BITS - MEAN_FRACTION_BITS)
    largest_exponent = ALPHA_RANGE[1] >> ALPHA_FRACTION_BITS
    distance <<= largest_exponent + POWER_BITS - LOG_BITS
    distance = _jammed(distance, largest_exponent - (alpha >> ALPHA_FRACTION_BITS))
    power = distance * _alpha_significand(alpha) >> ALPHA_FRACTION_BITS
    k = np.searchsorted(thresholds(), power, side="right")
    is_zero = magnitude < FP32_SMALLEST_NORMAL
    k = np.where(is_zero, 0, np.where(magnitude >= _FP32_INFINITY, _MAX + 1, k))
    is_nan = magnitude > _FP32_INFINITY
    raised = np.where(k > _MAX, Flag.SATURATED, np.where((k == 0) & (magnitude > 0), Flag.FLUSHED, 0))
    raised = np.where(is_nan, Flag.INVALID, raised)
    codes = np.where(is_nan, FORMAT.nan, np.minimum(k, _MAX)) | words >> 31 << 7
    return codes.astype(np.uint8), raised.astype(np.uint8)


def _jammed(values, places):
    """`values` shifted right, the last bit set if any that left was."""
    shifted = values >> places
    return shifted | (shifted << places != values)


def _on_lines(nodes, fraction, bits):
    """The height at `fraction`, of so many bits, of straight lines from node to node, rounded to nearest."""
    fraction = np.asarray(fraction, np.int64)
    below = bits - (len(nodes) - 1).bit_length() + 1
    segment, rest = fraction >> below, fraction & 2**below - 1
    return nodes[segment] + (np.diff(nodes)[segment] * rest + 2 ** (below - 1) >> below)


def _alpha_significand(alpha):
    return 2**ALPHA_FRACTION_BITS + (alpha & 2**ALPHA_FRACTION_BITS - 1)


def _shifted(value, places):
    return value << places if places >= 0 else value >> -places


def _normalized(magnitude):
    """Exponent and quarters of the significand of nonzero FP8 magnitudes."""
    subnormal = magnitude < 4
    exponent = np.where(subnormal, np.where(magnitude < 2, -16, -15), (magnitude >> 2) - FORMAT.bias)
    return exponent, np.where(subnormal, (magnitude == 3) * 2, magnitude & 3)


def _fp8_values():
    """What magnitudes mean, the first one above the largest as if it went on: float64 [128], then infinity and NaN."""
    k = np.arange(128)
    values = np.where(k < 4, k * 2.0**-16, (1 + (k & 3) / 4) * np.exp2((k >> 2) - 15.0))
    return np.where(k > FORMAT.infinity, np.nan, np.where(k == FORMAT.infinity, np.inf, values))


def _middles():
    """The middles between each magnitude from 1 to 124 and the one below: float64 [124]."""
    values = np.append(_fp8_values()[: _MAX + 1], 2.0**16)
    return (values[1:] + values[:-1]) / 2


def _checked(x):
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"x must be float32, not {x.dtype}: convert with .astype(np.float32)")
    return x
