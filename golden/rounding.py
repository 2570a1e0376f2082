"""Rounding and overflow modes, and the integer-exact step from FP32 words to codes.

A magnitude is handled as one integer, {E, M}: rounding up adds one to it, and a carry out of M moves into E by itself. Overflow
and underflow are decided afterwards, on that integer.
"""

import enum
from typing import Any

import numpy as np
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.formats import FP32_BIAS, FP32_INFINITY, FP32_MAN_BITS, FloatFormat
from numpy.typing import NDArray

ROUNDINGS = ("rne", "rna", "rtz", "sr", "rdn", "rup", "rto")  # in the order of their codes, from 0, in fields `rounding`
OVERFLOWS = ("saturate", "format")
TININESS = ("before", "after")  # rounding: where UNDERFLOW looks at a value's magnitude
MAX_SR_BITS = 16


class Flag(enum.IntFlag):
    """What the conversion of a value to a float may raise, as bits of one set.

    Members
    -------
    OVERFLOW : 1
        A finite number that is above the largest one once it is rounded.
    UNDERFLOW : 2
        A number that changed and is below the smallest normal one: before rounding, or with `tininess` "after", as RISC-V and
        x86 have it, once it is rounded with an unbounded exponent.
    INEXACT : 4
        A finite number that changed.
    INVALID : 8
        NaN or infinity that became something else, or made NaN of a group; or something that was not built.
    """

    OVERFLOW = 1
    UNDERFLOW = 2
    INEXACT = 4
    INVALID = 8


class LogFlag(enum.IntFlag):
    """What the conversion of a value by its logarithm, to LBFP or S2FP8, may raise, as bits of one set.

    Members
    -------
    SATURATED : 1
        A number that became the largest one of its sign, or a sum that did not fit or met NaN.
    FLUSHED : 2
        A number other than zero that became zero.
    INVALID : 4
        As of `Flag`.
    """

    SATURATED = 1
    FLUSHED = 2
    INVALID = 4


