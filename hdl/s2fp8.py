"""S2FP8: FP32 to FP8 codes of a tensor that is shifted and squeezed, and back, and the parameters from a tensor's statistics.

With L = log2|X| and its mean mu, a code has the logarithm ``alpha * (L - mu)``: see `golden.s2fp8`, which is bit-exact. Codes
are those of ``float8_e5m2``. Source: Cambier et al., ICLR 2020, arXiv 2001.05674, Eq. 1 to 5.

No power is formed to encode: the fraction of the logarithm is compared with the logarithms at which rounding goes up.
"""

from functools import reduce
from math import e, log, log2
from operator import add

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_int
from narrowfloat.hdl.lbfp import LogFlags
from narrowfloat.hdl.parts.stream import Register, beats, two_halves
from narrowfloat.hdl.shapes import Float32

MAX_LANES = 64
MAX_STAGES = 3
MAX_USER_BITS = 1024

FP32_MAN_BITS = 23
MEAN_FRACTION_BITS = 8
MEAN_BITS = 8 + MEAN_FRACTION_BITS
ALPHA_FRACTION_BITS = 7
ALPHA_BITS = 4 + ALPHA_FRACTION_BITS
INVERSE_FRACTION_BITS = 17
INVERSE_BITS = 5 + INVERSE_FRACTION_BITS
# The parameters of bias 15, with which codes are those of the plain format.
NEUTRAL = {"alpha": 0, "mean": 127 << MEAN_FRACTION_BITS, "inverse": 1 << INVERSE_FRACTION_BITS}

LOG_BITS = 15
LOG_SEGMENTS = 64
POWER_BITS = 13
ANTILOG_BITS = 14
ANTILOG_SEGMENTS = 32
RESULT_BITS = 13

# L - mu times the power of two in alpha: beyond 32 octaves a code is the largest or zero, as alpha's significand is 1 or more.
_DISTANCE_BITS = 6 + POWER_BITS
_MAX_MAGNITUDE = 0x7B
_NAN = 0x7E


