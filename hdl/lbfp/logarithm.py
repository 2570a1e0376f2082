"""The halves of an encoder lane: the logarithm of a value, and its code."""

from math import ceil

from amaranth.hdl import Cat, Const, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for
from narrowfloat.golden.formats import FP32_BIAS, FP32_MAN_BITS
from narrowfloat.golden.lbfp import thresholds
from narrowfloat.hdl.parts.logic import Circuit, normalised_to_top, wire
from narrowfloat.hdl.parts.shapes import Float32, LogFlags

# Fraction bits below those of the logarithm at which an encoder looks.
EXTRA_BITS = 4
# The weight of a sum's last bit is given with so many bits more than a shared exponent.
LSB_BITS = 3


def rounded(fmt, integer_bits):
    """Layout of a value between the halves of an encoder: its logarithm as integer and fraction part, less those of the number
    c = 0."""
    return data.StructLayout(
        {
            "sign": 1,
            "nonzero": 1,
            # what is not zero but counts as zero
            "subnormal": 1,
            "special": 1,
            # of c before it is clamped
            "integer": signed(integer_bits),
            # Above one where the fraction was rounded up to the next integer.
            "fraction": fmt.frac_bits + 1,
            # The significand is at least that of the smallest number.
            "smallest": 1,
        }
    )


def _fraction(m, fmt, name, significand):
    """c's fraction bits, and a carry above, for the upper bits of a significand's fraction, by thresholds."""
    steps = 2**fmt.frac_bits
    places = thresholds(fmt).tolist()
    segment, rest = significand[EXTRA_BITS:], significand[:EXTRA_BITS]
    fraction = Signal(fmt.frac_bits + 1, name=name)
    with m.Switch(segment):
        for key in range(steps):
            first = key << EXTRA_BITS
            passed = sum(threshold <= first for threshold in places)
            inside = [threshold - first for threshold in places if first < threshold < first + 2**EXTRA_BITS]
            with m.Case(key):
                m.d.comb += fraction.eq(passed + sum((rest >= threshold for threshold in inside), Const(0, 1)))
    return fraction


class Locate(Circuit):
    """First half of an encoder lane: the logarithm of a value."""

    def __init__(self, fmt, source, fixed_bits):
        self._fmt, self._source = fmt, source
        shape = Float32 if source == "fp32" else signed(fixed_bits)
        self._exponent = signed(fmt.exp_bits)
        self._lsb = signed(fmt.exp_bits + LSB_BITS)
        super().__init__(
            {
                "value": In(shape),
                "exponent": In(self._exponent),
                "lsb_exponent": In(self._lsb),
                "o": Out(rounded(fmt, integer_bits(fmt, source, fixed_bits))),
            }
        )

    def build(self, m):
        fmt = self._fmt
        bits = fmt.frac_bits + EXTRA_BITS
        significand = Signal(bits)
        offset = 2**fmt.int_bits
        if self._source == "fp32":
            word = self.value
            m.d.comb += [
                significand.eq(word.fraction[FP32_MAN_BITS - bits :]),
                self.o.sign.eq(word.sign),
                self.o.nonzero.eq(word.exponent.any()),
                self.o.subnormal.eq(~word.exponent.any() & word.fraction.any()),
                self.o.special.eq(word.exponent.all()),
                self.o.integer.eq(word.exponent - self.exponent + (offset - FP32_BIAS)),
            ]
        else:
            negative = self.value[-1]
            width = len(self.value)
            magnitude = wire(m, width, (self.value.as_unsigned() ^ negative.replicate(width)) + negative)
            magnitude, places = normalised_to_top(m, magnitude, "moved{distance}", "place{distance}")
            below = Cat(Const(0, bits), magnitude[:-1])
            m.d.comb += [
                significand.eq(below[-bits:]),
                self.o.sign.eq(negative),
                self.o.nonzero.eq(magnitude[-1]),
                self.o.integer.eq(self.lsb_exponent - self.exponent - places + (len(magnitude) - 1 + offset)),
            ]
        smallest = ceil((2 ** (1 / 2**fmt.frac_bits) - 1) * 2**bits)
        m.d.comb += [
            self.o.fraction.eq(_fraction(m, fmt, "fraction", significand)),
            self.o.smallest.eq(significand >= smallest),
        ]


def integer_bits(fmt, source, fixed_bits):
    """Bits that hold the integer part of any value's logarithm."""
    low, high = fmt.exponent_range
    offset = 2**fmt.int_bits
    if source == "fp32":
        ends = -high + offset - FP32_BIAS, 255 - low + offset - FP32_BIAS
    else:
        # Minus one less than the width is what leading zeros take away from a value of zero.
        wide = 2 ** (fmt.exp_bits + LSB_BITS - 1)
        ends = -wide - high + offset - 2 ** (fixed_bits - 1).bit_length(), wide - 1 - low + offset + fixed_bits - 1
    return max(bits_for(end, True) for end in ends)


class Clamp(Circuit):
    """Second half of an encoder lane: c within its range, and zero."""

    def __init__(self, fmt, integer_bits):
        self._fmt = fmt
        super().__init__({"i": In(rounded(fmt, integer_bits)), "code": Out(fmt.bits), "flags": Out(LogFlags)})

    def build(self, m):
        fmt = self._fmt
        integer = Cat(Const(0, fmt.frac_bits), self.i.integer).as_signed()
        c = wire(m, signed(len(integer) + 1), integer + self.i.fraction)
        negative = c[-1]
        too_large = Signal()
        below = Signal()
        zero = Signal()
        m.d.comb += [
            too_large.eq(~negative & c[fmt.magnitude_bits : -1].any()),
            # c < 1: the smallest number from its half on, one integer lower, zero below.
            below.eq(negative | ~c[:-1].any()),
            zero.eq(~self.i.nonzero | (below & self.i.integer[-1] & ~(self.i.integer.all() & self.i.smallest))),
        ]
        magnitude = Signal(fmt.magnitude_bits)
        with m.If(zero):
            m.d.comb += magnitude.eq(0)
        with m.Elif(below):
            m.d.comb += magnitude.eq(1)
        with m.Elif(too_large):
            m.d.comb += magnitude.eq(fmt.max_magnitude)
        with m.Else():
            m.d.comb += magnitude.eq(c)
        m.d.comb += [
            self.code.eq(Cat(magnitude, self.i.sign & ~zero)),
            self.flags.saturated.eq(too_large & self.i.nonzero & ~self.i.special),
            self.flags.flushed.eq(zero & (self.i.nonzero | self.i.subnormal)),
            self.flags.invalid.eq(self.i.special),
        ]
