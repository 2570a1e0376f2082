"""FP32 or sums in fixed point to logarithmic numbers with a shared exponent."""

from amaranth.hdl import signed
from amaranth.lib import data, wiring
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.hdl.block import Choice, Effect, Format, Integer, Lanewise, Relation, Stages, Switch
from narrowfloat.hdl.lbfp.block_exponent import BLOCK_LATENCY, BlockMaximum
from narrowfloat.hdl.lbfp.logarithm import (
    LSB_BITS,
    Clamp,
    Locate,
    Magnitude,
    Normalise,
    Sum,
    integer_bits,
    magnitude,
    normalised,
    rounded,
    summed,
)
from narrowfloat.hdl.parts.shapes import Float32, LogFlags


class LbfpEncoder(Lanewise):
    """FP32 values or sums in fixed point to codes, rounded to the nearest logarithm, `lanes` per beat, one beat per clock.

    Equation: for a significand s and an exponent e, with j the number of thresholds ``2**((j - 1/2) / 2**F)`` up to s, j from 1
    to ``2**F``, ``c = 2**F * (e - E + 2**I) + j`` (`golden.lbfp.encode`, `encode_fixed`). Thresholds are compared with s cut to
    F + 4 fraction bits.

    ================  =======================================================================  =========
    value             code                                                                     flag
    ================  =======================================================================  =========
    above the range   the largest number                                                       saturated
    below the range   the smallest number from half of it on, otherwise zero                   flushed
    zero              zero, never with a sign
    FP32 subnormal    zero                                                                     flushed
    infinity, NaN     the largest number, with its sign                                        invalid
    ================  =======================================================================  =========

    Latency: `stages` cycles; with `exponent` "max" those of a block and 1 more. Throughput: a beat per clock.

    Sources: "LBFP", APCCAS 2020.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: lanes, last, user: {exponent, lsb_exponent, user}}; the weight of the last bit has three bits more than
        the exponent.
    o : Out(stream.Signature)
        Payload {data: code lanes, last, user: {exponent, flags, user}}; the exponent only if it was found here.

    Fields
    ------
    s_axis.lane
        An FP32 word, or an integer in two's complement.
    m_axis.lane
        A code {sign, c}.
    exponent
        The shared exponent E of all codes of the beat.
    lsb_exponent
        The last bit of the integers of the beat means ``2**lsb_exponent``.
    flags
        What the conversion of the lane raised.

    Protocol
    --------
    order
        Where the exponent comes with the beat, or is fixed, every beat stands for itself. Where it is the largest of the block,
        a block is as many beats in a row as its numbers take; all leave with the exponent of their block. TLAST ends no block:
        fill the last one of a tensor up with zeros.
    """

    fmt = Format("lbfp8", LogBlockFormat, "Format of the codes.", place=0)
    stages = Stages(
        1,
        output="at the output",
        middle="behind the logarithm",
        input="at the input",
        summed="in front of the choice of what is out of range",
        normalised="behind the shift of a sum's leading one to the top",
        magnitude="behind the magnitude of a sum",
    )
    source = Choice("fp32", ("fp32", "fixed"), "FP32, or integers in two's complement whose last bit weighs 2**lsb_exponent.")
    fixed_bits = Integer(32, 4, 64, "Width of those integers.")
    exponent = Choice(
        "given", ("given", "max"), "Whether shared exponents come with each beat, or are found from each block of the format."
    )
    flags = Switch(False, "Whether each element comes with its flags saturated, flushed and invalid.")
    relations = (
        Relation("stages above 4 need source=fixed", lambda stages, source: stages <= 4 or source == "fixed"),
        Relation("exponent=max needs source=fp32", lambda exponent, source: exponent == "given" or source == "fp32"),
        Relation(
            "exponent=max needs a format whose block is a multiple of lanes",
            lambda exponent, fmt, lanes: exponent == "given" or (fmt.block is not None and fmt.block % lanes == 0),
        ),
    )

    effects = (Effect("with source=fixed", lambda source: source == "fixed", ("fixed_bits",)),)

    @property
    def latency(self):
        return self.stages + (self.fmt.block // self.lanes + BLOCK_LATENCY if self._blocks else 0)

    @classmethod
    def clocked(cls, values):
        return super().clocked(values) or values["exponent"] == "max"

    @property
    def _blocks(self):
        return self.exponent == "max"

    @property
    def _exponents(self):
        return {"exponent": signed(self.fmt.exp_bits)}

    @property
    def _integer_bits(self):
        return integer_bits(self.fmt, self.source, self.fixed_bits)

    def input_shapes(self):
        user = {} if self._blocks else self._exponents
        if self.source == "fp32":
            return Float32, user
        return signed(self.fixed_bits), {**user, "lsb_exponent": signed(self.fmt.exp_bits + LSB_BITS)}

    def output_shapes(self):
        raised = {"flags": data.ArrayLayout(LogFlags, self.lanes)} if self.flags else {}
        return self.fmt.bits, (self._exponents if self._blocks else {}) | raised

    def incoming(self, m):
        if not self._blocks:
            return self.i
        m.submodules.maximum = maximum = BlockMaximum(self.fmt, self.lanes, self.flags, self.tag)
        wiring.connect(m, wiring.flipped(self.i), maximum.i)
        return maximum.o

    def phases(self):
        bits = self._integer_bits
        shared = self._exponents if self._blocks else {}
        given = self._exponents | {"lsb_exponent": signed(self.fmt.exp_bits + LSB_BITS)}
        leading = [
            self.phase("magnitude", (magnitude(self.fixed_bits), given), self._magnitude),
            self.phase("normalised", (normalised(self.fixed_bits), given), self._normalise),
        ]
        return [
            *(leading if self.source == "fixed" else []),
            self.phase("middle", (rounded(self.fmt, bits), shared), self._locate),
            self.phase("summed", (summed(self.fmt, bits), shared), self._sum),
            self.phase("output", None, self._clamp),
        ]

    def _magnitude(self, m, source, sink):
        self.in_each_lane(
            m,
            "magnitude",
            lambda: Magnitude(self.fixed_bits),
            lambda lane, part: [part.value.eq(source.p.data[lane]), sink.p.lanes[lane].eq(part.o)],
        )
        m.d.comb += [sink.p[name].eq(source.p.user[name]) for name in ("exponent", "lsb_exponent")]

    def _normalise(self, m, source, sink):
        self.in_each_lane(
            m,
            "normalise",
            lambda: Normalise(self.fixed_bits),
            lambda lane, part: [part.i.eq(source.p.lanes[lane]), sink.p.lanes[lane].eq(part.o)],
        )
        m.d.comb += [sink.p[name].eq(source.p[name]) for name in ("exponent", "lsb_exponent")]

    def _locate(self, m, source, sink):
        fixed = self.source == "fixed"
        values, given = (source.p.lanes, source.p) if fixed else (source.p.data, source.p.user)
        self.in_each_lane(
            m,
            "locate",
            lambda: Locate(self.fmt, self.source, self.fixed_bits),
            lambda lane, locate: [
                locate.value.eq(values[lane]),
                locate.exponent.eq(given.exponent),
                sink.p.lanes[lane].eq(locate.o),
                *([locate.lsb_exponent.eq(given.lsb_exponent)] if fixed else []),
            ],
        )
        if self._blocks:
            m.d.comb += sink.p.exponent.eq(given.exponent)

    def _sum(self, m, source, sink):
        self.in_each_lane(
            m,
            "sum",
            lambda: Sum(self.fmt, self._integer_bits),
            lambda lane, part: [part.i.eq(source.p.lanes[lane]), sink.p.lanes[lane].eq(part.o)],
        )
        if self._blocks:
            m.d.comb += sink.p.exponent.eq(source.p.exponent)

    def _clamp(self, m, source, sink):
        self.in_each_lane(
            m,
            "clamp",
            lambda: Clamp(self.fmt, self._integer_bits),
            lambda lane, clamp: [
                clamp.i.eq(source.p.lanes[lane]),
                sink.p.data[lane].eq(clamp.code),
                *([sink.p.user.flags[lane].eq(clamp.flags)] if self.flags else []),
            ],
        )
        if self._blocks:
            m.d.comb += sink.p.user.exponent.eq(source.p.exponent)
