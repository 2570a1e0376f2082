"""The codes of a shifted and squeezed tensor to FP32."""

from types import MappingProxyType

from amaranth.hdl import Array, Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from narrowfloat.golden.formats import FP32_MAN_BITS
from narrowfloat.golden.s2fp8 import (
    INVERSE_BITS,
    INVERSE_FRACTION_BITS,
    MEAN_BITS,
    MEAN_FRACTION_BITS,
    PRECISIONS,
    full,
    short,
)
from narrowfloat.hdl.block import Choice, Integer, Lanewise
from narrowfloat.hdl.parts.logic import named, switch, wire
from narrowfloat.hdl.parts.shapes import Float32
from narrowfloat.hdl.s2fp8.digits import DIGIT, added, digits_of, summands
from narrowfloat.hdl.s2fp8.lines import on_lines, rows, sum_of

ANTILOG_NODES = full.antilog_nodes().tolist()
ANTILOG_TABLE = short.antilog_table().tolist()
QUARTER_LOGS = short.quarter_logs().tolist()
MAX_USER_BITS = 1024
# Fraction bits of log2|X|, and of X.
_POWER_BITS = {"short": short.LOG_BITS, "full": full.ANTILOG_BITS}
_RESULT_BITS = {"short": short.RESULT_BITS, "full": full.RESULT_BITS}

# Of a decoded logarithm, which is the exponent field of an FP32 word and its fraction: |1 / alpha * 16| < 2**9.
_FIELD_BITS = 11


def _expanded(precision):
    """A lane between the halves of the decoder."""
    power = signed(_FIELD_BITS + _POWER_BITS[precision])
    return data.StructLayout({"sign": 1, "power": power, "zero": 1, "special": 1, "mantissa": 2})


