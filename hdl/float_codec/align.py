"""An encoder lane up to its mantissa: subnormals aligned, and then the decision whether to round up."""

from amaranth.hdl import Cat, Const, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_MAN_BITS
from narrowfloat.hdl.parts.logic import Circuit, carries, decide, switch, wire
from narrowfloat.hdl.parts.shapes import ROUNDINGS, Float32


def _discarded(codec):
    """How many discarded bits rounding looks at one by one; of those below only "any of them set" counts."""
    return codec.random_bits + 1


def _significand_bits(codec):
    return 1 + codec.man_bits + _discarded(codec)


def _kinds():
    """What is known of a lane from its word: what kind of value it has."""
    return dict.fromkeys(("sign", "nan", "infinity", "nonzero"), 1)


def placed(codec):
    """Layout of a lane whose exponent is known: e32, or where subnormals are found e32 + bias, which is E + 127."""
    return data.StructLayout({"word": Float32, "exponent": 9})


def aligned(codec):
    """Layout of a lane whose subnormals are aligned: a significand with the bits that rounding looks at."""
    bits = _significand_bits(codec)
    own = {"own_significand": bits, "own_sticky": 1} if codec.looks_after_rounding else {}
    return data.StructLayout({**_kinds(), "exponent": 9, "significand": bits, "sticky": 1, **own})


def located(codec):
    """Layout of a lane between the halves of the encoder: what to keep of the significand, and whether to round it up."""
    return data.StructLayout(
        {
            **_kinds(),
            # as in `placed`
            "exponent": 9,
            "kept": codec.man_bits,
            "round_up": 1,
            "lossy": 1,
            # With an unbounded exponent it is rounded up to a power of two.
            **({"reaches": 1} if codec.looks_after_rounding else {}),
        }
    )


class Align(Circuit):
    """A lane's significand: that of a subnormal is shifted to where its last bit is that of the code."""

    def __init__(self, codec):
        self._codec = codec
        super().__init__({"i": In(placed(codec)), "control": In(codec.control_layout), "o": Out(aligned(codec))})

    def build(self, m):
        word, exponent, no_fraction = self.i.word, self.i.word.exponent, ~self.i.word.fraction.any()
        width = _significand_bits(self._codec)
        cut = max(FP32_MAN_BITS + 1 - width, 0)
        # with the most mantissa bits and the most random ones there is a bit more than FP32 has
        fraction = Cat(Const(0, cut + width - 1 - FP32_MAN_BITS), word.fraction)
        significand = Signal(width)
        sticky = Signal()
        m.d.comb += [
            self.o.exponent.eq(self.i.exponent),
            # Zero and FP32's subnormals have no leading one, but are so small that it never reaches a code.
            significand.eq(Cat(fraction[cut:], 1)),
            sticky.eq(fraction[:cut].any()),
            self.o.significand.eq(significand),
            self.o.sticky.eq(sticky),
        ]
        if self._codec.formats[0].specials == "fnu":
            self._align_full_range(m, fraction, cut, significand, sticky)
        elif locates(self._codec.formats):
            self._align_subnormals(m, fraction, cut, significand, sticky)
        if self._codec.looks_after_rounding:
            self._align_own(m, fraction, cut)

        m.d.comb += [
            self.o.sign.eq(word.sign),
            self.o.nan.eq(exponent.all() & ~no_fraction),
            self.o.infinity.eq(exponent.all() & no_fraction),
            self.o.nonzero.eq(exponent.any() | ~no_fraction),
        ]

    def _align_full_range(self, m, fraction, cut, significand, sticky):
        """Without a sign and a zero, code 0 is 2**-127: a subnormal of FP32, whose leading one is the top fraction bit."""
        with m.If(~self.i.word.exponent.any()):
            m.d.comb += [significand.eq(fraction[cut - 1 :]), sticky.eq(fraction[: cut - 1].any())]
            with m.If(~fraction[-1]):
                m.d.comb += [significand.eq(0), sticky.eq(1), self.o.exponent[8].eq(1)]

    def _align_subnormals(self, m, fraction, cut, significand, sticky):
        """Shift right by 1 - E where E < 1. The low bits of E + 127 inverted are that distance less one."""
        raw, raw_sticky = Cat(fraction[cut:], Const(1, 1)), fraction[:cut].any()
        total = self.i.exponent
        gradual = self._codec.choose(self.control, [Const(fmt.underflow == "gradual", 1) for fmt in self._codec.formats])
        less_one = ~total[:7]
        near_bits = (len(significand) - 1).bit_length()
        is_subnormal = wire(m, 1, ~total[7] & ~total[8] & gradual)
        # A case for each distance is smaller than a chain of shifters.
        shifted = Signal(data.StructLayout({"sticky": 1, "significand": len(significand)}))
        distances = range(1, 2**near_bits + 1)
        results = {distance - 1: Cat(raw_sticky | raw[:distance].any(), raw[distance:]) for distance in distances}
        switch(m, less_one[:near_bits], {case: shifted.eq(result) for case, result in results.items()})
        with m.If(is_subnormal):
            with m.If(less_one[near_bits:].any()):
                m.d.comb += [significand.eq(0), sticky.eq(1)]
            with m.Else():
                m.d.comb += [significand.eq(shifted.significand), sticky.eq(shifted.sticky)]

    def _align_own(self, m, fraction, cut):
        """The significand with the number's own leading one on top, as if its exponent had no bound."""
        # FP32's subnormals have no leading one: that of those that matter here is the first or, below code 0, the second bit.
        left = {"ieee": 1, "fnu": 2}[self._codec.formats[0].specials] if self._codec.formats[0].exp_bits == 8 else 0
        moved = Cat(Const(0, left), fraction, Const(1, 1))
        m.d.comb += [self.o.own_significand.eq(moved[cut:]), self.o.own_sticky.eq(moved[:cut].any())]


