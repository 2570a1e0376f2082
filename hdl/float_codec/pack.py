"""Second half of an encoder lane."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_BIAS
from narrowfloat.hdl.float_codec.align import located, locates
from narrowfloat.hdl.parts.logic import Circuit, decide, is_none_of, wire
from narrowfloat.hdl.parts.shapes import ROUNDINGS, Flags


class Pack(Circuit):
    """Second half of an encoder lane: round {E, M} as one number, so that a carry moves into E by itself, and clamp.

    Each `_pack_...` method gives for its formats the {E, M} in range, whether it is too large, whether its value differs from
    the input's, and whether it is below the smallest normal value.
    """

    def __init__(self, codec):
        self._codec, self._after = codec, codec.looks_after_rounding
        super().__init__(
            {
                "i": In(located(codec)),
                "control": In(codec.control_layout),
                "code": Out(codec.code_bits),
                "flags": Out(Flags),
            }
        )

    def build(self, m):
        self._toward_zero = Signal()
        toward_zero = {"rtz": 1, "rto": 1, "rdn": ~self.i.sign, "rup": self.i.sign}
        by_mode = {ROUNDINGS[name]: toward_zero.get(name, 0) for name in self._codec.roundings}
        decide(m, self._toward_zero, self.control, by_mode)
        if self._codec.formats[0].exp_bits == 8:
            packed = [self._pack_full_range(m)]
        elif locates(self._codec.formats):
            packed = self._pack_located(m)
        else:
            packed = [self._pack_flushed(m)]
        codes, flags = zip(*(self._finish(m, fmt, lane) for fmt, lane in zip(self._codec.formats, packed)))
        m.d.comb += [
            self.code.eq(self._codec.choose(self.control, codes)),
            self.flags.eq(self._codec.choose(self.control, flags)),
        ]
        numbers = range(len(self._codec.formats))
        modes = [ROUNDINGS[name] for name in self._codec.roundings]
        with m.If(is_none_of(self.control, "format", numbers) | is_none_of(self.control, "rounding", modes)):
            m.d.comb += self.flags.invalid.eq(1)

    def _pack_full_range(self, m):
        """8 exponent bits: the exponent is FP32's."""
        (fmt,) = self._codec.formats
        # What "fnu" has below code 0 becomes that.
        up = self.i.round_up & ~self.i.exponent[8] if fmt.specials == "fnu" else self.i.round_up
        magnitude = wire(m, fmt.magnitude_bits + 1, Cat(self.i.kept, self.i.exponent[:8]) + up)
        tiny = self.i.exponent[8] if fmt.specials == "fnu" else ~self.i.exponent[:8].any()
        return SimpleNamespace(
            magnitude=magnitude[:-1],
            too_large=magnitude[fmt.man_bits : -1].all() | magnitude[-1],
            changed=self.i.lossy,
            tiny=tiny & ~self.i.reaches if self._after else tiny,
        )

    def _pack_flushed(self, m):
        """One format without subnormals: one adder takes bias and rounding. Its upper part is E + 127, and adding one to that
        costs less behind the adder, where E's lowest bits need a gate each, than a second carry into it would."""
        (fmt,) = self._codec.formats
        man_bits, exp_bits = fmt.man_bits, fmt.exp_bits
        bias = self._codec.bias(self.control)
        total = wire(m, man_bits + 9, _sum_with_carry(man_bits, self.i.round_up, bias, Cat(self.i.kept, self.i.exponent[:8])))
        mantissa, above = total[:man_bits], total[man_bits:]
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

    def _pack_located(self, m):
        """Any set of formats; a subnormal is aligned already, and its exponent counts as 0 instead of E."""
        man_bits, exp_bits = self._codec.man_bits, self._codec.exp_bits
        above = self.i.exponent
        # E >= 1, E = 0, E - 1
        normal = Signal()
        zero = Signal()
        base = Signal(exp_bits)
        m.d.comb += [
            normal.eq(above[7] | above[8]),
            zero.eq(~normal & above[:7].all()),
            base.eq(Mux(normal, above[:exp_bits], 0)),
        ]
        total = wire(m, man_bits + exp_bits + 1, _sum_with_carry(man_bits, self.i.round_up, normal, Cat(self.i.kept, base)))
        out_of_reach = wire(m, 1, above[8] | (above[7] & above[exp_bits:7].any()))
        below = wire(m, 1, ~normal & ~zero)

        def pack(fmt):
            mantissa = total[man_bits - fmt.man_bits : man_bits]
            exponent = total[man_bits : man_bits + fmt.exp_bits]
            beyond = out_of_reach | total[man_bits + fmt.exp_bits :].any() | _reserved(fmt, mantissa, exponent)
            too_large = wire(m, 1, beyond, f"too_large_{fmt.name}")
            magnitude = Cat(mantissa, exponent)
            reaches_zero = (above[:7] == FP32_BIAS - 1) & total[man_bits]
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

        return [pack(fmt) for fmt in self._codec.formats]

    def _finish(self, m, fmt, lane):
        """The code and the flags, with overflow and special values in place."""
        special = self.i.nan | self.i.infinity
        if fmt.underflow == "clamp_exponent" and fmt.specials == "none":
            magnitude, invalid = lane.magnitude, special
        else:
            magnitude, invalid = self._clamp(fmt, lane), self._invalid(fmt)
        sign = self.i.sign
        if fmt.specials == "fnuz":
            is_nan = self.i.nan | (lane.too_large & ~self._stays_finite(fmt) & (self._on_overflow(fmt) == fmt.nan))
            sign = is_nan | (sign & magnitude.any())
        number = ~special
        if fmt.specials == "fnu":
            number = number & ~self.i.sign & self.i.nonzero
        flags = Signal(Flags, name=f"flags_{fmt.name}")
        m.d.comb += [
            flags.overflow.eq(number & lane.too_large),
            flags.underflow.eq(number & lane.changed & lane.tiny),
            flags.inexact.eq(number & (lane.changed | lane.too_large)),
            flags.invalid.eq(invalid),
        ]
        return wire(m, fmt.bits, Cat(magnitude, sign) if fmt.signed else magnitude, f"code_{fmt.name}"), flags

    def _on_overflow(self, fmt):
        """{E, M} of what is too large."""
        if self._codec.overflow == "saturate" or fmt.specials == "none":
            return fmt.max_finite
        return fmt.nan if fmt.infinity is None else fmt.infinity

    def _stays_finite(self, fmt):
        """Whether what is too large becomes the largest finite number although overflow follows the format."""
        return Const(0, 1) if self._on_overflow(fmt) == fmt.max_finite else self._toward_zero & ~self.i.infinity

    def _clamp(self, fmt, lane):
        largest = Mux(self._stays_finite(fmt), fmt.max_finite, Const(self._on_overflow(fmt), fmt.magnitude_bits))
        magnitude = Mux(lane.too_large, largest, lane.magnitude)
        if fmt.nan is None:
            return magnitude
        to_nan = self.i.nan | self.i.sign | ~self.i.nonzero if fmt.specials == "fnu" else self.i.nan
        return Mux(to_nan, fmt.nan, magnitude)

    def _invalid(self, fmt):
        infinity_lost = self._on_overflow(fmt) != fmt.infinity
        if fmt.specials == "fnu":
            return ~self.i.nan & (self.i.sign | ~self.i.nonzero | self.i.infinity)
        return (self.i.nan & (fmt.nan is None)) | (self.i.infinity & infinity_lost)


def _sum_with_carry(man_bits, round_up, to_exponent, magnitude):
    """{E, M} plus an addend to E plus a carry into M, in one adder wherever M has a bit to carry into."""
    if man_bits == 0:
        return magnitude + to_exponent + round_up
    return magnitude + Cat(round_up, Const(0, man_bits - 1), to_exponent)


def _reserved(fmt, mantissa, exponent):
    """Whether {E, M}, not too large for its bits, lies above the largest finite number."""
    if fmt.specials == "ieee":
        return exponent.all()
    return Cat(mantissa, exponent).all() if fmt.specials == "fn" else Const(0, 1)
