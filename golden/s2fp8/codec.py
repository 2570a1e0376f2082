"""S2FP8 in fixed point, as the hardware encodes and decodes it."""

from functools import lru_cache, partial
from types import ModuleType
from typing import Literal, overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_choice, check_dtype, integers_for
from narrowfloat.golden.formats import FP32_INFINITY, FP32_MAN_BITS, FP32_SMALLEST_NORMAL
from narrowfloat.golden.parts import codes_and_flags, in_parts, take
from narrowfloat.golden.rounding import OVERFLOWS, LogFlag
from narrowfloat.golden.s2fp8 import full, short
from narrowfloat.golden.s2fp8.tensor import (
    ALPHA_RANGE,
    FORMAT,
    INFINITY,
    INVERSE_RANGE,
    MEAN_RANGE,
    PRECISIONS,
)
from narrowfloat.golden.steps import WORTH_STEPS, Steps
from numpy.typing import ArrayLike, NDArray


@overload
def encode(
    x: ArrayLike, alpha: ArrayLike, mean: ArrayLike, *, overflow: str = ..., precision: str = ..., flags: Literal[False] = ...
) -> NDArray[np.uint8]: ...
@overload
def encode(
    x: ArrayLike, alpha: ArrayLike, mean: ArrayLike, *, overflow: str = ..., precision: str = ..., flags: Literal[True]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def encode(
    x: ArrayLike,
    alpha: ArrayLike,
    mean: ArrayLike,
    *,
    overflow: str = "saturate",
    precision: str = "short",
    flags: bool = False,
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

    The logarithm of |x|, less the mean and times alpha, is compared with the logarithms of the middles between neighbouring
    codes. In short precision it is that of the first 8 bits of the significand's fraction, by a table, and ties go away from
    zero; in full precision that of 15 bits, the last one set if any below is, by a table of 64 straight lines, and ties go to
    even.

    Parameters
    ----------
    x : array_like
        float32, float16, bfloat16 or Python's own numbers (see `golden.arrays.as_fp32`), any shape.
    alpha, mean : int or numpy.ndarray
        As of `Parameters`; arrays of integers broadcast to the shape of `x`.
    overflow : str
        One of `golden.rounding.OVERFLOWS`.
    precision : str
        One of `PRECISIONS`.
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
        `alpha` or `mean` is out of range or of another shape; `overflow` or `precision` is not allowed.
    """
    x = as_fp32("x", x)
    check_choice("overflow", overflow, OVERFLOWS)
    alpha, mean = integers_for("alpha", alpha, *ALPHA_RANGE, x.shape), integers_for("mean", mean, *MEAN_RANGE, x.shape)
    nearest = _module(precision).nearest
    if alpha.ndim == mean.ndim == 0 and x.size >= WORTH_STEPS:
        nearest = _steps(precision, int(alpha), int(mean))
    largest = INFINITY if overflow == "format" else FORMAT.max_finite
    encoded = codes_and_flags(partial(_encode, nearest, largest), x.view(np.uint32), alpha, mean)
    return encoded if flags else encoded[0]


def decode(codes: ArrayLike, inverse: ArrayLike, mean: ArrayLike, *, precision: str = "short") -> NDArray[np.float32]:
    """Codes as FP32 values of 8 fraction bits, or in full precision of 13, as the hardware decodes them.

    They are within 2**-7, in full precision within 2**-12 of the exact values, where alpha is below 1 within that over alpha:
    neighbouring codes are then further apart.

    What is below the smallest normal FP32 number becomes zero, what is 2**128 or more the largest number of so many fraction
    bits, each with its sign. Infinity and NaN are kept, NaN with its mantissa and the quiet bit.

    Parameters
    ----------
    codes : numpy.ndarray
        uint8, any shape.
    inverse, mean : int or numpy.ndarray
        As of `Parameters`; arrays of integers broadcast to the shape of `codes`.
    precision : str
        One of `PRECISIONS`.

    Returns
    -------
    numpy.ndarray
        float32 in the shape of `codes`.

    Raises
    ------
    TypeError
        `codes` is not uint8; `inverse` or `mean` is not of integers.
    ValueError
        `inverse` or `mean` is out of range or of another shape; `precision` is not allowed.
    """
    codes = check_dtype("codes", codes, np.uint8)
    inverse = integers_for("inverse", inverse, *INVERSE_RANGE, codes.shape)
    mean = integers_for("mean", mean, *MEAN_RANGE, codes.shape)
    module = _module(precision)
    flat = codes.reshape(-1)
    if inverse.ndim == mean.ndim == 0:
        return take(_decode_table(precision, int(inverse), int(mean)), flat).reshape(codes.shape)
    values = np.empty(flat.shape, np.float32)
    in_parts(lambda *part: (_decode(module, *part),), (values,), flat, inverse, mean)
    return values.reshape(codes.shape)


def _module(precision: str) -> ModuleType:
    return {"short": short, "full": full}[check_choice("precision", precision, PRECISIONS)]


def _encode(nearest, largest, words, alpha, mean):
    """Codes and flags of FP32 words, uint32 [n].

    `nearest` is that of a precision or a table of it, `largest` what infinity becomes.
    """
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


@lru_cache(maxsize=64)
def _steps(precision, alpha, mean):
    steps = Steps(lambda magnitude: _module(precision).nearest(magnitude, np.int32(alpha), np.int32(mean)))
    return lambda magnitude, *_: steps(magnitude)


@lru_cache(maxsize=64)
def _decode_table(precision, inverse, mean):
    return _decode(_module(precision), np.arange(256, dtype=np.uint8), np.int64(inverse), np.int64(mean))


def _decode(module, codes, inverse, mean):
    """FP32 values of codes, uint8 [n]."""
    magnitude = codes & np.uint8(0x7F)
    words = module.words(magnitude, inverse.astype(np.int64), mean.astype(np.int64))
    largest = FP32_INFINITY - (1 << FP32_MAN_BITS - module.RESULT_BITS)
    words = np.where((words < FP32_SMALLEST_NORMAL) | (magnitude == 0), 0, np.minimum(words, largest)).astype(np.uint32)
    words = np.where(magnitude == INFINITY, np.uint32(FP32_INFINITY), words)
    quiet = FP32_INFINITY | 1 << FP32_MAN_BITS - 1 | (magnitude & np.uint32(3)) << FP32_MAN_BITS - 2
    words = np.where(magnitude > INFINITY, quiet, words) | (codes >> 7).astype(np.uint32) << 31
    return words.view(np.float32)
