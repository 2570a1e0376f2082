"""The median by counting in passes."""

import numpy as np
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import FP32_SMALLEST_NORMAL
from narrowfloat.golden.statistics import readout
from narrowfloat.golden.statistics.estimator import REFERENCE_EXPONENT, Counting

_LARGEST = 0x7FFFFFFF


class MedianEstimator(Counting):
    """The paper's median: a pass for the smallest and largest magnitude, then passes that count values in `bins` equal bins and
    go on with the bin that holds the median, the half-bin.

    A pass ends with `end`; one in which nothing counted is repeated. Magnitudes are the integers {e32, f23}, and the bins of a
    range are ``[low + i * width, low + (i + 1) * width)``, the last one closed, where
    ``width = max(1, ceil((high - low) / bins))``. The half-bin is the first whose values, with those in the bins and the
    space below it, are half of all or more. If the median has left the range, the outermost bin on that side takes its place,
    and ``drift`` is set. After the last pass the median is the middle of the half-bin, and the bias that of the nearest
    reference median, as in `exact_median_bias`. All then stands still, or with `continuous` starts over.

    Raw statistics, as `raw` gives them: the counts of this pass, "total", "below", "bin0" and so on, "above", "zeros",
    "specials", and the beats "missed" since reset; "pass" from 0, "drift" of the last finished pass, and by pass

    =====  ================  ==============
    pass   low               reach
    =====  ================  ==============
    0      smallest so far   largest so far
    1...   low end of bin 0  width of a bin
    final  the median        as before
    =====  ================  ==============

    Parameters
    ----------
    types : int
        Tensor types, 1 to 16.
    bins : int
        2 to 32.
    passes : int
        Counting passes, 1 to 6.
    cnt_width : int
        Bits of a counter, which saturates; 1 to 64.
    domain : str
        "bits"; or "linear", which divides the range of the values, and not of their words, into equal bins (float64), to show
        what outliers do to that. The hardware has "bits" only, and "linear" has no "low" and "reach" to read.
    continuous : bool
        Start over after the last pass; the bias stays until the next median.
    initial_bias, bias_min, bias_max : int
        The bias before anything is known, and the range of any; 0 to 63. The first may be left out: it is then what of the
        range is nearest to 15.

    Attributes
    ----------
    bias : int array [types]
    settled : bool array [types]
        Whether the bias is one from data. Both are copies, read-only.
    """

    def __init__(
        self,
        types: int = 4,
        *,
        bins: int = 20,
        passes: int = 3,
        cnt_width: int = 40,
        domain: str = "bits",
        continuous: bool = False,
        initial_bias: int | None = None,
        bias_min: int = 10,
        bias_max: int = 40,
    ) -> None:
        bins, passes = check_int("bins", bins, 2, 32), check_int("passes", passes, 1, 6)
        check_choice("domain", domain, ("bits", "linear"))
        super().__init__(readout.median_slots(bins), cnt_width, types, initial_bias, bias_min, bias_max)
        self._bins, self._passes, self._continuous = bins, passes, continuous
        self._linear = domain == "linear"
        self._pass, self._drift = [0] * self.types, [0] * self.types
        self._low, self._reach = [_LARGEST] * self.types, [0] * self.types

    def _raw(self, type_):
        own = {"low": self._low[type_], "reach": self._reach[type_], "pass": self._pass[type_], "drift": self._drift[type_]}
        return self._counts[type_] | own

    def _count(self, type_, offsets, zeros, specials):
        if self._pass[type_] <= self._passes:
            super()._count(type_, offsets, zeros, specials)

    def _count_values(self, type_, offsets):
        if self._pass[type_] == 0:
            low, high = int(offsets.min()) + FP32_SMALLEST_NORMAL, int(offsets.max()) + FP32_SMALLEST_NORMAL
            self._low[type_] = min(self._low[type_], low)
            self._reach[type_] = max(self._reach[type_], high)
        elif self._linear:
            self._count_in_bins(type_, _values(offsets), _value(self._low[type_]), self._reach[type_])
        else:
            self._count_in_bins(
                type_, offsets, np.uint32(self._low[type_] - FP32_SMALLEST_NORMAL), np.uint32(self._reach[type_])
            )

    def _count_in_bins(self, type_, values, low, width):
        below = int(np.count_nonzero(values < low))
        distances = values - low  # as unsigned integers, those below the range are far beyond its end
        closing = int(np.count_nonzero(distances == width * self._bins))
        if self._linear:
            distances = distances[distances >= 0]
        index = np.minimum(distances // width, self._bins).astype(np.uint8)
        counts = np.bincount(index, minlength=self._bins + 1)
        counts[self._bins - 1] += closing
        above = len(values) - below - int(counts[: self._bins].sum())
        self._add(type_, below=below, above=above, **{f"bin{i}": counts[i] for i in range(self._bins)})

    def _conclude(self, type_, counts):
        if self._pass[type_] == 0:
            self._drift[type_] = 0
            self._divide(type_, self._low[type_], self._reach[type_])
        else:
            half = -(-counts["total"] // 2)
            running = counts["below"]
            self._drift[type_] = int(running >= half)
            for i in range(self._bins):
                running += counts[f"bin{i}"]
                if running >= half:
                    break
            else:
                self._drift[type_] = 1
            self._narrow(type_, i)
        self._pass[type_] += 1
        if self._pass[type_] > self._passes:
            self._finish(type_)

    def _divide(self, type_, low, high):
        """Cut the range into bins."""
        if self._linear:
            self._reach[type_] = max((_value(high) - _value(low)) / self._bins, np.finfo(np.float64).tiny)
        else:
            self._reach[type_] = max(1, -(-(high - low) // self._bins))

    def _narrow(self, type_, half_bin):
        """Go on with one bin as the range, or settle in its middle."""
        width, final = self._reach[type_], self._pass[type_] == self._passes
        if self._linear:
            low = _value(self._low[type_]) + half_bin * width
            self._low[type_] = _word(low + width / 2 if final else low)
            self._reach[type_] = width / self._bins
            return
        low = self._low[type_] + half_bin * width
        self._low[type_] = (low + low + width) >> 1 if final else low
        self._reach[type_] = max(1, -(-width // self._bins))

    def _finish(self, type_):
        self._bias[type_] = self._clamped(REFERENCE_EXPONENT - (self._low[type_] + 0x400000 >> 23))
        self._settled[type_] = True
        if self._continuous:
            self._pass[type_], self._low[type_], self._reach[type_] = 0, _LARGEST, 0


def _values(offsets):
    return (offsets + np.uint32(FP32_SMALLEST_NORMAL)).view(np.float32).astype(np.float64)


def _value(word):
    return float(np.uint32(word).view(np.float32))


def _word(value):
    return int(np.float32(value).view(np.uint32))
