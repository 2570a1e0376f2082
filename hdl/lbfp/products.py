"""What multipliers and dot products share: the sum of two logarithms, a table of powers of two, and a shift."""

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import (
    ANTILOGS,
    MAX_GUARD_BITS,
    OUTPUTS,
    antilog_table,
    lsb_exponent,
    product_bits,
    table_guard_bits,
)
from narrowfloat.hdl.block import Block, Choice, Format, Integer, Relation
from narrowfloat.hdl.parts.logic import Circuit, switch, wire
from narrowfloat.hdl.parts.stream import beats_of


class Antilog:
    """The table of a multiplier (`golden.lbfp.antilog_table`), and what follows from it.

    Attributes
    ----------
    guard_bits, out_bits : int
        Those given, or what they are where none is given: `out_bits` is then `usual_bits`, or `full_bits` if they are fewer.
    table : list of int
    full_bits : int
        Width of a full product with its sign.
    dropped : int
        How many bits are cut off below.
    largest : int
        The largest magnitude of a product that was cut.
    """

    def __init__(self, fmt, mode, guard_bits, out_bits, usual_bits):
        self.guard_bits = table_guard_bits(fmt, mode, guard_bits)
        self.table = antilog_table(fmt, mode, guard_bits).tolist()
        self.full_bits = product_bits(fmt, mode, guard_bits)
        self.out_bits = min(usual_bits, self.full_bits) if out_bits is None else out_bits
        self.dropped = self.full_bits - self.out_bits
        # Both factors at their largest: t = 2**(int_bits + frac_bits + 1) - 2.
        t = 2 * fmt.max_magnitude
        self.largest = self.table[t % 2**fmt.frac_bits] << (t >> fmt.frac_bits) >> self.dropped
        self.lsb_offset = lsb_exponent(fmt, 0, antilog=mode, guard_bits=guard_bits, out_bits=self.out_bits)


class Products(Block):
    """What multiplier and dot product have in common.

    Fields
    ------
    a, b
        A code {sign, c} of either factor.
    """

    fmt = Format("lbfp8", LogBlockFormat, "Format of the factors.", place=0)
    antilog = Choice("lut", ANTILOGS, "The table of powers of two: nearest integers, two straight lines, or one.")
    guard_bits = Integer(
        None,
        0,
        MAX_GUARD_BITS,
        "Fraction bits of the table; else 5, or as many as fmt has if that is more or antilog=mitchell.",
    )
    out_bits = Integer(None, 2, 41, "Bits kept of a signed product; else 16, or 14 in a dot product, or all if they are fewer.")
    output = Choice("twos_complement", OUTPUTS, "Form of a product: in two's complement, or {sign, magnitude}.")
    relations = (
        Relation(
            "guard_bits must be at least the fraction bits of fmt; with antilog=lut at least 4, or 5 for 6 fraction bits",
            lambda guard_bits, antilog, fmt: guard_bits is None or guard_bits >= _least_guard_bits(antilog, fmt),
        ),
        # Fewer would cut off the table's last bits from the largest product, too.
        Relation(
            "out_bits must be from guard_bits + 2 to the full product's, guard_bits + 2**(int_bits + 1) + 1",
            lambda out_bits, guard_bits, antilog, fmt: out_bits is None or _keeps_enough(out_bits, guard_bits, antilog, fmt),
        ),
    )
    usual_bits = 16

    def prepare(self):
        self.table = Antilog(self.fmt, self.antilog, self.guard_bits, self.out_bits, self.usual_bits)

    @property
    def facts(self):
        return {"guard_bits": self.table.guard_bits, "product_bits": self.table.out_bits}


def _keeps_enough(out_bits, guard_bits, antilog, fmt):
    if guard_bits is None:
        guard_bits = table_guard_bits(fmt, antilog)
    return guard_bits + 2 <= out_bits <= guard_bits + 2 ** (fmt.int_bits + 1) + 1


def _least_guard_bits(antilog, fmt):
    # With 4 guard bits and 6 fraction bits the last entry would be rounded up to 2**(G + 1).
    return max(4, fmt.frac_bits - 1) if antilog == "lut" else fmt.frac_bits


