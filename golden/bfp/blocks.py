"""Numbers in groups with a shared exponent: conversion from FP32 and back, and chunks of two bits."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_choice, check_fields, check_int, check_random_bits
from narrowfloat.golden.formats import FP32_BIAS, FP32_INFINITY, FP32_MAN_BITS, BlockFormat
from narrowfloat.golden.rounding import OVERFLOWS, rounds_to_even
from numpy.typing import ArrayLike, NDArray

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
        magnitudes = self.magnitudes.astype(np.int16)
        return np.where(self.signs, -magnitudes, magnitudes)

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
    become the largest k with their sign, and spoil no other number:

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
    if rounding == "sr":
        random_bits = check_random_bits(random_bits, SR_BITS, words.shape, "the groups").astype(np.int64)
    exponents, significands = _unpack(words)
    invalid = exponents == NAN_EXPONENT
    if fmt.exp_bits < 8:
        counts = ~invalid
    else:
        counts = (words & 0x7FFFFFFF != FP32_INFINITY) | (overflow == "format")
    largest = np.where(counts, exponents, 0).max(axis=-1)
    codes = np.clip(largest - offset, 0, fmt.max_exponent)
    distances = (codes + offset)[..., None] - exponents
    saturated = distances < 0
    magnitudes = _round(significands, np.maximum(distances, 0), bits, rounding, random_bits)
    magnitudes = np.where(saturated, 2**bits - 1, np.minimum(magnitudes, 2**bits - 1)) << fmt.man_bits - bits
    magnitudes = magnitudes.astype(np.uint8)
    signs = (words >> 31 != 0) & (magnitudes > 0)
    blocks = Blocks(fmt, length, codes.astype(np.uint8), offset, signs, magnitudes)
    return (blocks, saturated, invalid) if flags else blocks


def decode(blocks: Blocks) -> NDArray[np.float32]:
    """The values of `blocks`, in the shape that was converted: float32, exactly.

    A group with E = 255, to which an offset of 255 leads too, is NaN.
    """
    # E is at most 254, so that numbers are below 2**128
    numbers = np.ldexp(blocks.integers.astype(np.float32), np.where(blocks.is_nan, 0, blocks.weights)[..., None])
    values = np.where(blocks.is_nan[..., None], np.float32(np.nan), numbers)
    return values.reshape(*blocks.codes.shape[:-1], -1)[..., : blocks.length]


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
    groups = -(-x.shape[-1] // group)
    words = np.zeros((*x.shape[:-1], groups * group), np.uint32)
    words[..., : x.shape[-1]] = np.ascontiguousarray(x).view(np.uint32)
    return x.shape[-1], words.reshape(*x.shape[:-1], groups, group)


def _unpack(words):
    """Exponents (int64), and significands of 24 bits (int64; 0 for zeros and subnormals)."""
    exponents = (words >> FP32_MAN_BITS & 0xFF).astype(np.int64)
    fractions = (words & 2**FP32_MAN_BITS - 1).astype(np.int64)
    return exponents, np.where(exponents > 0, fractions + 2**FP32_MAN_BITS, 0)


def _round(significands, distances, man_bits, rounding, random_bits):
    """Significands, of 24 bits, in units of the last of `man_bits` bits, `distances` places to the right, rounded: int64."""
    # From 40 places on nothing is left, of 24 bits and 16 below, to be seen or to round up.
    shift = FP32_MAN_BITS + 1 + np.minimum(distances, 39)
    if rounding == "sr":
        return _nearest(significands << man_bits + SR_BITS, shift) + random_bits >> SR_BITS
    scaled = significands << man_bits
    return scaled >> shift if rounding == "rtz" else _nearest(scaled, shift)


def _nearest(values, shift):
    """``values / 2**shift`` to the nearest, ties to even: int64."""
    whole = values >> shift
    rest, half = values - (whole << shift), np.int64(1) << shift - 1
    return whole + rounds_to_even(rest, half, whole & 1 != 0)
