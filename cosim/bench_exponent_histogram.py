"""The exponent histogram against the golden model."""

import cocotb

from cosim.taps import TapBench
from golden.statistics import ExponentHistogram


async def _started(dut):
    bench = TapBench(dut, ExponentHistogram)
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
    await (await _started(dut)).run_real_tensors(1)


@cocotb.test
async def reset_in_mid_stream(dut):
    await (await _started(dut)).run_with_resets()


@cocotb.test
async def reads_in_between(dut):
    await (await _started(dut)).run_reads_in_between()


@cocotb.test
async def latency(dut):
    await (await _started(dut)).run_latency()
