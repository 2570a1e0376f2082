"""Estimators of the bias that suits a tensor type, from statistics of the values that stream by.

All have the same members. They only listen, on a tap that has no ready and takes a beat in every cycle.

observe : In({valid, type, keep, words})
    A beat: the tensor type, the lanes that hold data, and the FP32 words.
end : In({valid, type})
    The tensor or epoch of that type ends; a beat in the same cycle still belongs to it.
bias : Out(ArrayLayout(6, types))
settled : Out(types)
    The bias of that type is one from data.
busy : Out(types)
    The end of that type is still to be dealt with: its beats are left out, and counted as missed, and its ends ignored.
working : Out(1)
    Results of what has ended are not there yet.
read : In({enable, type, index, data, done})
    The raw statistic `index`, one of those in `golden.readout`: `enable` is held until `done`, when `data` is valid.

Zeros and subnormals count for nothing but ``zeros``, infinities and NaN for nothing but ``specials``.
"""

from functools import reduce
from math import log2
from operator import add

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden import readout
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BIAS_BITS, BIAS_MAX, CATALOG, FloatFormat
from narrowfloat.hdl.arith import pick

MAX_LANES = 16
MAX_TYPES = 16
LOGS = ("mitchell", "table")
RUNS = (2, 4, 8, 16, 32, 64)
MAGNITUDE_BITS = 31
_LOG_BITS = 16
# Bias 143 - e has 2**(e - 127) as its reference median.
_REFERENCE = 143


class _Estimator(wiring.Component):
    def __init__(self, types, lanes, statistics, initial_bias, bias_min, bias_max, members=()):
        check_int("types", types, 1, MAX_TYPES)
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("bias_max", bias_max, 0, BIAS_MAX)
        check_int("bias_min", bias_min, 0, bias_max)
        check_int("initial_bias", initial_bias, bias_min, bias_max)
        self.types, self.lanes, self.statistics = types, lanes, statistics
        self._initial_bias, self._bias_min, self._bias_max = initial_bias, bias_min, bias_max
        type_bits = (types - 1).bit_length()
        words = data.ArrayLayout(32, lanes)
        super().__init__(
            {
                "observe": In(
                    wiring.Signature({"valid": Out(1), "type": Out(type_bits), "keep": Out(lanes), "words": Out(words)})
                ),
                "end": In(wiring.Signature({"valid": Out(1), "type": Out(type_bits)})),
                "bias": Out(data.ArrayLayout(BIAS_BITS, types), init=[initial_bias] * types),
                "settled": Out(types),
                "busy": Out(types),
                "working": Out(1),
                "read": In(
                    wiring.Signature(
                        {
                            "enable": Out(1),
                            "type": Out(type_bits),
                            "index": Out(range(len(statistics))),
                            "data": In(32),
                            "done": In(1),
                        }
                    )
                ),
                **dict(members),
            }
        )

    def _registers(self, m, shape, name, init=0):
        """One register per type."""
        return [Signal(shape, name=f"{name}{t}", init=init) for t in range(self.types)]

    def _clamped_bias(self, exponent, reference=_REFERENCE):
        """The bias ``reference - exponent`` for an unsigned `exponent`, kept in range."""
        low, high = max(reference - self._bias_max, 0), reference - self._bias_min
        inside = (Const(reference, 8) - exponent)[:BIAS_BITS]
        return Mux(exponent < low, self._bias_max, Mux(exponent > high, self._bias_min, inside))[:BIAS_BITS]


def _is(type_, number):
    return type_ == number if len(type_) else Const(1, 1)


def _count(bits):
    """How many of `bits` are set, by halves, which takes fewer adders than one after the other."""
    if len(bits) == 1:
        return bits[0]
    middle = len(bits) // 2
    return _count(bits[:middle]) + _count(bits[middle:])


