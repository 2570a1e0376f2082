"""Dot products of groups, and accumulators that add them up."""

from typing import Any

import numpy as np
from narrowfloat.golden.bfp.blocks import Blocks, signed
from narrowfloat.golden.bfp.segments import SegmentedSums, accumulate_segmented
from narrowfloat.golden.checks import check_choice, check_dtype, check_int, integers_within
from narrowfloat.golden.formats import BLOCK_MAN_BITS, MAX_GROUP
from narrowfloat.golden.parts import PART, parts
from numpy.typing import ArrayLike, NDArray

ACCUMULATORS = ("fixed", "fp32", "segmented")
MIN_FIXED_BITS, MAX_FIXED_BITS = 8, 62
_INT32 = -(2**31), 2**31 - 1


def dot(a: Blocks, b: Blocks) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Dot products of groups of `a` with groups of `b`, exactly: the sums times ``2**weights``, where neither is NaN.

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
    weights = a.weights + b.weights
    shape = (*weights.shape, a.fmt.group)
    x_signs, x, y_signs, y = (
        np.broadcast_to(each, shape).reshape(-1, a.fmt.group) for each in (a.signs, a.magnitudes, b.signs, b.magnitudes)
    )
    sums = np.empty(weights.size, np.int64)
    for part in parts(sums.size, PART // a.fmt.group):
        pair = signed(x_signs[part], x[part], np.int32), signed(y_signs[part], y[part], np.int32)
        sums[part] = np.einsum("ij,ij->i", *pair)  # at most 64 * 255**2
    return sums.reshape(weights.shape), weights


def pass_bits(lanes: int, bits: int) -> int:
    """Bits of a dot product of `lanes` numbers, 1 to 64, of `bits` mantissa bits, 1 to 8, its sign included."""
    lanes, bits = check_int("lanes", lanes, 1, MAX_GROUP), check_int("bits", bits, 1, BLOCK_MAN_BITS[-1])
    return (lanes * (2**bits - 1) ** 2).bit_length() + 1


def accumulate_fp32(acc: ArrayLike, sums: ArrayLike, weights: ArrayLike) -> NDArray[np.float32]:
    """``acc + sums * 2**weights``, rounded once, to the nearest FP32 number, ties to even.

    As IEEE 754 has it, with subnormals, and infinity for what is too large, which stays; NaN stays, as +NaN without payload. A
    sum of zero leaves `acc` as it is, a zero's sign included; numbers that cancel give +0.

    Parameters
    ----------
    acc : numpy.ndarray
        float32.
    sums, weights : numpy.ndarray
        Integers as `dot` returns them, of at most 32 bits; the shapes of all three broadcast.

    Returns
    -------
    numpy.ndarray
        float32.

    Raises
    ------
    TypeError
        `acc` is not float32, or others are no integers.
    ValueError
        An integer has more bits.
    """
    acc = check_dtype("acc", acc, np.float32)
    sums, weights = integers_within("sums", sums, *_INT32), integers_within("weights", weights, *_INT32)
    addend = np.ldexp(sums.astype(np.float64), weights)
    with np.errstate(invalid="ignore", over="ignore"):
        old = acc.astype(np.float64)
        total = old + addend
        # What the addition lost, exactly (Knuth's TwoSum). Where it lost anything, the last bit of the 53 is made 1 (round to
        # odd), so that the second rounding, to 24 bits or fewer, is as if there had been no first.
        virtual = total - old
        error = (old - (total - virtual)) + (addend - virtual)
        is_even = total.view(np.int64) & 1 == 0
        odd = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
        total = np.where((error != 0) & is_even & np.isfinite(total), odd, total)
        result = np.where(sums == 0, acc, total.astype(np.float32))
    return np.where(np.isnan(acc), np.float32(np.nan), result)


def accumulate_fixed(
    acc: ArrayLike, sums: ArrayLike, weights: ArrayLike, *, width: int, base: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``acc + floor(sums * 2**(weights - base))`` in two's complement of `width` bits, whose last bit means ``2**base``.

    Where what is added is out of range by itself, the total is that end of the range, whatever `acc` was.

    Parameters
    ----------
    acc : numpy.ndarray
        Integers of `width` bits.
    sums, weights : numpy.ndarray
        As for `accumulate_fp32`; the shapes of all three broadcast.
    width : int
        8 to 62.
    base : int
        -2**31 to 2**31 - 1.

    Returns
    -------
    total : numpy.ndarray
        int64.
    saturated : numpy.ndarray
        bool: whether what was added or the sum was out of range, so that the total became an end of it.

    Raises
    ------
    TypeError
        Others than `width` and `base` are no integers.
    ValueError
        An integer is out of range.
    """
    width = check_int("width", width, MIN_FIXED_BITS, MAX_FIXED_BITS)
    base = check_int("base", base, *_INT32)
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    acc, sums = integers_within("acc", acc, low, high), integers_within("sums", sums, *_INT32)
    shift = integers_within("weights", weights, *_INT32) - base
    # Twice the range of `acc` in either direction is as good as any larger number.
    far = np.int64(2**MAX_FIXED_BITS)
    left = np.clip(shift, 0, MAX_FIXED_BITS + 1)
    too_large = np.abs(sums) > far >> left
    addend = np.where(too_large, np.sign(sums) * far, np.where(too_large, 0, sums) << left)
    addend = np.where(shift < 0, sums >> np.clip(-shift, 0, 63), addend)
    outside = (addend < low) | (addend > high)
    total = np.where(outside, addend, acc + np.where(outside, 0, addend))
    return np.clip(total, low, high), (total < low) | (total > high)


def matmul(
    a: Blocks,
    b: Blocks,
    *,
    accumulator: str = "fp32",
    start: Any = None,
    width: int = 32,
    window: int = 256,
    bits: int | None = None,
) -> Any:
    """Dot products of rows: each group's exact sum is added to the accumulator, one group after the other.

    A product with a group that is NaN makes NaN of a sum of "fp32" or "segmented". A "fixed" sum goes on with the numbers that
    the groups have, and counts as out of range.

    Parameters
    ----------
    a, b : Blocks
        [m, n] and [p, n], of the same group size: both in groups along what is summed over.
    accumulator : str
        "fp32": `accumulate_fp32` with each group. "segmented": `accumulate_segmented`, and a float32 in the end. "fixed":
        `accumulate_fixed`; the last bit of the sum means ``2**(window - 256)``.
    start : optional
        What is returned for the first part of a longer sum; None means zeros.
    width : int
        Of "fixed", 8 to 62.
    window : int
        Of "fixed", -2**31 to 2**31 - 1.
    bits : int or None
        Of "segmented": the mantissa bits of the widest groups that the hardware takes, which its sums have room for. None means
        those of the wider operand.

    Returns
    -------
    numpy.ndarray
        float32 [m, p]; of "fixed" a pair: int64 [m, p], and whether anything was out of range, bool [m, p].

    Raises
    ------
    ValueError
        The shapes do not fit, or a parameter is not allowed.
    """
    check_choice("accumulator", accumulator, ACCUMULATORS)
    window = check_int("window", window, *_INT32)
    if a.codes.ndim != 2 or b.codes.ndim != 2 or a.length != b.length:
        raise ValueError(
            f"a and b must be matrices with rows of the same length, not {(*a.codes.shape[:-1], a.length)} and "
            f"{(*b.codes.shape[:-1], b.length)}"
        )
    rows, columns = len(a.codes), len(b.codes)
    total: Any
    if accumulator == "fp32":
        total = np.zeros((rows, columns), np.float32) if start is None else start
    elif accumulator == "segmented":
        total = SegmentedSums.zeros((rows, columns)) if start is None else SegmentedSums.of_fp32(start)
        sum_bits = pass_bits(a.fmt.group, max(a.fmt.man_bits, b.fmt.man_bits) if bits is None else bits)
    else:
        total, saturated = (np.zeros((rows, columns), dtype) for dtype in (np.int64, bool)) if start is None else start
    for group in range(a.codes.shape[1]):
        sums = a.integers[:, group].astype(np.int64) @ b.integers[:, group].astype(np.int64).T
        weights = a.weights[:, group, None] + b.weights[:, group]
        is_nan = a.is_nan[:, group, None] | b.is_nan[:, group]
        if accumulator == "fp32":
            total = np.where(is_nan, np.float32(np.nan), accumulate_fp32(total, sums, weights))
        elif accumulator == "segmented":
            total = accumulate_segmented(total, sums, weights, bits=sum_bits, nan=is_nan)
        else:
            total, out = accumulate_fixed(total, sums, weights, width=width, base=window - 256)
            saturated = saturated | out | is_nan
    if accumulator == "segmented":
        return total.to_fp32()
    return total if accumulator == "fp32" else (total, saturated)
