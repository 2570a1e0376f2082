"""The LBFP multiplier against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream
from narrowfloat.cosim.lbfp_beats import LbfpBench
from narrowfloat.golden.lbfp import block_exponent, encode, multiply
from narrowfloat.golden.reference.stimulus import real_tensors


class MultiplierBench(LbfpBench):
    def model(self, stream):
        product = multiply(
            stream.data["a"],
            stream.data["b"],
            self.fmt,
            antilog=self.parameters["antilog"],
            guard_bits=self.parameters["guard_bits"],
            out_bits=self.manifest["product_bits"],
            output=self.parameters["output"],
        )
        return Stream({"lane": product}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        a, b = (int(stream.data[name][beat, lane]) for name in "ab")
        return f"{self.fmt.name} 0x{a:02x} * 0x{b:02x}"

    def pairs(self, a, b):
        """Beats of pairs, the last filled up with zeros."""
        a, b = (np.append(x, np.zeros(-len(x) % self.lanes, np.uint8)).reshape(-1, self.lanes) for x in (a, b))
        return Stream({"a": a, "b": b}, last=self.random_last(len(a)))

    def random(self, count):
        codes = self.rng.integers(2**self.fmt.bits, size=(2, count * self.lanes), dtype=np.uint8)
        return self.pairs(*codes)


async def _started(dut):
    bench = MultiplierBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def every_pair(dut):
    bench = await _started(dut)
    number = 2**bench.fmt.bits
    for _ in range(2):
        a, b = np.divmod(bench.rng.permutation(number**2), number)
        await bench.run(bench.pairs(a.astype(np.uint8), b.astype(np.uint8)))


@cocotb.test
async def real_tensors_times_their_neighbours(dut):
    bench = await _started(dut)
    for tensor in real_tensors()[0].values():
        values = np.resize(tensor.ravel(), 2048)
        codes = encode(values, bench.fmt, int(block_exponent(values, bench.fmt).max()))
        await bench.run(bench.pairs(codes[:-1], codes[1:]))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(100))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.random(60))
