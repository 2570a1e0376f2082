"""What the benches of the statistics units share: streams with ends in them, and the comparison of all that can be read."""

import os
from dataclasses import dataclass
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from narrowfloat.cosim.drivers import RESET_CYCLES
from narrowfloat.cosim.report import PROGRESS_EVERY, Mismatch, ProtocolError, add_to_report, manifest, rerun
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.stimulus import random_words, real_tensors, special_words
from narrowfloat.golden.statistics import readout

LONG_STREAM = 1_000_000  # values
# A read waits for a work at most, and after reset for a first round through all counters.
READ_LIMIT = 40_000
REAL_VALUES = 3_000  # of each tensor
KINDS = ("activation", "error", "gradient", "weight")


@dataclass
class Stream:
    """Beats, one per cycle or none, and ends.

    `words` is uint32 [cycles, lanes], `keep` bool [cycles, lanes], `types` and `end_types` int [cycles], `valid` and `ends` bool
    [cycles].
    """

    words: np.ndarray
    keep: np.ndarray
    types: np.ndarray
    valid: np.ndarray
    ends: np.ndarray
    end_types: np.ndarray

    def __len__(self):
        return len(self.words)


class TapBench:
    """A statistics unit under test and its model, which is told which beats and ends were accepted.

    Parameters
    ----------
    dut : cocotb handle
    model : type
        Of `golden.statistics`; takes the design's parameters, except its lanes and its reset.
    """

    def __init__(self, dut, model):
        self.dut = dut
        self.manifest = manifest()
        self.parameters = self.manifest["parameters"]
        self.lanes, self.types = self.parameters["lanes"], self.parameters["types"]
        self.statistics = self.manifest["statistics"]
        own = {name: value for name, value in self.parameters.items() if name not in ("lanes", "reset")}
        if "fmt" in own:
            own["fmt"] = FloatFormat.parse(own["fmt"])
        self._make_model = lambda: model(**own)
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.edge = RisingEdge(dut.clk)
        ports = {port["name"] for port in self.manifest["ports"]}
        self._typed = self.types > 1
        self._reset, self._in_reset = (dut.rst_n, 0) if "rst_n" in ports else (dut.rst, 1)
        self._has_index = "read_index" in ports
        self._progress = Path(os.environ["NARROWFLOAT_PROGRESS"])
        self._beats = self._cycles = self._reported = 0

    async def start(self):
        """Start the clock and reset the unit."""
        Clock(self.dut.clk, 10, unit="ns").start()
        await self.restart()

    async def restart(self):
        """Reset unit and model, whatever the unit is doing."""
        self._reset.value = self._in_reset
        self._idle()
        self.dut.read_enable.value = 0
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self._reset.value = 1 - self._in_reset
        await self.edge
        self.model = self._make_model()
        self._events = []
        self._open_end = {}

    def _idle(self):
        self.dut.tap_tvalid.value = 0
        self.dut.end_valid.value = 0

    # streams

    def stream(self, words, types, *, keep=None, idle=0.0, ends=0.0):
        """A `Stream` of `words` [beats, lanes] of `types`, with a share of idle cycles, and of cycles in which a type ends."""
        beats = len(words)
        cycles = beats + (self.rng.negative_binomial(beats, 1 - idle) if idle and beats else 0)
        at = np.sort(self.rng.permutation(cycles)[:beats])
        result = Stream(
            random_words(self.rng, cycles * self.lanes).reshape(cycles, self.lanes),
            np.ones((cycles, self.lanes), bool),
            self.rng.integers(self.types, size=cycles),
            np.zeros(cycles, bool),
            self.rng.random(cycles) < ends,
            self.rng.integers(self.types, size=cycles),
        )
        result.words[at], result.types[at], result.valid[at] = words, types, True
        if keep is not None:
            result.keep[at] = keep
        return result

    def values(self, count):
        """`count` FP32 words of a kind chosen at random, from all zeros to real magnitudes with outliers: uint32."""
        rng = self.rng
        scale = np.float32(2.0 ** rng.uniform(-30, 10))
        one, other = (scale * rng.standard_normal(2)).astype(np.float32)
        with np.errstate(over="ignore"):
            made = (
                lambda: np.zeros(count, np.float32),
                lambda: np.full(count, one),
                lambda: rng.choice(np.array([one, other], np.float32), count),
                lambda: scale * rng.standard_normal(count).astype(np.float32),
                lambda: np.maximum(scale * rng.standard_normal(count), 0).astype(np.float32),
                lambda: np.exp(5 * rng.standard_normal(count)).astype(np.float32) * scale,
                lambda: rng.choice(np.array([1e-38, 1e10, one, other], np.float32), count),
                lambda: np.float32(2.0) ** rng.integers(-126, 128, size=count).astype(np.float32),
                lambda: random_words(rng, count).view(np.float32),
                lambda: rng.choice(special_words(), count).view(np.float32),
            )
            return made[rng.integers(len(made))]().astype(np.float32).view(np.uint32)

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
        """What the model must know of a cycle in which an end is offered or worked on: a missed beat, an end."""
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
        """Forget what was accepted: the model knows it already."""
        self._events = []

    def _follow(self):
        """Tell the model what was accepted since the last time."""
        waiting = []

        def observe():
            rows = [(stream, slice(a, b)) for stream, a, b in waiting if b > a]
            waiting.clear()
            if not rows:
                return
            words, keep, types, valid = (
                np.concatenate([getattr(stream, name)[part] for stream, part in rows])
                for name in ("words", "keep", "types", "valid")
            )
            self.model.observe(words[valid], types[valid], keep[valid])

        for event in self._events:
            if isinstance(event, tuple):
                waiting.append(event)
            else:
                observe()
                self.model.end(event["type"], event["late"])
        observe()
        self._events = []

    # comparison

    async def settle(self):
        """Wait until nothing is being worked on any more; the number of cycles, of which some are always waited."""
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
        """Compare all biases and all raw statistics with the model."""
        await self.settle()
        self._follow()
        self.check_biases()
        for type_ in range(self.types):
            raw = readout.words(self.model.raw(type_), self.statistics)
            for index, (name, want) in enumerate(zip(self.statistics, raw, strict=True)):
                got = await self.read(type_, index)
                if got != want:
                    raise Mismatch(f"type {type_}, {name}: got 0x{got:x} ({got}), want 0x{want:x} ({want}); {rerun()}")
        self._report()

    def check_biases(self):
        """Compare the biases, and which of them are from data."""
        packed, settled = int(self.dut.bias.value), int(self.dut.settled.value)
        for type_ in range(self.types):
            got = packed >> 6 * type_ & 63, bool(settled >> type_ & 1)
            want = int(self.model.bias[type_]), bool(self.model.settled[type_])
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

    # what every unit must survive

    def beats(self, words):
        """[beats, lanes] of any number of `words`, and which lanes of the last beat hold one."""
        count = -(-len(words) // self.lanes)
        padded = np.zeros(count * self.lanes, np.uint32)
        padded[: len(words)] = words
        keep = np.arange(count * self.lanes) < len(words)
        return padded.reshape(count, self.lanes), keep.reshape(count, self.lanes)

    def mixture(self, count):
        """Beats of all types one after the other, each type with values of its own kind: words, types, keep."""
        types = self.rng.integers(self.types, size=count)
        words = np.empty((count, self.lanes), np.uint32)
        for type_ in range(self.types):
            rows = types == type_
            words[rows] = self.values(int(rows.sum()) * self.lanes).reshape(-1, self.lanes)
        return words, types, self.rng.random((count, self.lanes)) < self.rng.choice([1.0, 0.9, 0.3])

    async def run_random_streams(self, sessions=50):
        """Every mix of idle cycles, of types and of ends, some in consecutive cycles; compared after each."""
        for _ in range(sessions):
            words, types, keep = self.mixture(int(self.rng.integers(1, 200)))
            idle, ends = self.rng.choice([0, 0.3, 0.9]), self.rng.choice([0, 0.01, 0.1, 0.9])
            await self.run(self.stream(words, types, keep=keep, idle=idle, ends=ends))
            await self.check()

    async def run_long_stream(self):
        """Many values of all types without idle cycles, statistics read meanwhile, some ends."""
        beats = -(-LONG_STREAM // self.lanes)
        words = self.rng.standard_normal((beats, self.lanes), np.float32) * np.float32(0.01)
        stream = self.stream(words.view(np.uint32), self.rng.integers(self.types, size=beats), ends=20 / beats)
        await self.run(stream)
        await self.check()

    async def run_short_tensors(self, times=12):
        """Tensors of one value, with an end in the same cycle, of the same or another type in the next, or some time later."""
        for _ in range(times):
            for gap in (0, 1, 5, 200):
                words, keep = self.beats(self.values(1))
                cycles = 1 + gap
                stream = self.stream(words, 0)
                type_ = int(self.rng.integers(self.types))
                whole = Stream(
                    np.repeat(stream.words, cycles, 0),
                    np.repeat(keep, cycles, 0),
                    np.full(cycles, type_),
                    np.arange(cycles) == 0,
                    np.arange(cycles) == gap,
                    np.full(cycles, type_),
                )
                await self.run(whole)
            await self.check()

    async def run_real_tensors(self, epochs):
        """Every real tensor, of the type that it has, several times over with an end after each."""
        for name, tensor in real_tensors()[0].items():
            type_ = KINDS.index(name.rpartition(".")[2]) % self.types
            words, keep = self.beats(tensor.reshape(-1)[:REAL_VALUES].view(np.uint32))
            for _ in range(epochs):
                stream = self.stream(words, type_, keep=keep)
                stream.ends[-1], stream.end_types[-1] = True, type_
                await self.run(stream)
                await self.settle()
            await self.check()

    async def run_with_resets(self, times=6):
        """Break off in mid-stream, in the middle of an end's work too; all must be as if nothing had been before."""
        for number in range(times):
            words, types, keep = self.mixture(300)
            stream = self.stream(words, types, keep=keep, idle=0.2, ends=0.05)
            stream.ends[-1 - 10 * number] = True
            await self.run(stream)
            await self.restart()
            await self.check()
            await self.run(self.stream(*self.mixture(100)[:2], ends=0.02))
            await self.check()

    async def run_reads_in_between(self, cycles=4000):
        """Reads while beats pass and types end: they take cycles from the counters' rounds, and nothing may get lost."""
        words, types, keep = self.mixture(cycles)
        stop = False

        async def read_all_the_time():
            while not stop:
                await self.read(int(self.rng.integers(self.types)), int(self.rng.integers(len(self.statistics))))

        reader = cocotb.start_soon(read_all_the_time())
        await self.run(self.stream(words, types, keep=keep, ends=0.003))
        stop = True
        await reader
        await self.check()

    async def run_latency(self):
        """From an end to the bias it takes the cycles that the manifest states."""
        latency = self.manifest["latency"]
        await self.settle()
        for type_ in range(self.types):
            await self.run(self.stream(self.values(200 * self.lanes).reshape(-1, self.lanes), type_))
            stream = self.stream(np.zeros((1, self.lanes), np.uint32), type_)
            stream.ends[0], stream.end_types[0] = True, type_
            await self.run(stream)
            for cycle in range(1, latency + 1):
                await self.edge
                busy = int(self.dut.busy.value) >> type_ & 1
                if bool(busy) is not (cycle < latency):
                    raise ProtocolError(f"{cycle} cycles after an end busy is {busy}, but latency is {latency}; {rerun()}")
            await self.check()
