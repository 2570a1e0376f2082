"""Segmented sums: integers whose exponent counts in bytes, so that an addition neither normalises nor rounds to a float.

A sum is an integer M in two's complement of W bits and a place Q, and means ``M * 2**(8 * (Q - 2) - 288)``. What is added to it
is ``S * 2**w``, where S has `bits` bits with its sign and w is from -288 to 255. ``W = bits + 40``. With
``q, r = divmod(w + 288, 8)`` and ``A = S * 2**r``, an addition does the following:

If S is 0, nothing changes. Otherwise:

1.  A sum of nothing yet begins: ``M = A * 2**16`` and ``Q = q``. So there are two bytes for what comes with smaller weights,
    and two for larger ones.
2.  Any other sum makes room. ``p = q - Q + 2`` is the byte of M that A starts at. If p is above 4, or M outside
    ``-2**(W - 2) .. 2**(W - 2) - 1``, the sum moves by two bytes: M becomes ``floor(M / 2**16)``, Q rises by 2, p falls by 2.
    If p is still above 4 then, the sum is dropped and begins anew.
3.  A is added to M at byte p. Its bytes below byte 0 are dropped; if all of its ``ceil((bits + 7) / 8)`` bytes are below,
    nothing is added. 1 more is added if the highest bit that was dropped of M or that of A is 1.

So Q does not fall, no sum is shifted to find its leading bit, and a sum moves at most once in an addition.

No sum overflows: M is within ``2**(W - 2)`` where A is added, or has been divided by 256 or more, A is less than
``2**(bits + 6 + 32) = 2**(W - 2)``, and the sum of both is less than ``2**(W - 1)``.

A sum to which NaN is added stays NaN.

The result is M rounded once to binary32, to nearest, ties to even. What is then below the smallest normal number becomes zero
with its sign, what is too large infinity. The sum 0 is +0, NaN is +NaN without payload. Until then a sum of any size is finite:
what goes beyond the range of binary32 may come back.

How exact that is, with w0 the weight that a sum begins with:

-   Where all weights are within 16 of w0, nothing is dropped as long as M stays within ``2**(W - 2)``. The result is the exact
    sum, rounded once, and no binary32 is closer to it.
-   In the same range, whatever M is, n additions have an error below ``n * 2**-(W - 18)`` of the largest sum on the way: a sum
    that moves keeps W - 18 bits at least, and the error of an addition is below 1 in units of M. With an FP32 accumulator it is
    ``n * 2**-24``.
-   Beyond it, where M stays within ``2**(W - 2)``, the error of an addition is below ``2**-16`` of the unit of the largest
    weight so far. A sum is dropped for a weight at least 33 above w0, and was below ``2**(W - 57)`` of the unit of that weight.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from narrowfloat.golden.checks import check_dtype, check_int, integers_within
from numpy.typing import ArrayLike, NDArray

MIN_SEGMENT_BITS, MAX_SEGMENT_BITS = 2, 23
LOWEST_WEIGHT, HIGHEST_WEIGHT = -288, 255
BELOW, ABOVE = 2, 2  # bytes on either side of what a sum begins with
STEP = 2  # bytes that a sum moves by


@dataclass(frozen=True, eq=False)
class SegmentedSums:
    """Segmented sums, arrays of one shape.

    Attributes
    ----------
    integers : numpy.ndarray
        int64: M.
    places : numpy.ndarray
        int64: Q.
    begun : numpy.ndarray
        bool: whether anything but zeros was added.
    is_nan : numpy.ndarray
        bool
    """

    integers: NDArray[np.int64]
    places: NDArray[np.int64]
    begun: NDArray[np.bool_]
    is_nan: NDArray[np.bool_]

    @classmethod
    def zeros(cls, shape: tuple[int, ...] = ()) -> "SegmentedSums":
        """Sums of nothing."""
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, bool), np.zeros(shape, bool))

    @classmethod
    def of_fp32(cls, values: ArrayLike) -> "SegmentedSums":
        """Sums that go on from float32 `values`: exactly, with a byte below them, but subnormals are zero, and infinity is
        2**128.
        """
        words = check_dtype("values", values, np.float32).view(np.uint32).astype(np.int64)
        exponents, fractions = words >> 23 & 255, words & 2**23 - 1
        places, moves = np.divmod(exponents - 150 - LOWEST_WEIGHT, 8)
        normal = exponents > 0
        magnitudes = (fractions | 2**23) << moves + 8
        integers = np.where(words >> 31 != 0, -magnitudes, magnitudes)
        return cls(np.where(normal, integers, 0), np.where(normal, places + 1, 0), normal, (exponents == 255) & (fractions > 0))

    def __getitem__(self, index: Any) -> "SegmentedSums":
        return SegmentedSums(*(values[index] for values in self._arrays))

    def __setitem__(self, index: Any, sums: "SegmentedSums") -> None:
        for values, new in zip(self._arrays, sums._arrays, strict=True):
            values[index] = new

    @property
    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self.integers, self.places, self.begun, self.is_nan

    def to_fp32(self) -> NDArray[np.float32]:
        """The sums rounded to float32, once."""
        # exact in float64 but for what is below its 53 bits, which becomes one bit there (round to odd)
        long = np.abs(self.integers) >= 2**53
        odd = (self.integers >> 12 << 12) | np.where(self.integers & 4095, 4096, 0)
        scaled = np.where(long, odd, self.integers).astype(np.float64)
        values = np.ldexp(scaled, 8 * (self.places - BELOW) + LOWEST_WEIGHT)
        # rounded as if the exponent had no end below
        _, exponents = np.frexp(values)
        rounded = np.ldexp(np.rint(np.ldexp(values, 24 - exponents)), exponents - 24)
        with np.errstate(over="ignore"):
            result = np.where(np.abs(rounded) < 2.0**-126, np.copysign(0.0, rounded), rounded).astype(np.float32)
        return np.where(self.is_nan, np.float32(np.nan), result)


def segmented_width(bits: int) -> int:
    """W of sums of integers of `bits` bits, which includes their sign."""
    return check_int("bits", bits, MIN_SEGMENT_BITS, MAX_SEGMENT_BITS) + 7 + 8 * (BELOW + ABOVE) + 1


def accumulate_segmented(
    acc: SegmentedSums, sums: ArrayLike, weights: ArrayLike, *, bits: int, nan: ArrayLike = False
) -> SegmentedSums:
    """``acc + sums * 2**weights``.

    Parameters
    ----------
    acc : SegmentedSums
        To which integers of no more than `bits` bits were added.
    sums : numpy.ndarray
        Integers of `bits` bits.
    weights : numpy.ndarray
        Integers, -288 to 255.
    bits : int
        2 to 23.
    nan : numpy.ndarray
        bool: whether what is added is NaN. The shapes of all these broadcast.

    Returns
    -------
    SegmentedSums

    Raises
    ------
    TypeError
        `sums` or `weights` are no integers.
    ValueError
        An integer is out of range.
    """
    bits = check_int("bits", bits, MIN_SEGMENT_BITS, MAX_SEGMENT_BITS)
    width = segmented_width(bits)
    sums = integers_within("sums", sums, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    weights = integers_within("weights", weights, LOWEST_WEIGHT, HIGHEST_WEIGHT)
    added, begun = sums != 0, acc.begun
    q, r = np.divmod(weights - LOWEST_WEIGHT, 8)
    a = sums << r
    limit = 2 ** (width - 2)
    full = (acc.integers < -limit) | (acc.integers >= limit)
    byte = q - acc.places + BELOW
    most = BELOW + ABOVE
    anew = ~begun | (added & (byte > most + STEP))
    rise = STEP * (added & (full | (byte > most)))
    byte = byte - rise
    moved, moved_up = _dropped(acc.integers, 8 * rise)
    kept, kept_up = _dropped(a << 8 * np.clip(byte, 0, most), 8 * np.clip(-byte, 0, 4))
    counts = added & (byte > -((bits + 14) // 8))
    total = moved + np.where(counts, kept, 0) + (moved_up | (kept_up & counts))
    nan = np.asarray(nan, bool)
    return SegmentedSums(
        np.where(anew, np.where(added, a << 8 * BELOW, 0), total),
        np.where(anew, q, acc.places + rise),
        begun | added | nan,
        acc.is_nan | nan,
    )


def _dropped(values: Any, places: Any) -> tuple[Any, Any]:
    """Values without their lowest bits, rounded down, and whether the highest of these is 1."""
    return values >> places, np.where(places > 0, values >> np.maximum(places - 1, 0) & 1, 0) != 0
