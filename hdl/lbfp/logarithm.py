"""What an encoder lane is made of: the leading one of a sum, the logarithm of a value, its c, and the code."""

from math import ceil

from amaranth.hdl import Cat, Const, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for
from narrowfloat.golden.formats import FP32_BIAS, FP32_MAN_BITS
from narrowfloat.golden.lbfp import thresholds
from narrowfloat.hdl.parts.logic import Circuit, normalised_to_top
from narrowfloat.hdl.parts.shapes import Float32, LogFlags

# Fraction bits below those of the logarithm at which an encoder looks.
EXTRA_BITS = 4
# The weight of a sum's last bit is given with so many bits more than a shared exponent.
LSB_BITS = 3


def rounded(fmt, integer_bits):
    """Layout of a value whose logarithm is known, as integer and fraction part, less those of the number c = 0."""
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


def magnitude(fixed_bits):
    """Layout of a sum in sign and magnitude."""
    return data.StructLayout({"negative": 1, "magnitude": fixed_bits})


def normalised(fixed_bits):
    """Layout of a sum with its leading one at the top, by so many places; of zero all are shifted."""
    return data.StructLayout({"negative": 1, "magnitude": fixed_bits, "places": (fixed_bits - 1).bit_length()})


class Magnitude(Circuit):
    """The sign and magnitude of a sum in two's complement."""

    def __init__(self, fixed_bits):
        super().__init__({"value": In(signed(fixed_bits)), "o": Out(magnitude(fixed_bits))})

    def build(self, m):
        negative = self.value[-1]
        inverted = self.value.as_unsigned() ^ negative.replicate(len(self.value))
        m.d.comb += [self.o.negative.eq(negative), self.o.magnitude.eq(inverted + negative)]


class Normalise(Circuit):
    """Shifts the leading one of a sum to the top."""

    def __init__(self, fixed_bits):
        super().__init__({"i": In(magnitude(fixed_bits)), "o": Out(normalised(fixed_bits))})

    def build(self, m):
        moved, places = normalised_to_top(m, self.i.magnitude, "moved{distance}", "place{distance}")
        m.d.comb += [self.o.negative.eq(self.i.negative), self.o.magnitude.eq(moved), self.o.places.eq(places)]


class Locate(Circuit):
    """The logarithm of a value: an FP32 word, or a sum whose leading one is at the top."""

    def __init__(self, fmt, source, fixed_bits):
        self._fmt, self._source = fmt, source
        super().__init__(
            {
                "value": In(Float32 if source == "fp32" else normalised(fixed_bits)),
                "exponent": In(signed(fmt.exp_bits)),
                "lsb_exponent": In(signed(fmt.exp_bits + LSB_BITS)),
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
            moved = self.value.magnitude
            below = Cat(Const(0, bits), moved[:-1])
            m.d.comb += [
                significand.eq(below[-bits:]),
                self.o.sign.eq(self.value.negative),
                self.o.nonzero.eq(moved[-1]),
                self.o.integer.eq(self.lsb_exponent - self.exponent - self.value.places + (len(moved) - 1 + offset)),
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


def summed(fmt, integer_bits):
    """Layout of a value whose c is known, before it is clamped."""
    kinds = dict.fromkeys(("sign", "nonzero", "subnormal", "special"), 1)
    # Where c is too small: it is below half of the smallest number.
    return data.StructLayout({**kinds, "c": signed(integer_bits + fmt.frac_bits + 1), "far": 1})


class Sum(Circuit):
    """Integer and fraction part of a logarithm to c."""

    def __init__(self, fmt, integer_bits):
        self._fmt = fmt
        super().__init__({"i": In(rounded(fmt, integer_bits)), "o": Out(summed(fmt, integer_bits))})

    def build(self, m):
        integer = self.i.integer
        m.d.comb += [
            *(self.o[name].eq(self.i[name]) for name in ("sign", "nonzero", "subnormal", "special")),
            self.o.c.eq(Cat(Const(0, self._fmt.frac_bits), integer).as_signed() + self.i.fraction),
            self.o.far.eq(integer[-1] & ~(integer.all() & self.i.smallest)),
        ]


class Clamp(Circuit):
    """The code of a lane: c within its range, or zero."""

    def __init__(self, fmt, integer_bits):
        self._fmt = fmt
        super().__init__({"i": In(summed(fmt, integer_bits)), "code": Out(fmt.bits), "flags": Out(LogFlags)})

    def build(self, m):
        fmt, c = self._fmt, self.i.c
        negative = c[-1]
        too_large = Signal()
        below = Signal()
        zero = Signal()
        m.d.comb += [
            too_large.eq(~negative & c[fmt.magnitude_bits : -1].any()),
            # c < 1: the smallest number from its half on, one integer lower, zero below.
            below.eq(negative | ~c[:-1].any()),
            zero.eq(~self.i.nonzero | (below & self.i.far)),
        ]
        clamped = Signal(fmt.magnitude_bits)
        with m.If(zero):
            m.d.comb += clamped.eq(0)
        with m.Elif(below):
            m.d.comb += clamped.eq(1)
        with m.Elif(too_large):
            m.d.comb += clamped.eq(fmt.max_magnitude)
        with m.Else():
            m.d.comb += clamped.eq(c)
        m.d.comb += [
            self.code.eq(Cat(clamped, self.i.sign & ~zero)),
            self.flags.saturated.eq(too_large & self.i.nonzero & ~self.i.special),
            self.flags.flushed.eq(zero & (self.i.nonzero | self.i.subnormal)),
            self.flags.invalid.eq(self.i.special),
        ]
