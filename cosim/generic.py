"""Tests of every design that has a reference: they run without being asked for."""

import os

import numpy as np
from narrowfloat.cosim.bench import SHARES, Bench
from narrowfloat.cosim.report import manifest
from narrowfloat.golden.reference import load

REFERENCE = load(manifest())


@Bench.test()
async def corners(bench):
    """Every case that decides a result."""
    for traffic in bench.reference.corners():
        await bench.run(traffic)


@Bench.test()
async def random_values(bench):
    await bench.run(bench.reference.random(bench.reference.random_beats))


@Bench.test(skip=REFERENCE.real is None)
async def real_tensors(bench):
    """Tensors of a network in training; what came of them is kept for the report, one value after the other."""
    kept = {}
    for name, traffic in bench.reference.real():
        got = await bench.run(traffic)
        kept[name] = np.ravel(got["m_axis"].data.get("lane", ()))
    np.savez(os.environ["NARROWFLOAT_TENSORS"], **kept)


@Bench.test()
async def every_mix_of_idle_cycles_and_back_pressure(bench):
    for idle in SHARES:
        for stall in SHARES:
            await bench.run(bench.reference.random(bench.reference.mixed_beats), bench.pauses(idle, stall))


@Bench.test()
async def latency_and_throughput(bench):
    """From one beat to many, with nothing in the way."""
    for beats in (1, 2, 3, 17):
        await bench.run(bench.reference.random(beats))


@Bench.test(skip=not any(port["name"] == "clk" for port in manifest()["ports"]))
async def reset_in_mid_stream(bench):
    """After each reset everything is as if nothing had been before."""
    for _ in range(8):
        await bench.interrupt(bench.reference.random(bench.reference.few_beats), bench.pauses(0.3, 0.3))
        await bench.run(bench.reference.random(bench.reference.few_beats))


@Bench.test(skip=os.environ.get("NARROWFLOAT_STATES") == "2")
async def handshakes_are_known_after_reset(bench):
    """No X at TVALID and TREADY, whatever the registers held; only a simulator with four states can tell."""
    for end in (*bench.driver.sources.values(), *bench.driver.sinks.values()):
        handshake = end.ready if end.name in bench.driver.sources else end.valid
        assert handshake.value.is_resolvable, f"{end.name}: {handshake._name} is {handshake.value} after reset"
