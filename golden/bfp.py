"""Block floating point (BFP), bit-exact to the hardware: conversion, chunks, dot products, accumulators, choice of precision.

A group of numbers shares an exponent E, each number is a sign and an integer k: see `golden.formats.BlockFormat`. So a dot
product of two groups is one of integers, and their exponents are added once. After FAST, HPCA 2022, arXiv 2110.15456; what is
known of the paper leaves open how conversion rounds, what the sums of the precision policy are relative to, and the
accumulators' widths: those are ours.
"""

from dataclasses import dataclass

import numpy as np
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BlockFormat

ROUNDINGS = ("rtz", "rne", "sr")
SR_BITS = 8  # random bits per number, and bits that stochastic rounding sees of what it discards
SUM_BITS = 40  # of the sums of the precision policy
MIN_FIXED_BITS, MAX_FIXED_BITS = 8, 62
EPSILON_BITS = 16  # fraction bits of alpha and beta

_FP32_BIAS = 127
_FP32_MAN_BITS = 23
_FP32_MAX_EXPONENT = 254
_MXINT8 = BlockFormat(name="mxint8", man_bits=8, group=32)


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
    """

    fmt: BlockFormat
    length: int
    codes: np.ndarray
    offset: int
    signs: np.ndarray
    magnitudes: np.ndarray

    @property
    def exponents(self):
        """E of each group, as FP32 has it, bias and all: int32 [..., groups]."""
        return self.codes.astype(np.int32) + self.offset

    @property
    def weights(self):
        """The power of two by which the integers of each group are to be multiplied: int32 [..., groups]."""
        return self.exponents - _FP32_BIAS - (self.fmt.man_bits - 1)

    @property
    def integers(self):
        """The numbers as integers with their signs: int16 [..., groups, group]."""
        magnitudes = self.magnitudes.astype(np.int16)
        return np.where(self.signs, -magnitudes, magnitudes)


def convert(x, fmt, *, rounding="rtz", bits=None, random_bits=None, offset=0, flags=False):
    """FP32 values as groups along their last axis.

    With E the largest exponent of a group, k is ``|x| / 2**(E - 127 - (man_bits - 1))``, rounded:

    ===  ====================================================================================================================
    rtz  toward zero
    rne  to the nearest, ties to even
    sr   stochastically: of |x| in units of k 8 fraction bits are kept, the rest is dropped; 8 random bits are added there,
         and the fraction is dropped
    ===  ====================================================================================================================

    With `bits` below `man_bits` numbers are rounded to so many, the highest, and the others are zero: so a tensor of 2 bits
    goes where there is room for 4. What rounds to ``2**man_bits`` becomes the largest k that has these bits; E stays.

    Zeros and subnormals of FP32 are zero, and the exponent of a group of nothing else is 0. Infinity and NaN are read as the
    largest finite number with their sign. With `exp_bits` 3 or 4 the code is ``E - offset`` within its range, and the group is
    aligned to the exponent that this code means: numbers with a larger one become the largest k.

    Parameters
    ----------
    x : numpy.ndarray
        float32 [..., n], n >= 1; the last group is filled up with zeros.
    fmt : BlockFormat
    rounding : str
        One of `ROUNDINGS`.
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
        Only if `flags`: bool [..., groups, group]: the exponent is above the one the group is aligned to; infinity or NaN.

    Raises
    ------
    TypeError
        `x` is not float32; `random_bits` are not integers; `fmt` is not a BlockFormat.
    ValueError
        `rounding`, `bits`, `offset` or `random_bits` are not what is allowed, or `x` has no last axis or nothing along it.
    """
    if not isinstance(fmt, BlockFormat):
        raise TypeError(f"fmt must be a BlockFormat, not {fmt!r}: BlockFormat.parse makes one of its name")
    check_choice("rounding", rounding, ROUNDINGS)
    bits = fmt.man_bits if bits is None else bits
    check_int(f"bits of {fmt.name}", bits, 1, fmt.man_bits)
    check_int(f"offset of {fmt.name}", offset, 0, 0 if fmt.exp_bits == 8 else 255)
    x, words = _grouped(x, fmt.group)
    if rounding == "sr":
        random_bits = _checked_random_bits(random_bits, words.shape)
    exponents, significands, invalid = _unpack(words)
    largest = exponents.max(axis=-1)
    codes = np.clip(largest - offset, 0, fmt.max_exponent)
    distances = (codes + offset)[..., None] - exponents
    saturated = distances < 0
    magnitudes = _round(significands, np.maximum(distances, 0), bits, rounding, random_bits)
    magnitudes = np.where(saturated, 2**bits - 1, np.minimum(magnitudes, 2**bits - 1)) << fmt.man_bits - bits
    magnitudes = magnitudes.astype(np.uint8)
    signs = (words >> 31 != 0) & (magnitudes > 0)
    blocks = Blocks(fmt, x.shape[-1], codes.astype(np.uint8), offset, signs, magnitudes)
    return (blocks, saturated, invalid) if flags else blocks


def _grouped(x, group):
    """`x` as an array, and its words in groups, filled up with zeros."""
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"x must be float32, not {x.dtype}: convert with .astype(np.float32)")
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x must have numbers along its last axis to group, not the shape {x.shape}")
    groups = -(-x.shape[-1] // group)
    words = np.zeros((*x.shape[:-1], groups * group), np.uint32)
    words[..., : x.shape[-1]] = np.ascontiguousarray(x).view(np.uint32)
    return x, words.reshape(*x.shape[:-1], groups, group)


def _checked_random_bits(random_bits, shape):
    highest = 2**SR_BITS - 1
    if random_bits is None:
        raise ValueError(f"rounding 'sr' needs random_bits: for each number an integer from 0 to {highest} (see golden.lfsr)")
    random_bits = np.asarray(random_bits)
    if random_bits.dtype.kind not in "iu":
        raise TypeError(f"random_bits must be integers, not {random_bits.dtype}")
    if random_bits.shape != shape:
        raise ValueError(f"random_bits must have the shape of the groups, {shape}, not {random_bits.shape}")
    for wrong in random_bits[(random_bits < 0) | (random_bits > highest)][:1]:
        raise ValueError(f"random_bits must be from 0 to {highest}, not {wrong}")
    return random_bits.astype(np.int64)


def _unpack(words):
    """Exponents (int64), significands of 24 bits (int64; 0 for zeros and subnormals), and where words are infinity or NaN."""
    exponents = (words >> _FP32_MAN_BITS & 0xFF).astype(np.int64)
    fractions = (words & 2**_FP32_MAN_BITS - 1).astype(np.int64)
    invalid = exponents > _FP32_MAX_EXPONENT
    exponents = np.minimum(exponents, _FP32_MAX_EXPONENT)
    fractions = np.where(invalid, 2**_FP32_MAN_BITS - 1, fractions)
    significands = np.where(exponents > 0, fractions + 2**_FP32_MAN_BITS, 0)
    return exponents, significands, invalid


def _round(significands, distances, man_bits, rounding, random_bits):
    """Significands, of 24 bits, in units of the last of `man_bits` bits, `distances` places to the right, rounded: int64."""
    # From 40 places on nothing is left, of 24 bits and 16 below, to be seen or to round up.
    shift = _FP32_MAN_BITS + 1 + np.minimum(distances, 39)
    if rounding == "sr":
        return ((significands << man_bits + SR_BITS) >> shift) + random_bits >> SR_BITS
    scaled = significands << man_bits
    whole = scaled >> shift
    if rounding == "rtz":
        return whole
    rest, half = scaled - (whole << shift), np.int64(1) << shift - 1
    return whole + ((rest > half) | (rest == half) & (whole & 1 != 0))


def decode(blocks):
    """The values of `blocks`, in the shape that was converted: float32, exactly.

    Only E = 255, to which an offset of 255 or a scale of MX can lead, has numbers from 2**128 on: those become infinity.
    """
    values = np.ldexp(blocks.integers.astype(np.float64), blocks.weights[..., None])
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    return values.reshape(*blocks.codes.shape[:-1], -1)[..., : blocks.length]


def chunks(blocks):
    """The magnitudes two bits at a time: uint8 [man_bits / 2, ..., groups, group], the highest first.

    Chunk j with the group's signs and the exponent E - 2 j is itself a group of 2 mantissa bits, and they sum up to the
    numbers. With rounding "rtz" chunk 0 is what conversion to 2 mantissa bits gives, chunks 0 and 1 what that to 4 gives, and
    so on.
    """
    shifts = 2 * np.arange(blocks.fmt.chunks - 1, -1, -1, dtype=np.uint8)
    return blocks.magnitudes >> shifts.reshape(-1, *[1] * blocks.magnitudes.ndim) & np.uint8(3)


def dot(a, b):
    """Dot products of groups of `a` with groups of `b`, exactly: the sums times ``2**weights``.

    Parameters
    ----------
    a, b : Blocks
        Of the same group size; the shapes of their groups broadcast.

    Returns
    -------
    sums : numpy.ndarray
        int64 [..., groups].
    weights : numpy.ndarray
        int32 [..., groups].

    Raises
    ------
    ValueError
        The groups are of different sizes, or do not broadcast.
    """
    if a.fmt.group != b.fmt.group:
        raise ValueError(f"groups must be of the same size, not {a.fmt.group} and {b.fmt.group}")
    sums = (a.integers.astype(np.int64) * b.integers).sum(axis=-1)
    return sums, a.weights + b.weights


def accumulate_fp32(acc, sums, weights):
    """``acc + sums * 2**weights``, rounded once, to the nearest FP32 number, ties to even.

    As IEEE 754 has it, with subnormals, and infinity for what is too large. A sum of zero leaves `acc` as it is, a zero's sign
    included; numbers that cancel give +0.

    Parameters
    ----------
    acc : numpy.ndarray
        float32.
    sums, weights : numpy.ndarray
        Integers as `dot` returns them; the shapes of all three broadcast.

    Returns
    -------
    numpy.ndarray
        float32.

    Raises
    ------
    TypeError
        `acc` is not float32.
    """
    acc = np.asarray(acc)
    if acc.dtype != np.float32:
        raise TypeError(f"acc must be float32, not {acc.dtype}")
    old = acc.astype(np.float64)
    addend = np.ldexp(np.asarray(sums, np.float64), weights)
    with np.errstate(invalid="ignore", over="ignore"):
        total = old + addend
        # What the addition lost, exactly (Knuth's TwoSum). Where it lost anything, the last bit of the 53 is made 1 (round to
        # odd), so that the second rounding, to 24 bits or fewer, is as if there had been no first.
        virtual = total - old
        error = (old - (total - virtual)) + (addend - virtual)
        is_even = total.view(np.int64) & 1 == 0
        odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
        total = np.where((error != 0) & is_even & np.isfinite(total), odd, total)
        return np.where(np.asarray(sums) == 0, acc, total.astype(np.float32))


def accumulate_fixed(acc, sums, weights, *, width, base):
    """``acc + floor(sums * 2**(weights - base))`` in two's complement of `width` bits, whose last bit means ``2**base``.

    Where what is added is out of range by itself, the total is that end of the range, whatever `acc` was.

    Parameters
    ----------
    acc : numpy.ndarray
        Integers of `width` bits.
    sums, weights : numpy.ndarray
        As `dot` returns them, `sums` of at most 32 bits; the shapes of all three broadcast.
    width : int
        8 to 62.
    base : int

    Returns
    -------
    total : numpy.ndarray
        int64.
    saturated : numpy.ndarray
        bool: whether what was added or the sum was out of range, so that the total became an end of it.

    Raises
    ------
    ValueError
        `width` is out of range.
    """
    check_int("width", width, MIN_FIXED_BITS, MAX_FIXED_BITS)
    sums, shift = np.asarray(sums, np.int64), np.asarray(weights, np.int64) - base
    # Twice the range of `acc` in either direction is as good as any larger number.
    far = np.int64(2**MAX_FIXED_BITS)
    left = np.clip(shift, 0, MAX_FIXED_BITS + 1)
    too_large = np.abs(sums) > far >> left
    addend = np.where(too_large, np.sign(sums) * far, np.where(too_large, 0, sums) << left)
    addend = np.where(shift < 0, sums >> np.clip(-shift, 0, 63), addend)
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    outside = (addend < low) | (addend > high)
    total = np.where(outside, addend, np.asarray(acc, np.int64) + np.where(outside, 0, addend))
    return np.clip(total, low, high), (total < low) | (total > high)


def matmul(a, b, *, accumulator="fp32", start=None, width=32, window=256):
    """Dot products of rows: each group's exact sum is added to the accumulator, one group after the other.

    Parameters
    ----------
    a, b : Blocks
        [m, n] and [p, n], of the same group size: both in groups along what is summed over.
    accumulator : str
        "fp32": `accumulate_fp32` with each group. "fixed": `accumulate_fixed`; the last bit of the sum means ``2**(window - 256)``.
    start : optional
        What is returned for the first part of a longer sum; None means zeros.
    width : int
        Of "fixed", 8 to 62.
    window : int
        Of "fixed".

    Returns
    -------
    numpy.ndarray
        float32 [m, p]; of "fixed" a pair: int64 [m, p], and whether anything was out of range, bool [m, p].

    Raises
    ------
    ValueError
        The shapes do not fit, or a parameter is not allowed.
    """
    check_choice("accumulator", accumulator, ("fp32", "fixed"))
    if a.codes.ndim != 2 or b.codes.ndim != 2 or a.length != b.length:
        raise ValueError(
            f"a and b must be matrices with rows of the same length, not {(*a.codes.shape[:-1], a.length)} and "
            f"{(*b.codes.shape[:-1], b.length)}"
        )
    rows, columns = len(a.codes), len(b.codes)
    if accumulator == "fp32":
        total = np.zeros((rows, columns), np.float32) if start is None else start
    else:
        total, saturated = (np.zeros((rows, columns), dtype) for dtype in (np.int64, bool)) if start is None else start
    for group in range(a.codes.shape[1]):
        sums = a.integers[:, group].astype(np.int64) @ b.integers[:, group].astype(np.int64).T
        weights = a.weights[:, group, None] + b.weights[:, group]
        if accumulator == "fp32":
            total = accumulate_fp32(total, sums, weights)
        else:
            total, out = accumulate_fixed(total, sums, weights, width=width, base=window - 256)
            saturated = saturated | out
    return total if accumulator == "fp32" else (total, saturated)


def relative_improvement(x, fmt, reference, *, offset=0, width=SUM_BITS):
    """Both sums of what 4 mantissa bits improve on 2: ``sum(|BFP4 - BFP2|)`` and ``sum(|BFP2|)`` over a tensor.

    Whatever the rounding and the precision that a tensor is converted with, its sums are those of truncation: with k = 4 h + l
    of 4 bits, ``|BFP4 - BFP2|`` is l and ``|BFP2|`` is 4 h in units of ``2**(E - 127 - 3)``. A group adds the sum of its l, and
    that of its 4 h, times ``2**(E - reference)``, rounded down, to integers that stop at their largest value.

    Parameters
    ----------
    x : numpy.ndarray
        float32 [..., n].
    fmt : BlockFormat
        Its group and exponent count, its mantissa does not.
    reference : int
        0 to 255; for a largest exponent in the tensor of ``reference + 14`` a million numbers fit in 40 bits.
    offset : int
        As for `convert`.
    width : int
        Bits of the sums, 16 to 64.

    Returns
    -------
    numerator, denominator : int
    saturated : bool
        Whether one of them stopped.

    Raises
    ------
    TypeError, ValueError
        As `convert`; `reference` or `width` is out of range.
    """
    check_int("reference", reference, 0, 255)
    check_int("width", width, 16, 64)
    blocks = convert(x, BlockFormat(name="bfp4", man_bits=4, exp_bits=fmt.exp_bits, group=fmt.group), offset=offset)
    shift = blocks.exponents.ravel() - reference
    high, low = chunks(blocks).reshape(2, -1, fmt.group).sum(axis=-1, dtype=np.int64)
    totals = []
    for values in (low, 4 * high):
        below = int((values >> np.clip(-shift, 0, 63))[shift < 0].sum())
        per_shift = np.bincount(shift[shift >= 0], values[shift >= 0]).astype(np.int64)
        totals.append(below + sum(int(value) << left for left, value in enumerate(per_shift)))
    largest = 2**width - 1
    numerator, denominator = (min(total, largest) for total in totals)
    return numerator, denominator, max(totals) > largest


def precision(numerator, denominator, *, alpha, beta, iteration, iterations, layer, layers):
    """Mantissa bits for a tensor, 2 or 4, from its `relative_improvement`: 4 if that is at least epsilon.

    ``epsilon = max(0, alpha - beta * iteration / iterations - beta * layer / layers)``, and the comparison is of integers:
    nothing is divided or rounded. A tensor of zeros gets 4.

    Parameters
    ----------
    numerator, denominator : int
        The two sums, 0 or more.
    alpha, beta : int
        0 to 65535, in units of 2**-16. As far as is known the paper has 0.6 and 0.3.
    iteration, iterations, layer, layers : int
        Which one of how many.

    Returns
    -------
    int
        2 or 4.

    Raises
    ------
    ValueError
        `alpha` or `beta` is out of range, a number is negative, or `iterations` or `layers` is 0.
    """
    for name, value in (("alpha", alpha), ("beta", beta)):
        check_int(name, value, 0, 2**EPSILON_BITS - 1)
    for name, value, low in (
        ("numerator", numerator, 0),
        ("denominator", denominator, 0),
        ("iteration", iteration, 0),
        ("layer", layer, 0),
        ("iterations", iterations, 1),
        ("layers", layers, 1),
    ):
        if not isinstance(value, int) or value < low:
            raise ValueError(f"{name} must be an integer of at least {low}, not {value!r}")
    epsilon = alpha * iterations * layers - beta * iteration * layers - beta * layer * iterations
    return 4 if (numerator << EPSILON_BITS) * iterations * layers >= max(0, epsilon) * denominator else 2


def from_mxint8(scales, elements):
    """OCP MXINT8 as `Blocks` of 8 mantissa bits in groups of 32: a number of 8 bits in two's complement, in units of 2**-6,
    times ``2**(scale - 127)``, is k = |element| with E = scale + 1. k goes up to 128, beyond that of sign and 7 bits.

    Parameters
    ----------
    scales : numpy.ndarray
        uint8 [..., groups]: E8M0.
    elements : numpy.ndarray
        int8 [..., groups, 32].

    Returns
    -------
    Blocks

    Raises
    ------
    TypeError
        Another dtype.
    ValueError
        The shapes do not fit, or a scale is 255, which is NaN and has no counterpart.
    """
    scales, elements = np.asarray(scales), np.asarray(elements)
    for name, array, dtype in (("scales", scales, np.uint8), ("elements", elements, np.int8)):
        if array.dtype != dtype:
            raise TypeError(f"{name} must be {np.dtype(dtype)}, not {array.dtype}")
    if elements.shape != (*scales.shape, _MXINT8.group) or not scales.ndim:
        raise ValueError(f"elements must be of the shape [..., groups, 32] of scales [..., groups], not {elements.shape}")
    if (scales == 255).any():
        raise ValueError("a scale of 255 is NaN, which block floating point does not have: replace that block first")
    magnitudes = np.abs(elements.astype(np.int16)).astype(np.uint8)
    return Blocks(_MXINT8, elements.shape[-2] * _MXINT8.group, scales + np.uint8(1), 0, elements < 0, magnitudes)


def to_mxint8(x):
    """FP32 values as OCP MXINT8, in blocks of 32 along their last axis.

    The scale is the largest exponent of a block, elements are rounded to the nearest, ties to even, and go from -127 to 127.
    So it is conversion to 8 mantissa bits of which 7 are used, with zeros, subnormals, infinity and NaN as there.

    Parameters
    ----------
    x : numpy.ndarray
        float32 [..., n].

    Returns
    -------
    scales : numpy.ndarray
        uint8 [..., blocks]: E8M0.
    elements : numpy.ndarray
        int8 [..., blocks, 32].

    Raises
    ------
    TypeError, ValueError
        As `convert`.
    """
    blocks = convert(x, _MXINT8, rounding="rne", bits=7)
    return blocks.codes, (blocks.integers >> 1).astype(np.int8)
