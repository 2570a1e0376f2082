"""Conversion between FP32 and floats of 3 to 16 bits whose exponent bias is set at run time.

The value of a code is ``(-1)**sign * 1.M * 2**(E - bias)``; `golden.formats.FloatFormat` says what E = 0 and the top codes mean.
Each block is a combinational core per lane, cut into two halves so that a pipeline register can stand between them, in a
streaming shell.
"""

from types import SimpleNamespace

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BIAS_BITS, FloatFormat
from narrowfloat.hdl.parts.lfsr import WIDTH as LFSR_WIDTH
from narrowfloat.hdl.parts.lfsr import Lfsr, seeds
from narrowfloat.hdl.parts.stream import beats, two_halves
from narrowfloat.hdl.shapes import ROUNDINGS, Flags, Float32, Rounding

FP32_BIAS = 127
FP32_MAN_BITS = 23
OVERFLOWS = ("saturate", "format")
RANDOMS = ("lfsr", "port")
MAX_LANES = 64
MAX_STAGES = 3
MAX_SR_BITS = 16
MAX_USER_BITS = 64


def _check_formats(formats):
    formats = tuple(formats)
    if not formats or not all(isinstance(fmt, FloatFormat) for fmt in formats):
        raise ValueError(f"formats must be one FloatFormat or more, not {formats!r}")
    if len(set(formats)) != len(formats):
        raise ValueError(f"formats must differ from one another, not {', '.join(fmt.name for fmt in formats)}")
    if len(formats) > 1 and any(fmt.exp_bits == 8 for fmt in formats):
        raise ValueError("a format of 8 exponent bits must be the only one, as its bias cannot be chosen")
    return formats


def _control_layout(formats, bias_port, roundings=()):
    """What one beat sets for all its lanes; what is not built is not there."""
    fields = {}
    if bias_port:
        fields["bias"] = BIAS_BITS
    if len(roundings) > 1:
        fields["rounding"] = Rounding
    if len(formats) > 1:
        fields["format"] = range(len(formats))
    return data.StructLayout(fields)


def _fields(layout):
    return {name: field.shape for name, field in layout}


def _bias(formats, bias_port, control):
    if bias_port:
        return control.bias
    return _for_format(formats, control, [Const(fmt.bias, BIAS_BITS) for fmt in formats])


def _for_format(formats, control, values):
    """That of `values`, one per format, which belongs to the format of the beat."""
    return values[0] if len(formats) == 1 else Array(values)[control.format]


def _code_bits(formats):
    return max(fmt.bits for fmt in formats)


def _max_man_bits(formats):
    return max(fmt.man_bits for fmt in formats)


def _max_exp_bits(formats):
    return max(fmt.exp_bits for fmt in formats)


class _Located(data.StructLayout):
    """A lane between the halves of the encoder: what to keep of the significand, and whether to round it up."""

    def __init__(self, formats):
        super().__init__(
            {
                "sign": 1,
                "nan": 1,
                "infinity": 1,
                "nonzero": 1,
                # e32; where subnormals had to be found already e32 + bias, which is E + 127
                "exponent": 9,
                "kept": _max_man_bits(formats),
                "round_up": 1,
                "lossy": 1,
            }
        )


