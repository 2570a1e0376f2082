"""Tests of the precision policy alone: its registers."""

from itertools import product

import cocotb
from cocotb.triggers import ClockCycles
from narrowfloat.cosim.bench import FREE, Bench
from narrowfloat.cosim.registers import Registers
from narrowfloat.cosim.report import manifest

RESET = {"alpha": 39322, "beta": 19661, "iterations": 1, "layers": 1}
WIDTHS = {
    register["name"].lower(): sum(part["msb"] + 1 - part["lsb"] for part in register["fields"])
    for register in manifest()["registers"]
}
# Of cycles that are pauses: with most of them a result waits for longer than it takes to make one.
SHARES = 0, 0.5, 0.99


class PolicyBench(Bench):
    """A policy under test, and its registers."""

    def __init__(self, dut):
        super().__init__(dut)
        self.registers = Registers(self.driver, self.manifest)

    async def set(self, **values):
        """Write registers."""
        for name, value in values.items():
            await self.registers.write(name.upper(), value)
        self.reference.settings |= {name: int(value) for name, value in values.items()}

    async def settings(self):
        """What the registers hold."""
        return {name: await self.registers.read(name.upper()) for name in WIDTHS}

    def random_settings(self):
        """As in use, or anything at all but for no iterations or layers."""
        if self.rng.random() < 0.5:
            return RESET | {"iterations": self.rng.integers(1, 1000), "layers": self.rng.integers(1, 60)}
        return {name: self.rng.integers(name in ("iterations", "layers"), 2**width) for name, width in WIDTHS.items()}


@PolicyBench.test()
async def after_reset_the_registers_are_the_papers(bench):
    assert await bench.settings() == RESET == bench.reference.settings
    await bench.registers.check_after_reset()


@PolicyBench.test()
async def random_tensors_at_random_settings(bench):
    for _ in range(20):
        await bench.set(**bench.random_settings())
        assert await bench.settings() == bench.reference.settings
        await bench.run(bench.reference.random(20))


@PolicyBench.test()
async def corners_of_every_field(bench):
    """With every register at 1 or at its largest value."""
    for values in product(*((1, 2**width - 1) for width in WIDTHS.values())):
        await bench.set(**dict(zip(WIDTHS, values, strict=True)))
        for traffic in bench.reference.corners():
            await bench.run(traffic[:25])


@PolicyBench.test()
async def real_tensors_over_a_training(bench):
    await bench.set(iterations=10, layers=4)
    for _, traffic in bench.reference.real():
        await bench.run(traffic)


@PolicyBench.test()
async def every_mix_of_long_pauses_at_random_settings(bench):
    for idle, stall in product(SHARES, SHARES):
        await bench.set(**bench.random_settings())
        await bench.run(bench.reference.random(6), bench.pauses(idle, stall))


@PolicyBench.test()
async def reset_in_mid_work(bench):
    """After some cycles of work on a tensor: the registers are reset too."""
    for _ in range(5):
        await bench.set(**bench.random_settings())
        traffic = {"s_axis": bench.reference.random(1)}
        work = cocotb.start_soon(bench.driver.run(traffic, {"m_axis": 1}, FREE))
        await ClockCycles(bench.dut.clk, int(bench.rng.integers(1, bench.manifest["latency"]["m_axis"])))
        work.cancel()
        await bench.reset()
        await bench.registers.check_after_reset()
        await bench.run(bench.reference.random(3))
