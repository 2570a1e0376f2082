"""The random bits of stochastic rounding."""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Signal
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.lfsr import DISTANCES, MASK, REGISTER_BITS, WIDTH, register_widths, start
from narrowfloat.hdl.parts.logic import Circuit

MAX_SEED = 2**32 - 1


def lane_words(m, seed, lanes, bits, step):
    """Random bits for each lane, as `golden.lfsr.lane_bits` gives them, from registers that move on where `step` is set."""
    words = []
    for index, width in enumerate(register_widths(lanes, bits)):
        m.submodules[f"lfsr{index}"] = lfsr = Lfsr(seed, index, width)
        m.d.comb += lfsr.step.eq(step)
        words += [lfsr.word[first : first + bits] for first in range(0, width, bits)]
    return words


class Lfsr(Circuit):
    """A linear feedback shift register that gives `width` new bits per step: see `golden.lfsr`.

    Equation: with ``s = state ^ MASK``, `width` times ``s = s >> 1 | (s[0] ^ s[3] ^ s[8] ^ s[11]) << 88``. A new bit depends on
    none of the 77 before it: it is one XOR of four bits, of which neighbours share pairs.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.
    register : int
        0 to 7: registers of one seed are as far apart as those of two.
    width : int
        1 to 128. More than 89 take a second XOR behind the register, and fewer gates than another register.

    Members
    -------
    step : In(1)
        Move on at the clock edge.
    word : Out(width)
    """

    def __init__(self, seed, register, width):
        self._start = start(seed, register)
        self._width = check_int("width", width, 1, REGISTER_BITS)
        super().__init__({"step": In(1), "word": Out(width)})

    def build(self, m):
        state = Signal(WIDTH, init=self._start)
        bits = list(state ^ MASK)
        for _ in range(self._width):
            bits.append(reduce(xor, (bits[len(bits) - distance] for distance in DISTANCES)))
        with m.If(self.step):
            m.d.sync += state.eq(Cat(bits[self._width :]) ^ MASK)
        m.d.comb += self.word.eq(Cat(state, bits[WIDTH:])[: self._width])