def align(
    words: NDArray[np.uint32], fmt: FloatFormat, bias: int | NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    """FP32 words on the grid of `fmt`, before rounding.

    Parameters
    ----------
    words : numpy.ndarray
        uint32. Their sign is ignored; infinity and NaN are read as if 255 were an ordinary exponent.
    fmt : FloatFormat
    bias : int or numpy.ndarray
        An int, or int32 in the shape of `words`.

    Returns
    -------
    whole : numpy.ndarray
        int32 in the shape of `words`: {E, M} with everything below M cut off. E has no bounds, except that with underflow
        "gradual" it stops at 0, where the significand is shifted onto the grid of the subnormals.
    fraction : numpy.ndarray
        uint32 in the shape of `words`: what was cut off, in units of 2**-32 of the last bit of M. Its own last bit also stands
        for everything below it (sticky).
    """
    exponent: Any = (words >> FP32_MAN_BITS & 0xFF).astype(np.int32)
    is_subnormal = exponent == 0
    exponent += np.asarray(bias, np.int32) - FP32_BIAS
    # with eight bits below, into which it may be shifted
    significand: Any = words << 8 & 0x7FFFFF00
    hidden = np.uint32(1 << 31)
    lost: Any = np.uint32(0)
    if fmt.underflow == "gradual":
        exponent += is_subnormal
        significand += ~is_subnormal * hidden
        # by 31 places or more less is left than any rounding looks at
        shift = np.clip(1 - exponent, 0, 31).astype(np.uint32)
        shifted = significand >> shift
        lost = shifted << shift != significand
        significand = shifted
        exponent = np.maximum(exponent, 1)
    elif fmt.specials == "fnu":
        # At bias 127 code 0 is 2**-127, an FP32 subnormal: doubled, it has its leading one where normal numbers have it.
        significand = np.where(is_subnormal, significand << 1, significand + hidden)
    else:
        significand += hidden
    # the hidden one, being added, makes E - 1 into E
    whole = (exponent - 1 << fmt.man_bits) + (significand >> 31 - fmt.man_bits).astype(np.int32)
    fraction = significand << 1 + fmt.man_bits | lost
    return whole, fraction


def round_increment(
    whole: NDArray[np.int32],
    fraction: NDArray[np.uint32],
    fmt: FloatFormat,
    rounding: str,
    random_bits: NDArray[Any] | None = None,
    sr_bits: int = 8,
    *,
    negative: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Whether a magnitude is rounded up, by one code.

    ===  =================================================================================================
    rne  to the nearest; a tie goes to the even significand (in a normal number without mantissa bits
         that is the hidden one: odd)
    rna  to the nearest; a tie goes away from zero
    rtz  toward zero
    sr   stochastically: up if ``2**sr_bits * discarded fraction``, rounded to the nearest integer, ties to even, plus
         the random bits is ``2**sr_bits`` or more. Over all random bits the mean error of a value is at most
         ``2**-(sr_bits + 1)`` of the last bit; over all fractions too it is 0, which cutting the fraction would not give
    rdn  toward minus infinity
    rup  toward plus infinity
    rto  to odd: what is not exact to the neighbour whose last bit is set, so that a second rounding, to at least two
         bits fewer, is as if there had been no first
    ===  =================================================================================================

    Parameters
    ----------
    whole, fraction : numpy.ndarray
        What `align` returns.
    fmt : FloatFormat
    rounding : str
        One of `ROUNDINGS`.
    random_bits : numpy.ndarray or None
        Integers from 0 to ``2**sr_bits - 1``, in the shape of `whole`; only "sr" reads them.
    sr_bits : int
        1 to 16.
    negative : numpy.ndarray or None
        bool, in the shape of `whole`: signs; only "rdn" and "rup" read them.

    Returns
    -------
    numpy.ndarray
        bool, in the shape of `whole`.
    """
    half = np.uint32(1 << 31)
    if rounding in ("rdn", "rup"):
        assert negative is not None
        return (fraction != 0) & (negative if rounding == "rdn" else ~negative)
    if rounding == "rtz":
        return np.zeros(whole.shape, bool)
    if rounding == "rna":
        return fraction >= half
    if rounding == "sr":
        assert random_bits is not None
        sr_bits = check_int("sr_bits", sr_bits, 1, MAX_SR_BITS)
        cut = fraction >> 32 - sr_bits
        return cut + rounds_to_even(fraction << sr_bits, half, cut & 1 != 0) + random_bits >> sr_bits != 0
    if fmt.man_bits:
        is_odd = whole & 1 != 0
    else:
        is_odd = whole > 0 if fmt.underflow == "gradual" else np.ones(whole.shape, bool)
    if rounding == "rto":
        return (fraction != 0) & ~is_odd
    return rounds_to_even(fraction, half, is_odd)


def is_tiny(
    words: NDArray[np.uint32],
    fmt: FloatFormat,
    bias: int | NDArray[np.int32],
    tininess: str,
    rounding: str,
    random_bits: NDArray[Any] | None = None,
    sr_bits: int = 8,
) -> NDArray[np.bool_]:
    """Whether magnitudes are below the smallest normal number of `fmt`: FP32's own, or rounded as if exponents had no bounds.

    Parameters
    ----------
    words, fmt, bias
        As for `align`.
    tininess : str
        One of `TININESS`: "before", or "after" rounding, as RISC-V and x86 have it (IEEE 754-2019, 7.5, leaves the choice).
    rounding, random_bits, sr_bits
        As for `round_increment`.

    Returns
    -------
    numpy.ndarray
        bool, in the shape of `words`.
    """
    negative = words >> np.uint32(31) != 0
    words = words & np.uint32(0x7FFFFFFF)
    # Twice the value is normal where this matters, so that `align` shifts none of its bits out.
    twice = np.where(words >> FP32_MAN_BITS == 0, words << 1, words + np.uint32(1 << FP32_MAN_BITS))
    whole, fraction = align(twice, fmt, bias)
    if tininess == "after":
        whole = whole + round_increment(whole, fraction, fmt, rounding, random_bits, sr_bits, negative=negative)
    smallest = {"gradual": 1 << fmt.man_bits, "zero_code": 1, "clamp_exponent": 0}[fmt.underflow]
    return whole < smallest + (1 << fmt.man_bits)


def rounds_to_even(rest: NDArray[Any], half: NDArray[Any] | np.integer, is_odd: Any) -> NDArray[np.bool_]:
    """Whether "rne" rounds up what has `rest` cut off, `half` being half of its last bit and `is_odd` whether that is set."""
    return (rest > half) | (rest == half) & is_odd


def round_to_odd(values: NDArray[Any], places: Any) -> NDArray[Any]:
    """`values` shifted right, the last bit set if any bit that left was: what is rounded later, a bit higher, knows of them."""
    shifted = values >> places
    return shifted | (shifted << places != values)


def round_and_pack(
    words: NDArray[np.uint32],
    fmt: FloatFormat,
    bias: int | NDArray[np.int32],
    rounding: str,
    overflow: str,
    random_bits: NDArray[Any] | None = None,
    sr_bits: int = 8,
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """FP32 words rounded to codes of `fmt`.

    The parameters are those of `align` and `round_increment`, and `overflow`, one of `OVERFLOWS`:

    ========  ================================================  ================================
    overflow  infinity; finite numbers too large once rounded   NaN
    ========  ================================================  ================================
    saturate  the largest finite number                         NaN, else the largest finite one
    format    infinity, else NaN, else the largest finite one;  NaN, else the largest finite one
              by "rtz" and "rto", and by "rdn" and "rup"
              toward zero, finite numbers the largest finite
    ========  ================================================  ================================

    "Else" means: if the format has none. The sign is kept, except that "fnuz" has only a positive zero and one NaN, and that
    "fnu" makes NaN of all that is not positive. Underflow "clamp_exponent" with specials "none" reads infinity and NaN as
    numbers.

    Returns
    -------
    codes : numpy.ndarray
        uint32 in the shape of `words`.
    is_too_large : numpy.ndarray
        bool: the magnitude, rounded with an unbounded exponent, is above the largest finite one. True for infinity and NaN.
    """
    unsigned = words & 0x7FFFFFFF
    whole, fraction = align(words, fmt, bias)
    negative = words != unsigned
    magnitude = whole + round_increment(whole, fraction, fmt, rounding, random_bits, sr_bits, negative=negative)
    is_too_large = magnitude > fmt.max_finite

    if fmt.underflow == "clamp_exponent" and fmt.specials == "none":
        exponent = np.clip(magnitude >> fmt.man_bits, 0, 2**fmt.exp_bits - 1)
        magnitude = exponent << fmt.man_bits | magnitude & 2**fmt.man_bits - 1
    else:
        if fmt.underflow == "zero_code":
            # zero and the subnormals of FP32 are below 0 too: the bias is at most 63
            magnitude = np.where(magnitude < 0, 0, np.maximum(magnitude, 1))
        else:
            magnitude = np.maximum(magnitude, 0)  # below 0 with "fnu" only
        nan, infinity = _special_codes(fmt, overflow)
        magnitude = np.where(is_too_large, infinity, magnitude)
        stays_finite = {"rtz": True, "rto": True, "rdn": ~negative, "rup": negative}.get(rounding)
        if stays_finite is not None:
            magnitude = np.where(is_too_large & (unsigned < FP32_INFINITY) & stays_finite, fmt.max_finite, magnitude)
        is_nan = unsigned > FP32_INFINITY
        if fmt.specials == "fnu":
            is_nan |= (words == 0) | negative
        magnitude = np.where(is_nan, nan, magnitude)

    codes = magnitude.astype(np.uint32)
    if fmt.signed:
        sign = words >> 31 << fmt.magnitude_bits
        codes |= sign * (codes != 0) if fmt.specials == "fnuz" else sign
    return codes, is_too_large


def _special_codes(fmt: FloatFormat, overflow: str) -> tuple[int, int]:
    """What NaN and infinity become, as {E, M}; the NaN of "fnuz" with its sign bit, which it has whatever the sign."""
    if fmt.specials == "fnuz":
        nan = 1 << fmt.magnitude_bits
    else:
        nan = fmt.max_finite if fmt.nan is None else fmt.nan
    if overflow == "saturate":
        return nan, fmt.max_finite
    return nan, nan if fmt.infinity is None else fmt.infinity
