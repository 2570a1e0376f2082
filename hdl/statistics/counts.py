"""Counts of values by type and slot, and the estimators that look for their bias in these counts."""

from amaranth.hdl import Array, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.block import Integer
from narrowfloat.hdl.parts.logic import Circuit, is_number, named, pick, wire
from narrowfloat.hdl.parts.ram import Ram
from narrowfloat.hdl.statistics.base import Estimator


class HistogramCounts(Circuit):
    """Saturating counters by type and slot, each of which may grow by up to `lanes` in a cycle.

    Only the low end of each counter is in registers, just wide enough. The counters are visited one after the other: each is
    emptied into its full width, which is in a memory, through a single adder. With 26 slots for 4 types of 4 lanes that leaves
    12 bits of 40 in registers.

    At the end of a type, after up to a round through the slots of one type, a job begins: for `job_cycles` the number of the
    cycle is in `tick`; from cycle 1 on the count of slot ``tick - 1`` is in `value`, and is cleared. The last slot is left out.
    Right after reset the content of the memory is unknown: a first round sets it, and jobs and reads wait for that.

    Members
    -------
    type, add : In
        Increments, all of one type, zero where nothing happens.
    end, end_type : In
        Ends, with the last increments or later.
    in_job, job_type, tick, value, finished
        The job; `finished` is its last cycle.
    read_enable, read_type, read_slot, read_done
        A read; `value` is what was asked for when it is done.
    """

    def __init__(self, types, slots, lanes, width, job_cycles):
        self._types, self._slots, self._lanes, self._width = types, slots, lanes, width
        self._job_cycles = max(job_cycles, slots + 1)
        type_bits = (types - 1).bit_length()
        super().__init__(
            {
                "type": In(type_bits),
                "add": In(data.ArrayLayout(range(lanes + 1), slots)),
                "end": In(1),
                "end_type": In(type_bits),
                "job_type": Out(type_bits),
                "tick": Out(range(self._job_cycles)),
                "in_job": Out(1),
                "finished": Out(1),
                "value": Out(width),
                "read_enable": In(1),
                "read_type": In(type_bits),
                "read_slot": In(range(slots)),
                "read_done": Out(1),
            }
        )

    def build(self, m):
        types, slots = self._types, self._slots
        slot_bits = (slots - 1).bit_length()
        layout = data.StructLayout({"slot": slot_bits, "type": len(self.type)})

        # The increments of a counter between two visits fit its register: a round visits each of `slots` counters of each of
        # `types` types once. A visit takes at most 4 cycles: a read, the visit itself, and before each a cycle of waiting for a
        # write of the same word. After the visits to a type at most one job runs, with at most 4 cycles to begin and to end.
        round_cycles = types * (4 * slots + self._job_cycles + 4)
        low_bits = (self._lanes * round_cycles).bit_length()
        lows = [[Signal(low_bits, name=f"low{t}_{s}") for s in range(slots)] for t in range(types)]

        next_visit = Signal(layout)
        wanted = Signal(layout)
        visited = Signal(layout)
        # read from the memory, and in the next cycle write back
        visit = Signal()
        fold = Signal()
        unknown = Signal(init=1)  # the memory is in its first round
        visited_since_job = Signal()  # a group was visited since the last job
        pending = Signal(types)
        starts = Signal()
        # reads and the round take turns
        reads = Signal()
        was_read = Signal()
        m.d.comb += [
            starts.eq(~self.in_job & pending.any() & visited_since_job & ~unknown),
            reads.eq(self.read_enable & ~self.in_job & ~was_read & ~unknown & ~self.read_done),
        ]
        with m.If(self.in_job):
            m.d.comb += [wanted.slot.eq(self.tick), wanted.type.eq(self.job_type), visit.eq(self.tick < slots - 1)]
        with m.Else():
            # what is just being written cannot be read yet
            m.d.comb += visit.eq(~starts & ~(fold & (wanted.as_value() == visited.as_value())))
            m.d.comb += wanted.eq(next_visit)
            with m.If(reads):
                m.d.comb += [wanted.slot.eq(self.read_slot), wanted.type.eq(self.read_type)]
        with m.If(visit & ~self.in_job):
            m.d.sync += was_read.eq(reads)
        with m.If(visit & ~self.in_job & ~reads):
            m.d.sync += next_visit.slot.eq(next_visit.slot + 1)
            with m.If(next_visit.slot == slots - 1):
                m.d.sync += [next_visit.slot.eq(0), next_visit.type.eq(next_visit.type + 1), visited_since_job.eq(1)]
                with m.If(is_number(next_visit.type, types - 1)):
                    m.d.sync += [next_visit.type.eq(0), unknown.eq(0)]

        # the registers
        drained = Signal(low_bits + 1)
        of_slot = wire(m, range(self._lanes + 1), Array(self.add)[wanted.slot], "increment_of_slot")
        growth = Mux(self.type == wanted.type, of_slot, 0)
        of_types = [wire(m, low_bits, Array(group)[wanted.slot], f"low_of_type{t}") for t, group in enumerate(lows)]
        wanted_low = wire(m, low_bits, pick(of_types, wanted.type))
        m.d.sync += drained.eq(wanted_low + growth)
        for t in range(types):
            grows = is_number(self.type, t)
            for s in range(slots):
                with m.If(visit & (wanted.slot == s) & is_number(wanted.type, t)):
                    m.d.sync += lows[t][s].eq(0)
                with m.Elif(grows):
                    m.d.sync += lows[t][s].eq(lows[t][s] + self.add[s])

        # the memory
        m.submodules.sums = sums = Ram(self._width, types << slot_bits)
        total = Signal(max(self._width, low_bits + 1) + 1)
        was_unknown = Signal()
        clears = Signal()
        m.d.comb += [
            sums.read_address.eq(wanted),
            sums.read_enable.eq(visit),
            total.eq(Mux(was_unknown, 0, sums.read_data) + drained),
            self.value.eq(Mux(total[self._width :].any(), 2**self._width - 1, total)),
            sums.write_address.eq(visited),
            sums.write_enable.eq(fold),
            sums.write_data.eq(Mux(clears, 0, self.value)),
        ]
        m.d.sync += [fold.eq(visit), was_unknown.eq(unknown), clears.eq(self.in_job), self.read_done.eq(visit & reads)]
        with m.If(visit):
            m.d.sync += visited.eq(wanted)

        # the jobs
        m.d.comb += self.finished.eq(self.in_job & (self.tick == self._job_cycles - 1))
        with m.If(self.in_job):
            m.d.sync += self.tick.eq(self.tick + 1)
        with m.If(self.finished):
            m.d.sync += [self.in_job.eq(0), self.tick.eq(0)]
        with m.If(starts):
            m.d.sync += [self.in_job.eq(1), visited_since_job.eq(0)]
            for t in reversed(range(types)):
                with m.If(pending[t]):
                    m.d.sync += self.job_type.eq(t)
        for t in range(types):
            with m.If(self.finished & is_number(self.job_type, t)):
                m.d.sync += pending[t].eq(0)
            with m.If(self.end & is_number(self.end_type, t)):
                m.d.sync += pending[t].eq(1)


