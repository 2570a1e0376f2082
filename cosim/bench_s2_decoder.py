"""The S2FP8 decoder against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream, StreamBench
from narrowfloat.golden import float_codec
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.s2fp8 import FORMAT, INVERSE_RANGE, MEAN_RANGE, Parameters, decode, encode, tensor_parameters

CODES = np.arange(256, dtype=np.uint8)


class DecoderBench(StreamBench):
    def model(self, stream):
        parameters = (stream.user[name][:, None] for name in ("inverse", "mean"))
        words = decode(stream.data["lane"], *parameters).view(np.uint32)
        return Stream({"lane": words}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        parameters = " ".join(f"{name} {stream.user[name][beat]}" for name in ("inverse", "mean"))
        return f"s2fp8 {parameters} of 0x{int(stream.data['lane'][beat, lane]):02x}"

    def beats(self, codes, inverse, mean):
        """Beats of codes, all with the same parameters, the last filled up with zeros."""
        codes = np.append(codes, np.zeros(-len(codes) % self.lanes, np.uint8)).reshape(-1, self.lanes)
        user = {"inverse": np.full(len(codes), inverse), "mean": np.full(len(codes), mean)}
        return Stream({"lane": codes}, user, self.random_last(len(codes)))

    def random(self, count):
        inverse = self.rng.integers(0, INVERSE_RANGE[1] + 1, count) >> self.rng.integers(0, 12, count)
        mean = self.rng.integers(0, MEAN_RANGE[1] + 1, count)
        codes = self.rng.integers(256, size=(count, self.lanes), dtype=np.uint8)
        return Stream({"lane": codes}, {"inverse": inverse, "mean": mean}, self.random_last(count))


async def _started(dut):
    bench = DecoderBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def every_code_at_corners_and_random_parameters(dut):
    bench = await _started(dut)
    ends = [(inverse, mean) for inverse in (0, 1, 1 << 17, 2**21, 2**22 - 1) for mean in (0, 1, 255, 127 << 8, 2**16 - 1)]
    others = [
        (int(bench.rng.integers(2**22)) >> int(bench.rng.integers(12)), int(bench.rng.integers(2**16))) for _ in range(400)
    ]
    for inverse, mean in ends + others:
        await bench.run(bench.beats(bench.rng.permutation(CODES), inverse, mean))


@cocotb.test
async def alpha_1_is_the_plain_codec(dut):
    bench = await _started(dut)
    for bias in range(64):
        found = Parameters.of_bias(bias)
        stream = bench.beats(CODES, found.inverse, found.mean)
        want = float_codec.decode(stream.data["lane"], FORMAT, bias=bias).view(np.uint32)
        assert np.array_equal(bench.model(bench.tagged(stream)).data["lane"], want)
        await bench.run(stream)


@cocotb.test
async def decode_random_codes(dut):
    bench = await _started(dut)
    await bench.run(bench.random(50_000))


@cocotb.test
async def decode_real_tensors(dut):
    bench = await _started(dut)
    for tensor in real_tensors()[0].values():
        found = tensor_parameters(tensor)
        codes = encode(tensor.ravel()[:16384], found.alpha, found.mean)
        await bench.run(bench.beats(codes, found.inverse, found.mean))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(250))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.random(60))
