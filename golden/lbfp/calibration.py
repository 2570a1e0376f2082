"""The shared exponent of LBFP tensors before inference: calibrated from histograms, by three measures of what rounding loses.

Histograms have their bins in the domain of exponents, 1024 in each octave, so that outliers, however large, take no resolution
from the other values; and a few outliers far above all others do not count. Pure NumPy, off-line: no hardware twin.

The divergence is that of the entropy calibration of integer inference (Migacz 2017, "8-bit inference with TensorRT"), with an
exponent in the place of a threshold; that it picks the exponent is from LBFP, APCCAS 2020.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32, snapshot
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import FP32_INFINITY, FP32_MAN_BITS, FP32_SMALLEST_NORMAL, LogBlockFormat
from narrowfloat.golden.lbfp import decode, encode
from narrowfloat.golden.parts import parts
from numpy.typing import ArrayLike, NDArray

METHODS = ("mse", "kl", "max")
OUTLIERS = 1e-5
FLUSHED_LIMIT = 0.25
LINEAR_BINS = 2048
_LEAST_KEPT = 32  # linear bins: with fewer, codes have no bins to share and no divergence is left to compare
# As many bits of the fraction as the finest format compares, so that all values of a bin become the same code.
_BIN_BITS = 10
_SHIFT = FP32_MAN_BITS - _BIN_BITS
_FIRST = 1 << _BIN_BITS  # bin of normal numbers
_PART = 2**17  # of a tensor: about as many numbers as there are bins, which are added up once for each part
_GAP = 1.5  # how far the least outlier is above all other values, if they have no tail
_TAIL = 100  # values that tell how long a tail is
_RARE = 0.02  # how often a tail has a gap that makes outliers of its largest values
_LEAST = 1e-9  # instead of a probability of 0


class FlushedWarning(UserWarning):
    """More than `FLUSHED_LIMIT` of a tensor's nonzero values become zero with the exponent that `calibrate` returns."""


class Histogram:
    """Counts of magnitudes in 1024 bins per octave, of tensors that come one after the other, in any order.

    A bin holds the FP32 numbers that agree in exponent and upper ten bits of the fraction. Zeros, what is zero or infinite or
    subnormal as FP32, and NaN do not count.

    Attributes
    ----------
    counts : numpy.ndarray
        int64, shape (255 * 1024,): by the magnitude's upper 18 bits; a copy, read-only.
    largest : float
        The largest magnitude that counts; 0 before there was any.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(255 << _BIN_BITS, np.int64)
        self.largest = 0.0

    @property
    def counts(self) -> NDArray[np.int64]:
        """See the class."""
        return snapshot(self._counts)

    def observe(self, x: ArrayLike) -> None:
        """Count the elements of `x`, which is as for `golden.lbfp.encode`; raise TypeError as that does."""
        words = as_fp32("x", x).reshape(-1).view(np.uint32)
        for part in parts(words.size, _PART):
            magnitudes = words[part] & np.uint32(0x7FFFFFFF)
            bins = np.bincount(magnitudes >> np.uint32(_SHIFT), minlength=256 << _BIN_BITS)
            self._counts[_FIRST:] += bins[_FIRST : len(self._counts)]
            counting = magnitudes[magnitudes < FP32_INFINITY] if magnitudes.max() >= FP32_INFINITY else magnitudes
            largest = counting.max(initial=0)
            if largest >= FP32_SMALLEST_NORMAL:
                self.largest = max(self.largest, float(largest.view(np.float32)))

    def merge(self, other: "Histogram") -> None:
        """Count what `other` has counted, too."""
        self.largest = max(self.largest, other.largest)
        self._counts += other._counts

    def filled(self, outliers: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The middles of bins that are not empty, rising, and their counts, without outliers.

        Parameters
        ----------
        outliers : float
            The largest share of the values that may be outliers. Those are a group of the largest values that is above all
            others by more than the tail of the others explains, and by half at least; and with them such a group below. 0:
            there are none.

        Returns
        -------
        middles : numpy.ndarray
            float32.
        counts : numpy.ndarray
            int64 in the shape of `middles`.

        Raises
        ------
        ValueError
            `outliers` is not from 0 to below 1/2.
        """
        check_share(outliers)
        (bins,) = np.nonzero(self._counts)
        counts = self._counts[bins]
        middles = (bins.astype(np.uint32) << np.uint32(_SHIFT) | np.uint32(1 << _SHIFT - 1)).view(np.float32)
        end = _without_outliers(np.log(middles.astype(np.float64)), counts, int(outliers * counts.sum()))
        return middles[:end], counts[:end]

    def linear(self, outliers: float = OUTLIERS) -> tuple[NDArray[np.int64], int]:
        """The same counts in `LINEAR_BINS` bins of equal width, as measures of divergence take them, without outliers.

        Returns
        -------
        counts : numpy.ndarray
            int64, shape (LINEAR_BINS,).
        exponent : int
            The bins span 0 to ``2**exponent``, the least power of two above all values.

        Raises
        ------
        ValueError
            `outliers` is not from 0 to below 1/2, or there is nothing to count.
        """
        middles, counts = self.filled(outliers)
        if not counts.size:
            raise ValueError("the histogram must have counted a value")
        exponent = _exponent_of(middles[-1])
        # Edges of linear bins are edges of bins: those of the uppermost octave have the same number in both.
        indices = np.ldexp(middles.astype(np.float64), LINEAR_BINS.bit_length() - 1 - exponent).astype(np.int64)
        linear = np.zeros(LINEAR_BINS, np.int64)
        np.add.at(linear, indices, counts)
        return linear, exponent


