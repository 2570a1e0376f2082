"""The LBFP dot product against the golden model."""

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream
from narrowfloat.cosim.lbfp_beats import LbfpBench
from narrowfloat.golden.lbfp import dot, lsb_exponent
from narrowfloat.golden.reference.inference import mlp_batch

IMAGES = 16
LENGTHS = (1, 2, 3, 16, 100, 1000)


class DotProductBench(LbfpBench):
    def model(self, stream):
        scale = {
            "antilog": self.parameters["antilog"],
            "guard_bits": self.parameters["guard_bits"],
            "out_bits": self.manifest["product_bits"],
        }
        beats = dot(stream.data["a"], stream.data["b"], self.fmt, **scale, output=self.parameters["output"])
        last = self.ends(stream)
        sums = np.diff(np.cumsum(beats)[last], prepend=0)
        assert np.abs(sums).max() < 2 ** (self.manifest["sum_bits"] - 1)
        exponent = lsb_exponent(self.fmt, stream.user["exponent_a"][last] + stream.user["exponent_b"][last], **scale)
        user = {"exponent": exponent, "user": stream.user["user"][last]}
        return Stream({"sum": sums}, user, np.ones(len(last), bool))

    def ends(self, stream):
        return np.flatnonzero(stream.last)

    def describe(self, stream, beat, column):
        a, b = (stream.data[name][beat].tobytes().hex() for name in "ab")
        return f"{self.fmt.name}, last beat {beat} of lanes 0x{a} * 0x{b}"

    def beats(self, a, b, last, exponent_a=0, exponent_b=0):
        """Beats of codes [beats, lanes]; exponents are integers or arrays [beats]."""
        user = {"exponent_a": exponent_a, "exponent_b": exponent_b}
        return Stream({"a": a, "b": b}, {name: np.broadcast_to(e, len(a)) for name, e in user.items()}, last)

    def random(self, count, lengths=LENGTHS[:4]):
        """About `count` beats, in results of random lengths, with random exponents; some lanes are zero."""
        lengths = self.rng.choice(lengths, -(-count // min(lengths)))
        ends = np.cumsum(lengths)
        ends = ends[: np.searchsorted(ends, count) + 1]
        beats = int(ends[-1])
        last = np.zeros(beats, bool)
        last[ends - 1] = True
        a, b = self.rng.integers(2**self.fmt.bits, size=(2, beats, self.lanes), dtype=np.uint8)
        zero = self.rng.random((2, beats, self.lanes)) < 0.1
        low, high = self.fmt.exponent_range
        exponents = self.rng.integers(low, high + 1, (2, beats))
        return self.beats(np.where(zero[0], a & 2**self.fmt.magnitude_bits, a), np.where(zero[1], 0, b), last, *exponents)


async def _started(dut):
    bench = DotProductBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def random_codes_of_every_length(dut):
    bench = await _started(dut)
    for length in LENGTHS:
        await bench.run(bench.random(max(1000, 3 * length), [length]))
    await bench.run(bench.random(4000))


@cocotb.test
async def largest_sums(dut):
    """As many beats as are allowed, all of the largest product of either sign; then a sum that ends where it began."""
    bench = await _started(dut)
    count = bench.parameters["max_beats"]
    largest, negative = bench.fmt.max_magnitude, 2**bench.fmt.magnitude_bits
    last = np.arange(count) == count - 1
    shape = count, bench.lanes
    a = np.full(shape, largest, np.uint8)
    for b in (a, a | negative, a | np.where(np.arange(count) % 2, negative, 0)[:, None]):
        await bench.run(bench.beats(a, b.astype(np.uint8), last))


@cocotb.test
async def images_through_a_layer(dut):
    """A batch of real images times the first layer of a network, both encoded with calibrated exponents."""
    bench = await _started(dut)
    if (bench.fmt.exp_bits, bench.fmt.block) != (8, None):
        return
    batch = mlp_batch(IMAGES, bench.fmt)
    a, b = (np.pad(codes, ((0, 0), (0, -codes.shape[1] % bench.lanes))) for codes in (batch.a, batch.b))
    beats = a.shape[1] // bench.lanes
    last = np.tile(np.arange(beats) == beats - 1, len(b))
    for image in a:
        rows = np.tile(image.reshape(-1, bench.lanes), (len(b), 1))
        columns = b.reshape(-1, bench.lanes)
        await bench.run(bench.beats(rows, columns, last, batch.exponent_a, batch.exponents_b.repeat(beats)))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.random(100))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.random(60))
