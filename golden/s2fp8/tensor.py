"""What a tensor's S2FP8 codes are written and read with, from its statistics."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_fields, check_int
from narrowfloat.golden.formats import FLOATS, FP32_BIAS
from narrowfloat.golden.statistics import LogMoments
from numpy.typing import ArrayLike

FORMAT = FLOATS["float8_e5m2"]
INFINITY = FORMAT.max_finite + 1  # its code without the sign
# How exactly logarithms and powers are computed, `golden.s2fp8.short` and `golden.s2fp8.full`.
PRECISIONS = ("short", "full")
# alpha is an exponent and a fraction, the others are fixed-point numbers.
ALPHA_BITS, ALPHA_FRACTION_BITS = 11, 7
ALPHA_RANGE = -(2 ** (ALPHA_BITS - 1)), 2 ** (ALPHA_BITS - 1) - 1
MEAN_BITS, MEAN_FRACTION_BITS = 16, 8
MEAN_RANGE = 0, 2**MEAN_BITS - 1
INVERSE_BITS, INVERSE_FRACTION_BITS = 22, 17
INVERSE_RANGE = 0, 2**INVERSE_BITS - 1
# m - mu is 2**-3 at least, in units of 2**-8: of tensors whose numbers are all alike alpha is then 120.
MIN_SPREAD = 32

_ONE = 1 << ALPHA_FRACTION_BITS  # of alpha's significand


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

    def __post_init__(self) -> None:
        check_fields(self, alpha=ALPHA_RANGE, mean=MEAN_RANGE, inverse=INVERSE_RANGE)

    @property
    def squeeze(self) -> float:
        """alpha as a float."""
        return float(alpha_significand(self.alpha)) * 2.0 ** ((self.alpha >> ALPHA_FRACTION_BITS) - ALPHA_FRACTION_BITS)

    @property
    def shift(self) -> float:
        """beta = -alpha * mu as a float."""
        return -self.squeeze * (self.mean / 2**MEAN_FRACTION_BITS - FP32_BIAS)

    @classmethod
    def of_bias(cls, bias: int) -> Self:
        """Those of the plain codec with an exponent bias, an integer from 0 to 63: alpha = 1, beta = bias - 15."""
        return cls(0, FP32_BIAS + FORMAT.bias - FORMAT.check_bias(bias) << MEAN_FRACTION_BITS, 1 << INVERSE_FRACTION_BITS)


def parameters(mean: int, largest: int) -> Parameters:
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
    mean, largest = check_int("mean", mean, *MEAN_RANGE), check_int("largest", largest, *MEAN_RANGE)
    if largest == 0:
        return Parameters.of_bias(FORMAT.bias)
    spread = max(largest - mean, MIN_SPREAD)
    exponent = 7
    while (significand := _shifted(15 << MEAN_FRACTION_BITS, ALPHA_FRACTION_BITS - exponent) // spread) < _ONE:
        exponent -= 1
    alpha = (exponent << ALPHA_FRACTION_BITS) + significand - _ONE
    return Parameters(alpha, mean, inverse(alpha))


def inverse(alpha: int) -> int:
    """1 / alpha as `Parameters` have it, to the nearest, of an alpha as they have it."""
    alpha = check_int("alpha", alpha, *ALPHA_RANGE)
    one = 1 << INVERSE_FRACTION_BITS + ALPHA_FRACTION_BITS + 1 - (alpha >> ALPHA_FRACTION_BITS)
    doubled = one // alpha_significand(alpha)
    return min(doubled + 1 >> 1, INVERSE_RANGE[1])


def tensor_parameters(x: ArrayLike) -> Parameters:
    """Parameters from the statistics that `golden.statistics.LogMoments` counts of a tensor, with its table of logarithms.

    Parameters
    ----------
    x : array_like
        As for `golden.s2fp8.encode`. Zeros, subnormals, infinities and NaN do not count; without any that does, alpha = 1 and
        mu = 0.

    Returns
    -------
    Parameters

    Raises
    ------
    TypeError
        `x` is of another dtype.
    """
    return parameters(*tensor_statistics(x))


def tensor_statistics(x: ArrayLike) -> tuple[int, int]:
    """Mean and largest logarithm of a tensor, which is as for `tensor_parameters`, as `parameters` takes them."""
    moments = LogMoments(types=1)
    moments.observe(as_fp32("x", x).reshape(-1, 1))
    moments.end(0)
    raw = moments.raw(0)
    return raw["mean"], raw["max"]


def alpha_significand(alpha: Any) -> Any:
    """The significand of an alpha, 128 to 255."""
    return _ONE + (alpha & _ONE - 1)


def normalized(magnitude: Any) -> tuple[Any, Any]:
    """Exponent and quarters of the significand of nonzero FP8 magnitudes, integers [n]: two arrays of integers [n]."""
    subnormal = magnitude < 4
    exponent = np.where(subnormal, np.where(magnitude < 2, -16, -15), (magnitude >> 2) - FORMAT.bias)
    return exponent, np.where(subnormal, (magnitude == 3) * 2, magnitude & 3)


def _shifted(value, places):
    return value << places if places >= 0 else value >> -places
