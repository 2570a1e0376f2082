"""The bench of the memory port, between the AXI4-Stream and AXI4-Lite models of cocotbext-axi.

All that happens at the interfaces is recorded with the cycle, and then done again with the reference: beats, register writes
and ends of passes in the order in which the hardware took them. What the memory is given comes back at once and is read.
"""

import logging
import os
from itertools import pairwise
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from narrowfloat.cosim.driver import RESET_CYCLES
from narrowfloat.cosim.report import PROGRESS_EVERY, Mismatch, ProtocolError, add_to_report, manifest, rerun
from narrowfloat.golden.memory import ESTIMATORS, MODES, WORD_BYTES
from narrowfloat.golden.reference import load
from narrowfloat.golden.reference.memory import SETTLING, Difference, Write, difference
from narrowfloat.golden.s2fp8 import ALPHA_FRACTION_BITS

INTERFACES = ("s_core", "m_mem", "s_mem", "m_core")
QUIET = 24  # cycles without a beat after which none is left inside


class Recorder:
    """What has passed a stream's interface: cycles, and beats as (tdata, tkeep, tuser, tlast)."""

    def __init__(self, dut, prefix):
        self.prefix = prefix
        self.valid, self.ready, self.last, self.keep, self.data, self.user = (
            getattr(dut, f"{prefix}_{name}") for name in ("tvalid", "tready", "tlast", "tkeep", "tdata", "tuser")
        )
        self._held = None
        self.clear()

    def clear(self):
        self.cycles, self.beats, self.waited = [], [], 0

    def sample(self, cycle):
        """Note the beat that passes at this clock edge; whether there is one, taken or not."""
        if not self.valid.value:
            if self._held is not None:
                raise ProtocolError(f"{self.prefix}: a beat was taken back while it waited; {rerun()}")
            return False
        beat = tuple(int(signal.value) for signal in (self.data, self.keep, self.user, self.last))
        if self._held not in (None, beat):
            raise ProtocolError(f"{self.prefix}: a beat changed while it waited; {rerun()}")
        if self.ready.value:
            self._held = None
            self.cycles.append(cycle)
            self.beats.append(beat)
        else:
            self._held = beat
            self.waited += 1
        return True

    def forget(self):
        """After a reset no beat waits."""
        self._held = None


