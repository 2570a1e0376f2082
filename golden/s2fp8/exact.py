"""S2FP8 exactly as Cambier et al. have it, in float64."""

from collections.abc import Callable
from functools import partial

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_choice, check_number
from narrowfloat.golden.formats import FP32_INFINITY, FP32_SMALLEST_NORMAL
from narrowfloat.golden.parts import in_parts, take
from narrowfloat.golden.rounding import OVERFLOWS
from narrowfloat.golden.s2fp8.tensor import FORMAT, INFINITY, MEAN_FRACTION_BITS, MIN_SPREAD
from narrowfloat.golden.steps import WORTH_STEPS, Steps
from numpy.typing import ArrayLike, NDArray

_SIGN = 0x80


def exact_parameters(x: ArrayLike) -> tuple[float, float]:
    """alpha and beta of Eq. 4 in float64.

    Parameters
    ----------
    x : array_like
        As for `golden.s2fp8.encode`; what counts is as for `tensor_parameters`, and so is m - mu, which is ``2**-3`` at least.

    Returns
    -------
    alpha, beta : float

    Raises
    ------
    TypeError
        `x` is of another dtype.
    """
    magnitude = np.abs(as_fp32("x", x))
    logs = np.log2(magnitude[(magnitude >= 2.0**-126) & (magnitude < np.inf)].astype(np.float64))
    if logs.size == 0:
        return 1.0, 0.0
    mu = float(logs.mean())
    alpha = 15 / max(float(logs.max()) - mu, MIN_SPREAD / 2**MEAN_FRACTION_BITS)
    return alpha, -alpha * mu


def exact_encode(x: ArrayLike, alpha: float, beta: float, *, overflow: str = "saturate") -> NDArray[np.uint8]:
    """The codes of ``truncFP8(2**beta * |x|**alpha)``, rounded to nearest, ties to even, in float64.

    Too large becomes what infinity does: by `overflow` the largest finite number or infinity; NaN stays NaN; subnormals of FP32
    are zero.

    Parameters
    ----------
    x : array_like
        As for `golden.s2fp8.encode`.
    alpha, beta : float
        alpha is above 0.
    overflow : str
        As for `golden.s2fp8.encode`.

    Returns
    -------
    numpy.ndarray
        uint8 in the shape of `x`.

    Raises
    ------
    TypeError
        `x` is of another dtype.
    ValueError
        `alpha`, `beta` or `overflow` is not allowed.
    """
    x = as_fp32("x", x)
    alpha, beta = check_number("alpha", alpha, above=0), check_number("beta", beta)
    largest = INFINITY if check_choice("overflow", overflow, OVERFLOWS) == "format" else FORMAT.max_finite
    codes = np.empty(x.size, np.uint8)
    nearest: Callable[..., NDArray[np.uint8]] = partial(_nearest, alpha, beta)
    # Within these an alpha keeps neighbouring FP32 numbers apart in float64, and neighbouring codes in FP32.
    if x.size >= WORTH_STEPS and 2.0**-8 <= alpha <= 2.0**8:
        nearest = Steps(nearest)
    in_parts(lambda words: (_encode(nearest, largest, words),), (codes,), x.reshape(-1).view(np.uint32))
    return codes.reshape(x.shape)


def exact_decode(codes: ArrayLike, alpha: float, beta: float) -> NDArray[np.float64]:
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

    Raises
    ------
    ValueError
        `alpha` or `beta` is not allowed.
    """
    alpha, beta = check_number("alpha", alpha, above=0), check_number("beta", beta)
    codes = np.asarray(codes)
    with np.errstate(divide="ignore"):
        magnitudes = np.exp2((np.log2(fp8_values()) - beta) / alpha)
    return take(np.concatenate([magnitudes, -magnitudes]), codes.reshape(-1)).reshape(codes.shape)


def fp8_values() -> NDArray[np.float64]:
    """What magnitudes mean, the first one above the largest as if it went on: float64 [128], then infinity and NaN."""
    k = np.arange(128)
    values = np.where(k < 4, k * 2.0**-16, (1 + (k & 3) / 4) * np.exp2((k >> 2) - 15.0))
    return np.where(k > INFINITY, np.nan, np.where(k == INFINITY, np.inf, values))


def middles() -> NDArray[np.float64]:
    """The middles between each magnitude from 1 to 124 and the one below: float64 [124]."""
    values = np.append(fp8_values()[: FORMAT.max_finite + 1], 2.0**16)
    return (values[1:] + values[:-1]) / 2


def _encode(nearest, largest, words):
    """Codes of FP32 words, uint32 [n]; `nearest` is `_nearest` or the steps of it, `largest` what infinity becomes."""
    magnitude = words & np.uint32(0x7FFFFFFF)
    k = np.minimum(nearest(magnitude), np.uint8(largest)) * (magnitude >= FP32_SMALLEST_NORMAL)
    is_special = magnitude >= FP32_INFINITY
    if is_special.any():
        k[is_special] = np.where(magnitude[is_special] > FP32_INFINITY, FORMAT.nan, largest)
    return k | (words >> np.uint32(31)).astype(np.uint8) << 7


def _nearest(alpha, beta, words):
    """The magnitude nearest to that of normal FP32 numbers, given as their words without sign: uint8, at most 124."""
    # Scaled by a power of two near the mean, which is exact, so that the power is of numbers near 1: ties then stay ties.
    # Where that is far from all FP32 numbers, none of the codes but 0 and the largest is near, or alpha is small.
    center = round(min(max(-beta / alpha, -512), 512))
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = np.ldexp(words.view(np.float32).astype(np.float64), -center)
        powers = np.power(magnitude, alpha) * np.exp2(beta + alpha * center)
    ends = middles()
    below, not_above = (np.searchsorted(ends, powers, side=side) for side in ("left", "right"))
    return np.where(not_above % 2 == 0, not_above, below).astype(np.uint8)
