"""Tests of the block floating-point converter alone."""

import numpy as np
from narrowfloat.cosim.bench import Bench
from narrowfloat.cosim.driver import Pauses
from narrowfloat.cosim.report import manifest


@Bench.test(skip=not manifest()["parameters"]["sums"])
async def sums_that_are_not_taken_stop_no_tensor_but_the_next(bench):
    traffic = bench.reference.random(16 * bench.reference.group_beats)
    await bench.run(traffic, Pauses(by_name={"m_sums": np.arange(200) < 199}))


@Bench.test()
async def groups_of_extremes(bench):
    """The corners that take little time."""
    for traffic in bench.reference.extremes():
        await bench.run(traffic)
