"""The estimators against their references: beats and ends at their ports, biases and all raw statistics after them."""

import cocotb
import numpy as np
from narrowfloat.cosim.bench import ReferenceBench
from narrowfloat.cosim.report import Mismatch, ProtocolError, manifest, rerun

LONG_STREAM = 1_000_000  # values
# A read waits for a job at most, and after reset for a first round through all counters.
READ_LIMIT = 40_000
TRACKS = manifest()["design"] == "median_tracker"  # at any time: there is no job at an end to wait for


class TapBench(ReferenceBench):
    """A statistics unit under test, and its reference, which is told which beats and ends were taken."""

    def __init__(self, dut):
        super().__init__(dut)
        self.edge = self.driver.edge
        self.types, self.statistics = self.reference.types, self.manifest["statistics"]
        self._idle()
        self._forget()

    async def reset(self):
        await super().reset()
        self._forget()

    def _forget(self):
        self._events = []  # parts of what was taken, and the end after each, if there is one
        self._open_end = {}

    def _idle(self):
        self.dut.tap_tvalid.value = 0
        self.dut.end_valid.value = 0

    async def run(self, stream, each_beat=None):
        """Offer `stream`, whose end is not waited for; ``each_beat(t)``, if given, sees the outputs after every cycle t."""
        dut, edge = self.dut, self.edge
        packed = [int.from_bytes(row.tobytes(), "little") for row in stream.words]
        types, valids, ends, end_types = (getattr(stream, name).tolist() for name in ("types", "valid", "ends", "end_types"))
        keeps = (stream.keep @ (1 << np.arange(self.reference.lanes))).tolist()
        driven = [(dut.tap_tvalid, valids), (dut.tap_tkeep, keeps), (dut.tap_tdata, packed), (dut.end_valid, ends)]
        if self.types > 1:
            driven += [(dut.tap_tuser, types), (dut.end_type, (stream.end_types * stream.ends).tolist())]
        before = [None] * len(driven)
        first = 0
        for cycle in range(len(stream)):
            for index, (port, values) in enumerate(driven):
                if values[cycle] != before[index]:
                    port.value = before[index] = values[cycle]
            await edge
            if ends[cycle] or self._open_end:
                end = self._account(types[cycle], valids[cycle], end_types[cycle] if ends[cycle] else None)
                if end:
                    self._events.append((stream, slice(first, cycle + 1), end))
                    first = cycle + 1
            if each_beat:
                await each_beat(cycle)
            self.driver.progress(cycle)
        self._events.append((stream, slice(first, len(stream)), None))
        self.driver.beats += int(stream.valid.sum())
        self.driver.cycles += len(stream)
        self._idle()

    def _account(self, type_, valid, end_type):
        """What the reference must know of a cycle in which an end is offered or a job runs: a missed beat, an end taken."""
        busy = int(self.dut.busy.value)
        for closed in [t for t in self._open_end if not busy >> t & 1 and self._open_end[t]["seen"]]:
            del self._open_end[closed]
        for pending in self._open_end.values():
            pending["seen"] = True
        if valid and busy >> type_ & 1:
            self._open_end[type_]["late"] += 1
        if end_type is None or busy >> end_type & 1:
            return None
        self._open_end[end_type] = {"late": 0, "seen": False, "type": end_type}
        return self._open_end[end_type]

    def drop_events(self):
        """Forget what was taken: the reference knows it already."""
        self._events = []

    def _follow(self):
        """Tell the reference what was taken since the last time."""
        waiting = []
        for stream, rows, end in self._events:
            waiting.append((stream, rows))
            if end:
                self.reference.observe(waiting)
                self.reference.model.end(end["type"], end["late"])
                waiting = []
        self.reference.observe(waiting)
        self._events = []

    # comparison

    async def settle(self):
        """Wait until no job is left; the number of cycles, of which some are always waited."""
        self._idle()
        cycles = 0
        quiet = 0
        while quiet < 8:
            await self.edge
            cycles += 1
            quiet = 0 if int(self.dut.working.value) else quiet + 1
            if cycles > READ_LIMIT:
                raise ProtocolError(f"still working after {cycles} cycles; {rerun()}")
        self.driver.cycles += cycles
        self._open_end = {}
        return cycles

    async def check(self):
        """Compare all biases and all raw statistics with the reference."""
        await self.settle()
        self._follow()
        self.check_biases()
        for type_ in range(self.types):
            raw = zip(self.statistics, self.reference.raw(type_), strict=True)
            for index, (name, want) in enumerate(raw):
                got = await self.read(type_, index)
                if got != want:
                    raise Mismatch(f"type {type_}, {name}: got 0x{got:x} ({got}), want 0x{want:x} ({want}); {rerun()}")
        self.report()

    def check_biases(self):
        """Compare the biases, and which of them are from data."""
        packed, settled = int(self.dut.bias.value), int(self.dut.settled.value)
        for type_ in range(self.types):
            got = packed >> 6 * type_ & 63, bool(settled >> type_ & 1)
            want = self.reference.bias(type_)
            if got != want:
                raise Mismatch(f"type {type_}: got bias, settled {got}, want {want}; {rerun()}")

    async def read(self, type_, index):
        """A raw statistic."""
        if self.types > 1:
            self.dut.read_type.value = type_
        if len(self.statistics) > 1:
            self.dut.read_index.value = index
        enable, done = self.dut.read_enable, self.dut.read_done
        enable.value = 1
        for _ in range(READ_LIMIT):
            await self.edge
            self.driver.cycles += 1
            if done.value:
                enable.value = 0
                return int(self.dut.read_data.value)
        raise ProtocolError(f"reading {self.statistics[index]} took more than {READ_LIMIT} cycles; {rerun()}")


