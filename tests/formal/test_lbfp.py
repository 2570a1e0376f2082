"""The dot product of logarithms takes every beat once, gives every result once, and cannot overflow in the beats it allows.

Each promise is about one clock edge from any state, so that they hold for results of any length. Products are specified on
their own, by multiplication instead of shifts.
"""

import pytest
import z3
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import antilog_table, product_bits

from tests.formal.codec import emitted
from tests.formal.machine import NO, TIMEOUT, YES, Machine

WIDE = 64  # bits, in which nothing overflows

BUILDS = (
    ("fmt=lbfp5", "lanes=2", "max_beats=5", "user_bits=3"),
    ("fmt=lbfp5", "lanes=2", "max_beats=2", "output=twos_complement", "exponents=0", "reset=sync_low"),
    ("fmt=lbfp8", "lanes=1", "max_beats=7", "guard_bits=8"),
    ("fmt=lbfp8", "lanes=1", "max_beats=16384", "output=twos_complement"),
)
# of which one promise takes minutes
LONG = (("fmt=i2f1", "lanes=4", "max_beats=1000", "out_bits=9"),)


class Dot:
    """An emitted dot product between a state and the next."""

    def __init__(self, settings, folder):
        emission = emitted("lbfp_dot_product", settings)
        self.manifest = emission.manifest
        self.parameters = self.manifest["parameters"]
        self.fmt = LogBlockFormat.parse(self.parameters["fmt"])
        machine = Machine(emission.text, emission.module, folder)
        now, after = machine.state("before"), machine.state("after")
        self.now, self.after = machine.signals(now), machine.signals(after)
        reset = "rst_n" if "rst_n" in self.now else "rst"
        self.in_reset = self.now[reset] == (NO if reset == "rst_n" else YES)
        self.steps = machine.follows(now, after)
        self.taken = z3.And(self.now["s_axis_tvalid"] == YES, self.now["s_axis_tready"] == YES)
        (self.fresh,) = [name for name in machine.registers if "fresh" in name]

    def field(self, signals, port, name, signed=True):
        """A field of a port, with its sign or without, in `WIDE` bits."""
        (described,) = [p for p in self.manifest["ports"] if p["name"] == port]
        (found,) = [f for f in described["fields"] if f["name"] == name]
        bits = z3.Extract(found["msb"], found["lsb"], signals[port])
        extend = z3.SignExt if signed else z3.ZeroExt
        return extend(WIDE - bits.size(), bits)

    def product(self, lane):
        """What the products of a lane must be."""
        a, b = (self.field(self.now, "s_axis_tdata", f"{name}{lane}", signed=False) for name in "ab")
        fmt, word = self.fmt, lambda value: z3.BitVecVal(int(value), WIDE)
        c_a, c_b = (x & fmt.max_magnitude for x in (a, b))
        t, steps = c_a + c_b, 2**fmt.frac_bits
        table = antilog_table(fmt, self.parameters["antilog"], self.manifest["guard_bits"])
        magnitude = word(0)
        for number in range(2 * fmt.max_magnitude + 1):
            value = int(table[number % steps]) * 2 ** (number // steps)
            magnitude = z3.If(t == number, word(value), magnitude)
        magnitude = z3.If(z3.Or(c_a == 0, c_b == 0), word(0), magnitude)
        full = product_bits(fmt, self.parameters["antilog"], self.manifest["guard_bits"])
        dropped = full - self.manifest["product_bits"]
        negative = (a ^ b) & 2**fmt.magnitude_bits != 0
        if self.parameters["output"] == "sign_magnitude":
            magnitude = z3.LShR(magnitude, dropped)
            return z3.If(negative, -magnitude, magnitude)
        return z3.If(negative, -magnitude, magnitude) >> dropped

    def largest(self):
        """The largest magnitude of a product."""
        fmt = self.fmt
        t = 2 * fmt.max_magnitude
        table = antilog_table(fmt, self.parameters["antilog"], self.manifest["guard_bits"])
        value = int(table[t % 2**fmt.frac_bits]) << (t >> fmt.frac_bits)
        dropped = product_bits(fmt, self.parameters["antilog"], self.manifest["guard_bits"]) - self.manifest["product_bits"]
        return -(-value >> dropped) if self.parameters["output"] == "twos_complement" else value >> dropped

    def total(self, signals):
        return self.field(signals, "m_axis_tdata", "sum")


@pytest.fixture(params=[*BUILDS, *(pytest.param(build, marks=pytest.mark.long) for build in LONG)], ids=" ".join)
def dot(request, tmp_path):
    return Dot(request.param, tmp_path)


def prove(dot, promise, *assumptions):
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT)
    solver.add(dot.steps, *assumptions, z3.Not(promise))
    assert solver.check() == z3.unsat


