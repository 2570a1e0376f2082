"""The rounded {E, M} of an encoder lane."""

from amaranth.hdl import Cat, Const, Mux
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_BIAS
from narrowfloat.hdl.float_codec.align import located, locates
from narrowfloat.hdl.parts.logic import Circuit, wire


def summed(codec):
    """Layout of a lane whose {E, M} is rounded: that as `total`, with a bit more, and what is known of the exponent before."""
    passed = ("sign", "nan", "infinity", "nonzero", "lossy", *(["reaches"] if codec.looks_after_rounding else []))
    return data.StructLayout({**dict.fromkeys(passed, 1), **_sum(codec)})


def _sum(codec):
    fmt = codec.formats[0]
    if fmt.exp_bits == 8:
        return {"total": fmt.magnitude_bits + 1, "below": 1}
    if not locates(codec.formats):
        # {E + 126, M}
        return {"total": codec.man_bits + 9, "round_up": 1}
    # E is at least 1, 0, -1, or beyond the largest of all formats.
    found = dict.fromkeys(("normal", "zero", "minus_one", "beyond"), 1)
    return {"total": codec.man_bits + codec.exp_bits + 1, **found, "kept": codec.man_bits}


class Sum(Circuit):
    """Rounds the {E, M} of a lane as one number, so that a carry moves into E by itself."""

    def __init__(self, codec):
        self._codec = codec
        super().__init__({"i": In(located(codec)), "control": In(codec.control_layout), "o": Out(summed(codec))})

    def build(self, m):
        m.d.comb += [self.o[name].eq(self.i[name]) for name in self.o.shape().members if name in self.i.shape().members]
        if self._codec.formats[0].exp_bits == 8:
            self._sum_full_range(m)
        elif locates(self._codec.formats):
            self._sum_located(m)
        else:
            self._sum_flushed(m)

    def _sum_full_range(self, m):
        """8 exponent bits: the exponent is FP32's."""
        (fmt,) = self._codec.formats
        # What "fnu" has below code 0 becomes that.
        up = self.i.round_up & ~self.i.exponent[8] if fmt.specials == "fnu" else self.i.round_up
        m.d.comb += [
            self.o.total.eq(Cat(self.i.kept, self.i.exponent[:8]) + up),
            self.o.below.eq(self.i.exponent[8] if fmt.specials == "fnu" else ~self.i.exponent[:8].any()),
        ]

    def _sum_flushed(self, m):
        """One format without subnormals: one adder takes bias and rounding. Its upper part is E + 127, and adding one to that
        costs less behind the adder, where E's lowest bits need a gate each, than a second carry into it would."""
        bias = self._codec.bias(self.control)
        magnitude = Cat(self.i.kept, self.i.exponent[:8])
        m.d.comb += self.o.total.eq(_sum_with_carry(self._codec.man_bits, self.i.round_up, bias, magnitude))

    def _sum_located(self, m):
        """Any set of formats; a subnormal is aligned already, and its exponent counts as 0 instead of E."""
        man_bits, exp_bits = self._codec.man_bits, self._codec.exp_bits
        above = self.i.exponent
        normal = wire(m, 1, above[7] | above[8], "normal")
        base = wire(m, exp_bits, Mux(normal, above[:exp_bits], 0), "base")
        m.d.comb += [
            # E - 1, or 0, and 1 if normal
            self.o.total.eq(_sum_with_carry(man_bits, self.i.round_up, normal, Cat(self.i.kept, base))),
            self.o.normal.eq(normal),
            self.o.zero.eq(~normal & above[:7].all()),
            self.o.minus_one.eq(above[:7] == FP32_BIAS - 1),
            self.o.beyond.eq(above[8] | (above[7] & above[exp_bits:7].any())),
        ]


def _sum_with_carry(man_bits, round_up, to_exponent, magnitude):
    """{E, M} plus an addend to E plus a carry into M, in one adder wherever M has a bit to carry into."""
    if man_bits == 0:
        return magnitude + to_exponent + round_up
    return magnitude + Cat(round_up, Const(0, man_bits - 1), to_exponent)
