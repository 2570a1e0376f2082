"""Logarithmic block floating point (LBFP): FP32 or sums to codes, codes to FP32, products and dot products of codes.

A code {sign, c} with the shared exponent E means ``(-1)**sign * 2**(E - 2**int_bits + c / 2**frac_bits)``, c = 0 means zero: see
`golden.formats.LogBlockFormat`. The idea is that of "LBFP: logarithmic block floating point", APCCAS 2020; the encoding is ours.

A product takes an addition, a table and a shift. With t the sum of both c, f its fraction bits and T its integer bits,

    |a * b| = A[f] << T,  A[f] about 2**(f / 2**frac_bits) in units of 2**-G

in units of ``2**(Ea + Eb - 2**(int_bits + 1) - G)``. What makes it small:

- The shift is to the right, from where T is all ones, the shortest distance first. Its last stage, by half of the range, is an
  AND-OR with a select for either half; for a zero neither is set, so that zero costs nothing where the bits are.
- For two's complement the table's entry is negated before the shift, where it is narrow, and the shift fills in signs.
"""

from math import ceil

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.hdl.parts.stream import Register, beats, two_halves
from narrowfloat.hdl.shapes import Float32

ANTILOGS = ("lut", "two_segment", "mitchell")
OUTPUTS = ("twos_complement", "sign_magnitude")
SOURCES = ("fp32", "fixed")
EXPONENTS = ("given", "max")
GUARD_BITS = 5  # the fewest with which a table for 4 fraction bits is within 1.3 %
MAX_GUARD_BITS = 8
MAX_LANES = 64
MAX_STAGES = 3
MAX_DOT_STAGES = 2
MAX_BEATS = 2**24
MAX_USER_BITS = 64
MAX_FIXED_BITS = 64
_PRODUCT_BITS = 16  # unless the full product is narrower
_TERM_BITS = 14  # of a product within a dot product, likewise

FP32_BIAS = 127
FP32_MAN_BITS = 23
# Fraction bits below those of the logarithm at which an encoder looks.
_EXTRA_BITS = 4


class LogFlags(data.Struct):
    """What an encoder raised, per element."""

    saturated: 1
    flushed: 1
    invalid: 1


def _check_format(fmt):
    if not isinstance(fmt, LogBlockFormat):
        raise TypeError(f"fmt must be a LogBlockFormat, not {fmt!r}")


def _tag(user_bits):
    check_int("user_bits", user_bits, 0, MAX_USER_BITS)
    return {"user": user_bits} if user_bits else {}


