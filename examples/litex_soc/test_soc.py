"""Tests of the SoC in simulation, by cocotb: LiteX's own program at the other end masters the bus, bit by bit."""

from pathlib import Path

import cocotb
import ml_dtypes
import numpy as np
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge, Timer, with_timeout
from host import Host, errors_by_bias
from litex.tools.remote.comm_uart import CommUART
from litex.tools.remote.csr_builder import CSRBuilder
from narrowfloat.golden.memory import CoreBeats, MemoryPort

CSRS = Path(__file__).parent / "build" / "simulated" / "csr.csv"
CLOCK_NS, BIT_CYCLES = 40, 8
BIT_NS = CLOCK_NS * BIT_CYCLES
RNG = np.random.default_rng(1)


class Line:
    """The other end of the serial line, with the methods of `serial.Serial`, for code that runs beside the simulation."""

    def __init__(self, dut):
        self.dut = dut
        self.received = Queue()
        dut.serial_rx.value = 1
        cocotb.start_soon(self.receive())

    async def receive(self):
        while True:
            await FallingEdge(self.dut.serial_tx)
            await Timer(BIT_NS // 2, "ns")
            byte = 0
            for bit in range(8):
                await Timer(BIT_NS, "ns")
                byte |= int(self.dut.serial_tx.value) << bit
            await Timer(BIT_NS, "ns")
            self.received.put_nowait(byte)

    @resume
    async def write(self, data):
        for byte in data:
            for bit in (0, *(byte >> number & 1 for number in range(8)), 1):
                self.dut.serial_rx.value = bit
                await Timer(BIT_NS, "ns")
        return len(data)

    @resume
    async def read(self, size):
        return bytes([await with_timeout(self.received.get(), 1000 * BIT_NS, "ns") for _ in range(size)])

    def inWaiting(self):
        return self.received.qsize()


class SimulatedBus(CommUART):
    """LiteX's program with the simulated line in the place of a port."""

    def __init__(self, line):
        CSRBuilder.__init__(self, comm=self, csr_csv=str(CSRS))
        self.port, self.debug, self.addr_bytes = line, False, 4


def test(function):
    """A test of blocking calls, as a user's program makes them; `function` takes the computer beside a SoC after reset."""

    @cocotb.test(name=function.__name__)
    async def run(dut):
        cocotb.start_soon(Clock(dut.clk, CLOCK_NS, "ns").start())
        line = Line(dut)
        await Timer(10 * BIT_NS, "ns")
        host = Host(SimulatedBus(line))
        await bridge(function)(host)

    return run


@test
def codes_are_those_of_ml_dtypes(host):
    words = np.float32([0, -0.0, np.inf, 448, 464, np.nextafter(np.float32(464), np.float32(1e9)), 2**-10, 3 * 2**-11])
    for word in np.concatenate([words, RNG.normal(size=200).astype(np.float32)]):
        code, _ = host.encode(word)
        expected = np.array([word]).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)[0]
        assert code == expected, f"{word!r}: code {code:#x}, ml_dtypes {expected:#x}"


@test
def port_is_the_golden_model(host):
    """Tensors of two types go by DMA from RAM through the port and its storage to RAM; registers are on the SoC's bus."""
    assert host.get("ID") == {"value": 0x4E464D50}
    model = MemoryPort(lanes=1, types=2, estimators=["tracker"])
    model.mode = ["fp8", "fp8"]
    beats = host.beats()
    for type_ in range(2):
        host.set(f"CONTROL{type_}", mode="fp8", estimator="tracker")
    for turn in range(10):
        type_ = turn % 2
        tensor = RNG.normal(scale=(1e-4, 30)[type_], size=RNG.integers(1, 20)).astype(np.float32)
        assert host.get(f"BIAS{type_}")["next"] == model.next_bias(type_)
        stored = model.write(CoreBeats.of_tensor(tensor, type_, lanes=1))
        beats += len(stored)
        host.write(tensor, type_)
        assert host.beats() == beats
        np.testing.assert_array_equal(host.read(tensor.size), model.read(stored).kept_words().view(np.float32))
    assert model.next_bias(0) > 15 > model.next_bias(1), "the biases do not follow the data"


@test
def better_bias_has_smaller_error(host):
    errors = errors_by_bias(host, (15, 25))
    assert errors[25] < 0.1 < errors[15]


@test
def words_that_bypass_come_back_untouched(host):
    words = RNG.integers(0, 2**32, 9, dtype=np.uint32)
    host.write(words.view(np.float32), bypass=True)
    assert (host.read(words.size).view(np.uint32) == words).all()
