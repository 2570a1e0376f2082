"""The float decoder against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.float_beats import FloatBench
from narrowfloat.cosim.scoreboard import compare, spell_code, spell_float32
from narrowfloat.golden.float_codec import code_dtype, decode, encode


class DecoderBench(FloatBench):
    def check(self, beats, got, user, sent):
        words = np.empty(beats.lanes.shape, np.uint64)
        for index, fmt in enumerate(self.formats):
            rows = beats.format == index
            words[rows] = decode(beats.lanes[rows].astype(code_dtype(fmt)), fmt, bias=beats.bias[rows, None]).view(np.uint32)

        def describe(vector, lane):
            fmt, bias = self.formats[beats.format[vector]], beats.bias[vector]
            source = f"{fmt.name} bias {bias} of {spell_code(beats.lanes[vector, lane], fmt, bias)}"
            return f"{source}: got {spell_float32(got[vector, lane])}, want {spell_float32(words[vector, lane])}"

        compare(got, words, describe)

    def random(self, count):
        return self.random_beats(count, lambda fmt, biases: self.rng.integers(2**fmt.bits, size=biases.shape))


@cocotb.test
async def decode_every_code_at_every_bias(dut):
    bench = DecoderBench(dut)
    await bench.start()
    for index, fmt in enumerate(bench.formats):
        codes, biases = np.meshgrid(np.arange(2**fmt.bits), np.array(bench.biases(fmt)))
        await bench.run(bench.shuffled(codes.ravel(), biases.ravel(), index))


@cocotb.test
async def decode_real_tensors(dut):
    bench = DecoderBench(dut)
    await bench.start()
    await bench.run_real_tensors(lambda tensor, fmt, bias: encode(tensor, fmt, bias=bias))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = DecoderBench(dut)
    await bench.start()
    await bench.run_every_mix(lambda: bench.random(250))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = DecoderBench(dut)
    await bench.start()
    await bench.run_with_resets(lambda: bench.random(60))
