"""The memory port: tensors encoded on their way to memory, with biases that follow the data."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from narrowfloat.golden.arrays import snapshot
from narrowfloat.golden.checks import check_choice, check_int, integers_for
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import BIAS_MAX, FloatFormat
from narrowfloat.golden.memory.beats import (
    MAX_LANES,
    SLOTS,
    TYPES,
    WORD_BYTES,
    CoreBeats,
    MemoryBeats,
    cut_words,
    kept_words,
)
from narrowfloat.golden.rounding import OVERFLOWS, Flag, LogFlag
from narrowfloat.golden.s2fp8 import Parameters
from narrowfloat.golden.s2fp8 import decode as s2_decode
from narrowfloat.golden.s2fp8 import encode as s2_encode
from narrowfloat.golden.s2fp8 import parameters as s2_parameters
from narrowfloat.golden.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker
from numpy.typing import NDArray

# In the order of the register's codes.
ESTIMATORS = {"median": MedianEstimator, "histogram": ExponentHistogram, "tracker": MedianTracker, "moments": LogMoments}
# In the order of the register's codes; which encode, and which are observed. The last two are there where S2FP8 is.
MODES = ("fp32", "calibrate", "fp8", "frozen", "s2fp8", "s2fp8_frozen")
ENCODING, SQUEEZING = MODES[2:], MODES[4:]
OBSERVED = ("calibrate", "fp8", "s2fp8")
# A flag beside those of `golden.rounding.Flag`: a word to encode had some of its bytes, but not all.
PARTIAL = 0x10
_ALL_FLAGS = 0x1F
# The flags of S2FP8 and what they are called among the port's.
_S2_FLAGS = {
    LogFlag.SATURATED: Flag.OVERFLOW,
    LogFlag.FLUSHED: Flag.UNDERFLOW,
    LogFlag.INVALID: Flag.INVALID,
}


class MemoryPort:
    """A memory port without a clock: everything is done before the next call.

    The hardware does the same if it gets pauses. If there a tensor of a type starts before its estimators have finished with
    the tensor before, it may still get the older bias, and the estimators miss its first beats; `end_pass` takes their number.

    Parameters
    ----------
    lanes : int
        Words per beat, 1 to 16.
    types : int
        Tensor types: 1, 2, 4 or 8.
    fmt : FloatFormat or str
        A format or its name: 8 bits, 5 of them exponent.
    estimators : dict, or sequence of str
        Which of `ESTIMATORS` there are, each once; the first is chosen at first. In a dictionary each name comes with its
        parameters, if they are not the defaults.
    initial_bias, bias_min, bias_max : int
        The bias before the chosen estimator has one, and the range of the estimators' biases. The first may be left out: it is
        then what of the range is nearest to the bias of `fmt`.
    overflow : str
        One of `golden.rounding.OVERFLOWS`, for codes of either kind.
    s2fp8 : bool
        Whether there are the modes of S2FP8. They take the estimator "moments".

    Attributes
    ----------
    mode : list of str, one per type
        One of `MODES`: "fp32" words pass; "calibrate" they pass and are observed; "fp8" they are encoded, and observed;
        "frozen" they are encoded; "s2fp8" and "s2fp8_frozen" likewise, in S2FP8. A tensor keeps the mode, and the bias or the
        parameters, that it starts with. This list and the next three are settings, to be written at any time.
    estimator : list of str, one per type
        Which one gives the bias.
    force : list, one per type
        A bias in its place, or None.
    end_on_epoch : list of bool, one per type
        Whether the estimators' passes end with `epoch`, and not with each tensor.
    open, next_parameters, tensor_mode, flags
        State, one per type, as copies.
    estimators : dict
        The estimators of `golden.statistics` by name.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        *,
        lanes: int = 4,
        types: int = 4,
        fmt: FloatFormat | str = "ab_e5m2",
        estimators: Mapping[str, Mapping[str, Any]] | Iterable[str] = ("median", "histogram", "tracker"),
        initial_bias: int | None = None,
        bias_min: int = 10,
        bias_max: int = 40,
        overflow: str = "saturate",
        s2fp8: bool = False,
    ) -> None:
        lanes = check_int("lanes", lanes, 1, MAX_LANES)
        types = check_choice("types", types, TYPES)
        fmt = FloatFormat.of(fmt)
        if (fmt.bits, fmt.exp_bits) != (8, 5):
            raise ValueError(f"fmt must have 8 bits, 5 of them exponent, unlike {fmt.name}")
        names = [] if isinstance(estimators, str) else list(estimators)
        for name in names:
            check_choice("estimator", name, ESTIMATORS)
        if not names or len(set(names)) != len(names):
            raise ValueError(f"estimators must be one or more different ones of {', '.join(ESTIMATORS)}, not {estimators!r}")
        chosen = dict(estimators) if isinstance(estimators, Mapping) else {name: {} for name in names}
        if s2fp8 and "moments" not in chosen:
            raise ValueError(f"s2fp8 needs moments among the estimators, which are {', '.join(chosen)}")
        bias_max = check_int("bias_max", bias_max, 0, BIAS_MAX)
        bias_min = check_int("bias_min", bias_min, 0, bias_max)
        nearest = min(max(fmt.bias, bias_min), bias_max)
        first = nearest if initial_bias is None else check_int("initial_bias", initial_bias, bias_min, bias_max)
        limits = {"initial_bias": first, "bias_min": bias_min, "bias_max": bias_max}
        self.lanes, self.types, self.fmt = lanes, types, fmt
        self.overflow = check_choice("overflow", overflow, OVERFLOWS)
        if overflow != OVERFLOWS[0] and fmt.specials == "none" and not s2fp8:
            raise ValueError(f"overflow has an effect only with s2fp8, or where fmt has infinity or NaN, unlike {fmt.name}")
        self._modes = MODES if s2fp8 else MODES[:4]
        self.estimators = {name: ESTIMATORS[name](types, **limits, **own) for name, own in chosen.items()}
        self.mode = ["fp32"] * types
        self.estimator = [next(iter(chosen))] * types
        self.force: list[int | None] = [None] * types
        self.end_on_epoch = [False] * types
        self._flags = np.zeros(types, np.uint8)
        self._open = np.zeros(types, bool)
        self._tensor_mode = ["fp32"] * types
        self._tensor_bias = [first] * types
        self._next_parameters = [s2_parameters(0, 0)] * types
        self._tensor_parameters = self.next_parameters
        self._held: MemoryBeats | None = None

    @property
    def open(self) -> NDArray[np.bool_]:
        """Whether a tensor of each type has begun and not ended: bool [types], read-only."""
        return snapshot(self._open)

    @property
    def flags(self) -> NDArray[np.uint8]:
        """What encoding has raised of `golden.rounding.Flag` and `PARTIAL` since `clear_flags`: uint8 [types], read-only."""
        return snapshot(self._flags)

    @property
    def tensor_mode(self) -> list[str]:
        """For each type the mode of the tensor that began last."""
        return list(self._tensor_mode)

    @property
    def next_parameters(self) -> list[Parameters]:
        """For each type S2FP8's parameters of a tensor that starts once none of it is open; see `load`."""
        return list(self._next_parameters)

    def _type(self, type_):
        return check_int("type", type_, 0, self.types - 1)

    def clear_flags(self, type_: int, flags: int = _ALL_FLAGS) -> None:
        """Clear these flags of a type, by default all; raise ValueError if there is no such type or flag."""
        self._flags[self._type(type_)] &= _ALL_FLAGS ^ check_int("flags", flags, 0, _ALL_FLAGS)

    @property
    def bias(self) -> list[int]:
        """For each type the bias of its open tensor or, if none is open, of one that starts now."""
        return [self._tensor_bias[t] if self._open[t] else self.next_bias(t) for t in range(self.types)]

    def next_bias(self, type_: int) -> int:
        """The bias of a tensor that starts once none of its type is open.

        ValueError if there is no such type, or its estimator was not built.
        """
        type_ = self._type(type_)
        force = self.force[type_]
        if force is not None:
            return check_int("force", force, 0, BIAS_MAX)
        return int(self.estimators[check_choice("estimator", self.estimator[type_], self.estimators)].bias[type_])

    @property
    def parameters(self) -> list[Parameters]:
        """For each type S2FP8's parameters of its open tensor or, if none is open, of one that starts now."""
        return [self._tensor_parameters[t] if self._open[t] else self._next_parameters[t] for t in range(self.types)]

    def load(self, type_: int, mean: int, largest: int) -> None:
        """Take S2FP8's parameters from these statistics until the next pass of "moments" ends.

        They are integers as `golden.s2fp8.parameters` takes them. ValueError says what is out of range, as `type_` may be.
        """
        self.use(type_, s2_parameters(mean, largest))

    def use(self, type_: int, parameters: Parameters) -> None:
        """Take these parameters of S2FP8 until the next pass of "moments" ends; ValueError if there is no such type."""
        self._next_parameters[self._type(type_)] = parameters

    def write(self, beats: CoreBeats) -> MemoryBeats:
        """Write to memory.

        A pack that is not full, and whose last beat has neither `last` nor `flush`, is kept back until the next beat comes.

        Parameters
        ----------
        beats : CoreBeats

        Returns
        -------
        MemoryBeats

        Raises
        ------
        ValueError
            There is no such type, mode or estimator, or `force` is out of range.
        """
        integers_for("type", beats.type, 0, self.types - 1, beats.type.shape)
        encoded = MemoryBeats(
            np.ascontiguousarray(beats.words, "<u4").view(np.uint8).copy(),
            beats.keep.copy(),
            beats.type.astype(np.uint8),
            beats.bypass.copy(),
            np.zeros(len(beats), bool),
            np.zeros(len(beats), np.uint8),
            beats.last.copy(),
        )
        alpha = np.zeros(len(beats), np.int16)
        alone = beats.encoded_by_itself
        encoded.packed[alone], encoded.own_bias[alone] = True, True
        encoded.bias[alone] = integers_for("bias", beats.bias, 0, BIAS_MAX, beats.bias.shape)[alone]
        tensors = np.flatnonzero(beats.in_tensor)
        starts = self._starts(beats.type[tensors], beats.last[tensors])
        bounds = [0, *np.flatnonzero(starts)[1 if starts[:1].any() else 0 :], tensors.size]
        for first, after in pairwise(bounds):
            rows = tensors[first:after]
            if rows.size:
                self._pass(beats, rows, bool(starts[first]), encoded, alpha)
        self._encode(beats, encoded, alpha)
        return self._pack(encoded, beats.flush | beats.last)

    def _starts(self, types, last):
        """Which beats are the first of a tensor."""
        starts = np.empty(types.shape, bool)
        for type_ in range(self.types):
            rows = np.flatnonzero(types == type_)
            starts[rows[:1]] = not self._open[type_]
            starts[rows[1:]] = last[rows[:-1]]
        return starts

    def _pass(self, beats, rows, starts, encoded, alpha):
        """Beats of tensors of which none begins but, if `starts`, that of the first: who sees them, how they go."""
        if starts:
            type_ = int(beats.type[rows[0]])
            check_choice("mode", self.mode[type_], self._modes)
            self._tensor_mode[type_], self._tensor_bias[type_] = self.mode[type_], self.next_bias(type_)
            self._tensor_parameters[type_] = self._next_parameters[type_]
        types, last = beats.type[rows], beats.last[rows]
        present = np.unique(types).tolist()
        observed = np.zeros(rows.size, bool)
        for type_ in present:
            here = types == type_
            self._open[type_] = not last[here].any()
            observed |= here & (self._tensor_mode[type_] in OBSERVED)
            chosen, found = rows[here], self._tensor_parameters[type_]
            encoded.packed[chosen] = self._tensor_mode[type_] in ENCODING
            if self._tensor_mode[type_] in SQUEEZING:
                encoded.squeezed[chosen], alpha[chosen] = True, found.alpha
                encoded.mean[chosen], encoded.inverse[chosen] = found.mean, found.inverse
            elif self._tensor_mode[type_] in ENCODING:
                encoded.bias[chosen] = self._tensor_bias[type_]
        seen = rows[observed]
        if not seen.size:
            return
        words, keep = beats.words[seen], kept_words(beats.keep[seen])
        one_type = present[0] if len(present) == 1 else types[observed]
        for estimator in self.estimators.values():
            estimator.observe(words, one_type, None if keep.all() else keep)
        for type_ in np.unique(types[observed & last]).tolist():
            if not self.end_on_epoch[type_]:
                self.end_pass(type_)

    def epoch(self, types: Iterable[int]) -> None:
        """An epoch of `types`, a sequence of int, ends; it concerns those with `end_on_epoch`. ValueError as `end_pass`."""
        for type_ in [self._type(each) for each in types]:
            if self.end_on_epoch[type_]:
                self.end_pass(type_)

    def end_pass(self, type_: int, late: int | Mapping[str, int] = 0) -> None:
        """The pass of a type's estimators ends; the hardware misses `late` of its next beats, a number for all or by name.

        Raises
        ------
        ValueError
            There is no such type, or `late` is out of range.
        """
        type_ = self._type(type_)
        for name, estimator in self.estimators.items():
            estimator.end(type_, late=late.get(name, 0) if isinstance(late, Mapping) else late)
        if "moments" in self.estimators:
            statistics = self.estimators["moments"].raw(type_)
            self.load(type_, statistics["mean"], statistics["max"])

    def _encode(self, beats, encoded, alpha):
        """Make of `encoded` the beats as they lie in memory before they are packed: codes in the lower quarter."""
        packed, squeezed, data = encoded.packed, encoded.squeezed, encoded.bytes
        kept, cut = kept_words(beats.keep), cut_words(beats.keep).any(axis=1)
        for type_ in np.unique(beats.type[packed & cut]).tolist():
            self._flags[type_] |= PARTIAL
        data[packed], encoded.keep[packed] = 0, False
        encoded.keep[packed, : self.lanes] = kept[packed]
        groups = encoded.bias.astype(np.int64) * self.types + beats.type
        for group in np.unique(groups[packed & ~squeezed]).tolist():
            rows = np.flatnonzero(packed & ~squeezed & (groups == group))
            own = {"bias": group // self.types, "overflow": self.overflow}
            codes, flags = encode(beats.words[rows].view(np.float32), self.fmt, **own, flags=True)
            data[rows, : self.lanes] = codes
            self._flags[group % self.types] |= np.bitwise_or.reduce(flags[kept[rows]])
        for type_ in np.unique(beats.type[squeezed]).tolist():
            rows = np.flatnonzero(squeezed & (beats.type == type_))
            own = alpha[rows, None], encoded.mean[rows, None]
            codes, flags = s2_encode(beats.words[rows].view(np.float32), *own, overflow=self.overflow, flags=True)
            data[rows, : self.lanes] = codes
            raised = np.bitwise_or.reduce(flags[kept[rows]])
            self._flags[type_] |= sum(meaning for flag, meaning in _S2_FLAGS.items() if raised & flag)

    def _pack(self, encoded, closes):
        if self._held is not None:
            # none that closes a pack is held
            closes = np.append(np.zeros(len(self._held), bool), closes)
            encoded, self._held = MemoryBeats.join([self._held, encoded]), None
        if not len(encoded):
            return encoded
        # beats of one kind up to one that closes it make a run, and every four of a run a pack
        index = np.arange(len(encoded))
        continues = np.zeros(len(encoded), bool)
        same = (encoded.type[1:] == encoded.type[:-1]) & (encoded.own_bias[1:] == encoded.own_bias[:-1])
        same &= ~encoded.own_bias[1:] | (encoded.bias[1:] == encoded.bias[:-1])
        continues[1:] = encoded.packed[1:] & encoded.packed[:-1] & same & ~closes[:-1]
        position = index - np.maximum.accumulate(np.where(continues, 0, index))
        slot = np.where(encoded.packed, position % SLOTS, 0)
        firsts = np.flatnonzero(slot == 0)
        finals = np.append(firsts[1:], len(encoded)) - 1
        if encoded.packed[-1] and not closes[-1] and slot[-1] < SLOTS - 1:
            self._held = encoded[firsts[-1] :]
            firsts, finals = firsts[:-1], finals[:-1]
        packs = encoded[firsts]
        packs.last = encoded.last[finals]
        whose = np.cumsum(slot == 0) - 1
        for number in range(1, SLOTS):
            rows = np.flatnonzero((slot == number) & (whose < len(firsts)))
            columns = slice(number * self.lanes, (number + 1) * self.lanes)
            packs.bytes[whose[rows], columns] = encoded.bytes[rows, : self.lanes]
            packs.keep[whose[rows], columns] = encoded.keep[rows, : self.lanes]
        return packs

    def read(self, beats: MemoryBeats) -> CoreBeats:
        """Read from memory.

        Parameters
        ----------
        beats : MemoryBeats
            As `write` gives them, with what each is read with.

        Returns
        -------
        CoreBeats
            For each packed beat one for every slot with a kept code, or one where none is kept.
        """
        count, lanes = len(beats), self.lanes
        expands = beats.packed & ~beats.bypass
        kept = beats.keep.reshape(count, SLOTS, lanes)
        leaves = kept.any(axis=2) & expands[:, None]
        leaves[~leaves.any(axis=1), 0] = True
        rows, slots = np.nonzero(leaves)
        words = np.ascontiguousarray(beats.bytes).view("<u4")[rows]
        keep = beats.keep[rows]
        is_code = expands[rows]
        codes = beats.bytes.reshape(count, SLOTS, lanes)[rows[is_code], slots[is_code]]
        sources = beats[rows[is_code]]
        values = np.empty(codes.shape, np.float32)
        for bias in np.unique(sources.bias[~sources.squeezed]).tolist():
            here = ~sources.squeezed & (sources.bias == bias)
            values[here] = decode(codes[here], self.fmt, bias=bias)
        squeezed = sources[sources.squeezed]
        values[sources.squeezed] = s2_decode(codes[sources.squeezed], squeezed.inverse[:, None], squeezed.mean[:, None])
        words[is_code] = values.view(np.uint32)
        keep[is_code] = np.repeat(kept[rows[is_code], slots[is_code]], WORD_BYTES, axis=1)
        final = np.append(rows[1:] != rows[:-1], True)[: rows.size]
        return CoreBeats(words, keep, beats.type[rows], beats.bypass[rows], beats.last[rows] & final)
