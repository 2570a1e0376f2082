"""The S2FP8 encoder against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream, StreamBench, joined
from narrowfloat.golden import float_codec
from narrowfloat.golden.reference.spelling import spell_float32
from narrowfloat.golden.reference.stimulus import encoder_corners, random_words, real_tensors, s2_corners, special_words
from narrowfloat.golden.rounding import LogFlag
from narrowfloat.golden.s2fp8 import ALPHA_RANGE, FORMAT, MEAN_RANGE, Parameters, encode, tensor_parameters

RANDOM_WORDS = 200_000


class EncoderBench(StreamBench):
    def model(self, stream):
        values = stream.data["lane"].view(np.float32)
        codes, flags = encode(values, *(stream.user[name][:, None] for name in ("alpha", "mean")), flags=True)
        assert [flag.value for flag in LogFlag] == [1, 2, 4]
        return Stream({"lane": codes}, {"user": stream.user["user"], "flags": flags}, stream.last)

    def describe(self, stream, beat, lane):
        parameters = " ".join(f"{name} {stream.user[name][beat]}" for name in ("alpha", "mean"))
        return f"s2fp8 {parameters} of {spell_float32(stream.data['lane'][beat, lane])}"

    def beats(self, words, alpha, mean):
        """Beats of words, all with the same parameters, the last filled up with zeros."""
        words = np.append(words, np.zeros(-len(words) % self.lanes, np.uint32)).reshape(-1, self.lanes)
        user = {"alpha": np.full(len(words), alpha), "mean": np.full(len(words), mean)}
        return Stream({"lane": words}, user, self.random_last(len(words)))

    def random(self, count):
        """Random words and parameters, in three of four lanes words whose codes are numbers."""
        low, high = ALPHA_RANGE
        alpha = self.rng.integers(low, high + 1, count)
        mean = self.rng.integers(0, MEAN_RANGE[1] + 1, count)
        words = random_words(self.rng, (count, self.lanes))
        reach = 18 / np.exp2(alpha / 128)[:, None]
        near = np.clip((mean[:, None] / 256 + self.rng.uniform(-reach, reach, words.shape)) * 2**23, 0, 2**31 - 1)
        near = near.astype(np.uint32) | words & np.uint32(1 << 31)
        words = np.where(self.rng.random(words.shape) < 0.75, near, words)
        return Stream({"lane": words}, {"alpha": alpha, "mean": mean}, self.random_last(count))


async def _started(dut):
    bench = EncoderBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def every_threshold_with_its_neighbours(dut):
    """Both ends of alpha's fraction and one between at each of its exponents, means from end to end; beats of all mixed."""
    bench = await _started(dut)
    parts = []
    for exponent in range(-8, 8):
        for fraction in (0, int(bench.rng.integers(1, 127)), 127):
            for mean in (0, 127 << 8, int(bench.rng.integers(2**16)), 2**16 - 1):
                alpha = exponent * 128 + fraction
                corners = s2_corners(alpha, mean, (0, int(bench.rng.integers(1, 23))))
                parts.append(bench.beats(bench.rng.permutation(corners), alpha, mean))
    stream = joined(parts)
    await bench.run(stream[bench.rng.permutation(len(stream))])


@cocotb.test
async def alpha_1_is_the_plain_codec(dut):
    """At every eighth bias: the corners of the plain encoder, and what the model of that encoder says."""
    bench = await _started(dut)
    for bias in range(int(bench.rng.integers(8)), 64, 8):
        found = Parameters.of_bias(bias)
        words = np.concatenate([encoder_corners(FORMAT, [bias], swept=0)[0], special_words()])
        stream = bench.beats(words, found.alpha, found.mean)
        want = float_codec.encode(stream.data["lane"].view(np.float32), FORMAT, bias=bias)
        assert np.array_equal(bench.model(bench.tagged(stream)).data["lane"], want)
        await bench.run(stream)


@cocotb.test
async def encode_random_values(dut):
    bench = await _started(dut)
    await bench.run(bench.random(-(-RANDOM_WORDS // bench.lanes)))


@cocotb.test
async def encode_real_tensors(dut):
    bench = await _started(dut)
    for tensor in real_tensors()[0].values():
        found = tensor_parameters(tensor)
        await bench.run(bench.beats(tensor.ravel().view(np.uint32)[:16384], found.alpha, found.mean))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(100))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.random(60))
