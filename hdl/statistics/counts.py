"""Counters of a type's values by slot, and the estimators that work on their sums."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.parts.arith import pick
from narrowfloat.hdl.statistics.base import Estimator, is_type


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
                with m.If(is_type(next_visit.type, types - 1)):
                    m.d.sync += [next_visit.type.eq(0), unknown.eq(0)]

        # the registers
        drained = Signal(low_bits + 1)
        growth = Mux(self.type == wanted.type, Array(self.add)[wanted.slot], 0)
        m.d.sync += [drained.eq(pick([Array(group)[wanted.slot] for group in lows], wanted.type) + growth)]
        for t in range(types):
            grows = is_type(self.type, t)
            for s in range(slots):
                with m.If(visit & (wanted.slot == s) & is_type(wanted.type, t)):
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
            with m.If(self.finished & is_type(self.work_type, t)):
                m.d.sync += pending[t].eq(0)
            with m.If(self.end & is_type(self.end_type, t)):
                m.d.sync += pending[t].eq(1)
        return m


def half_less_one(total):
    """``ceil(total / 2) - 1`` of a `total` that is not 0."""
    return total[1:] - ~total[0] if len(total) > 1 else Const(0, 1)


class CountingEstimator(Estimator):
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
            with m.If(tallies.finished & is_type(tallies.work_type, t)):
                m.d.sync += self.busy[t].eq(0)
            with m.Elif(self.end.valid & is_type(self.end.type, t)):
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


def delayed(m, signals, name):
    """All of `signals`, by name, one cycle later."""
    later = {key: Signal.like(value, name=f"{key}_{name}") for key, value in signals.items()}
    m.d.sync += [later[key].eq(value) for key, value in signals.items()]
    return later