class Antilog:
    """The table A of a multiplier, checked, and what follows from it.

    ===========  =======================================================================================
    lut          the nearest integer
    two_segment  ``2**G + m - ceil(3 * min(m, 2**G - m) / 16)`` with m = ``f * 2**(G - frac_bits)``
    mitchell     ``2**G + m``
    ===========  =======================================================================================

    Parameters
    ----------
    fmt : LogBlockFormat
    mode : str
        One of `ANTILOGS`.
    guard_bits : int or None
        G, 4 to 8, with 6 fraction bits from 5 on; "mitchell" and "two_segment" need at least ``fmt.frac_bits``. None:
        `GUARD_BITS`, or ``fmt.frac_bits`` if that is more or the mode is "mitchell".
    out_bits : int or None
        Bits that are kept of a signed product, G + 2 to `full_bits`.
    usual_bits : int
        `out_bits` if that is None, or `full_bits` if they are fewer.

    Attributes
    ----------
    table : list of int
    full_bits : int
        Width of a full product with its sign.
    dropped : int
        How many bits are cut off below.
    largest : int
        The largest magnitude of a product that was cut.
    """

    def __init__(self, fmt, mode, guard_bits, out_bits, usual_bits):
        _check_format(fmt)
        check_choice("antilog", mode, ANTILOGS)
        # With 4 guard bits and 6 fraction bits the last entry would be rounded up to 2**(G + 1).
        low = (5 if fmt.frac_bits > 5 else 4) if mode == "lut" else fmt.frac_bits
        if guard_bits is None:
            guard_bits = fmt.frac_bits if mode == "mitchell" else max(GUARD_BITS, fmt.frac_bits)
        else:
            check_int(f"guard_bits of antilog {mode!r}", guard_bits, low, MAX_GUARD_BITS)
        self.guard_bits = guard_bits
        one, steps = 2**guard_bits, 2**fmt.frac_bits
        line = [f * one // steps for f in range(steps)] if guard_bits >= fmt.frac_bits else None
        if mode == "lut":
            self.table = [round(2 ** (f / steps) * one) for f in range(steps)]
        elif mode == "mitchell":
            self.table = [one + m for m in line]
        else:
            self.table = [one + m - ceil(3 * min(m, one - m) / 16) for m in line]
        # A < 2**(G + 1), and the shift is at most 2**(int_bits + 1) - 1 as t < 2**(int_bits + frac_bits + 1).
        self.full_bits = guard_bits + 2 ** (fmt.int_bits + 1) + 1
        if out_bits is None:
            out_bits = min(usual_bits, self.full_bits)
        # Fewer would cut off the table's last bits from the largest product, too.
        check_int("out_bits", out_bits, guard_bits + 2, self.full_bits)
        self.out_bits = out_bits
        self.dropped = self.full_bits - out_bits
        # Both factors at their largest: t = 2**(int_bits + frac_bits + 1) - 2.
        t = 2 * fmt.max_magnitude
        self.largest = self.table[t % steps] << (t >> fmt.frac_bits) >> self.dropped
        self.lsb_offset = self.dropped - guard_bits - 2 ** (fmt.int_bits + 1)


class _LogSum(data.StructLayout):
    """A product between the halves of a multiplier: sign, t, and whether a factor is zero."""

    def __init__(self, fmt):
        super().__init__({"sign": 1, "t": fmt.magnitude_bits + 1, "zero": 1})


def _log_sum(m, fmt, a, b, result):
    """Add the logarithms of two codes."""
    c_a, c_b = a[: fmt.magnitude_bits], b[: fmt.magnitude_bits]
    zero = ~c_a.any() | ~c_b.any()
    m.d.comb += [
        # Without a sign a zero is quiet in what follows: 13 % less energy in a dot product of real tensors.
        result.sign.eq((a[-1] ^ b[-1]) & ~zero),
        result.t.eq(c_a + c_b),
        result.zero.eq(zero),
    ]


class _Shift(wiring.Component):
    """From the sum of two logarithms to a product: table and shift.

    `product` is {sign, magnitude} or in two's complement.
    """

    def __init__(self, fmt, antilog, output):
        self._fmt, self._antilog, self._output = fmt, antilog, output
        super().__init__({"i": In(_LogSum(fmt)), "product": Out(antilog.out_bits)})

    def elaborate(self, platform):
        m = Module()
        fmt, antilog = self._fmt, self._antilog
        two = self._output == "twos_complement"
        sign = self.i.sign if two else Const(0, 1)
        f, shift = self.i.t[: fmt.frac_bits], self.i.t[fmt.frac_bits :]
        power = Signal(antilog.guard_bits + 1)
        with m.Switch(f):
            for key, value in enumerate(antilog.table):
                with m.Case(key):
                    m.d.comb += power.eq(value)
        shifted = power
        if two:
            shifted = Signal(antilog.guard_bits + 2)
            m.d.comb += shifted.eq(Mux(sign, -power, power))
        for stage in range(fmt.int_bits):
            # Each stage keeps what it shifts out, below, until the end.
            distance = 2**stage
            wider = Signal(len(shifted) + distance, name=f"shifted{stage}")
            m.d.comb += wider.eq(Mux(shift[stage], Cat(Const(0, distance), shifted), Cat(shifted, sign.replicate(distance))))
            shifted = wider
        # Where the top bit of t is set, no factor was zero, as c < 2**(int_bits + frac_bits).
        upper, lower = shift[-1], Signal()
        m.d.comb += lower.eq(~(upper | self.i.zero))
        distance = 2**fmt.int_bits
        high = Cat(Const(0, distance), shifted)
        low = Cat(shifted, sign.replicate(distance))
        kept = antilog.out_bits - 1 + two
        result = Cat((upper & h) | (lower & l) for h, l in zip(high[len(high) - kept :], low[len(low) - kept :], strict=True))
        m.d.comb += self.product.eq(result if two else Cat(result, self.i.sign))
        return m


class LbfpMultiplier(wiring.Component):
    """Products of codes, `lanes` per beat, one beat per clock.

    Equation: with t = ca + cb, ``A[t mod 2**F] << (t >> F)``, negative if the signs differ, in units of
    ``2**(Ea + Eb - 2**(I + 1) - G)`` (`golden.lbfp.multiply`). The shared exponents are not needed.

    ============  ==================================================================================
    rounding      that of the table A; then bits below `out_bits` are cut off: in two's complement
                  toward minus infinity, with sign and magnitude toward zero
    zero          the product is positive zero if a factor is zero; what becomes zero by cutting keeps its sign
    overflow      none
    ============  ==================================================================================

    Latency: `stages` cycles. Throughput: a beat per clock; `ready` is combinational from output to input.

    Sources: Mitchell 1962 for the antilogarithm as 1 + f; "LBFP", APCCAS 2020.

    Parameters
    ----------
    fmt : LogBlockFormat
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between addition and table, too; at the input, too.
    antilog, guard_bits, out_bits
        As for `Antilog`; by default 16 bits are kept.
    output : str
        "twos_complement" or "sign_magnitude", which is {sign, magnitude}.
    user_bits : int
        Width of a tag that passes through, 0 to 64.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {a: code lanes, b: code lanes}, last, user: {user}}.
    o : Out(stream.Signature)
        Payload {data: product lanes, last, user: {user}}.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        fmt,
        *,
        lanes=4,
        stages=1,
        antilog="lut",
        guard_bits=None,
        out_bits=None,
        output="twos_complement",
        user_bits=0,
    ):
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("stages", stages, 0, MAX_STAGES)
        check_choice("output", output, OUTPUTS)
        self._fmt, self._lanes, self._output = fmt, lanes, output
        self._antilog = Antilog(fmt, antilog, guard_bits, out_bits, _PRODUCT_BITS)
        self.latency = stages
        self.clocked = bool(stages)
        self.facts = {"guard_bits": self._antilog.guard_bits, "product_bits": self._antilog.out_bits}
        tag = _tag(user_bits)
        super().__init__(
            {
                "i": In(_pairs(fmt, lanes, tag)),
                "o": Out(beats(self._antilog.out_bits, lanes, tag)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        middle = {"lanes": data.ArrayLayout(_LogSum(self._fmt), self._lanes)}
        two_halves(m, self.i, self.o, middle, self.latency, self._add, self._shift)
        return m

    def _add(self, m, source, sink):
        for lane in range(self._lanes):
            _log_sum(m, self._fmt, source.p.data.a[lane], source.p.data.b[lane], sink.p.lanes[lane])

    def _shift(self, m, source, sink):
        for lane in range(self._lanes):
            m.submodules[f"shift{lane}"] = shift = _Shift(self._fmt, self._antilog, self._output)
            m.d.comb += [shift.i.eq(source.p.lanes[lane]), sink.p.data[lane].eq(shift.product)]


def _pairs(fmt, lanes, user):
    """Signature of a stream of beats of two codes per lane."""
    codes = data.ArrayLayout(fmt.bits, lanes)
    return stream.Signature(
        data.StructLayout({"data": data.StructLayout({"a": codes, "b": codes}), "last": 1, "user": data.StructLayout(user)})
    )


class LbfpDotProduct(wiring.Component):
    """Dot products of codes: `lanes` products per beat, any number of beats up to `max_beats` per result, a beat per clock.

    Equation: the exact sum of the products of `LbfpMultiplier`, cut to `out_bits` each, in units of ``2**exponent``, where
    ``exponent = Ea + Eb - 2**(I + 1) - G`` plus the number of bits cut off (`golden.lbfp.dot`). The shared exponents enter once,
    with the last beat.

    ============  ====================================================================================================
    rounding      that of the table A; then products lose their lowest bits, with output "sign_magnitude" toward zero,
                  with "twos_complement" toward minus infinity, which adds up to a bias in long sums
    overflow      none for up to `max_beats` beats: the sum has the bits for that many of the largest products
    ============  ====================================================================================================

    A negative product of sign and magnitude enters the tree of adders inverted, and its sign as the carry of one of them: there
    are as many adders, with that of the accumulator, as there are products.

    Latency: `stages` + 1 cycles from the last beat of a result. Throughput: a beat per clock; `ready` is combinational from output
    to input. The accumulator is the output register: while a result waits there, no beat is taken.

    Sources: "LBFP", APCCAS 2020; Johnson 2018, arXiv 1811.01721, for the sum of logarithmic products in fixed point.

    Parameters
    ----------
    fmt : LogBlockFormat
    lanes : int
        Products per beat, 1 to 64.
    stages : int
        Pipeline registers beside the accumulator, 0 to 2: none; between products and adders; at the input, too.
    antilog, guard_bits, out_bits
        As for `Antilog`; by default 14 bits are kept of a product.
    output : str
        How products are cut: "sign_magnitude" or "twos_complement".
    max_beats : int
        1 to 2**24.
    exponents : bool
        Whether exponents come in and go out, or are dealt with elsewhere.
    user_bits : int
        Width of a tag, 0 to 64: that of the last beat goes out with the result.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {a: code lanes, b: code lanes}, last, user: {exponent_a, exponent_b, user}}.
    o : Out(stream.Signature)
        Payload {data: {sum}, last, user: {exponent, user}}; `sum` and `exponent` are signed, `last` is always set.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        fmt,
        *,
        lanes=16,
        stages=0,
        antilog="lut",
        guard_bits=None,
        out_bits=None,
        output="sign_magnitude",
        max_beats=2**14,
        exponents=True,
        user_bits=0,
    ):
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("stages", stages, 0, MAX_DOT_STAGES)
        check_choice("output", output, OUTPUTS)
        check_int("max_beats", max_beats, 1, MAX_BEATS)
        self._fmt, self._lanes, self._output, self._stages, self._exponents = fmt, lanes, output, stages, exponents
        self._antilog = Antilog(fmt, antilog, guard_bits, out_bits, _TERM_BITS)
        # Cut toward minus infinity, the most negative product may be one more than the largest in magnitude.
        largest = self._antilog.largest + (output == "twos_complement" and self._antilog.dropped > 0)
        self._sum_bits = (largest * lanes * max_beats).bit_length() + 1
        self.latency = stages + 1
        self.clocked = True
        self.facts = {
            "guard_bits": self._antilog.guard_bits,
            "product_bits": self._antilog.out_bits,
            "sum_bits": self._sum_bits,
        }
        exponent = signed(fmt.exp_bits)
        tag = _tag(user_bits)
        ends = [2 * end + self._antilog.lsb_offset for end in fmt.exponent_range]
        incoming = {"exponent_a": exponent, "exponent_b": exponent} if exponents else {}
        outgoing = {"exponent": signed(max(bits_for(end, True) for end in ends))} if exponents else {}
        super().__init__(
            {
                "i": In(_pairs(fmt, lanes, incoming | tag)),
                "o": Out(
                    stream.Signature(
                        data.StructLayout(
                            {
                                "data": data.StructLayout({"sum": signed(self._sum_bits)}),
                                "last": 1,
                                "user": data.StructLayout(outgoing | tag),
                            }
                        )
                    )
                ),
            }
        )

    def elaborate(self, platform):
        m = Module()
        source = _registered(m, "input_register", self.i) if self._stages >= 2 else self.i
        product = signed(self._antilog.out_bits)
        products = stream.Signature(
            data.StructLayout(
                {
                    "terms": data.ArrayLayout(product, self._lanes),
                    "carries": self._lanes if self._output == "sign_magnitude" else 0,
                    "last": 1,
                    "user": source.p.user.shape(),
                }
            )
        ).create(path=("products",))
        m.d.comb += [
            products.valid.eq(source.valid),
            source.ready.eq(products.ready),
            products.p.last.eq(source.p.last),
            products.p.user.eq(source.p.user),
        ]
        self._multiply(m, source, products)
        if self._stages >= 1:
            products = _registered(m, "product_register", products)
        self._accumulate(m, products)
        return m

    def _multiply(self, m, source, products):
        for lane in range(self._lanes):
            m.submodules[f"shift{lane}"] = shift = _Shift(self._fmt, self._antilog, self._output)
            _log_sum(m, self._fmt, source.p.data.a[lane], source.p.data.b[lane], shift.i)
            if self._output == "twos_complement":
                m.d.comb += products.p.terms[lane].eq(shift.product.as_signed())
                continue
            sign = shift.product[-1]
            m.d.comb += [
                products.p.terms[lane].eq(Cat((bit ^ sign for bit in shift.product[:-1]), sign).as_signed()),
                products.p.carries[lane].eq(sign),
            ]

    def _accumulate(self, m, products):
        done, fresh = Signal(), Signal(init=1)
        total = Signal(signed(self._sum_bits), reset_less=True)
        # A tree of adders of two, each with a carry: on FPGAs it becomes carry chains, in cells full adders. Two numbers of w bits
        # and a carry are from -2**w to 2**w - 1, which w + 1 bits hold.
        carries = iter(products.p.carries)
        terms = list(products.p.terms)
        while len(terms) > 1:
            sums = []
            for left, right in zip(terms[::2], terms[1::2]):
                both = Signal(signed(max(len(left), len(right)) + 1), name=f"sum{len(terms)}_{len(sums)}")
                m.d.comb += both.eq(left + right + next(carries, 0))
                sums.append(both)
            terms = sums + terms[2 * len(sums) :]
        taken = Signal()
        m.d.comb += [products.ready.eq(~done | self.o.ready), taken.eq(products.valid & products.ready)]
        with m.If(taken):
            m.d.sync += [
                total.eq(Mux(fresh, 0, total) + terms[0] + next(carries, 0)),
                fresh.eq(products.p.last),
            ]
        with m.If(products.ready):
            m.d.sync += done.eq(taken & products.p.last)
        m.d.comb += [self.o.valid.eq(done), self.o.p.data.sum.eq(total), self.o.p.last.eq(1)]

        user, given = self.o.p.user, products.p.user
        held = {}
        if self._exponents:
            held["exponent"] = given.exponent_a + given.exponent_b + self._antilog.lsb_offset
        if "user" in dict(iter(user.shape())):
            held["user"] = given.user
        for name, value in held.items():
            register = Signal(user[name].shape(), name=f"held_{name}", reset_less=True)
            with m.If(taken & products.p.last):
                m.d.sync += register.eq(value)
            m.d.comb += user[name].eq(register)


