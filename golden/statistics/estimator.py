"""What the estimators share: tensor types, lanes, values that do not count, and counters."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from narrowfloat.golden.arrays import snapshot
from narrowfloat.golden.checks import check_dtype, check_int, integers_for
from narrowfloat.golden.formats import BIAS_MAX, FP32_INFINITY, FP32_SMALLEST_NORMAL
from narrowfloat.golden.parts import parts
from numpy.typing import ArrayLike, NDArray

MAX_TYPES = 16
USUAL_BIAS = 15
REFERENCE_EXPONENT = 143  # as FP32 has it, of the reference median of bias 0, 2**16; that of bias b is lower by b

# Less the smallest normal number, as 32 bits without sign: specials are from here on, then zeros and subnormals.
_SPECIALS = np.uint32(FP32_INFINITY - FP32_SMALLEST_NORMAL)
_ZEROS = np.uint32(2**32 - FP32_SMALLEST_NORMAL)


class Estimator(ABC):
    """What the estimators share: tensor types, lanes, and the values that do not count.

    Zeros and subnormals (``zeros``), infinities and NaN (``specials``) count for nothing else. After the end of a tensor or
    epoch the hardware works for some cycles, its port `busy` says when; the values that it is offered in them are only counted
    as ``missed``, and an end is ignored.
    """

    def __init__(self, types: int, initial_bias: int | None, bias_min: int, bias_max: int) -> None:
        self.types = types = check_int("types", types, 1, MAX_TYPES)
        self._bias_max = bias_max = check_int("bias_max", bias_max, 0, BIAS_MAX)
        self._bias_min = bias_min = check_int("bias_min", bias_min, 0, bias_max)
        first = self._clamped(USUAL_BIAS) if initial_bias is None else initial_bias
        self._bias = np.full(types, check_int("initial_bias", first, self._bias_min, self._bias_max))
        self._settled = np.zeros(types, bool)
        self._late = [0] * types

    @property
    def bias(self) -> NDArray[np.int64]:
        """The bias of each type: int64 [types], a copy, read-only."""
        return snapshot(self._bias)

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Whether the bias of each type is one from data: bool [types], a copy, read-only."""
        return snapshot(self._settled)

    def observe(self, words: ArrayLike, types: int | NDArray[np.integer] = 0, keep: NDArray[np.bool_] | None = None) -> None:
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
            `words` are neither float32 nor uint32, or an array of `types` is not of integers.
        ValueError
            A shape is wrong, or a type out of range.
        """
        words = check_dtype("words", words, np.float32, np.uint32)
        keep = None if keep is None else np.asarray(keep, bool)
        if words.ndim != 2 or (keep is not None and keep.shape != words.shape):
            shapes = words.shape if keep is None else f"{words.shape} and {keep.shape}"
            raise ValueError(f"words and keep must be [beats, lanes], not {shapes}")
        words = np.ascontiguousarray(words).view(np.uint32)
        if np.ndim(types) == 0:
            self._observe_in_order(words, self._type(types), keep)
        else:
            self._observe_mixed(words, integers_for("types", types, 0, self.types - 1, words.shape[:1]), keep)

    def end(self, type: int, late: int = 0) -> None:
        """The tensor or epoch of `type` ends.

        Parameters
        ----------
        type : int
        late : int
            How many of the next beats of this type come too early for the hardware, and are missed; 0 to 2**31.

        Raises
        ------
        ValueError
            `type` or `late` is out of range.
        """
        type, late = self._type(type), check_int("late", late, 0, 2**31)
        self._end(type)
        self._late[type] = late

    def raw(self, type: int) -> dict[str, int]:
        """Raw statistics of `type`, int by name; see the class. Raises ValueError if there is no such type."""
        return self._raw(self._type(type))

    def _type(self, type_):
        return check_int("type", type_, 0, self.types - 1)

    @abstractmethod
    def _raw(self, type_):
        """What `raw` gives."""

    @abstractmethod
    def _end(self, type_):
        """What the end of a tensor or epoch changes."""

    def _observe_mixed(self, words, types, keep):
        for type_ in np.unique(types).tolist():
            rows = types == type_
            self._observe_in_order(words[rows], type_, None if keep is None else keep[rows])

    def _observe_in_order(self, words, type_, keep):
        late = min(self._late[type_], len(words))
        self._late[type_] -= late
        self._miss(type_, words[:late].size if keep is None else int(np.count_nonzero(keep[:late])))
        values = words[late:].reshape(-1) if keep is None else words[late:][keep[late:]]
        for part in parts(len(values)):
            offsets = values[part] & np.uint32(0x7FFFFFFF)
            offsets -= np.uint32(FP32_SMALLEST_NORMAL)  # what does not count is now above all that does
            excluded = int(np.count_nonzero(offsets >= _SPECIALS))
            zeros = int(np.count_nonzero(offsets >= _ZEROS)) if excluded else 0
            if excluded:
                offsets = offsets[offsets < _SPECIALS]
            self._count(type_, offsets, zeros, excluded - zeros)

    def _clamped(self, bias):
        return min(max(bias, self._bias_min), self._bias_max)


class Counting(Estimator):
    """Estimators with saturating counters, `_counts[type]` by name."""

    def __init__(
        self, names: Sequence[str], cnt_width: int, types: int, initial_bias: int | None, bias_min: int, bias_max: int
    ) -> None:
        cnt_width = check_int("cnt_width", cnt_width, 1, 64)
        super().__init__(types, initial_bias, bias_min, bias_max)
        self._limit = 2**cnt_width - 1
        self._counts = [dict.fromkeys(names, 0) for _ in range(self.types)]

    def _count(self, type_, offsets, zeros, specials):
        self._add(type_, total=len(offsets), zeros=zeros, specials=specials)
        if len(offsets):
            self._count_values(type_, offsets)

    @abstractmethod
    def _count_values(self, type_, offsets):
        """Count values, at least one, given as their words less the smallest normal number."""

    def _end(self, type_):
        counts = dict(self._counts[type_])
        self._counts[type_] |= dict.fromkeys(counts.keys() - {"missed"}, 0)
        if counts["total"]:
            self._conclude(type_, counts)

    @abstractmethod
    def _conclude(self, type_, counts):
        """What the end of a tensor or epoch changes in which something counted."""

    def _add(self, type_, **increments):
        counts = self._counts[type_]
        for name, increment in increments.items():
            counts[name] = min(counts[name] + int(increment), self._limit)

    def _miss(self, type_, count):
        self._add(type_, missed=count)