@overload
def calibrate(
    x: "ArrayLike | Histogram",
    fmt: LogBlockFormat | str,
    method: str = ...,
    *,
    axis: None = ...,
    outliers: float = ...,
    progress: Callable[[range], Iterable[int]] = ...,
) -> int: ...
@overload
def calibrate(
    x: ArrayLike,
    fmt: LogBlockFormat | str,
    method: str = ...,
    *,
    axis: int,
    outliers: float = ...,
    progress: Callable[[range], Iterable[int]] = ...,
) -> NDArray[np.int32]: ...
def calibrate(
    x: "ArrayLike | Histogram",
    fmt: LogBlockFormat | str,
    method: str = "mse",
    *,
    axis: int | None = None,
    outliers: float = OUTLIERS,
    progress: Callable[[range], Iterable[int]] = iter,
) -> int | NDArray[np.int32]:
    """The shared exponent with which `fmt` represents a tensor best.

    ======  ==================================================================================================
    method  takes the exponent with
    ======  ==================================================================================================
    mse     the least mean squared error, of all exponents
    kl      the least Kullback-Leibler divergence of the histogram in equal bins, what is clipped being added to
            the last bin that is kept, from the one that is left when all bins of a code share its counts evenly;
            of the exponent that clips nothing and the six below, as far as they clip no more than half of the values
    max     no clipping, ``floor(log2(largest)) + 1``
    ======  ==================================================================================================

    Of equally good exponents the larger is taken. What `outliers` leaves out is clipped, whatever that costs, by "mse" and
    "kl"; "max" by definition follows the largest value. With ``outliers=0``, "mse" follows outliers as far as their squares
    weigh: a few of a thousand times the scale weigh more than a million others. "kl" looks at the shape of the distribution:
    of one with a long tail, such as the lognormal, it clips what is rare where "mse" does not, and loses signal by that.

    Parameters
    ----------
    x : array_like or Histogram
        An array as for `golden.lbfp.encode`: float32, float16, bfloat16 or Python's own numbers, any shape.
    fmt : LogBlockFormat or str
        A format or its name.
    method : str
        One of `METHODS`.
    axis : int or None
        Of an array: each slice along this axis (such as an output channel) gets an exponent of its own.
    outliers : float
        The largest share of the values that are left out as outliers, if they are far above all others: see
        `Histogram.filled`. From 0, for none, to below 1/2.
    progress : callable
        What the slices pass through, to show how far it is: `rich.progress.track`.

    Returns
    -------
    int, or numpy.ndarray
        Within ``fmt.exponent_range``, of which a tensor of zeros gets the lowest. With `axis` int32 [slices].

    Raises
    ------
    TypeError
        `x` is of another dtype; `fmt` is neither a LogBlockFormat nor a name; `axis` is given
        with a Histogram.
    ValueError
        `method` or `outliers` is not among what is allowed; `axis` is out of range.

    Warns
    -----
    FlushedWarning
        More than `FLUSHED_LIMIT` of the nonzero values become zero; with `axis`, of those of a slice.
    """
    fmt = LogBlockFormat.of(fmt)
    check_choice("method", method, METHODS)
    check_share(outliers)
    if axis is None:
        histogram = x if isinstance(x, Histogram) else _counted(x)
        exponent = _best_exponent(histogram, fmt, method, outliers)
        _warn(flushed(histogram, fmt, exponent), "", exponent, fmt, method)
        return exponent
    if isinstance(x, Histogram):
        raise TypeError("axis needs an array: a Histogram has none")
    x = as_fp32("x", x)
    check_int("axis", axis, -x.ndim, x.ndim - 1)
    slices = np.moveaxis(x, axis, 0)
    exponents = np.zeros(len(slices), np.int32)
    shares = np.zeros(len(slices))
    for i in progress(range(len(slices))):
        histogram = _counted(slices[i])
        exponents[i] = _best_exponent(histogram, fmt, method, outliers)
        shares[i] = flushed(histogram, fmt, int(exponents[i]))
    if len(slices):
        worst = int(shares.argmax())
        _warn(shares[worst], f" of slice {worst}", exponents[worst], fmt, method)
    return exponents


