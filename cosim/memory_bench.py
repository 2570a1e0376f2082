"""The bench of the memory port.

All that happens at its interfaces is recorded with the cycle, and then done again with the reference: beats, register writes
and ends of passes in the order in which the hardware took them. What the memory is given comes back at once and is read.
"""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time
from narrowfloat.cosim.bench import FREE, Bench
from narrowfloat.cosim.driver import PERIOD
from narrowfloat.cosim.registers import Registers
from narrowfloat.cosim.report import Mismatch, ProtocolError, rerun
from narrowfloat.golden.memory import ESTIMATORS, MODES
from narrowfloat.golden.reference.memory import SETTLING, Difference, Write, difference

QUIET = 24  # cycles without a beat after which none is left inside


class PortBench(Bench):
    """The port under test, its reference, and what surrounds it."""

    def __init__(self, dut):
        super().__init__(dut)
        self.types, self.names, self.modes = self.reference.types, self.reference.names, self.reference.modes
        self.registers = Registers(self.driver, self.manifest)
        self._commits, self._issued, self._entered = [], [], []
        cocotb.start_soon(self._watch())
        self.is_buffered = self.reference.parameters["ready"] == "registered"
        if self.is_buffered:
            cocotb.start_soon(self._watch_buffer(dut.s_core_buffer))

    async def reset(self):
        await super().reset()
        self.begin()

    def begin(self):
        """Forget what was recorded."""
        for recorded in (self._commits, self._issued, self._entered):
            recorded.clear()

    def catch_up(self):
        """Do to the reference what registers were told since the last run, and begin anew."""
        for register, fields in self._issued:
            for kind in ("clears", "ends", "starts"):
                for t in self.reference.apply(kind, Write(0, register, fields)):
                    self.reference.port.end_pass(t)
        self.begin()

    @property
    def cycle(self):
        """The number of this clock edge."""
        return int(get_sim_time("ns")) // PERIOD

    async def _watch(self):
        """Record in which cycles register writes are taken."""
        while True:
            await RisingEdge(self.dut.clk)
            if self.driver.reset_port.value != self.driver.in_reset and self.dut.s_axil_awready.value:
                self._commits.append(self.cycle)

    async def _watch_buffer(self, buffer):
        """Record in which cycles beats leave the buffer of the core's stream, for what is behind it counts from then on."""
        while True:
            await RisingEdge(self.dut.clk)
            if self.driver.reset_port.value == self.driver.in_reset:
                continue
            if buffer.o_valid.value and buffer.o_ready.value:
                self._entered.append(self.cycle)

    # registers

    async def write_register(self, name, **values):
        """Write a register; fields that are not given become 0."""
        self._issued.append((name, values))
        await self.registers.write(name, self.reference.pack_fields(name, values))

    async def read_register(self, name):
        """A register's fields, int by name."""
        return self.reference.unpack_fields(name, await self.registers.read(name))

    async def control(self, t, mode, estimator=None, end_on_epoch=False):
        """Set a type's mode and estimator."""
        code = list(ESTIMATORS).index(estimator or self.names[0])
        await self.write_register(f"CONTROL{t}", mode=MODES.index(mode), estimator=code, end_on_epoch=int(end_on_epoch))

    async def control_all(self, modes, number=0, end_on_epoch=False):
        """Set the modes of all types, and their estimators, beginning with that of the number, one after the other."""
        for t, mode in enumerate(modes):
            await self.control(t, mode, self.names[(t + number) % len(self.names)], end_on_epoch)

    async def force(self, t, bias):
        """Force a type's bias, or with None let it follow the data."""
        await self.write_register(f"FORCE{t}", enable=int(bias is not None), bias=bias or 0)

    async def load(self, types, mean, max_):
        """Give S2FP8 the statistics `mean` and `max_` of `types`."""
        parts = {"mean_fraction": mean & 255, "mean_whole": mean >> 8}
        parts |= {"max_fraction": max_ & 255, "max_whole": max_ >> 8}
        await self.write_register("MOMENTS", **parts)
        await self.write_register("LOAD", types=sum(1 << t for t in types))
        await self.until_idle(types)

    # runs

    def around(self, beats):
        """`beats` for the core's side to send, which come back from memory, and how many leave at most."""
        return {"s_core": self.reference.stream(beats), "s_mem": "m_mem"}, dict.fromkeys(self.driver.sinks, len(beats))

    async def send(self, traffic, wanted, pauses=FREE, during=None):
        """Send `traffic` and meanwhile do `during` (a coroutine); what leaves to memory and to the core, as beats.

        At most `wanted` of them leave, by interface.
        """
        task = cocotb.start_soon(during) if during is not None else None
        self.started_in = self.cycle
        got, _ = await self.driver.run(traffic, wanted, pauses, quiet_at_end=QUIET)
        if task is not None:
            await task
        self.report()
        return [self.reference.beats(name, got[name]) for name in ("m_mem", "m_core")]

    async def run(self, beats, pauses=FREE, during=None, late=False):
        """Send `beats` and return them from memory, meanwhile do `during`; do it all again with the reference.

        Raises `Mismatch` at the first difference. `late` says that estimators may be told of an end while data of that type
        passes; what they then miss is taken from their own count of it. Returns what went to memory, and what came back.
        """
        self.catch_up()
        packs, returned = await self.send(*self.around(beats), pauses, during)
        writes = [Write(cycle, *issued) for cycle, issued in zip(self._commits, self._issued, strict=True)]
        await self.settle()
        missed = await self._missed() if late else {}
        accepted = [self.started_in + cycle for cycle in self.driver.sources["s_core"].cycles]
        cycles = self._entered.copy() if self.is_buffered else accepted
        self.begin()
        wanted = self._checked(self.reference.replay, beats, cycles, packs, writes, self.cycle, missed)
        self.compare(packs, wanted, "m_mem")
        self.compare(returned, self.reference.port.read(wanted), "m_core")
        return packs, returned

    async def stream_only(self, beats, during):
        """Send `beats`, all to be encoded; check codes and what comes back, but no statistics: ends follow too closely."""
        self.catch_up()
        packs, returned = await self.send(*self.around(beats), during=during)
        self.compare(returned, self.reference.port.read(packs), "m_core")
        self._checked(self.reference.check_codes, beats, packs)

    @staticmethod
    def _checked(check, *arguments):
        try:
            return check(*arguments)
        except Difference as difference:
            raise Mismatch(f"{difference}; {rerun()}") from None

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

    async def _statistic(self, t, place):
        await self.write_register("STAT_INDEX", **place, type=t)
        return await self.registers.read("STAT_DATA")

    async def _missed(self):
        """What the estimators have missed since reset, by name and type."""
        places = {(name, t): f"{name}.missed" for name in self.names for t in range(self.types)}
        known = self.reference.raw_statistics
        return {(name, t): await self._statistic(t, known[key]) for (name, t), key in places.items() if key in known}

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
        words = {name: await self.registers.read(f"{name}{t}") for name in self.reference.state_registers}
        raw = {name: await self._statistic(t, place) for name, place in self.reference.raw_statistics.items()}
        return self.reference.read_state(t, words) | raw