def _registered(m, name, source):
    m.submodules[name] = stage = Register(source.payload.shape())
    m.d.comb += [stage.i.valid.eq(source.valid), source.ready.eq(stage.i.ready), stage.i.payload.eq(source.payload)]
    return stage.o


class _Rounded(data.StructLayout):
    """A value between the halves of an encoder: its logarithm as integer and fraction part, less those of the number c = 0."""

    def __init__(self, fmt, integer_bits):
        super().__init__(
            {
                "sign": 1,
                "nonzero": 1,
                # what is not zero but counts as zero
                "subnormal": 1,
                "nan": 1,
                # of c before it is clamped
                "integer": signed(integer_bits),
                # Above one where the fraction was rounded up to the next integer.
                "fraction": fmt.frac_bits + 1,
                # The significand is at least that of the smallest number.
                "smallest": 1,
            }
        )


def _fraction(m, fmt, name, significand):
    """c's fraction bits, and a carry above, for the upper bits of a significand's fraction: thresholds in each binary segment."""
    steps, one = 2**fmt.frac_bits, 2 ** (fmt.frac_bits + _EXTRA_BITS)
    thresholds = [ceil((2 ** ((j + 0.5) / steps) - 1) * one) for j in range(steps)]
    segment, rest = significand[_EXTRA_BITS:], significand[:_EXTRA_BITS]
    fraction = Signal(fmt.frac_bits + 1, name=name)
    with m.Switch(segment):
        for key in range(steps):
            first = key << _EXTRA_BITS
            passed = sum(threshold <= first for threshold in thresholds)
            inside = [threshold - first for threshold in thresholds if first < threshold < first + 2**_EXTRA_BITS]
            with m.Case(key):
                m.d.comb += fraction.eq(passed + sum((rest >= threshold for threshold in inside), Const(0, 1)))
    return fraction