class S2Decoder(Lanewise):
    """Codes of a tensor to FP32, `lanes` values per beat, one beat per clock.

    Equation: ``log2|X| = mu + log2|Y| / alpha``, and X = 2 to that power (`golden.s2fp8.decode`). The precision says by what,
    and within what of the exact value, or for alpha below 1 within that over alpha:

    ==========  ===============================================================================================
    short       in units of 2**-8; X by a table, of 8 fraction bits, within 2**-7
    full        in units of 2**-14; X by 32 straight lines, of 13 fraction bits, within 2**-12
    ==========  ===============================================================================================

    ==========  ===============================================================================================
    zero        keeps its sign, and so does what is below 2**-126
    too large   the largest number of so many fraction bits
    infinity    FP32 infinity
    NaN         quiet, with its sign and mantissa
    ==========  ===============================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock.

    Source: Cambier et al. 2020, Eq. 5.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: code lanes, last, user: {inverse, mean, user}}: those of `golden.s2fp8.Parameters`.
    o : Out(stream.Signature)
        Payload {data: FP32 lanes, last, user: {user}}.

    Fields
    ------
    s_axis.lane
        A code {sign, E, M} of `float8_e5m2`.
    m_axis.lane
        An FP32 word.
    inverse
        1 / alpha of the tensor: an unsigned number in units of 2**-17.
    mean
        mu + 127 of the tensor, an unsigned number in units of 2**-8.

    Protocol
    --------
    order
        Every beat stands for itself. A tensor has the same inverse and mean throughout, those that its codes were written with.
    """

    precision = Choice("short", PRECISIONS, "How exact the powers are: short for FP8, or all but exact in twice the area.")
    user_bits = Integer(0, 0, MAX_USER_BITS, "Width of a tag that passes through.", place=3)

    fraction_bits = MappingProxyType({"inverse": INVERSE_FRACTION_BITS, "mean": MEAN_FRACTION_BITS})

    def input_shapes(self):
        return 8, {"inverse": INVERSE_BITS, "mean": MEAN_BITS}

    def middle_shapes(self):
        return _expanded(self.precision), {}

    def output_shapes(self):
        return Float32, {}

    def first_half(self, m, source, sink):
        power_of = self._short_power(m, source) if self.precision == "short" else self._full_power(m, source)
        for index, (code, lane) in enumerate(zip(source.p.data, sink.p.lanes)):
            field, mantissa = code[2:7], code[:2]
            exponent, quarter = Signal(signed(5), name=f"exponent{index}"), Signal(2, name=f"quarter{index}")
            # E - 15; 2**-16 times a mantissa of 1 is 2**-16, of 2 and 3 is 2**-15 times 1 and 1.5
            m.d.comb += [exponent.eq(field - 15), quarter.eq(mantissa)]
            with m.If(~field.any()):
                m.d.comb += [exponent.eq(Cat(mantissa[1], Const(0b1000, 4))), quarter.eq(Cat(0, mantissa.all()))]
            m.d.comb += [
                lane.sign.eq(code[7]),
                lane.power.eq(power_of(exponent, quarter, index)),
                lane.zero.eq(~code[:7].any()),
                lane.special.eq(field.all()),
                lane.mantissa.eq(mantissa),
            ]

    def _full_power(self, m, source):
        """A function that gives log2|X| of an exponent and the quarters of a significand in a lane.

        In each lane 1 / alpha is multiplied with the exponent, and once for all with the logarithms of the three mantissas.
        """
        inverse = source.p.user.inverse
        drop = INVERSE_FRACTION_BITS - full.ANTILOG_BITS
        half = 1 << drop - 1
        mean = Cat(Const(half, INVERSE_FRACTION_BITS - MEAN_FRACTION_BITS), source.p.user.mean)
        starts = [Signal(INVERSE_FRACTION_BITS + 9, name=f"start{quarter}") for quarter in range(4)]
        for start, product in zip(starts, _by_log_of_quarters(m, inverse)):
            m.d.comb += start.eq(mean + product)

        def power(exponent, quarter, lane):
            start = wire(m, len(starts[0]), Array(starts)[quarter], f"start_of_lane{lane}")
            return sum_of(m, [start, *rows(m, inverse, exponent, f"product{lane}")], f"power{lane}") >> drop

        return power

    def _short_power(self, m, source):
        """As `_full_power`: 1 / alpha times the exponent and the logarithm of the significand, by digits of these."""
        guard = short.GUARD_BITS
        mean = Cat(Const(1 << guard - 1, guard), source.p.user.mean)

        def power(exponent, quarter, lane):
            log = Signal(short.QUARTER_BITS, name=f"log_of_significand{lane}")
            switch(m, quarter, {key: log.eq(height) for key, height in enumerate(QUARTER_LOGS)})
            digits = Signal(data.ArrayLayout(DIGIT, (len(log) + len(exponent)) // 2), name=f"digits{lane}")
            digits_of(m, Cat(log, exponent), digits)
            places = short.QUARTER_BITS + INVERSE_FRACTION_BITS - short.LOG_BITS - guard
            terms = summands(m, source.p.user.inverse, digits, places, f"product{lane}")
            return added(m, terms, mean, f"power{lane}") >> guard

        return power

    def second_half(self, m, source, sink):
        power_bits, result_bits = _POWER_BITS[self.precision], _RESULT_BITS[self.precision]
        for index, (lane, word) in enumerate(zip(source.p.lanes, sink.p.data)):
            fraction = lane.power[:power_bits]
            field = wire(m, _FIELD_BITS, lane.power[power_bits:], f"exponent_field{index}")
            significand = Signal(result_bits, name=f"significand{index}")
            m.d.comb += [significand.eq(self._antilog(m, fraction, index)), word.sign.eq(lane.sign)]
            too_large = wire(m, 1, field[8:].any() | field[:8].all(), f"too_large{index}")
            is_normal = wire(m, 1, ~lane.zero & ~field[-1] & field.any(), f"is_normal{index}")
            with m.If(lane.special):
                # an infinity has no mantissa, a NaN some
                m.d.comb += [
                    word.exponent.eq(255),
                    word.fraction.eq(
                        Cat(Const(0, FP32_MAN_BITS - 2), lane.mantissa) | lane.mantissa.any() << FP32_MAN_BITS - 1
                    ),
                ]
            with m.Elif(is_normal):
                m.d.comb += [
                    word.exponent.eq(Mux(too_large, 254, field)),
                    word.fraction.eq(
                        Cat(Const(0, FP32_MAN_BITS - result_bits), significand | too_large.replicate(result_bits))
                    ),
                ]

    def _antilog(self, m, fraction, lane):
        """Two to the power of a fraction, less 1."""
        if self.precision == "full":
            return on_lines(m, f"antilog{lane}", ANTILOG_NODES, fraction)
        # The table has what is taken from the fraction itself, which is short.
        below = [step - height for step, height in enumerate(ANTILOG_TABLE)]
        correction = Signal(range(max(below) + 1), name=f"correction{lane}")
        switch(m, fraction, {step: correction.eq(height) for step, height in enumerate(below)})
        return fraction - correction


def _by_log_of_quarters(m, value):
    """`value` times log2 of 1, 1.25, 1.5 and 1.75, which are 0, 5274, 9584 and 13228 in units of 2**-14, in seven additions."""

    def by(factor, product):
        return named(m, product, f"inverse_by_{factor}")

    by_5 = by(5, value + (value << 2))
    by_75 = by(75, (by_5 << 4) - by_5)
    by_599 = by(599, (by_75 << 3) - value)
    by_77 = by(77, by_75 + (value << 1))
    by_2637 = by(2637, (by_5 << 9) + by_77)
    by_907 = by(907, by_599 + (by_77 << 2))
    by_3307 = by(3307, (by_75 << 5) + by_907)
    return [Const(0, 1), by_2637 >> full.ANTILOG_BITS - 1, by_599 >> full.ANTILOG_BITS - 4, by_3307 >> full.ANTILOG_BITS - 2]
