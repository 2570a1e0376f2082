"""The bias that suits a tensor, from the median of its magnitudes, exactly or from statistics of a stream.

After Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: the bias is that whose range is centred on the median. The estimators are
bit-exact to `hdl.statistics`; their state evolves from call to call.
"""

import numpy as np
from narrowfloat.golden import readout
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BIAS_MAX, CATALOG
from narrowfloat.golden.rounding import FP32_INFINITY

FP32_SMALLEST_NORMAL = 0x00800000
# Less the smallest normal number, as 32 bits without sign: specials are from here on, then zeros and subnormals.
_SPECIALS = np.uint32(FP32_INFINITY - FP32_SMALLEST_NORMAL)
_ZEROS = np.uint32(2**32 - FP32_SMALLEST_NORMAL)
_LARGEST = 0x7FFFFFFF
# Long arrays are worked off in parts whose intermediate results stay in the cache.
_PART = 2**16


def exact_median_bias(x, *, bias_min=10, bias_max=40):
    """The bias whose reference median, ``2**(16 - bias)``, is nearest to the median of ``|x|``.

    Zeros, subnormals, infinities and NaN are left out. Of an even number of values the lower one of the middle two is the
    median. Halfway between two reference medians, the larger one and so the smaller bias is taken.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape.
    bias_min, bias_max : int
        The result is clamped to these, which are from 0 to 63. The paper's table of biases goes from 10 to 40.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        `x` is not float32.
    ValueError
        `x` holds no finite normal value, or `bias_min` and `bias_max` are out of range or exchanged.
    """
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"x must be float32, not {x.dtype}: convert with .astype(np.float32)")
    check_int("bias_max", bias_max, 0, BIAS_MAX)
    check_int("bias_min", bias_min, 0, bias_max)
    magnitude = x.reshape(-1).view(np.uint32) & 0x7FFFFFFF
    magnitude = magnitude[(magnitude >= FP32_SMALLEST_NORMAL) & (magnitude < FP32_INFINITY)]
    if magnitude.size == 0:
        raise ValueError(f"the median needs a finite normal value, and none of the {x.size} values is one")
    middle = (magnitude.size - 1) // 2
    median = int(np.partition(magnitude, middle)[middle])
    # FP32 words grow with their values: adding half an octave and cutting off the mantissa gives the nearest power of two
    nearest = (median + 0x400000 >> 23) - 127
    return min(max(16 - nearest, bias_min), bias_max)


class _Estimator:
    """What the estimators share: tensor types, lanes, and the values that do not count.

    Zeros and subnormals (``zeros``), infinities and NaN (``specials``) count for nothing else. After the end of a tensor or
    epoch the hardware works for some cycles, its port `busy` says when; the values that it is offered in them are only counted
    as ``missed``, and an end is ignored.
    """

    def __init__(self, types, initial_bias, bias_min, bias_max):
        check_int("types", types, 1, 16)
        check_int("bias_max", bias_max, 0, BIAS_MAX)
        check_int("bias_min", bias_min, 0, bias_max)
        check_int("initial_bias", initial_bias, bias_min, bias_max)
        self.types = types
        self._bias_min, self._bias_max = bias_min, bias_max
        self.bias = np.full(types, initial_bias)
        self.settled = np.zeros(types, bool)
        self._late = [0] * types

    def observe(self, words, types=0, keep=None):
        """Let beats pass.

        Parameters
        ----------
        words : numpy.ndarray
            float32 or uint32 (FP32 words), [beats, lanes].
        types : int or numpy.ndarray
            The tensor type of all beats or, [beats], of each.
        keep : numpy.ndarray, optional
            bool [beats, lanes]: which lanes hold data; default all.

        Raises
        ------
        TypeError
            `words` are neither float32 nor uint32.
        ValueError
            A shape is wrong, or a type out of range.
        """
        words = np.asarray(words)
        if words.dtype not in (np.float32, np.uint32):
            raise TypeError(f"words must be float32 or uint32, not {words.dtype}: convert with .astype(np.float32)")
        if words.ndim != 2 or (keep is not None and np.shape(keep) != words.shape):
            raise ValueError(f"words and keep must be [beats, lanes], not {words.shape} and {np.shape(keep)}")
        words = np.ascontiguousarray(words).view(np.uint32)
        if np.ndim(types) == 0:
            check_int("types", int(types), 0, self.types - 1)
            self._observe_in_order(words, int(types), keep)
            return
        types = np.asarray(types)
        if types.shape != words.shape[:1] or not np.isin(types, range(self.types)).all():
            raise ValueError(f"types must be [{len(words)}], each from 0 to {self.types - 1}")
        self._observe_mixed(words, types, keep)

    def end(self, type, late=0):
        """The tensor or epoch of `type` ends.

        Parameters
        ----------
        type : int
        late : int
            How many of the next beats of this type come too early for the hardware, and are missed.
        """
        check_int("type", type, 0, self.types - 1)
        check_int("late", late, 0, 2**31)
        self._end(type)
        self._late[type] = late

    def _observe_mixed(self, words, types, keep):
        for type_ in np.unique(types).tolist():
            rows = types == type_
            self._observe_in_order(words[rows], type_, None if keep is None else keep[rows])

    def _observe_in_order(self, words, type_, keep):
        late = min(self._late[type_], len(words))
        self._late[type_] -= late
        self._miss(type_, words[:late].size if keep is None else int(np.count_nonzero(keep[:late])))
        values = words[late:].reshape(-1) if keep is None else words[late:][np.asarray(keep[late:], bool)]
        for start in range(0, len(values), _PART):
            offsets = values[start : start + _PART] & np.uint32(0x7FFFFFFF)
            offsets -= np.uint32(FP32_SMALLEST_NORMAL)  # what does not count is now above all that does
            excluded = int(np.count_nonzero(offsets >= _SPECIALS))
            zeros = int(np.count_nonzero(offsets >= _ZEROS)) if excluded else 0
            if excluded:
                offsets = offsets[offsets < _SPECIALS]
            self._count(type_, offsets, zeros, excluded - zeros)

    def _clamped(self, bias):
        return min(max(bias, self._bias_min), self._bias_max)


