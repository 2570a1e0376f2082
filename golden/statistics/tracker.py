"""A position that walks to the median."""

import numpy as np
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.parts import parts
from narrowfloat.golden.specials import counts
from narrowfloat.golden.statistics.estimator import REFERENCE_EXPONENT, Estimator

RUNS = (2, 4, 8, 16, 32, 64)  # pulls in the same direction that double the step


class MedianTracker(Estimator):
    """A position per type that walks to the median of the magnitudes as they pass, without memory of them and without an end.

    The position is in octaves with `fraction` bits, magnitudes are taken half an octave larger, so that the octave e of the
    position stands for the bias ``143 - e`` of the nearest reference median. One lane per beat is looked at, the next one with
    every beat of any type, and one more after each turn, so that no regular order of types or channels keeps it on the same
    values. Above the position, the value pulls it up by a step, else down; where it would leave the range of biases it stays,
    and then the direction counts as the other one. The step is 8 octaves at first; it halves when the direction changes, and
    doubles, up to 8 octaves, after `run` pulls in the same direction.

    The hardware takes the same steps some cycles later, as many as its parameter `stages` says, and misses no value.

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

    def __init__(
        self,
        types: int = 4,
        *,
        fraction: int = 7,
        run: int = 64,
        initial_bias: int | None = None,
        bias_min: int = 10,
        bias_max: int = 40,
    ) -> None:
        fraction = check_int("fraction", fraction, 1, 15)
        super().__init__(types, initial_bias, bias_min, bias_max)
        self._fraction, self._run = fraction, check_choice("run", run, RUNS)
        self._lowest, self._highest = (
            REFERENCE_EXPONENT - self._bias_max << fraction,
            (REFERENCE_EXPONENT + 1 - self._bias_min << fraction) - 1,
        )
        self._largest_step = fraction + 3  # 8 octaves
        start = (REFERENCE_EXPONENT - int(self._bias[0]) << fraction) + (1 << fraction - 1)
        # position, step, direction, equal directions since the last doubling
        self._state = [(start, self._largest_step, False, 0)] * self.types
        self._beats = 0

    def _raw(self, type_):
        return {"position": self._state[type_][0]}

    def _end(self, type_):
        pass

    def _observe_in_order(self, words, type_, keep):
        self._observe_mixed(words, np.broadcast_to(type_, len(words)), keep)

    def _observe_mixed(self, words, types, keep):
        for part in parts(len(words)):
            self._observe_part(words[part], types[part], None if keep is None else keep[part])

    def _observe_part(self, words, types, keep):
        beats, lanes = words.shape
        number = self._beats + np.arange(beats)
        self._beats += beats
        lane = (number + number // lanes) % lanes
        beat = np.arange(beats)
        magnitudes = words[beat, lane] & np.uint32(0x7FFFFFFF)
        counted = counts(magnitudes)
        if keep is not None:
            counted &= keep[beat, lane]
        positions = (magnitudes + np.uint32(0x400000) >> np.uint32(23 - self._fraction)).astype(np.int64)
        for type_ in np.unique(types[counted]).tolist():
            self._walk(type_, positions[counted & (types == type_)].tolist())

    def _walk(self, type_, targets):
        position, step, rising, equal = self._state[type_]
        lowest, highest, largest, run = self._lowest, self._highest, self._largest_step, self._run
        smallest_reached = bool(self._settled[type_])
        for target in targets:
            up = target > position
            moved = position + (1 << step) if up else position - (1 << step)
            inside = lowest <= moved <= highest
            if inside:
                position = moved
            if up != rising:
                step -= step > 0
                equal = 0
            elif equal == run - 1:
                step += step < largest
                equal = 0
            else:
                equal += 1
            rising = up if inside else not up
            smallest_reached |= step == 0
        self._state[type_] = position, step, rising, equal
        self._settled[type_] = smallest_reached
        self._bias[type_] = REFERENCE_EXPONENT - (position >> self._fraction)
