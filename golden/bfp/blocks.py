"""Numbers in groups with a shared exponent: conversion from FP32 and back, and chunks of two bits."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_choice, check_fields, check_int, check_random_bits
from narrowfloat.golden.formats import FP32_BIAS, FP32_INFINITY, FP32_MAN_BITS, FP32_SMALLEST_NORMAL, BlockFormat
from narrowfloat.golden.parts import PART, parts
from narrowfloat.golden.rounding import OVERFLOWS, round_to_odd, rounds_to_even
from numpy.typing import ArrayLike, DTypeLike, NDArray

ROUNDINGS = ("rtz", "rne", "sr")  # with the codes of `golden.rounding.ROUNDINGS`
SR_BITS = 8  # random bits per number, and bits that stochastic rounding sees of what it discards
NAN_EXPONENT = 255  # E of a group that is NaN: infinity and NaN have it in FP32, numbers do not


@dataclass(frozen=True, eq=False)
class Blocks:
    """Numbers in groups along their last axis.

    Attributes
    ----------
    fmt : BlockFormat
    length : int
        Numbers along the last axis before it was filled up with zeros.
    codes : numpy.ndarray
        uint8 [..., groups]: the codes of the shared exponents.
    offset : int
        What is added to a code to give E; 0 where ``fmt.exp_bits`` is 8.
    signs : numpy.ndarray
        bool [..., groups, group]; False where k = 0.
    magnitudes : numpy.ndarray
        uint8 [..., groups, group]: k.

    Raises
    ------
    ValueError
        `length` or `offset` is out of range.
    """

    fmt: BlockFormat
    length: int
    codes: NDArray[np.uint8]
    offset: int
    signs: NDArray[np.bool_]
    magnitudes: NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_fields(self, length=(0, 2**62), offset=(0, 255))

    @property
    def exponents(self) -> NDArray[np.int32]:
        """E of each group, as FP32 has it, bias and all: int32 [..., groups]."""
        return self.codes.astype(np.int32) + self.offset

    @property
    def weights(self) -> NDArray[np.int32]:
        """The power of two by which the integers of each group are to be multiplied: int32 [..., groups]."""
        return self.exponents - FP32_BIAS - (self.fmt.man_bits - 1)

    @property
    def integers(self) -> NDArray[np.int16]:
        """The numbers as integers with their signs: int16 [..., groups, group]. Those of a group that is NaN mean nothing."""
        return signed(self.signs, self.magnitudes, np.int16)

    @property
    def is_nan(self) -> NDArray[np.bool_]:
        """Whether a group is NaN, all of its numbers: bool [..., groups]."""
        return self.exponents == NAN_EXPONENT


@overload
def convert(
    x: ArrayLike,
    fmt: BlockFormat | str,
    *,
    rounding: str = ...,
    overflow: str = ...,
    bits: int | None = ...,
    random_bits: ArrayLike | None = ...,
    offset: int = ...,
    flags: Literal[False] = ...,
) -> Blocks: ...
@overload
def convert(
    x: ArrayLike,
    fmt: BlockFormat | str,
    *,
    rounding: str = ...,
    overflow: str = ...,
    bits: int | None = ...,
    random_bits: ArrayLike | None = ...,
    offset: int = ...,
    flags: Literal[True],
) -> tuple[Blocks, NDArray[np.bool_], NDArray[np.bool_]]: ...
def convert(
    x: ArrayLike,
    fmt: BlockFormat | str,
    *,
    rounding: str = "rtz",
    overflow: str = "saturate",
    bits: int | None = None,
    random_bits: ArrayLike | None = None,
    offset: int = 0,
    flags: bool = False,
) -> Blocks | tuple[Blocks, NDArray[np.bool_], NDArray[np.bool_]]:
    """FP32 values as groups along their last axis.

    >>> blocks = convert(np.float32([1, -0.5, 0.25, 3]), "m4g4")
    >>> blocks.integers.tolist(), blocks.weights.tolist()
    ([[4, -2, 1, 12]], [-2])

    With E the largest exponent of a group, k is ``|x| / 2**(E - 127 - (man_bits - 1))``, rounded:

    ===  ====================================================================================================================
    rtz  toward zero
    rne  to the nearest, ties to even
    sr   stochastically: |x| in units of k is rounded to 8 fraction bits (to the nearest, ties to even), 8 random bits are
         added there, and the fraction is dropped: over all fractions the mean error is 0
    ===  ====================================================================================================================

    With `bits` below `man_bits` numbers are rounded to so many, the highest, and the others are zero: so a tensor of 2 bits
    goes where there is room for 4. What rounds to ``2**man_bits`` becomes the largest k that has these bits; E stays.

    Zeros and subnormals of FP32 are zero, and the exponent of a group of nothing else is 0. With `exp_bits` 3 or 4 the code is
    ``E - offset`` within its range, and the group is aligned to the exponent that this code means: numbers with a larger one
    become the largest k.

    Infinity and NaN are read with their exponent, 255. Where that counts for E, the group is NaN; where it does not, they
    become the largest k with their sign, and spoil no other number. A group in which no other number is above zero is aligned
    to 254, so that they stay as large as they can be:

    ========  ==========================  ============================
    exp_bits  NaN                         infinity
    ========  ==========================  ============================
    8         counts                      `overflow` "saturate": counts not; "format": counts
    3, 4      counts not                  counts not
    ========  ==========================  ============================

    Parameters
    ----------
    x : array_like
        float32, float16, bfloat16 or Python's own numbers (see `golden.arrays.as_fp32`), [..., n], n >= 1; the last group is
        filled up with zeros.
    fmt : BlockFormat or str
        A format or its name.
    rounding : str
        One of `ROUNDINGS`.
    overflow : str
        One of `golden.rounding.OVERFLOWS`.
    bits : int or None
        1 to ``fmt.man_bits``; None means all.
    random_bits : numpy.ndarray or None
        For "sr": integers from 0 to 255, [..., groups, group]. Those of hardware with `lanes` numbers per beat are
        ``golden.lfsr.lane_bits(seed, beats, lanes)``, in that order.
    offset : int
        0 to 255, for ``fmt.exp_bits`` of 3 or 4; otherwise 0.
    flags : bool
        Whether to return the flags too.

    Returns
    -------
    blocks : Blocks
    saturated, invalid : numpy.ndarray
        Only if `flags`: bool [..., groups, group]: the exponent, that of infinity and NaN too, is above the one the group is
        aligned to; infinity or NaN.

    Raises
    ------
    TypeError
        `x` is of another dtype; `random_bits` are not integers; `fmt` is neither a BlockFormat nor a name.
    ValueError
        `rounding`, `overflow`, `bits`, `offset` or `random_bits` are not what is allowed, or `x` has no last axis or nothing
        along it.
    """
    fmt = BlockFormat.of(fmt)
    check_choice("rounding", rounding, ROUNDINGS)
    check_choice("overflow", overflow, OVERFLOWS)
    bits = fmt.man_bits if bits is None else bits
    bits = check_int(f"bits of {fmt.name}", bits, 1, fmt.man_bits)
    offset = check_int(f"offset of {fmt.name}", offset, 0, 0 if fmt.exp_bits == 8 else 255)
    length, words = _grouped(x, fmt.group)
    shape, words = words.shape, words.reshape(-1)
    noise = check_random_bits(random_bits, SR_BITS, shape, "the groups").reshape(-1) if rounding == "sr" else None
    codes, magnitudes = np.empty(words.size // fmt.group, np.uint8), np.empty(words.shape, np.uint8)
    signs, saturated, invalid = (np.empty(words.shape if wanted else 0, bool) for wanted in (True, flags, flags))
    for part in parts(words.size, PART // fmt.group * fmt.group):
        own_noise = None if noise is None else noise[part]
        k, own_codes, *raised = _convert(words[part], fmt, bits, offset, rounding, overflow, own_noise)
        codes[part.start // fmt.group : part.stop // fmt.group] = own_codes
        magnitudes[part], signs[part] = k, (words[part] >> np.uint32(31)).astype(bool) & (k > 0)
        if flags:
            saturated[part], invalid[part] = raised
    blocks = Blocks(fmt, length, codes.reshape(shape[:-1]), offset, signs.reshape(shape), magnitudes.reshape(shape))
    return (blocks, saturated.reshape(shape), invalid.reshape(shape)) if flags else blocks


def decode(blocks: Blocks) -> NDArray[np.float32]:
    """The values of `blocks`, in the shape that was converted: float32, exactly.

    A group with E = 255, to which an offset of 255 leads too, is NaN.
    """
    group = blocks.fmt.group
    scales = np.where(blocks.is_nan, np.nan, np.ldexp(1.0, blocks.weights)).reshape(-1)
    signs, magnitudes = blocks.signs.reshape(-1), blocks.magnitudes.reshape(-1)
    values = np.empty(magnitudes.shape, np.float32)
    for part in parts(values.size, PART // group * group):
        scale = np.repeat(scales[part.start // group : part.stop // group], group)
        values[part] = signed(signs[part], magnitudes[part], np.int16) * scale
    return values.reshape(*blocks.codes.shape[:-1], blocks.codes.shape[-1] * group)[..., : blocks.length]


def signed(signs: NDArray[Any], magnitudes: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Integers from their signs and magnitudes, in a dtype that holds them."""
    ones = -signs.view(np.int8)  # -1 where negative: there all bits are inverted, and 1 is added
    return (magnitudes.astype(dtype) ^ ones) - ones


