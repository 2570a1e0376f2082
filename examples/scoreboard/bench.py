"""What both tests share: clock, reset, and sources and sinks of cocotbext-axi that pause at random."""

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

RNG = np.random.default_rng(int(os.environ["COCOTB_RANDOM_SEED"]))


async def reset(dut):
    """Start the clock and hold the reset for some cycles."""
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0


def source(dut, name, elements, pause_rate):
    """What sends frames to a stream whose beats have so many elements, and pauses at this rate."""
    return _pausing(AxiStreamSource(AxiStreamBus.from_prefix(dut, name), dut.clk, dut.rst, byte_lanes=elements), pause_rate)


def sink(dut, name, elements, pause_rate):
    """What receives frames, likewise."""
    return _pausing(AxiStreamSink(AxiStreamBus.from_prefix(dut, name), dut.clk, dut.rst, byte_lanes=elements), pause_rate)


def _pausing(end, rate):
    end.set_pause_generator(_pauses(rate))
    return end


def _pauses(rate):
    while True:
        yield from (RNG.random(1000) < rate).tolist()


async def receive(end, count):
    """The next `count` frames of a sink, with a sideband of its own for every element."""
    return [await with_timeout(end.recv(compact=False), 1, "ms") for _ in range(count)]