def test_sum_of_as_many_beats_as_allowed_cannot_overflow(dot):
    """After n beats the sum lies within n times all lanes at their largest, and one more beat adds up exactly."""
    lanes, beats = dot.parameters["lanes"], dot.parameters["max_beats"]
    limit = lanes * dot.largest()
    assert beats * limit < 2 ** (dot.manifest["sum_bits"] - 1)
    before = z3.If(dot.now[dot.fresh] == YES, z3.BitVecVal(0, WIDE), dot.total(dot.now))
    number = z3.BitVec("beats", WIDE)
    products = [dot.product(lane) for lane in range(lanes)]
    for product in products:
        prove(dot, z3.And(product <= dot.largest(), product >= -dot.largest()))
    # The products may be anything within their limits from here on: that they are what they should be is the last promise.
    free = z3.BitVecs([f"product{lane}" for lane in range(lanes)], WIDE)
    within = [z3.And(product <= dot.largest(), product >= -dot.largest()) for product in free]
    after = before + sum(free)
    bounded = z3.And(before <= number * limit, before >= -number * limit, number >= 0, number < beats)
    prove(dot, z3.And(after <= (number + 1) * limit, after >= -(number + 1) * limit), bounded, *within)

    exact = before + sum(products)
    width = dot.manifest["sum_bits"]
    shown = z3.Extract(width - 1, 0, exact) == z3.Extract(width - 1, 0, dot.total(dot.after))
    prove(dot, shown, dot.taken, z3.Not(dot.in_reset))


def test_no_beat_is_lost_and_no_result_made_up(dot):
    now, after = dot.now, dot.after
    waiting = z3.And(now["m_axis_tvalid"] == YES, now["m_axis_tready"] == NO)
    ended = z3.And(dot.taken, now["s_axis_tlast"] == YES)
    running = z3.Not(dot.in_reset)
    prove(dot, (now["s_axis_tready"] == YES) == z3.Not(waiting))
    prove(dot, (after["m_axis_tvalid"] == YES) == z3.Or(ended, waiting), running)
    prove(dot, after[dot.fresh] == z3.If(dot.taken, now["s_axis_tlast"], now[dot.fresh]), running)
    kept = [name for name in ("m_axis_tdata", "m_axis_tuser") if name in now]
    prove(dot, z3.And([after[name] == now[name] for name in kept]), z3.Not(dot.taken), running)
    prove(dot, after["m_axis_tvalid"] == NO, dot.in_reset)
    prove(dot, after[dot.fresh] == YES, dot.in_reset)


def test_exponent_is_that_of_the_last_beat(dot):
    if not dot.parameters["exponents"]:
        pytest.skip("it has none")
    full = product_bits(dot.fmt, dot.parameters["antilog"], dot.manifest["guard_bits"])
    offset = full - dot.manifest["product_bits"] - dot.manifest["guard_bits"] - 2 ** (dot.fmt.int_bits + 1)
    given = sum(dot.field(dot.now, "s_axis_tuser", f"exponent_{name}") for name in "ab")
    ended = z3.And(dot.taken, dot.now["s_axis_tlast"] == YES)
    prove(dot, dot.field(dot.after, "m_axis_tuser", "exponent") == given + offset, ended, z3.Not(dot.in_reset))
