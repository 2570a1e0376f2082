"""FP32 to the codes of a shifted and squeezed tensor."""

from types import MappingProxyType

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_MAN_BITS
from narrowfloat.golden.rounding import OVERFLOWS
from narrowfloat.golden.s2fp8 import (
    ALPHA_BITS,
    ALPHA_FRACTION_BITS,
    FORMAT,
    LOG_BITS,
    LOG_SEGMENTS,
    MEAN_BITS,
    MEAN_FRACTION_BITS,
    POWER_BITS,
    log_nodes,
)
from narrowfloat.hdl.block import Choice, Integer, Lanewise, Switch
from narrowfloat.hdl.parts.logic import Circuit, wire
from narrowfloat.hdl.parts.shapes import Float32, LogFlags
from narrowfloat.hdl.s2fp8.lines import on_lines, rows, sum_of

LOG_NODES = log_nodes().tolist()
MAX_USER_BITS = 1024
# L - mu times the power of two in alpha: beyond 32 octaves a code is the largest or zero, as alpha's significand is 1 or more.
_DISTANCE_BITS = 6 + POWER_BITS


# A lane between the halves of the encoder: where its logarithm is, and what is no ordinary number.
_PLACED = data.StructLayout(
    {
        "sign": 1,
        "distance": signed(_DISTANCE_BITS),
        "small": 1,  # zero, subnormal, or far below the mean
        "large": 1,  # infinity, or far above it
        "infinity": 1,
        "nan": 1,
        "zero": 1,
    }
)


class _Place(Circuit):
    """First half of an encoder lane: ``(L - mean) * 2**exponent``, the exponent being that of alpha.

    Bits that are cut off set the last one that is kept, so that what lies between two numbers stays between them.
    """

    def __init__(self):
        super().__init__({"word": In(Float32), "mean": In(MEAN_BITS), "exponent": In(4), "o": Out(_PLACED)})

    def build(self, m):
        cut = FP32_MAN_BITS - LOG_BITS
        fraction = Signal(LOG_BITS)
        logarithm = Signal(LOG_BITS)
        m.d.comb += [
            fraction.eq(Cat(self.word.fraction[cut] | self.word.fraction[:cut].any(), self.word.fraction[cut + 1 :])),
            logarithm.eq(on_lines(m, "log", LOG_NODES, fraction)),
        ]
        below = LOG_BITS - MEAN_FRACTION_BITS
        above = wire(m, signed(MEAN_BITS + 1), Cat(logarithm[below:], self.word.exponent) - self.mean)
        # In units of 2**-POWER_BITS after a shift to the right by 7 - exponent, from 0 to 15.
        moved = Cat(Const(0, 7 + POWER_BITS - LOG_BITS), logarithm[:below], above).as_signed()
        places = ~self.exponent ^ 8
        for stage in reversed(range(4)):
            distance = 1 << stage
            jammed = Cat(moved[distance] | moved[:distance].any(), moved[distance + 1 :]).as_signed()
            moved = wire(m, signed(len(moved)), Mux(places[stage], jammed, moved), f"shifted_by_{distance}")
        outside = Signal()
        upper = moved[_DISTANCE_BITS - 1 :]
        zero = Signal()
        special = Signal()
        rest = Signal()
        m.d.comb += [
            outside.eq(upper.any() & ~upper.all()),
            zero.eq(~self.word.exponent.any()),
            special.eq(self.word.exponent.all()),
            rest.eq(self.word.fraction.any()),
            self.o.sign.eq(self.word.sign),
            self.o.distance.eq(moved),
            self.o.small.eq(zero | (outside & moved[-1] & ~special)),
            self.o.large.eq(special | (outside & ~moved[-1])),
            self.o.infinity.eq(special & ~rest),
            self.o.nan.eq(special & rest),
            self.o.zero.eq(zero & ~rest),
        ]


