"""FP32 to narrow floats."""

from amaranth.hdl import Const
from amaranth.lib import data
from narrowfloat.golden.rounding import OVERFLOWS, TININESS
from narrowfloat.hdl.block import Choice, Effect, Integer, Relation, Several, Stages, Switch
from narrowfloat.hdl.float_codec.align import Align, Round, aligned, located, locates, placed
from narrowfloat.hdl.float_codec.common import FloatCodec
from narrowfloat.hdl.float_codec.pack import Pack
from narrowfloat.hdl.float_codec.range import Range, ranged
from narrowfloat.hdl.float_codec.sum import Sum, summed
from narrowfloat.hdl.parts.lfsr import MAX_SEED, SEED_PORTS, lane_words, seed_port
from narrowfloat.hdl.parts.shapes import ROUNDINGS, Flags, Float32


def _draws(roundings, random):
    """Whether the block has registers of random bits."""
    return "sr" in roundings and random == "lfsr"


class FloatEncoder(FloatCodec):
    """FP32 to narrow floats, `lanes` values per beat, one beat per clock.

    Equation: with E + 127 = e32 + bias, the code is the integer {E, M} rounded to M's last bit, so that a carry moves into E.

    ==============  =====================================================================================================
    rounding        rne nearest, ties to even; rna nearest, ties away from zero; rtz toward zero; rdn, rup toward minus, plus
                    infinity; rto to odd; sr stochastic: up if the discarded fraction, rounded to `sr_bits` bits (nearest,
                    ties to even), plus as many random bits carries
    underflow       as the format says: gradual, zero_code, clamp_exponent
    overflow        decided after rounding. saturate: the largest finite number; format: infinity, else NaN, else the
                    largest finite number (which rtz and rto give for every finite input, rdn and rup toward zero)
    NaN             the format's NaN with the sign of the input, or the largest finite number where it has none;
                    clamp_exponent reads it as a number whose exponent is 255
    infinity        as overflow
    zero            keeps its sign; fnuz has only +0, fnu makes it NaN, as every negative input; clamp_exponent has none
    not built       a code of `format` or `rounding` that is none of those built counts as the last of them, and all elements
                    of the beat have the flag invalid
    ==============  =====================================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock.

    Sources: Sadi et al. 2024, Algorithm 1, for run-time bias; OCP OFP8 1.0; IEEE 754-2019 for flags, with tininess before
    or after rounding.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: FP32 lanes, last, user: {bias, rounding, format, random, user}}.
    o : Out(stream.Signature)
        Payload {data: code lanes, last, user: {flags, user}}.
    seed_in, seed_load : In
        Only with `seed_port`: see there.

    Fields
    ------
    s_axis.lane
        An FP32 word.
    m_axis.lane
        A code {sign, E, M}, in the lowest bits where the format of the beat has fewer; the others are 0.
    rounding
        The rounding of the beat.
    random
        Random bits of the lane, which count with rounding sr.
    flags
        What the conversion of the lane raised.
    """

    stages = Stages(
        1,
        output="at the output",
        middle="behind the decision to round up",
        input="at the input",
        summed="behind the adder that rounds",
        ranged="in front of the choice of what is out of range",
        aligned="behind the alignment of subnormals",
        placed="behind the adder of the bias",
    )
    roundings = Several(
        ("rne",), Choice("rne", ROUNDINGS), "Roundings that are built; with more than one, each beat chooses among them."
    )
    overflow = Choice("saturate", OVERFLOWS, "What is too large becomes the largest number, or what the format has for it.")
    flags = Switch(False, "Whether each element comes with its flags overflow, underflow, inexact and invalid.")
    tininess = Choice("before", TININESS, "Whether underflow looks at values before or after rounding, as RISC-V and x86 do.")
    sr_bits = Integer(8, 1, 16, "Random bits per element, for the rounding sr.")
    random = Choice(
        "lfsr", ("lfsr", "port"), "Where random bits come from: registers inside that step with each beat taken, or each beat."
    )
    seed = Integer(
        1,
        0,
        MAX_SEED,
        "Seed of the random bits, see `golden.lfsr`: instances with different ones share none. The Verilog parameter "
        "SEED has it as default.",
    )
    seed_port = seed_port()

    relations = (
        Relation(
            "stages above 5 need subnormals to align: several formats or underflow=gradual, of fewer than 8 exponent bits",
            lambda stages, formats: stages <= 5 or locates(formats),
        ),
    )
    effects = (
        Effect(
            "where a format has infinity or NaN",
            lambda formats: any(fmt.specials != "none" for fmt in formats),
            ("overflow",),
        ),
        Effect(
            "with flags, and where a rounding beside rtz and rto may reach the smallest normal number",
            lambda flags, roundings: flags and not {"rtz", "rto"}.issuperset(roundings),
            ("tininess",),
        ),
        Effect("where sr is among roundings", lambda roundings: "sr" in roundings, ("sr_bits", "random")),
        Effect("where sr is among roundings, and random is lfsr", _draws, ("seed", "seed_port")),
    )

    @property
    def looks_after_rounding(self):
        """Whether underflow is of what rounding with an unbounded exponent leaves below the smallest normal number."""
        return self.tininess == "after"

    def prepare(self):
        super().prepare()
        self.random_bits = self.sr_bits if "sr" in self.roundings else 0
        self.seeded = _draws(self.roundings, self.random)

    @classmethod
    def clocked(cls, values):
        return super().clocked(values) or _draws(values["roundings"], values["random"])

    def members(self):
        return super().members() | (SEED_PORTS if self.seed_port else {})

    def input_shapes(self):
        random = {"random": data.ArrayLayout(self.random_bits, self.lanes)}
        return Float32, self.control | (random if self.random_bits and not self.seeded else {})

    def output_shapes(self):
        return self.code_bits, {"flags": data.ArrayLayout(Flags, self.lanes)} if self.flags else {}

    def phases(self):
        shared = {"control": self.control_layout}
        random = {"random": data.ArrayLayout(self.random_bits, self.lanes)} if self.random_bits and not self.seeded else {}
        return [
            self.phase("placed", (placed(self), {**shared, **random}), self._place),
            self.phase("aligned", (aligned(self), {**shared, **random}), self._align),
            self.phase("middle", (located(self), shared), self._round, waits=self.seeded),
            self.phase("summed", (summed(self), shared), self._sum),
            self.phase("ranged", (ranged(self), shared), self._range),
            self.phase("output", None, self._pack),
        ]

    def _place(self, m, source, sink):
        self.pass_control(m, source, sink)
        self._pass(m, source.p.user, sink.p, "random")
        bias = self.bias(sink.p.control) if locates(self.formats) else 0
        for word, lane in zip(source.p.data, sink.p.lanes, strict=True):
            m.d.comb += [lane.word.eq(word), lane.exponent.eq(word.exponent + bias)]

    def _align(self, m, source, sink):
        self._pass(m, source.p, sink.p, "control", "random")
        self._each(m, "align", Align, source, sink)

    def _round(self, m, source, sink):
        random = self._random_words(m, source, sink)
        self._pass(m, source.p, sink.p, "control")
        self._each(m, "round", Round, source, sink, lambda lane, rounder: [rounder.random.eq(random[lane])])

    def _sum(self, m, source, sink):
        self._pass(m, source.p, sink.p, "control")
        self._each(m, "sum", Sum, source, sink)

    def _range(self, m, source, sink):
        self._pass(m, source.p, sink.p, "control")
        self._each(m, "range", Range, source, sink)

    def _pack(self, m, source, sink):
        self.in_each_lane(
            m,
            "pack",
            lambda: Pack(self),
            lambda lane, pack: [
                pack.i.eq(source.p.lanes[lane]),
                pack.control.eq(source.p.control),
                sink.p.data[lane].eq(pack.code),
                *([sink.p.user.flags[lane].eq(pack.flags)] if self.flags else []),
            ],
        )

    def _each(self, m, name, kind, source, sink, more=lambda lane, component: []):
        """A component from each lane of `source` to that of `sink`."""
        self.in_each_lane(
            m,
            name,
            lambda: kind(self),
            lambda lane, component: [
                component.i.eq(source.p.lanes[lane]),
                component.control.eq(source.p.control),
                sink.p.lanes[lane].eq(component.o),
                *more(lane, component),
            ],
        )

    def _pass(self, m, given, result, *names):
        """Pass on those of the shared fields `names` that there are."""
        m.d.comb += [result[name].eq(given[name]) for name in names if name in result.shape().members]

    def _random_words(self, m, source, sink):
        """Random bits of each lane for the beat that is rounded, which waits in front of that until they are seeded."""
        if not self.random_bits:
            return [Const(0, 0)] * self.lanes
        if not self.seeded:
            return source.p.random
        ports = self if self.seed_port else None
        words, seeded = lane_words(m, self.seed, self.lanes, self.random_bits, source.valid & source.ready, ports)
        m.d.comb += [sink.valid.eq(source.valid & seeded), source.ready.eq(sink.ready & seeded)]
        return words
