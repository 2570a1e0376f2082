"""A register per type that walks to the median."""

from amaranth.hdl import Cat, Mux, Signal
from narrowfloat.golden.statistics import REFERENCE_EXPONENT, RUNS, readout
from narrowfloat.hdl.block import Choice, Integer
from narrowfloat.hdl.parts.logic import is_number, pick, wire
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, Estimator


class MedianTracker(Estimator):
    """A position per type that walks to the median as values pass.

    Equation: magnitudes are {e32, f23} as a number of octaves, with `fraction` bits of f23, plus half an octave. One above the
    position moves it up by a step, another one down. The bias is ``143 - e`` for the octave e of the position, its bits above
    the fraction: because of the half octave, 16 - k for a median from ``1.5 * 2**(k - 1)`` to ``1.5 * 2**k``.

    ==============  =====================================================================================================
    position        starts in the middle of the octave of the bias after reset. It stays where a step would take it out of the
                    octaves from 143 - `bias_max` to 143 - `bias_min`
    step            8 octaves at first. It halves, down to ``2**-fraction`` octaves, with a value whose direction is not that of
                    the one before, which is down at first, or at which the position stays. It doubles, up to 8 octaves, with
                    the last of `run` values in a row at which neither happens, since it halved or doubled
    looked at       of beat n that is observed, from 0 after reset and of all types, lane
                    ``(n + floor(n / lanes)) mod lanes``, if it is kept and holds neither zero, a subnormal, infinity nor
                    NaN; all else changes nothing
    settled         the step has been the smallest once. The bias counts before as well
    ==============  =====================================================================================================

    There is a bias at any time, `busy` and `working` are never set, and `end` changes nothing. A bias may flicker where the
    median is near the boundary of two; there is no hysteresis. `golden.statistics.MedianTracker` is bit-exact.

    Majorities of several lanes cost a comparator each and follow the data faster than is good: in real tensors neighbours are
    alike, and the position runs after each row.

    Latency: a cycle from a beat to the bias. Throughput: a beat per clock.

    Members
    -------
    observe, end, bias, settled, busy, working, read
        As described in `Estimator`.
    """

    fraction = Integer(7, 1, 15, "Bits of the position below an octave; the smallest step is 2**-fraction octaves.")
    run = Choice(64, RUNS, "The step doubles after so many steps in the same direction.")

    latency = 1
    statistics = readout.MEDIAN_TRACKER

    def build(self, m):
        fraction, type_ = self.fraction, self.observe.type
        bits = 8 + fraction
        lowest, highest = REFERENCE_EXPONENT - self.bias_max, REFERENCE_EXPONENT - self.bias_min
        start = ((REFERENCE_EXPONENT - self.first_bias << fraction) + (1 << fraction - 1)) % 2 ** (bits - 2)
        largest_step = fraction + 3  # 8 octaves

        # Exponents are from 80 to 143: the upper two bits follow from the next two.
        stored = self._registers(bits - 2, "position", start)
        steps = self._registers(range(largest_step + 1), "step", largest_step)
        rising = self._registers(1, "rising")
        equal = self._registers(range(self.run), "equal")
        wholes = [Cat(part, part[-2:].any(), ~part[-2:].any()) for part in stored]

        # half an octave more, so that the octave is that of the nearest reference median
        lane = self._lane(m)
        magnitude = wire(m, bits, pick([word[23 - fraction : MAGNITUDE_BITS] for word in self.observe.words], lane))
        keep = wire(m, 1, pick(self.observe.keep, lane))
        exponent = magnitude[fraction:]
        target = Signal(bits)
        position = Signal(bits)
        moved = Signal(bits)
        step = Signal.like(steps[0])
        run_so_far = Signal.like(equal[0])
        was_rising = Signal()
        moves = Signal()
        up = Signal()
        inside = Signal()
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
        turns = Signal()
        halves = Signal()
        doubles = Signal()
        next_step = Signal.like(step)
        next_run = Signal.like(run_so_far)
        m.d.comb += [
            turns.eq((up != was_rising) | ~inside),
            halves.eq(turns & step.any()),
            doubles.eq(~turns & run_so_far.all() & (step != largest_step)),
            next_step.eq(step + Cat(halves | doubles, halves.replicate(len(step) - 1))),
            next_run.eq(Mux(turns, 0, run_so_far + 1)),
        ]
        for t in range(self.types):
            with m.If(moves & is_number(type_, t)):
                m.d.sync += [steps[t].eq(next_step), equal[t].eq(next_run), rising[t].eq(up)]
                with m.If(inside):
                    m.d.sync += stored[t].eq(moved)
                with m.If(next_step == 0):
                    m.d.sync += self.settled[t].eq(1)
            # 143 - e = 15 - e = ~e + 16 modulo 64
            inverted = ~stored[t][fraction:]
            m.d.comb += self.bias[t].eq(Cat(inverted[:4], inverted[4:] + 1))
        m.d.comb += [self.read.done.eq(self.read.enable), self.read.data.eq(pick(wholes, self.read.type))]

    def _lane(self, m):
        """The lane to look at: the next one with each beat, and one more after each turn."""
        beat = Signal(range(self.lanes))
        lane = Signal(range(self.lanes))
        if self.lanes > 1:
            last = beat == self.lanes - 1
            following = wire(m, range(self.lanes + 2), lane + 1 + last)
            with m.If(self.observe.valid):
                m.d.sync += [
                    beat.eq(Mux(last, 0, beat + 1)),
                    lane.eq(Mux(following >= self.lanes, following - self.lanes, following)),
                ]
        return lane