def half_less_one(m, total):
    """``ceil(total / 2) - 1`` of a `total` that is not 0."""
    value = total[1:] - ~total[0] if len(total) > 1 else Const(0, 1)
    return named(m, value, "half_less_one")


class CountingEstimator(Estimator):
    """An estimator that sorts the values into slots, counts them there, and at an end looks through the counts.

    A subclass says what is counted in `slots`, which statistics there are besides (`others`), in how many cycles values are
    sorted (`sorting_cycles`), and how many cycles its job takes at the least (`least_job_cycles`).

    Protocol
    --------
    after reset
        Counters are set to zero, one per cycle: ends and reads wait for that.
    """

    cnt_width = Integer(40, 1, 64, "Bits of a counter; counters saturate.", place=3)

    least_job_cycles = 0

    @property
    def statistics(self):
        return (*readout.counts(*self.slots), *self.others)

    @property
    def job_cycles(self):
        return max(self.least_job_cycles, len(self.slots) + 1)

    @property
    def latency(self):
        # after the sorting a cycle each to remember the end, to begin and to store
        return self.sorting_cycles + 2 + self.job_cycles

    def _counts(self, m):
        """Counters, with what does not depend on the kind of estimator: which types are busy."""
        m.submodules.counts = counts = HistogramCounts(self.types, len(self.slots), self.lanes, self.cnt_width, self.job_cycles)
        for t in range(self.types):
            with m.If(counts.finished & is_number(counts.job_type, t)):
                m.d.sync += self.busy[t].eq(0)
            with m.Elif(self.end.valid & is_number(self.end.type, t)):
                m.d.sync += self.busy[t].eq(1)
        m.d.comb += self.working.eq(self.busy.any())
        return counts

    def _type_and_end(self):
        """The type of the beat on the tap, and the end in the same cycle, by the names that `_add` takes."""
        return {
            "type": self.observe.type,
            "end": self.end.valid & ~pick(self.busy, self.end.type),
            "end_type": self.end.type,
        }

    def _add(self, m, counts, beat):
        """Add the increments of a sorted `beat`, by name of the slot, to the counters, and hand its end on."""
        m.d.comb += [counts.type.eq(beat["type"]), counts.end.eq(beat["end"]), counts.end_type.eq(beat["end_type"])]
        m.d.comb += [counts.add[s].eq(beat[name]) for s, name in enumerate(self.slots)]

    def _reads(self, m, counts, others):
        """Answer reads; `others`, one per type for each, are the statistics that are not counts."""
        count_words = 2 * len(self.slots)
        other = Signal()
        other_done = Signal()
        other_data = Signal(32)
        m.d.comb += [
            other.eq(self.read.index >= count_words),
            counts.read_enable.eq(self.read.enable & ~other),
            counts.read_type.eq(self.read.type),
            counts.read_slot.eq(self.read.index[1:]),
            self.read.done.eq(counts.read_done | other_done),
            self.read.data.eq(Mux(self.read.index[0], counts.value[32:], counts.value[:32])),
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
