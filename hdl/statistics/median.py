"""The median, by counting in bins that narrow pass after pass."""

from amaranth.hdl import Cat, Mux, Signal, signed
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.block import Integer, Switch
from narrowfloat.hdl.parts.logic import count_ones, division_step, extreme, is_number, named, pick, wire
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, Lanes
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed, half_less_one


class MedianEstimator(CountingEstimator):
    """The median of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: a pass for the smallest and largest magnitude, then
    `passes` that count values in `bins` equal bins of the magnitudes' words and go on with the bin that holds the median.

    Equation: the bias is ``143 - e`` for the octave e whose reference median is nearest to what the last pass finds. What a
    pass finds and how it goes on is said in `golden.statistics.MedianEstimator`, which is bit-exact. The bias changes after the
    last pass only; `settled` says that this has happened once.

    There are no edges: the distance from the low end is divided by the width, which takes one subtraction for each of five bits
    instead of twenty comparisons, and stores two words per type instead of twenty-one.

    Latency: at the end of a pass one bin per cycle is looked at, and meanwhile the width is divided, one bit per cycle; by
    default the next pass or the bias is there 37 cycles after the end, unless ends of other types are being dealt with. Where
    values go is not known before, so beats of the same type are missed until then. Throughput: a beat per clock.

    Members
    -------
    observe, end, bias, settled, busy, working, read
        As described in `Estimator`.
    """

    bins = Integer(20, 2, 32, "Equal bins of a pass.")
    passes = Integer(3, 1, 6, "Passes that count.")
    continuous = Switch(False, "Whether to start over after the last pass instead of standing still.", place=4)

    others = ("low", "reach", "pass", "drift")
    sorting_cycles = 3

    @property
    def slots(self):
        return readout.median_slots(self.bins)

    @property
    def least_job_cycles(self):
        # load, round up, one quotient bit per cycle, store; and total, below, bins, the median's addition
        return max(MAGNITUDE_BITS - self._twos + 3, self.bins + 5)

    def prepare(self):
        self._twos = (self.bins & -self.bins).bit_length() - 1
        # ceil((largest - smallest) / bins) of FP32's normal numbers
        self._width_bits = (-(-(0x7F7FFFFF - 0x00800000) // self.bins)).bit_length()

    def build(self, m):
        counts = self._counts(m)
        low = self._registers(MAGNITUDE_BITS, "low", 2**MAGNITUDE_BITS - 1)
        reach = self._registers(MAGNITUDE_BITS, "reach")
        number = self._registers(range(self.passes + 2), "pass")
        drift = self._registers(1, "drift")
        widened_low, widened_reach = self._sort(m, counts, low, reach, number)
        self._work(m, counts, low, reach, number, drift, widened_low, widened_reach)
        self._reads(m, counts, (low, reach, number, drift))

    def _sort(self, m, counts, low, reach, number):
        """From the tap to increments of the slots in three cycles: distance, upper and lower bits of the bin's index.

        Returns the low end and the reach of each type as the first pass widens them.
        """
        lanes = Lanes(m, self.observe, self.busy)
        type_ = self.observe.type
        active = wire(m, 1, pick([n != self.passes + 1 for n in number], type_))
        first = wire(m, 1, pick([n == 0 for n in number], type_), "in_first_pass")
        beat = {name: Mux(active | (name == "missed"), bits, 0) for name, bits in lanes.numbers.items()}
        beat |= self._type_and_end()
        widened = self._widen(m, lanes, first, low, reach)
        distances, below, inside = self._distances(m, lanes, active, first, low)
        beat["below"] = named(m, count_ones(below), "number_below")
        indices = [Cat()] * self.lanes
        bits = list(reversed(range(self.bins.bit_length())))
        half = len(bits) // 2
        for stage, part in (("s1", bits[:half]), ("s2", bits[half:])):
            distances, inside, indices = _delayed_lanes(m, stage, distance=distances, inside=inside, index=indices)
            beat = delayed(m, beat, stage)
            width = wire(m, self._width_bits, pick(reach, beat["type"]), f"width_{stage}")
            divided = [_divide(m, distance, width, part, f"{i}_{stage}") for i, distance in enumerate(distances)]
            distances = [rest for rest, _ in divided]
            indices = [Cat(*found, index) for (_, found), index in zip(divided, indices)]
        beat |= self._in_bins(m, distances, inside, indices)
        self._add(m, counts, delayed(m, beat, "sorted"))
        return widened

    def _widen(self, m, lanes, first, low, reach):
        """In the first pass the range takes in the smallest and the largest magnitude: the low end and the reach of each type
        after that."""
        of_lanes = list(zip(lanes.magnitudes, lanes.counted))
        # all ones and zero if no lane counts
        smallest = [magnitude | ~counted.replicate(MAGNITUDE_BITS) for magnitude, counted in of_lanes]
        largest = [magnitude & counted.replicate(MAGNITUDE_BITS) for magnitude, counted in of_lanes]
        found = {
            "smallest": extreme(m, smallest, "smallest", lambda a, b: a < b),
            "largest": extreme(m, largest, "largest", lambda a, b: a > b),
            "first": first & Cat(lanes.counted).any(),
            "type": self.observe.type,
        }
        found = delayed(m, found, "found")
        smaller = wire(m, 1, found["smallest"] < pick(low, found["type"]))
        larger = wire(m, 1, found["largest"] > pick(reach, found["type"]))
        widened_low = self._starting_as(m, low, "widened_low")
        widened_reach = self._starting_as(m, reach, "widened_reach")
        for t in range(self.types):
            with m.If(found["first"] & is_number(found["type"], t)):
                with m.If(smaller):
                    m.d.comb += widened_low[t].eq(found["smallest"])
                with m.If(larger):
                    m.d.comb += widened_reach[t].eq(found["largest"])
        return widened_low, widened_reach

    def _distances(self, m, lanes, active, first, low):
        """Of each lane the distance from the low end, and whether the value counts below the low end or above."""
        beat_low = wire(m, MAGNITUDE_BITS, pick(low, self.observe.type))
        distances, below, inside = [], [], []
        for i, (magnitude, counted) in enumerate(zip(lanes.magnitudes, lanes.counted)):
            distance = wire(m, MAGNITUDE_BITS + 1, magnitude - beat_low, f"distance{i}")
            counts = wire(m, 1, counted & active & ~first, f"counts{i}")
            distances.append(distance[:-1])
            below.append(wire(m, 1, counts & distance[-1], f"below{i}"))
            inside.append(wire(m, 1, counts & ~distance[-1], f"inside{i}"))
        return distances, below, inside

    def _in_bins(self, m, rests, inside, indices):
        """How many values are above the last bin and in each bin, by name of the slot."""
        slots = {"above": [], **{f"bin{b}": [] for b in range(self.bins)}}
        for i, (rest, counts, bits) in enumerate(zip(rests, inside, indices)):
            index, within = Signal(len(bits), name=f"bin_of_lane{i}"), Signal(name=f"within{i}")
            # The last bin is closed. What is twice as far as the index can tell has an index of ones.
            closing = wire(m, 1, (index == self.bins) & ~rest.any(), f"at_upper_end{i}")
            m.d.comb += [index.eq(bits), within.eq(counts & ((index < self.bins) | closing))]
            slots["above"].append(counts & ~within)
            for b in range(self.bins):
                here = (index == b) | closing if b == self.bins - 1 else index == b
                slots[f"bin{b}"].append(counts & here)
        return {name: named(m, count_ones(bits), f"number_in_{name}") for name, bits in slots.items()}

    def _work(self, m, counts, low, reach, number, drift, widened_low, widened_reach):
        """Look for the half-bin, move the low end there, and divide the width by the number of bins."""
        type_, tick, value = counts.job_type, counts.tick, counts.value
        own_low = Signal(MAGNITUDE_BITS)
        own_reach = Signal(MAGNITUDE_BITS)
        own_pass = Signal.like(number[0])
        m.d.comb += [own_low.eq(pick(low, type_)), own_reach.eq(pick(reach, type_)), own_pass.eq(pick(number, type_))]
        first = wire(m, 1, own_pass == 0, "is_first_pass")
        last = wire(m, 1, own_pass == self.passes, "is_last_pass")
        first_bin = 3

        # One less than half of all, less what lies below: negative as soon as half of all are reached. |rest| < 2**cnt_width.
        missing = Signal(signed(self.cnt_width + 1))
        rest = Signal(signed(self.cnt_width + 1))
        found = Signal()
        drifted = Signal()
        empty = Signal()
        m.d.comb += rest.eq(missing - value)
        reached = wire(m, 1, rest < 0)
        half_of_all = half_less_one(m, value)
        looking = wire(m, 1, ~found & (tick >= 2) & (tick < first_bin + self.bins))
        goes_to_middle = wire(m, 1, (tick == first_bin + self.bins) & last)
        moves = Signal()
        addend = Signal(self._width_bits)
        m.d.comb += addend.eq(own_reach)
        with m.If(tick == 1):
            m.d.sync += [missing.eq(half_of_all), empty.eq(~value.any()), found.eq(0), drifted.eq(0)]
        with m.Elif(looking):
            m.d.sync += [missing.eq(rest), found.eq(reached)]
            with m.If(tick == 2):
                m.d.sync += drifted.eq(reached)
            with m.Elif(tick == first_bin + self.bins - 1):
                m.d.sync += drifted.eq(~reached)
            with m.Else():
                m.d.comb += moves.eq(~reached)
        with m.If(goes_to_middle):
            m.d.comb += [moves.eq(1), addend.eq(own_reach[1:])]
        # At most the low end of the last bin, which is not above the largest number.
        moved = wire(m, MAGNITUDE_BITS, own_low + addend)

        quotient = self._divide_by_bins(m, tick, Mux(first, own_reach - own_low, own_reach))
        moves_low = wire(m, 1, counts.in_job & moves & ~first & ~empty)
        finals = wire(m, 1, counts.finished & ~empty, "pass_ends")
        ends_last = wire(m, 1, finals & last, "last_pass_ends")
        octave = wire(m, 9, own_low[23:] + own_low[22])
        bias = self._clamped_bias(m, octave, "bias_of_octave")
        next_low = self._starting_as(m, widened_low, "next_low")
        next_reach = self._starting_as(m, widened_reach, "next_reach")
        for t in range(self.types):
            m.d.sync += [low[t].eq(next_low[t]), reach[t].eq(next_reach[t])]
            with m.If(is_number(type_, t)):
                with m.If(moves_low):
                    m.d.comb += next_low[t].eq(moved)
                with m.If(finals):
                    m.d.sync += [number[t].eq(own_pass + 1), drift[t].eq(drifted & ~first)]
                    m.d.comb += next_reach[t].eq(Cat(quotient[0] | ~quotient.any(), quotient[1:]))
                with m.If(ends_last):
                    m.d.sync += [self.bias[t].eq(bias), self.settled[t].eq(1)]
                    if self.continuous:
                        m.d.sync += number[t].eq(0)
                        m.d.comb += [next_reach[t].eq(0), next_low[t].eq(2**MAGNITUDE_BITS - 1)]

    def _divide_by_bins(self, m, tick, number):
        """``ceil(number / bins)``, or 0 for 0: the powers of two are cut off, the rest of `bins` is divided by bit by bit."""
        odd = self.bins >> self._twos
        bits = MAGNITUDE_BITS - self._twos
        shifted = Signal(MAGNITUDE_BITS)
        remainder = Signal(range(odd))
        trial = Signal(range(2 * odd))
        fits, rest = division_step(m, trial, shifted[bits - 1], remainder, odd)
        m.d.sync += [shifted.eq(Cat(fits, shifted[: bits - 1])), remainder.eq(rest)]
        with m.If(tick == 0):
            m.d.sync += shifted.eq(number)
        with m.Elif(tick == 1):
            rounded_up = shifted[self._twos :] + Mux(shifted[: self._twos].any(), odd, odd - 1)
            m.d.sync += [shifted.eq(rounded_up), remainder.eq(0)]
        with m.Elif(tick >= bits + 2):
            m.d.sync += shifted.eq(shifted)
        return shifted[:bits]


def _delayed_lanes(m, name, **lists):
    """Lists with a signal for each lane, one cycle later; a signal without bits stays as it is."""
    flat = {f"{key}{i}": value for key, values in lists.items() for i, value in enumerate(values)}
    later = delayed(m, {key: value for key, value in flat.items() if len(value)}, name)
    return [[later.get(f"{key}{i}", value) for i, value in enumerate(values)] for key, values in lists.items()]


def _divide(m, distance, width, steps, name):
    """Take ``width << k`` from `distance` for every k of the falling `steps` where it fits: what is left, and where it did."""
    bits = []
    for k in steps:
        difference = wire(m, len(distance) - k + 1, distance[k:] - width, f"difference{name}_{k}")
        fits = wire(m, 1, ~difference[-1], f"fits{name}_{k}")
        rest = Cat(distance[:k], Mux(fits, difference[:-1], distance[k:]))
        distance = wire(m, len(distance), rest, f"rest{name}_{k}")
        bits.insert(0, fits)
    return distance, bits