class Round(Circuit):
    """What a lane keeps of its significand, and whether that is rounded up."""

    def __init__(self, codec):
        self._codec, self._discarded = codec, _discarded(codec)
        super().__init__(
            {
                "i": In(aligned(codec)),
                "control": In(codec.control_layout),
                "random": In(codec.random_bits),
                "o": Out(located(codec)),
            }
        )

    def build(self, m):
        """Formats with fewer mantissa bits than the widest discard bits from the kept ones, too, and leave ones behind there,
        through which a carry runs to the last bit that they keep."""
        significand = self.i.significand
        up, lossy = self._goes_up(m, "up", significand, self.i.sticky)
        kept = self._choose(lambda extra: Cat(Const(2**extra - 1, extra), significand[self._discarded + extra : -1]))
        m.d.comb += [self.o[name].eq(self.i[name]) for name in (*_kinds(), "exponent")]
        m.d.comb += [self.o.kept.eq(kept), self.o.round_up.eq(up), self.o.lossy.eq(lossy)]
        if self._codec.looks_after_rounding:
            # The number's own leading one, all mantissa bits behind it and rounding up make a power of two.
            own = self.i.own_significand
            own_up, _ = self._goes_up(m, "own_up", own, self.i.own_sticky)
            ones = self._choose(lambda extra: own[self._discarded + extra :].all())
            m.d.comb += self.o.reaches.eq(ones & own_up)

    def _goes_up(self, m, name, significand, sticky):
        """Whether a significand is rounded up, and whether any of its bits is discarded."""
        k = self._discarded
        up, odd, guard, lower = (Signal(name=f"{name}{part}") for part in ("", "_odd", "_guard", "_lower"))
        m.d.comb += [
            odd.eq(self._choose(lambda extra: significand[k + extra])),
            guard.eq(self._choose(lambda extra: significand[k + extra - 1])),
            lower.eq(self._choose(lambda extra: significand[: k + extra - 1].any()) | sticky),
        ]
        # Zero, whose leading one is not one of the number's, is as inexact as what is far below all codes.
        inexact = (guard | lower) & self.i.nonzero
        decisions = {
            "rne": guard & (lower | odd),
            "rna": guard,
            "rtz": Const(0, 1),
            "rdn": inexact & self.i.sign,
            "rup": inexact & ~self.i.sign,
            "rto": inexact & ~odd,
        }
        if "sr" in self._codec.roundings:
            discarded = self._choose(lambda extra: significand[1 + extra : k + extra])
            next_bit = self._choose(lambda extra: significand[extra])
            below = self._choose(lambda extra: significand[:extra].any()) | sticky
            decisions["sr"] = carries(m, discarded, self.random, next_bit & (below | discarded[0]), "with_random")
        built = {ROUNDINGS[rounding]: decisions[rounding] for rounding in self._codec.roundings}
        decide(m, up, self.control, built)
        return up, guard | lower

    def _choose(self, bits):
        """That of ``bits(extra)`` which belongs to the format of the beat, which has `extra` bits less than the widest."""
        return self._codec.choose(self.control, [bits(self._codec.man_bits - fmt.man_bits) for fmt in self._codec.formats])


def locates(formats):
    """Whether the bias is added before rounding, to know what is subnormal; one format without subnormals needs no such thing,
    and those of 8 exponent bits are FP32's own."""
    return formats[0].exp_bits < 8 and (len(formats) > 1 or formats[0].underflow == "gradual")
