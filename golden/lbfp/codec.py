"""FP32 and fixed-point numbers to LBFP codes, and codes to FP32."""

from functools import lru_cache, partial
from typing import Literal, overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_codes, check_integers, integers_for
from narrowfloat.golden.formats import FP32_BIAS, FP32_INFINITY, FP32_MAN_BITS, FP32_SMALLEST_NORMAL, LogBlockFormat
from narrowfloat.golden.parts import codes_and_flags, in_parts, parts, take
from narrowfloat.golden.rounding import LogFlag
from narrowfloat.golden.specials import counts
from numpy.typing import ArrayLike, NDArray

_FP64_BIAS, _FP64_MAN_BITS = 1023, 52


def thresholds(fmt: LogBlockFormat | str) -> NDArray[np.int64]:
    """Where the fraction of a logarithm is rounded up, on the upper bits of a significand's fraction.

    ``T_j = 2**((j - 1/2) / 2**frac_bits)`` for j from 1 to ``2**frac_bits``: a significand from T_j on has a fraction of at
    least j (j = ``2**frac_bits`` carries). Compared are ``frac_bits + 4`` bits of fraction, the rest is cut off, so what is
    exact of T_j is its ceiling on that grid.

    Returns
    -------
    numpy.ndarray
        int64, shape (2**frac_bits,): ``ceil((T_j - 1) * 2**(frac_bits + 4))``.
    """
    fmt = LogBlockFormat.of(fmt)
    steps = 2**fmt.frac_bits
    return np.ceil((np.exp2((np.arange(steps) + 0.5) / steps) - 1) * 2 ** _compared_bits(fmt)).astype(np.int64)


