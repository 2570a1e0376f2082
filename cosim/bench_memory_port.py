"""The memory port against the golden model, between the AXI4-Stream and AXI4-Lite models of cocotbext-axi.

All that happens at the faces is recorded with the cycle, and then done again with the model: beats, register writes and ends of
passes in the order in which the hardware took them. What the memory is given comes back at once and is read.
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
from narrowfloat.cosim.drivers import RESET_CYCLES
from narrowfloat.cosim.report import PROGRESS_EVERY, Mismatch, ProtocolError, add_to_report, manifest, rerun
from narrowfloat.golden import s2fp8
from narrowfloat.golden.float_codec import encode
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.memory import (
    ESTIMATORS,
    MODES,
    OBSERVED,
    SQUEEZING,
    WORD_BYTES,
    CoreBeats,
    MemoryBeats,
    MemoryPort,
)
from narrowfloat.golden.reference.stimulus import random_words, random_words_in_range, real_tensors
from narrowfloat.golden.statistics.readout import words as statistics_words

FACES = ("s_core", "m_mem", "s_mem", "m_core")
# Cycles after which an estimator's answer must be there, whatever has ended; meanwhile it may be the one before.
SETTLING = 2000
RECENT = 8  # beats of which an estimator may not yet know
QUIET = 24  # cycles without a beat after which none is left inside
PARAMETERS = manifest()["parameters"]
# by 1 / alpha; of all that statistics can give, no two have the same
ALPHAS = {s2fp8.inverse(alpha): alpha for alpha in range(-5 << s2fp8.ALPHA_FRACTION_BITS, 7 << s2fp8.ALPHA_FRACTION_BITS)}


class Face:
    """What has passed a stream's face: cycles, and beats as (tdata, tkeep, tuser, tlast)."""

    def __init__(self, dut, manifest_, prefix):
        self.prefix = prefix
        self.valid, self.ready, self.last, self.keep, self.data, self.user = (
            getattr(dut, f"{prefix}_{name}") for name in ("tvalid", "tready", "tlast", "tkeep", "tdata", "tuser")
        )
        port = next(port for port in manifest_["ports"] if port["name"] == f"{prefix}_tuser")
        self.fields = {field["name"]: (field["lsb"], field["msb"]) for field in port["fields"]}
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
        """After a reset nothing waits."""
        self._held = None

    def columns(self, lanes):
        """The beats as arrays: bytes, keep, TUSER's fields by name, last."""
        size = WORD_BYTES * lanes
        number = len(self.beats)
        data, keep, user, last = zip(*self.beats) if self.beats else ((), (), (), ())
        bytes_ = np.frombuffer(b"".join(value.to_bytes(size, "little") for value in data), np.uint8).reshape(number, size)
        keep = np.array(keep, np.uint64)[:, None] >> np.arange(size, dtype=np.uint64) & np.uint64(1) if number else keep
        user = np.array(user, np.int64)
        values = {name: user >> lsb & 2 ** (msb - lsb + 1) - 1 for name, (lsb, msb) in self.fields.items()}
        return bytes_.copy(), np.array(keep, bool).reshape(number, size), values, np.array(last, bool)


