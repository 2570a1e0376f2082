"""The unit that gives S2FP8's parameters against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream, StreamBench
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.s2fp8 import parameters
from narrowfloat.golden.statistics import LogMoments

FREE = np.zeros(40, bool)  # the driver gives up after some multiple of these cycles


class ParametersBench(StreamBench):
    def model(self, stream):
        pairs = zip(stream.data["mean"].tolist(), stream.data["largest"].tolist(), strict=True)
        found = [parameters(mean, largest) for mean, largest in pairs]
        data = {name: np.array([getattr(each, name) for each in found]) for name in ("alpha", "mean", "inverse")}
        return Stream(data, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, column):
        return f"s2fp8 mean {stream.data['mean'][beat]} largest {stream.data['largest'][beat]}"

    def stream_of(self, mean, largest):
        """A stream of tensors with these statistics."""
        return Stream({"mean": np.array(mean), "largest": np.array(largest)}, {}, self.random_last(len(mean)))

    def random(self, count):
        """Half of them of tensors as they are: spreads of all magnitudes."""
        mean = self.rng.integers(0, 2**16, count)
        above = np.minimum(mean + (self.rng.integers(2**16, size=count) >> self.rng.integers(0, 16, count)), 2**16 - 1)
        return self.stream_of(mean, np.where(self.rng.random(count) < 0.5, above, self.rng.integers(0, 2**16, count)))

    async def run_freely(self, stream):
        """Without idle cycles and back-pressure, and count the cycles."""
        before = self.stream.cycles
        await self.run(stream, FREE, FREE)
        # `run` reports the cycles and begins anew
        assert before == 0


async def _started(dut):
    bench = ParametersBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def every_kind_of_spread(dut):
    """Up to 40, around every power of two and of 15 / 8 times one, negative ones, and none counted."""
    bench = await _started(dut)
    powers = 2 ** np.arange(16)
    spreads = np.concatenate(
        [np.arange(-3, 41), *(powers + i for i in (-1, 0, 1)), *(powers * 15 // 8 + i for i in (-1, 0, 1, 2))]
    )
    mean = bench.rng.integers(3, 2**16, spreads.size) % (2**16 - np.maximum(spreads, 0))
    mean = np.maximum(mean, np.maximum(-spreads, 0))
    await bench.run_freely(bench.stream_of([*mean, 0, 65535, 17, 0, 65535], [*(mean + spreads), 0, 0, 0, 65535, 65535]))


@cocotb.test
async def random_statistics(dut):
    bench = await _started(dut)
    await bench.run_freely(bench.random(3000))


@cocotb.test
async def cycles_are_as_said(dut):
    bench = await _started(dut)
    stream = bench.tagged(bench.random(20))
    _, _, last = await bench.stream.send(bench._packed(stream), FREE, FREE)
    assert len(last) == 20 and bench.stream.cycles == 20 * bench.manifest["initiation_interval"] + 1
    assert bench.manifest["initiation_interval"] == bench.manifest["latency"]


@cocotb.test
async def statistics_of_real_tensors(dut):
    bench = await _started(dut)
    found = []
    for tensor in real_tensors()[0].values():
        moments = LogMoments(types=1)
        moments.observe(tensor.reshape(-1, 1))
        moments.end(0)
        found.append(moments.raw(0))
    await bench.run_freely(bench.stream_of(*([raw[name] for raw in found] for name in ("mean", "max"))))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(8))


@cocotb.test
async def reset_in_mid_work(dut):
    bench = await _started(dut)
    for _ in range(8):
        stream = bench.tagged(bench.random(6))
        await bench.stream.send(bench._packed(stream), FREE, bench.rng.random(101) < 0.3, until_accepted=3)
        await bench.stream.reset()
        bench.stream.cycles = 0
        await bench.run_freely(bench.random(3))