@TapBench.test()
async def random_values(bench):
    """Every mix of idle cycles, of types and of ends, some in consecutive cycles; compared after each."""
    for _ in range(50):
        beats = int(bench.rng.integers(1, 200))
        idle, ends = bench.rng.choice([0, 0.3, 0.9]), bench.rng.choice([0, 0.01, 0.1, 0.9])
        await bench.run(bench.reference.mixture(beats, idle=idle, ends=ends))
        await bench.check()


@TapBench.test()
async def long_stream(bench):
    """Many values of all types without idle cycles, some ends."""
    await bench.run(bench.reference.long(LONG_STREAM))
    await bench.check()


@TapBench.test()
async def tensors_of_one_value(bench):
    """With an end in the same cycle, in the next, or some time later."""
    for _ in range(12):
        for gap in (0, 1, 5, 200):
            await bench.run(bench.reference.single(gap))
        await bench.check()


@TapBench.test()
async def real_tensors(bench):
    """Every real tensor, as often as it takes to get a bias, with an end after each time."""
    for _, cycles in bench.reference.real():
        for _ in range(bench.reference.epochs):
            await bench.run(cycles)
            await bench.settle()
        await bench.check()


@TapBench.test()
async def reset_in_mid_stream(bench):
    """In the middle of an end's job, too; all must be as if nothing had been before."""
    for number in range(6):
        cycles = bench.reference.mixture(300, idle=0.2, ends=0.05)
        cycles.ends[-1 - 10 * number] = True
        await bench.run(cycles)
        await bench.reset()
        await bench.check()
        await bench.run(bench.reference.mixture(100, ends=0.02))
        await bench.check()


@TapBench.test()
async def reads_in_between(bench):
    """Reads while beats pass and types end: they take cycles from the counters' rounds, and nothing may get lost."""
    stop = False

    async def read_all_the_time():
        while not stop:
            await bench.read(int(bench.rng.integers(bench.types)), int(bench.rng.integers(len(bench.statistics))))

    reader = cocotb.start_soon(read_all_the_time())
    await bench.run(bench.reference.mixture(4000, ends=0.003))
    stop = True
    await reader
    await bench.check()


# One of these is there: a test that is named is run although it is to be skipped.
if not TRACKS:

    @TapBench.test()
    async def latency(bench):
        """From an end to the bias it takes the cycles that the manifest states."""
        due = bench.manifest["latency"]["bias"]
        await bench.settle()
        for type_ in range(bench.types):
            # A job waits for a round through all counters since the one before.
            await bench.run(bench.reference.of_one_type(200 + len(bench.statistics), type_))
            await bench.run(bench.reference.end(type_))
            for cycle in range(1, due + 1):
                await bench.edge
                busy = int(bench.dut.busy.value) >> type_ & 1
                if bool(busy) is not (cycle < due):
                    raise ProtocolError(f"{cycle} cycles after an end busy is {busy}, but latency is {due}; {rerun()}")
            await bench.check()

else:

    @TapBench.test()
    async def every_beat(bench):
        """The bias after every single beat, as many cycles later as the manifest states."""
        later = bench.manifest["latency"]["bias"]
        for _ in range(20):
            cycles = bench.reference.mixture(200)

            async def compare(cycle, cycles=cycles):
                # the edge of this cycle is past, its outputs are those before it
                bench.check_biases()
                if (counted := cycle - later + 1) >= 0:
                    bench.reference.observe([(cycles, slice(counted, counted + 1))])

            await bench.run(cycles, compare)
            bench.reference.observe([(cycles, slice(len(cycles) - later + 1, len(cycles)))])
            bench.drop_events()
            await bench.check()
