"""The LBFP decoder against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream
from narrowfloat.cosim.lbfp_beats import LbfpBench
from narrowfloat.golden.lbfp import decode


class DecoderBench(LbfpBench):
    def model(self, stream):
        words = decode(stream.data["lane"], self.fmt, stream.user["exponent"][:, None]).view(np.uint32)
        return Stream({"lane": words}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        return f"{self.fmt.name} 0x{int(stream.data['lane'][beat, lane]):02x} exponent {stream.user['exponent'][beat]}"

    def random(self, count):
        low, high = self.fmt.exponent_range
        codes = self.rng.integers(2**self.fmt.bits, size=(count, self.lanes), dtype=np.uint8)
        exponent = self.rng.integers(low, high + 1, count)
        return Stream({"lane": codes}, {"exponent": exponent}, self.random_last(count))


async def _started(dut):
    bench = DecoderBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def every_code_at_every_exponent(dut):
    bench = await _started(dut)
    low, high = bench.fmt.exponent_range
    for _ in range(2):
        codes = bench.rng.permuted(np.tile(np.arange(2**bench.fmt.bits, dtype=np.uint8), (high + 1 - low, 1)), axis=1)
        codes = np.pad(codes, ((0, 0), (0, -codes.shape[1] % bench.lanes)))
        beats = codes.shape[1] // bench.lanes
        exponent = np.arange(low, high + 1).repeat(beats)
        stream = Stream({"lane": codes.reshape(-1, bench.lanes)}, {"exponent": exponent}, bench.random_last(len(exponent)))
        await bench.run(stream[bench.rng.permutation(len(stream))])


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(100))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.random(60))
