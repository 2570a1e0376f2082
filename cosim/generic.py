"""Tests of every design that has a reference: they run without being asked for."""

import os

import cocotb
import numpy as np
from narrowfloat.cosim.bench import SHARES, Bench
from narrowfloat.cosim.report import manifest
from narrowfloat.golden.reference import load

REFERENCE = load(manifest())


@cocotb.test
async def corners(dut):
    """Every case that decides a result."""
    bench = await Bench.started(dut)
    for traffic in bench.reference.corners():
        await bench.run(traffic)


@cocotb.test
async def random_values(dut):
    bench = await Bench.started(dut)
    await bench.run(bench.reference.random(bench.reference.random_beats))


@cocotb.test(skip=REFERENCE.real is None)
async def real_tensors(dut):
    """Tensors of a network in training; what came of them is kept for the report, one value after the other."""
    bench = await Bench.started(dut)
    kept = {}
    for name, traffic in bench.reference.real():
        got = await bench.run(traffic)
        kept[name] = np.ravel(got["m_axis"].data.get("lane", ()))
    np.savez(os.environ["NARROWFLOAT_TENSORS"], **kept)


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await Bench.started(dut)
    for idle in SHARES:
        for stall in SHARES:
            await bench.run(bench.reference.random(bench.reference.mixed_beats), bench.pauses(idle, stall))


@cocotb.test
async def latency_and_throughput(dut):
    """From one beat to many, with nothing in the way."""
    bench = await Bench.started(dut)
    for beats in (1, 2, 3, 17):
        await bench.run(bench.reference.random(beats))


@cocotb.test(skip=not any(port["name"] == "clk" for port in manifest()["ports"]))
async def reset_in_mid_stream(dut):
    """After each reset everything is as if nothing had been before."""
    bench = await Bench.started(dut)
    for _ in range(8):
        await bench.interrupt(bench.reference.random(bench.reference.few_beats), bench.pauses(0.3, 0.3))
        await bench.run(bench.reference.random(bench.reference.few_beats))


@cocotb.test(skip=os.environ.get("NARROWFLOAT_STATES") == "2")
async def handshakes_are_known_after_reset(dut):
    """No X at TVALID and TREADY, whatever the registers held; only a simulator with four states can tell."""
    bench = await Bench.started(dut)
    for end in (*bench.driver.sources.values(), *bench.driver.sinks.values()):
        handshake = end.ready if end.name in bench.driver.sources else end.valid
        assert handshake.value.is_resolvable, f"{end.name}: {handshake._name} is {handshake.value} after reset"