class _Lanes:
    """What counts of a beat, lane by lane and in numbers; `missed` are those that come while the type is busy."""

    def __init__(self, m, observe, busy):
        offered = [observe.valid & keep for keep in observe.keep]
        late = Signal(name="late")
        m.d.comb += late.eq(pick(busy, observe.type))
        self.magnitudes = [word[:MAGNITUDE_BITS] for word in observe.words]
        exponents = [word[23:MAGNITUDE_BITS] for word in observe.words]
        zeros = [lane & ~late & ~exponent.any() for lane, exponent in zip(offered, exponents)]
        specials = [lane & ~late & exponent.all() for lane, exponent in zip(offered, exponents)]
        self.counted = [Signal(name=f"counted{i}") for i in range(len(offered))]
        for counted, lane, exponent in zip(self.counted, offered, exponents):
            m.d.comb += counted.eq(lane & ~late & exponent.any() & ~exponent.all())
        bits = range(len(offered) + 1)
        self.numbers = {}
        for name, lanes in (("total", self.counted), ("zeros", zeros), ("specials", specials)):
            self.numbers[name] = Signal(bits, name=f"number_of_{name}")
            m.d.comb += self.numbers[name].eq(_count(lanes))
        self.numbers["missed"] = Signal(bits, name="number_of_missed")
        m.d.comb += self.numbers["missed"].eq(Mux(late, _count(offered), 0))