def log_nodes():
    """log2(1 + i / 64), raised by a twelfth of the curvature over the square of 64, in units of 2**-15.

    At eighths in whole units of 2**-12, so that at alpha = 1 ties are known.
    """
    nodes = []
    for i in range(LOG_SEGMENTS + 1):
        unit = 1 if i % (LOG_SEGMENTS // 8) else 2 ** (LOG_BITS - POWER_BITS + 1)
        raised = log2(1 + i / LOG_SEGMENTS) + log2(e) / (12 * (LOG_SEGMENTS + i) ** 2)
        nodes.append(unit * round(raised * 2**LOG_BITS / unit))
    return nodes


def antilog_nodes():
    """``2**(i / 32) - 1``, lowered by a twelfth of the curvature over the square of 32, in units of 2**-13; the first is 0."""
    lowered = 1 - (log(2) / ANTILOG_SEGMENTS) ** 2 / 12
    exact = (2 ** (i / ANTILOG_SEGMENTS) * lowered - 1 for i in range(ANTILOG_SEGMENTS + 1))
    return [round(max(node, 0) * 2**RESULT_BITS) for node in exact]


def _on_lines(m, name, nodes, fraction):
    """The height at `fraction` of straight lines from node to node over its whole range, rounded to nearest.

    They are small corrections to the fraction itself: what is multiplied is short. Of an encoder lane of 2252 GE and 940 iCE40
    LUTs, which differs from Eq. 5 in 0.6 of 1000 codes at alpha = 8, the logarithm takes 944 and 452. With 32 lines and a bit
    more of fraction the lane has 2382 and 933, and 1.0 of 1000 differ; with a table of 1024 corrections it has 5162 and 3031.
    """
    segments = len(nodes) - 1
    drop = len(fraction) - (segments - 1).bit_length()
    rest, segment = fraction[:drop], fraction[drop:]
    unit = round(log2(nodes[-1] / segments))
    starts = [nodes[i] - (i << unit) for i in range(segments)]
    slopes = [nodes[i + 1] - nodes[i] - (1 << unit) for i in range(segments)]
    start = Signal(range(min(starts), max(starts) + 1), name=f"{name}_start")
    slope = Signal(range(min(slopes), max(slopes) + 1), name=f"{name}_slope")
    with m.Switch(segment):
        for key in range(segments):
            with m.Case(key):
                m.d.comb += [start.eq(starts[key]), slope.eq(slopes[key])]
    rounding = Cat(Const(1 << drop - 1, drop), start)
    height = _sum([fraction << unit, rounding.as_signed() if min(starts) < 0 else rounding, *_rows(rest, slope)])
    return (height >> drop)[: (nodes[-1] - 1).bit_length()]


def _rows(value, factor):
    """What is to be added for a product with `factor`, whose top bit, if it is signed, counts negative."""
    width = len(factor)
    rows = [Mux(factor[k], value << k, 0) for k in range(width - factor.shape().signed)]
    if factor.shape().signed:
        rows.append(Mux(factor[-1], -(value << width - 1), 0))
    return rows


def _sum(values):
    """All `values`, by halves."""
    while len(values) > 1:
        values = [reduce(add, values[i : i + 2]) for i in range(0, len(values), 2)]
    return values[0]


def _check(lanes, stages, user_bits):
    check_int("lanes", lanes, 1, MAX_LANES)
    check_int("stages", stages, 0, MAX_STAGES)
    return _tag(user_bits)


def _tag(user_bits):
    check_int("user_bits", user_bits, 0, MAX_USER_BITS)
    return {"user": user_bits} if user_bits else {}


class _Placed(data.StructLayout):
    """A lane between the halves of the encoder: where its logarithm is, and what is no ordinary number."""

    def __init__(self):
        super().__init__(
            {
                "sign": 1,
                "distance": signed(_DISTANCE_BITS),
                "small": 1,  # zero, subnormal, or far below the mean
                "large": 1,  # infinity, or far above it
                "nan": 1,
                "zero": 1,
            }
        )


class _Place(wiring.Component):
    """First half of an encoder lane: ``(L - mean) * 2**exponent``, the exponent being that of alpha.

    Bits that are cut off set the last one that is kept, so that what lies between two numbers stays between them.
    """

    def __init__(self):
        super().__init__({"word": In(Float32), "mean": In(MEAN_BITS), "exponent": In(4), "o": Out(_Placed())})

    def elaborate(self, platform):
        m = Module()
        cut = FP32_MAN_BITS - LOG_BITS
        fraction, logarithm = Signal(LOG_BITS), Signal(LOG_BITS)
        m.d.comb += [
            fraction.eq(Cat(self.word.fraction[cut] | self.word.fraction[:cut].any(), self.word.fraction[cut + 1 :])),
            logarithm.eq(_on_lines(m, "log", log_nodes(), fraction)),
        ]
        below = LOG_BITS - MEAN_FRACTION_BITS
        above = Signal(signed(MEAN_BITS + 1))
        m.d.comb += above.eq(Cat(logarithm[below:], self.word.exponent) - self.mean)
        # In units of 2**-POWER_BITS after a shift to the right by 7 - exponent, from 0 to 15.
        moved = Cat(Const(0, 7 + POWER_BITS - LOG_BITS), logarithm[:below], above).as_signed()
        places = ~self.exponent ^ 8
        for stage in reversed(range(4)):
            distance = 1 << stage
            shifted = Signal(signed(len(moved)), name=f"shifted{stage}")
            jammed = Cat(moved[distance] | moved[:distance].any(), moved[distance + 1 :]).as_signed()
            m.d.comb += shifted.eq(Mux(places[stage], jammed, moved))
            moved = shifted
        outside = Signal()
        upper = moved[_DISTANCE_BITS - 1 :]
        zero, special, rest = Signal(), Signal(), Signal()
        m.d.comb += [
            outside.eq(upper.any() & ~upper.all()),
            zero.eq(~self.word.exponent.any()),
            special.eq(self.word.exponent.all()),
            rest.eq(self.word.fraction.any()),
            self.o.sign.eq(self.word.sign),
            self.o.distance.eq(moved),
            self.o.small.eq(zero | (outside & moved[-1] & ~special)),
            self.o.large.eq(special | (outside & ~moved[-1])),
            self.o.nan.eq(special & rest),
            self.o.zero.eq(zero & ~rest),
        ]
        return m


class _Round(wiring.Component):
    """Second half of an encoder lane: the distance times alpha's significand, rounded to a code."""

    def __init__(self):
        super().__init__({"i": In(_Placed()), "fraction": In(ALPHA_FRACTION_BITS), "code": Out(8), "flags": Out(LogFlags)})

    def elaborate(self, platform):
        m = Module()
        # |distance| < 2**5 and alpha's significand is below 2
        power = Signal(signed(_DISTANCE_BITS + 1))
        product = _sum([self.i.distance << ALPHA_FRACTION_BITS, *_rows(self.i.distance, self.fraction)])
        m.d.comb += power.eq(product >> ALPHA_FRACTION_BITS)
        fraction, octave = power[:POWER_BITS], power[POWER_BITS:].as_signed()
        nodes = [node >> LOG_BITS - POWER_BITS for node in log_nodes()[:: LOG_SEGMENTS // 8]]

        def passes(eighth, odd):
            """Whether the fraction is at the logarithm of 1 + eighth / 8 or above; a tie stays below an odd magnitude."""
            return fraction >= nodes[eighth] + odd

        rounded = Signal(signed(10))
        passed = _sum([passes(1, 1), passes(3, 0), passes(5, 1), passes(7, 0)])
        m.d.comb += rounded.eq((octave << 2) + (passed + 4 * 15))
        magnitude = Signal(7)
        too_large, is_zero = Signal(), Signal()
        m.d.comb += [
            too_large.eq(~self.i.small & (self.i.large | (~rounded[-1] & (rounded[7:-1].any() | rounded[2:7].all())))),
            is_zero.eq(~magnitude.any()),
        ]
        with m.If(self.i.nan):
            m.d.comb += magnitude.eq(_NAN)
        with m.Elif(too_large):
            m.d.comb += magnitude.eq(_MAX_MAGNITUDE)
        with m.Elif(~self.i.small), m.Switch(octave):
            with m.Case(-15):
                m.d.comb += magnitude.eq(2 + (passes(2, 1) + passes(6, 0)))
            with m.Case(-16):
                m.d.comb += magnitude.eq(1 + passes(4, 0))
            with m.Case(-17):
                m.d.comb += magnitude.eq(fraction.any())
            with m.Default():
                m.d.comb += magnitude.eq(Mux(octave[-1] & ~octave[4:].all(), 0, rounded))
        m.d.comb += [
            self.code.eq(Cat(magnitude, self.i.sign)),
            self.flags.saturated.eq(too_large & ~self.i.nan),
            self.flags.flushed.eq(is_zero & ~self.i.zero),
            self.flags.invalid.eq(self.i.nan),
        ]
        return m


class S2Encoder(wiring.Component):
    """FP32 values to the codes of a tensor, `lanes` per beat, one beat per clock.

    Equation: ``log2|Y| = alpha * (log2|X| - mu)``, Y rounded to nearest, ties to even (`golden.s2fp8.encode`). log2|X| is that
    of 16 bits of the significand, by 64 straight lines, within 2**-13 of it; alpha has 8 significant bits.

    ================  =========================================  =========
    value             code                                       flag
    ================  =========================================  =========
    too large         the largest finite one; so is infinity     saturated
    too small         zero, with its sign; so is a subnormal     flushed
    zero              zero, with its sign
    NaN               NaN, with its sign                         invalid
    ================  =========================================  =========

    Latency: `stages` cycles. Throughput: a beat per clock; `ready` is combinational from output to input.

    Source: Cambier et al. 2020, Eq. 1 and 5.

    Parameters
    ----------
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between logarithm and product, too; at the input, too.
    flags : bool
        Whether each element comes with its `LogFlags`.
    user_bits : int
        Width of a tag that passes through, 0 to 1024.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: FP32 lanes, last, user: {alpha, mean, user}}: those of `golden.s2fp8.Parameters`.
    o : Out(stream.Signature)
        Payload {data: code lanes, last, user: {flags, user}}.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(self, *, lanes=4, stages=1, flags=False, user_bits=0):
        tag = _check(lanes, stages, user_bits)
        self._lanes, self._flags = lanes, flags
        self.latency = stages
        self.clocked = bool(stages)
        flags_field = {"flags": data.ArrayLayout(LogFlags, lanes)} if flags else {}
        super().__init__(
            {
                "i": In(beats(Float32, lanes, {"alpha": ALPHA_BITS, "mean": MEAN_BITS, **tag})),
                "o": Out(beats(8, lanes, {**flags_field, **tag})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        middle = {"lanes": data.ArrayLayout(_Placed(), self._lanes), "fraction": ALPHA_FRACTION_BITS}
        two_halves(m, self.i, self.o, middle, self.latency, self._place, self._round)
        return m

    def _place(self, m, source, sink):
        alpha = source.p.user.alpha
        m.d.comb += sink.p.fraction.eq(alpha[:ALPHA_FRACTION_BITS])
        for lane in range(self._lanes):
            m.submodules[f"place{lane}"] = place = _Place()
            m.d.comb += [
                place.word.eq(source.p.data[lane]),
                place.mean.eq(source.p.user.mean),
                place.exponent.eq(alpha[ALPHA_FRACTION_BITS:]),
                sink.p.lanes[lane].eq(place.o),
            ]

    def _round(self, m, source, sink):
        for lane in range(self._lanes):
            m.submodules[f"round{lane}"] = rounder = _Round()
            m.d.comb += [
                rounder.i.eq(source.p.lanes[lane]),
                rounder.fraction.eq(source.p.fraction),
                sink.p.data[lane].eq(rounder.code),
            ]
            if self._flags:
                m.d.comb += sink.p.user.flags[lane].eq(rounder.flags)


# Of a decoded logarithm, which is the exponent field of an FP32 word and its fraction: |1 / alpha * 16| < 2**9.
_FIELD_BITS = 11


class _Expanded(data.StructLayout):
    """A lane between the halves of the decoder."""

    def __init__(self):
        super().__init__(
            {
                "sign": 1,
                "power": signed(_FIELD_BITS + ANTILOG_BITS),
                "zero": 1,
                "special": 1,
                "mantissa": 2,
            }
        )


class S2Decoder(wiring.Component):
    """Codes of a tensor to FP32, `lanes` values per beat, one beat per clock.

    Equation: ``log2|X| = mu + log2|Y| / alpha`` in units of 2**-14, and X = 2 to that power by 32 straight lines, 13 fraction
    bits (`golden.s2fp8.decode`): within 2**-12 of the exact value, or for alpha below 1 within 2**-12 / alpha. In each lane 1 /
    alpha is multiplied with the exponent, and once for all with the logarithms of the three mantissas: 1078 of the 2597 GE of a
    lone lane.

    ==========  ==========================================================
    zero        keeps its sign, and so does what is below 2**-126
    too large   the largest number of 13 fraction bits
    infinity    FP32 infinity
    NaN         quiet, with its sign and mantissa
    ==========  ==========================================================

    Latency: `stages` cycles. Throughput: a beat per clock; `ready` is combinational from output to input.

    Source: Cambier et al. 2020, Eq. 5.

    Parameters
    ----------
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between product and antilog, too; at the input, too.
    user_bits : int
        Width of a tag that passes through, 0 to 1024.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: code lanes, last, user: {inverse, mean, user}}: those of `golden.s2fp8.Parameters`.
    o : Out(stream.Signature)
        Payload {data: FP32 lanes, last, user: {user}}.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(self, *, lanes=4, stages=1, user_bits=0):
        tag = _check(lanes, stages, user_bits)
        self._lanes = lanes
        self.latency = stages
        self.clocked = bool(stages)
        super().__init__(
            {
                "i": In(beats(8, lanes, {"inverse": INVERSE_BITS, "mean": MEAN_BITS, **tag})),
                "o": Out(beats(Float32, lanes, tag)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        middle = {"lanes": data.ArrayLayout(_Expanded(), self._lanes)}
        two_halves(m, self.i, self.o, middle, self.latency, self._expand, self._join)
        return m

    def _expand(self, m, source, sink):
        inverse = source.p.user.inverse
        drop = INVERSE_FRACTION_BITS - ANTILOG_BITS
        half = 1 << drop - 1
        mean = Cat(Const(half, INVERSE_FRACTION_BITS - MEAN_FRACTION_BITS), source.p.user.mean)
        starts = [Signal(INVERSE_FRACTION_BITS + 9, name=f"start{quarter}") for quarter in range(4)]
        for start, product in zip(starts, _by_log_of_quarters(inverse)):
            m.d.comb += start.eq(mean + product)
        for index, (code, lane) in enumerate(zip(source.p.data, sink.p.lanes)):
            field, mantissa = code[2:7], code[:2]
            exponent, quarter = Signal(signed(5), name=f"exponent{index}"), Signal(2, name=f"quarter{index}")
            # E - 15; 2**-16 times a mantissa of 1 is 2**-16, of 2 and 3 is 2**-15 times 1 and 1.5
            m.d.comb += [exponent.eq(field - 15), quarter.eq(mantissa)]
            with m.If(~field.any()):
                m.d.comb += [exponent.eq(Cat(mantissa[1], Const(0b1000, 4))), quarter.eq(Cat(0, mantissa.all()))]
            power = _sum([Array(starts)[quarter], *_rows(inverse, exponent)])
            m.d.comb += [
                lane.sign.eq(code[7]),
                lane.power.eq(power >> drop),
                lane.zero.eq(~code[:7].any()),
                lane.special.eq(field.all()),
                lane.mantissa.eq(mantissa),
            ]

    def _join(self, m, source, sink):
        for index, (lane, word) in enumerate(zip(source.p.lanes, sink.p.data)):
            fraction, field = lane.power[:ANTILOG_BITS], lane.power[ANTILOG_BITS:].as_signed()
            significand = Signal(RESULT_BITS, name=f"significand{index}")
            m.d.comb += [
                significand.eq(_on_lines(m, f"antilog{index}", antilog_nodes(), fraction)),
                word.sign.eq(lane.sign),
            ]
            with m.If(lane.special):
                # an infinity has no mantissa, a NaN some
                m.d.comb += [
                    word.exponent.eq(255),
                    word.fraction.eq(
                        Cat(Const(0, FP32_MAN_BITS - 2), lane.mantissa) | lane.mantissa.any() << FP32_MAN_BITS - 1
                    ),
                ]
            with m.Elif(~lane.zero & ~field[-1] & field.any()):
                too_large = field[8:].any() | field[:8].all()
                m.d.comb += [
                    word.exponent.eq(Mux(too_large, 254, field)),
                    word.fraction.eq(
                        Cat(Const(0, FP32_MAN_BITS - RESULT_BITS), significand | too_large.replicate(RESULT_BITS))
                    ),
                ]


def _by_log_of_quarters(value):
    """`value` times log2 of 1, 1.25, 1.5 and 1.75, which are 0, 5274, 9584 and 13228 in units of 2**-14, in seven additions."""
    by_5 = value + (value << 2)
    by_75 = (by_5 << 4) - by_5
    by_599 = (by_75 << 3) - value
    by_77 = by_75 + (value << 1)
    by_2637 = (by_5 << 9) + by_77
    by_907 = by_599 + (by_77 << 2)
    by_3307 = (by_75 << 5) + by_907
    return [Const(0, 1), by_2637 >> ANTILOG_BITS - 1, by_599 >> ANTILOG_BITS - 4, by_3307 >> ANTILOG_BITS - 2]


# Bits of the quotients: one for each cycle. Of 1 / alpha there are fewer by the leading zeros of the spread, which it was
# shifted by.
_ALPHA_STEPS = 9
_INVERSE_STEPS = 24
_QUOTIENT_BITS = INVERSE_BITS + 1
_MIN_SPREAD_BIT = 5


class S2Parameters(wiring.Component):
    """The parameters of a tensor from its statistics, by two divisions with one subtractor.

    Equation: with ``d = max(largest - mean, 32)`` in units of 2**-8, ``alpha = 3840 / d`` cut to 8 significant bits, and 1 /
    alpha of that to the nearest 2**-17 (`golden.s2fp8.parameters`). With largest = 0, which no tensor has, alpha = 1 and mu =
    0.

    The spread is first shifted until its top bit is set, and the dividend of 1 / alpha, a power of two, begins that much lower,
    so that the number of cycles is always the same.

    Latency: 35 cycles, and no more than one tensor at a time: the transfer at the input happens at the end.

    Source: Cambier et al. 2020, Eq. 4.

    Parameters
    ----------
    user_bits : int
        Width of a tag that passes through, 0 to 1024.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {mean, largest}, last, user: {user}}, as `hdl.statistics.LogMoments` gives "mean" and "max".
    o : Out(stream.Signature)
        Payload {data: {alpha, mean, inverse}, last, user: {user}}.

    Raises
    ------
    ValueError
        `user_bits` is out of its range.
    """

    clocked = True

    def __init__(self, *, user_bits=0):
        tag = _tag(user_bits)
        self._tag = tag
        self.latency = _ALPHA_STEPS + _INVERSE_STEPS + 2
        self.facts = {"initiation_interval": self.latency}
        super().__init__(
            {
                "i": In(_words({"mean": MEAN_BITS, "largest": MEAN_BITS}, tag)),
                "o": Out(_words({"alpha": ALPHA_BITS, "mean": MEAN_BITS, "inverse": INVERSE_BITS}, tag)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.output = output = Register(self.o.payload.shape())
        wiring.connect(m, output.o, wiring.flipped(self.o))
        statistics, result = self.i.p.data, output.i.p.data

        divisor, rest = Signal(MEAN_BITS, reset_less=True), Signal(MEAN_BITS + 1, reset_less=True)
        quotient = Signal(_QUOTIENT_BITS, reset_less=True)
        zeros, steps = Signal(range(16), reset_less=True), Signal(range(_INVERSE_STEPS + 1), reset_less=True)
        alpha = Signal(ALPHA_BITS, reset_less=True)
        # The rest is below twice the divisor: of the dividend only zeros are still to come.
        fits, longer = Signal(), Signal(_QUOTIENT_BITS)
        m.d.comb += [fits.eq(rest >= divisor), longer.eq(Cat(fits, quotient))]
        divide = [quotient.eq(longer), rest.eq(Mux(fits, rest - divisor, rest) << 1), steps.eq(steps - 1)]

        spread = Signal(signed(MEAN_BITS + 1))
        m.d.comb += spread.eq(statistics.largest - statistics.mean)
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
                    at_least_one = longer[_ALPHA_STEPS - 1]
                    significand = Mux(at_least_one, longer[1:_ALPHA_STEPS], longer[: _ALPHA_STEPS - 1])
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
        empty = ~statistics.largest.any()
        m.d.comb += [
            result.alpha.eq(Mux(empty, NEUTRAL["alpha"], alpha)),
            result.mean.eq(Mux(empty, NEUTRAL["mean"], statistics.mean)),
            result.inverse.eq(Mux(empty, NEUTRAL["inverse"], quotient[1:] + quotient[0])),
            output.i.p.last.eq(self.i.p.last),
        ]
        if self._tag:
            m.d.comb += output.i.p.user.user.eq(self.i.p.user.user)
        return m


def _words(fields, tag):
    layout = {"data": data.StructLayout(fields), "last": 1, "user": data.StructLayout(tag)}
    return stream.Signature(data.StructLayout(layout))
