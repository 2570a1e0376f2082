"""The random bits of the hardware are those of the model, from any state."""

import pytest
from amaranth.sim import Simulator
from narrowfloat.golden.lfsr import words
from narrowfloat.hdl.parts.lfsr import Lfsr


@pytest.mark.parametrize(("seed", "register", "width"), [(0, 0, 1), (1, 0, 32), (1, 7, 128), (2**32 - 1, 3, 95)])
def test_first_words(seed, register, width):
    lfsr, count, got = Lfsr(seed, register, width), 200, []

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
    assert [[word >> n & 1 for n in range(width)] for word in got] == words(seed, register, count, width).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 1), "seed must be an integer from 0 to 4294967295, not -1"),
        ((2**32, 0, 1), "seed must be an integer from 0 to 4294967295, not 4294967296"),
        ((1, 8, 1), "register must be an integer from 0 to 7, not 8"),
        ((1, 0, 129), "width must be an integer from 1 to 128, not 129"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Lfsr(*arguments)
