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
    MEAN_BITS,
    MEAN_FRACTION_BITS,
    PRECISIONS,
    full,
    short,
)
from narrowfloat.hdl.block import Choice, Integer, Lanewise, Switch
from narrowfloat.hdl.parts.logic import Circuit, switch, wire
from narrowfloat.hdl.parts.shapes import Float32, LogFlags
from narrowfloat.hdl.s2fp8.digits import DIGIT, added, digits_of, summands
from narrowfloat.hdl.s2fp8.lines import on_lines, rows, sum_of

LOG_TABLE = short.log_table().tolist()
LOG_NODES = full.log_nodes().tolist()
MAX_USER_BITS = 1024
# Fraction bits of log2|X| and log2|Y|.
_LOG_BITS = {"short": short.LOG_BITS, "full": full.LOG_BITS}
_POWER_BITS = {"short": short.LOG_BITS, "full": full.POWER_BITS}
# At which fractions of log2|Y| the significand is 1 + 0 / 8, 1 + 1 / 8, and so on.
_EIGHTHS = {
    "short": short.eighth_logs().tolist(),
    "full": [node >> full.LOG_BITS - full.POWER_BITS for node in LOG_NODES[:: full.LOG_SEGMENTS // 8]],
}
# alpha's significand without its first bit: as digits in short precision, as it is in full.
_FACTORS = {"short": data.ArrayLayout(DIGIT, -(-ALPHA_FRACTION_BITS // 2)), "full": ALPHA_FRACTION_BITS}


def _distance_bits(precision):
    """Of L - mu times the power of two in alpha: beyond 32 octaves a code is the largest or zero, as alpha's significand is 1
    or more."""
    return 6 + _POWER_BITS[precision]


def _placed(precision):
    """A lane between the halves of the encoder: where its logarithm is, and what is no ordinary number."""
    return data.StructLayout(
        {
            "sign": 1,
            "distance": signed(_distance_bits(precision)),
            "small": 1,  # zero, subnormal, or far below the mean
            "large": 1,  # infinity, or far above it
            "infinity": 1,
            "nan": 1,
            "zero": 1,
        }
    )


class _Place(Circuit):
    """First half of an encoder lane: ``(L - mean) * 2**exponent``, the exponent being that of alpha.

    In full precision bits that are cut off set the last one that is kept, so that what lies between two numbers stays between
    them.
    """

    def __init__(self, precision):
        self._precision = precision
        super().__init__({"word": In(Float32), "mean": In(MEAN_BITS), "exponent": In(4), "o": Out(_placed(precision))})

    def build(self, m):
        log_bits, power_bits = _LOG_BITS[self._precision], _POWER_BITS[self._precision]
        logarithm = Signal(log_bits)
        m.d.comb += logarithm.eq(self._logarithm(m, FP32_MAN_BITS - log_bits))
        below = log_bits - MEAN_FRACTION_BITS
        above = wire(m, signed(MEAN_BITS + 1), Cat(logarithm[below:], self.word.exponent) - self.mean)
        # In units of 2**-power_bits after a shift to the right by 7 - exponent, from 0 to 15.
        moved = Cat(Const(0, 7 + power_bits - log_bits), logarithm[:below], above).as_signed()
        places = ~self.exponent ^ 8
        for stage in reversed(range(4)):
            distance = 1 << stage
            shifted = moved >> distance
            if self._precision == "full":
                shifted = Cat(moved[distance] | moved[:distance].any(), moved[distance + 1 :]).as_signed()
            moved = wire(m, signed(len(moved)), Mux(places[stage], shifted, moved), f"shifted_by_{distance}")
        outside = Signal()
        upper = moved[_distance_bits(self._precision) - 1 :]
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

    def _logarithm(self, m, cut):
        """The fraction of log2 of the word, `cut` bits of which are not looked at one by one."""
        kept = self.word.fraction[cut:]
        if self._precision == "full":
            fraction = wire(m, len(kept), Cat(kept[0] | self.word.fraction[:cut].any(), kept[1:]))
            return on_lines(m, "log", LOG_NODES, fraction)
        # The table has what is added to the fraction itself, which is short.
        above = [height - step for step, height in enumerate(LOG_TABLE)]
        correction = Signal(range(max(above) + 1))
        switch(m, kept, {step: correction.eq(height) for step, height in enumerate(above)})
        return kept + correction


class _Round(Circuit):
    """Second half of an encoder lane: the distance times alpha's significand, rounded to a code."""

    def __init__(self, overflow, precision):
        self._saturates, self._precision = overflow == "saturate", precision
        super().__init__(
            {"i": In(_placed(precision)), "factor": In(_FACTORS[precision]), "code": Out(8), "flags": Out(LogFlags)}
        )

    def build(self, m):
        is_full, power_bits = self._precision == "full", _POWER_BITS[self._precision]
        # |distance| < 2**5 and alpha's significand is below 2
        power = wire(m, signed(_distance_bits(self._precision) + 1), self._product(m))
        fraction = power[:power_bits]
        octave = wire(m, signed(len(power) - power_bits), power[power_bits:])

        def passes(eighth, odd):
            """Whether the fraction is at the logarithm of 1 + eighth / 8 or above; a tie stays below an odd magnitude if it can
            be told."""
            threshold = _EIGHTHS[self._precision][eighth] + (odd and is_full)
            return wire(m, 1, fraction >= threshold, f"passes_{eighth}_eighths")

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
                m.d.comb += magnitude.eq(fraction.any() if is_full else 1)
            with m.Default():
                m.d.comb += magnitude.eq(Mux(octave[-1] & ~octave[4:].all(), 0, rounded))
        m.d.comb += [
            self.code.eq(Cat(magnitude, self.i.sign)),
            self.flags.saturated.eq(too_large & ~(self.i.nan | self.i.infinity)),
            self.flags.flushed.eq(is_zero & ~self.i.zero),
            self.flags.invalid.eq(self.i.infinity & self._saturates),
        ]

    def _product(self, m):
        """The distance times alpha's significand."""
        distance = self.i.distance
        if self._precision == "full":
            terms = [distance << ALPHA_FRACTION_BITS, *rows(m, distance, self.factor, "product")]
            return sum_of(m, terms, "product") >> ALPHA_FRACTION_BITS
        return added(m, summands(m, distance, self.factor, ALPHA_FRACTION_BITS, "product"), distance, "product")


class S2Encoder(Lanewise):
    """FP32 values to the codes of a tensor, `lanes` per beat, one beat per clock.

    Equation: ``log2|Y| = alpha * (log2|X| - mu)``, Y rounded to nearest (`golden.s2fp8.encode`); alpha has 8 significant bits.

    =========  ================================================================================================
    precision
    =========  ================================================================================================
    short      log2|X| is that of 9 bits of the significand, by a table, within 2**-7 of it; ties go away from
               zero
    full       log2|X| is that of 16 bits of the significand, by 64 straight lines, within 2**-13 of it; ties go
               to even
    =========  ================================================================================================

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

    precision = Choice("short", PRECISIONS, "How exact the logarithms are: short for FP8, or all but exact in twice the area.")
    overflow = Choice("saturate", OVERFLOWS, "What is too large becomes the largest number, or infinity.")
    flags = Switch(False, "Whether each element comes with its flags saturated, flushed and invalid.")
    user_bits = Integer(0, 0, MAX_USER_BITS, "Width of a tag that passes through.", place=3)

    fraction_bits = MappingProxyType({"mean": MEAN_FRACTION_BITS})

    def input_shapes(self):
        return Float32, {"alpha": signed(ALPHA_BITS), "mean": MEAN_BITS}

    def middle_shapes(self):
        return _placed(self.precision), {"factor": _FACTORS[self.precision]}

    def output_shapes(self):
        return 8, {"flags": data.ArrayLayout(LogFlags, self.lanes)} if self.flags else {}

    def first_half(self, m, source, sink):
        alpha = source.p.user.alpha
        fraction = alpha[:ALPHA_FRACTION_BITS]
        if self.precision == "short":
            digits_of(m, fraction, sink.p.factor)
        else:
            m.d.comb += sink.p.factor.eq(fraction)
        self.in_each_lane(
            m,
            "place",
            lambda: _Place(self.precision),
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
            lambda: _Round(self.overflow, self.precision),
            lambda lane, rounder: [
                rounder.i.eq(source.p.lanes[lane]),
                rounder.factor.eq(source.p.factor),
                sink.p.data[lane].eq(rounder.code),
                *([sink.p.user.flags[lane].eq(rounder.flags)] if self.flags else []),
            ],
        )
