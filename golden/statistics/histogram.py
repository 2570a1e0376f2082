"""The octave of the median, from a histogram of exponents."""

import numpy as np
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.formats import FP32_MAX_EXPONENT
from narrowfloat.golden.statistics import readout
from narrowfloat.golden.statistics.estimator import REFERENCE_EXPONENT, Counting


class ExponentHistogram(Counting):
    """A count for each exponent e32, one pass per tensor, and from it the octave of the median.

    The counts of exponents below `first` are in that of `first`, those above `last` in that of `last`: by default there is one
    for each bias, and no bias needs more. At the end of a tensor the median's octave is the first exponent up to which half of
    all values lie, or more. Between 2**(e - 127) and twice that, its lower end is the nearest reference median up to the
    middle, which is more than half of it for values spread evenly in their logarithm, so the bias is ``143 - e``: exact or one
    too large, as the median's mantissa may say. A tensor without a value that counts changes nothing.

    Raw statistics: the counts "total", "exponent103" and so on, "zeros", "specials" of this tensor, "missed" since reset, and
    the last finished tensor's "median_exponent", 0 at first.

    Parameters
    ----------
    types, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    first, last : int
        1 to 254.
    """

    def __init__(
        self,
        types: int = 4,
        *,
        first: int = 103,
        last: int = 133,
        cnt_width: int = 40,
        initial_bias: int | None = None,
        bias_min: int = 10,
        bias_max: int = 40,
    ) -> None:
        last = check_int("last", last, 1, FP32_MAX_EXPONENT)
        first = check_int("first", first, 1, last)
        super().__init__(readout.histogram_slots(first, last), cnt_width, types, initial_bias, bias_min, bias_max)
        self._first, self._last = first, last
        self._median = [0] * self.types

    def _raw(self, type_):
        return self._counts[type_] | {"median_exponent": self._median[type_]}

    def _count_values(self, type_, offsets):
        by_exponent = np.bincount((offsets >> np.uint32(23)).astype(np.uint8), minlength=254)
        first, last = self._first - 1, self._last - 1  # an offset is smaller by one in the exponent
        inside = by_exponent[first : last + 1].copy()
        inside[0] += by_exponent[:first].sum()
        inside[-1] += by_exponent[last + 1 :].sum()
        self._add(type_, **{f"exponent{self._first + i}": count for i, count in enumerate(inside.tolist())})

    def _conclude(self, type_, counts):
        exponents = np.arange(self._first, self._last + 1)
        running = np.cumsum(np.array([counts[f"exponent{e}"] for e in exponents], object))
        reached = running >= -(-counts["total"] // 2)
        self._median[type_] = int(exponents[np.argmax(reached)] if reached.any() else self._last)
        self._bias[type_] = self._clamped(REFERENCE_EXPONENT - self._median[type_])
        self._settled[type_] = True
