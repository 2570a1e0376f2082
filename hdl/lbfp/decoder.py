"""Logarithmic numbers with a shared exponent to FP32."""

from amaranth.hdl import signed
from amaranth.lib import data
from narrowfloat.golden.formats import FP32_BIAS, FP32_MAN_BITS, LogBlockFormat
from narrowfloat.hdl.block import Format, Lanewise
from narrowfloat.hdl.parts.logic import switch, wire
from narrowfloat.hdl.parts.shapes import Float32

# A lane between the halves of the decoder: |E - 2**I + i + 127| < 2**9.
_SPREAD = data.StructLayout({"sign": 1, "zero": 1, "exponent": signed(10), "fraction": FP32_MAN_BITS})


class LbfpDecoder(Lanewise):
    """Codes to FP32, rounded to nearest, `lanes` values per beat, one beat per clock.

    Equation: ``(-1)**sign * 2**(E - 2**I + c / 2**F)`` (`golden.lbfp.decode`).

    =========  ==================================================================
    rounding   to nearest of the 24 bits of 2**(f / 2**F), from a table
    zero       positive, and so is what is below the smallest normal FP32 number
    overflow   none, as E is below 128
    =========  ==================================================================

    Latency: `stages` cycles. Throughput: a beat per clock.

    Sources: "LBFP", APCCAS 2020.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: code lanes, last, user: {exponent, user}}.
    o : Out(stream.Signature)
        Payload {data: FP32 lanes, last, user: {user}}.

    Fields
    ------
    s_axis.lane
        A code {sign, c}.
    m_axis.lane
        An FP32 word.
    exponent
        The shared exponent E of all codes of the beat.
    """

    fmt = Format("lbfp8", LogBlockFormat, "Format of the codes.", place=0)

    def input_shapes(self):
        return self.fmt.bits, {"exponent": signed(self.fmt.exp_bits)}

    def middle_shapes(self):
        return _SPREAD, {}

    def output_shapes(self):
        return Float32, {}

    def first_half(self, m, source, sink):
        fmt = self.fmt
        one = 2**FP32_MAN_BITS
        fractions = [round(2 ** (f / 2**fmt.frac_bits) * one) - one for f in range(2**fmt.frac_bits)]
        base = wire(m, signed(10), source.p.user.exponent + (FP32_BIAS - 2**fmt.int_bits))
        for code, lane in zip(source.p.data, sink.p.lanes):
            magnitude = code[: fmt.magnitude_bits]
            m.d.comb += [
                lane.sign.eq(code[-1]),
                lane.zero.eq(~magnitude.any()),
                lane.exponent.eq(base + magnitude[fmt.frac_bits :]),
            ]
            switch(m, magnitude[: fmt.frac_bits], {f: lane.fraction.eq(fraction) for f, fraction in enumerate(fractions)})

    def second_half(self, m, source, sink):
        for lane, word in zip(source.p.lanes, sink.p.data):
            with m.If(~lane.zero & ~lane.exponent[-1] & lane.exponent.any()):
                m.d.comb += [word.sign.eq(lane.sign), word.exponent.eq(lane.exponent), word.fraction.eq(lane.fraction)]
