"""The fMAC against the golden model: groups of every precision are cut into passes here, and their dot products compared."""

from dataclasses import dataclass

import cocotb
import numpy as np
from narrowfloat.cosim.beats import Stream, StreamBench
from narrowfloat.golden.bfp import Passes, accumulate_passes, convert, to_passes
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.reference.stimulus import real_tensors

RANDOM_RESULTS = 300
MIXED_RESULTS = 60
REAL_GROUPS = 96  # of each tensor


@dataclass
class Pairs:
    """Pairs of groups: integers [pairs, group], exponents and mantissa bits [pairs], and which pairs end a result."""

    x: np.ndarray
    y: np.ndarray
    x_exponent: np.ndarray
    y_exponent: np.ndarray
    x_bits: np.ndarray
    y_bits: np.ndarray
    last: np.ndarray

    def __len__(self):
        return len(self.last)


class FastMacBench(StreamBench):
    """Sends passes; what leaves is compared with sums of the pairs that they came from."""

    def __init__(self, dut):
        super().__init__(dut)
        self.group = self.parameters["lanes"]
        self.fixed = self.parameters["accumulator"] == "fixed"
        self.chunk_bits = self.parameters["chunk_bits"]
        self.fused = not self.fixed and self.parameters["max_bits"] > self.chunk_bits
        # A fixed accumulator takes groups of any precision.
        most = 8 if self.fixed else self.parameters["max_bits"]
        self.bits = np.arange(self.chunk_bits, most + 1, self.chunk_bits)

    def passes(self, pairs, window=0):
        """The stream of all passes."""
        each = ((pairs.x, pairs.y), (pairs.x_exponent, pairs.y_exponent), (pairs.x_bits, pairs.y_bits))
        passes = to_passes(*map(np.array, each), pairs.last, chunk_bits=self.chunk_bits, window=window)
        names = ("x_exponent", "y_exponent", *(("lower", "complete") if self.fused else ()))
        user = {name: getattr(passes, name).astype(np.int64) for name in names}
        return Stream({"x": passes.x, "y": passes.y}, user, passes.last)

    def model(self, stream):
        single = np.zeros(len(stream), bool), np.ones(len(stream), bool)
        lower, complete = (stream.user[name] != 0 for name in ("lower", "complete")) if self.fused else single
        exponents = stream.user["x_exponent"], stream.user["y_exponent"]
        passes = Passes(stream.data["x"], stream.data["y"], *exponents, lower, complete, stream.last)
        kind = {name: self.parameters[name] for name in ("accumulator", "width", "chunk_bits")}
        total, saturated = accumulate_passes(passes, **kind)
        tags = {"user": stream.user["user"][self.ends(stream)]}
        if self.fixed:
            return Stream({"sum": total}, {"saturated": saturated.astype(np.int64)} | tags)
        return Stream({"sum": total.view(np.uint32)}, tags)

    def ends(self, stream):
        return np.flatnonzero(stream.last)

    def describe(self, stream, beat, column):
        kind = f"{self.parameters['accumulator']} accumulator"
        return f"{kind}, last pass {beat}, exponents {stream.user['x_exponent'][beat]} and {stream.user['y_exponent'][beat]}"

    def random(self, results, longest=4):
        """Pairs with random precisions: random numbers, all of the largest, alternating signs, one large and the rest nothing."""
        lengths = self.rng.integers(1, longest + 1, results)
        count = int(lengths.sum())
        last = np.zeros(count, bool)
        last[np.cumsum(lengths) - 1] = True
        bits = self.rng.choice(self.bits, (2, count))
        shape = 2, count, self.group
        largest = (2**bits - 1)[..., None]
        uniform = np.floor(self.rng.uniform(-1, 1, shape) * (largest + 1)).astype(np.int64).clip(-largest, largest)
        full = np.broadcast_to(largest, shape)
        alternating = full * (-1) ** np.arange(self.group)
        one = np.where(np.arange(self.group) == self.rng.integers(self.group, size=(2, count, 1)), full, 0)
        style = self.rng.integers(6, size=count)[None, :, None]
        x, y = np.select([style == 0, style == 1, style == 2, style == 3], [full, alternating, one, full * 0], uniform)
        return x, y, bits, last

    def fixed_stream(self, results):
        """Sums around a window: most passes inside, some far below and far above."""
        x, y, bits, last = self.random(results)
        width, window = self.parameters["width"], 256
        place = np.where(
            self.rng.random(len(last)) < 0.7,
            self.rng.integers(-10, width // 2, len(last)),
            self.rng.integers(-40, width + 30, len(last)),
        )
        x_exponent = self.rng.integers(100, 160, len(last))
        return self.passes(Pairs(x, y, x_exponent, window + place - x_exponent, *bits, last), window)

    def fp32_stream(self, results):
        """Results whose groups are close to one another or far apart, at all exponents, the smallest and the largest too."""
        x, y, bits, last = self.random(results)
        count = len(last)
        middle = np.repeat(self.rng.integers(1, 255, results), np.diff(np.flatnonzero(last), prepend=-1))
        spread = self.rng.choice([0, 2, 13, 40], count)
        x_exponent = np.clip(middle + self.rng.integers(-1, 2, count) * spread, 1, 254)
        y_exponent = np.where(
            self.rng.random(count) < 0.1, self.rng.integers(1, 255, count), 127 + self.rng.integers(-1, 2, count)
        )
        return self.passes(Pairs(x, y, x_exponent, y_exponent, *bits, last))

    def some(self, results):
        return self.fixed_stream(results) if self.fixed else self.fp32_stream(results)


async def _started(dut):
    bench = FastMacBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def random_groups(dut):
    bench = await _started(dut)
    await bench.run(bench.some(RANDOM_RESULTS))


@cocotb.test
async def infinities_stay(dut):
    """Whatever is added to one: a group of its exponent, opposite in sign, too, which would leave zero of a number."""
    bench = await _started(dut)
    if bench.fixed:
        return
    bits, weight = bench.chunk_bits, 2 * (127 + bench.chunk_bits - 1)
    one = (np.arange(bench.group) == 0).astype(np.int64)
    largest = np.full(bench.group, 2**bits - 1)
    later = [(sign * one, weight + 128 + step) for sign in (-1, 1) for step in (-1, 0, 1)]
    x = np.array([part for group, _ in later for sign in (-1, 1) for part in (sign * largest, group)])
    total = np.array([part for _, exponent in later for _ in range(2) for part in (508, exponent)])
    y = np.where(total[:, None] == 508, largest, one)
    half = total // 2
    width = np.full(len(x), bits)
    await bench.run(bench.passes(Pairs(x, y, half, total - half, width, width, np.arange(len(x)) % 2 == 1)))


@cocotb.test
async def real_tensors_in_groups(dut):
    """Rows of real tensors, in every pair of precisions, times themselves in another order."""
    bench = await _started(dut)
    for tensor in real_tensors()[0].values():
        words = np.resize(tensor.ravel(), (2 * REAL_GROUPS, bench.group))
        for bits in bench.bits:
            groups = convert(words, BlockFormat(name="group", man_bits=8, group=bench.group), rounding="rne", bits=int(bits))
            integers = groups.integers[:, 0].astype(np.int64) // 2 ** (8 - bits)
            a, b = integers[:REAL_GROUPS], integers[REAL_GROUPS:]
            exponents = np.maximum(groups.exponents[:, 0].astype(np.int64), 1).reshape(2, -1)
            last = np.arange(REAL_GROUPS) % 8 == 7
            widths = np.full((2, REAL_GROUPS), bits)
            # most of what is added fits a window that ends at the largest group
            window = int((exponents[0] + exponents[1]).max()) - bench.parameters["width"] + 16 if bench.fixed else 0
            await bench.run(bench.passes(Pairs(a, b, *exponents, *widths, last), window))


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    await bench.run_every_mix(lambda: bench.some(MIXED_RESULTS))


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    await bench.run_with_resets(lambda: bench.some(MIXED_RESULTS))
