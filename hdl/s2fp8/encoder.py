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
from narrowfloat.hdl.block import Choice, Integer, Lanewise, Stages, Switch
from narrowfloat.hdl.parts.logic import Circuit, switch, wire
from narrowfloat.hdl.parts.shapes import Float32, LogFlags
from narrowfloat.hdl.s2fp8.digits import DIGIT, added, digits_of, folded, summands
from narrowfloat.hdl.s2fp8.lines import on_lines, rows, sum_of

# What is added to the fraction of a significand itself is short.
CORRECTIONS = [height - step for step, height in enumerate(short.log_table().tolist())]
LOG_NODES = full.log_nodes().tolist()
MAX_USER_BITS = 1024
# Fraction bits of log2|X| and log2|Y|.
_LOG_BITS = {"short": short.LOG_BITS, "full": full.LOG_BITS}
_POWER_BITS = {"short": short.LOG_BITS, "full": full.POWER_BITS}
# At which fractions of log2|Y| the significand is 1 + 0 / 8, 1 + 1 / 8, and so on.
_EIGHTHS = {
    "short": short.eighth_logs().tolist(),
    "full": [node >> full.LOG_BITS - full.POWER_BITS for node in LOG_NODES[: -1 : full.LOG_SEGMENTS // 8]],
}
# alpha's significand without its first bit: as digits in short precision, as it is in full.
_FACTORS = {"short": data.ArrayLayout(DIGIT, -(-ALPHA_FRACTION_BITS // 2)), "full": ALPHA_FRACTION_BITS}


def _distance_bits(precision):
    """Of L - mu times the power of two in alpha: beyond 32 octaves a code is the largest or zero, as alpha's significand is 1
    or more."""
    return 6 + _POWER_BITS[precision]


# What is no ordinary number.
_KIND = data.StructLayout(
    {
        "sign": 1,
        "small": 1,  # zero, subnormal, or far below the mean
        "large": 1,  # infinity, NaN, or far above it
        "infinity": 1,
        "nan": 1,
        "zero": 1,
    }
)


def _logarithms(precision):
    """A lane behind the table: L + 127, in short precision less a correction of its fraction, for either first bit of that."""
    corrections = data.ArrayLayout(range(max(CORRECTIONS) + 1) if precision == "short" else 0, 2)
    return data.StructLayout({"kind": _KIND, "logarithm": 8 + _LOG_BITS[precision], "corrections": corrections})


def _above(precision):
    """A lane behind the subtraction: L - mu, with as many fraction bits as the logarithm has."""
    return data.StructLayout({"kind": _KIND, "above": signed(MEAN_BITS + 1 + _LOG_BITS[precision] - MEAN_FRACTION_BITS)})


def _scaled(precision):
    """A lane behind the shift: L - mu times the power of two in alpha."""
    return data.StructLayout({"kind": _KIND, "moved": signed(MEAN_BITS + _POWER_BITS[precision])})


def _products(precision):
    """A lane with the parts of the product with alpha's significand, which is their sum: in short precision those of the two
    lowest digits, of the next one, and of the highest one and the distance, with the carries of the former two."""
    bits = _distance_bits(precision)
    if precision == "full":
        return data.StructLayout({"kind": _KIND, "low": signed(bits + 9), "high": signed(bits + 8)})
    return data.StructLayout(
        {"kind": _KIND, "low": signed(bits - 3), "middle": signed(bits - 2), "high": signed(bits + 1), "carries": 2}
    )


def _multiplied(precision):
    """A lane behind the product: log2|Y|."""
    # |distance| < 2**5 and alpha's significand is below 2
    return data.StructLayout({"kind": _KIND, "power": signed(_distance_bits(precision) + 1)})


# A lane behind the comparisons: the octave of Y, and whether its significand is at 1 + k / 8 or above, k from 0 to 7. At some
# of these it goes up to an odd magnitude, in the octaves where rounding goes up there.
_COMPARED = data.StructLayout({"kind": _KIND, "octave": signed(7), "passed": 8})
_TO_ODD = (0, 1, 2, 5)


class _Logarithm(Circuit):
    """The logarithm of a word, and what kind of number it is."""

    def __init__(self, precision):
        self._precision = precision
        super().__init__({"word": In(Float32), "o": Out(_logarithms(precision))})

    def build(self, m):
        log_bits = _LOG_BITS[self._precision]
        zero = Signal()
        special = Signal()
        rest = Signal()
        kind = self.o.kind
        m.d.comb += [
            self.o.logarithm.eq(Cat(self._fraction(m, FP32_MAN_BITS - log_bits), self.word.exponent)),
            zero.eq(~self.word.exponent.any()),
            special.eq(self.word.exponent.all()),
            rest.eq(self.word.fraction.any()),
            kind.sign.eq(self.word.sign),
            kind.small.eq(zero),
            kind.large.eq(special),
            kind.infinity.eq(special & ~rest),
            kind.nan.eq(special & rest),
            kind.zero.eq(zero & ~rest),
        ]

    def _fraction(self, m, cut):
        """The fraction of the logarithm, from the word's but for `cut` bits, which are not looked at one by one."""
        kept = self.word.fraction[cut:]
        if self._precision == "full":
            fraction = wire(m, len(kept), Cat(kept[0] | self.word.fraction[:cut].any(), kept[1:]))
            return on_lines(m, "log", LOG_NODES, fraction)
        halves = zip(CORRECTIONS[: len(CORRECTIONS) // 2], CORRECTIONS[len(CORRECTIONS) // 2 :], strict=True)
        low, high = self.o.corrections
        switch(m, kept[:-1], {step: [low.eq(lower), high.eq(upper)] for step, (lower, upper) in enumerate(halves)})
        return kept


class _Subtract(Circuit):
    """The logarithm less the mean."""

    def __init__(self, precision):
        self._bits = _LOG_BITS[precision]
        super().__init__({"i": In(_logarithms(precision)), "mean": In(MEAN_BITS), "o": Out(_above(precision))})

    def build(self, m):
        low, high = self.i.corrections
        kept = self.i.logarithm[: self._bits]
        # That late the choice fits into the cells of the adder.
        fraction = wire(m, self._bits, kept + Mux(kept[-1], high, low))
        below = self._bits - MEAN_FRACTION_BITS
        above = Cat(fraction[below:], self.i.logarithm[self._bits :]) - self.mean
        m.d.comb += [self.o.kind.eq(self.i.kind), self.o.above.eq(Cat(fraction[:below], above))]


class _Scale(Circuit):
    """The difference from the mean times ``2**exponent``, the exponent being that of alpha.

    In full precision bits that are cut off set the last one that is kept, so that what lies between two numbers stays between
    them.
    """

    def __init__(self, precision):
        self._precision = precision
        super().__init__({"i": In(_above(precision)), "exponent": In(4), "o": Out(_scaled(precision))})

    def build(self, m):
        log_bits, power_bits = _LOG_BITS[self._precision], _POWER_BITS[self._precision]
        # In units of 2**-power_bits after a shift to the right by 7 - exponent, from 0 to 15.
        moved = Cat(Const(0, 7 + power_bits - log_bits), self.i.above).as_signed()
        places = ~self.exponent ^ 8
        for stage in reversed(range(4)):
            distance = 1 << stage
            shifted = moved >> distance
            if self._precision == "full":
                shifted = Cat(moved[distance] | moved[:distance].any(), moved[distance + 1 :]).as_signed()
            moved = wire(m, signed(len(moved)), Mux(places[stage], shifted, moved), f"shifted_by_{distance}")
        m.d.comb += [self.o.kind.eq(self.i.kind), self.o.moved.eq(moved)]


class _Multiply(Circuit):
    """The distance times alpha's significand, in parts."""

    def __init__(self, precision):
        self._precision = precision
        super().__init__({"i": In(_scaled(precision)), "factor": In(_FACTORS[precision]), "o": Out(_products(precision))})

    def build(self, m):
        bits, moved = _distance_bits(self._precision), self.i.moved
        upper = moved[bits - 1 :]
        outside = Signal()
        m.d.comb += [
            outside.eq(upper.any() & ~upper.all()),
            self.o.kind.eq(self.i.kind),
            self.o.kind.small.eq(self.i.kind.small | (outside & moved[-1] & ~self.i.kind.large)),
            self.o.kind.large.eq(self.i.kind.large | (outside & ~moved[-1])),
        ]
        distance = wire(m, signed(bits), moved[:bits].as_signed())
        if self._precision == "full":
            terms = [distance << ALPHA_FRACTION_BITS, *rows(m, distance, self.factor, "product")]
            m.d.comb += [self.o.low.eq(sum_of(m, terms[:4], "low")), self.o.high.eq(sum_of(m, terms[4:], "high"))]
        else:
            *lowest, (middle, carry), highest = summands(m, distance, self.factor, ALPHA_FRACTION_BITS, "product")
            low, low_carry = folded(m, lowest, "product")
            m.d.comb += [
                self.o.low.eq(low),
                self.o.middle.eq(middle),
                self.o.high.eq(added(m, [highest], distance, "high")),
                self.o.carries.eq(Cat(low_carry, carry)),
            ]


class _Add(Circuit):
    """The parts of the product together."""

    def __init__(self, precision):
        self._precision = precision
        super().__init__({"i": In(_products(precision)), "o": Out(_multiplied(precision))})

    def build(self, m):
        if self._precision == "full":
            power = (self.i.low + self.i.high) >> ALPHA_FRACTION_BITS
        else:
            parts = [(self.i.low, self.i.carries[0]), (self.i.middle, self.i.carries[1])]
            power = added(m, parts, self.i.high, "product")
        m.d.comb += [self.o.kind.eq(self.i.kind), self.o.power.eq(power)]


class _Compare(Circuit):
    """Where a logarithm is among those at which rounding goes up."""

    def __init__(self, precision):
        self._precision = precision
        super().__init__({"i": In(_multiplied(precision)), "o": Out(_COMPARED)})

    def build(self, m):
        bits, power = _POWER_BITS[self._precision], self.i.power
        m.d.comb += [self.o.kind.eq(self.i.kind), self.o.octave.eq(power[bits:])]
        for eighth, threshold in enumerate(_EIGHTHS[self._precision]):
            # A tie stays below an odd magnitude where it can be told.
            stays = eighth in _TO_ODD and self._precision == "full"
            m.d.comb += self.o.passed[eighth].eq(power[:bits] >= threshold + stays)


class _Round(Circuit):
    """A logarithm rounded to a code."""

    def __init__(self, overflow):
        self._saturates = overflow == "saturate"
        super().__init__({"i": In(_COMPARED), "code": Out(8), "flags": Out(LogFlags)})

    def build(self, m):
        kind, octave, passed = self.i.kind, self.i.octave, self.i.passed
        one, three, five, seven = passed[1], passed[3], passed[5], passed[7]
        # Above 7 eighths a significand rounds to the next power of two.
        raised = wire(m, 5, octave[:5] ^ 16)
        exponent = wire(m, 5, Mux(seven, raised, raised - 1))
        normal = Cat((one & ~three) | (five & ~seven), three & ~seven, exponent)
        magnitude = Signal(7)
        too_large = Signal()
        is_zero = Signal()
        beyond = ~octave[-1] & (octave[4:-1].any() | (octave[:4].all() & seven))
        m.d.comb += [too_large.eq(~kind.small & (kind.large | beyond)), is_zero.eq(~magnitude.any())]
        with m.If(kind.nan):
            m.d.comb += magnitude.eq(FORMAT.nan)
        with m.Elif(too_large):
            m.d.comb += magnitude.eq(FORMAT.max_finite if self._saturates else FORMAT.infinity)
        with m.Elif(~kind.small), m.Switch(octave):
            with m.Case(-15):
                m.d.comb += magnitude.eq(2 + (passed[2] + passed[6]))
            with m.Case(-16):
                m.d.comb += magnitude.eq(1 + passed[4])
            with m.Case(-17):
                m.d.comb += magnitude.eq(passed[0])
            with m.Default():
                m.d.comb += magnitude.eq(Mux(octave[-1] & ~octave[4:].all(), 0, normal))
        m.d.comb += [
            self.code.eq(Cat(magnitude, kind.sign)),
            self.flags.saturated.eq(too_large & ~(kind.nan | kind.infinity)),
            self.flags.flushed.eq(is_zero & ~kind.zero),
            self.flags.invalid.eq(kind.infinity & self._saturates),
        ]


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

    stages = Stages(
        1,
        output="at the output",
        middle="behind the shift by the power of two in alpha",
        input="at the input",
        products="within the product with alpha's significand",
        above="behind the subtraction of the mean",
        multiplied="behind the product with alpha's significand",
        compared="behind the comparisons for rounding",
        logarithm="behind the logarithm",
    )
    precision = Choice("short", PRECISIONS, "How exact the logarithms are: short for FP8, or all but exact in twice the area.")
    overflow = Choice("saturate", OVERFLOWS, "What is too large becomes the largest number, or infinity.")
    flags = Switch(False, "Whether each element comes with its flags saturated, flushed and invalid.")
    user_bits = Integer(0, 0, MAX_USER_BITS, "Width of a tag that passes through.", place=3)

    fraction_bits = MappingProxyType({"mean": MEAN_FRACTION_BITS})

    def input_shapes(self):
        return Float32, {"alpha": signed(ALPHA_BITS), "mean": MEAN_BITS}

    def output_shapes(self):
        return 8, {"flags": data.ArrayLayout(LogFlags, self.lanes)} if self.flags else {}

    def phases(self):
        precision, factor = self.precision, {"factor": _FACTORS[self.precision]}
        return [
            self.phase(
                "logarithm", (_logarithms(precision), {"mean": MEAN_BITS, "exponent": 4, **factor}), self._take_logarithm
            ),
            self.phase("above", (_above(precision), {"exponent": 4, **factor}), self._subtract),
            self.phase("middle", (_scaled(precision), factor), self._scale),
            self.phase("products", (_products(precision), {}), self._multiply),
            self.phase("multiplied", (_multiplied(precision), {}), self._add),
            self.phase("compared", (_COMPARED, {}), self._compare),
            self.phase("output", None, self._round),
        ]

    def _take_logarithm(self, m, source, sink):
        alpha = source.p.user.alpha
        fraction = alpha[:ALPHA_FRACTION_BITS]
        m.d.comb += [sink.p.exponent.eq(alpha[ALPHA_FRACTION_BITS:]), sink.p.mean.eq(source.p.user.mean)]
        if self.precision == "short":
            digits_of(m, fraction, sink.p.factor)
        else:
            m.d.comb += sink.p.factor.eq(fraction)
        self.in_each_lane(
            m,
            "logarithm",
            lambda: _Logarithm(self.precision),
            lambda lane, logarithm: [logarithm.word.eq(source.p.data[lane]), sink.p.lanes[lane].eq(logarithm.o)],
        )

    def _subtract(self, m, source, sink):
        m.d.comb += [sink.p.exponent.eq(source.p.exponent), sink.p.factor.eq(source.p.factor)]
        self.in_each_lane(
            m,
            "subtract",
            lambda: _Subtract(self.precision),
            lambda lane, subtract: [
                subtract.i.eq(source.p.lanes[lane]),
                subtract.mean.eq(source.p.mean),
                sink.p.lanes[lane].eq(subtract.o),
            ],
        )

    def _scale(self, m, source, sink):
        m.d.comb += sink.p.factor.eq(source.p.factor)
        self.in_each_lane(
            m,
            "scale",
            lambda: _Scale(self.precision),
            lambda lane, scale: [
                scale.i.eq(source.p.lanes[lane]),
                scale.exponent.eq(source.p.exponent),
                sink.p.lanes[lane].eq(scale.o),
            ],
        )

    def _multiply(self, m, source, sink):
        self.in_each_lane(
            m,
            "multiply",
            lambda: _Multiply(self.precision),
            lambda lane, multiply: [
                multiply.i.eq(source.p.lanes[lane]),
                multiply.factor.eq(source.p.factor),
                sink.p.lanes[lane].eq(multiply.o),
            ],
        )

    def _add(self, m, source, sink):
        self.in_each_lane(
            m,
            "add",
            lambda: _Add(self.precision),
            lambda lane, add: [add.i.eq(source.p.lanes[lane]), sink.p.lanes[lane].eq(add.o)],
        )

    def _compare(self, m, source, sink):
        self.in_each_lane(
            m,
            "compare",
            lambda: _Compare(self.precision),
            lambda lane, compare: [compare.i.eq(source.p.lanes[lane]), sink.p.lanes[lane].eq(compare.o)],
        )

    def _round(self, m, source, sink):
        self.in_each_lane(
            m,
            "round",
            lambda: _Round(self.overflow),
            lambda lane, rounder: [
                rounder.i.eq(source.p.lanes[lane]),
                sink.p.data[lane].eq(rounder.code),
                *([sink.p.user.flags[lane].eq(rounder.flags)] if self.flags else []),
            ],
        )