class _Locate(wiring.Component):
    """First half of an encoder lane: the logarithm of a value."""

    def __init__(self, fmt, source, fixed_bits):
        self._fmt, self._source = fmt, source
        shape = Float32 if source == "fp32" else signed(fixed_bits)
        self._exponent = signed(fmt.exp_bits)
        self._lsb = signed(fmt.exp_bits + _LSB_BITS)
        super().__init__(
            {
                "value": In(shape),
                "exponent": In(self._exponent),
                "lsb_exponent": In(self._lsb),
                "o": Out(_Rounded(fmt, _integer_bits(fmt, source, fixed_bits))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fmt = self._fmt
        bits = fmt.frac_bits + _EXTRA_BITS
        significand = Signal(bits)
        offset = 2**fmt.int_bits
        if self._source == "fp32":
            word = self.value
            m.d.comb += [
                significand.eq(word.fraction[FP32_MAN_BITS - bits :]),
                self.o.sign.eq(word.sign),
                self.o.nonzero.eq(word.exponent.any()),
                self.o.subnormal.eq(~word.exponent.any() & word.fraction.any()),
                self.o.nan.eq(word.exponent.all() & word.fraction.any()),
                self.o.integer.eq(word.exponent - self.exponent + (offset - FP32_BIAS)),
            ]
        else:
            negative = self.value[-1]
            magnitude = Signal(len(self.value))
            m.d.comb += magnitude.eq((self.value.as_unsigned() ^ negative.replicate(len(magnitude))) + negative)
            # Shift the leading one to the top, the longest distance first; what each stage shifts is a bit of the distance.
            places, distance = [], 1 << (len(magnitude) - 1).bit_length() >> 1
            while distance:
                moved, place = Signal(len(magnitude), name=f"moved{distance}"), Signal(name=f"place{distance}")
                m.d.comb += [
                    place.eq(~magnitude[-distance:].any()),
                    moved.eq(Mux(place, magnitude << distance, magnitude)),
                ]
                places.insert(0, place)
                magnitude, distance = moved, distance >> 1
            below = Cat(Const(0, bits), magnitude[:-1])
            m.d.comb += [
                significand.eq(below[-bits:]),
                self.o.sign.eq(negative),
                self.o.nonzero.eq(magnitude[-1]),
                self.o.integer.eq(self.lsb_exponent - self.exponent - Cat(places) + (len(magnitude) - 1 + offset)),
            ]
        smallest = ceil((2 ** (1 / 2**fmt.frac_bits) - 1) * 2**bits)
        m.d.comb += [
            self.o.fraction.eq(_fraction(m, fmt, "fraction", significand)),
            self.o.smallest.eq(significand >= smallest),
        ]
        return m


# The weight of a sum's last bit is given with so many bits more than a shared exponent.
_LSB_BITS = 3


def _integer_bits(fmt, source, fixed_bits):
    """Bits that hold the integer part of any value's logarithm."""
    low, high = fmt.exponent_range
    offset = 2**fmt.int_bits
    if source == "fp32":
        ends = -high + offset - FP32_BIAS, 255 - low + offset - FP32_BIAS
    else:
        # Minus one less than the width is what leading zeros take away from a value of zero.
        wide = 2 ** (fmt.exp_bits + _LSB_BITS - 1)
        ends = -wide - high + offset - 2 ** (fixed_bits - 1).bit_length(), wide - 1 - low + offset + fixed_bits - 1
    return max(bits_for(end, True) for end in ends)


class _Clamp(wiring.Component):
    """Second half of an encoder lane: c within its range, and zero."""

    def __init__(self, fmt, integer_bits):
        self._fmt = fmt
        super().__init__({"i": In(_Rounded(fmt, integer_bits)), "code": Out(fmt.bits), "flags": Out(LogFlags)})

    def elaborate(self, platform):
        m = Module()
        fmt = self._fmt
        c = Signal(signed(len(self.i.integer) + fmt.frac_bits + 1))
        m.d.comb += c.eq(Cat(Const(0, fmt.frac_bits), self.i.integer).as_signed() + self.i.fraction)
        negative = c[-1]
        too_large, below, zero = Signal(), Signal(), Signal()
        m.d.comb += [
            too_large.eq(~negative & c[fmt.magnitude_bits : -1].any()),
            # c < 1: the smallest number from its half on, one integer lower, zero below.
            below.eq(negative | ~c[:-1].any()),
            zero.eq(~self.i.nonzero | (below & self.i.integer[-1] & ~(self.i.integer.all() & self.i.smallest))),
        ]
        magnitude = Signal(fmt.magnitude_bits)
        with m.If(zero):
            m.d.comb += magnitude.eq(0)
        with m.Elif(below):
            m.d.comb += magnitude.eq(1)
        with m.Elif(too_large):
            m.d.comb += magnitude.eq(fmt.max_magnitude)
        with m.Else():
            m.d.comb += magnitude.eq(c)
        m.d.comb += [
            self.code.eq(Cat(magnitude, self.i.sign & ~zero)),
            self.flags.saturated.eq(too_large & self.i.nonzero & ~self.i.nan),
            self.flags.flushed.eq(zero & (self.i.nonzero | self.i.subnormal)),
            self.flags.invalid.eq(self.i.nan),
        ]
        return m


class LbfpEncoder(wiring.Component):
    """FP32 values or sums in fixed point to codes, rounded to the nearest logarithm, `lanes` per beat, one beat per clock.

    Equation: for a significand s and an exponent e, with j the number of thresholds ``2**((j - 1/2) / 2**F)`` up to s, j from 1 to
    ``2**F``, ``c = 2**F * (e - E + 2**I) + j`` (`golden.lbfp.encode`, `encode_fixed`). Thresholds are compared with s cut to F + 4
    fraction bits.

    ================  =======================================================================  =========
    value             code                                                                     flag
    ================  =======================================================================  =========
    above the range   the largest number; so is infinity                                       saturated
    below the range   the smallest number from half of it on, otherwise zero                   flushed
    zero              zero, never with a sign
    FP32 subnormal    zero                                                                     flushed
    NaN               the largest number, with its sign                                        invalid
    ================  =======================================================================  =========

    Latency: `stages` cycles; with `exponent` "max" those of a block and `_BLOCK_LATENCY` more. Throughput: a beat per clock; `ready`
    is combinational from output to input, except with "max".

    Sources: "LBFP", APCCAS 2020.

    Parameters
    ----------
    fmt : LogBlockFormat
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between logarithm and clamping, too; at the input, too.
    source : str
        "fp32"; or "fixed": integers in two's complement whose last bit weighs ``2**lsb_exponent``.
    fixed_bits : int
        Width of those integers, 4 to 64.
    exponent : str
        "given" with each beat; or "max": found from the largest exponent of each block of ``fmt.block`` values, which is stored
        meanwhile, and given out (`golden.lbfp.block_exponent`). The first block begins with the first beat after reset; a block
        must be a multiple of the lanes. FP32 only.
    flags : bool
        Whether each element comes with its `LogFlags`.
    user_bits : int
        Width of a tag that passes through, 0 to 64.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: lanes, last, user: {exponent, lsb_exponent, user}}; the weight of the last bit has three bits more than the
        exponent.
    o : Out(stream.Signature)
        Payload {data: code lanes, last, user: {exponent, flags, user}}; the exponent only if it was found here.

    Raises
    ------
    ValueError
        A parameter is out of its range, or two of them exclude each other.
    """

    def __init__(
        self,
        fmt,
        *,
        lanes=4,
        stages=1,
        source="fp32",
        fixed_bits=32,
        exponent="given",
        flags=False,
        user_bits=0,
    ):
        _check_format(fmt)
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("stages", stages, 0, MAX_STAGES)
        check_choice("source", source, SOURCES)
        check_int("fixed_bits", fixed_bits, 4, MAX_FIXED_BITS)
        check_choice("exponent", exponent, EXPONENTS)
        self._blocks = exponent == "max"
        if self._blocks and source != "fp32":
            raise ValueError("exponent 'max' needs source 'fp32'")
        if self._blocks and (fmt.block is None or fmt.block % lanes):
            raise ValueError(f"exponent 'max' needs a format whose block is a multiple of {lanes} lanes, not {fmt.block}")
        self._fmt, self._lanes, self._source, self._fixed_bits, self._flags = fmt, lanes, source, fixed_bits, flags
        self._stages = stages
        self.latency = stages + (fmt.block // lanes + _BLOCK_LATENCY if self._blocks else 0)
        self.clocked = bool(self.latency)
        exponents = {"exponent": signed(fmt.exp_bits)}
        lsb = {"lsb_exponent": signed(fmt.exp_bits + _LSB_BITS)} if source == "fixed" else {}
        flags_field = {"flags": data.ArrayLayout(LogFlags, lanes)} if flags else {}
        self._tag = _tag(user_bits)
        shape = Float32 if source == "fp32" else signed(fixed_bits)
        super().__init__(
            {
                "i": In(beats(shape, lanes, {**({} if self._blocks else exponents), **lsb, **self._tag})),
                "o": Out(beats(fmt.bits, lanes, {**(exponents if self._blocks else {}), **flags_field, **self._tag})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        source = self.i
        if self._blocks:
            m.submodules.maximum = maximum = _BlockMaximum(self._fmt, self._lanes, self._flags, self._tag)
            wiring.connect(m, wiring.flipped(self.i), maximum.i)
            source = maximum.o
        bits = _integer_bits(self._fmt, self._source, self._fixed_bits)
        middle = {"lanes": data.ArrayLayout(_Rounded(self._fmt, bits), self._lanes)}
        if self._blocks:
            middle["exponent"] = signed(self._fmt.exp_bits)
        two_halves(m, source, self.o, middle, self._stages, self._locate, self._clamp)
        return m

    def _locate(self, m, source, sink):
        user = source.p.user
        for lane in range(self._lanes):
            m.submodules[f"locate{lane}"] = locate = _Locate(self._fmt, self._source, self._fixed_bits)
            m.d.comb += [
                locate.value.eq(source.p.data[lane]),
                locate.exponent.eq(user.exponent),
                sink.p.lanes[lane].eq(locate.o),
            ]
            if self._source == "fixed":
                m.d.comb += locate.lsb_exponent.eq(user.lsb_exponent)
        if self._blocks:
            m.d.comb += sink.p.exponent.eq(user.exponent)

    def _clamp(self, m, source, sink):
        bits = _integer_bits(self._fmt, self._source, self._fixed_bits)
        for lane in range(self._lanes):
            m.submodules[f"clamp{lane}"] = clamp = _Clamp(self._fmt, bits)
            m.d.comb += [clamp.i.eq(source.p.lanes[lane]), sink.p.data[lane].eq(clamp.code)]
            if self._flags:
                m.d.comb += sink.p.user.flags[lane].eq(clamp.flags)
        if self._blocks:
            m.d.comb += sink.p.user.exponent.eq(source.p.exponent)


# Cycles from the last beat of a block to its first at the output: through the queue of exponents.
_BLOCK_LATENCY = 1


class _BlockMaximum(wiring.Component):
    """Stores blocks of FP32 values until all of one are there, and gives each beat its block's exponent.

    While one block leaves the next one comes, so that a beat per clock goes through.
    """

    def __init__(self, fmt, lanes, flags, tag):
        self._fmt = fmt
        self._beats = fmt.block // lanes
        # Of the fraction all that counts: the bits that are compared, and for flags whether there are any below.
        self._compared = fmt.frac_bits + _EXTRA_BITS
        word = {"sign": 1, "exponent": 8, "fraction": self._compared, "rest": int(flags)}
        self._stored = data.StructLayout(
            {"data": data.ArrayLayout(data.StructLayout(word), lanes), "last": 1, "user": data.StructLayout(tag)}
        )
        super().__init__(
            {
                "i": In(beats(Float32, lanes, tag)),
                "o": Out(beats(Float32, lanes, {"exponent": signed(fmt.exp_bits), **tag})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kept, stored = Signal(self._stored), Signal(self._stored)
        m.d.comb += [kept.last.eq(self.i.p.last), self.o.p.last.eq(stored.last)]
        if "user" in dict(iter(kept.user.shape())):
            m.d.comb += [kept.user.user.eq(self.i.p.user.user), self.o.p.user.user.eq(stored.user.user)]
        cut = FP32_MAN_BITS - self._compared
        for given, lane, lane_out, word in zip(self.i.p.data, kept.data, stored.data, self.o.p.data):
            m.d.comb += [
                lane.sign.eq(given.sign),
                lane.exponent.eq(given.exponent),
                lane.fraction.eq(given.fraction[cut:]),
                lane.rest.eq(given.fraction[:cut].any()),
                word.sign.eq(lane_out.sign),
                word.exponent.eq(lane_out.exponent),
                word.fraction.eq(Cat(lane_out.rest, Const(0, cut - len(lane_out.rest)), lane_out.fraction)),
            ]
        m.submodules.values = values = SyncFIFOBuffered(width=len(kept.as_value()), depth=2 * self._beats + 2)
        m.submodules.exponents = exponents = SyncFIFOBuffered(width=self._fmt.exp_bits, depth=4)
        taken, left = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(values.w_rdy & exponents.w_rdy),
            taken.eq(self.i.valid & self.i.ready),
            values.w_en.eq(taken),
            values.w_data.eq(kept),
        ]

        largest = Signal(8)
        so_far = Signal(8)
        m.d.comb += largest.eq(_largest([so_far, *(word.exponent for word in self.i.p.data)]))
        last_in, last_out = self._count(m, "beats_in", taken), self._count(m, "beats_out", left)
        with m.If(taken):
            m.d.sync += so_far.eq(Mux(last_in, 0, largest))
        # E + 126, which is the exponent field of the largest value where E is in its range.
        low, high = (end + FP32_BIAS - 1 for end in self._fmt.exponent_range)
        too_low = largest < low if low > 1 else ~largest.any()
        clamped = Signal(self._fmt.exp_bits)
        mask = 2**self._fmt.exp_bits - 1
        m.d.comb += [
            clamped.eq(Mux(too_low, low & mask, Mux(largest > high, high & mask, largest[: len(clamped)]))),
            exponents.w_data.eq(clamped - (FP32_BIAS - 1)),
        ]
        m.d.comb += exponents.w_en.eq(taken & last_in)

        m.d.comb += [
            stored.eq(values.r_data),
            self.o.p.user.exponent.eq(exponents.r_data),
            self.o.valid.eq(values.r_rdy & exponents.r_rdy),
            left.eq(self.o.valid & self.o.ready),
            values.r_en.eq(left),
            exponents.r_en.eq(left & last_out),
        ]
        return m

    def _count(self, m, name, step):
        """Count beats within blocks; whether this one is the last."""
        if self._beats == 1:
            return Const(1, 1)
        count = Signal(range(self._beats), name=name)
        last = Signal(name=f"{name}_last")
        m.d.comb += last.eq(count == self._beats - 1)
        with m.If(step):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        return last


def _largest(values):
    while len(values) > 1:
        pairs = [Mux(left > right, left, right) for left, right in zip(values[::2], values[1::2])]
        values = pairs + values[2 * len(pairs) :]
    return values[0]


class _Spread(data.StructLayout):
    """A lane between the halves of the decoder."""

    def __init__(self, fmt):
        # |E - 2**I + i + 127| < 2**9
        super().__init__({"sign": 1, "zero": 1, "exponent": signed(10), "fraction": FP32_MAN_BITS})


class LbfpDecoder(wiring.Component):
    """Codes to FP32, rounded to nearest, `lanes` values per beat, one beat per clock.

    Equation: ``(-1)**sign * 2**(E - 2**I + c / 2**F)`` (`golden.lbfp.decode`).

    =========  ==================================================================
    rounding   to nearest of the 24 bits of 2**(f / 2**F), from a table
    zero       positive, and so is what is below the smallest normal FP32 number
    overflow   none, as E is below 128
    =========  ==================================================================

    Latency: `stages` cycles. Throughput: a beat per clock; `ready` is combinational from output to input.

    Sources: "LBFP", APCCAS 2020.

    Parameters
    ----------
    fmt : LogBlockFormat
    lanes : int
        1 to 64.
    stages : int
        Pipeline registers, 0 to 3: none; at the output; between the adder and zero, too; at the input, too.
    user_bits : int
        Width of a tag that passes through, 0 to 64.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: code lanes, last, user: {exponent, user}}.
    o : Out(stream.Signature)
        Payload {data: FP32 lanes, last, user: {user}}.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    def __init__(self, fmt, *, lanes=4, stages=1, user_bits=0):
        _check_format(fmt)
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("stages", stages, 0, MAX_STAGES)
        self._fmt, self._lanes = fmt, lanes
        self.latency = stages
        self.clocked = bool(stages)
        tag = _tag(user_bits)
        super().__init__(
            {
                "i": In(beats(fmt.bits, lanes, {"exponent": signed(fmt.exp_bits), **tag})),
                "o": Out(beats(Float32, lanes, tag)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        middle = {"lanes": data.ArrayLayout(_Spread(self._fmt), self._lanes)}
        two_halves(m, self.i, self.o, middle, self.latency, self._spread, self._join)
        return m

    def _spread(self, m, source, sink):
        fmt = self._fmt
        steps = 2**fmt.frac_bits
        one = 2**FP32_MAN_BITS
        base = Signal(signed(10))
        m.d.comb += base.eq(source.p.user.exponent + (FP32_BIAS - 2**fmt.int_bits))
        for code, lane in zip(source.p.data, sink.p.lanes):
            magnitude = code[: fmt.magnitude_bits]
            m.d.comb += [
                lane.sign.eq(code[-1]),
                lane.zero.eq(~magnitude.any()),
                lane.exponent.eq(base + magnitude[fmt.frac_bits :]),
            ]
            with m.Switch(magnitude[: fmt.frac_bits]):
                for f in range(steps):
                    with m.Case(f):
                        m.d.comb += lane.fraction.eq(round(2 ** (f / steps) * one) - one)

    def _join(self, m, source, sink):
        for lane, word in zip(source.p.lanes, sink.p.data):
            with m.If(~lane.zero & ~lane.exponent[-1] & lane.exponent.any()):
                m.d.comb += [word.sign.eq(lane.sign), word.exponent.eq(lane.exponent), word.fraction.eq(lane.fraction)]