@overload
def encode(
    x: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike, *, flags: Literal[False] = ...
) -> NDArray[np.uint8]: ...
@overload
def encode(
    x: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike, *, flags: Literal[True]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def encode(
    x: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike, *, flags: bool = False
) -> NDArray[np.uint8] | tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """FP32 values as codes of `fmt`, rounded to the nearest logarithm.

    >>> encode(np.float32([1, -0.5, 0, 1e9]), "lbfp8", exponent=1)
    array([112, 224,   0, 127], dtype=uint8)

    ============================================  ===============================================  =========
    value                                         code                                             flag
    ============================================  ===============================================  =========
    zero, of either sign                          0
    FP32 subnormal                                0                                                FLUSHED
    below half of the smallest nonzero number     0                                                FLUSHED
    from there to the smallest number             the smallest number
    rounds to above the largest number            the largest number, with the value's sign        SATURATED
    infinity, NaN                                 the largest number, with its sign                INVALID
    ============================================  ===============================================  =========

    A code of zero never has a sign.

    Parameters
    ----------
    x : array_like
        float32, float16, bfloat16 or Python's own numbers (see `golden.arrays.as_fp32`), any shape.
    fmt : LogBlockFormat or str
        A format or its name.
    exponent : int or numpy.ndarray
        The shared exponent E, in ``fmt.exponent_range``; an array of integers that broadcasts to the shape of `x` gives each
        value that of its block.
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
        `x` is of another dtype; `exponent` is not of integers; `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        `exponent` is out of range or of another shape.
    """
    x, fmt = as_fp32("x", x), LogBlockFormat.of(fmt)
    exponents = _checked_exponent(exponent, fmt, x.shape)
    encoded = codes_and_flags(partial(_encode_words, fmt), x.view(np.uint32), exponents)
    return encoded if flags else encoded[0]


@overload
def encode_fixed(
    values: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike, lsb_exponent: ArrayLike, *, flags: Literal[False] = ...
) -> NDArray[np.uint8]: ...
@overload
def encode_fixed(
    values: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike, lsb_exponent: ArrayLike, *, flags: Literal[True]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def encode_fixed(
    values: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike, lsb_exponent: ArrayLike, *, flags: bool = False
) -> NDArray[np.uint8] | tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Integers with a common weight, such as the results of `dot`, as codes of `fmt`: each means ``value * 2**lsb_exponent``.

    Rounds, saturates and flushes as `encode` does; of a magnitude are seen its leading one and ``frac_bits + 4`` bits below.

    Parameters
    ----------
    values : numpy.ndarray
        Integers that int64 holds, any shape.
    fmt, exponent, flags
        As for `encode`.
    lsb_exponent : int or numpy.ndarray
        Weight of the last bit, as a power of two, -1024 to 1023; an array of integers broadcasts to the shape of `values`.

    Returns
    -------
    codes, raised
        As from `encode`.

    Raises
    ------
    TypeError
        `values`, `exponent` or `lsb_exponent` are not of integers; `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        `exponent` or `lsb_exponent` is out of range or of another shape.
    """
    values, fmt = check_integers("values", values), LogBlockFormat.of(fmt)
    if values.dtype == np.uint64 and values.max(initial=0) >= 2**63:
        raise ValueError(f"values must be below 2**63, not {values.max()}")
    exponents = _checked_exponent(exponent, fmt, values.shape)
    weights = integers_for("lsb_exponent", lsb_exponent, -1024, 1023, values.shape)
    encoded = codes_and_flags(partial(_encode_integers, fmt), values, exponents, weights)
    return encoded if flags else encoded[0]


def decode(codes: ArrayLike, fmt: LogBlockFormat | str, exponent: ArrayLike) -> NDArray[np.float32]:
    """Codes of `fmt` as FP32 values, rounded to nearest, ties to even.

    What is below the smallest normal FP32 number becomes zero, which is always positive. The largest E is 127, so that all
    numbers are below 2**127: no code overflows.

    Parameters
    ----------
    codes : numpy.ndarray
        uint8, any shape.
    fmt : LogBlockFormat or str
        A format or its name.
    exponent : int or numpy.ndarray
        As for `encode`.

    Returns
    -------
    numpy.ndarray
        float32 in the shape of `codes`.

    Raises
    ------
    TypeError
        `codes` is not uint8; `exponent` is not of integers; `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        A code has more than ``fmt.bits`` bits; `exponent` is out of range or of another shape.
    """
    fmt = LogBlockFormat.of(fmt)
    codes = check_codes(f"codes of {fmt.name}", codes, fmt.bits)
    exponents = _checked_exponent(exponent, fmt, codes.shape)
    flat = codes.reshape(-1)
    if exponents.ndim == 0:
        return take(_decode_table(fmt, int(exponents)), flat).reshape(codes.shape)
    values = np.empty(flat.shape, np.float32)
    in_parts(lambda *part: (_decode_words(fmt, *part),), (values,), flat, exponents)
    return values.reshape(codes.shape)


def block_exponent(x: ArrayLike, fmt: LogBlockFormat | str) -> NDArray[np.int32]:
    """The shared exponent of each block, from its largest magnitude: the smallest E with all of the block below 2**E.

    Parameters
    ----------
    x : array_like
        As for `encode`, [..., n]. Blocks of ``fmt.block`` numbers lie along the last axis, of which n must be a multiple;
        without ``fmt.block`` all n numbers are one block. Subnormals count as zero. Infinity and NaN count only where nothing
        else does, as large as any number.

    Returns
    -------
    numpy.ndarray
        int32 [..., n / block]: ``floor(log2(max)) + 1``, within ``fmt.exponent_range``; its lowest for a block of zeros.

    Raises
    ------
    TypeError
        `x` is of another dtype; `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        `x` is a scalar or empty, or its last axis is no multiple of the block.
    """
    x, fmt = as_fp32("x", x), LogBlockFormat.of(fmt)
    block = fmt.block or (x.shape[-1] if x.ndim else 0)
    if x.ndim and x.size == 0:
        raise ValueError(f"x must have numbers to find an exponent for, not the shape {x.shape}")
    if x.ndim == 0 or x.shape[-1] % block:
        raise ValueError(f"the last axis of x must be a multiple of the block, {block or 'not empty'}, not of shape {x.shape}")
    words = x.reshape(-1).view(np.uint32)
    magnitudes, special = np.zeros(words.size // block, np.uint32), np.zeros(words.size // block, bool)
    for part in parts(words.size):
        some = words[part] & np.uint32(0x7FFFFFFF)
        mine = slice(part.start // block, (part.start + len(some) - 1) // block + 1)
        starts = np.maximum(np.arange(mine.start, mine.stop) * block - part.start, 0)
        special[mine] |= np.maximum.reduceat(some, starts) >= FP32_INFINITY
        some *= counts(some)
        magnitudes[mine] = np.maximum(magnitudes[mine], np.maximum.reduceat(some, starts))
    magnitudes[special & (magnitudes == 0)] = FP32_INFINITY - 1
    largest = (magnitudes >> np.uint32(FP32_MAN_BITS)).astype(np.int32).reshape(*x.shape[:-1], -1)
    low, high = fmt.exponent_range
    return np.where(largest == 0, low, np.clip(largest - FP32_BIAS + 1, low, high)).astype(np.int32)


def _encode_words(fmt, words, exponent):
    """Codes and flags of FP32 words; `exponent` is an int32 array in their shape or of none."""
    bits = _compared_bits(fmt)
    magnitude = words & np.uint32(0x7FFFFFFF)
    log = (magnitude >> np.uint32(FP32_MAN_BITS - bits)).view(np.int32) - (exponent + FP32_BIAS << bits)
    c, raised = _nearest(fmt, log)
    is_zero, is_special = magnitude < FP32_SMALLEST_NORMAL, magnitude >= FP32_INFINITY
    c = np.where(is_special, np.uint8(fmt.max_magnitude), c * ~is_zero)
    raised = np.where(is_zero, (magnitude != 0) * np.uint8(LogFlag.FLUSHED), raised)
    raised = np.where(is_special, np.uint8(LogFlag.INVALID), raised)
    return _with_sign(c, words >> np.uint32(31) != 0, fmt), raised


def _round(power, fraction, fmt, exponent):
    """c and flags of nonzero magnitudes ``1.fraction * 2**power``, the fraction having `_compared_bits`."""
    steps = 2**fmt.frac_bits
    octave = power - exponent + 2**fmt.int_bits
    c = steps * octave + np.searchsorted(thresholds(fmt), fraction, side="right")
    # Half of the smallest number is 2**(1 / steps) in the octave below the lowest.
    half = np.ceil((np.exp2(1 / steps) - 1) * 2 ** _compared_bits(fmt)).astype(np.int64)
    is_half = (octave > -1) | (octave == -1) & (fraction >= half)
    raised = np.where(c > fmt.max_magnitude, LogFlag.SATURATED, np.where((c < 1) & ~is_half, LogFlag.FLUSHED, 0))
    return np.where(c < 1, is_half, np.minimum(c, fmt.max_magnitude)), raised


def _with_sign(c, negative, fmt):
    return c.astype(np.uint8) | (negative & (c > 0)).astype(np.uint8) << fmt.magnitude_bits


def _encode_integers(fmt, values, exponent, lsb_exponent):
    """Codes and flags of integers [n]; the exponents are int32 arrays in their shape or of none."""
    values = values.astype(np.int64)
    magnitude = np.abs(values).view(np.uint64)  # of the most negative too: as uint64 it is right
    # With a zero in the twelfth place below the leading one, no rounding to float64 changes what is above, and is seen.
    magnitude &= ~(magnitude >> np.uint64(12))
    bits = _compared_bits(fmt)
    log = (magnitude.astype(np.float64).view(np.int64) >> _FP64_MAN_BITS - bits) - (_FP64_BIAS << bits)
    log += (lsb_exponent - exponent).astype(np.int64) << bits
    is_nonzero = magnitude != 0
    c, raised = (each * is_nonzero for each in _nearest(fmt, log))
    return _with_sign(c, values < 0, fmt), raised


def _nearest(fmt, log):
    """c and flags, uint8, of nonzero magnitudes ``2**-E * 1.fraction * 2**power``; `log` is {power, fraction}."""
    c, raised, first = _rounded(fmt)
    log = log - first
    return c.take(log, mode="clip"), raised.take(log, mode="clip")


@lru_cache(maxsize=16)
def _rounded(fmt):
    """c and flags by {power, fraction} at E = 0, from the one that is returned too; beyond the ends all are alike."""
    bits = _compared_bits(fmt)
    first = -(2**fmt.int_bits) - 2 << bits
    log = np.arange(first, 1 << bits)
    c, raised = _round(log >> bits, log & 2**bits - 1, fmt, 0)
    return c.astype(np.uint8), raised.astype(np.uint8), first


@lru_cache(maxsize=64)
def _decode_table(fmt, exponent):
    return _decode_words(fmt, np.arange(2**fmt.bits, dtype=np.uint8), exponent)


def _decode_words(fmt, codes, exponent):
    """FP32 values of codes, uint8 [n]; `exponent` is an int, or an int32 array in their shape."""
    c = codes.astype(np.int32) & fmt.max_magnitude
    steps = 2**fmt.frac_bits
    # Rounded twice, from the exact power to float64 to float32; a test holds every entry to the exact one.
    significands = np.exp2(np.arange(steps) / steps).astype(np.float32).view(np.uint32) & 2**FP32_MAN_BITS - 1
    field = exponent - 2**fmt.int_bits + (c >> fmt.frac_bits) + FP32_BIAS
    words = field.astype(np.uint32) << FP32_MAN_BITS | significands[c & steps - 1]
    words |= (codes >> fmt.magnitude_bits).astype(np.uint32) << 31
    return np.where((c == 0) | (field < 1), np.uint32(0), words).view(np.float32)


def _compared_bits(fmt):
    """How many bits of a significand's fraction are compared with thresholds."""
    return fmt.frac_bits + 4


def _checked_exponent(exponent, fmt, shape):
    return integers_for("exponent", exponent, *fmt.exponent_range, shape)
