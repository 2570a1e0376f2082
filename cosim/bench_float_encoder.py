"""The float encoder against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.float_beats import FloatBench
from narrowfloat.cosim.scoreboard import compare, spell_code, spell_float32
from narrowfloat.golden.float_codec import encode
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference.stimulus import encoder_corners, random_words_in_range
from narrowfloat.golden.rounding import ROUNDINGS

RANDOM_WORDS = 1_000_000


class EncoderBench(FloatBench):
    def check(self, beats, got, user, sent):
        codes, flags = self._model(beats, sent)

        def describe(vector, lane):
            bias, rounding = beats.bias[vector], ROUNDINGS[beats.rounding[vector]]
            fmt = self.formats[beats.format[vector]]
            outcomes = (
                f"{what} {spell_code(code[vector, lane], fmt, bias)}, flags {int(flag[vector, lane]):04b}"
                for what, code, flag in (("got", got, user.get("flags", flags)), ("want", codes, flags))
            )
            return f"{fmt.name} bias {bias} {rounding} of {spell_float32(beats.lanes[vector, lane])}: {', '.join(outcomes)}"

        compare(got, codes, describe)
        if "flags" in user:
            compare(user["flags"], flags, describe)

    def _model(self, beats, sent):
        """Codes and flags, uint64 [beats, lanes]."""
        codes, flags = (np.empty(beats.lanes.shape, np.uint64) for _ in range(2))
        random = self._random_bits(sent)
        for index, fmt in enumerate(self.formats):
            for code in np.unique(beats.rounding):
                rows = (beats.format == index) & (beats.rounding == code)
                codes[rows], flags[rows] = encode(
                    beats.lanes[rows].view(np.float32),
                    fmt,
                    bias=beats.bias[rows, None],
                    rounding=ROUNDINGS[code],
                    overflow=self.parameters["overflow"],
                    random_bits=random[rows] if ROUNDINGS[code] == "sr" else None,
                    sr_bits=self.parameters["sr_bits"],
                    flags=True,
                )
        return codes, flags

    def _random_bits(self, sent):
        """The bits that the block's own registers give since its reset, or those that were sent."""
        if self.parameters["random"] == "port":
            return sent["random"]
        seed, sr_bits = self.parameters["seed"], self.parameters["sr_bits"]
        return lane_bits(seed, self.since_reset + len(sent["last"]), self.lanes, sr_bits)[self.since_reset :]

    def random(self, count):
        return self.random_beats(count, lambda fmt, biases: random_words_in_range(self.rng, fmt, biases))


@cocotb.test
async def encode_every_boundary_and_midpoint(dut):
    bench = EncoderBench(dut)
    await bench.start()
    for index, fmt in enumerate(bench.formats):
        await bench.run(bench.shuffled(*encoder_corners(fmt, bench.biases(fmt)), index))


@cocotb.test
async def encode_random_words(dut):
    bench = EncoderBench(dut)
    await bench.start()
    await bench.run(bench.random(-(-RANDOM_WORDS // bench.lanes)))


@cocotb.test
async def encode_real_tensors(dut):
    bench = EncoderBench(dut)
    await bench.start()
    await bench.run_real_tensors(lambda tensor, fmt, bias: tensor.view(np.uint32))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = EncoderBench(dut)
    await bench.start()
    await bench.run_every_mix(lambda: bench.random(250))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = EncoderBench(dut)
    await bench.start()
    await bench.run_with_resets(lambda: bench.random(60))
