"""The random bits of the hardware are those of the model."""

import pytest
from amaranth.sim import Simulator
from narrowfloat.golden.lfsr import words
from narrowfloat.hdl.parts.lfsr import Lfsr


@pytest.mark.parametrize("seed", [1, 0x80000000, 0xFFFFFFFF, 0x9E3779B9])
def test_first_words(seed):
    lfsr, count, got = Lfsr(seed), 200, []

    async def testbench(ctx):
        for number in range(count):
            got.append(ctx.get(lfsr.word))
            ctx.set(lfsr.step, 0)
            await ctx.tick()
            assert ctx.get(lfsr.word) == got[number]
            ctx.set(lfsr.step, 1)
            await ctx.tick()

    simulator = Simulator(lfsr)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert got == words(seed, count).tolist()


@pytest.mark.parametrize("seed", [0, -1, 2**32])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed must be an integer from 1 to 4294967295, not {seed}"):
        Lfsr(seed)
