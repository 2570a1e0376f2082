"""The shared exponent of LBFP tensors before inference: calibrated from histograms, by three measures of what rounding loses.

After the entropy calibration of integer inference (Migacz 2017, "8-bit inference with TensorRT"), with an exponent in the place
of a threshold; that the Kullback-Leibler divergence picks it is from LBFP, APCCAS 2020. Pure NumPy, off-line: no hardware twin.
"""

from collections.abc import Callable, Iterable
from typing import overload

import numpy as np
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import decode, encode
from numpy.typing import ArrayLike, NDArray

METHODS = ("kl", "mse", "max")
BINS = 2048
CANDIDATES = 7  # the exponent that clips nothing and the six below
_LEAST = 1e-9  # instead of a probability of 0


class Histogram:
    """Counts of magnitudes in equal bins from 0 to the largest, of tensors that come one after the other.

    Zeros, infinities and NaN do not count. The bins span the largest magnitude of the first tensor; when a larger one comes,
    pairs of bins are joined and the span doubles until it is held.

    Parameters
    ----------
    bins : int
        Even, 2 to 2**20.

    Attributes
    ----------
    counts : numpy.ndarray
        int64, shape (bins,).
    top : float
        Where the last bin ends; 0 before there was anything to count.
    largest : float
        The largest magnitude.
    """

    def __init__(self, bins: int = BINS) -> None:
        bins = check_int("bins", bins, 2, 2**20)
        if bins % 2:
            raise ValueError(f"bins must be even, not {bins}")
        self.counts = np.zeros(bins, np.int64)
        self.top = self.largest = 0.0

    def observe(self, x: ArrayLike) -> None:
        """Count the elements of `x`: real, any shape."""
        magnitudes = np.abs(np.asarray(x, np.float64).reshape(-1))
        magnitudes = magnitudes[(magnitudes > 0) & np.isfinite(magnitudes)]
        if not magnitudes.size:
            return
        self.largest = max(self.largest, float(magnitudes.max()))
        self.top = self.top or self.largest
        bins = self.counts.size
        while self.largest > self.top:
            joined = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([joined, np.zeros(bins - joined.size, np.int64)])
            self.top *= 2
        indices = np.minimum(magnitudes * (bins / self.top), bins - 1).astype(np.int64)
        self.counts += np.bincount(indices, minlength=bins)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin: float64, shape (bins,)."""
        return (np.arange(self.counts.size, dtype=np.float64) + 0.5) * (self.top / self.counts.size)


@overload
def calibrate(
    x: "ArrayLike | Histogram",
    fmt: LogBlockFormat | str,
    method: str = ...,
    *,
    axis: None = ...,
    bins: int = ...,
    progress: Callable[[range], Iterable[int]] = ...,
) -> int: ...
@overload
def calibrate(
    x: ArrayLike,
    fmt: LogBlockFormat | str,
    method: str = ...,
    *,
    axis: int,
    bins: int = ...,
    progress: Callable[[range], Iterable[int]] = ...,
) -> NDArray[np.int32]: ...
def calibrate(
    x: "ArrayLike | Histogram",
    fmt: LogBlockFormat | str,
    method: str = "kl",
    *,
    axis: int | None = None,
    bins: int = BINS,
    progress: Callable[[range], Iterable[int]] = iter,
) -> int | NDArray[np.int32]:
    """The shared exponent with which `fmt` represents a tensor best.

    Candidates are the exponent that clips nothing, ``floor(log2(largest)) + 1``, and the six below; of equally good ones the
    larger is taken.

    ======  ==================================================================================================
    method  takes the exponent with
    ======  ==================================================================================================
    kl      the least Kullback-Leibler divergence of the histogram, what is clipped being added to the last bin
            that is kept, from the one that is left when all bins of a code share its counts evenly
    mse     the least mean squared error
    max     no clipping
    ======  ==================================================================================================

    Parameters
    ----------
    x : numpy.ndarray or Histogram
        Real, any shape.
    fmt : LogBlockFormat or str
    method : str
        One of `METHODS`.
    axis : int or None
        Of an array: each slice along this axis (such as an output channel) gets an exponent of its own.
    bins : int
        Of the histogram that an array is counted in: even, 2 to 2**20.
    progress : callable
        What the slices pass through, to show how far it is: `rich.progress.track`.

    Returns
    -------
    int, or numpy.ndarray
        Within ``fmt.exponent_range``, of which a tensor of zeros gets the lowest. With `axis` int32 [slices].

    Raises
    ------
    TypeError
        `fmt` is neither a LogBlockFormat nor a name; `axis` is given with a Histogram.
    ValueError
        `method` or `bins` is not among what is allowed; `axis` is out of range.
    """
    fmt = LogBlockFormat.of(fmt)
    check_choice("method", method, METHODS)
    if axis is None:
        histogram = x if isinstance(x, Histogram) else _counted(x, bins)
        return _best_exponent(histogram, fmt, method)
    if isinstance(x, Histogram):
        raise TypeError("axis needs an array: a Histogram has none")
    x = np.asarray(x)
    check_int("axis", axis, -x.ndim, x.ndim - 1)
    slices = np.moveaxis(x, axis, 0)
    exponents = (_best_exponent(_counted(slices[i], bins), fmt, method) for i in progress(range(len(slices))))
    return np.fromiter(exponents, np.int32, len(slices))


def losses(histogram: Histogram, fmt: LogBlockFormat | str, method: str = "kl") -> dict[int, float]:
    """What `calibrate` compares: a dict from each candidate exponent, rising loss being worse; empty for an empty histogram."""
    fmt = LogBlockFormat.of(fmt)
    check_choice("method", method, METHODS)
    if histogram.largest == 0:
        return {}
    low, high = fmt.exponent_range
    first = int(np.frexp(histogram.largest)[1])  # largest = m * 2**first with 1/2 <= m < 1
    candidates = dict.fromkeys(min(max(first - i, low), high) for i in range(CANDIDATES))
    loss = {"kl": _divergence, "mse": _squared_error, "max": lambda histogram, fmt, exponent: float(exponent < first)}[method]
    return {exponent: loss(histogram, fmt, exponent) for exponent in candidates}


def _counted(x, bins):
    histogram = Histogram(bins)
    histogram.observe(x)
    return histogram


def _best_exponent(histogram, fmt, method):
    found = losses(histogram, fmt, method)
    return min(found, key=found.get, default=fmt.exponent_range[0])  # the first of the least: candidates fall


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
        Infinite if nothing is kept.
    """
    kept = counts[: len(codes)]
    if not kept.any():
        return np.inf
    wanted = kept.astype(np.float64)
    wanted[-1] += counts[len(codes) :].sum()
    mass, filled = np.bincount(codes, kept), np.bincount(codes, kept > 0)
    shared = np.where(kept > 0, mass[codes] / np.maximum(filled[codes], 1), 0)
    p, q = wanted / wanted.sum(), shared / shared.sum()
    some = p > 0
    return float(np.sum(p[some] * np.log(p[some] / np.maximum(q[some], _LEAST))))


def _divergence(histogram, fmt, exponent):
    centres = histogram.centres
    kept = centres[: np.searchsorted(centres, 2.0**exponent)]
    return divergence(histogram.counts, encode(kept.astype(np.float32), fmt, exponent))


def _squared_error(histogram, fmt, exponent):
    centres = histogram.centres
    values = decode(encode(centres.astype(np.float32), fmt, exponent), fmt, exponent)
    return float(np.average((values - centres) ** 2, weights=histogram.counts))
