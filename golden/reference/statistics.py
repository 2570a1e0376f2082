"""The estimators at the level of their ports: what passes the stream that they listen to, ends of tensors, raw statistics."""

from dataclasses import dataclass

import numpy as np
from narrowfloat.golden import statistics
from narrowfloat.golden.formats import BIAS_BITS
from narrowfloat.golden.reference.base import PortsReference
from narrowfloat.golden.reference.stimulus import RUN_BEATS, random_words, real_tensors, runs, special_words
from narrowfloat.golden.statistics import readout

REAL_VALUES = 3_000  # of each tensor
KINDS = ("activation", "error", "gradient", "weight")


@dataclass
class Cycles:
    """What the ports have, cycle by cycle: a beat or none, an end or none.

    `words` is uint32 [cycles, lanes], `keep` bool [cycles, lanes], `types` and `end_types` int [cycles], `valid` and `ends`
    bool [cycles].
    """

    words: np.ndarray
    keep: np.ndarray
    types: np.ndarray
    valid: np.ndarray
    ends: np.ndarray
    end_types: np.ndarray

    def __len__(self):
        return len(self.words)


class Estimator(PortsReference):
    """A statistics unit and its model, which is told which beats and ends the unit took."""

    model_class: type
    epochs = 1  # after which there is a bias

    def reset(self):
        options = {name: value for name, value in self.parameters.items() if name not in ("lanes", "stages", "reset")}
        self.model = self.model_class(**options)

    def observe(self, parts):
        """Tell the model of beats: `parts` are pairs of `Cycles` and the rows of it that were taken."""
        parts = [(cycles, rows) for cycles, rows in parts if rows.stop > rows.start]
        if parts:
            words, keep, types, valid = (
                np.concatenate([getattr(cycles, name)[rows] for cycles, rows in parts])
                for name in ("words", "keep", "types", "valid")
            )
            self.model.observe(words[valid], types[valid], keep[valid])

    def raw(self, type_):
        """All raw statistics of a type, as they are read: a list of words, in the order of the manifest."""
        return readout.words(self.model.raw(type_), self.manifest["statistics"])

    def bias(self, type_):
        """The bias of a type, and whether it is from data."""
        return int(self.model.bias[type_]), bool(self.model.settled[type_])

    # Traffic

    def cycles(self, words, types, *, keep=None, idle=0.0, ends=0.0):
        """`Cycles` of `words` [beats, lanes] of `types`, with shares of idle cycles and of cycles in which a type ends."""
        beats = len(words)
        count = beats + (self.rng.negative_binomial(beats, 1 - idle) if idle and beats else 0)
        at = np.sort(self.rng.permutation(count)[:beats])
        result = Cycles(
            random_words(self.rng, count * self.lanes).reshape(count, self.lanes),
            np.ones((count, self.lanes), bool),
            self.rng.integers(self.types, size=count),
            np.zeros(count, bool),
            self.rng.random(count) < ends,
            self.rng.integers(self.types, size=count),
        )
        result.words[at], result.types[at], result.valid[at] = words, types, True
        if keep is not None:
            result.keep[at] = keep
        return result

    def single(self, gap):
        """A tensor of one value, whose end is in the same cycle or `gap` cycles later."""
        words, keep = self.in_beats(self.values(1))
        cycles, type_ = 1 + gap, int(self.rng.integers(self.types))
        number = np.arange(cycles)
        types = np.full(cycles, type_)
        return Cycles(np.repeat(words, cycles, 0), np.repeat(keep, cycles, 0), types, number == 0, number == gap, types)

    def end(self, type_):
        """A cycle in which nothing but an end comes."""
        cycles = self.cycles(np.zeros((1, self.lanes), np.uint32), type_)
        cycles.ends[0], cycles.end_types[0] = True, type_
        return cycles

    def values(self, count):
        """`count` FP32 words of a kind chosen at random, from all zeros to real magnitudes with outliers: uint32."""
        rng = self.rng
        scale = np.float32(2.0 ** rng.uniform(-30, 10))
        one, other = (scale * rng.standard_normal(2)).astype(np.float32)
        with np.errstate(over="ignore"):
            made = (
                lambda: np.zeros(count, np.float32),
                lambda: np.full(count, one),
                lambda: rng.choice(np.array([one, other], np.float32), count),
                lambda: scale * rng.standard_normal(count).astype(np.float32),
                lambda: np.maximum(scale * rng.standard_normal(count), 0).astype(np.float32),
                lambda: np.exp(5 * rng.standard_normal(count)).astype(np.float32) * scale,
                lambda: rng.choice(np.array([1e-38, 1e10, one, other], np.float32), count),
                lambda: np.float32(2.0) ** rng.integers(-126, 128, size=count).astype(np.float32),
                lambda: random_words(rng, count).view(np.float32),
                lambda: rng.choice(special_words(), count).view(np.float32),
            )
            return made[rng.integers(len(made))]().astype(np.float32).view(np.uint32)

    def in_beats(self, words):
        """Any number of words as beats [beats, lanes], and which lanes of the last beat hold one."""
        lanes = self.filled(words)
        return lanes, np.arange(lanes.size).reshape(lanes.shape) < len(words)

    def mixture(self, beats, **shares):
        """`Cycles` of beats of all types one after the other, each type with values of its own kind; some lanes are not kept.

        `shares` are those of `cycles`.
        """
        types = self.rng.integers(self.types, size=beats)
        words = np.empty((beats, self.lanes), np.uint32)
        for type_ in range(self.types):
            rows = types == type_
            words[rows] = self.values(int(rows.sum()) * self.lanes).reshape(-1, self.lanes)
        keep = self.rng.random((beats, self.lanes)) < self.rng.choice([1.0, 0.9, 0.3])
        return self.cycles(words, types, keep=keep, **shares)

    def of_one_type(self, beats, type_):
        """`Cycles` of values of one kind, all of one type, without an end."""
        return self.cycles(self.values(beats * self.lanes).reshape(-1, self.lanes), type_)

    def long(self, values):
        """`Cycles` of so many normally distributed values of all types without idle cycles, with some ends."""
        beats = -(-values // self.lanes)
        words = self.rng.standard_normal((beats, self.lanes), np.float32) * np.float32(0.01)
        return self.cycles(words.view(np.uint32), self.rng.integers(self.types, size=beats), ends=20 / beats)

    def real(self):
        """Each real tensor, of the type that it has, with an end: an iterable of (name, `Cycles`)."""
        for name, tensor in real_tensors()[0].items():
            type_ = KINDS.index(name.rpartition(".")[2]) % self.types
            words, keep = self.in_beats(tensor.reshape(-1)[:REAL_VALUES].view(np.uint32))
            cycles = self.cycles(words, type_, keep=keep)
            cycles.ends[-1], cycles.end_types[-1] = True, type_
            yield name, cycles


class MedianEstimator(Estimator):
    """`narrowfloat.golden.statistics.MedianEstimator` behind ports."""

    model_class = statistics.MedianEstimator
    epochs = 4


class ExponentHistogram(Estimator):
    """`narrowfloat.golden.statistics.ExponentHistogram` behind ports."""

    model_class = statistics.ExponentHistogram


class LogMoments(Estimator):
    """`narrowfloat.golden.statistics.LogMoments` behind ports."""

    model_class = statistics.LogMoments


class MedianTracker(Estimator):
    """`narrowfloat.golden.statistics.MedianTracker` behind ports; its bias follows every beat."""

    model_class = statistics.MedianTracker

    def workload(self):
        """Runs of real tensors, a beat in every cycle, types changing with the tensors: `Cycles`."""
        tensors = real_tensors()[0]
        words = runs(tensors, RUN_BEATS * self.lanes).reshape(-1, self.lanes).view(np.uint32)
        count = len(words)
        types, never = np.repeat(np.arange(len(tensors)) % self.types, RUN_BEATS), np.zeros(count, bool)
        return Cycles(words, np.ones(words.shape, bool), types, ~never, never, np.zeros(count, int))

    def follow(self, cycles):
        """The ports ``bias`` and ``settled`` once each of `cycles` counts, which takes the latency: two lists of integers."""
        columns = [], []
        for beat, type_ in zip(cycles.words, cycles.types.tolist(), strict=True):
            self.model.observe(beat[None], type_)
            for column, values, width in zip(columns, (self.model.bias, self.model.settled), (BIAS_BITS, 1), strict=True):
                column.append(sum(int(value) << width * place for place, value in enumerate(values.tolist())))
        return columns
