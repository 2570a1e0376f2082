"""What of an encoder lane is in the range of its formats."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.float_codec.align import locates
from narrowfloat.hdl.float_codec.sum import summed
from narrowfloat.hdl.parts.logic import Circuit, wire

_KEPT = ("sign", "nan", "infinity", "nonzero")


def ranged(codec):
    """Layout of a lane with what each format makes of it: the {E, M} in range, whether it is too large, and for flags whether
    its value differs from the input's and whether it is below the smallest normal value."""
    found = dict.fromkeys(("too_large", *(("changed", "tiny") if codec.flags else ())), 1)
    formats = {fmt.name: data.StructLayout({"magnitude": fmt.magnitude_bits, **found}) for fmt in codec.formats}
    return data.StructLayout({**dict.fromkeys(_KEPT, 1), "formats": data.StructLayout(formats)})


class Range(Circuit):
    """Looks which range a lane's {E, M} is in, for each of the formats."""

    def __init__(self, codec):
        self._codec, self._after = codec, codec.looks_after_rounding
        super().__init__({"i": In(summed(codec)), "control": In(codec.control_layout), "o": Out(ranged(codec))})

    def build(self, m):
        if self._codec.formats[0].exp_bits == 8:
            results = [self._range_full_range(m)]
        elif locates(self._codec.formats):
            results = self._range_located(m)
        else:
            results = [self._range_flushed(m)]
        m.d.comb += [self.o[name].eq(self.i[name]) for name in _KEPT]
        for fmt, result in zip(self._codec.formats, results, strict=True):
            found = self.o.formats[fmt.name]
            m.d.comb += [found[name].eq(getattr(result, name)) for name in found.shape().members]

    def _range_full_range(self, m):
        """8 exponent bits: the exponent is FP32's."""
        (fmt,) = self._codec.formats
        magnitude = self.i.total
        return SimpleNamespace(
            magnitude=magnitude[:-1],
            too_large=magnitude[fmt.man_bits : -1].all() | magnitude[-1],
            changed=self.i.lossy,
            tiny=self.i.below & ~self.i.reaches if self._after else self.i.below,
        )

    def _range_flushed(self, m):
        """One format without subnormals."""
        (fmt,) = self._codec.formats
        man_bits, exp_bits = fmt.man_bits, fmt.exp_bits
        mantissa, above = self.i.total[:man_bits], self.i.total[man_bits:]
        exponent = Cat(above[i] ^ above[:i].all() for i in range(exp_bits))
        at_least_one = above[7] | above[8]
        # E = 0, E < 0
        zero = Signal()
        below = Signal()
        m.d.comb += [zero.eq(~at_least_one & above[:7].all()), below.eq(~at_least_one & ~above[:7].all())]
        too_large = wire(
            m,
            1,
            above[8]
            | (above[7] & (above[exp_bits:7].any() | above[:exp_bits].all()))
            | (_reserved(fmt, mantissa, exponent) & ~below),
        )
        if fmt.underflow == "clamp_exponent":
            return SimpleNamespace(
                magnitude=Cat(mantissa, *((bit & ~below) | too_large for bit in exponent)),
                too_large=too_large,
                changed=below | self.i.lossy,
                tiny=below if self._after else below | (zero & ~mantissa.any() & self.i.round_up),
            )
        magnitude = Cat(mantissa, exponent)
        lowest = magnitude[0] | (~at_least_one & ~mantissa[1:].any())
        # What was rounded up to code 1 came from below it.
        code_one = zero & mantissa[0] & ~mantissa[1:].any() if man_bits else above[7] & ~above[8] & ~above[:7].any()
        from_below = self.i.round_up & code_one
        return SimpleNamespace(
            magnitude=Cat(bit & ~below for bit in (lowest, *magnitude[1:])),
            too_large=too_large,
            changed=wire(m, 1, Mux(below, self.i.nonzero, self.i.lossy | (zero & ~mantissa.any())), "changed"),
            tiny=below | (zero & ~mantissa.any()) | (0 if self._after else from_below),
        )

    def _range_located(self, m):
        """Any set of formats; a subnormal is aligned already, and its exponent counts as 0 instead of E."""
        man_bits = self._codec.man_bits
        total, normal, zero = self.i.total, self.i.normal, self.i.zero
        below = wire(m, 1, ~normal & ~zero)

        def of(fmt):
            mantissa = total[man_bits - fmt.man_bits : man_bits]
            exponent = total[man_bits : man_bits + fmt.exp_bits]
            beyond = self.i.beyond | total[man_bits + fmt.exp_bits :].any() | _reserved(fmt, mantissa, exponent)
            too_large = wire(m, 1, beyond, f"too_large_{fmt.name}")
            magnitude = Cat(mantissa, exponent)
            reaches_zero = self.i.minus_one & total[man_bits]
            if fmt.underflow == "gradual":
                changed, tiny = self.i.lossy & self.i.nonzero, ~normal
                tiny = tiny & ~(zero & self.i.reaches) if self._after else tiny
            elif fmt.underflow == "clamp_exponent":
                magnitude = Cat(mantissa, *((bit & ~below) | too_large for bit in exponent))
                changed, tiny = below | self.i.lossy, below
                tiny = tiny & ~reaches_zero if self._after else tiny
            else:
                at_zero = zero & ~magnitude.any()
                lowest = Mux(below, reaches_zero, magnitude[0] | at_zero)
                changed = wire(m, 1, Mux(below, self.i.nonzero, self.i.lossy | at_zero), f"changed_{fmt.name}")
                tiny = below | at_zero if self._after else below | (zero & ~self.i.kept[man_bits - fmt.man_bits :].any())
                magnitude = Cat(lowest, *(bit & ~below for bit in magnitude[1:]))
            return SimpleNamespace(magnitude=magnitude, too_large=too_large, changed=changed, tiny=tiny)

        return [of(fmt) for fmt in self._codec.formats]


def _reserved(fmt, mantissa, exponent):
    """Whether {E, M}, not too large for its bits, lies above the largest finite number."""
    if fmt.specials == "ieee":
        return exponent.all()
    return Cat(mantissa, exponent).all() if fmt.specials == "fn" else Const(0, 1)
