"""The median, by counting in bins that narrow pass after pass."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.parts.arith import pick
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, Lanes, count, is_type, tree
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed, half_less_one


class MedianEstimator(CountingEstimator):
    """The paper's median (Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2): a pass for the smallest and largest magnitude,
    then `passes` that count values in `bins` equal bins of the magnitudes' words and go on with the one that holds the median.

    What a pass finds and how it goes on is said in `golden.statistics.MedianEstimator`, which is bit-exact.

    At the end of a pass one bin per cycle is looked at, and meanwhile the width is divided, one bit per cycle: by default the
    next pass or the bias is there 37 cycles after the end (`latency`), unless other types' ends are being dealt with. Where
    values go is not known before, so beats of the same type are missed until then; other types are not concerned.

    There are no edges: the distance from the low end is divided by the width, which takes one subtraction for each of five bits
    instead of twenty comparisons, and stores two words per type instead of twenty-one.

    Parameters
    ----------
    types, lanes : int
        1 to 16 each.
    bins : int
        2 to 32.
    passes : int
        Counting passes, 1 to 6.
    cnt_width : int
        Bits of a counter, 1 to 64; counters saturate.
    continuous : bool
        Start over after the last pass instead of standing still.
    initial_bias, bias_min, bias_max : int
        The bias before anything is known, and the range of any; 0 to 63.
    """

    def __init__(
        self,
        types=4,
        lanes=4,
        *,
        bins=20,
        passes=3,
        cnt_width=40,
        continuous=False,
        initial_bias=15,
        bias_min=10,
        bias_max=40,
    ):
        check_int("bins", bins, 2, 32)
        check_int("passes", passes, 1, 6)
        self._bins, self._passes, self._continuous = bins, passes, continuous
        slots = readout.median_slots(bins)
        self._twos = (bins & -bins).bit_length() - 1
        # load, round up, one quotient bit per cycle, store; and total, below, bins, the median's addition
        work_cycles = max(MAGNITUDE_BITS - self._twos + 3, bins + 5)
        biases = initial_bias, bias_min, bias_max
        super().__init__(slots, ("low", "reach", "pass", "drift"), 3, work_cycles, cnt_width, types, lanes, *biases)
        # ceil((largest - smallest) / bins) of FP32's normal numbers
        self._width_bits = (-(-(0x7F7FFFFF - 0x00800000) // bins)).bit_length()

    def elaborate(self, platform):
        m = Module()
        tallies = self._tallies(m)
        low = self._registers(m, MAGNITUDE_BITS, "low", 2**MAGNITUDE_BITS - 1)
        reach = self._registers(m, MAGNITUDE_BITS, "reach")
        number = self._registers(m, range(self._passes + 2), "pass")
        drift = self._registers(m, 1, "drift")
        self._sort(m, tallies, low, reach, number)
        self._work(m, tallies, low, reach, number, drift)
        self._reads(m, tallies, (low, reach, number, drift))
        return m

    def _sort(self, m, tallies, low, reach, number):
        """From the tap to increments of the slots in three cycles: distance, upper and lower bits of the bin's index."""
        lanes = Lanes(m, self.observe, self.busy)
        type_ = self.observe.type
        active = pick([n != self._passes + 1 for n in number], type_)
        first = pick([n == 0 for n in number], type_)
        along = {name: Mux(active | (name == "missed"), bits, 0) for name, bits in lanes.numbers.items()}
        along |= {"type": type_, "end": self.end.valid & ~pick(self.busy, self.end.type), "end_type": self.end.type}
        smallest, largest = _extremes(m, lanes)
        found = {"smallest": smallest, "largest": largest, "first": first & Cat(lanes.counted).any(), "type": type_}
        self._widen(m, delayed(m, found, "found"), low, reach, number)

        beat_low = Signal(MAGNITUDE_BITS)
        m.d.comb += beat_low.eq(pick(low, type_))
        distances, below, inside = [], [], []
        for i, (magnitude, counted) in enumerate(zip(lanes.magnitudes, lanes.counted)):
            distance = Signal(MAGNITUDE_BITS + 1, name=f"distance{i}")
            m.d.comb += distance.eq(magnitude - beat_low)
            counts = counted & active & ~first
            distances.append(distance[:-1])
            below.append(counts & distance[-1])
            inside.append(counts & ~distance[-1])
        along |= {"below": count(below)}
        steps = list(reversed(range(self._bins.bit_length())))
        indices = [() for _ in distances]
        for number_, part in enumerate((steps[: len(steps) // 2], steps[len(steps) // 2 :]), 1):
            values = {f"distance{i}": value for i, value in enumerate(distances)}
            values |= {f"inside{i}": value for i, value in enumerate(inside)}
            values |= {f"index{i}": Cat(index) for i, index in enumerate(indices) if index}
            values = delayed(m, values, f"s{number_}")
            along = delayed(m, along, f"s{number_}")
            width = Signal(self._width_bits, name=f"width_s{number_}")
            m.d.comb += width.eq(pick(reach, along["type"]))
            inside = [values[f"inside{i}"] for i in range(self.lanes)]
            for i in range(self.lanes):
                distances[i], bits = _divide(m, values[f"distance{i}"], width, part, f"{i}_s{number_}")
                indices[i] = [*bits, *values.get(f"index{i}", ())]

        in_bin = [[] for _ in range(self._bins)]
        above = []
        for i, (rest, bits) in enumerate(zip(distances, indices)):
            index, within = Signal(len(bits), name=f"bin_of_lane{i}"), Signal(name=f"within{i}")
            # The last bin is closed. What is twice as far as the index can tell has an index of ones.
            closing = (index == self._bins) & ~rest.any()
            m.d.comb += [index.eq(Cat(bits)), within.eq(inside[i] & ((index < self._bins) | closing))]
            above.append(inside[i] & ~within)
            for b in range(self._bins):
                here = (index == b) | closing if b == self._bins - 1 else index == b
                in_bin[b].append(inside[i] & here)
        along |= {"above": count(above)} | {f"bin{b}": count(lanes_) for b, lanes_ in enumerate(in_bin)}
        along = delayed(m, along, "sorted")
        m.d.comb += [tallies.type.eq(along["type"]), tallies.end.eq(along["end"]), tallies.end_type.eq(along["end_type"])]
        m.d.comb += [tallies.add[s].eq(along[name]) for s, name in enumerate(self._slots)]

    def _widen(self, m, found, low, reach, number):
        """In the first pass the range takes in what was found."""
        smaller = found["smallest"] < pick(low, found["type"])
        larger = found["largest"] > pick(reach, found["type"])
        for t in range(self.types):
            with m.If(found["first"] & is_type(found["type"], t)):
                with m.If(smaller):
                    m.d.sync += low[t].eq(found["smallest"])
                with m.If(larger):
                    m.d.sync += reach[t].eq(found["largest"])

    def _work(self, m, tallies, low, reach, number, drift):
        """Look for the half-bin, move the low end there, and divide the width by the number of bins."""
        type_, tick, value = tallies.work_type, tallies.tick, tallies.value
        own_low, own_reach, own_pass = Signal(MAGNITUDE_BITS), Signal(MAGNITUDE_BITS), Signal.like(number[0])
        m.d.comb += [own_low.eq(pick(low, type_)), own_reach.eq(pick(reach, type_)), own_pass.eq(pick(number, type_))]
        first, last = own_pass == 0, own_pass == self._passes
        first_bin = 3

        # One less than half of all, less what lies below: negative as soon as half of all are reached. Below |value| < 2**cnt_width.
        missing, rest = Signal(signed(self._cnt_width + 1)), Signal(signed(self._cnt_width + 1))
        found, drifted, empty = Signal(), Signal(), Signal()
        m.d.comb += rest.eq(missing - value)
        reached = rest < 0
        moves, addend = Signal(), Signal(self._width_bits)
        m.d.comb += addend.eq(own_reach)
        with m.If(tick == 1):
            m.d.sync += [missing.eq(half_less_one(value)), empty.eq(~value.any()), found.eq(0), drifted.eq(0)]
        with m.Elif(~found & (tick >= 2) & (tick < first_bin + self._bins)):
            m.d.sync += [missing.eq(rest), found.eq(reached)]
            with m.If(tick == 2):
                m.d.sync += drifted.eq(reached)
            with m.Elif(tick == first_bin + self._bins - 1):
                m.d.sync += drifted.eq(~reached)
            with m.Else():
                m.d.comb += moves.eq(~reached)
        with m.If((tick == first_bin + self._bins) & last):
            m.d.comb += [moves.eq(1), addend.eq(own_reach[1:])]
        moved = Signal(MAGNITUDE_BITS)
        # At most the low end of the last bin, which is not above the largest number.
        m.d.comb += moved.eq(own_low + addend)

        quotient = self._divide_by_bins(m, tick, Mux(first, own_reach - own_low, own_reach))
        finals = tallies.finished & ~empty
        for t in range(self.types):
            with m.If(is_type(type_, t)):
                with m.If(tallies.at_work & moves & ~first & ~empty):
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
                    if self._continuous:
                        m.d.sync += [number[t].eq(0), reach[t].eq(0), low[t].eq(2**MAGNITUDE_BITS - 1)]

    def _divide_by_bins(self, m, tick, number):
        """``ceil(number / bins)``, or 0 for 0: the powers of two are cut off, what is left of `bins` is divided by bit by bit."""
        odd = self._bins >> self._twos
        bits = MAGNITUDE_BITS - self._twos
        shifted, remainder = Signal(MAGNITUDE_BITS), Signal(range(odd))
        trial = Signal(range(2 * odd))
        fits = Signal()
        m.d.comb += [trial.eq(Cat(shifted[bits - 1], remainder)), fits.eq(trial >= odd)]
        m.d.sync += [shifted.eq(Cat(fits, shifted[: bits - 1])), remainder.eq(Mux(fits, trial - odd, trial))]
        with m.If(tick == 0):
            m.d.sync += shifted.eq(number)
        with m.Elif(tick == 1):
            rounded_up = shifted[self._twos :] + Mux(shifted[: self._twos].any(), odd, odd - 1)
            m.d.sync += [shifted.eq(rounded_up), remainder.eq(0)]
        with m.Elif(tick >= bits + 2):
            m.d.sync += shifted.eq(shifted)
        return shifted[:bits]


def _extremes(m, lanes):
    """Smallest and largest magnitude of the lanes that count; all ones and zero if none does."""
    smallest = [magnitude | ~counted.replicate(MAGNITUDE_BITS) for magnitude, counted in zip(lanes.magnitudes, lanes.counted)]
    largest = [magnitude & counted.replicate(MAGNITUDE_BITS) for magnitude, counted in zip(lanes.magnitudes, lanes.counted)]
    return tree(m, smallest, "smallest", lambda a, b: a < b), tree(m, largest, "largest", lambda a, b: a > b)


def _divide(m, distance, width, steps, name):
    """Take ``width << k`` from `distance` for every k of the falling `steps` where it fits: what is left, and where it did."""
    bits = []
    for k in steps:
        difference = Signal(len(distance) - k + 1, name=f"difference{name}_{k}")
        rest = Signal(len(distance), name=f"rest{name}_{k}")
        fits = Signal(name=f"fits{name}_{k}")
        m.d.comb += [
            difference.eq(distance[k:] - width),
            fits.eq(~difference[-1]),
            rest.eq(Cat(distance[:k], Mux(fits, difference[:-1], distance[k:]))),
        ]
        bits.insert(0, fits)
        distance = rest
    return distance, bits