class _Tallies(wiring.Component):
    """Saturating counters by type and slot, of which every one may grow by up to `lanes` in a cycle.

    Only the low end of each counter is in registers, just wide enough. One after the other they are visited: emptied into the
    counters' full width, which is in a memory, through a single adder. With 26 slots for 4 types of 4 lanes that leaves 12 bits
    of 40 in registers.

    At the end of a type, after up to a round through one type's slots, work on it begins: for `work_cycles` the cycle's number
    is in `tick`; in those from 1 on the sum of slot ``tick - 1`` is in `value`, and is cleared. The last slot is left out.
    Right after reset the memory's content is unknown: a first round sets it, and works and reads wait for that.

    Members
    -------
    type, add : In
        Increments, all of one type, zero where nothing happens.
    end, end_type : In
        Ends, with the last increments or later.
    at_work, work_type, tick, value, finished
        The work; `finished` is its last cycle.
    read_enable, read_type, read_slot, read_done
        A read; `value` is what was asked for when it is done.
    """

    def __init__(self, types, slots, lanes, width, work_cycles):
        self._types, self._slots, self._lanes, self._width = types, slots, lanes, width
        self._work_cycles = max(work_cycles, slots + 1)
        type_bits = (types - 1).bit_length()
        super().__init__(
            {
                "type": In(type_bits),
                "add": In(data.ArrayLayout(range(lanes + 1), slots)),
                "end": In(1),
                "end_type": In(type_bits),
                "work_type": Out(type_bits),
                "tick": Out(range(self._work_cycles)),
                "at_work": Out(1),
                "finished": Out(1),
                "value": Out(width),
                "read_enable": In(1),
                "read_type": In(type_bits),
                "read_slot": In(range(slots)),
                "read_done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        types, slots = self._types, self._slots
        slot_bits = (slots - 1).bit_length()
        layout = data.StructLayout({"slot": slot_bits, "type": len(self.type)})

        # Between two visits of the round there is at most a read, and one cycle of waiting before each; between two groups a work.
        round_cycles = types * (4 * slots + self._work_cycles + 4)
        low_bits = (self._lanes * round_cycles).bit_length()
        lows = [[Signal(low_bits, name=f"low{t}_{s}") for s in range(slots)] for t in range(types)]

        next_visit, wanted, visited = Signal(layout), Signal(layout), Signal(layout)
        visit, fold = Signal(), Signal()  # read from the memory, and in the next cycle write back
        unknown = Signal(init=1)  # the memory is in its first round
        rested = Signal()  # a group was visited since the last work
        pending, starts = Signal(types), Signal()
        reads, was_read = Signal(), Signal()  # reads and the round take turns
        m.d.comb += [
            starts.eq(~self.at_work & pending.any() & rested & ~unknown),
            reads.eq(self.read_enable & ~self.at_work & ~was_read & ~unknown & ~self.read_done),
        ]
        with m.If(self.at_work):
            m.d.comb += [wanted.slot.eq(self.tick), wanted.type.eq(self.work_type), visit.eq(self.tick < slots - 1)]
        with m.Else():
            # what is just being written cannot be read yet
            m.d.comb += visit.eq(~starts & ~(fold & (wanted.as_value() == visited.as_value())))
            m.d.comb += wanted.eq(next_visit)
            with m.If(reads):
                m.d.comb += [wanted.slot.eq(self.read_slot), wanted.type.eq(self.read_type)]
        with m.If(visit & ~self.at_work):
            m.d.sync += was_read.eq(reads)
        with m.If(visit & ~self.at_work & ~reads):
            m.d.sync += next_visit.slot.eq(next_visit.slot + 1)
            with m.If(next_visit.slot == slots - 1):
                m.d.sync += [next_visit.slot.eq(0), next_visit.type.eq(next_visit.type + 1), rested.eq(1)]
                with m.If(_is(next_visit.type, types - 1)):
                    m.d.sync += [next_visit.type.eq(0), unknown.eq(0)]

        # the registers
        drained = Signal(low_bits + 1)
        growth = Mux(self.type == wanted.type, Array(self.add)[wanted.slot], 0)
        m.d.sync += [drained.eq(pick([Array(group)[wanted.slot] for group in lows], wanted.type) + growth)]
        for t in range(types):
            grows = _is(self.type, t)
            for s in range(slots):
                with m.If(visit & (wanted.slot == s) & _is(wanted.type, t)):
                    m.d.sync += lows[t][s].eq(0)
                with m.Elif(grows):
                    m.d.sync += lows[t][s].eq(lows[t][s] + self.add[s])

        # the memory
        m.submodules.memory = sums = memory.Memory(shape=self._width, depth=types << slot_bits, init=[])
        reader, writer = sums.read_port(), sums.write_port()
        total, was_unknown, clears = Signal(max(self._width, low_bits + 1) + 1), Signal(), Signal()
        m.d.comb += [
            reader.addr.eq(wanted),
            reader.en.eq(visit),
            total.eq(Mux(was_unknown, 0, reader.data) + drained),
            self.value.eq(Mux(total[self._width :].any(), 2**self._width - 1, total)),
            writer.addr.eq(visited),
            writer.en.eq(fold),
            writer.data.eq(Mux(clears, 0, self.value)),
        ]
        m.d.sync += [fold.eq(visit), was_unknown.eq(unknown), clears.eq(self.at_work), self.read_done.eq(visit & reads)]
        with m.If(visit):
            m.d.sync += visited.eq(wanted)

        # the works
        m.d.comb += self.finished.eq(self.at_work & (self.tick == self._work_cycles - 1))
        with m.If(self.at_work):
            m.d.sync += self.tick.eq(self.tick + 1)
        with m.If(self.finished):
            m.d.sync += [self.at_work.eq(0), self.tick.eq(0)]
        with m.If(starts):
            m.d.sync += [self.at_work.eq(1), rested.eq(0)]
            for t in reversed(range(types)):
                with m.If(pending[t]):
                    m.d.sync += self.work_type.eq(t)
        for t in range(types):
            with m.If(self.finished & _is(self.work_type, t)):
                m.d.sync += pending[t].eq(0)
            with m.If(self.end & _is(self.end_type, t)):
                m.d.sync += pending[t].eq(1)
        return m


def _half_less_one(total):
    """``ceil(total / 2) - 1`` of a `total` that is not 0."""
    return total[1:] - ~total[0] if len(total) > 1 else Const(0, 1)


class _CountingEstimator(_Estimator):
    """An estimator on tallies: first it sorts the values into slots, in `sorting_stages` cycles; at an end it works on sums."""

    def __init__(self, slots, others, sorting_stages, work_cycles, cnt_width, types, lanes, *biases, members=()):
        check_int("cnt_width", cnt_width, 1, 64)
        self._slots, self._others = slots, others
        self._work_cycles = max(work_cycles, len(slots) + 1)
        self._cnt_width = cnt_width
        # after the sorting a cycle each to remember the end, to begin and to store
        self.latency = sorting_stages + 2 + self._work_cycles
        super().__init__(types, lanes, (*readout.counts(*slots), *others), *biases, members=members)

    def _tallies(self, m):
        """Tallies with all that does not depend on the kind of estimator: ends and reads."""
        m.submodules.tallies = tallies = _Tallies(self.types, len(self._slots), self.lanes, self._cnt_width, self._work_cycles)
        for t in range(self.types):
            with m.If(tallies.finished & _is(tallies.work_type, t)):
                m.d.sync += self.busy[t].eq(0)
            with m.Elif(self.end.valid & _is(self.end.type, t)):
                m.d.sync += self.busy[t].eq(1)
        m.d.comb += self.working.eq(self.busy.any())
        return tallies

    def _reads(self, m, tallies, others):
        """Answer reads; `others`, one per type for each, are the statistics that are not counts."""
        count_words = 2 * len(self._slots)
        other, other_done, other_data = Signal(), Signal(), Signal(32)
        m.d.comb += [
            other.eq(self.read.index >= count_words),
            tallies.read_enable.eq(self.read.enable & ~other),
            tallies.read_type.eq(self.read.type),
            tallies.read_slot.eq(self.read.index[1:]),
            self.read.done.eq(tallies.read_done | other_done),
            self.read.data.eq(Mux(self.read.index[0], tallies.value[32:], tallies.value[:32])),
        ]
        with m.Switch(self.read.index):
            for index, per_type in enumerate(others, count_words):
                with m.Case(index):
                    m.d.comb += other_data.eq(pick(per_type, self.read.type))
        with m.If(other):
            m.d.comb += self.read.data.eq(other_data)
        m.d.sync += other_done.eq(self.read.enable & other & ~other_done)


def _delayed(m, signals, name):
    """All of `signals`, by name, one cycle later."""
    later = {key: Signal.like(value, name=f"{key}_{name}") for key, value in signals.items()}
    m.d.sync += [later[key].eq(value) for key, value in signals.items()]
    return later


class MedianEstimator(_CountingEstimator):
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
        lanes = _Lanes(m, self.observe, self.busy)
        type_ = self.observe.type
        active = pick([n != self._passes + 1 for n in number], type_)
        first = pick([n == 0 for n in number], type_)
        along = {name: Mux(active | (name == "missed"), bits, 0) for name, bits in lanes.numbers.items()}
        along |= {"type": type_, "end": self.end.valid & ~pick(self.busy, self.end.type), "end_type": self.end.type}
        smallest, largest = _extremes(m, lanes)
        found = {"smallest": smallest, "largest": largest, "first": first & Cat(lanes.counted).any(), "type": type_}
        self._widen(m, _delayed(m, found, "found"), low, reach, number)

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
        along |= {"below": _count(below)}
        steps = list(reversed(range(self._bins.bit_length())))
        indices = [() for _ in distances]
        for number_, part in enumerate((steps[: len(steps) // 2], steps[len(steps) // 2 :]), 1):
            values = {f"distance{i}": value for i, value in enumerate(distances)}
            values |= {f"inside{i}": value for i, value in enumerate(inside)}
            values |= {f"index{i}": Cat(index) for i, index in enumerate(indices) if index}
            values = _delayed(m, values, f"s{number_}")
            along = _delayed(m, along, f"s{number_}")
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
        along |= {"above": _count(above)} | {f"bin{b}": _count(lanes_) for b, lanes_ in enumerate(in_bin)}
        along = _delayed(m, along, "sorted")
        m.d.comb += [tallies.type.eq(along["type"]), tallies.end.eq(along["end"]), tallies.end_type.eq(along["end_type"])]
        m.d.comb += [tallies.add[s].eq(along[name]) for s, name in enumerate(self._slots)]

    def _widen(self, m, found, low, reach, number):
        """In the first pass the range takes in what was found."""
        smaller = found["smallest"] < pick(low, found["type"])
        larger = found["largest"] > pick(reach, found["type"])
        for t in range(self.types):
            with m.If(found["first"] & _is(found["type"], t)):
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
            m.d.sync += [missing.eq(_half_less_one(value)), empty.eq(~value.any()), found.eq(0), drifted.eq(0)]
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
            with m.If(_is(type_, t)):
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
    return _tree(m, smallest, "smallest", lambda a, b: a < b), _tree(m, largest, "largest", lambda a, b: a > b)


def _tree(m, values, name, better):
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    a, b = _tree(m, values[:middle], f"{name}_l", better), _tree(m, values[middle:], f"{name}_r", better)
    winner = Signal(MAGNITUDE_BITS, name=name)
    m.d.comb += winner.eq(Mux(better(a, b), a, b))
    return winner


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


class ExponentHistogram(_CountingEstimator):
    """A count for each exponent, one pass per tensor, and from it the octave of the median: see
    `golden.statistics.ExponentHistogram`, which is bit-exact.

    A beat of 16 lanes touches up to 16 bins, more than a memory has ports, so the low ends of the counters are in registers. That
    is affordable because there is a bin for each possible bias only; `first` = 1 and `last` = 254 build all of them.

    At the end of a tensor one bin per cycle is looked at: by default the bias is there 39 cycles after the end (`latency`),
    unless other types' ends are being dealt with. Until then beats of the same type are missed.

    Parameters
    ----------
    types, lanes, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    first, last : int
        1 to 254: the exponents with a bin of their own; what is beyond is counted in these two.
    """

    def __init__(self, types=4, lanes=4, *, first=103, last=133, cnt_width=40, initial_bias=15, bias_min=10, bias_max=40):
        check_int("last", last, 1, 254)
        check_int("first", first, 1, last)
        self._first, self._last = first, last
        slots = readout.histogram_slots(first, last)
        biases = initial_bias, bias_min, bias_max
        super().__init__(slots, ("median_exponent",), 1, 0, cnt_width, types, lanes, *biases)

    def elaborate(self, platform):
        m = Module()
        tallies = self._tallies(m)
        lanes = _Lanes(m, self.observe, self.busy)
        along = dict(lanes.numbers)
        exponents = [magnitude[23:] for magnitude in lanes.magnitudes]
        for e in range(self._first, self._last + 1):
            conditions = [exponent == e for exponent in exponents]
            if e == self._first:
                conditions = [exponent <= e for exponent in exponents]
            elif e == self._last:
                conditions = [exponent >= e for exponent in exponents]
            if self._first == self._last:
                conditions = [Const(1, 1)] * self.lanes
            along[f"exponent{e}"] = _count([counted & here for counted, here in zip(lanes.counted, conditions)])
        along |= {"type": self.observe.type, "end": self.end.valid & ~pick(self.busy, self.end.type), "end_type": self.end.type}
        along = _delayed(m, along, "sorted")
        m.d.comb += [tallies.type.eq(along["type"]), tallies.end.eq(along["end"]), tallies.end_type.eq(along["end_type"])]
        m.d.comb += [tallies.add[s].eq(along[name]) for s, name in enumerate(self._slots)]

        median = self._registers(m, 8, "median")
        self._work(m, tallies, median)
        self._reads(m, tallies, (median,))
        return m

    def _work(self, m, tallies, median):
        tick, value = tallies.tick, tallies.value
        bins = self._last - self._first + 1
        missing, rest = Signal(signed(self._cnt_width + 1)), Signal(signed(self._cnt_width + 1))
        found, empty, exponent = Signal(), Signal(), Signal(8)
        m.d.comb += rest.eq(missing - value)
        with m.If(tick == 1):
            m.d.sync += [missing.eq(_half_less_one(value)), empty.eq(~value.any()), found.eq(0), exponent.eq(self._first)]
        with m.Elif(~found & (tick >= 2) & (tick < 2 + bins)):
            m.d.sync += [missing.eq(rest), found.eq(rest < 0)]
            with m.If((rest >= 0) & (exponent != self._last)):
                m.d.sync += exponent.eq(exponent + 1)
        for t in range(self.types):
            with m.If(tallies.finished & ~empty & _is(tallies.work_type, t)):
                m.d.sync += [median[t].eq(exponent), self.bias[t].eq(self._clamped_bias(exponent)), self.settled[t].eq(1)]


class LogMoments(_CountingEstimator):
    """Mean and maximum of log2|x| for S2FP8, and the largest magnitude in a window of tensors for delayed scaling: see
    `golden.statistics.LogMoments`, which is bit-exact.

    At the end of a tensor the division for the mean gives a bit per cycle, and meanwhile the window is looked through: by
    default the results are there 24 cycles after the end (`latency`), unless other types' ends are being dealt with. Until
    then beats of the same type are missed.

    Parameters
    ----------
    types, lanes, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    log : str
        One of `LOGS`.
    history : int
        1 to 64: tensors in the window.
    fmt : golden.formats.FloatFormat
        The format that is to hold the largest magnitude.

    Members
    -------
    mean, max : Out(ArrayLayout(16, types))
        Those of the last finished tensor of each type, which `hdl.s2fp8.S2Parameters` takes. They change as `busy` falls.
    """

    def __init__(
        self,
        types=4,
        lanes=4,
        *,
        log="table",
        history=16,
        fmt=CATALOG["ab_e5m2"],
        cnt_width=40,
        initial_bias=15,
        bias_min=10,
        bias_max=40,
    ):
        check_choice("log", log, LOGS)
        check_int("history", history, 1, 64)
        if not isinstance(fmt, FloatFormat) or fmt.exp_bits == 8:
            raise ValueError(f"fmt must be a FloatFormat of at most 7 exponent bits, not {fmt!r}")
        self._log, self._history, self._fmt = log, history, fmt
        # total, 16 bits of the mean, store; and write, look through, store
        work_cycles = max(_LOG_BITS + 4, history + 5)
        slots, others = ("total", "zeros", "specials", "missed"), readout.LOG_MOMENTS[8:]
        biases, moments = (initial_bias, bias_min, bias_max), Out(data.ArrayLayout(_LOG_BITS, types))
        members = {"mean": moments, "max": moments}
        super().__init__(slots, others, 1, work_cycles, cnt_width, types, lanes, *biases, members=members)

    def elaborate(self, platform):
        m = Module()
        tallies = self._tallies(m)
        sum_bits = self._cnt_width + _LOG_BITS
        log_sum = self._registers(m, sum_bits, "log_sum")
        amax = self._registers(m, MAGNITUDE_BITS, "amax")
        results = {
            "mean": [self.mean[t] for t in range(self.types)],
            "max": [self.max[t] for t in range(self.types)],
            "amax_window": self._registers(m, MAGNITUDE_BITS, "amax_window"),
            "fit_bias": self._registers(m, BIAS_BITS, "fit_bias", self._initial_bias),
        }
        lanes = _Lanes(m, self.observe, self.busy)
        logs = [
            Mux(counted, self._logarithm(m, magnitude, i), 0)
            for i, (magnitude, counted) in enumerate(zip(lanes.magnitudes, lanes.counted))
        ]
        largest = _tree(
            m,
            [magnitude & counted.replicate(MAGNITUDE_BITS) for magnitude, counted in zip(lanes.magnitudes, lanes.counted)],
            "largest",
            lambda a, b: a > b,
        )
        along = dict(lanes.numbers) | {"type": self.observe.type, "largest": largest, "logs": reduce(add, logs)}
        along |= {"end": self.end.valid & ~pick(self.busy, self.end.type), "end_type": self.end.type}
        along = _delayed(m, along, "summed")
        m.d.comb += [tallies.type.eq(along["type"]), tallies.end.eq(along["end"]), tallies.end_type.eq(along["end_type"])]
        m.d.comb += [tallies.add[s].eq(along[name]) for s, name in enumerate(self._slots)]

        more = Signal(sum_bits + 1)
        m.d.comb += more.eq(pick(log_sum, along["type"]) + along["logs"])
        larger = along["largest"] > pick(amax, along["type"])
        for t in range(self.types):
            with m.If(_is(along["type"], t)):
                m.d.sync += log_sum[t].eq(Mux(more[-1], 2**sum_bits - 1, more))
                with m.If(larger):
                    m.d.sync += amax[t].eq(along["largest"])
            with m.If(tallies.finished & _is(tallies.work_type, t)):
                m.d.sync += [log_sum[t].eq(0), amax[t].eq(0)]
        self._work(m, tallies, log_sum, amax, results)
        halves = [part[:32] for part in log_sum], [part[32:] for part in log_sum]
        self._reads(m, tallies, (*halves, amax, *results.values()))
        return m

    def _logarithm(self, m, magnitude, name):
        """log2 + 127 with 8 fraction bits: the word itself, and a correction of at most 22 that the top fraction bits say."""
        logarithm = Signal(_LOG_BITS, name=f"logarithm_{name}")
        fraction = magnitude[15:23]
        corrections = [round(256 * log2(1 + i / 256)) - i for i in range(256)]
        correction = Array(Const(c, 5) for c in corrections)[fraction] if self._log == "table" else 0
        m.d.comb += logarithm.eq(magnitude[15:] + correction)
        return logarithm

    def _work(self, m, tallies, log_sum, amax, results):
        type_, tick, value = tallies.work_type, tallies.tick, tallies.value
        own_sum, own_amax = Signal.like(log_sum[0]), Signal(MAGNITUDE_BITS)
        m.d.comb += [own_sum.eq(pick(log_sum, type_)), own_amax.eq(pick(amax, type_))]
        empty, total = Signal(), Signal(self._cnt_width)

        # A saturated sum may be 2**16 times the total or more, but less than one of a total one larger: then all bits are ones.
        # |rest| < total + 2**16
        rest = Signal(max(self._cnt_width, _LOG_BITS) + 1)
        bits = Signal(_LOG_BITS)
        trial = Signal(len(rest) + 1)
        fits = Signal()
        m.d.comb += [trial.eq(Cat(bits[-1], rest)), fits.eq(trial >= total)]
        with m.If(tick == 1):
            m.d.sync += [total.eq(value), empty.eq(~value.any()), bits.eq(own_sum), rest.eq(own_sum[_LOG_BITS:])]
        with m.Elif(tick < 2 + _LOG_BITS):
            m.d.sync += [bits.eq(Cat(fits, bits[:-1])), rest.eq(Mux(fits, trial - total, trial))]

        window = self._window(m, tallies, own_amax, empty)
        # the least exponent at which the largest number is not below the window's
        fraction = self._fmt.max_finite % 2**self._fmt.man_bits << 23 - self._fmt.man_bits
        top = (self._fmt.max_finite >> self._fmt.man_bits) + 127
        fit = Signal(9)
        m.d.comb += fit.eq(window[23:] + (window[:23] > fraction if fraction else window[:23].any()))
        rounded = Signal(9)
        m.d.comb += rounded.eq(bits[8:] + bits[7])
        results_now = {
            "mean": bits,
            "max": self._logarithm(m, own_amax, "max"),
            "amax_window": window,
            "fit_bias": self._clamped_bias(fit, top),
        }
        for t in range(self.types):
            with m.If(tallies.finished & ~empty & _is(type_, t)):
                m.d.sync += [results[name][t].eq(result) for name, result in results_now.items()]
                m.d.sync += [self.bias[t].eq(self._clamped_bias(rounded)), self.settled[t].eq(1)]

    def _window(self, m, tallies, own_amax, empty):
        """Write the largest magnitude over the oldest one of its type, and find the largest of those that are there."""
        history, tick, type_ = self._history, tallies.tick, tallies.work_type
        place_bits = max((history - 1).bit_length(), 1)
        oldest = self._registers(m, place_bits, "oldest")
        filled = self._registers(m, 1, "filled")
        own_oldest, own_filled = Signal(place_bits), Signal()
        m.d.comb += [own_oldest.eq(pick(oldest, type_)), own_filled.eq(pick(filled, type_))]
        m.submodules.amaxes = amaxes = memory.Memory(shape=MAGNITUDE_BITS, depth=self.types << place_bits, init=[])
        reader, writer = amaxes.read_port(), amaxes.write_port()
        place = Signal(range(history + 3))
        window, is_there = Signal(MAGNITUDE_BITS), Signal()
        m.d.comb += [
            place.eq(tick - 3),
            writer.addr.eq(Cat(own_oldest[:place_bits], type_)),
            writer.data.eq(own_amax),
            writer.en.eq(tallies.at_work & (tick == 2) & ~empty),
            reader.addr.eq(Cat(place[:place_bits], type_)),
        ]
        m.d.sync += is_there.eq((tick >= 3) & (tick < 3 + history) & (own_filled | (place <= own_oldest)))
        with m.If(tick == 0):
            m.d.sync += window.eq(0)
        with m.Elif(is_there & (reader.data > window)):
            m.d.sync += window.eq(reader.data)
        for t in range(self.types):
            with m.If(tallies.finished & ~empty & _is(type_, t)):
                m.d.sync += oldest[t].eq(oldest[t] + 1)
                with m.If(own_oldest == history - 1):
                    m.d.sync += [oldest[t].eq(0), filled[t].eq(1)]
        return window


class MedianTracker(_Estimator):
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
        lowest, highest = _REFERENCE - self._bias_max, _REFERENCE - self._bias_min
        start = ((_REFERENCE - self._initial_bias << fraction) + (1 << fraction - 1)) % 2 ** (bits - 2)
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
            with m.If(moves & _is(type_, t)):
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