class PortBench:
    """The port under test, its model, and what surrounds it."""

    def __init__(self, dut):
        self.dut = dut
        self.manifest = manifest()
        parameters = self.manifest["parameters"]
        self.lanes, self.types, self.names = parameters["lanes"], parameters["types"], parameters["estimators"]
        self.fmt = FloatFormat.parse(parameters["fmt"])
        self.limits = {name: parameters[name] for name in ("bias_min", "bias_max")}
        self.counters = {"cnt_width": parameters["cnt_width"]}
        self.modes = MODES if parameters["s2fp8"] else MODES[:4]
        self.registers = {register["name"]: register for register in self.manifest["registers"]}
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.faces = {name: Face(dut, self.manifest, name) for name in FACES}
        self.cycle = 0
        self.last_beat = 0  # the cycle in which a valid was last seen
        self.commits, self.issued = [], []
        low = any(port["name"] == "rst_n" for port in self.manifest["ports"])
        self._reset, self._in_reset = (dut.rst_n, 0) if low else (dut.rst, 1)
        self._progress, self._total, self._reported = Path(os.environ["NARROWFLOAT_PROGRESS"]), 0, 0

    async def start(self):
        dut, clock = self.dut, self.dut.clk
        self._reset.value = self._in_reset
        for face in self.faces.values():
            (face.valid if face.prefix.startswith("s_") else face.ready).value = 0
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
        self._reset.value = self._in_reset
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self._reset.value = 1 - self._in_reset
        await ClockCycles(self.dut.clk, 2)
        estimators = {name: {} if name == "tracker" else self.counters for name in self.names}
        options = {"estimators": estimators, "s2fp8": self.manifest["parameters"]["s2fp8"], **self.limits}
        self.port = MemoryPort(lanes=self.lanes, types=self.types, fmt=self.fmt, **options)
        self.moments = {}
        self.begin()

    def begin(self):
        """Forget what was recorded."""
        for face in self.faces.values():
            face.clear()
        self.commits.clear()
        self.issued.clear()

    def catch_up(self):
        """Do to the model what registers were told since the last run, and begin anew."""
        for register, values in self.issued:
            for kind in ("clears", "ends", "starts"):
                for t in self._apply(kind, register, values):
                    self.port.end_pass(t)
        self.begin()

    async def _watch(self):
        """Record what passes, cycle by cycle."""
        edge, faces, take, reset = RisingEdge(self.dut.clk), self.faces.values(), self.dut.s_axil_awready, self._reset
        while True:
            await edge
            self.cycle += 1
            if reset.value == self._in_reset:
                for face in faces:
                    face.forget()
                continue
            active = [face.sample(self.cycle) for face in faces]
            if any(active):
                self.last_beat = self.cycle
            if take.value:
                self.commits.append(self.cycle)

    async def _return_from_memory(self):
        while True:
            frame = await self.mem_sink.recv(compact=False)
            await self.mem_source.send(AxiStreamFrame(frame.tdata, tkeep=frame.tkeep, tuser=frame.tuser))

    # registers

    def pack_fields(self, name, values):
        fields = {field["name"]: field for field in self.registers[name]["fields"]}
        return sum(value << fields[field]["lsb"] for field, value in values.items())

    async def write_register(self, name, **values):
        """Write a register, its other fields with zeros."""
        word = self.pack_fields(name, values)
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
        code = list(ESTIMATORS).index(estimator or self.names[0])
        await self.write_register(f"CONTROL{t}", mode=MODES.index(mode), estimator=code, end_on_epoch=int(end_on_epoch))

    async def force(self, t, bias):
        await self.write_register(f"FORCE{t}", enable=int(bias is not None), bias=bias or 0)

    async def load(self, types, mean, largest):
        """Give S2FP8 the statistics `mean` and `largest` of `types`."""
        parts = {"mean_fraction": mean & 255, "mean_whole": mean >> 8}
        parts |= {"largest_fraction": largest & 255, "largest_whole": largest >> 8}
        await self.write_register("MOMENTS", **parts)
        await self.write_register("LOAD", types=sum(1 << t for t in types))
        await self.until_idle(types)

    def encoding(self, t, number=0):
        """A mode of type `t` that encodes and is observed: with S2FP8 this for one type, that for the next."""
        return "s2fp8" if "s2fp8" in self.modes and (t + number) % 2 else "fp8"

    # stimulus

    def tensor(self, t, beats, make=None):
        """A random tensor of a type, with some bytes not kept."""
        number = beats * self.lanes - self.rng.integers(self.lanes)
        x = self.rng.standard_normal(number).astype(np.float32) * np.float32(2.0 ** self.rng.integers(-20, 5))
        x[self.rng.random(number) < 0.05] = 0
        random = self.rng.random(number) < 0.1
        words = np.where(random, random_words_in_range(self.rng, self.fmt, np.full(number, 15)), x.view(np.uint32))
        tensor = CoreBeats.of_tensor(words if make is None else make(number), t, lanes=self.lanes)
        rows = self.rng.random(beats) < 0.05
        tensor.keep[rows] &= self.rng.random(tensor.keep[rows].shape) < 0.7
        return tensor

    def bypass(self, beats):
        traffic = CoreBeats.of_tensor(random_words(self.rng, beats * self.lanes), 0, lanes=self.lanes)
        traffic.bypass[:] = True
        traffic.type[:] = self.rng.integers(self.types, size=beats)
        traffic.keep[:] = self.rng.random(traffic.keep.shape) < 0.9
        traffic.last[:-1] = self.rng.random(beats - 1) < 0.1
        return traffic

    def interleave(self, streams, burst=1):
        """The beats of all `streams` mixed at random, each stream in its own order; about `burst` in a row from the same one.

        Ends with a TLAST, as cocotbext-axi can send nothing else.
        """
        owners = np.repeat(np.arange(len(streams)), [len(stream) for stream in streams])
        order = self.rng.permutation(-(-len(owners) // burst))
        owners = owners[np.argsort(np.repeat(order, burst)[: len(owners)], kind="stable")]
        positions = [iter(range(len(stream))) for stream in streams]
        offsets = np.cumsum([0, *(len(stream) for stream in streams)])
        return CoreBeats.join(streams)[np.array([offsets[owner] + next(positions[owner]) for owner in owners])]

    def pauses(self, idle, stall):
        """Let sources idle and sinks stall in these shares of cycles."""
        for end, share in zip((self.core_source, self.mem_source, self.mem_sink, self.core_sink), (idle, idle, stall, stall)):
            end.pause = False
            pattern = self.rng.random(1009) < share
            end.set_pause_generator(cycle_through(pattern.tolist()) if share else None)

    # runs

    def offer(self, beats):
        """Queue beats, cut at each TLAST into frames."""
        user = np.zeros(len(beats), np.int64)
        for name, values in (("type", beats.type), ("bypass", beats.bypass)):
            if name in self.faces["s_core"].fields:
                user |= values.astype(np.int64) << self.faces["s_core"].fields[name][0]
        size = WORD_BYTES * self.lanes
        data = np.ascontiguousarray(beats.words).view(np.uint8)
        ends = np.flatnonzero(beats.last) + 1
        assert ends[-1] == len(beats), "the last beat needs TLAST"
        for first, after in pairwise([0, *ends]):
            rows = slice(first, after)
            keep, users = beats.keep[rows].astype(int).reshape(-1), np.repeat(user[rows], size)
            self.core_source.send_nowait(AxiStreamFrame(data[rows].tobytes(), tkeep=keep.tolist(), tuser=users.tolist()))

    async def run(self, beats, during=None, idle=0, stall=0, late=False):
        """Send `beats` and return them from memory, meanwhile do `during` (a coroutine), and do it all again with the model.

        Raises `Mismatch` at the first difference. `late` says that estimators may be told of an end while data of that type
        passes; what they then miss is taken from their own count of it.
        """
        self.catch_up()
        self.last_beat = self.cycle
        self.pauses(idle, stall)
        self.offer(beats)
        task = cocotb.start_soon(during) if during is not None else None
        while True:
            await ClockCycles(self.dut.clk, QUIET)
            done = len(self.faces["s_core"].beats) == len(beats) and self.cycle - self.last_beat > QUIET
            if done and (task is None or task.done()):
                break
            if task is None or task.done():
                self.check_hanging("s_core", len(beats))
            self.check_hanging("m_core", len(beats), patience=None)
        self.pauses(0, 0)
        writes = list(zip(self.commits, self.issued, strict=True))
        await self.settle()
        missed = await self._missed() if late else {}
        self.commits.clear()
        self.issued.clear()
        packs, returned = self.got("m_mem"), self.got("m_core")
        self.compare(self.got("s_core"), beats, "s_core")
        wanted = self._replay(beats, packs, writes, missed)
        self.compare(packs, wanted, "m_mem")
        self.compare(returned, self.port.read(wanted), "m_core")
        self.report(len(beats))

    def check_hanging(self, face, due, patience=40 * QUIET):
        """Raise ProtocolError if more than the `due` beats passed a face, or nothing passed any for too long."""
        passed = len(self.faces[face].beats)
        if passed > due or (patience is not None and self.cycle - self.last_beat > patience):
            raise ProtocolError(f"{face}: {passed} beats passed, {due} are due; {rerun()}")

    async def stream_only(self, beats, during):
        """Send `beats`, all to be encoded, and check codes and what comes back, but no statistics: ends come thick and fast."""
        self.catch_up()
        self.offer(beats)
        task = cocotb.start_soon(during)
        while not (task.done() and self.cycle - self.last_beat > QUIET and len(self.faces["s_core"].beats) == len(beats)):
            await ClockCycles(self.dut.clk, QUIET)
        packs = self.got("m_mem")
        self.compare(self.got("m_core"), self.port.read(packs), "m_core")
        for t in range(self.types):
            of_type = packs[packs.type == t]
            for name in ("bias", "mean", "inverse"):
                breaks = np.flatnonzero(np.diff(getattr(of_type, name).astype(int)))
                assert of_type.last[breaks].all(), f"{name} of type {t} changed within a tensor; {rerun()}"
            sources = of_type[np.repeat(np.arange(len(of_type)), of_type.keep.sum(axis=1))]
            x = beats[beats.type == t].kept_words().view(np.float32)
            if self.port.mode[t] in SQUEEZING:
                codes = s2fp8.encode(x, np.array([ALPHAS[inverse] for inverse in sources.inverse.tolist()]), sources.mean)
            else:
                codes = encode(x, self.fmt, bias=sources.bias)
            assert np.array_equal(of_type.bytes[of_type.keep], codes), f"codes of type {t} are wrong; {rerun()}"
        self.report(len(beats))

    def got(self, prefix):
        bytes_, keep, user, last = self.faces[prefix].columns(self.lanes)
        zeros = np.zeros(len(last), np.int64)
        types, bypass = user.get("type", zeros).astype(np.uint8), user["bypass"].astype(bool)
        if prefix.endswith("core"):
            return CoreBeats(bytes_.view("<u4"), keep, types, bypass, last)
        return memory_beats(bytes_, keep, types, user, last)

    def compare(self, got, want, where):
        """Bytes that are not kept may be anything."""
        if len(got) != len(want):
            raise Mismatch(f"{where}: got {len(got)} beats, want {len(want)}; {rerun()}")
        for name in ("keep", "type", "bypass", "packed", "squeezed", "bias", "mean", "inverse", "last", "words", "bytes"):
            if not hasattr(want, name):
                continue
            left, right = getattr(got, name), getattr(want, name)
            if name in ("words", "bytes"):
                left = np.where(want.keep, np.ascontiguousarray(left).view(np.uint8), 0)
                right = np.where(want.keep, np.ascontiguousarray(right).view(np.uint8), 0)
            differs = (left != right).reshape(len(want), -1).any(axis=1)
            if differs.any():
                row = int(np.argmax(differs))
                seen, due = (getattr(beats, name)[row] for beats in (got, want))
                raise Mismatch(
                    f"{where}, beat {row} of type {want.type[row]}: {name}: got {_spell(seen)}, want {_spell(due)}; "
                    f"{differs.sum()} differ; {rerun()}"
                )

    def _replay(self, beats, packs, writes, missed):
        """What the model writes, fed in the hardware's order."""
        port = self.port
        cycles = self.faces["s_core"].cycles
        # a write takes effect at once on flags, in the next cycle on ends of passes, and one later on tensors that start
        events = [
            (cycle + later, later, kind, *issued)
            for cycle, issued in writes
            for later, kind in enumerate(("clears", "ends", "starts"))
        ]
        events += [(cycle, 3, "beat", index, None) for index, cycle in enumerate(cycles)]
        events.sort(key=lambda event: event[:2])
        ends = {t: packs[packs.packed & packs.last & (packs.type == t)] for t in range(self.types)}
        ends = {t: zip(of.bias.tolist(), of.mean.tolist(), of.inverse.tolist()) for t, of in ends.items()}
        history = {t: [] for t in range(self.types)}

        def note(cycle):
            for t in range(self.types):
                history[t].append((cycle, port.next_bias(t), port.next_parameters[t]))

        note(-SETTLING)
        waiting, served_before, results = set(), 0, []

        def serve(cycle):
            t = min(waiting)
            waiting.discard(t)
            rest = [
                index for index, at in enumerate(cycles) if at > cycle and beats.type[index] == t and not beats.bypass[index]
            ]
            kept = np.cumsum(_kept_words(beats.keep[rest]).sum(axis=1)) if rest else np.zeros(0, int)
            late = {
                name: int(np.searchsorted(kept, number - port.estimators[name].raw(t).get("missed", 0)) + 1)
                if number > port.estimators[name].raw(t).get("missed", 0)
                else 0
                for (name, of), number in missed.items()
                if of == t
            }
            port.end_pass(t, late=late)
            note(cycle)

        run = []  # beats between which nothing happens

        def write_run(cycle):
            if run:
                results.append(port.write(beats[np.array(run)]))
                run.clear()

        opens, alone = self._opening(beats)
        for cycle, _, kind, what, values in events:
            if kind != "beat" or waiting or alone[what]:
                write_run(cycle)
                note(cycle)
            while waiting and served_before < cycle:  # cycles without a beat
                serve(served_before)
                served_before += 1
            served_before = max(served_before, cycle)
            if kind != "beat":
                waiting |= self._apply(kind, what, values)
                note(cycle)
                continue
            t = int(beats.type[what])
            chosen = port.force[t], port.next_parameters[t]
            if opens[what] and MODES.index(port.mode[t]) >= MODES.index("fp8"):
                self._take_from_hardware(t, next(ends[t], (None, 0, 0)), history[t], cycle)
            run.append(what)
            if waiting or alone[what]:
                write_run(cycle)
                port.force[t], port.next_parameters[t] = chosen
                note(cycle)
                observed = not beats.bypass[what] and port.tensor_mode[t] in OBSERVED
                if waiting and not (observed and beats.last[what] and not port.end_on_epoch[t]):
                    serve(cycle)
            served_before = cycle + 1
        write_run(self.cycle)
        while waiting:
            serve(self.cycle)
        return MemoryBeats.join(results)

    def _opening(self, beats):
        """Which beats begin a tensor; and which ones, those and a few before each, are to be given to the model one by one."""
        opens = np.zeros(len(beats), bool)
        for t in range(self.types):
            rows = np.flatnonzero(~beats.bypass & (beats.type == t))
            opens[rows[:1]] = True
            opens[rows[1:]] = beats.last[rows[:-1]]
        alone = opens.copy()
        for distance in range(1, RECENT + 1):
            alone[:-distance] |= opens[distance:]
        return opens, alone

    def _take_from_hardware(self, t, found, history, cycle):
        """Let a tensor that starts have the bias or parameters that it has in hardware, if they are not too old."""
        port, (bias, *mean_and_inverse) = self.port, found
        recent = [entry for entry in history if cycle - SETTLING < entry[0] <= cycle]
        recent += [entry for entry in history if entry[0] <= cycle - SETTLING][-1:]
        if port.mode[t] in SQUEEZING:
            allowed = {parameters for _, _, parameters in recent}
            for parameters in allowed:
                if [parameters.mean, parameters.inverse] == mean_and_inverse:
                    port.next_parameters[t] = parameters
                    return
            name, got = "mean and inverse", tuple(mean_and_inverse)
            allowed = sorted((parameters.mean, parameters.inverse) for parameters in allowed)
        else:
            allowed = {bias for _, bias, _ in recent} if port.force[t] is None else {port.force[t]}
            if bias in allowed:
                port.force[t] = bias
                return
            name, got, allowed = "bias", bias, sorted(allowed)
        raise Mismatch(f"{name} of type {t} in cycle {cycle}: got {got}, want one of {allowed}; {rerun()}")

    def _apply(self, kind, register, values):
        """Do to the model what writing a register does; the types whose epoch ends."""
        t = int(register[-1]) if register[-1].isdigit() else 0
        port = self.port
        if register.startswith("CONTROL"):
            if kind == "ends":
                port.end_on_epoch[t] = bool(values["end_on_epoch"])
            elif kind == "starts":
                port.mode[t] = MODES[values["mode"]]
                port.estimator[t] = list(ESTIMATORS)[values["estimator"]]
        elif register.startswith("FORCE") and kind == "starts":
            port.force[t] = values["bias"] if values["enable"] else None
        elif register.startswith("FLAGS") and kind == "clears":
            port.flags[t] &= 0xF ^ self.pack_fields(register, values)
        elif register == "MOMENTS":
            self.moments = values
        elif register == "LOAD" and kind == "starts":
            mean, largest = (
                self.moments[f"{name}_whole"] << 8 | self.moments[f"{name}_fraction"] for name in ("mean", "largest")
            )
            for of in range(self.types):
                if values["types"] >> of & 1:
                    port.load(of, mean, largest)
        elif register == "EPOCH" and kind == "ends":
            return {of for of in range(self.types) if values["types"] >> of & 1 and port.end_on_epoch[of]}
        return set()

    async def settle(self):
        """Wait until no estimator is at work, and so long that no older bias counts any more."""
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
            bias, flags, status = [await self.read_register(f"{name}{t}") for name in ("BIAS", "FLAGS", "STATUS")]
            chosen = self.port.estimators.get(self.port.estimator[t])
            want = {
                "BIAS.current": self.port.bias[t],
                "BIAS.next": self.port.next_bias(t),
                "FLAGS": int(self.port.flags[t]),
                "STATUS.settled": int(chosen is not None and chosen.settled[t]),
                "STATUS.open": int(self.port.open[t]),
                "STATUS.mode": MODES.index(self.port.tensor_mode[t] if self.port.open[t] else self.port.mode[t]),
            }
            got = {
                "BIAS.current": bias["current"],
                "BIAS.next": bias["next"],
                "FLAGS": self.pack_fields(f"FLAGS{t}", flags),
                "STATUS.settled": status["settled"],
                "STATUS.open": status["open"],
                "STATUS.mode": status["mode"],
            }
            if "s2fp8" in self.modes:
                squeeze, expand = [await self.read_register(f"{name}{t}") for name in ("SQUEEZE", "EXPAND")]
                alpha = squeeze["alpha_exponent"] << s2fp8.ALPHA_FRACTION_BITS | squeeze["alpha_fraction"]
                got |= {"alpha": alpha, "mean": squeeze["mean"], "inverse": expand["inverse"]}
                want |= vars(self.port.parameters[t]) | {"alpha": self.port.parameters[t].alpha % 2**11}
            for name in self.names:
                names = self.manifest["statistics"][name]
                for index, (statistic, word) in enumerate(
                    zip(names, statistics_words(self.port.estimators[name].raw(t), names))
                ):
                    want[f"{name}.{statistic}"] = int(word)
                    got[f"{name}.{statistic}"] = await self.statistic(name, t, index)
            differences += [f"type {t}: {key}: got {got[key]}, want {want[key]}" for key in want if got[key] != want[key]]
        if differences:
            raise Mismatch(f"{'; '.join(differences[:4])}; {len(differences)} differ; {rerun()}")

    def report(self, beats):
        self._total += beats
        if self._total % PROGRESS_EVERY < beats:
            self._progress.write_text(str(self._total))
        add_to_report(beats * self.lanes, self.cycle - self._reported)
        self._reported = self.cycle


def cycle_through(pattern):
    while True:
        yield from pattern


def memory_beats(bytes_, keep, types, user, last):
    """`MemoryBeats` of what is on the memory's side, `user` being the fields of TUSER by name."""
    dtypes = {"bypass": bool, "packed": bool, "bias": np.uint8, "squeezed": bool, "mean": np.uint16, "inverse": np.uint32}
    fields = {name: user[name].astype(dtype) for name, dtype in dtypes.items() if name in user}
    return MemoryBeats(bytes_, keep, types, last=last, **fields)


def _kept_words(keep):
    return keep.reshape(len(keep), keep.shape[1] // WORD_BYTES, WORD_BYTES).all(axis=2)


def _spell(value):
    return value.tobytes().hex() if np.ndim(value) else str(value)


@cocotb.test
async def registers_answer_on_every_mix_of_pauses(dut):
    bench = PortBench(dut)
    await bench.start()
    parameters = bench.manifest["parameters"]
    assert await bench.read_register("ID") == {"value": int.from_bytes(b"PMFN", "little")}
    version = await bench.read_register("VERSION")
    assert f"{version['major']}.{version['minor']}.{version['patch']}" == bench.manifest["versions"]["narrowfloat"]
    built = sum(1 << code for code, name in enumerate(ESTIMATORS) if name in parameters["estimators"])
    config = {"lanes": bench.lanes, "types": bench.types, "estimators": built, "s2fp8": int(parameters["s2fp8"])}
    assert await bench.read_register("CONFIG") == config
    await bench.check_registers()
    write, read = bench.axil.write_if, bench.axil.read_if
    channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
    words = {name: 0 for name in bench.registers}
    writable = {
        name: sum((1 << field["msb"] + 1) - (1 << field["lsb"]) for field in register["fields"] if field["access"] == "rw")
        for name, register in bench.registers.items()
    }
    plain = [name for name in words if writable[name]] + ["ID", "CONFIG"]
    for name in plain:
        words[name] = bench.pack_fields(name, await bench.read_register(name))
    by_address = {register["address"]: name for name, register in bench.registers.items()}
    space = 1 << len(dut.s_axil_awaddr)
    free = [address for address in range(0, space, 4) if address not in by_address]
    for share in (0, 0.3, 0.8):
        for channel in channels:
            channel.set_pause_generator(cycle_through((bench.rng.random(97) < share).tolist()))
        for _ in range(60):
            name = bench.rng.choice(plain)
            base = bench.registers[name]["address"]
            first = int(bench.rng.integers(4))
            length = int(bench.rng.integers(1, 5 - first))
            value = int(bench.rng.integers(2**32)) & (1 << 8 * length) - 1
            answer = await bench.axil.write(base + first, value.to_bytes(length, "little"))
            assert answer.resp == AxiResp.OKAY
            mask = ((1 << 8 * length) - 1 << 8 * first) & writable[name]
            words[name] = words[name] & ~mask | value << 8 * first & mask
            # a random other one, so that writes that go astray are found
            name = bench.rng.choice(plain)
            got = bench.pack_fields(name, await bench.read_register(name))
            assert got == words[name], f"{name}: got {got:#x}, want {words[name]:#x}; {rerun()}"
            address = int(bench.rng.choice(free)) if free else space
            if free:
                assert (await bench.axil.read(address, 4)).resp == AxiResp.SLVERR, f"read of {address:#x}; {rerun()}"
                assert (await bench.axil.write(address, bytes(4))).resp == AxiResp.SLVERR, f"write of {address:#x}; {rerun()}"
    await bench.reset()
    await bench.check_registers()


@cocotb.test
async def every_mode_with_every_mix_of_idle_cycles_and_back_pressure(dut):
    """Types interleave beat by beat and in bursts, with bypass among them."""
    bench = PortBench(dut)
    await bench.start()
    for number, (idle, stall) in enumerate([(0, 0), (0.1, 0.5), (0.5, 0.1), (0.9, 0), (0, 0.9), (0.5, 0.5)]):
        for t in range(bench.types):
            mode = bench.modes[(t + number) % len(bench.modes)]
            await bench.control(t, mode, bench.names[(t + number) % len(bench.names)])
        streams = [bench.tensor(t, int(bench.rng.integers(100, 300))) for t in range(bench.types)]
        await bench.run(bench.interleave([*streams, bench.bypass(80)], burst=[1, 7][number % 2]), idle=idle, stall=stall)
        await bench.check_registers()


@cocotb.test
async def tensors_of_one_beat(dut):
    """Of types that no estimator ends with them, so that all their statistics can be foreseen."""
    bench = PortBench(dut)
    await bench.start()
    for t in range(bench.types):
        await bench.control(t, bench.modes[(t + 2) % len(bench.modes)], end_on_epoch=True)
    singles = [bench.tensor(int(t), 1) for t in bench.rng.integers(bench.types, size=500)]
    await bench.run(CoreBeats.join(singles), idle=0.2, stall=0.2)
    await bench.run(CoreBeats.join(singles))
    await bench.check_registers()


@cocotb.test
async def special_tensors(dut):
    """All zeros, all equal, two values, outliers, not a word kept."""
    bench = PortBench(dut)
    await bench.start()
    for t in range(bench.types):
        await bench.control(t, bench.encoding(t), bench.names[t % len(bench.names)])

    def equal(value):
        return lambda number: np.full(number, value, np.float32)

    def with_outliers(number):
        x = bench.rng.standard_normal(number).astype(np.float32) * np.float32(1e-4)
        x[:2] = 1e-38, 1e10
        return x

    def of_two(number):
        return bench.rng.choice(np.array([0.5, -8], np.float32), number)

    for make in (equal(0), equal(-3e-5), of_two, with_outliers, equal(np.nan), random_words_of(bench)):
        tensors = [bench.tensor(t, 40, make) for t in range(bench.types)]
        tensors[-1].keep[-5:] = False
        for _ in range(2):
            await bench.run(bench.interleave(tensors, burst=5))
        await bench.check_registers()


def random_words_of(bench):
    return lambda number: random_words(bench.rng, number)


@cocotb.test
async def control_at_random_moments(dut):
    """Modes, estimators, forced biases, flags that are cleared, epochs: tensors stay whole, and all follows the model."""
    bench = PortBench(dut)
    await bench.start()
    # What is missed after an epoch's end in mid-stream is read from counters, which must not saturate for that.
    countable = bench.counters["cnt_width"] >= 16
    for number in range(6):
        # The even types are observed through epochs, which may end in mid-tensor; the others end none, whatever their mode.
        for t in range(bench.types):
            mode = bench.encoding(t, number) if t % 2 == 0 else "frozen"
            await bench.control(t, mode, bench.names[number % len(bench.names)], True)
        streams = []
        for t in range(bench.types):
            lengths = bench.rng.integers(1, [4, 60][number % 2], size=[60, 6][number % 2])
            streams.append(CoreBeats.join([bench.tensor(t, int(length)) for length in lengths]))
        beats = bench.interleave([*streams, bench.bypass(60)], burst=[1, 6, 20][number % 3])

        async def change():
            ended = set()
            for _ in range(60):
                await ClockCycles(dut.clk, int(bench.rng.integers(1, 30)))
                t = int(bench.rng.integers(bench.types))
                what = bench.rng.integers(6)
                if what == 0 and t % 2:
                    await bench.control(t, bench.modes[bench.rng.integers(len(bench.modes))], None, True)
                elif what == 1:
                    await bench.force(t, None if bench.rng.random() < 0.3 else int(bench.rng.integers(64)))
                elif what == 2 and ("s2fp8" not in bench.modes or bench.encoding(t, number) == "fp8" and t % 2 == 0):
                    # flags of S2FP8 come some cycles later, which the model does not know
                    await bench.write_register(f"FLAGS{t}", overflow=1, inexact=int(bench.rng.integers(2)))
                elif what == 3 and t % 2 == 0 and not ended and countable:
                    types = int(bench.rng.integers(1, 2**bench.types)) & 0b01010101
                    ended.add(types)
                    await bench.write_register("EPOCH", types=types)
                elif what == 4:
                    await bench.read_register(f"BIAS{t}")
                elif what == 5 and t % 2 and "s2fp8" in bench.modes:
                    mean, spread = (int(bench.rng.integers(high)) for high in (2**16, 2**12))
                    await bench.load([t], mean, min(mean + spread, 2**16 - 1))

        share = 0.3 * (number % 3)
        await bench.run(beats, change(), idle=share, stall=share, late=True)
        await bench.check_registers()


@cocotb.test
async def read_whatever_memory_holds(dut):
    """Any slots and bytes kept, or none; any bias with every beat; bypass that says it is packed."""
    bench = PortBench(dut)
    await bench.start()
    bench.returning.cancel()
    size = WORD_BYTES * bench.lanes
    for idle, stall in ((0, 0), (0.3, 0.7), (0.7, 0.3)):
        bench.pauses(idle, stall)
        count = 600
        user = {
            name: bench.rng.integers(2 ** (msb - lsb + 1), size=count)
            for name, (lsb, msb) in bench.faces["s_mem"].fields.items()
        }
        keep = bench.rng.random((count, size)) < bench.rng.choice([0, 0.1, 1, 1], size=(count, 1))
        last = np.append(bench.rng.random(count - 1) < 0.2, True)
        types = user.get("type", np.zeros(count, np.int64)).astype(np.uint8)
        data = bench.rng.integers(256, size=(count, size), dtype=np.uint8)
        beats = memory_beats(data, keep, types, user, last)
        bench.begin()
        word = sum(user[name] << lsb for name, (lsb, _) in bench.faces["s_mem"].fields.items())
        for first, after in pairwise([0, *np.flatnonzero(last) + 1]):
            users = np.repeat(word[first:after], size).tolist()
            frame = AxiStreamFrame(
                data[first:after].tobytes(), tkeep=keep[first:after].ravel().astype(int).tolist(), tuser=users
            )
            bench.mem_source.send_nowait(frame)
        want = bench.port.read(beats)
        while len(bench.faces["m_core"].beats) < len(want) or bench.cycle - bench.last_beat < QUIET:
            await ClockCycles(dut.clk, QUIET)
            bench.check_hanging("m_core", len(want))
        bench.compare(bench.got("m_core"), want, "m_core")
        bench.report(count)


@cocotb.test
async def never_a_stall(dut):
    """A beat per clock through epochs of all types, whose ends all fall into the stream; and the latencies."""
    bench = PortBench(dut)
    await bench.start()
    for t in range(bench.types):
        await bench.control(t, bench.encoding(t), bench.names[t % len(bench.names)], end_on_epoch=t % 2 == 1)
    epochs = [[bench.tensor(t, 150) for t in bench.rng.permutation(bench.types)] for _ in range(5)]
    mixed = [bench.interleave([bench.tensor(t, 60) for t in range(bench.types)], burst) for burst in (1, 2, 3)]
    beats = CoreBeats.join([*(tensor for tensors in epochs for tensor in tensors), *mixed])

    async def end_epochs():
        for _ in range(12):
            await ClockCycles(dut.clk, 200)
            await bench.write_register("EPOCH", types=2**bench.types - 1)

    await bench.stream_only(beats, end_epochs())
    accepted = np.array(bench.faces["s_core"].cycles)
    assert bench.faces["s_core"].waited == 0, f"{bench.faces['s_core'].waited} beats had to wait; {rerun()}"
    assert (np.diff(accepted) == 1).all(), f"{np.count_nonzero(np.diff(accepted) != 1)} gaps in the stream; {rerun()}"
    await bench.reset()
    for t in range(bench.types):
        await bench.control(t, "frozen")
    await bench.run(bench.tensor(0, 4))
    latency = bench.manifest["latency"]
    core, out, back, returned = (bench.faces[name].cycles for name in FACES)
    assert out[0] - core[-1] == latency["write"], f"{out[0] - core[-1]} cycles to write; {rerun()}"
    # a packed beat is accepted with its last slot
    assert returned[-1] - back[-1] == latency["read"], f"{returned[-1] - back[-1]} cycles to read; {rerun()}"
    assert returned[-1] - returned[0] == 3, f"4 beats took {returned[-1] - returned[0] + 1} cycles; {rerun()}"


@cocotb.test
async def real_tensors_through_calibration_and_fp8(dut):
    """As in training: epochs in FP32 that are observed, then FP8."""
    bench = PortBench(dut)
    await bench.start()
    tensors = {name: tensor.reshape(-1)[:3000] for name, tensor in real_tensors()[0].items()}
    chosen = [list(tensors.values())[t % len(tensors)] for t in range(bench.types)]
    for epoch in range(6):
        for t in range(bench.types):
            mode = "calibrate" if epoch < 4 else bench.encoding(t)
            await bench.control(t, mode, bench.names[t % len(bench.names)], True)
        beats = [CoreBeats.of_tensor(tensor, t, lanes=bench.lanes) for t, tensor in enumerate(chosen)]
        await bench.run(bench.interleave(beats, burst=8))
        await bench.write_register("EPOCH", types=2**bench.types - 1)
        await bench.settle()
        bench.catch_up()
        await bench.check_registers()


@cocotb.test(skip=not PARAMETERS["s2fp8"])
async def squeezed_tensors_with_the_statistics_of_the_ones_before(dut):
    """Every type in S2FP8, twice the same, so that the second time the parameters suit; then with loaded statistics."""
    bench = PortBench(dut)
    await bench.start()
    for t in range(bench.types):
        await bench.control(t, "s2fp8")
    scales = 2.0 ** bench.rng.integers(-90, 60, size=bench.types)
    tensors = [bench.tensor(t, 60, lambda number: words_near(bench.rng, number, scales[t])) for t in range(bench.types)]
    for idle, stall in ((0, 0), (0.3, 0.3)):
        beats = bench.interleave(tensors, burst=5)
        await bench.run(beats, idle=idle, stall=stall)
        await bench.check_registers()
    ratios = bench.got("m_core").kept_words().view(np.float32) / beats.kept_words().view(np.float32)
    assert np.median(np.abs(ratios - 1)) < 0.05, f"the parameters do not suit; {rerun()}"
    for mean in (0, 1, 30000, 65535):
        for t in range(bench.types):
            await bench.control(t, "s2fp8_frozen")
        await bench.load(range(bench.types), mean, 40000)
        await bench.write_register("FLAGS0", overflow=1, underflow=1, invalid=1)
        await bench.run(bench.interleave(tensors, burst=3))
        await bench.check_registers()


@cocotb.test(skip=not PARAMETERS["s2fp8"] or PARAMETERS["fmt"] != "float8_e5m2")
async def alpha_1_and_whole_beta_is_a_bias(dut):
    """The same codes in memory and the same words back, from S2FP8 with alpha = 1 and from FP8 with the bias 15 + beta."""
    bench = PortBench(dut)
    await bench.start()
    for bias in (0, 1, 14, 15, 40, 62, 63):
        tensors = [bench.tensor(t, 40, random_words_of(bench)) for t in range(bench.types)]
        tensors += [bench.tensor(t, 40) for t in range(bench.types)]
        beats = bench.interleave(tensors, burst=4)
        seen = []
        await bench.load(range(bench.types), 142 - bias << 8, 142 - bias + 15 << 8)
        for mode in ("frozen", "s2fp8_frozen"):
            for t in range(bench.types):
                await bench.control(t, mode)
                await bench.force(t, bias)
            await bench.run(beats)
            seen.append((bench.got("m_mem"), bench.got("m_core")))
        (plain, words), (squeezed, words_of_squeezed) = seen
        assert squeezed.squeezed.all() and not plain.squeezed.any()
        for name in ("bytes", "keep", "last", "type"):
            assert np.array_equal(getattr(plain, name), getattr(squeezed, name)), f"bias {bias}: {name}; {rerun()}"
        bench.compare(words_of_squeezed, words, "m_core")


def words_near(rng, number, scale):
    return (rng.standard_normal(number) * scale).astype(np.float32)


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = PortBench(dut)
    await bench.start()
    for _ in range(4):
        for t in range(bench.types):
            await bench.control(t, bench.encoding(t))
        bench.pauses(0.3, 0.5)
        bench.offer(bench.interleave([bench.tensor(t, 50) for t in range(bench.types)], burst=3))
        await ClockCycles(dut.clk, int(bench.rng.integers(40, 200)))
        for end in (bench.core_source, bench.mem_source, bench.mem_sink, bench.core_sink):
            end.clear()
        await bench.reset()
        for end in (bench.core_source, bench.mem_source, bench.mem_sink, bench.core_sink):
            end.clear()
        await bench.check_registers()
        for t in range(bench.types):
            await bench.control(t, bench.modes[t % len(bench.modes)])
        await bench.run(bench.interleave([bench.tensor(t, 40) for t in range(bench.types)], burst=2))
        await bench.check_registers()
        await bench.reset()
