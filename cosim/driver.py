"""Drives every stream of an emitted design at once: sources and sinks of AXI4-Stream, and clock and reset."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from narrowfloat.cosim.report import PROGRESS_EVERY, ProtocolError, rerun
from narrowfloat.golden.reference.streams import Interface

RESET_CYCLES = 3
PERIOD = 10  # ns
# Cycles without a transfer, beyond those in which pauses forbid one and those that a beat takes, after which a design hangs.
PATIENCE = 1000
# Sources and sinks that share a pattern of pauses begin so far apart in it.
_APART = 311


class _End:
    """One stream: its ports, and the pattern of its pauses."""

    def __init__(self, dut, manifest, name):
        self.name = name
        self.interface = Interface(manifest, name)
        self.valid, self.ready = getattr(dut, f"{name}_tvalid"), getattr(dut, f"{name}_tready")
        # As `Interface` has a beat; None where the design has no such port.
        self.parts = [getattr(dut, f"{name}_t{part}", None) for part in ("data", "user", "last", "keep")]

    def begin(self, pauses, offset):
        self.cycles = []  # in which beats passed
        pattern = np.roll(np.zeros(1, bool) if pauses is None else pauses, -offset)
        self.pauses, self._period = pattern.tolist(), len(pattern)

    def pauses_at(self, cycle):
        return self.pauses[cycle % self._period]


class _Source(_End):
    def send(self, beats):
        """Offer `beats` from now on; what lies in the padding of TDATA must not matter, and is now zeros and now ones."""
        if noise := self.interface.data.padding:
            beats = [(data | noise * (number % 2), *rest) for number, (data, *rest) in enumerate(beats)]
        self.beats, self.accepted, self._offered = beats, 0, False

    def drive(self, cycle):
        """Offer the next beat unless this is a pause; one that is offered stays."""
        if self._offered:
            return
        if self.accepted < len(self.beats) and not self.pauses_at(cycle):
            for part, value in zip(self.parts, self.beats[self.accepted], strict=False):
                if part is not None:
                    part.value = value
            self._offered = True
        self.valid.value = self._offered

    def sample(self, cycle):
        """Whether the beat that is offered was taken at this edge."""
        taken = self._offered and bool(self.ready.value)
        if taken:
            self._offered = False
            self.accepted += 1
            self.cycles.append(cycle)
        return taken


class _Sink(_End):
    def receive(self, wanted):
        self.wanted, self.received, self._held, self._ready = wanted, [], None, None

    def drive(self, cycle):
        ready = not self.pauses_at(cycle)
        if ready is not self._ready:
            self._ready = self.ready.value = ready

    def sample(self, cycle):
        """Whether a beat left at this edge or was there to leave.

        Raises
        ------
        ProtocolError
            A beat that waited changed or was taken back.
        """
        if not self.valid.value:
            if self._held is not None:
                raise ProtocolError(f"{self._beat} was taken back while it waited: {_spell(self._held)}; {rerun()}")
            return False
        beat = tuple([0 if part is None else part.value for part in self.parts])
        if self._held not in (None, beat):
            raise ProtocolError(f"{self._beat} changed while it waited: {_spell(self._held)} became {_spell(beat)}; {rerun()}")
        self._held = None if self._ready else beat
        if self._ready:
            self.received.append(beat)
            self.cycles.append(cycle)
        return True

    def stream(self):
        """All that was received, as a `Stream`.

        Raises
        ------
        ProtocolError
            The padding of TDATA is not zero.
        """
        padding = self.interface.data.padding
        for number, (data, *_) in enumerate(self.received if padding else ()):
            if int(data) & padding:
                raise ProtocolError(f"beat {number} of {self.name} has padding that is not zero: {int(data):#x}; {rerun()}")
        return self.interface.unpack(self.received)

    @property
    def _beat(self):
        return f"beat {len(self.received)}" + ("" if self.name == "m_axis" else f" of {self.name}")


@dataclass
class Pauses:
    """Cycles, as bool patterns that repeat, in which no source offers a beat or no sink takes one.

    `by_name` are patterns for single streams, in place of those.
    """

    idle: np.ndarray | None = None
    stall: np.ndarray | None = None
    by_name: dict = field(default_factory=dict)

    @property
    def none(self):
        """Whether nothing is ever in the way."""
        return self.idle is None and self.stall is None and not self.by_name


class Driver:
    """Clock and reset of a design, and how much has gone through it.

    Parameters
    ----------
    dut : cocotb handle
    manifest : dict

    Attributes
    ----------
    cycles, beats : int
        How many have gone by, and how many were accepted, since the last `report`.
    """

    def __init__(self, dut, manifest):
        self.dut = dut
        self.cycles = self.beats = 0
        names = {port["name"] for port in manifest["ports"]}
        # By the name of a stream in which direction it goes.
        self.directions = {
            port["name"].removesuffix("_tvalid"): port["direction"]
            for port in manifest["ports"]
            if port["name"].endswith("_tvalid")
        }
        driven = ("clk", "rst", *(f"{name}_t" for name in self.directions))
        self._others = [
            getattr(dut, port["name"])
            for port in manifest["ports"]
            if port["direction"] == "input" and not port["name"].startswith(driven)
        ]
        # A design without registers has no clock: there a cycle is as long, and what comes out is seen at its end, too.
        self.edge = RisingEdge(dut.clk) if "clk" in names else Timer(PERIOD, "ns")
        self.has_clock = "clk" in names
        self.reset_port, self.in_reset = (dut.rst_n, 0) if "rst_n" in names else (getattr(dut, "rst", None), 1)
        self._progress = Path(os.environ["NARROWFLOAT_PROGRESS"])

    async def start(self):
        """Start the clock, if there is one, and reset the design; its other inputs, as of registers, are 0."""
        for handle in self._others:
            handle.value = 0
        if self.has_clock:
            Clock(self.dut.clk, PERIOD, unit="ns").start()
        await self.reset()

    async def reset(self):
        """Hold reset for some cycles, whatever the design is doing."""
        self.rest()
        if self.has_clock:
            self.reset_port.value = self.in_reset
            for _ in range(RESET_CYCLES):
                await self.edge
            self.reset_port.value = 1 - self.in_reset
        await self.edge

    def rest(self):
        """Offer and take nothing."""

    def progress(self, beats):
        """Tell the runner now and then that so many more beats were accepted."""
        if beats % PROGRESS_EVERY == 0:
            self._progress.write_text(str(self.beats + beats))


class Streams(Driver):
    """All streams of a design, which its manifest names: those that enter as sources, those that leave as sinks.

    Attributes
    ----------
    sources, sinks : dict
        By name, ``s_axis`` and the like, in the manifest's order.
    """

    def __init__(self, dut, manifest):
        super().__init__(dut, manifest)
        self.sources = {name: _Source(dut, manifest, name) for name, way in self.directions.items() if way == "input"}
        self.sinks = {name: _Sink(dut, manifest, name) for name, way in self.directions.items() if way == "output"}
        self._slow = manifest["initiation_interval"] + max(manifest["latency"].values())

    def rest(self):
        for source in self.sources.values():
            source.valid.value = 0
        for sink in self.sinks.values():
            sink.ready.value = 0

    async def run(self, traffic, wanted, pauses, until_accepted=None, quiet_at_end=0):
        """Send what `traffic` has for each source, `Stream`s by name, and return what leaves, the same, and the cycles it took.

        Parameters
        ----------
        traffic : dict
            In place of a `Stream` the name of a sink: its beats come back at once. Sources that are left out send nothing.
        wanted : dict
            How many beats leave each sink, or at most leave it; of sinks that are left out it is not known.
        pauses : Pauses
        until_accepted : int, optional
            Stop, with beats still inside, once so many have been accepted by all sources together.
        quiet_at_end : int
            Go on until in so many cycles no beat has been taken or was there to leave, however many have left.

        Raises
        ------
        ProtocolError
            A beat that waited changed, too many beats leave, or no beat moved for longer than it can have to wait.
        """
        sources, sinks = list(self.sources.values()), list(self.sinks.values())
        for number, sink in enumerate(sinks):
            sink.begin(pauses.by_name.get(sink.name, pauses.stall), _APART * number)
            sink.receive(wanted.get(sink.name, np.inf))
        for number, source in enumerate(sources):
            source.begin(pauses.by_name.get(source.name, pauses.idle), _APART * number)
            source.send(self._beats(source, traffic.get(source.name)))
        patience = PATIENCE + 2 * self._slow + sum(len(end.pauses) for end in (*sources, *sinks))
        edge, cycle, quiet, accepted = self.edge, 0, 0, 0
        while (
            accepted < until_accepted
            if until_accepted is not None
            else (quiet < quiet_at_end if quiet_at_end else any(len(sink.received) < sink.wanted for sink in sinks))
            or any(source.accepted < len(source.beats) for source in sources)
        ):
            for end in (*sources, *sinks):
                end.drive(cycle)
            await edge
            cycle += 1
            quiet += 1
            for source in sources:
                if source.sample(cycle):
                    accepted += 1
                    quiet = 0
                    self.progress(accepted)
            for sink in sinks:
                if sink.sample(cycle):
                    quiet = 0
                    if len(sink.received) > sink.wanted:
                        raise ProtocolError(f"{sink.name}: {len(sink.received)} beats passed, {sink.wanted} are due; {rerun()}")
            if quiet > patience:
                raise ProtocolError(f"nothing moved for {quiet} cycles: {self._account(sources, sinks)}; {rerun()}")
        self.rest()
        self.cycles += cycle
        self.beats += accepted
        return {sink.name: sink.stream() for sink in sinks}, cycle

    def _beats(self, source, stream):
        if isinstance(stream, str):
            return self.sinks[stream].received
        return [] if stream is None else source.interface.pack(stream)

    @staticmethod
    def _account(sources, sinks):
        parts = [f"{source.accepted} of {len(source.beats)} beats were accepted at {source.name}" for source in sources]
        return ", ".join(parts + [f"{len(sink.received)} of {sink.wanted} left at {sink.name}" for sink in sinks])


def _spell(beat):
    return "tdata {}, tuser {}, tlast {}, tkeep {}".format(*beat)