class _Align(wiring.Component):
    """First half of an encoder lane: align subnormals, find the last bit to keep, decide whether to round up."""

    def __init__(self, formats, bias_port, roundings, sr_bits):
        self._formats = formats
        self._bias_port = bias_port
        self._roundings = roundings
        # The discarded bits that rounding looks at one by one; of those below only "any of them set" counts.
        self._discarded = sr_bits if "sr" in roundings else 1
        super().__init__(
            {
                "word": In(Float32),
                "control": In(_control_layout(formats, bias_port, roundings)),
                "random": In(sr_bits if "sr" in roundings else 0),
                "o": Out(_Located(formats)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fraction, exponent = self.word.fraction, self.word.exponent
        width = 1 + _max_man_bits(self._formats) + self._discarded
        cut = FP32_MAN_BITS + 1 - width
        significand = Signal(width)
        sticky = Signal()
        m.d.comb += [
            self.o.exponent.eq(exponent),
            # Zero and FP32's subnormals have no leading one, but are so small that it never reaches a code.
            significand.eq(Cat(fraction[cut:], 1)),
            sticky.eq(fraction[:cut].any()),
        ]
        if self._formats[0].specials == "fnu":
            self._align_full_range(m, cut, significand, sticky)
        elif _locates(self._formats):
            self._align_subnormals(m, cut, significand, sticky)
        self._round(m, significand, sticky)

        no_fraction = ~fraction.any()
        m.d.comb += [
            self.o.sign.eq(self.word.sign),
            self.o.nan.eq(exponent.all() & ~no_fraction),
            self.o.infinity.eq(exponent.all() & no_fraction),
            self.o.nonzero.eq(exponent.any() | ~no_fraction),
        ]
        return m

    def _align_full_range(self, m, cut, significand, sticky):
        """Without a sign and a zero, code 0 is 2**-127: a subnormal of FP32, whose leading one is the top fraction bit."""
        fraction = self.word.fraction
        with m.If(~self.word.exponent.any()):
            m.d.comb += [significand.eq(fraction[cut - 1 :]), sticky.eq(fraction[: cut - 1].any())]
            with m.If(~fraction[-1]):
                m.d.comb += [significand.eq(0), sticky.eq(1), self.o.exponent[8].eq(1)]

    def _align_subnormals(self, m, cut, significand, sticky):
        """Shift right by 1 - E where E < 1. The sum below is E + 127, so its low bits inverted are that distance less one."""
        raw, raw_sticky = Cat(self.word.fraction[cut:], Const(1, 1)), self.word.fraction[:cut].any()
        total = Signal(9)
        m.d.comb += [
            total.eq(self.word.exponent + _bias(self._formats, self._bias_port, self.control)),
            self.o.exponent.eq(total),
        ]
        gradual = _for_format(self._formats, self.control, [Const(fmt.underflow == "gradual", 1) for fmt in self._formats])
        less_one = ~total[:7]
        near_bits = (len(significand) - 1).bit_length()
        # A case for each distance measured smaller than a chain of shifters (151 against 154 gate equivalents for E4M3).
        with m.If(~total[7] & ~total[8] & gradual):
            with m.If(less_one[near_bits:].any()):
                m.d.comb += [significand.eq(0), sticky.eq(1)]
            with m.Else(), m.Switch(less_one[:near_bits]):
                for distance in range(1, 2**near_bits + 1):
                    with m.Case(distance - 1):
                        m.d.comb += [
                            significand.eq(raw >> distance),
                            sticky.eq(raw_sticky | raw[:distance].any()),
                        ]

    def _round(self, m, significand, sticky):
        """Formats with fewer mantissa bits than the widest discard bits from the kept ones, too, and leave ones behind there,
        through which a carry runs to the last bit that they keep."""
        man_bits = _max_man_bits(self._formats)
        k = self._discarded
        extras = [man_bits - fmt.man_bits for fmt in self._formats]

        def choose(bits):
            return _for_format(self._formats, self.control, [bits(extra) for extra in extras])

        odd, guard, lower = Signal(), Signal(), Signal()
        m.d.comb += [
            odd.eq(choose(lambda extra: significand[k + extra])),
            guard.eq(choose(lambda extra: significand[k + extra - 1])),
            lower.eq(choose(lambda extra: significand[: k + extra - 1].any()) | sticky),
            self.o.kept.eq(choose(lambda extra: Cat(Const(2**extra - 1, extra), significand[k + extra : -1]))),
            self.o.lossy.eq(guard | lower),
        ]
        decisions = {"rne": guard & (lower | odd), "rna": guard, "rtz": Const(0, 1)}
        if "sr" in self._roundings:
            # The sum of both carries exactly if one is above the other inverted.
            decisions["sr"] = self.random > ~choose(lambda extra: significand[extra : k + extra])
        if len(self._roundings) == 1:
            m.d.comb += self.o.round_up.eq(decisions[self._roundings[0]])
        else:
            with m.Switch(self.control.rounding):
                for rounding in self._roundings:
                    with m.Case(ROUNDINGS[rounding]):
                        m.d.comb += self.o.round_up.eq(decisions[rounding])


def _locates(formats):
    """Whether the first half adds the bias, to know what is subnormal; one format without subnormals needs no such thing, and
    those of 8 exponent bits are FP32's own."""
    return formats[0].exp_bits < 8 and (len(formats) > 1 or formats[0].underflow == "gradual")


class _Pack(wiring.Component):
    """Second half of an encoder lane: round {E, M} as one number, so that a carry moves into E by itself, and clamp.

    Each `_pack_...` method gives for its formats the {E, M} in range, whether it is too large, whether its value differs from
    the input's, and whether it is below the smallest normal value.
    """

    def __init__(self, formats, bias_port, roundings, overflow):
        self._formats = formats
        self._bias_port = bias_port
        self._roundings = roundings
        self._overflow = overflow
        super().__init__(
            {
                "i": In(_Located(formats)),
                "control": In(_control_layout(formats, bias_port, roundings)),
                "code": Out(_code_bits(formats)),
                "flags": Out(Flags),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self._formats[0].exp_bits == 8:
            packed = [self._pack_full_range(m)]
        elif _locates(self._formats):
            packed = self._pack_located(m)
        else:
            packed = [self._pack_flushed(m)]
        codes, flags = zip(*(self._finish(m, fmt, lane) for fmt, lane in zip(self._formats, packed)))
        m.d.comb += [
            self.code.eq(_for_format(self._formats, self.control, codes)),
            self.flags.eq(_for_format(self._formats, self.control, flags)),
        ]
        return m

    def _pack_full_range(self, m):
        """8 exponent bits: the exponent is FP32's."""
        (fmt,) = self._formats
        magnitude = Signal(fmt.magnitude_bits + 1)
        m.d.comb += magnitude.eq(Cat(self.i.kept, self.i.exponent[:8]) + self.i.round_up)
        return SimpleNamespace(
            magnitude=magnitude[:-1],
            too_large=magnitude[fmt.man_bits : -1].all() | magnitude[-1],
            changed=self.i.lossy,
            tiny=self.i.exponent[8] if fmt.specials == "fnu" else ~self.i.exponent[:8].any(),
        )

    def _pack_flushed(self, m):
        """One format without subnormals: one adder takes bias and rounding. Its upper part is E + 127, and adding one to that
        costs less behind the adder, where E's lowest bits need a gate each, than a second carry into it would."""
        (fmt,) = self._formats
        man_bits, exp_bits = fmt.man_bits, fmt.exp_bits
        bias = _bias(self._formats, self._bias_port, self.control)
        total = Signal(man_bits + 9)
        m.d.comb += total.eq(_sum_with_carry(man_bits, self.i.round_up, bias, Cat(self.i.kept, self.i.exponent[:8])))
        mantissa, above = total[:man_bits], total[man_bits:]
        exponent = Cat(above[i] ^ above[:i].all() for i in range(exp_bits))
        at_least_one = above[7] | above[8]
        zero, below = Signal(), Signal()  # E = 0, E < 0
        m.d.comb += [zero.eq(~at_least_one & above[:7].all()), below.eq(~at_least_one & ~above[:7].all())]
        too_large = Signal()
        m.d.comb += too_large.eq(
            above[8]
            | (above[7] & (above[exp_bits:7].any() | above[:exp_bits].all()))
            | (_reserved(fmt, mantissa, exponent) & ~below)
        )
        if fmt.underflow == "paper":
            return SimpleNamespace(
                magnitude=Cat(mantissa, *((bit & ~below) | too_large for bit in exponent)),
                too_large=too_large,
                changed=below | self.i.lossy,
                tiny=below | (zero & ~mantissa.any() & self.i.round_up),
            )
        magnitude = Cat(mantissa, exponent)
        lowest = magnitude[0] | (~at_least_one & ~mantissa[1:].any())
        # What was rounded up to code 1 came from below it.
        code_one = zero & mantissa[0] & ~mantissa[1:].any() if man_bits else above[7] & ~above[8] & ~above[:7].any()
        from_below = self.i.round_up & code_one
        return SimpleNamespace(
            magnitude=Cat(bit & ~below for bit in (lowest, *magnitude[1:])),
            too_large=too_large,
            changed=Mux(below, self.i.nonzero, self.i.lossy | (zero & ~mantissa.any())),
            tiny=below | (zero & ~mantissa.any()) | from_below,
        )

    def _pack_located(self, m):
        """Any set of formats; a subnormal is aligned already, and its exponent counts as 0 instead of E."""
        man_bits, exp_bits = _max_man_bits(self._formats), _max_exp_bits(self._formats)
        above = self.i.exponent
        normal, zero, base = Signal(), Signal(), Signal(exp_bits)  # E >= 1, E = 0, E - 1
        total = Signal(man_bits + exp_bits + 1)
        m.d.comb += [
            normal.eq(above[7] | above[8]),
            zero.eq(~normal & above[:7].all()),
            base.eq(Mux(normal, above[:exp_bits], 0)),
        ]
        m.d.comb += total.eq(_sum_with_carry(man_bits, self.i.round_up, normal, Cat(self.i.kept, base)))
        out_of_reach = above[8] | (above[7] & above[exp_bits:7].any())

        def pack(fmt):
            mantissa = total[man_bits - fmt.man_bits : man_bits]
            exponent = total[man_bits : man_bits + fmt.exp_bits]
            too_large = out_of_reach | total[man_bits + fmt.exp_bits :].any() | _reserved(fmt, mantissa, exponent)
            magnitude = Cat(mantissa, exponent)
            below = ~normal & ~zero
            if fmt.underflow == "gradual":
                changed, tiny = self.i.lossy & self.i.nonzero, ~normal
            elif fmt.underflow == "paper":
                magnitude = Cat(mantissa, *((bit & ~below) | too_large for bit in exponent))
                changed, tiny = below | self.i.lossy, below
            else:
                at_zero = zero & ~magnitude.any()
                reaches_zero = (above[:7] == FP32_BIAS - 1) & total[man_bits]
                lowest = Mux(below, reaches_zero, magnitude[0] | at_zero)
                changed = Mux(below, self.i.nonzero, self.i.lossy | at_zero)
                tiny = below | (zero & ~self.i.kept[man_bits - fmt.man_bits :].any())
                magnitude = Cat(lowest, *(bit & ~below for bit in magnitude[1:]))
            return SimpleNamespace(magnitude=magnitude, too_large=too_large, changed=changed, tiny=tiny)

        return [pack(fmt) for fmt in self._formats]

    def _finish(self, m, fmt, lane):
        """The code and the flags, with overflow and special values in place."""
        special = self.i.nan | self.i.infinity
        if fmt.underflow == "paper" and fmt.specials == "none":
            magnitude, invalid = lane.magnitude, special
        else:
            magnitude, invalid = self._clamp(fmt, lane), self._invalid(fmt)
        sign = self.i.sign
        if fmt.specials == "fnuz":
            is_nan = self.i.nan | (lane.too_large & ~self._stays_finite(fmt) & (self._on_overflow(fmt) == fmt.nan))
            sign = is_nan | (sign & magnitude.any())
        number = ~special
        if fmt.specials == "fnu":
            number = number & ~self.i.sign & self.i.nonzero
        flags = Signal(Flags)
        m.d.comb += [
            flags.overflow.eq(number & lane.too_large),
            flags.underflow.eq(number & lane.changed & lane.tiny),
            flags.inexact.eq(number & (lane.changed | lane.too_large)),
            flags.invalid.eq(invalid),
        ]
        return Cat(magnitude, sign) if fmt.signed else magnitude, flags

    def _on_overflow(self, fmt):
        """{E, M} of what is too large."""
        if self._overflow == "saturate" or fmt.specials == "none":
            return fmt.max_finite
        return fmt.nan if fmt.infinity is None else fmt.infinity

    def _stays_finite(self, fmt):
        """Whether what is too large becomes the largest finite number although overflow follows the format."""
        if "rtz" not in self._roundings or self._on_overflow(fmt) == fmt.max_finite:
            return Const(0, 1)
        toward_zero = self.control.rounding == Rounding.RTZ if len(self._roundings) > 1 else 1
        return toward_zero & ~self.i.infinity

    def _clamp(self, fmt, lane):
        largest = Mux(self._stays_finite(fmt), fmt.max_finite, Const(self._on_overflow(fmt), fmt.magnitude_bits))
        magnitude = Mux(lane.too_large, largest, lane.magnitude)
        if fmt.nan is None:
            return magnitude
        to_nan = self.i.nan | self.i.sign | ~self.i.nonzero if fmt.specials == "fnu" else self.i.nan
        return Mux(to_nan, fmt.nan, magnitude)

    def _invalid(self, fmt):
        infinity_lost = self._on_overflow(fmt) != fmt.infinity
        if fmt.specials == "fnu":
            return ~self.i.nan & (self.i.sign | ~self.i.nonzero | self.i.infinity)
        return (self.i.nan & (fmt.nan is None)) | (self.i.infinity & infinity_lost)


def _sum_with_carry(man_bits, round_up, to_exponent, magnitude):
    """{E, M} plus an addend to E plus a carry into M, in one adder wherever M has a bit to carry into."""
    if man_bits == 0:
        return magnitude + to_exponent + round_up
    return magnitude + Cat(round_up, Const(0, man_bits - 1), to_exponent)


def _reserved(fmt, mantissa, exponent):
    """Whether {E, M}, not too large for its bits, lies above the largest finite number."""
    if fmt.specials == "ieee":
        return exponent.all()
    return Cat(mantissa, exponent).all() if fmt.specials == "fn" else Const(0, 1)


class FloatEncoder(wiring.Component):
    """FP32 to narrow floats, `lanes` values per beat, one beat per clock.

    Equation: with E + 127 = e32 + bias, the code is the integer {E, M} rounded to M's last bit, so that a carry moves into E.

    ==============  =====================================================================================================
    rounding        rne nearest, ties to even; rna nearest, ties away from zero; rtz toward zero; sr stochastic: up if the
                    discarded fraction, cut to `sr_bits` bits, plus as many random bits carries
    underflow       as the format says: gradual, zero_code, paper
    overflow        decided after rounding. saturate: the largest finite number; format: infinity, else NaN, else the
                    largest finite number (which rtz gives for every finite input)
    NaN             the format's NaN, or the largest finite number where it has none
    infinity        as overflow
    zero            keeps its sign; fnuz has only +0, fnu makes it NaN, as every negative input; paper has none
    ==============  =====================================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock; `ready` is combinational from output to input.

    Sources: Sadi et al. 2024, Algorithm 1, for run-time bias; OCP OFP8 1.0; IEEE 754-2019 for flags, with tininess before rounding.

    Parameters
    ----------
    formats : sequence of FloatFormat
        With more than one, each beat chooses among them.
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between alignment and rounding, too; at the input, too.
    bias_port : bool
        Whether each beat brings its bias. Otherwise every format has its own.
    roundings : sequence of str
        Which of rne, rna, rtz and sr are built; with more than one, each beat chooses.
    overflow : str
        "saturate" or "format".
    flags : bool
        Whether each element comes with its `Flags`.
    sr_bits : int
        Random bits per element for sr, 1 to 16.
    random : str
        Where they come from: "lfsr", registers inside that step with each beat taken (`Lfsr`; lane i takes bits
        ``sr_bits * (i % n)`` up of register ``i // n``, n = 32 // sr_bits), or "port", with the beat.
    seed : int
        Of the first register, 1 to 2**32 - 1; each further one starts 0x9E3779B9 after the one before it.
    user_bits : int
        Width of a tag that passes through, 0 to 64.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: FP32 lanes, last, user: {bias, rounding, format, random, user}}.
    o : Out(stream.Signature)
        Payload {data: code lanes, last, user: {flags, user}}.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        formats,
        *,
        lanes=4,
        stages=1,
        bias_port=True,
        roundings=("rne",),
        overflow="saturate",
        flags=False,
        sr_bits=8,
        random="lfsr",
        seed=1,
        user_bits=0,
    ):
        self._formats = formats = _check_formats(formats)
        self._roundings = roundings = tuple(roundings)
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("stages", stages, 0, MAX_STAGES)
        check_int("sr_bits", sr_bits, 1, MAX_SR_BITS)
        check_int("seed", seed, 1, 2**LFSR_WIDTH - 1)
        check_int("user_bits", user_bits, 0, MAX_USER_BITS)
        check_choice("overflow", overflow, OVERFLOWS)
        check_choice("random", random, RANDOMS)
        if not roundings or len(set(roundings)) != len(roundings):
            raise ValueError(f"roundings must be one or more different ones of {', '.join(ROUNDINGS)}, not {roundings!r}")
        for rounding in roundings:
            check_choice("rounding", rounding, ROUNDINGS)
        self._lanes = lanes
        self._bias_port = bias_port and formats[0].exp_bits < 8
        self._overflow = overflow
        self._flags = flags
        self._sr_bits = sr_bits if "sr" in roundings else 0
        self._seed = seed
        self._random_port = bool(self._sr_bits) and random == "port"
        self.latency = stages
        self.clocked = bool(stages) or (bool(self._sr_bits) and random == "lfsr")
        self._control = _control_layout(formats, self._bias_port, roundings)
        self._middle = {"lanes": data.ArrayLayout(_Located(formats), lanes), "control": self._control}
        random_field = {"random": data.ArrayLayout(self._sr_bits, lanes)} if self._random_port else {}
        flags_field = {"flags": data.ArrayLayout(Flags, lanes)} if flags else {}
        tag = {"user": user_bits} if user_bits else {}
        super().__init__(
            {
                "i": In(beats(Float32, lanes, {**_fields(self._control), **random_field, **tag})),
                "o": Out(beats(_code_bits(formats), lanes, {**flags_field, **tag})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        two_halves(m, self.i, self.o, self._middle, self.latency, self._align, self._pack)
        return m

    def _align(self, m, source, middle):
        random = self._random(m, source)
        for name in _fields(self._control):
            m.d.comb += middle.p.control[name].eq(source.p.user[name])
        for lane in range(self._lanes):
            m.submodules[f"align{lane}"] = align = _Align(self._formats, self._bias_port, self._roundings, self._sr_bits)
            m.d.comb += [
                align.word.eq(source.p.data[lane]),
                align.control.eq(middle.p.control),
                align.random.eq(random[lane]),
                middle.p.lanes[lane].eq(align.o),
            ]

    def _pack(self, m, middle, result):
        for lane in range(self._lanes):
            m.submodules[f"pack{lane}"] = pack = _Pack(self._formats, self._bias_port, self._roundings, self._overflow)
            m.d.comb += [
                pack.i.eq(middle.p.lanes[lane]),
                pack.control.eq(middle.p.control),
                result.p.data[lane].eq(pack.code),
            ]
            if self._flags:
                m.d.comb += result.p.user.flags[lane].eq(pack.flags)

    def _random(self, m, source):
        """Random bits of each lane for the beat at the input of the first half."""
        if not self._sr_bits:
            return [Const(0, 0)] * self._lanes
        if self._random_port:
            return source.p.user.random
        per_register = LFSR_WIDTH // self._sr_bits
        words = []
        for index, seed in enumerate(seeds(self._seed, -(-self._lanes // per_register))):
            m.submodules[f"lfsr{index}"] = lfsr = Lfsr(seed)
            m.d.comb += lfsr.step.eq(source.valid & source.ready)
            words.append(lfsr.word)
        return [words[lane // per_register].word_select(lane % per_register, self._sr_bits) for lane in range(self._lanes)]


class _Unpacked(data.StructLayout):
    """A lane between the halves of the decoder: a number as sign, E of its leading one and the fraction after it."""

    def __init__(self, formats):
        super().__init__(
            {
                "sign": 1,
                # down to that of the smallest subnormal
                "exponent": range(1 - max(1, _max_man_bits(formats)), 2 ** _max_exp_bits(formats)),
                "fraction": _max_man_bits(formats),
                "zero": 1,
                "nan": 1,
                "infinity": 1,
            }
        )


class _Unpack(wiring.Component):
    """First half of a decoder lane: split the code, normalise subnormals, recognise special values."""

    def __init__(self, formats, bias_port):
        self._formats = formats
        super().__init__(
            {
                "code": In(_code_bits(formats)),
                "control": In(_control_layout(formats, bias_port)),
                "o": Out(_Unpacked(formats)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        results = []
        for fmt in self._formats:
            result = Signal(_Unpacked(self._formats), name=f"unpacked_{fmt.name}")
            self._unpack(m, fmt, result)
            results.append(result)
        m.d.comb += self.o.eq(_for_format(self._formats, self.control, results))
        return m

    def _unpack(self, m, fmt, result):
        mantissa = self.code[: fmt.man_bits]
        exponent = self.code[fmt.man_bits : fmt.magnitude_bits]
        magnitude = self.code[: fmt.magnitude_bits]
        sign = self.code[fmt.bits - 1] if fmt.signed else Const(0, 1)
        left = _max_man_bits(self._formats) - fmt.man_bits
        m.d.comb += [
            result.sign.eq(sign),
            result.exponent.eq(exponent),
            result.fraction.eq(Cat(Const(0, left), mantissa)),
        ]
        if fmt.underflow != "paper":
            negative_zero_is_nan = sign if fmt.specials == "fnuz" else 0
            m.d.comb += result.zero.eq(~magnitude.any() & ~negative_zero_is_nan)
        if fmt.underflow == "gradual" and fmt.exp_bits < 8:
            with m.If(~exponent.any()):
                for leading_zeros in reversed(range(fmt.man_bits)):
                    with m.If(mantissa[-1 - leading_zeros]):
                        m.d.comb += [
                            result.exponent.eq(-leading_zeros),
                            result.fraction.eq(Cat(Const(0, left), mantissa) << (leading_zeros + 1)),
                        ]
        if fmt.specials == "ieee":
            m.d.comb += [
                result.nan.eq(exponent.all() & mantissa.any()),
                result.infinity.eq(exponent.all() & ~mantissa.any()),
            ]
        elif fmt.specials == "fnuz":
            m.d.comb += result.nan.eq(~magnitude.any() & sign)
        elif fmt.nan is not None:
            m.d.comb += result.nan.eq(magnitude.all())


class _Rebias(wiring.Component):
    """Second half of a decoder lane: the FP32 exponent, E + 127 - bias, and special values."""

    def __init__(self, formats, bias_port):
        self._formats = formats
        self._bias_port = bias_port
        super().__init__(
            {
                "i": In(_Unpacked(formats)),
                "control": In(_control_layout(formats, bias_port)),
                "word": Out(Float32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fmt = self._formats[0]
        man_bits = _max_man_bits(self._formats)
        fraction = Cat(Const(0, FP32_MAN_BITS - man_bits), self.i.fraction)
        exponent = Signal(8)
        if fmt.exp_bits == 8:
            m.d.comb += exponent.eq(self.i.exponent)
            if fmt.specials == "fnu":
                fraction = Cat(Const(0, FP32_MAN_BITS - 1), ~self.i.exponent.any())
        else:
            # 127 - bias is a one and then the bias inverted: no carry to add. To subtract E from the bias and invert the difference
            # takes 28 instead of 34 iCE40 LUTs for E4M3, but 71 instead of 66 gate equivalents; to choose zero's and NaN's
            # addends in front of the adder, 30 and 67.
            offset = Cat(~_bias(self._formats, self._bias_port, self.control), 1)
            m.d.comb += exponent.eq(self.i.exponent + offset)
        quiet = Const(1 << (FP32_MAN_BITS - 1), FP32_MAN_BITS)
        m.d.comb += [
            self.word.sign.eq(self.i.sign),
            self.word.exponent.eq(Mux(self.i.nan | self.i.infinity, 255, Mux(self.i.zero, 0, exponent))),
            self.word.fraction.eq(fraction | Mux(self.i.nan, quiet, 0)),
        ]
        return m


class FloatDecoder(wiring.Component):
    """Narrow floats to FP32, `lanes` values per beat, one beat per clock. Every result is exact.

    Equation: ``(-1)**sign * 1.M * 2**(E - bias)``; with E = 0 in a gradual format ``0.M * 2**(1 - bias)``.

    ==============  =====================================================================================================
    rounding        none: every code at every bias is an FP32 number
    zero            keeps its sign
    infinity        FP32 infinity
    NaN             quiet, with its sign, M in the top bits of the fraction
    ==============  =====================================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock; `ready` is combinational from output to input.

    Sources: Sadi et al. 2024, Eq. 1; OCP OFP8 1.0.

    Parameters
    ----------
    formats : sequence of FloatFormat
        With more than one, each beat chooses among them.
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between unpacking and the adder, too; at the input, too.
    bias_port : bool
        Whether each beat brings its bias. Otherwise every format has its own.
    user_bits : int
        Width of a tag that passes through, 0 to 64.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: code lanes, last, user: {bias, format, user}}.
    o : Out(stream.Signature)
        Payload {data: FP32 lanes, last, user: {user}}.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(self, formats, *, lanes=4, stages=1, bias_port=True, user_bits=0):
        self._formats = formats = _check_formats(formats)
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("stages", stages, 0, MAX_STAGES)
        check_int("user_bits", user_bits, 0, MAX_USER_BITS)
        self._lanes = lanes
        self._bias_port = bias_port and formats[0].exp_bits < 8
        self.latency = stages
        self.clocked = bool(stages)
        self._control = _control_layout(formats, self._bias_port)
        tag = {"user": user_bits} if user_bits else {}
        self._middle = {"lanes": data.ArrayLayout(_Unpacked(formats), lanes), "control": self._control}
        super().__init__(
            {
                "i": In(beats(_code_bits(formats), lanes, {**_fields(self._control), **tag})),
                "o": Out(beats(Float32, lanes, tag)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        two_halves(m, self.i, self.o, self._middle, self.latency, self._unpack, self._rebias)
        return m

    def _unpack(self, m, source, middle):
        for name in _fields(self._control):
            m.d.comb += middle.p.control[name].eq(source.p.user[name])
        for lane in range(self._lanes):
            m.submodules[f"unpack{lane}"] = unpack = _Unpack(self._formats, self._bias_port)
            m.d.comb += [
                unpack.code.eq(source.p.data[lane]),
                unpack.control.eq(middle.p.control),
                middle.p.lanes[lane].eq(unpack.o),
            ]

    def _rebias(self, m, middle, result):
        for lane in range(self._lanes):
            m.submodules[f"rebias{lane}"] = rebias = _Rebias(self._formats, self._bias_port)
            m.d.comb += [
                rebias.i.eq(middle.p.lanes[lane]),
                rebias.control.eq(middle.p.control),
                result.p.data[lane].eq(rebias.word),
            ]
