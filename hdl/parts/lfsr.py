"""The random bits of stochastic rounding."""

import textwrap
from functools import reduce
from importlib.resources import files
from operator import xor

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.lfsr import (
    DISTANCES,
    MASK,
    ORIGIN,
    REGISTER_BITS,
    REGISTER_NUMBER_BITS,
    SEED_BITS,
    SPACING_BITS,
    WIDTH,
    register_widths,
    start,
)
from narrowfloat.hdl.block import Switch
from narrowfloat.hdl.parts.logic import Circuit, wire

MAX_SEED = 2**SEED_BITS - 1
SEEDING_CYCLES = SEED_BITS + REGISTER_NUMBER_BITS + SPACING_BITS
# What a block with these registers has as members, where its parameter `seed_port` is set.
SEED_PORTS = {"seed_in": In(SEED_BITS), "seed_load": In(1)}


def seed_port():
    """The parameter of a block that draws random bits."""
    return Switch(
        False,
        f"Whether there are ports seed_in and seed_load: a loaded seed counts after {SEEDING_CYCLES} cycles, in which no beat "
        "is rounded.",
    )


def lane_words(m, seed, lanes, bits, step, ports=None):
    """Random bits for each lane, as `golden.lfsr.lane_bits` gives them, from registers that move on where `step` is set.

    `ports` has the members `SEED_PORTS`. Returned is also whether the bits are there, which they are not while registers seed
    themselves.
    """
    words, ready = [], Const(1, 1)
    if ports is not None:
        m.submodules.seeder = seeder = Seeder()
        m.d.comb += [seeder.seed.eq(ports.seed_in), seeder.load.eq(ports.seed_load)]
        ready = ~(ports.seed_load | seeder.busy)
    for index, width in enumerate(register_widths(lanes, bits)):
        m.submodules[f"lfsr{index}"] = lfsr = Lfsr(seed, index, width, seeds=ports is not None)
        m.d.comb += lfsr.step.eq(step)
        if ports is not None:
            m.d.comb += [lfsr.squares.eq(seeder.busy), lfsr.first.eq(seeder.first), lfsr.moves.eq(seeder.moves[index])]
        words += [lfsr.word[first : first + bits] for first in range(0, width, bits)]
    return words, ready


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
    seeds : bool
        Whether it can seed itself.

    Members
    -------
    step : In(1)
        Move on at the clock edge.
    squares, first, moves : In(1)
        Only if `seeds`, and before `step`: square the state, or if `first` that of `ORIGIN`, and then move by a bit if `moves`.
    word : Out(width)
    """

    start_of = "state"  # where the start of `register` goes, in Verilog as a parameter

    def __init__(self, seed, register, width, seeds=False):
        self.register = register
        self._start = start(seed, register)
        self._width = check_int("width", width, 1, REGISTER_BITS)
        self._seeds = seeds
        control = {name: In(1) for name in ("squares", "first", "moves")} if seeds else {}
        super().__init__({"step": In(1), **control, "word": Out(width)})

    def build(self, m):
        state = Signal(WIDTH, init=self._start)
        unmasked = wire(m, WIDTH, state ^ MASK)
        bits = _continued(m, unmasked, self._width, "following")
        next_state = wire(m, WIDTH, Cat(bits[self._width :]) ^ MASK)
        with m.If(self.step):
            m.d.sync += state.eq(next_state)
        if self._seeds:
            # A register that were set to `ORIGIN` would have a second reset, which synthesis mixes up with that to SEED.
            from_ = wire(m, WIDTH, Mux(self.first, ORIGIN, unmasked), "squared_from")
            square = wire(m, WIDTH, Cat(_squared(m, from_)))
            moved = _continued(m, square, 1, "follows_square")[1:]
            with m.If(self.squares):
                m.d.sync += state.eq(Mux(self.moves, Cat(moved), square) ^ MASK)
        m.d.comb += self.word.eq(Cat(state, bits[WIDTH:])[: self._width])


def _continued(m, bits, count, name):
    """The bits, and so many that follow them in the sequence; as many as do not depend on one another are one signal."""
    bits = list(bits)
    end = len(bits) + count
    while len(bits) < end:
        number = min(min(DISTANCES), end - len(bits))
        following = [reduce(xor, (bits[len(bits) + place - distance] for distance in DISTANCES)) for place in range(number)]
        bits.extend(wire(m, number, Cat(following), f"{name}{len(bits)}"))
    return bits


def _squared(m, u):
    """The bits v of the squared element: ``v[2 * n]`` is u[n]. Of ``d[n] = v[2 * n + 1] ^ u[n + 2]`` the rule of the sequence
    makes at even places ``d[n + 44] = u[n] ^ u[n + 3] ^ u[n + 4] ^ u[n + 7]``, at odd ones ``d[n] = d[n + 4] ^ u[n + 45]``."""
    d = [None] * (WIDTH // 2) + [u[n] ^ u[n + 3] ^ u[n + 4] ^ u[n + 7] for n in range(4)]
    for n in reversed(range(WIDTH // 2)):
        d[n] = wire(m, 1, d[n + 4] ^ u[n + 45], f"square{n}")
    return [d[n // 2] ^ u[n // 2 + 2] if n % 2 else u[n // 2] for n in range(WIDTH)]


class Seeder(Circuit):
    """What registers have to do to seed themselves: for each bit of a seed and of their number to square, and to move where
    it is set, then to square for the distance between registers.

    Latency: `SEEDING_CYCLES`.

    Members
    -------
    seed : In(32)
    load : In(1)
        Take the seed, whether busy or not.
    busy : Out(1)
        Registers square in this cycle.
    first : Out(1)
        They begin in this cycle.
    moves : Out(8)
        The register of that number moves by a bit, too.
    """

    def __init__(self):
        numbers = 2**REGISTER_NUMBER_BITS
        super().__init__({"seed": In(SEED_BITS), "load": In(1), "busy": Out(1), "first": Out(1), "moves": Out(numbers)})

    def build(self, m):
        left = Signal(range(SEEDING_CYCLES + 1))
        bits = Signal(SEED_BITS)
        m.d.comb += [self.busy.eq(left.any()), self.first.eq(left == SEEDING_CYCLES)]
        with m.If(self.load):
            m.d.sync += [left.eq(SEEDING_CYCLES), bits.eq(self.seed)]
        with m.Elif(self.busy):
            m.d.sync += [left.eq(left - 1), bits.eq(bits << 1)]
        # after those of the seed come the bits of the register's number
        places = [left == SPACING_BITS + 1 + place for place in range(REGISTER_NUMBER_BITS)]
        for number in range(len(self.moves)):
            own = [at for place, at in enumerate(places) if number >> place & 1]
            m.d.comb += self.moves[number].eq(reduce(lambda one, other: one | other, own, bits[-1]))


def start_function():
    """The text of a Verilog function that does what `golden.lfsr.start` does, for constants."""
    bits = [f"d[{n // 2}]" if n % 2 else f"u[{n // 2}]" for n in reversed(range(WIDTH))]
    odd_and_even = textwrap.fill(", ".join(bits), 110, subsequent_indent=" " * 10)
    text = files("narrowfloat.hdl").joinpath("lfsr_start.v").read_text()
    return text.replace("ORIGIN", f"{ORIGIN:x}").replace("MASK", f"{MASK:x}").replace("INTERLEAVED", odd_and_even)
