"""A register per type that walks to the median."""

from amaranth.hdl import Cat, Module, Mux, Signal
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.parts.arith import pick
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, REFERENCE, Estimator, is_type

RUNS = (2, 4, 8, 16, 32, 64)


class MedianTracker(Estimator):
    """A position per type that walks to the median as values pass: see `golden.statistics.MedianTracker`, which is bit-exact.

    There is a bias at any time, `busy` and `working` are never set, and `end` changes nothing. The beat of one cycle shows in the
    bias of the next. A bias may flicker where the median is near the boundary of two; there is no hysteresis.

    One lane per beat is looked at. Majorities of several lanes cost a comparator each and follow the data faster than is good:
    in real tensors neighbours are alike, and the position runs after each row.

    Parameters
    ----------
    types, lanes, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    fraction : int
        1 to 15: bits of the position below an octave; the smallest step is ``2**-fraction`` octaves.
    run : int
        One of `RUNS`: after so many steps in the same direction the step doubles.
    """

    def __init__(self, types=4, lanes=4, *, fraction=7, run=64, initial_bias=15, bias_min=10, bias_max=40):
        check_int("fraction", fraction, 1, 15)
        check_choice("run", run, RUNS)
        self._fraction, self._run = fraction, run
        self.latency = 1
        super().__init__(types, lanes, readout.MEDIAN_TRACKER, initial_bias, bias_min, bias_max)

    def elaborate(self, platform):
        m = Module()
        fraction, type_ = self._fraction, self.observe.type
        bits = 8 + fraction
        lowest, highest = REFERENCE - self._bias_max, REFERENCE - self._bias_min
        start = ((REFERENCE - self._initial_bias << fraction) + (1 << fraction - 1)) % 2 ** (bits - 2)
        largest_step = fraction + 3  # 8 octaves

        # Exponents are from 80 to 143: the upper two bits follow from the next two.
        stored = self._registers(m, bits - 2, "position", start)
        steps = self._registers(m, range(largest_step + 1), "step", largest_step)
        rising = self._registers(m, 1, "rising")
        equal = self._registers(m, range(self._run), "equal")
        wholes = [Cat(part, part[-2:].any(), ~part[-2:].any()) for part in stored]

        # half an octave more, so that the octave is that of the nearest reference median
        lane = self._lane(m)
        magnitude = Signal(bits)
        keep = Signal()
        m.d.comb += [
            magnitude.eq(pick([word[23 - fraction : MAGNITUDE_BITS] for word in self.observe.words], lane)),
            keep.eq(pick(self.observe.keep, lane)),
        ]
        exponent = magnitude[fraction:]
        target, position, moved = Signal(bits), Signal(bits), Signal(bits)
        step, run_so_far, was_rising = Signal.like(steps[0]), Signal.like(equal[0]), Signal()
        moves, up, inside = Signal(), Signal(), Signal()
        change = Signal(bits)
        m.d.comb += [
            moves.eq(self.observe.valid & keep & exponent.any() & ~exponent.all()),
            target.eq(magnitude + (1 << fraction - 1)),
            position.eq(pick(wholes, type_)),
            step.eq(pick(steps, type_)),
            run_so_far.eq(pick(equal, type_)),
            was_rising.eq(pick(rising, type_)),
            up.eq(target > position),
            # 2**step, or less than zero all ones from there on
            change.eq(Cat(*(Mux(up, step == k, step < k + 1) for k in range(largest_step + 1)), (~up).replicate(4))),
            moved.eq(position + change),
            inside.eq((moved[fraction:] >= lowest) & (moved[fraction:] <= highest)),
        ]
        turns, halves, doubles = Signal(), Signal(), Signal()
        next_step, next_run = Signal.like(step), Signal.like(run_so_far)
        m.d.comb += [
            turns.eq((up != was_rising) | ~inside),
            halves.eq(turns & step.any()),
            doubles.eq(~turns & run_so_far.all() & (step != largest_step)),
            next_step.eq(step + Cat(halves | doubles, halves.replicate(len(step) - 1))),
            next_run.eq(Mux(turns, 0, run_so_far + 1)),
        ]
        for t in range(self.types):
            with m.If(moves & is_type(type_, t)):
                m.d.sync += [steps[t].eq(next_step), equal[t].eq(next_run), rising[t].eq(up)]
                with m.If(inside):
                    m.d.sync += stored[t].eq(moved)
                with m.If(next_step == 0):
                    m.d.sync += self.settled[t].eq(1)
            # 143 - e = 15 - e = ~e + 16 modulo 64
            inverted = ~stored[t][fraction:]
            m.d.comb += self.bias[t].eq(Cat(inverted[:4], inverted[4:] + 1))
        m.d.comb += [self.read.done.eq(self.read.enable), self.read.data.eq(pick(wholes, self.read.type))]
        return m

    def _lane(self, m):
        """The lane to look at: the next one with each beat, and one more after each turn."""
        beat, lane = Signal(range(self.lanes)), Signal(range(self.lanes))
        if self.lanes > 1:
            last = beat == self.lanes - 1
            following = Signal(range(self.lanes + 2))
            m.d.comb += following.eq(lane + 1 + last)
            with m.If(self.observe.valid):
                m.d.sync += [
                    beat.eq(Mux(last, 0, beat + 1)),
                    lane.eq(Mux(following >= self.lanes, following - self.lanes, following)),
                ]
        return lane
