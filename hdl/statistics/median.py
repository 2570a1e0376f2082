"""The median, by counting in bins that narrow pass after pass."""

from amaranth.hdl import Cat, Mux, Signal, signed
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.block import Integer, Switch
from narrowfloat.hdl.parts.logic import count_ones, division_step, extreme, is_number, pick, wire
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, Lanes
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed, half_less_one


class MedianEstimator(CountingEstimator):
    """The median of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: a pass for the smallest and largest magnitude, then
    `passes` that count values in `bins` equal bins of the magnitudes' words and go on with the bin that holds the median.

    Equation: the bias is ``143 - e`` for the octave e whose reference median is nearest to what the last pass finds. What a
    pass finds and how it goes on is said in `golden.statistics.MedianEstimator`, which is bit-exact.

    There are no edges: the distance from the low end is divided by the width, which takes one subtraction for each of five bits
    instead of twenty comparisons, and stores two words per type instead of twenty-one.

    Latency: at the end of a pass one bin per cycle is looked at, and meanwhile the width is divided, one bit per cycle; by
    default the next pass or the bias is there 37 cycles after the end, unless ends of other types are being dealt with. Where
    values go is not known before, so beats of the same type are missed until then. Throughput: a beat per clock.

    Members
    -------
    observe, end, bias, settled, busy, working, read
        As described in `hdl.statistics`.
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
        self._sort(m, counts, low, reach, number)
        self._work(m, counts, low, reach, number, drift)
        self._reads(m, counts, (low, reach, number, drift))

    def _sort(self, m, counts, low, reach, number):
        """From the tap to increments of the slots in three cycles: distance, upper and lower bits of the bin's index."""
        lanes = Lanes(m, self.observe, self.busy)
        type_ = self.observe.type
        active = pick([n != self.passes + 1 for n in number], type_)
        first = pick([n == 0 for n in number], type_)
        beat = {name: Mux(active | (name == "missed"), bits, 0) for name, bits in lanes.numbers.items()}
        beat |= self._type_and_end()
        self._widen(m, lanes, first, low, reach)
        distances, below, inside = self._distances(m, lanes, active, first, low)
        beat["below"] = count_ones(below)
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

    def _widen(self, m, lanes, first, low, reach):
        """In the first pass the range takes in the smallest and the largest magnitude."""
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
        smaller = found["smallest"] < pick(low, found["type"])
        larger = found["largest"] > pick(reach, found["type"])
        for t in range(self.types):
            with m.If(found["first"] & is_number(found["type"], t)):
                with m.If(smaller):
                    m.d.sync += low[t].eq(found["smallest"])
                with m.If(larger):
                    m.d.sync += reach[t].eq(found["largest"])

    def _distances(self, m, lanes, active, first, low):
        """Of each lane the distance from the low end, and whether the value counts below the low end or above."""
        beat_low = wire(m, MAGNITUDE_BITS, pick(low, self.observe.type))
        distances, below, inside = [], [], []
        for i, (magnitude, counted) in enumerate(zip(lanes.magnitudes, lanes.counted)):
            distance = wire(m, MAGNITUDE_BITS + 1, magnitude - beat_low, f"distance{i}")
            counts = counted & active & ~first
            distances.append(distance[:-1])
            below.append(counts & distance[-1])
            inside.append(counts & ~distance[-1])
        return distances, below, inside

    def _in_bins(self, m, rests, inside, indices):
        """How many values are above the last bin and in each bin, by name of the slot."""
        slots = {"above": [], **{f"bin{b}": [] for b in range(self.bins)}}
        for i, (rest, counts, bits) in enumerate(zip(rests, inside, indices)):
            index, within = Signal(len(bits), name=f"bin_of_lane{i}"), Signal(name=f"within{i}")
            # The last bin is closed. What is twice as far as the index can tell has an index of ones.
            closing = (index == self.bins) & ~rest.any()
            m.d.comb += [index.eq(bits), within.eq(counts & ((index < self.bins) | closing))]
            slots["above"].append(counts & ~within)
            for b in range(self.bins):
                here = (index == b) | closing if b == self.bins - 1 else index == b
                slots[f"bin{b}"].append(counts & here)
        return {name: count_ones(bits) for name, bits in slots.items()}

    def _work(self, m, counts, low, reach, number, drift):
        """Look for the half-bin, move the low end there, and divide the width by the number of bins."""
        type_, tick, value = counts.job_type, counts.tick, counts.value
        own_low, own_reach, own_pass = Signal(MAGNITUDE_BITS), Signal(MAGNITUDE_BITS), Signal.like(number[0])
        m.d.comb += [own_low.eq(pick(low, type_)), own_reach.eq(pick(reach, type_)), own_pass.eq(pick(number, type_))]
        first, last = own_pass == 0, own_pass == self.passes
        first_bin = 3

        # One less than half of all, less what lies below: negative as soon as half of all are reached. |rest| < 2**cnt_width.
        missing, rest = Signal(signed(self.cnt_width + 1)), Signal(signed(self.cnt_width + 1))
        found, drifted, empty = Signal(), Signal(), Signal()
        m.d.comb += rest.eq(missing - value)
        reached = rest < 0
        moves, addend = Signal(), Signal(self._width_bits)
        m.d.comb += addend.eq(own_reach)
        with m.If(tick == 1):
            m.d.sync += [missing.eq(half_less_one(value)), empty.eq(~value.any()), found.eq(0), drifted.eq(0)]
        with m.Elif(~found & (tick >= 2) & (tick < first_bin + self.bins)):
            m.d.sync += [missing.eq(rest), found.eq(reached)]
            with m.If(tick == 2):
                m.d.sync += drifted.eq(reached)
            with m.Elif(tick == first_bin + self.bins - 1):
                m.d.sync += drifted.eq(~reached)
            with m.Else():
                m.d.comb += moves.eq(~reached)
        with m.If((tick == first_bin + self.bins) & last):
            m.d.comb += [moves.eq(1), addend.eq(own_reach[1:])]
        # At most the low end of the last bin, which is not above the largest number.
        moved = wire(m, MAGNITUDE_BITS, own_low + addend)

        quotient = self._divide_by_bins(m, tick, Mux(first, own_reach - own_low, own_reach))
        finals = counts.finished & ~empty
        for t in range(self.types):
            with m.If(is_number(type_, t)):
                with m.If(counts.in_job & moves & ~first & ~empty):
                    m.d.sync += low[t].eq(moved)
                with m.If(finals):
                    m.d.sync += [
                        number[t].eq(own_pass + 1),
                        drift[t].eq(drifted & ~first),
                        reach[t].eq(Cat(quotient[0] | ~quotient.any(), quotient[1:])),
                    ]
                with m.If(finals & last):
                    m.d.sync += [
                        self.bias[t].eq(self._clamped_bias(own_low[23:] + own_low[22])),
                        self.settled[t].eq(1),
                    ]
                    if self.continuous:
                        m.d.sync += [number[t].eq(0), reach[t].eq(0), low[t].eq(2**MAGNITUDE_BITS - 1)]

    def _divide_by_bins(self, m, tick, number):
        """``ceil(number / bins)``, or 0 for 0: the powers of two are cut off, the rest of `bins` is divided by bit by bit."""
        odd = self.bins >> self._twos
        bits = MAGNITUDE_BITS - self._twos
        shifted, remainder = Signal(MAGNITUDE_BITS), Signal(range(odd))
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
