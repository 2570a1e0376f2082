"""Tests of the board in simulation, by cocotb: requests go through the serial line, bit by bit."""

import cocotb
import ml_dtypes
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.queue import Queue
from cocotb.task import bridge, resume
from cocotb.triggers import FallingEdge, Timer, with_timeout
from host import LAST, VALID, Board, errors_by_bias
from narrowfloat import encode
from narrowfloat.golden.memory import CoreBeats, MemoryPort

CLOCK_NS = 10
RNG = np.random.default_rng(1)
E4M3 = ml_dtypes.float8_e4m3fn


class Line:
    """The other end of the serial line, with the methods of `serial.Serial`, for code that runs beside the simulation."""

    def __init__(self, dut):
        self.dut = dut
        self.bit_ns = CLOCK_NS * dut.DIVISOR.value.to_unsigned()
        self.received = Queue()
        dut.rx.value = 1
        cocotb.start_soon(self.receive())

    async def receive(self):
        while True:
            await FallingEdge(self.dut.tx)
            await Timer(self.bit_ns // 2, "ns")
            byte = 0
            for bit in range(8):
                await Timer(self.bit_ns, "ns")
                byte |= int(self.dut.tx.value) << bit
            await Timer(self.bit_ns, "ns")
            assert self.dut.tx.value == 1, "no stop bit"
            self.received.put_nowait(byte)

    @resume
    async def write(self, data):
        for byte in data:
            for bit in (0, *(byte >> number & 1 for number in range(8)), 1):
                self.dut.rx.value = bit
                await Timer(self.bit_ns, "ns")

    @resume
    async def read(self, size):
        return bytes([await with_timeout(self.received.get(), 100 * self.bit_ns, "ns") for _ in range(size)])


def test(function):
    """A test of blocking calls, as a user's program makes them; `function` takes a board that has just been switched on."""

    @cocotb.test(name=function.__name__)
    async def run(dut):
        dut.started.value = 0  # as after configuration: the board has no reset
        cocotb.start_soon(Clock(dut.clk, CLOCK_NS, "ns").start())
        board = Board(Line(dut))
        await Timer(50 * CLOCK_NS, "ns")
        await bridge(function)(board)

    return run


def words_of_all_magnitudes(count):
    """Random float32 words whose exponents reach past both ends of the format, corners, and values between two codes."""
    finite = np.arange(0x7E, dtype=np.uint8).view(E4M3).astype(np.float32)
    between = (finite[1:] + finite[:-1])[::4] / 2
    corners = np.float32([0, -0.0, np.inf, -np.inf, np.nan, 448, 464, np.nextafter(np.float32(464), 1e9), 1e-45, 2**-10])
    random = RNG.normal(size=count) * np.exp2(RNG.integers(-14, 12, count))
    return np.concatenate([corners, between, np.nextafter(between, np.float32(1e9)), -between, random.astype(np.float32)])


@test
def codes_are_those_of_ml_dtypes(board):
    """And the flags those of the golden model: ml_dtypes has none."""
    for word in words_of_all_magnitudes(100):
        code, flags = board.encode(word)
        expected = np.array([word]).astype(E4M3).view(np.uint8)[0]
        assert code == expected, f"{word!r}: code {code:#x}, ml_dtypes {expected:#x}"
        assert flags == encode(word, "float8_e4m3fn", overflow="format", flags=True)[1], f"{word!r}: flags {flags:#06b}"


@test
def words_of_all_codes_are_those_of_ml_dtypes(board):
    for code in range(256):
        expected = np.array([code], np.uint8).view(E4M3).astype(np.float32)[0]
        np.testing.assert_array_equal(board.decode(code), expected, f"code {code:#x}")


@test
def port_is_the_golden_model(board):
    """Tensors of two types with data of two scales: the bias of each follows its own data."""
    model = MemoryPort(lanes=1, types=2, estimators=["tracker"])
    board.set("CONTROL0", mode="fp8", estimator="tracker")
    board.set("CONTROL1", mode="fp8", estimator="tracker")
    model.mode = ["fp8", "fp8"]
    biases, beats = [], 0
    for turn in range(12):
        type_ = turn % 2
        tensor = RNG.normal(scale=(1e-4, 30)[type_], size=RNG.integers(1, 20)).astype(np.float32)
        biases.append(model.next_bias(type_))
        assert board.get(f"BIAS{type_}")["next"] == biases[-1]
        stored = model.write(CoreBeats.of_tensor(tensor, type_, lanes=1))
        beats += len(stored)
        board.write(tensor, type_)
        assert board.beats() == beats
        np.testing.assert_array_equal(board.read(), model.read(stored).kept_words().view(np.float32))
    assert biases[-2] > biases[0] > biases[-1], "the biases do not follow the data"


@test
def bias_can_be_set(board):
    tensor = RNG.normal(scale=1e-4, size=9).astype(np.float32)
    model = MemoryPort(lanes=1, types=2, estimators=["tracker"])
    for bias in (15, 20, 31):
        board.set("CONTROL0", mode="frozen", estimator="tracker")
        board.set("FORCE0", bias=bias, enable=1)
        model.mode[0], model.force[0] = "frozen", bias
        board.write(tensor)
        stored = model.write(CoreBeats.of_tensor(tensor, 0, lanes=1))
        np.testing.assert_array_equal(board.read(), model.read(stored).kept_words().view(np.float32))
    flags = board.get("FLAGS0")
    assert sum(value << number for number, value in enumerate(flags.values())) == model.flags[0]


@test
def better_bias_has_smaller_error(board):
    errors = errors_by_bias(board, (15, 25))
    assert errors[25] < 0.1 < errors[15]


@test
def words_that_bypass_or_are_fp32_come_back_untouched(board):
    words = RNG.integers(0, 2**32, 7, dtype=np.uint32)
    board.set("CONTROL0", mode="fp8", estimator="tracker")
    for arguments in ({"type": 0, "bypass": True}, {"type": 1}):
        board.write(words.view(np.float32), **arguments)
        assert (board.read().view(np.uint32) == words).all()
    assert board.beats() == 14


@test
def full_storage_refuses_and_empties(board):
    words = RNG.normal(size=30).astype(np.float32)
    with pytest.raises(MemoryError, match="the storage is full after (\\d+) of 30 words") as raised:
        board.write(words)
    taken = int(str(raised.value).split()[5])
    assert taken >= 15
    for number in range(taken):
        answer = board.ask(b"R", 5)
        assert answer == bytes([VALID]) + words[number].tobytes()
    assert board.ask(b"R", 5) == bytes(5)
    board.write(words[:1])
    assert board.ask(b"R", 5)[0] == VALID | LAST


@test
def what_is_wrong_is_answered(board):
    assert board.ask(b"x", 1) == b"?"
    assert board.get("ID") == {"value": 0x4E464D50}
    with pytest.raises(ValueError, match="CONTROL0 answers 2 to 0x00000207"):
        board.set("CONTROL0", mode=7, estimator="tracker")
