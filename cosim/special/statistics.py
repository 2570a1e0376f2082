"""The estimators against their references: beats and ends at their ports, biases and all raw statistics after them."""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from narrowfloat.cosim.driver import RESET_CYCLES
from narrowfloat.cosim.report import PROGRESS_EVERY, Mismatch, ProtocolError, add_to_report, manifest, rerun
from narrowfloat.golden.reference import load

LONG_STREAM = 1_000_000  # values
# A read waits for a job at most, and after reset for a first round through all counters.
READ_LIMIT = 40_000
TRACKS = manifest()["design"] == "median_tracker"  # at any time: there is no job at an end to wait for


class TapBench:
    """A statistics unit under test, and its reference, which is told which beats and ends were taken."""

    def __init__(self, dut):
        self.dut = dut
        self.manifest = manifest()
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.reference = load(self.manifest, self.rng)
        self.lanes, self.types, self.statistics = self.reference.lanes, self.reference.types, self.reference.statistics
        self.edge = RisingEdge(dut.clk)
        ports = {port["name"] for port in self.manifest["ports"]}
        self._typed = self.types > 1
        self._reset, self._in_reset = (dut.rst_n, 0) if "rst_n" in ports else (dut.rst, 1)
        self._has_index = "read_index" in ports
        self._progress = Path(os.environ["NARROWFLOAT_PROGRESS"])
        self._beats = self._cycles = self._reported = 0

    @classmethod
    async def started(cls, dut):
        """The bench of a unit that has been reset."""
        bench = cls(dut)
        Clock(dut.clk, 10, unit="ns").start()
        await bench.restart()
        return bench

    async def restart(self):
        """Reset unit and reference, whatever the unit is doing."""
        self._reset.value = self._in_reset
        self._idle()
        self.dut.read_enable.value = 0
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self._reset.value = 1 - self._in_reset
        await self.edge
        self.reference.reset()
        self._events = []
        self._open_end = {}

    def _idle(self):
        self.dut.tap_tvalid.value = 0
        self.dut.end_valid.value = 0

    async def run(self, stream, each_beat=None):
        """Offer `stream`, whose end is not waited for; ``each_beat(t)``, if given, sees the outputs after every cycle t."""
        dut, edge, typed = self.dut, self.edge, self._typed
        packed = [int.from_bytes(row.tobytes(), "little") for row in stream.words]
        weights = 1 << np.arange(self.lanes)
        keeps = (stream.keep @ weights).tolist()
        types, valids = stream.types.tolist(), stream.valid.tolist()
        ends, end_types = stream.ends.tolist(), stream.end_types.tolist()
        first = 0
        valid_port, keep_port, data_port, end_port = dut.tap_tvalid, dut.tap_tkeep, dut.tap_tdata, dut.end_valid
        type_port, end_type_port = (dut.tap_tuser, dut.end_type) if typed else (None, None)
        was_valid = was_end = was_keep = was_type = None
        for cycle in range(len(stream)):
            valid, end, keep, type_ = valids[cycle], ends[cycle], keeps[cycle], types[cycle]
            data_port.value = packed[cycle]
            if valid is not was_valid:
                valid_port.value = was_valid = valid
            if end is not was_end:
                end_port.value = was_end = end
            if keep != was_keep:
                keep_port.value = was_keep = keep
            if typed and type_ != was_type:
                type_port.value = was_type = type_
            if typed and end:
                end_type_port.value = end_types[cycle]
            await edge
            if end or self._open_end:
                self._events.append((stream, first, cycle))
                first = cycle
                self._account(stream, cycle, type_, valid, end and end_types[cycle], end)
                first = cycle + 1
            if each_beat:
                await each_beat(cycle)
            if cycle % PROGRESS_EVERY == 0:
                self._progress.write_text(str(self._reported // self.lanes + cycle))
        self._events.append((stream, first, len(stream)))
        self._beats += int(stream.valid.sum())
        self._cycles += len(stream)
        self._idle()

    def _account(self, stream, cycle, type_, valid, end_type, end):
        """What the reference must know of a cycle in which an end is offered or a job runs: a missed beat, an end."""
        busy = int(self.dut.busy.value)
        for closed in [t for t in self._open_end if not busy >> t & 1 and self._open_end[t]["seen"]]:
            del self._open_end[closed]
        for pending in self._open_end.values():
            pending["seen"] = True
        if valid and busy >> type_ & 1:
            self._open_end[type_]["late"] += 1
        self._events.append((stream, cycle, cycle + 1))
        if end and not busy >> end_type & 1:
            self._open_end[end_type] = {"late": 0, "seen": False, "type": end_type}
            self._events.append(self._open_end[end_type])

    def drop_events(self):
        """Forget what was taken: the reference knows it already."""
        self._events = []

    def _follow(self):
        """Tell the reference what was taken since the last time."""
        waiting = []
        for event in self._events:
            if isinstance(event, tuple):
                waiting.append((event[0], slice(*event[1:])))
            else:
                self.reference.observe(waiting)
                waiting = []
                self.reference.model.end(event["type"], event["late"])
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
        self._cycles += cycles
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
        self._report()

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
        if self._typed:
            self.dut.read_type.value = type_
        if self._has_index:
            self.dut.read_index.value = index
        enable, done = self.dut.read_enable, self.dut.read_done
        enable.value = 1
        for _ in range(READ_LIMIT):
            await self.edge
            self._cycles += 1
            if done.value:
                enable.value = 0
                return int(self.dut.read_data.value)
        raise ProtocolError(f"reading {self.statistics[index]} took more than {READ_LIMIT} cycles; {rerun()}")

    def _report(self):
        add_to_report(self._beats * self.lanes, self._cycles)
        self._reported += self._beats * self.lanes
        self._beats = self._cycles = 0


@cocotb.test
async def random_values(dut):
    """Every mix of idle cycles, of types and of ends, some in consecutive cycles; compared after each."""
    bench = await TapBench.started(dut)
    for _ in range(50):
        beats = int(bench.rng.integers(1, 200))
        idle, ends = bench.rng.choice([0, 0.3, 0.9]), bench.rng.choice([0, 0.01, 0.1, 0.9])
        await bench.run(bench.reference.mixture(beats, idle=idle, ends=ends))
        await bench.check()


@cocotb.test
async def long_stream(dut):
    """Many values of all types without idle cycles, some ends."""
    bench = await TapBench.started(dut)
    await bench.run(bench.reference.long(LONG_STREAM))
    await bench.check()


@cocotb.test
async def tensors_of_one_value(dut):
    """With an end in the same cycle, in the next, or some time later."""
    bench = await TapBench.started(dut)
    for _ in range(12):
        for gap in (0, 1, 5, 200):
            await bench.run(bench.reference.single(gap))
        await bench.check()


@cocotb.test
async def real_tensors(dut):
    """Every real tensor, as often as it takes to get a bias, with an end after each time."""
    bench = await TapBench.started(dut)
    for _, cycles in bench.reference.real():
        for _ in range(bench.reference.epochs):
            await bench.run(cycles)
            await bench.settle()
        await bench.check()


@cocotb.test
async def reset_in_mid_stream(dut):
    """In the middle of an end's job, too; all must be as if nothing had been before."""
    bench = await TapBench.started(dut)
    for number in range(6):
        cycles = bench.reference.mixture(300, idle=0.2, ends=0.05)
        cycles.ends[-1 - 10 * number] = True
        await bench.run(cycles)
        await bench.restart()
        await bench.check()
        await bench.run(bench.reference.mixture(100, ends=0.02))
        await bench.check()


@cocotb.test
async def reads_in_between(dut):
    """Reads while beats pass and types end: they take cycles from the counters' rounds, and nothing may get lost."""
    bench = await TapBench.started(dut)
    stop = False

    async def read_all_the_time():
        while not stop:
            await bench.read(int(bench.rng.integers(bench.types)), int(bench.rng.integers(len(bench.statistics))))

    reader = cocotb.start_soon(read_all_the_time())
    await bench.run(bench.reference.mixture(4000, ends=0.003))
    stop = True
    await reader
    await bench.check()


@cocotb.test(skip=TRACKS)
async def latency(dut):
    """From an end to the bias it takes the cycles that the manifest states."""
    bench = await TapBench.started(dut)
    due = bench.manifest["latency"]
    await bench.settle()
    for type_ in range(bench.types):
        await bench.run(bench.reference.of_one_type(200, type_))
        await bench.run(bench.reference.end(type_))
        for cycle in range(1, due + 1):
            await bench.edge
            busy = int(dut.busy.value) >> type_ & 1
            if bool(busy) is not (cycle < due):
                raise ProtocolError(f"{cycle} cycles after an end busy is {busy}, but latency is {due}; {rerun()}")
        await bench.check()


@cocotb.test(skip=not TRACKS)
async def every_beat(dut):
    """The bias after every single beat."""
    bench = await TapBench.started(dut)
    for _ in range(20):
        cycles = bench.reference.mixture(200)

        async def compare(cycle, cycles=cycles):
            # the edge of this cycle is past, its outputs are those before it
            bench.check_biases()
            bench.reference.observe([(cycles, slice(cycle, cycle + 1))])

        await bench.run(cycles, compare)
        bench.drop_events()
        await bench.check()
