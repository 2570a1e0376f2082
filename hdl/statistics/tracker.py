"""A register per type that walks to the median."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Signal
from narrowfloat.golden.formats import BIAS_BITS
from narrowfloat.golden.statistics import REFERENCE_EXPONENT, RUNS, readout
from narrowfloat.hdl.block import Choice, Integer
from narrowfloat.hdl.parts.logic import is_number, named, pick, wire
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, Estimator


@dataclass
class State:
    """What is known of a type: signals."""

    depth: Signal
    minus_step: Signal
    run: Signal
    rising: Signal


class MedianTracker(Estimator):
    """A position per type that walks to the median as values pass.

    Equation: magnitudes are {e32, f23} as a number of octaves, with `fraction` bits of f23, plus half an octave. One above the
    position moves it up by a step, another one down. The bias is ``143 - e`` for the octave e of the position, its bits above
    the fraction: because of the half octave, 16 - k for a median from ``1.5 * 2**(k - 1)`` to ``1.5 * 2**k``.

    ==============  =====================================================================================================
    position        starts in the middle of the octave of the bias after reset. It stays where a step would take it out of the
                    octaves from 143 - `bias_max` to 143 - `bias_min`
    step            8 octaves at first. It halves, down to ``2**-fraction`` octaves, with a value whose direction is not that of
                    the one before, which is down at first; of one at which the position stayed the other direction counts. It
                    doubles, up to 8 octaves, with the last of `run` values in a row at which it has not halved, since it
                    halved or doubled
    looked at       of beat n that is observed, from 0 after reset and of all types, lane
                    ``(n + floor(n / lanes)) mod lanes``, if it is kept and holds neither zero, a subnormal, infinity nor
                    NaN; all else changes nothing
    settled         the step has been the smallest once. The bias counts before as well
    ==============  =====================================================================================================

    There is a bias at any time, `busy` and `working` are never set, and `end` changes nothing. A bias may flicker where the
    median is near the boundary of two; there is no hysteresis. `golden.statistics.MedianTracker` is bit-exact.

    Majorities of several lanes cost a comparator each and follow the data faster than is good: in real tensors neighbours are
    alike, and the position runs after each row.

    Latency: `stages` cycles from a beat to the bias. Throughput: a beat per clock.

    Members
    -------
    observe, end, bias, settled, busy, working, read
        As described in `Estimator`.
    """

    fraction = Integer(7, 1, 15, "Bits of the position below an octave; the smallest step is 2**-fraction octaves.")
    run = Choice(64, RUNS, "The step doubles after so many steps in the same direction.")
    stages = Integer(
        2, 1, 3, "Cycles from a beat to the bias: 1 takes the least area, 2 is fastest, and 3 where beats come late in a cycle."
    )

    statistics = readout.MEDIAN_TRACKER

    @property
    def latency(self):
        return self.stages

    def build(self, m):
        octaves = slice(self.fraction, None)
        stored = [self._state(f"state{t}") for t in range(self.types)]
        counts, target = self._look(m)
        if self.stages == 1:
            move = self._move(m, self._picked(m, stored, self.observe.type), target)
            moves = [counts & is_number(self.observe.type, t) for t in range(self.types)]
        else:
            move, moves = self._move_later(m, stored, counts, target)
        for t, each in enumerate(stored):
            with m.If(moves[t]):
                move(each)
            has_settled = Signal(name=f"has_settled{t}")
            m.d.sync += has_settled.eq(self.settled[t])
            m.d.comb += [self.settled[t].eq(has_settled | each.minus_step[0]), self.bias[t].eq(each.depth[octaves])]
        depth = wire(m, BIAS_BITS + self.fraction, pick([each.depth for each in stored], self.read.type))
        # The octave is 143 - bias: the lower four bits of 143 are all set.
        upper = [Const((REFERENCE_EXPONENT >> 4) - part, 4) for part in range(4)]
        m.d.comb += [
            self.read.done.eq(self.read.enable),
            self.read.data.eq(Cat(~depth[: self.fraction + 4], pick(upper, depth[self.fraction + 4 :]))),
        ]

    def _state(self, name):
        """Registers of what is known of a type."""
        shapes = {
            # How far the position is below octave 144, less one unit: in octaves, that is the bias.
            "depth": BIAS_BITS + self.fraction,
            # Without the bits from 8 octaves on, which are all set: the step halves and doubles by shifts.
            "minus_step": self.fraction + 3,
            "run": (self.run - 1).bit_length(),
            "rising": 1,
        }
        first = {"depth": (self.first_bias << self.fraction) + (1 << self.fraction - 1) - 1}
        return State(*(Signal(shape, name=f"{name}_{field}", init=first.get(field, 0)) for field, shape in shapes.items()))

    def _picked(self, m, stored, type_):
        """What is known of a type."""
        columns = {field: [vars(each)[field] for each in stored] for field in vars(stored[0])}
        return State(*(named(m, pick(each, type_), f"picked_{field}") for field, each in columns.items()))

    def _look(self, m):
        """Whether the value that is looked at counts, and what its magnitude is, half an octave more and 112 octaves more: with
        the depth it is 256 octaves or more if the value is above the position."""
        fraction, lane = self.fraction, self._lane(m)
        magnitude = wire(m, 8 + fraction, pick([word[23 - fraction : MAGNITUDE_BITS] for word in self.observe.words], lane))
        exponent = magnitude[fraction:]
        keep = wire(m, 1, pick(self.observe.keep, lane))
        counts = wire(m, 1, self.observe.valid & keep & exponent.any() & ~exponent.all())
        halves = magnitude[fraction - 1 :] + (2 * (255 - REFERENCE_EXPONENT) + 1)
        return counts, wire(m, 9 + fraction, Cat(magnitude[: fraction - 1], halves), "target")

    def _move_later(self, m, stored, counts, target):
        """What `_move` gives for a value that is registered first, and for which types it is to be done."""
        type_, known = self.observe.type, self.observe.valid
        if self.stages == 3:
            counts, target, type_ = self._registered(m, "picked", counts, target=target, type=type_)
            known = counts
        counted, found = self._registered(m, "registered", counts, target=target)
        if self.types == 1:
            return self._move(m, stored[0], found), [counted]
        # The state of the type whose value is registered, as it is stored, too: so none has to be picked before it moves.
        mover, now = Signal.like(self.observe.type, name="type_now"), self._state("now")
        move = self._move(m, now, found)
        picked = self._picked(m, stored, type_)
        # A type without a valid beat may be unknown in simulation.
        others = wire(m, 1, known & (mover != type_))
        with m.If(others):
            m.d.sync += [mover.eq(type_), *(vars(now)[field].eq(value) for field, value in vars(picked).items())]
        with m.Elif(counted):
            move(now)
        moves = [Signal(name=f"moves{t}") for t in range(self.types)]
        m.d.sync += [each.eq(counts & (type_ == t)) for t, each in enumerate(moves)]
        return move, moves

    def _registered(self, m, name, counts, **values):
        """Registers of whether a value counts, and of what is known of it."""
        registers = [Signal(name=f"{name}_counts")]
        registers += [Signal.like(value, name=f"{name}_{what}", reset_less=True) for what, value in values.items()]
        m.d.sync += [register.eq(value) for register, value in zip(registers, [counts, *values.values()], strict=True)]
        return registers

    def _move(self, m, now, target):
        """A function that makes of a register like `now` what `now` becomes with a value."""
        up = wire(m, 1, (now.depth + target)[8 + self.fraction])
        # A step is at most 8 octaves: where that may lead out of the 64 of the depth there is a bit more.
        wraps = self.bias_min < 8 or self.bias_max >= 2**BIAS_BITS - 8
        bits = BIAS_BITS + self.fraction + wraps
        minus_step = wire(m, bits, Cat(now.minus_step, Const(-1, bits - len(now.minus_step))))

        def reaches(depth, bias):
            return at_least(depth[self.fraction :], bias)

        if self.stages == 1:
            moved = wire(m, bits, now.depth + Mux(up, minus_step, ~minus_step) + ~up)
            inside = wire(m, 1, reaches(moved, self.bias_min) & ~reaches(moved, self.bias_max + 1))
        else:
            # both ways, while it is found out which
            raised, lowered = wire(m, bits, now.depth + minus_step), wire(m, bits, now.depth - minus_step)
            moved = wire(m, bits, Mux(up, raised, lowered))
            can_rise = reaches(raised, self.bias_min) & (~reaches(raised, self.bias_max + 1) if wraps else 1)
            inside = wire(m, 1, Mux(up, can_rise, ~reaches(lowered, self.bias_max + 1)))
        goes_on = wire(m, 1, up == now.rising)
        following, is_last = counted_on(now.run)
        longer = Mux(is_last, Cat(Const(0, 1), now.minus_step[:-1]), now.minus_step)
        shorter = Cat(now.minus_step[1:], Const(1, 1))

        def move(register):
            m.d.sync += [
                register.minus_step.eq(Mux(goes_on, longer, shorter)),
                register.run.eq(Mux(goes_on, following, 0)),
                register.rising.eq(up == inside),
            ]
            with m.If(inside):
                m.d.sync += register.depth.eq(moved)

        return move

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


def at_least(value, limit):
    """Whether an unsigned `value` is not below the constant `limit`: a few gates, and no carry chain."""
    found = Const(limit < 2 ** len(value), 1)
    for number, bit in enumerate(value):
        found = bit & found if limit >> number & 1 else bit | found
    return found


# For registers of so many bits the bit that beside the top one is fed back, so that all words but 0 follow one another.
_TAPS = {2: 0, 3: 1, 4: 2, 5: 2, 6: 4}


def counted_on(run):
    """The word that follows `run` in a sequence of all its words that begins with 0, and whether `run` is the last one.

    A shift register that is fed back, which takes less than a counter; where only the top bit is set, 0 is put in between.
    """
    *lower, top = run
    zeros = ~Cat(lower).any()
    tapped = run[_TAPS[len(run)]] if lower else Const(0, 1)
    return Cat(top ^ tapped ^ zeros, lower), top & zeros