class PortBench:
    """The port under test, its reference, and what surrounds it."""

    def __init__(self, dut):
        self.dut = dut
        self.manifest = manifest()
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.reference = load(self.manifest, self.rng)
        self.lanes, self.types, self.names = self.reference.lanes, self.reference.types, self.reference.names
        self.modes, self.registers = self.reference.modes, self.reference.registers
        self.interfaces = {name: Recorder(dut, name) for name in INTERFACES}
        self.cycle = 0
        self.last_beat = 0  # the cycle in which a valid was last seen
        self.commits, self.issued = [], []
        low = any(port["name"] == "rst_n" for port in self.manifest["ports"])
        self._reset, self._in_reset = (dut.rst_n, 0) if low else (dut.rst, 1)
        self._progress, self._total, self._reported = Path(os.environ["NARROWFLOAT_PROGRESS"]), 0, 0

    @classmethod
    async def started(cls, dut):
        """The bench of a port that has been reset."""
        bench = cls(dut)
        await bench._start()
        return bench

    @property
    def ends(self):
        """The sources and sinks around the port."""
        return self.core_source, self.mem_source, self.mem_sink, self.core_sink

    async def _start(self):
        dut, clock = self.dut, self.dut.clk
        self._reset.value = self._in_reset
        for interface in self.interfaces.values():
            (interface.valid if interface.prefix.startswith("s_") else interface.ready).value = 0
        Clock(clock, 10, unit="ns").start()
        # cocotbext-axi expects known signals from the start
        await ClockCycles(clock, RESET_CYCLES)

        def attach(end, prefix):
            attached = end(AxiStreamBus.from_prefix(dut, prefix), clock, self._reset, bool(self._in_reset))
            attached.log.setLevel(logging.ERROR)
            return attached

        self.core_source, self.mem_source = attach(AxiStreamSource, "s_core"), attach(AxiStreamSource, "s_mem")
        self.mem_sink, self.core_sink = attach(AxiStreamSink, "m_mem"), attach(AxiStreamSink, "m_core")
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), clock, self._reset, bool(self._in_reset))
        await self.reset()
        cocotb.start_soon(self._watch())
        self.returning = cocotb.start_soon(self._return_from_memory())

    async def reset(self):
        """Reset port and reference, whatever the port is doing."""
        self._reset.value = self._in_reset
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self._reset.value = 1 - self._in_reset
        await ClockCycles(self.dut.clk, 2)
        self.reference.reset()
        self.begin()

    def begin(self):
        """Forget what was recorded."""
        for interface in self.interfaces.values():
            interface.clear()
        self.commits.clear()
        self.issued.clear()

    def catch_up(self):
        """Do to the reference what registers were told since the last run, and begin anew."""
        for register, fields in self.issued:
            for kind in ("clears", "ends", "starts"):
                for t in self.reference.apply(kind, Write(0, register, fields)):
                    self.reference.port.end_pass(t)
        self.begin()

    async def _watch(self):
        """Record what passes, cycle by cycle."""
        edge, take, reset = RisingEdge(self.dut.clk), self.dut.s_axil_awready, self._reset
        interfaces = self.interfaces.values()
        while True:
            await edge
            self.cycle += 1
            if reset.value == self._in_reset:
                for interface in interfaces:
                    interface.forget()
                continue
            active = [interface.sample(self.cycle) for interface in interfaces]
            if any(active):
                self.last_beat = self.cycle
            if take.value:
                self.commits.append(self.cycle)

    async def _return_from_memory(self):
        while True:
            frame = await self.mem_sink.recv(compact=False)
            await self.mem_source.send(AxiStreamFrame(frame.tdata, tkeep=frame.tkeep, tuser=frame.tuser))

    # registers

    async def write_register(self, name, **values):
        """Write a register; fields that are not given become 0."""
        word = self.reference.pack_fields(name, values)
        self.issued.append((name, values))
        answer = await self.axil.write(self.registers[name]["address"], word.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, f"write of {name}: {answer.resp!r}; {rerun()}"

    async def read_register(self, name):
        """A register's fields, int by name."""
        answer = await self.axil.read(self.registers[name]["address"], 4)
        assert answer.resp == AxiResp.OKAY, f"read of {name}: {answer.resp!r}; {rerun()}"
        word = int.from_bytes(answer.data, "little")
        return {
            field["name"]: word >> field["lsb"] & 2 ** (field["msb"] - field["lsb"] + 1) - 1
            for field in self.registers[name]["fields"]
        }

    async def control(self, t, mode, estimator=None, end_on_epoch=False):
        """Set a type's mode and estimator."""
        code = list(ESTIMATORS).index(estimator or self.names[0])
        await self.write_register(f"CONTROL{t}", mode=MODES.index(mode), estimator=code, end_on_epoch=int(end_on_epoch))

    async def force(self, t, bias):
        """Force a type's bias, or with None let it follow the data."""
        await self.write_register(f"FORCE{t}", enable=int(bias is not None), bias=bias or 0)

    async def load(self, types, mean, largest):
        """Give S2FP8 the statistics `mean` and `largest` of `types`."""
        parts = {"mean_fraction": mean & 255, "mean_whole": mean >> 8}
        parts |= {"largest_fraction": largest & 255, "largest_whole": largest >> 8}
        await self.write_register("MOMENTS", **parts)
        await self.write_register("LOAD", types=sum(1 << t for t in types))
        await self.until_idle(types)

    # runs

    def pauses(self, idle, stall):
        """Let sources idle and sinks stall in these shares of cycles."""
        for end, share in zip(self.ends, (idle, idle, stall, stall), strict=True):
            end.pause = False
            pattern = self.rng.random(1009) < share
            end.set_pause_generator(repeat(pattern.tolist()) if share else None)

    def offer(self, source, side, beats):
        """Queue beats at a source, cut at each TLAST into frames."""
        data = np.ascontiguousarray(beats.words if side == "s_core" else beats.bytes).view(np.uint8)
        size, user = WORD_BYTES * self.lanes, self.reference.user(side, beats)
        ends = np.flatnonzero(beats.last) + 1
        assert ends[-1] == len(beats), "the last beat needs TLAST"
        for first, after in pairwise([0, *ends]):
            rows = slice(first, after)
            keep, users = beats.keep[rows].astype(int).reshape(-1), np.repeat(user[rows], size)
            source.send_nowait(AxiStreamFrame(data[rows].tobytes(), tkeep=keep.tolist(), tuser=users.tolist()))

    async def run(self, beats, during=None, idle=0, stall=0, late=False):
        """Send `beats` and return them from memory, meanwhile do `during` (a coroutine); do it all again with the reference.

        Raises `Mismatch` at the first difference. `late` says that estimators may be told of an end while data of that type
        passes; what they then miss is taken from their own count of it.
        """
        self.catch_up()
        self.last_beat = self.cycle
        self.pauses(idle, stall)
        self.offer(self.core_source, "s_core", beats)
        task = cocotb.start_soon(during) if during is not None else None
        while True:
            await ClockCycles(self.dut.clk, QUIET)
            done = len(self.interfaces["s_core"].beats) == len(beats) and self.cycle - self.last_beat > QUIET
            if done and (task is None or task.done()):
                break
            if task is None or task.done():
                self.check_hanging("s_core", len(beats))
            self.check_hanging("m_core", len(beats), patience=None)
        self.pauses(0, 0)
        writes = [Write(cycle, *issued) for cycle, issued in zip(self.commits, self.issued, strict=True)]
        await self.settle()
        missed = await self._missed() if late else {}
        self.commits.clear()
        self.issued.clear()
        packs, returned = self.got("m_mem"), self.got("m_core")
        self.compare(self.got("s_core"), beats, "s_core")
        cycles = self.interfaces["s_core"].cycles
        wanted = self._checked(self.reference.replay, beats, cycles, packs, writes, self.cycle, missed)
        self.compare(packs, wanted, "m_mem")
        self.compare(returned, self.reference.port.read(wanted), "m_core")
        self.report(len(beats))

    def check_hanging(self, interface, due, patience=40 * QUIET):
        """Raise ProtocolError if more than the `due` beats passed an interface, or nothing passed any for too long."""
        passed = len(self.interfaces[interface].beats)
        if passed > due or (patience is not None and self.cycle - self.last_beat > patience):
            raise ProtocolError(f"{interface}: {passed} beats passed, {due} are due; {rerun()}")

    async def stream_only(self, beats, during):
        """Send `beats`, all to be encoded; check codes and what comes back, but no statistics: ends follow too closely."""
        self.catch_up()
        self.offer(self.core_source, "s_core", beats)
        task = cocotb.start_soon(during)
        taken = self.interfaces["s_core"].beats
        while not (task.done() and self.cycle - self.last_beat > QUIET and len(taken) == len(beats)):
            await ClockCycles(self.dut.clk, QUIET)
        packs = self.got("m_mem")
        self.compare(self.got("m_core"), self.reference.port.read(packs), "m_core")
        self._checked(self.reference.check_codes, beats, packs)
        self.report(len(beats))

    @staticmethod
    def _checked(check, *arguments):
        try:
            return check(*arguments)
        except Difference as difference:
            raise Mismatch(f"{difference}; {rerun()}") from None

    def got(self, name):
        """What has passed an interface, as `CoreBeats` or `MemoryBeats`."""
        return self.reference.unpack(name, self.interfaces[name].beats)

    def compare(self, got, want, where):
        """Raise `Mismatch` unless the beats are those that are wanted."""
        if found := difference(got, want):
            raise Mismatch(f"{where}: {found}; {rerun()}")

    async def settle(self):
        """Wait until no estimator has a job, and so long that no older bias counts any more."""
        await ClockCycles(self.dut.clk, SETTLING)
        await self.until_idle(range(self.types))

    async def until_idle(self, types):
        for t in types:
            for _ in range(SETTLING):
                if not (await self.read_register(f"STATUS{t}"))["busy"]:
                    break
            else:
                raise ProtocolError(f"estimators of type {t} stay busy; {rerun()}")

    async def statistic(self, name, t, index):
        await self.write_register("STAT_INDEX", estimator=list(ESTIMATORS).index(name), type=t, index=index)
        return (await self.read_register("STAT_DATA"))["word"]

    async def _missed(self):
        """What the estimators have missed since reset, by name and type."""
        result = {}
        for name in self.names:
            statistics = self.manifest["statistics"][name]
            if "missed" in statistics:
                for t in range(self.types):
                    result[name, t] = await self.statistic(name, t, statistics.index("missed"))
        return result

    async def check_registers(self):
        """Compare biases, flags, state and all raw statistics."""
        differences = []
        for t in range(self.types):
            want, got = self.reference.state(t), await self._state(t)
            differences += [f"type {t}: {key}: got {got[key]}, want {want[key]}" for key in want if got[key] != want[key]]
        if differences:
            raise Mismatch(f"{'; '.join(differences[:4])}; {len(differences)} differ; {rerun()}")

    async def _state(self, t):
        """What the registers say of a type, as the reference's `state`."""
        bias, flags, status = [await self.read_register(f"{name}{t}") for name in ("BIAS", "FLAGS", "STATUS")]
        state = {"BIAS.current": bias["current"], "BIAS.next": bias["next"]}
        state["FLAGS"] = self.reference.pack_fields(f"FLAGS{t}", flags)
        state |= {f"STATUS.{name}": status[name] for name in ("settled", "open", "mode")}
        if "s2fp8" in self.modes:
            squeeze, expand = [await self.read_register(f"{name}{t}") for name in ("SQUEEZE", "EXPAND")]
            alpha = squeeze["alpha_exponent"] << ALPHA_FRACTION_BITS | squeeze["alpha_fraction"]
            state |= {"alpha": alpha, "mean": squeeze["mean"], "inverse": expand["inverse"]}
        for name in self.names:
            for index, statistic in enumerate(self.manifest["statistics"][name]):
                state[f"{name}.{statistic}"] = await self.statistic(name, t, index)
        return state

    def report(self, beats):
        self._total += beats
        if self._total % PROGRESS_EVERY < beats:
            self._progress.write_text(str(self._total))
        add_to_report(beats * self.lanes, self.cycle - self._reported)
        self._reported = self.cycle


def repeat(pattern):
    """The pattern over and over."""
    while True:
        yield from pattern
