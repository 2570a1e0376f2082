"""What benches of streaming blocks share: streams of beats, sent, counted, and compared with what the model makes of them."""

from dataclasses import dataclass, field

import cocotb
import numpy as np
from narrowfloat.cosim.drivers import AxiStream
from narrowfloat.cosim.report import compare, manifest


@dataclass
class Stream:
    """Beats: `data` and `user` are integers by field name, [beats, columns] or [beats]; `last` is bool [beats].

    What is negative is packed in two's complement.
    """

    data: dict
    user: dict = field(default_factory=dict)
    last: np.ndarray | None = None

    def __post_init__(self):
        if self.last is None:
            self.last = np.ones(len(next(iter(self.data.values()))), bool)

    def __len__(self):
        return len(self.last)

    def __getitem__(self, rows):
        return Stream(
            {name: values[rows] for name, values in self.data.items()},
            {name: values[rows] for name, values in self.user.items()},
            self.last[rows],
        )


def joined(parts):
    """One stream of all `parts`."""
    return Stream(
        {name: np.concatenate([part.data[name] for part in parts]) for name in parts[0].data},
        {name: np.concatenate([part.user[name] for part in parts]) for name in parts[0].user},
        np.concatenate([part.last for part in parts]),
    )


class StreamBench:
    """A block under test.

    A subclass has ``model(stream)``, which gives the `Stream` that must leave, and ``describe(stream, beat, column)``, which says
    what went in.
    """

    def __init__(self, dut):
        self.manifest = manifest()
        self.parameters = self.manifest["parameters"]
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.stream = AxiStream(dut, self.manifest)
        self.lanes = self.stream.lanes

    async def start(self):
        """Reset the block."""
        await self.stream.start()

    def tagged(self, stream):
        """`stream` with random tags."""
        tags = self.rng.integers(2 ** self.parameters["user_bits"], size=len(stream), dtype=np.uint64)
        return Stream(stream.data, {**stream.user, "user": tags}, stream.last)

    def random_last(self, count):
        """Where packets end, at random: bool [count]."""
        return self.rng.random(count) < 0.1

    async def run(self, stream, idle=None, stall=None):
        """Send `stream` and compare what leaves with the model.

        With neither idle cycles nor back-pressure a beat must be taken in every cycle and the result of the last one leave after the
        block's latency.
        """
        stream = self.tagged(stream)
        want = self.model(stream)
        before = self.stream.cycles
        data, user, last = await self.stream.send(self._packed(stream), idle, stall, results=len(want))
        cycles = self.stream.cycles - before
        if idle is None and stall is None:
            expected = len(stream) + self.manifest["latency"]
            assert cycles == expected, f"{len(stream)} beats took {cycles} cycles, not {expected}: latency or throughput is off"
        got = Stream(data if isinstance(data, dict) else {"lane": data}, user, last)
        self._compare(stream, got, want)
        self.stream.report(self.lanes)

    def _compare(self, stream, got, want):
        ends = self.ends(stream)
        for kind in ("data", "user"):
            ports = self.stream.output_data if kind == "data" else self.stream.output_user
            for name, values in getattr(got, kind).items():
                expected = _bits(getattr(want, kind)[name], ports.widths[name]).reshape(values.shape)

                def describe(beat, column, name=name, values=values, expected=expected):
                    text = f"{name} 0x{int(values[beat, column]):x}, want 0x{int(expected[beat, column]):x}"
                    return f"{self.describe(stream, ends[beat], column)}: got {text}"

                compare(values.astype(np.uint64), expected, describe)
        assert np.array_equal(got.last, want.last), f"tlast of beat {np.argmax(got.last != want.last)} is wrong"

    def ends(self, stream):
        """Of each beat that leaves the one with which it began to: int [results]."""
        return np.arange(len(stream))

    def _packed(self, stream):
        ports = (self.stream.input_data, stream.data), (self.stream.input_user, stream.user)
        data, user = ({name: _bits(columns[name], port.widths[name]) for name in port.fields} for port, columns in ports)
        return self.stream.pack(data, user, stream.last)

    async def run_every_mix(self, make_stream):
        """Run ``make_stream()`` with every mix of few to many idle cycles and of little to much back-pressure."""
        for idle_share in (0, 0.1, 0.5, 0.9):
            for stall_share in (0, 0.1, 0.5, 0.9):
                await self.run(make_stream(), self.rng.random(997) < idle_share, self.rng.random(1009) < stall_share)

    async def run_with_resets(self, make_stream, times=8):
        """Break off, reset and start over; after each reset everything must be as if nothing had been before."""
        for _ in range(times):
            stream = self.tagged(make_stream())
            idle, stall = self.rng.random(97) < 0.3, self.rng.random(101) < 0.3
            await self.stream.send(self._packed(stream), idle, stall, until_accepted=len(stream) // 2)
            await self.stream.reset()
            await self.run(make_stream())


def _bits(values, width):
    """Integers as the unsigned ones with the same `width` lowest bits: uint64."""
    values = np.asarray(values)
    return values.astype(np.int64 if values.dtype.kind in "ib" else np.uint64).astype(np.uint64) & np.uint64(2**width - 1)
