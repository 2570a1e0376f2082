"""The bench of every design with streams: what its reference gives goes in, what leaves is held against what it says."""

from functools import wraps

import cocotb
import numpy as np
from narrowfloat.cosim.driver import Driver, Pauses, Streams
from narrowfloat.cosim.report import Mismatch, add_to_report, compare, manifest, rerun
from narrowfloat.golden.reference import load
from narrowfloat.golden.reference.streams import bits_of

SHARES = (0, 0.1, 0.5, 0.9)  # of cycles that are pauses
FREE = Pauses()
# Lengths of patterns of pauses, which have no factor in common.
_IDLE, _STALL, _OTHER = 997, 1009, 1013


class ReferenceBench:
    """A design under test and its reference; `driver_class` drives it.

    Parameters
    ----------
    dut : cocotb handle

    Attributes
    ----------
    reference : narrowfloat.golden.reference.Reference
    rng : numpy.random.Generator
        Which draws the reference's traffic, too.
    driver : narrowfloat.cosim.driver.Driver
    """

    driver_class = Driver

    def __init__(self, dut):
        self.dut, self.manifest = dut, manifest()
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.reference = load(self.manifest, self.rng)
        self.driver = self.driver_class(dut, self.manifest)

    @classmethod
    def test(cls, **options):
        """Make a cocotb test of a coroutine function that takes the bench of a design that has been reset."""

        def made(function):
            @cocotb.test(**options)
            @wraps(function)
            async def started(dut):
                bench = cls(dut)
                await bench.driver.start()
                await function(bench)

            return started

        return made

    async def reset(self):
        """Reset the design, whatever it is doing, and its reference."""
        await self.driver.reset()
        self.reference.reset()

    def report(self):
        """Count the values that went in since the last report, and the cycles."""
        add_to_report(self.driver.beats * self.reference.lanes, self.driver.cycles)
        self.driver.beats = self.driver.cycles = 0


class Bench(ReferenceBench):
    """A design with streams under test."""

    driver_class = Streams

    def pauses(self, idle, stall):
        """Random pauses in these shares of cycles; streams beyond the first in and out have shares of their own."""
        sources, sinks = list(self.driver.sources), list(self.driver.sinks)
        others = {name: self.rng.random(_OTHER) < self.rng.choice(SHARES) for name in sources[1:] + sinks[1:]}
        return Pauses(self.rng.random(_IDLE) < idle, self.rng.random(_STALL) < stall, others)

    async def run(self, traffic, pauses=FREE):
        """Send `traffic` and compare what leaves with the model; return it, streams by name.

        With nothing in the way the cycles must be those that latency and throughput say.
        """
        wanted = self._by_name(self.reference.model(traffic), self.driver.sinks)
        sent = self._by_name(traffic, self.driver.sources)
        got, cycles = await self.driver.run(sent, {name: len(stream) for name, stream in wanted.items()}, pauses)
        for name, stream in wanted.items():
            self._compare(traffic, name, got[name], stream)
        expected = self.reference.cycles(traffic) if pauses.none else None
        if expected not in (None, cycles):
            beats = len(next(iter(sent.values())))
            raise Mismatch(f"{beats} beats took {cycles} cycles, not {expected}: latency or throughput is off; {rerun()}")
        self.report()
        return got

    async def interrupt(self, traffic, pauses, accepted=None):
        """Send `traffic`, and reset the design after so many of its beats were accepted, by default half of them."""
        sent = self._by_name(traffic, self.driver.sources)
        half = sum(len(stream) for stream in sent.values()) // 2 if accepted is None else accepted
        await self.driver.run(sent, {}, pauses, until_accepted=half)
        await self.reset()

    @staticmethod
    def _by_name(traffic, ends):
        return traffic if isinstance(traffic, dict) else {next(iter(ends)): traffic}

    def _compare(self, traffic, name, got, want):
        interface = self.driver.sinks[name].interface
        where = "" if name == "m_axis" else f"{name} "
        if not np.array_equal(got.last, want.last):
            raise Mismatch(f"{where}tlast of beat {np.argmax(got.last != want.last)} is wrong; {rerun()}")
        for port, values, wanted in ((interface.data, got.data, want.data), (interface.user, got.user, want.user)):
            for field, value in values.items():
                expected = bits_of(wanted[field], port.widths[field]).reshape(value.shape)

                def describe(beat, column, field=field, value=value, expected=expected):
                    origin = int(want.origin[beat])
                    label = where + ("" if field == "lane" else f"{field} ")
                    outcome = [self.reference.spell(field, each[beat, column], traffic, origin) for each in (value, expected)]
                    went_in = self.reference.describe(traffic, origin, column)
                    return f"{went_in}: got {label}{outcome[0]}, want {outcome[1]}"

                compare(value.astype(np.uint64), expected, describe)