class _Round(Circuit):
    """Second half of an encoder lane: the distance times alpha's significand, rounded to a code."""

    def __init__(self, overflow):
        self._saturates = overflow == "saturate"
        super().__init__({"i": In(_PLACED), "fraction": In(ALPHA_FRACTION_BITS), "code": Out(8), "flags": Out(LogFlags)})

    def build(self, m):
        # |distance| < 2**5 and alpha's significand is below 2
        terms = [self.i.distance << ALPHA_FRACTION_BITS, *rows(m, self.i.distance, self.fraction, "product")]
        product = sum_of(m, terms, "product")
        power = wire(m, signed(_DISTANCE_BITS + 1), product >> ALPHA_FRACTION_BITS)
        fraction = power[:POWER_BITS]
        octave = wire(m, signed(len(power) - POWER_BITS), power[POWER_BITS:])
        nodes = [node >> LOG_BITS - POWER_BITS for node in LOG_NODES[:: LOG_SEGMENTS // 8]]

        def passes(eighth, odd):
            """Whether the fraction is at the logarithm of 1 + eighth / 8 or above; a tie stays below an odd magnitude."""
            return wire(m, 1, fraction >= nodes[eighth] + odd, f"passes_{eighth}_eighths")

        passed = sum_of(m, [passes(1, 1), passes(3, 0), passes(5, 1), passes(7, 0)], "passed")
        rounded = wire(m, signed(10), (octave << 2) + (passed + 4 * 15))
        up_from_half, up_to_quarters = passes(4, 0), passes(2, 1) + passes(6, 0)
        magnitude = Signal(7)
        too_large = Signal()
        is_zero = Signal()
        m.d.comb += [
            too_large.eq(~self.i.small & (self.i.large | (~rounded[-1] & (rounded[7:-1].any() | rounded[2:7].all())))),
            is_zero.eq(~magnitude.any()),
        ]
        with m.If(self.i.nan):
            m.d.comb += magnitude.eq(FORMAT.nan)
        with m.Elif(too_large):
            m.d.comb += magnitude.eq(FORMAT.max_finite if self._saturates else FORMAT.infinity)
        with m.Elif(~self.i.small), m.Switch(octave):
            with m.Case(-15):
                m.d.comb += magnitude.eq(2 + up_to_quarters)
            with m.Case(-16):
                m.d.comb += magnitude.eq(1 + up_from_half)
            with m.Case(-17):
                m.d.comb += magnitude.eq(fraction.any())
            with m.Default():
                m.d.comb += magnitude.eq(Mux(octave[-1] & ~octave[4:].all(), 0, rounded))
        m.d.comb += [
            self.code.eq(Cat(magnitude, self.i.sign)),
            self.flags.saturated.eq(too_large & ~(self.i.nan | self.i.infinity)),
            self.flags.flushed.eq(is_zero & ~self.i.zero),
            self.flags.invalid.eq(self.i.infinity & self._saturates),
        ]


class S2Encoder(Lanewise):
    """FP32 values to the codes of a tensor, `lanes` per beat, one beat per clock.

    Equation: ``log2|Y| = alpha * (log2|X| - mu)``, Y rounded to nearest, ties to even (`golden.s2fp8.encode`). log2|X| is that
    of 16 bits of the significand, by 64 straight lines, within 2**-13 of it; alpha has 8 significant bits.

    ================  ===============================================  =============================
    value             code, with the value's sign                      flag
    ================  ===============================================  =============================
    too large         `overflow` "saturate": the largest finite one;   saturated
                      "format": infinity
    too small         zero; so is a subnormal                          flushed
    zero              zero
    infinity          as what is too large                             invalid, unless it stays so
    NaN               NaN
    ================  ===============================================  =============================

    Latency: `stages` cycles. Throughput: a beat per clock.

    Source: Cambier et al. 2020, Eq. 1 and 5.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: FP32 lanes, last, user: {alpha, mean, user}}: those of `golden.s2fp8.Parameters`.
    o : Out(stream.Signature)
        Payload {data: code lanes, last, user: {flags, user}}.

    Fields
    ------
    s_axis.lane
        An FP32 word.
    m_axis.lane
        A code {sign, E, M} of `float8_e5m2`.
    alpha
        The squeeze: its lowest 7 bits f and what is above them e, signed, mean ``2**e * (1 + f / 128)``.
    mean
        mu + 127.
    flags
        What the conversion of the lane raised.

    Protocol
    --------
    order
        Every beat stands for itself. A tensor has the same alpha and mean throughout, with which its codes are read.
    """

    overflow = Choice("saturate", OVERFLOWS, "What is too large becomes the largest number, or infinity.")
    flags = Switch(False, "Whether each element comes with its flags saturated, flushed and invalid.")
    user_bits = Integer(0, 0, MAX_USER_BITS, "Width of a tag that passes through.", place=3)

    fraction_bits = MappingProxyType({"mean": MEAN_FRACTION_BITS})

    def input_shapes(self):
        return Float32, {"alpha": signed(ALPHA_BITS), "mean": MEAN_BITS}

    def middle_shapes(self):
        return _PLACED, {"fraction": ALPHA_FRACTION_BITS}

    def output_shapes(self):
        return 8, {"flags": data.ArrayLayout(LogFlags, self.lanes)} if self.flags else {}

    def first_half(self, m, source, sink):
        alpha = source.p.user.alpha
        m.d.comb += sink.p.fraction.eq(alpha[:ALPHA_FRACTION_BITS])
        self.in_each_lane(
            m,
            "place",
            _Place,
            lambda lane, place: [
                place.word.eq(source.p.data[lane]),
                place.mean.eq(source.p.user.mean),
                place.exponent.eq(alpha[ALPHA_FRACTION_BITS:]),
                sink.p.lanes[lane].eq(place.o),
            ],
        )

    def second_half(self, m, source, sink):
        self.in_each_lane(
            m,
            "round",
            lambda: _Round(self.overflow),
            lambda lane, rounder: [
                rounder.i.eq(source.p.lanes[lane]),
                rounder.fraction.eq(source.p.fraction),
                sink.p.data[lane].eq(rounder.code),
                *([sink.p.user.flags[lane].eq(rounder.flags)] if self.flags else []),
            ],
        )