def losses(
    histogram: Histogram, fmt: LogBlockFormat | str, method: str = "mse", *, outliers: float = OUTLIERS
) -> dict[int, float]:
    """What `calibrate` compares: a dict from each candidate exponent, falling, to its loss; empty for an empty histogram.

    Raises
    ------
    TypeError
        `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        `method` or `outliers` is not among what is allowed.
    """
    fmt = LogBlockFormat.of(fmt)
    check_choice("method", method, METHODS)
    check_share(outliers)
    if histogram.largest == 0:
        return {}
    if method == "max":
        top = _exponent_of(histogram.largest)
        return {exponent: float(exponent < top) for exponent in _within(fmt, top, top)}
    if method == "mse":
        middles, counts = histogram.filled(outliers)
        # above the first something is flushed for nothing, below the last all is clipped
        candidates = _within(fmt, _exponent_of(middles[-1]), _exponent_of(middles[0]))
        return {exponent: _squared_error(middles, counts, fmt, exponent) for exponent in candidates}
    linear, top = histogram.linear(outliers)
    lowest = top - (LINEAR_BINS // _LEAST_KEPT).bit_length() + 1
    return {exponent: _divergence(linear, top, fmt, exponent) for exponent in _within(fmt, top, lowest)}


def flushed(histogram: Histogram, fmt: LogBlockFormat | str, exponent: int) -> float:
    """The share of nonzero values that `fmt` with this exponent flushes to zero, from 0 to 1; 0 for an empty histogram.

    Raises
    ------
    TypeError
        `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        `exponent` is out of range.
    """
    middles, counts = histogram.filled()
    is_zero = encode(middles, fmt, exponent) == 0
    return float(counts[is_zero].sum() / max(counts.sum(), 1))


def check_share(outliers: float) -> None:
    """Raise ValueError unless `outliers` is from 0 to below 1/2."""
    if not 0 <= outliers < 0.5:
        raise ValueError(f"outliers must be a share from 0 to below 0.5, not {outliers!r}")


def _without_outliers(logs, counts, limit):
    """How many bins are left, of rising `logs` of magnitudes and `counts`, when at most `limit` values are outliers.

    Of a tail that falls as a power, k values are above all others by a logarithm that is exponentially distributed with the
    mean ``tail / k``, if `tail` is the mean excess of the logarithm (Hill 1975). Shorter tails have smaller gaps.
    """
    end, group, above = len(logs), 0, 0
    for i in range(len(logs) - 1, 0, -1):
        group += counts[i]
        above += counts[i]
        if above > limit:
            break
        gap = logs[i] - logs[i - 1]
        if gap > np.log(_GAP) and gap > -np.log(_RARE) * _mean_excess(logs[:i], counts[:i]) / group:
            end, group = i, 0
    return end


def _mean_excess(logs, counts):
    """Of the `_TAIL` largest values over the least of them."""
    ranks = counts[::-1].cumsum()
    taken = np.minimum(ranks, _TAIL) - np.minimum(ranks - counts[::-1], _TAIL)
    some = taken > 0
    return np.average(logs[::-1][some], weights=taken[some]) - logs[::-1][some][-1]


def _counted(x):
    histogram = Histogram()
    histogram.observe(x)
    return histogram


def _exponent_of(magnitude):
    """The least E with the magnitude below 2**E."""
    return int(np.frexp(magnitude)[1])


def _within(fmt, first, last):
    """Exponents from `first` down to `last`, within the format's range."""
    low, high = fmt.exponent_range
    return dict.fromkeys(min(max(exponent, low), high) for exponent in range(first, last - 1, -1))


def _best_exponent(histogram, fmt, method, outliers):
    found = losses(histogram, fmt, method, outliers=outliers)
    return min(found, key=found.get, default=fmt.exponent_range[0])  # the first of the least: candidates fall


def _warn(share, where, exponent, fmt, method):
    if share > FLUSHED_LIMIT:
        warnings.warn(
            f"{100 * share:.1f} % of the nonzero values{where} are flushed to zero by {fmt.name} with exponent {exponent} "
            f"(method {method!r}): clip the largest by method 'mse' and a larger share of `outliers`, give parts of the tensor "
            "exponents of their own by `axis`, or take a format with more int_bits",
            FlushedWarning,
            stacklevel=3,
        )


def divergence(counts: NDArray[np.int64], codes: NDArray[np.integer]) -> float:
    """Kullback-Leibler divergence of a histogram from what is left of it when some bins become one.

    Parameters
    ----------
    counts : numpy.ndarray
        int64 [bins].
    codes : numpy.ndarray
        Integers from 0 [kept]: of each of the first bins the code that it becomes. The counts of the others are clipped to the
        last of these.

    Returns
    -------
    float
        Infinite if less than half of the counts is kept: what is clipped is one bin, and of a few values that may be all
        there is to compare.
    """
    kept = counts[: len(codes)]
    if 2 * kept.sum() < counts.sum() or not kept.any():
        return np.inf
    wanted = kept.astype(np.float64)
    wanted[-1] += counts[len(codes) :].sum()
    mass, filled = np.bincount(codes, kept), np.bincount(codes, kept > 0)
    shared = np.where(kept > 0, mass[codes] / np.maximum(filled[codes], 1), 0)
    p, q = wanted / wanted.sum(), shared / shared.sum()
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / np.maximum(q[some], _LEAST))))


def _divergence(linear, top, fmt, exponent):
    """Of equal bins that span ``2**top``."""
    width = 2.0 ** (top - LINEAR_BINS.bit_length() + 1)
    kept = (np.arange(min(int(2.0**exponent / width), LINEAR_BINS)) + 0.5) * width
    return divergence(linear, encode(kept.astype(np.float32), fmt, exponent))


def _squared_error(middles, counts, fmt, exponent):
    values = decode(encode(middles, fmt, exponent), fmt, exponent).astype(np.float64)
    return float(np.average((values - middles) ** 2, weights=counts))