class _Counting(_Estimator):
    """Estimators with saturating counters, `_counts[type]` by name."""

    def __init__(self, names, cnt_width, *common):
        check_int("cnt_width", cnt_width, 1, 64)
        super().__init__(*common)
        self._limit = 2**cnt_width - 1
        self._counts = [dict.fromkeys(names, 0) for _ in range(self.types)]

    def _add(self, type_, **increments):
        counts = self._counts[type_]
        for name, increment in increments.items():
            counts[name] = min(counts[name] + int(increment), self._limit)

    def _miss(self, type_, count):
        self._add(type_, missed=count)

    def _clear(self, type_):
        self._counts[type_] |= dict.fromkeys(self._counts[type_].keys() - {"missed"}, 0)


class MedianEstimator(_Counting):
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
        The bias before anything is known, and the range of any; 0 to 63.

    Attributes
    ----------
    bias : int array [types]
    settled : bool array [types]
        Whether the bias is one from data.
    """

    def __init__(
        self,
        types=4,
        *,
        bins=20,
        passes=3,
        cnt_width=40,
        domain="bits",
        continuous=False,
        initial_bias=15,
        bias_min=10,
        bias_max=40,
    ):
        check_int("bins", bins, 2, 32)
        check_int("passes", passes, 1, 6)
        check_choice("domain", domain, ("bits", "linear"))
        super().__init__(readout.median_slots(bins), cnt_width, types, initial_bias, bias_min, bias_max)
        self._bins, self._passes, self._continuous = bins, passes, continuous
        self._linear = domain == "linear"
        self._pass = [0] * types
        self._drift = [0] * types
        self._low = [_LARGEST] * types
        self._reach = [0] * types

    def raw(self, type):
        """Raw statistics of `type`, int by name; see the class."""
        own = {"low": self._low[type], "reach": self._reach[type], "pass": self._pass[type], "drift": self._drift[type]}
        return self._counts[type] | own

    def _count(self, type_, offsets, zeros, specials):
        if self._pass[type_] > self._passes:
            return
        self._add(type_, total=len(offsets), zeros=zeros, specials=specials)
        if not len(offsets):
            return
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

    def _end(self, type_):
        counts = dict(self._counts[type_])
        self._clear(type_)
        if counts["total"] == 0:
            return
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
        self.bias[type_] = self._clamped(143 - (self._low[type_] + 0x400000 >> 23))
        self.settled[type_] = True
        if self._continuous:
            self._pass[type_], self._low[type_], self._reach[type_] = 0, _LARGEST, 0


class ExponentHistogram(_Counting):
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

    def __init__(self, types=4, *, first=103, last=133, cnt_width=40, initial_bias=15, bias_min=10, bias_max=40):
        check_int("last", last, 1, 254)
        check_int("first", first, 1, last)
        super().__init__(readout.histogram_slots(first, last), cnt_width, types, initial_bias, bias_min, bias_max)
        self._first, self._last = first, last
        self._median = [0] * types

    def raw(self, type):
        """Raw statistics of `type`, int by name; see the class."""
        return self._counts[type] | {"median_exponent": self._median[type]}

    def _count(self, type_, offsets, zeros, specials):
        by_exponent = np.bincount((offsets >> np.uint32(23)).astype(np.uint8), minlength=254)
        first, last = self._first - 1, self._last - 1  # an offset is smaller by one in the exponent
        inside = by_exponent[first : last + 1].copy()
        inside[0] += by_exponent[:first].sum()
        inside[-1] += by_exponent[last + 1 :].sum()
        self._add(type_, total=len(offsets), zeros=zeros, specials=specials)
        self._add(type_, **{f"exponent{self._first + i}": count for i, count in enumerate(inside.tolist())})

    def _end(self, type_):
        counts = dict(self._counts[type_])
        self._clear(type_)
        if counts["total"] == 0:
            return
        exponents = np.arange(self._first, self._last + 1)
        running = np.cumsum(np.array([counts[f"exponent{e}"] for e in exponents], object))
        reached = running >= -(-counts["total"] // 2)
        self._median[type_] = int(exponents[np.argmax(reached)] if reached.any() else self._last)
        self.bias[type_] = self._clamped(143 - self._median[type_])
        self.settled[type_] = True


class LogMoments(_Counting):
    """Mean and maximum of log2|x| of a tensor, which S2FP8 needs (Cambier et al. 2020, arXiv 2001.05674), and the largest
    magnitude in a window of tensors, from which delayed scaling chooses a scale.

    Logarithms are U = log2|x| + 127 in units of 2**-8, 16 bits and positive: the word's bits 30 to 15, whose lower eight are
    the fraction f of the significand ("mitchell", 0.086 too small at most), or these replaced with ``round(256 log2(1 + f))``
    ("table"). ``mean = floor(sum / total)``. The bias is that of the nearest integer to the mean,
    ``143 - ((mean + 128) >> 8)``. A tensor without a value that counts changes nothing.

    Raw statistics: the counts "total", "zeros", "specials", the sum "log_sum" and the largest magnitude "amax" of this tensor,
    "missed" since reset; of the last finished tensor "mean" and "max" of U; and "amax_window", the largest of the last
    `history` tensors' amax, with "fit_bias", the largest bias at which `fmt` still holds it without saturation.

    Parameters
    ----------
    types, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`. The sum saturates at ``cnt_width + 16`` bits.
    log : str
        "mitchell" or "table".
    history : int
        Tensors in the window, 1 to 64; with 1 it is the most recent one alone.
    fmt : golden.formats.FloatFormat
        One with a bias, for "fit_bias".
    """

    def __init__(
        self,
        types=4,
        *,
        log="table",
        history=16,
        fmt=CATALOG["ab_e5m2"],
        cnt_width=40,
        initial_bias=15,
        bias_min=10,
        bias_max=40,
    ):
        check_choice("log", log, ("mitchell", "table"))
        check_int("history", history, 1, 64)
        names = ("total", "zeros", "specials", "missed")
        super().__init__(names, cnt_width, types, initial_bias, bias_min, bias_max)
        self._history = history
        self._sum_limit = 2 ** (cnt_width + 16) - 1
        self._table = np.arange(256) if log == "mitchell" else np.round(256 * np.log2(1 + np.arange(256) / 256))
        self._table = self._table.astype(np.uint8)
        self._is_table = log == "table"
        magnitude = fmt.max_finite
        self._fit = (magnitude >> fmt.man_bits) + 127, magnitude % 2**fmt.man_bits << 23 - fmt.man_bits
        self._log_sum, self._amax = [0] * types, [0] * types
        self._amaxes = [[] for _ in range(types)]
        self._last = [{"mean": 0, "max": 0, "amax_window": 0, "fit_bias": initial_bias} for _ in range(types)]

    def raw(self, type):
        """Raw statistics of `type`, int by name; see the class."""
        return self._counts[type] | {"log_sum": self._log_sum[type], "amax": self._amax[type]} | self._last[type]

    def _logs(self, magnitudes):
        logs = magnitudes >> np.uint32(15)
        if self._is_table:
            logs = (logs & np.uint32(0xFF00)) + self._table[logs & np.uint32(0xFF)]
        return logs

    def _count(self, type_, offsets, zeros, specials):
        self._add(type_, total=len(offsets), zeros=zeros, specials=specials)
        if len(offsets):
            offsets += np.uint32(FP32_SMALLEST_NORMAL)
            self._amax[type_] = max(self._amax[type_], int(offsets.max()))
            # a part's sum is below 2**16 * 2**16
            more = int(self._logs(offsets).sum(dtype=np.uint32 if len(offsets) < 2**16 else np.uint64))
            self._log_sum[type_] = min(self._log_sum[type_] + more, self._sum_limit)

    def _end(self, type_):
        total = self._counts[type_]["total"]
        log_sum, amax = self._log_sum[type_], self._amax[type_]
        self._clear(type_)
        self._log_sum[type_] = self._amax[type_] = 0
        if total == 0:
            return
        self._amaxes[type_] = [*self._amaxes[type_], amax][-self._history :]
        window = max(self._amaxes[type_])
        mean = min(log_sum // total, 0xFFFF)
        top, fraction = self._fit
        self._last[type_] = {
            "mean": mean,
            "max": int(self._logs(np.array([amax], np.uint32))[0]),
            "amax_window": window,
            "fit_bias": self._clamped(top - (window - fraction + 0x7FFFFF >> 23)),
        }
        self.bias[type_] = self._clamped(143 - (mean + 128 >> 8))
        self.settled[type_] = True


class MedianTracker(_Estimator):
    """A position per type that walks to the median of the magnitudes as they pass, without memory of them and without an end.

    The position is in octaves with `fraction` bits, magnitudes are taken half an octave larger, so that the octave e of the
    position stands for the bias ``143 - e`` of the nearest reference median. One lane per beat is looked at, the next one with
    every beat of any type, and one more after each turn, so that no regular order of types or channels keeps it on the same
    values. Above the position, the value pulls it up by a step, else down; where it would leave the range of biases it
    stays. The step is 8 octaves at first; it halves when the direction changes or the position stays, and doubles, up to 8 octaves,
    after `run` pulls in the same direction.

    `end` changes nothing. ``settled`` says that the step has once become the smallest. Raw statistics: "position", in units of
    2**-fraction octaves and half an octave above the word's.

    Parameters
    ----------
    types, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    fraction : int
        1 to 15; the smallest step is ``2**-fraction`` octaves.
    run : int
        A power of two, 2 to 64.
    """

    def __init__(self, types=4, *, fraction=7, run=64, initial_bias=15, bias_min=10, bias_max=40):
        check_int("fraction", fraction, 1, 15)
        check_choice("run", run, (2, 4, 8, 16, 32, 64))
        super().__init__(types, initial_bias, bias_min, bias_max)
        self._fraction, self._run = fraction, run
        self._lowest, self._highest = 143 - bias_max << fraction, (144 - bias_min << fraction) - 1
        self._largest_step = fraction + 3  # 8 octaves
        start = (143 - initial_bias << fraction) + (1 << fraction - 1)
        # position, step, direction, equal directions since the last doubling
        self._state = [(start, self._largest_step, False, 0)] * types
        self._beats = 0

    def raw(self, type):
        """Raw statistics of `type`, int by name; see the class."""
        return {"position": self._state[type][0]}

    def _end(self, type_):
        pass

    def _observe_in_order(self, words, type_, keep):
        self._observe_mixed(words, np.full(len(words), type_), keep)

    def _observe_mixed(self, words, types, keep):
        beats, lanes = words.shape
        number = self._beats + np.arange(beats)
        self._beats += beats
        lane = (number + number // lanes) % lanes
        beat = np.arange(beats)
        magnitudes = words[beat, lane] & np.uint32(0x7FFFFFFF)
        counts = (magnitudes >= FP32_SMALLEST_NORMAL) & (magnitudes < FP32_INFINITY)
        if keep is not None:
            counts &= np.asarray(keep, bool)[beat, lane]
        positions = (magnitudes + np.uint32(0x400000) >> np.uint32(23 - self._fraction)).astype(np.int64)
        for type_ in np.unique(types[counts]).tolist():
            self._walk(type_, positions[counts & (types == type_)].tolist())

    def _walk(self, type_, targets):
        position, step, rising, equal = self._state[type_]
        lowest, highest, largest, run = self._lowest, self._highest, self._largest_step, self._run
        smallest_reached = bool(self.settled[type_])
        for target in targets:
            up = target > position
            moved = position + (1 << step) if up else position - (1 << step)
            inside = lowest <= moved <= highest
            if inside:
                position = moved
            if up != rising or not inside:
                step -= step > 0
                equal = 0
                rising = up
            elif equal == run - 1:
                step += step < largest
                equal = 0
            else:
                equal += 1
            if step == 0:
                smallest_reached = True
        self._state[type_] = position, step, rising, equal
        self.settled[type_] = smallest_reached
        self.bias[type_] = 143 - (position >> self._fraction)


def _values(offsets):
    return (offsets + np.uint32(FP32_SMALLEST_NORMAL)).view(np.float32).astype(np.float64)


def _value(word):
    return float(np.uint32(word).view(np.float32))


def _word(value):
    return int(np.float32(value).view(np.uint32))
