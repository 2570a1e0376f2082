"""The LBFP encoder, from FP32 or from fixed point, with exponents given or found, against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream, joined
from narrowfloat.cosim.lbfp_beats import LbfpBench
from narrowfloat.golden.lbfp import block_exponent, encode, encode_fixed
from narrowfloat.golden.reference.spelling import spell_float32
from narrowfloat.golden.reference.stimulus import log_corners, random_words, real_tensors, special_words
from narrowfloat.golden.rounding import LogFlag

RANDOM_WORDS = 400_000


class EncoderBench(LbfpBench):
    def __init__(self, dut):
        super().__init__(dut)
        self.fixed = self.parameters["source"] == "fixed"
        self.found = self.parameters["exponent"] == "max"
        self.bits = self.parameters["fixed_bits"]

    def model(self, stream):
        values = stream.data["lane"]
        user = {"user": stream.user["user"]}
        if self.fixed:
            exponents = [stream.user[name][:, None] for name in ("exponent", "lsb_exponent")]
            codes, flags = encode_fixed(values, self.fmt, *exponents, flags=True)
        else:
            x = values.view(np.float32)
            exponent = stream.user["exponent"]
            if self.found:
                found = block_exponent(x.reshape(-1, self.fmt.block), self.fmt).ravel()
                exponent = user["exponent"] = found.repeat(self.fmt.block // self.lanes)
            codes, flags = encode(x, self.fmt, exponent[:, None], flags=True)
        assert [flag.value for flag in LogFlag] == [1, 2, 4]
        return Stream({"lane": codes}, {**user, "flags": flags}, stream.last)

    def describe(self, stream, beat, lane):
        value = stream.data["lane"][beat, lane]
        said = f"{value} at {stream.user['lsb_exponent'][beat]}" if self.fixed else spell_float32(value)
        return f"{self.fmt.name} exponent {'found' if self.found else stream.user['exponent'][beat]} of {said}"

    def beats(self, values, **user):
        """Beats of values, in whole blocks, the last filled up with zeros; `user` are arrays [values], the same for each beat."""
        group = self.fmt.block if self.found else self.lanes
        values = np.append(values, np.zeros(-len(values) % group, values.dtype)).reshape(-1, self.lanes)
        user = {name: np.broadcast_to(column, len(values)) for name, column in user.items()}
        return Stream({"lane": values}, {"exponent": np.zeros(len(values), int), **user}, self.random_last(len(values)))

    def random(self, count):
        low, high = self.fmt.exponent_range
        group = self.fmt.block // self.lanes if self.found else 1
        count = -(-count // group) * group
        exponent = self.rng.integers(low, high + 1, count)
        if self.fixed:
            return self._random_integers(exponent)
        words = random_words(self.rng, (count, self.lanes))
        # half of them in range, or with found exponents in one another's
        middle = self.rng.integers(0, 256, (count // group, 1)).repeat(group, axis=0) if self.found else exponent[:, None] + 127
        near = np.clip(middle + self.rng.integers(-(2**self.fmt.int_bits) - 3, 3, words.shape), 0, 255)
        words = np.where(self.rng.random(words.shape) < 0.5, words & 0x807FFFFF | near.astype(np.uint32) << 23, words)
        return Stream({"lane": words.astype(np.uint32)}, {"exponent": exponent}, self.random_last(count))

    def _random_integers(self, exponent):
        widths = self.rng.integers(1, self.bits + 1, (len(exponent), self.lanes))
        values = self.rng.integers(-(2**63), 2**63, widths.shape) >> 64 - widths
        # so that the largest of the beat is near the range of the codes
        reach = self.rng.integers(-self.bits, 3, len(exponent))
        return Stream(
            {"lane": values}, {"exponent": exponent, "lsb_exponent": exponent + reach}, self.random_last(len(exponent))
        )


async def _started(dut):
    bench = EncoderBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def every_threshold_at_every_exponent(dut):
    bench = await _started(dut)
    low, high = bench.fmt.exponent_range
    if bench.fixed:
        await _thresholds_of_integers(bench)
        return
    if bench.found:
        # the largest of a block is at the upper end of its range
        for exponent in range(low, high + 1, 5):
            words = bench.rng.permutation(np.tile(log_corners(bench.fmt, exponent), 2))
            await bench.run(bench.beats(words))
        return
    parts = []
    for exponent in range(low, high + 1):
        words = bench.rng.permutation(np.concatenate([log_corners(bench.fmt, exponent), special_words()[exponent % 8 :: 8]]))
        parts.append(bench.beats(words, exponent=exponent))
    stream = joined(parts)
    await bench.run(stream[bench.rng.permutation(len(stream))])


async def _thresholds_of_integers(bench):
    """All fractions that are compared, at every position of the leading one, with all and no bits set below."""
    bits = bench.fmt.frac_bits + 4
    significands = np.arange(2**bits, 2 ** (bits + 1))
    for place in range(bench.bits - 1):
        values = significands << place - bits if place >= bits else significands >> bits - place
        ones = values | 2 ** max(0, place - bits) - 1
        values = np.unique(np.concatenate([values, ones, -values, -ones]))
        for integer in range(-2, 2**bench.fmt.int_bits + 1):
            exponent = int(bench.rng.integers(*bench.fmt.exponent_range))
            lsb = exponent - 2**bench.fmt.int_bits + integer - place
            await bench.run(bench.beats(bench.rng.permutation(values), exponent=exponent, lsb_exponent=lsb))
    extremes = np.array([0, -(2 ** (bench.bits - 1)), 2 ** (bench.bits - 1) - 1, 1, -1])
    low, high = bench.fmt.exponent_range
    reach = 2 ** (bench.fmt.exp_bits + 2)
    for exponent in (low, 0, high):
        for lsb in (-reach, exponent - bench.bits, exponent, reach - 1):
            await bench.run(bench.beats(extremes, exponent=exponent, lsb_exponent=lsb))


@cocotb.test
async def encode_random_values(dut):
    bench = await _started(dut)
    await bench.run(bench.random(-(-RANDOM_WORDS // bench.lanes)))


@cocotb.test
async def encode_real_tensors(dut):
    bench = await _started(dut)
    for tensor in real_tensors()[0].values():
        exponent = int(block_exponent(tensor.reshape(1, -1)[:, : tensor.size], _whole(bench.fmt))[0, 0])
        if bench.fixed:
            values = np.rint(np.ldexp(tensor.astype(np.float64).ravel(), bench.bits - 1 - exponent)).astype(np.int64)
            await bench.run(bench.beats(values[:4096], exponent=exponent, lsb_exponent=exponent + 1 - bench.bits))
        else:
            await bench.run(bench.beats(tensor.ravel().view(np.uint32)[:16384], exponent=exponent))


def _whole(fmt):
    return type(fmt)(name=fmt.name, int_bits=fmt.int_bits, frac_bits=fmt.frac_bits, exp_bits=fmt.exp_bits)


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(100))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.random(60))
