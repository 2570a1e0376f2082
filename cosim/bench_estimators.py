"""The estimators against their golden models."""

import cocotb
from narrowfloat.cosim.report import manifest
from narrowfloat.cosim.taps import TapBench
from narrowfloat.golden.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker

MODELS = {
    "median_estimator": MedianEstimator,
    "exponent_histogram": ExponentHistogram,
    "median_tracker": MedianTracker,
    "log_moments": LogMoments,
}
DESIGN = manifest()["design"]
TRACKS = DESIGN == "median_tracker"  # at any time: there is no work at an end to wait for


async def _started(dut):
    bench = TapBench(dut, MODELS[DESIGN])
    await bench.start()
    return bench


@cocotb.test
async def random_streams(dut):
    await (await _started(dut)).run_random_streams()


@cocotb.test
async def long_stream(dut):
    await (await _started(dut)).run_long_stream()


@cocotb.test
async def tensors_of_one_value(dut):
    await (await _started(dut)).run_short_tensors()


@cocotb.test
async def real_tensors(dut):
    await (await _started(dut)).run_real_tensors(4 if DESIGN == "median_estimator" else 1)


@cocotb.test
async def reset_in_mid_stream(dut):
    await (await _started(dut)).run_with_resets()


@cocotb.test
async def reads_in_between(dut):
    await (await _started(dut)).run_reads_in_between()


@cocotb.test(skip=TRACKS)
async def latency(dut):
    await (await _started(dut)).run_latency()


@cocotb.test(skip=not TRACKS)
async def every_beat(dut):
    """The bias after every single beat."""
    bench = await _started(dut)
    for _ in range(20):
        stream = bench.stream(*bench.mixture(200)[:2])

        async def compare(cycle, stream=stream):
            # the edge of this cycle is past, its outputs are those before it
            bench.check_biases()
            bench.model.observe(stream.words[cycle : cycle + 1], stream.types[cycle : cycle + 1])

        await bench.run(stream, compare)
        bench.drop_events()
        await bench.check()
