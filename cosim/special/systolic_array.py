"""Tests of the systolic array alone: products whose cycles are known, and those of a training step."""

from itertools import pairwise

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from narrowfloat.cosim.bench import FREE, Bench
from narrowfloat.cosim.report import manifest
from narrowfloat.golden.bfp import convert, decode, from_mxint8, matmul, to_mxint8
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.reference.bfp.systolic_array import KINDS, UNIT
from narrowfloat.golden.reference.network import load_mnist, output_error, split
from narrowfloat.golden.reference.stimulus import real_tensors

PRODUCTS = 8  # of each kind
STRAYS, STRAY_BEATS = 12, 60  # how often, and how many to each stream
IMAGES, PIXELS, HIDDEN, SEED = 12, 3, 20, 7  # every third pixel
TAKES_MXINT8 = manifest()["parameters"].items() >= {"lanes": 32, "max_bits": 8, "accumulator": "fp32"}.items()


class ArrayBench(Bench):
    """An array under test, which multiplies matrices.

    Attributes
    ----------
    discarded : int
        How often the array has said so since the bench began.
    """

    def __init__(self, dut):
        super().__init__(dut)
        self.discarded = 0
        cocotb.start_soon(self._count())

    async def _count(self):
        while True:
            await self.driver.edge
            self.discarded += self.driver.reset_port.value != self.driver.in_reset and bool(self.dut.discarded.value)

    async def multiply(self, kind, a, b):
        """The product of the rows of `a` with those of `b`, from the array: float32 [len(a), len(b)]."""
        traffic, places = self.reference.product(kind, a, b)
        results = (await self.run(traffic))["m_axis"]
        return self.reference.gathered(places, results, (len(a.codes), len(b.codes)), self.reference.window(a, b))

    async def model(self, kind, a, b):
        """That of the model of matrix products."""
        if not self.reference.fixed:
            return matmul(a, b, accumulator=self.reference.accumulator, bits=self.reference.max_bits)
        window = self.reference.window(a, b)
        sums, _ = matmul(a, b, accumulator="fixed", width=self.reference.width, window=window)
        return np.ldexp(sums.astype(np.float64), window - UNIT).astype(np.float32)

    async def training_step(self, multiply, images, labels):
        """A step of gradient descent on a network of two layers, all products by ``multiply(kind, a, b)``; its new weights.

        Activations and weights are truncated, gradients rounded stochastically, as FAST has it; every tensor is cut into groups
        along what is summed over.
        """
        rng = np.random.default_rng(SEED)
        sizes = (images.shape[1], HIDDEN, 10)
        weights = [rng.standard_normal((n, k), np.float32) * np.float32((2 / k) ** 0.5) for k, n in pairwise(sizes)]

        def groups(x, bits, rounding="rtz"):
            fmt = BlockFormat(name="step", man_bits=min(bits, self.reference.max_bits), group=self.reference.group)
            shape = len(x), -(-x.shape[1] // fmt.group), fmt.group
            random_bits = rng.integers(256, size=shape) if rounding == "sr" else None
            return convert(np.ascontiguousarray(x), fmt, rounding=rounding, random_bits=random_bits)

        hidden = await multiply("forward", groups(images, 2), groups(weights[0], 4))
        active = np.maximum(hidden, 0)
        scores = await multiply("forward", groups(active, 4), groups(weights[1], 4))
        error = output_error(scores, labels)
        back = await multiply("backward", groups(error, 4, "sr"), groups(weights[1].T, 4)) * (hidden > 0)
        new = []
        for weight, gradient, inputs in ((weights[0], back, images), (weights[1], error, active)):
            change = await multiply("gradient", groups(inputs.T, 4), groups(gradient.T, 4, "sr"))
            new.append(weight - np.float32(0.1) * change.T)
        return new


@ArrayBench.test()
async def each_dataflow_in_the_cycles_it_should_take(bench):
    for kind in KINDS:
        for _ in range(PRODUCTS):
            await bench.run(bench.reference.random_product(kind))
            await bench.reset()


@ArrayBench.test()
async def in_place_from_the_start(bench):
    """Known results where no tile has ever been in use: a simulator with four states tells, if it runs nothing before."""
    for _ in range(PRODUCTS):
        await bench.run(bench.reference.random_product("gradient"))


@ArrayBench.test()
async def what_does_not_fit_together_is_discarded(bench):
    """Whatever the fields of beats are, none waits for ever, and what comes later is right."""
    for number in range(STRAYS):
        share = 0.2 * (number % 3)
        bench.discarded = 0
        await bench.run(bench.reference.stray(STRAY_BEATS), bench.pauses(share, share) if share else FREE)
        await ClockCycles(bench.dut.clk, 2)
        assert bench.discarded == bench.reference.discarded > 0
        await bench.run(bench.reference.random_product())
        await bench.reset()


@ArrayBench.test(skip=not TAKES_MXINT8)
async def mxint8_blocks(bench):
    """The dot product of a block of OCP MXINT8 with another is exact but for rounding."""
    words = np.concatenate([tensor.ravel()[:640] for tensor in real_tensors()[0].values()]).reshape(-1, 32)
    a, b = (from_mxint8(*to_mxint8(part)) for part in (words[::7][:11], words[3::7][:9]))
    for kind in KINDS:
        got = await bench.multiply(kind, a, b)
        exact = decode(a).astype(np.float64) @ decode(b).astype(np.float64).T
        assert np.array_equal(got, exact.astype(np.float32)), f"{kind}: not what the blocks mean"


@ArrayBench.test()
async def a_training_step(bench):
    """All products of a step in the array; its weights are those of the model to the last bit."""
    images, labels = load_mnist()
    chosen = split(labels)[0][:IMAGES]
    images, labels = images[chosen][:, ::PIXELS], labels[chosen]
    got = await bench.training_step(bench.multiply, images, labels)
    want = await bench.training_step(bench.model, images, labels)
    for layer, (ours, models) in enumerate(zip(got, want, strict=True)):
        assert np.array_equal(ours.view(np.uint32), models.view(np.uint32)), f"weights of layer {layer} differ"
