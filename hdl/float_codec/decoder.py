"""Narrow floats to FP32."""

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_MAN_BITS
from narrowfloat.hdl.float_codec.common import FloatCodec
from narrowfloat.hdl.parts.logic import Circuit, is_none_of, wire
from narrowfloat.hdl.parts.shapes import Float32


def _unpacked(codec):
    """Layout of a lane between the halves of the decoder: a number as sign, E of its leading one and the fraction after it."""
    return data.StructLayout(
        {
            "sign": 1,
            # down to that of the smallest subnormal
            "exponent": range(1 - max(1, codec.man_bits), 2**codec.exp_bits),
            "fraction": codec.man_bits,
            "zero": 1,
            "nan": 1,
            "infinity": 1,
        }
    )


class _Unpack(Circuit):
    """First half of a decoder lane: split the code, normalise subnormals, recognise special values."""

    def __init__(self, codec):
        self._codec = codec
        super().__init__(
            {
                "code": In(codec.code_bits),
                "control": In(codec.control_layout),
                "o": Out(_unpacked(codec)),
            }
        )

    def build(self, m):
        results = [self._unpack(m, fmt) for fmt in self._codec.formats]
        chosen = wire(m, _unpacked(self._codec), self._codec.choose(self.control, results))
        m.d.comb += self.o.eq(chosen)
        with m.If(is_none_of(self.control, "format", range(len(results)))):
            m.d.comb += [self.o.eq(0), self.o.nan.eq(1)]

    def _unpack(self, m, fmt):
        result = Signal(_unpacked(self._codec), name=f"unpacked_{fmt.name}")
        mantissa = self.code[: fmt.man_bits]
        exponent = self.code[fmt.man_bits : fmt.magnitude_bits]
        magnitude = self.code[: fmt.magnitude_bits]
        sign = self.code[fmt.bits - 1] if fmt.signed else Const(0, 1)
        left = self._codec.man_bits - fmt.man_bits
        m.d.comb += [
            result.sign.eq(sign),
            result.exponent.eq(exponent),
            result.fraction.eq(Cat(Const(0, left), mantissa)),
        ]
        if fmt.underflow != "clamp_exponent":
            negative_zero_is_nan = sign if fmt.specials == "fnuz" else 0
            m.d.comb += result.zero.eq(~magnitude.any() & ~negative_zero_is_nan)
        if fmt.underflow == "gradual" and fmt.exp_bits < 8:
            fraction = Cat(Const(0, left), mantissa)
            # A zero passes as the smallest number, as `zero` says what it is.
            last = fmt.man_bits - 1
            with m.If(~exponent.any()):
                m.d.comb += [result.exponent.eq(-last), result.fraction.eq(fraction << last + 1)]
                for leading_zeros in reversed(range(last)):
                    with m.If(mantissa[-1 - leading_zeros]):
                        m.d.comb += [result.exponent.eq(-leading_zeros), result.fraction.eq(fraction << leading_zeros + 1)]
        if fmt.specials == "ieee":
            m.d.comb += [
                result.nan.eq(exponent.all() & mantissa.any()),
                result.infinity.eq(exponent.all() & ~mantissa.any()),
            ]
        elif fmt.specials == "fnuz":
            m.d.comb += result.nan.eq(~magnitude.any() & sign)
        elif fmt.nan is not None:
            m.d.comb += result.nan.eq(magnitude.all())
        return result


class _Rebias(Circuit):
    """Second half of a decoder lane: the FP32 exponent, E + 127 - bias, and special values."""

    def __init__(self, codec):
        self._codec = codec
        super().__init__(
            {
                "i": In(_unpacked(codec)),
                "control": In(codec.control_layout),
                "word": Out(Float32),
            }
        )

    def build(self, m):
        fmt = self._codec.formats[0]
        man_bits = self._codec.man_bits
        fraction = Cat(Const(0, FP32_MAN_BITS - man_bits), self.i.fraction)
        exponent = Signal(8)
        if fmt.exp_bits == 8:
            m.d.comb += exponent.eq(self.i.exponent)
            if fmt.specials == "fnu":
                fraction = Cat(Const(0, FP32_MAN_BITS - 1), ~self.i.exponent.any())
        else:
            # 127 - bias is a one and then the bias inverted: no carry to add. To subtract E from the bias and to invert the
            # difference takes fewer LUTs and more gates.
            offset = Cat(~self._codec.bias(self.control), 1)
            m.d.comb += exponent.eq(self.i.exponent + offset)
        quiet = Const(1 << (FP32_MAN_BITS - 1), FP32_MAN_BITS)
        m.d.comb += [
            self.word.sign.eq(self.i.sign),
            self.word.exponent.eq(Mux(self.i.nan | self.i.infinity, 255, Mux(self.i.zero, 0, exponent))),
            self.word.fraction.eq(fraction | Mux(self.i.nan, quiet, 0)),
        ]


class FloatDecoder(FloatCodec):
    """Narrow floats to FP32, `lanes` values per beat, one beat per clock. Every result is exact.

    Equation: ``(-1)**sign * 1.M * 2**(E - bias)``; with E = 0 in a gradual format ``0.M * 2**(1 - bias)``.

    ==============  =====================================================================================================
    rounding        none: every code at every bias is an FP32 number
    zero            keeps its sign
    infinity        FP32 infinity
    NaN             quiet, with its sign, M in the top bits of the fraction
    not built       with a code of `format` that is none of those built every result is +NaN without payload
    ==============  =====================================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock.

    Sources: Sadi et al. 2024, Eq. 1; OCP OFP8 1.0.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: code lanes, last, user: {bias, format, user}}.
    o : Out(stream.Signature)
        Payload {data: FP32 lanes, last, user: {user}}.

    Fields
    ------
    s_axis.lane
        A code {sign, E, M}, in the lowest bits where the format of the beat has fewer; the others are ignored.
    m_axis.lane
        An FP32 word.
    """

    def input_shapes(self):
        return self.code_bits, self.control

    def middle_shapes(self):
        return _unpacked(self), {"control": self.control_layout}

    def output_shapes(self):
        return Float32, {}

    def first_half(self, m, source, sink):
        self.pass_control(m, source, sink)
        self.in_each_lane(
            m,
            "unpack",
            lambda: _Unpack(self),
            lambda lane, unpack: [
                unpack.code.eq(source.p.data[lane]),
                unpack.control.eq(sink.p.control),
                sink.p.lanes[lane].eq(unpack.o),
            ],
        )

    def second_half(self, m, source, sink):
        self.in_each_lane(
            m,
            "rebias",
            lambda: _Rebias(self),
            lambda lane, rebias: [
                rebias.i.eq(source.p.lanes[lane]),
                rebias.control.eq(source.p.control),
                sink.p.data[lane].eq(rebias.word),
            ],
        )
