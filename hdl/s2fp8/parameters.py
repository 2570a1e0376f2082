"""The parameters of a tensor from its statistics."""

from dataclasses import asdict
from types import MappingProxyType

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.s2fp8 import (
    ALPHA_BITS,
    ALPHA_FRACTION_BITS,
    INVERSE_BITS,
    INVERSE_FRACTION_BITS,
    MEAN_BITS,
    MEAN_FRACTION_BITS,
    MIN_SPREAD,
    Parameters,
)
from narrowfloat.hdl.block import Block, Integer
from narrowfloat.hdl.parts.logic import wire
from narrowfloat.hdl.parts.stream import Register, beats_of

MAX_USER_BITS = 1024
# The parameters of bias 15, with which codes are those of the plain format.
NEUTRAL = asdict(Parameters.of_bias(15))

PARAMETERS = data.StructLayout({"alpha": signed(ALPHA_BITS), "mean": MEAN_BITS, "inverse": INVERSE_BITS})

# Bits of the quotients: one for each cycle. Of 1 / alpha there are fewer by the leading zeros of the spread, which it was
# shifted by.
_ALPHA_STEPS = 9
_INVERSE_STEPS = 24
_QUOTIENT_BITS = INVERSE_BITS + 1
_MIN_SPREAD_BIT = MIN_SPREAD.bit_length() - 1


class S2Parameters(Block):
    """The parameters of a tensor from its statistics, by two divisions with one subtractor.

    Equation: with ``d = max - mean``, at least 32, in units of 2**-8, ``alpha = 3840 / d`` cut to 8 significant bits, and 1 /
    alpha of that to the nearest 2**-17 (`golden.s2fp8.parameters`). With max = 0, which no tensor has, alpha = 1 and mu =
    0.

    The spread is first shifted until its top bit is set, and the dividend of 1 / alpha, a power of two, begins that much lower,
    so that the number of cycles is always the same.

    Latency: 35 cycles, and no more than one tensor at a time: the transfer at the input happens at the end.

    Source: Cambier et al. 2020, Eq. 4.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {mean, max}, last, user: {user}}, as `hdl.statistics.LogMoments` gives "mean" and "max".
    o : Out(stream.Signature)
        Payload {data: {alpha, mean, inverse}, last, user: {user}}.

    Fields
    ------
    s_axis.mean, s_axis.max
        The mean and the largest of 127 + log2 of the magnitudes of a tensor, as `log_moments` gives them.
    m_axis.mean
        mu + 127: the mean that came in.
    alpha
        The squeeze: its lowest 7 bits f and what is above them e, signed, mean ``2**e * (1 + f / 128)``.
    inverse
        1 / alpha.

    Protocol
    --------
    TLAST
        Passes through, and changes nothing.
    constant
        Hold a beat at the input, unchanged, until it is taken.
    """

    user_bits = Integer(0, 0, MAX_USER_BITS, "Width of a tag that passes through.", place=3)

    latency = _ALPHA_STEPS + _INVERSE_STEPS + 2
    initiation_interval = latency
    fraction_bits = MappingProxyType({"mean": MEAN_FRACTION_BITS, "max": MEAN_FRACTION_BITS, "inverse": INVERSE_FRACTION_BITS})

    def members(self):
        return {
            "i": In(beats_of(data.StructLayout({"mean": MEAN_BITS, "max": MEAN_BITS}), self.tag)),
            "o": Out(beats_of(PARAMETERS, self.tag)),
        }

    def build(self, m):
        m.submodules.output = output = Register(self.o.payload.shape())
        wiring.connect(m, output.o, wiring.flipped(self.o))
        statistics, result = self.i.p.data, output.i.p.data

        divisor = Signal(MEAN_BITS, reset_less=True)
        rest = Signal(MEAN_BITS + 1, reset_less=True)
        quotient = Signal(_QUOTIENT_BITS, reset_less=True)
        zeros = Signal(range(16), reset_less=True)
        steps = Signal(range(_INVERSE_STEPS + 1), reset_less=True)
        alpha = Signal(ALPHA_BITS, reset_less=True)
        # The rest is below twice the divisor: of the dividend only zeros are still to come.
        fits = Signal()
        longer = Signal(_QUOTIENT_BITS)
        m.d.comb += [fits.eq(rest >= divisor), longer.eq(Cat(fits, quotient))]
        left = wire(m, MEAN_BITS, Mux(fits, rest - divisor, rest))
        divide = [quotient.eq(longer), rest.eq(left << 1), steps.eq(steps - 1)]
        at_least_one = longer[_ALPHA_STEPS - 1]
        significand = wire(
            m, _ALPHA_STEPS - 1, Mux(at_least_one, longer[1:_ALPHA_STEPS], longer[: _ALPHA_STEPS - 1]), "alpha_significand"
        )

        spread = wire(m, signed(MEAN_BITS + 1), statistics.max - statistics.mean)
        with m.FSM():
            with m.State("idle"), m.If(self.i.valid):
                m.d.sync += [
                    divisor.eq(Mux(spread[-1] | ~spread[_MIN_SPREAD_BIT:].any(), 1 << _MIN_SPREAD_BIT, spread)),
                    rest.eq(0xF000),  # 15 / 8 of the divisor's top bit
                    quotient.eq(0),
                    zeros.eq(0),
                    steps.eq(_ALPHA_STEPS),
                ]
                m.next = "alpha"
            with m.State("alpha"):
                with m.If(divisor[-1]):
                    m.d.sync += divide
                with m.Else():
                    m.d.sync += [divisor.eq(divisor << 1), zeros.eq(zeros + 1)]
                with m.If(divisor[-1] & (steps == 1)):
                    m.d.sync += [
                        alpha.eq(Cat(significand[:ALPHA_FRACTION_BITS], (zeros - 5 + at_least_one)[:4])),
                        divisor.eq(significand),
                        rest.eq(Mux(at_least_one, 64, 128)),
                        quotient.eq(0),
                        steps.eq(_INVERSE_STEPS - zeros),
                    ]
                    m.next = "inverse"
            with m.State("inverse"):
                m.d.sync += divide
                with m.If(steps == 1):
                    m.next = "done"
            with m.State("done"):
                m.d.comb += [output.i.valid.eq(1), self.i.ready.eq(output.i.ready)]
                with m.If(output.i.ready):
                    m.next = "idle"

        # before any value was counted
        empty = ~statistics.max.any()
        m.d.comb += [
            result.alpha.eq(Mux(empty, NEUTRAL["alpha"], alpha)),
            result.mean.eq(Mux(empty, NEUTRAL["mean"], statistics.mean)),
            result.inverse.eq(Mux(empty, NEUTRAL["inverse"], quotient[1:] + quotient[0])),
            output.i.p.last.eq(self.i.p.last),
            *(output.i.p.user[name].eq(self.i.p.user[name]) for name in self.tag),
        ]