def chunks(blocks: Blocks) -> NDArray[np.uint8]:
    """The magnitudes two bits at a time: uint8 [man_bits / 2, ..., groups, group], the highest first.

    Chunk j with the group's signs and the exponent E - 2 j is itself a group of 2 mantissa bits, and they sum up to the
    numbers. With rounding "rtz" chunk 0 is what conversion to 2 mantissa bits gives, chunks 0 and 1 what that to 4 gives, and
    so on.
    """
    shifts = 2 * np.arange(blocks.fmt.chunks - 1, -1, -1, dtype=np.uint8)
    return blocks.magnitudes >> shifts.reshape(-1, *[1] * blocks.magnitudes.ndim) & np.uint8(3)


def _grouped(x, group):
    """The length of the last axis of `x`, and its words in groups, filled up with zeros."""
    x = as_fp32("x", x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x must have numbers along its last axis to group, not the shape {x.shape}")
    length, groups = x.shape[-1], -(-x.shape[-1] // group)
    words = np.ascontiguousarray(x).view(np.uint32)
    if length % group:
        filled = np.zeros((*x.shape[:-1], groups * group), np.uint32)
        filled[..., :length] = words
        words = filled
    return length, words.reshape(*x.shape[:-1], groups, group)


def _convert(words, fmt, bits, offset, rounding, overflow, random_bits):
    """What becomes of the words of whole groups, flat: k, the codes of the exponents, and the flags saturated and invalid."""
    magnitudes = words & np.uint32(0x7FFFFFFF)
    invalid = magnitudes >= FP32_INFINITY
    counted = counted_words(words, fmt, overflow) & np.uint32(0x7FFFFFFF) if invalid.any() else magnitudes
    largest = _largest(counted, fmt.group) >> np.uint32(FP32_MAN_BITS)
    if counted is not magnitudes:
        largest[(largest == 0) & _largest(counted != magnitudes, fmt.group)] = NAN_EXPONENT - 1
    codes = np.clip(largest.view(np.int32) - offset, 0, fmt.max_exponent)
    exponents = np.repeat(codes + np.int32(offset), fmt.group)
    distances = exponents - (magnitudes >> np.uint32(FP32_MAN_BITS)).view(np.int32)
    if rounding == "sr":
        fractions = magnitudes & np.uint32(2**FP32_MAN_BITS - 1)
        significands = (fractions | np.uint32(2**FP32_MAN_BITS)) * (magnitudes >= FP32_SMALLEST_NORMAL)
        k = _rounded(significands, distances, bits, rounding, random_bits.astype(np.uint32))
    else:
        places = bits + 1
        keys = round_to_odd(magnitudes, np.uint32(FP32_MAN_BITS - places)).view(np.int32)
        k = _table(bits, rounding).take((exponents + 1 << places) - keys, mode="clip")
        if exponents.min() < bits + 3:  # above, all that has the exponent 0 is too small for the table
            k *= magnitudes >= FP32_SMALLEST_NORMAL
    return k << np.uint8(fmt.man_bits - bits), codes, distances < 0, invalid


def counted_words(words: NDArray[np.uint32], fmt: BlockFormat | str, overflow: str) -> NDArray[np.uint32]:
    """FP32 words of which those are zero that count neither for the exponent of their group nor for statistics."""
    magnitudes = words & np.uint32(0x7FFFFFFF)
    if BlockFormat.of(fmt).exp_bits < 8:
        return words * (magnitudes < FP32_INFINITY)
    return words * (magnitudes != FP32_INFINITY) if overflow == "saturate" else words


def _largest(values, group):
    """The largest of each group, flat, by halves as long as the group has some: the maximum of few is slow in NumPy."""
    while group % 2 == 0:
        values, group = np.maximum(values[::2], values[1::2]), group // 2
    return values if group == 1 else np.maximum.reduceat(values, np.arange(0, len(values), group))


@lru_cache
def _table(bits, rounding):
    """k of nonzero magnitudes by how far they are below the end of the group's highest octave.

    In units of the last but one bit that rounding sees, so that magnitudes rounded to odd in these units become what they
    become. Entry 0 is for those beyond the end, the last one for all that are too small.
    """
    places = bits + 1
    below = np.arange(-1, bits + 2 << places, dtype=np.int32)
    fractions = (~below & 2**places - 1).astype(np.uint32)
    significands = (fractions | np.uint32(2**places)) << np.uint32(FP32_MAN_BITS - places)
    return _rounded(significands, below >> places, bits, rounding, None)


def _rounded(significands, distances, bits, rounding, random_bits):
    """Significands, uint32 of 24 bits, in units of the last of `bits` bits `distances` places to the right: uint8."""
    seen = bits + (SR_BITS if rounding == "sr" else 0)
    # From 26 places on nothing is left, of 24 bits, to be seen or to round up.
    shift = FP32_MAN_BITS + 1 - seen + np.clip(distances, 0, seen + 2).astype(np.uint32)
    k = significands >> shift
    if rounding != "rtz":
        rest, half = significands - (k << shift), np.uint32(1) << shift - np.uint32(1)
        k += rounds_to_even(rest, half, k & np.uint32(1) != 0)
    if rounding == "sr":
        k = k + random_bits >> np.uint32(SR_BITS)
    largest = np.uint32(2**bits - 1)
    return np.where(distances < 0, largest, np.minimum(k, largest)).astype(np.uint8)