def log_sum_layout(fmt):
    """Layout of a product whose logarithms are added: sign, t, and whether a factor is zero."""
    return data.StructLayout({"sign": 1, "t": fmt.magnitude_bits + 1, "zero": 1})


def log_sum(m, fmt, a, b, result):
    """Add the logarithms of two codes."""
    c_a, c_b = a[: fmt.magnitude_bits], b[: fmt.magnitude_bits]
    zero = ~c_a.any() | ~c_b.any()
    m.d.comb += [
        # Without a sign a zero is quiet in what follows, which saves energy on real tensors.
        result.sign.eq((a[-1] ^ b[-1]) & ~zero),
        result.t.eq(c_a + c_b),
        result.zero.eq(zero),
    ]


def _is_twos_complement(output):
    return output == "twos_complement"


def power_layout(fmt, antilog, output):
    """Layout of a product before it is shifted: its significand, in two's complement negated if the signs differ, T, and as in
    `log_sum_layout`."""
    bits = antilog.guard_bits + 1 + _is_twos_complement(output)
    return data.StructLayout({"sign": 1, "power": bits, "distance": fmt.int_bits + 1, "zero": 1})


class Power(Circuit):
    """Fraction bits of the sum of two logarithms to the power of two that a table has for them, in two's complement negated if
    the signs differ."""

    def __init__(self, fmt, antilog, output):
        self._antilog, self._twos_complement = antilog, _is_twos_complement(output)
        power = power_layout(fmt, antilog, output).members["power"]
        super().__init__({"fraction": In(fmt.frac_bits), "sign": In(1), "power": Out(power)})

    def build(self, m):
        power = Signal(self._antilog.guard_bits + 1)
        switch(m, self.fraction, {key: power.eq(value) for key, value in enumerate(self._antilog.table)})
        m.d.comb += self.power.eq(Mux(self.sign, -power, power) if self._twos_complement else power)


def look_up(m, fmt, power, given, result):
    """The sum of two logarithms to a power of two, by a component `power`."""
    m.d.comb += [
        power.fraction.eq(given.t[: fmt.frac_bits]),
        power.sign.eq(given.sign),
        result.power.eq(power.power),
        result.distance.eq(given.t[fmt.frac_bits :]),
        result.sign.eq(given.sign),
        result.zero.eq(given.zero),
    ]


class Shift(Circuit):
    """A power of two, shifted to be a product.

    `product` is {sign, magnitude} or in two's complement.
    """

    def __init__(self, fmt, antilog, output):
        self._fmt, self._antilog, self._output = fmt, antilog, output
        super().__init__({"i": In(power_layout(fmt, antilog, output)), "product": Out(antilog.out_bits)})

    def build(self, m):
        fmt, antilog = self._fmt, self._antilog
        two = _is_twos_complement(self._output)
        sign = self.i.sign if two else Const(0, 1)
        shift, shifted = self.i.distance, self.i.power
        for stage in range(fmt.int_bits):
            # Each stage keeps what it shifts out, below, until the end.
            distance = 2**stage
            moved = Mux(shift[stage], Cat(Const(0, distance), shifted), Cat(shifted, sign.replicate(distance)))
            shifted = wire(m, len(shifted) + distance, moved, f"shifted{stage}")
        # Where the top bit of t is set, no factor was zero, as c < 2**(int_bits + frac_bits).
        upper, lower = shift[-1], Signal()
        m.d.comb += lower.eq(~(upper | self.i.zero))
        distance = 2**fmt.int_bits
        high = Cat(Const(0, distance), shifted)
        low = Cat(shifted, sign.replicate(distance))
        kept = antilog.out_bits - 1 + two
        result = Cat((upper & h) | (lower & l) for h, l in zip(high[len(high) - kept :], low[len(low) - kept :], strict=True))
        m.d.comb += self.product.eq(result if two else Cat(result, self.i.sign))


def pairs(fmt, lanes, user):
    """Signature of a stream of beats of two codes per lane."""
    codes = data.ArrayLayout(fmt.bits, lanes)
    return beats_of(data.StructLayout({"a": codes, "b": codes}), user)
