"""The random bits of stochastic rounding."""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Signal
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.lfsr import SEED_STEP
from narrowfloat.hdl.parts.logic import Circuit

WIDTH = 32
# x**32 + x**31 + x**30 + x**10 + 1, the reciprocal of the tap set 32, 22, 2, 1. In this orientation a new bit depends on none
# of the nine before it, so that a whole word of new bits is one 4-input XOR per bit and at most four in series.
TAPS = (31, 30, 29, 9)


def seeds(seed, count):
    """Start words of `count` registers, each 32 bits and never zero."""
    return [(seed + SEED_STEP * index) % 2**WIDTH or 1 for index in range(count)]


def lane_words(m, seed, lanes, bits, step):
    """Random bits for each lane, as `golden.lfsr.lane_bits` gives them, from registers that move on where `step` is set."""
    per_register = WIDTH // bits
    words = []
    for index, start in enumerate(seeds(seed, -(-lanes // per_register))):
        m.submodules[f"lfsr{index}"] = lfsr = Lfsr(start)
        m.d.comb += lfsr.step.eq(step)
        words.append(lfsr.word)
    return [words[lane // per_register].word_select(lane % per_register, bits) for lane in range(lanes)]


class Lfsr(Circuit):
    """A linear feedback shift register that gives 32 new bits per step.

    One bit step is ``s = (s << 1) | (s[31] ^ s[30] ^ s[29] ^ s[9])``, one step of this block is 32 of them. The first word is
    the seed. The period is 2**32 - 1 words, as 32 and 2**32 - 1 have no common factor.

    Parameters
    ----------
    seed : int
        1 to 2**32 - 1.

    Members
    -------
    step : In(1)
        Move to the next word at the clock edge.
    word : Out(32)
    """

    step: In(1)
    word: Out(WIDTH)

    def __init__(self, seed):
        check_int("seed", seed, 1, 2**WIDTH - 1)
        self._seed = seed
        super().__init__()

    def build(self, m):
        state = Signal(WIDTH, init=self._seed)
        history = list(state)[::-1]  # oldest bit first
        for _ in range(WIDTH):
            oldest_first = history[-WIDTH:]
            history.append(reduce(xor, (oldest_first[WIDTH - 1 - tap] for tap in TAPS)))
        with m.If(self.step):
            m.d.sync += state.eq(Cat(history[-WIDTH:][::-1]))
        m.d.comb += self.word.eq(state)
