"""The passes of an fMAC: chunks of pairs of groups, the order in which they are multiplied, and the sums of their products."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from narrowfloat.golden.bfp.accumulate import ACCUMULATORS, accumulate_fixed, accumulate_fp32, pass_bits
from narrowfloat.golden.bfp.blocks import NAN_EXPONENT
from narrowfloat.golden.bfp.segments import SegmentedSums, accumulate_segmented
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import FP32_BIAS
from numpy.typing import NDArray

CHUNKS = (2, 3, 4)  # mantissa bits of a pass


@dataclass(frozen=True, eq=False)
class Passes:
    """The input of an fMAC, a row for each pass.

    Attributes
    ----------
    x, y : numpy.ndarray
        int64 [passes, lanes]: the chunks, each packed {sign, magnitude}.
    x_exponent, y_exponent : numpy.ndarray
        int64 [passes]: the chunks' exponents, those of x less the window.
    lower : numpy.ndarray
        bool [passes]: the weight is one chunk's bits lower than that of the pass before. Only "fp32" reads it.
    complete : numpy.ndarray
        bool [passes]: the last pass of a pair of groups. Only "fp32" reads it.
    nan : numpy.ndarray
        bool [passes]: one of the groups is NaN. "fp32" reads it where a pass is `complete`.
    last : numpy.ndarray
        bool [passes]: the last pass of a result.
    """

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    x_exponent: NDArray[np.int64]
    y_exponent: NDArray[np.int64]
    lower: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    nan: NDArray[np.bool_]
    last: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.last)


def to_passes(
    integers: NDArray[np.int64],
    exponents: NDArray[np.int64],
    bits: NDArray[np.int64],
    last: NDArray[np.bool_],
    *,
    chunk_bits: int = 2,
    window: int = 0,
) -> Passes:
    """All passes of pairs of groups, those of each pair from the highest weight down.

    Chunk j of a group with the exponent E has the exponent ``E - chunk_bits * j``, and every chunk of x is multiplied with
    every chunk of y.

    Parameters
    ----------
    integers : numpy.ndarray
        int64 [2, pairs, lanes]: the numbers of x and of y.
    exponents : numpy.ndarray
        int64 [2, pairs]: the exponents E of the groups, of which 255 is NaN.
    bits : numpy.ndarray
        int64 [2, pairs]: their mantissa bits, multiples of `chunk_bits`.
    last : numpy.ndarray
        bool [pairs]: which pairs end a result.
    chunk_bits : int
        One of `CHUNKS`.
    window : int
        -1024 to 1023: what the exponents of x are given less, for a "fixed" accumulator whose last bit then means
        ``2**(window - 256)`` with chunks of 2 bits.

    Returns
    -------
    Passes

    Raises
    ------
    ValueError
        `chunk_bits` or `window` is not allowed, or `bits` has another number than its multiples.
    """
    chunk_bits, window = check_choice("chunk_bits", chunk_bits, CHUNKS), check_int("window", window, -1024, 1023)
    for wrong in bits[(bits < chunk_bits) | (bits % chunk_bits != 0)][:1]:
        raise ValueError(f"bits must be multiples of chunk_bits, which is {chunk_bits}, not {wrong}")
    chunks = bits // chunk_bits
    number = chunks.prod(axis=0)
    pair = np.repeat(np.arange(len(number)), number)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(number) - number, number)
    chosen = np.zeros((2, len(pair)), np.int64)
    for sizes in np.unique(chunks, axis=1).T:
        order = np.array(sorted(np.ndindex(*sizes), key=sum)).T
        rows = (chunks[:, pair] == sizes[:, None]).all(axis=0)
        chosen[:, rows] = order[:, place[rows]]
    shift = (bits[:, pair] - chunk_bits * (chosen + 1))[..., None]
    magnitudes = np.abs(integers[:, pair]) >> shift & 2**chunk_bits - 1
    x, y = magnitudes | (integers[:, pair] < 0).astype(np.int64) << chunk_bits
    x_exponent, y_exponent = exponents[:, pair] - chunk_bits * chosen
    lower = (np.diff(chosen.sum(axis=0), prepend=0) > 0) & (place > 0)
    complete = place == number[pair] - 1
    is_nan = (exponents == NAN_EXPONENT).any(axis=0)[pair]
    return Passes(x, y, x_exponent - window, y_exponent, lower, complete, is_nan, complete & last[pair])


def accumulate_passes(
    passes: Passes, *, accumulator: str = "fixed", width: int = 32, chunk_bits: int = 2
) -> tuple[NDArray[np.int64] | NDArray[np.float32], NDArray[np.bool_]]:
    """What an fMAC gives for each result, bit-exact to `hdl.bfp.FastMac`.

    With "fixed" every pass is added by `accumulate_fixed`, with "segmented" by `accumulate_segmented`. With "fp32" the passes
    of a pair of groups are first added as integers, and their sum is then added by `accumulate_fp32`; the last pass of a result
    completes a pair in any case. What NaN does is as in `matmul`.

    Parameters
    ----------
    passes : Passes
        Of whole pairs of groups; those after the last result count for nothing.
    accumulator : str
        One of `ACCUMULATORS`.
    width : int
        Bits of the "fixed" accumulator, 8 to 62.
    chunk_bits : int
        One of `CHUNKS`.

    Returns
    -------
    totals : numpy.ndarray
        int64 with "fixed", else float32: [results].
    saturated : numpy.ndarray
        bool [results]: whether anything was out of range or NaN; always False but with "fixed".

    Raises
    ------
    ValueError
        `accumulator`, `chunk_bits` or `width` is not allowed.
    """
    check_choice("accumulator", accumulator, ACCUMULATORS)
    chunk_bits = check_choice("chunk_bits", chunk_bits, CHUNKS)
    sign = 1 << chunk_bits
    x, y = (np.where(chunks & sign, -(chunks % sign), chunks % sign) for chunks in (passes.x, passes.y))
    sums = (x * y).sum(axis=1)
    base = -2 * (FP32_BIAS + chunk_bits - 1)  # the weight of 1 in products of groups whose exponents are 0
    weights = passes.x_exponent + passes.y_exponent
    results = int(passes.last.sum())
    saturated = np.zeros(results, bool)
    if accumulator == "fixed":
        totals = np.zeros(results, np.int64)
        for these, rows in _steps(passes.last):
            totals[these], out = accumulate_fixed(totals[these], sums[rows], weights[rows], width=width, base=0)
            saturated[these] |= out | passes.nan[rows]
        return totals, saturated
    if accumulator == "segmented":
        bits = pass_bits(passes.x.shape[1], chunk_bits)
        segmented = SegmentedSums.zeros((results,))
        for these, rows in _steps(passes.last):
            segmented[these] = accumulate_segmented(
                segmented[these], sums[rows], weights[rows] + base, bits=bits, nan=passes.nan[rows]
            )
        return segmented.to_fp32(), saturated
    ends = np.flatnonzero(passes.complete | passes.last)
    starts = np.append(0, ends + 1)[:-1]
    lowered = np.cumsum(passes.lower)
    group = np.searchsorted(ends, np.arange(len(passes)))  # the pair of groups that a pass belongs to
    of_groups = np.add.reduceat(sums << chunk_bits * (lowered[ends][group] - lowered), starts)
    rounded = np.zeros(results, np.float32)
    for these, rows in _steps(passes.last[ends]):
        total = accumulate_fp32(rounded[these], of_groups[rows], weights[ends[rows]] + base)
        rounded[these] = np.where(passes.nan[ends[rows]], np.float32(np.nan), total)
    return rounded, saturated


def _steps(last: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For the first, second, ... row of each result: the results that have so many, and the numbers of these rows."""
    ends = np.flatnonzero(last)
    starts = np.append(0, ends + 1)[:-1]
    for step in range(int((ends - starts).max(initial=-1)) + 1):
        these = np.flatnonzero(starts + step <= ends)
        yield these, starts[these] + step
