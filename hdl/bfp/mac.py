"""Dot products of groups in block floating point, a pass of 2 by 2 mantissa bits per clock."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import ACCUMULATORS, CHUNKS
from narrowfloat.golden.formats import FP32_BIAS, MAX_GROUP, MIN_GROUP
from narrowfloat.hdl.bfp.common import fields_of
from narrowfloat.hdl.block import Block, Choice, Effect, Integer, Relation
from narrowfloat.hdl.parts.logic import Circuit, normalised_to_top, wire

CHUNK_BITS = 2
MAX_BITS = 2, 3, 4, 6, 8
FIXED_WIDTHS = 16, 62
# Of a chunk's exponent: E - 2 j is from -6 to 254, a window's from 0 to 508.
CHUNK_EXPONENT_BITS = 10


def _reduce(m, columns, width, name):
    """The sum of bits by weight, `columns[k]` of weight 2**k, modulo 2**width: full adders from the lowest column up, each of
    which takes one bit away; in cells fewer than in trees of adders of words."""
    columns = [*(list(column) for column in columns), *([] for _ in range(width - len(columns)))]
    total = []
    for weight in range(width):
        column, number = columns[weight], 0
        while len(column) > 1:
            a, b, c = column.pop(0), column.pop(0), column.pop(0) if column else Const(0, 1)
            column.append(wire(m, 1, a ^ b ^ c, f"{name}{weight}_{number}_sum"))
            if weight + 1 < width:
                columns[weight + 1].append(wire(m, 1, (a & b) | (c & (a ^ b)), f"{name}{weight}_{number}_carry"))
            number += 1
        total.append(column[0] if column else Const(0, 1))
    return Cat(total)


def sum_layout(accumulator, width):
    """What passes are added up to: with the "fixed" accumulator `width` bits, which may have saturated."""
    is_fixed = accumulator == "fixed"
    return data.StructLayout({"sum": width if is_fixed else 32, "saturated": int(is_fixed)})


class PassUnit(Circuit):
    """What one pass does to a sum: the arithmetic of `FastMac`, and of a cell of `SystolicArray`.

    A pass gives ``S = sum((-1)**(sx ^ sy) * x * y)`` over the lanes. Unless `fused` it is added to `base` at once; with `fused`
    the passes of a group are first added as integers, from the highest weight down, and their sum with the last of them.

    Bits are added, not products: the bits of the partial products of all lanes, inverted where a product is negative, in
    columns of full adders. That takes fewer gates than adders of products do, or magnitudes inverted before the multiplication.

    Equation: see `FastMac`. Latency: 1 cycle. Throughput: a pass per clock.

    Parameters
    ----------
    lanes : int
    accumulator : str
    width : int
        Bits of the fixed accumulator; that of "fp32" has 32.
    max_bits : int
        Mantissa bits of the widest group, if `fused`.
    fused : bool
    exponent_bits : int
    chunk_bits : int

    Members
    -------
    x, y : In(ArrayLayout)
        Lanes of `chunk_bits` bits of magnitude and the sign.
    exponent : In(signed)
        The sum's weight is ``2**(exponent - 256)`` for chunks of 2 bits, or ``2**exponent`` of a fixed accumulator's last bit.
    base : In(StructLayout)
        {sum, saturated}: what to add to.
    enable : In(1)
        This is a pass.
    update : In(1)
        `total` becomes `base` and what there is to add: with `fused` in the last pass of a group, otherwise in each, and in
        cycles without a pass, with `x` of zero, to take over `base`.
    nan : In(1)
        With `update`: what there is to add is NaN.
    lower : In(1)
        Only if `fused`: the weight is a chunk's bits lower than that of the pass before.
    total : Out(StructLayout)
        {sum, saturated}.
    """

    def __init__(self, *, lanes, accumulator, width, max_bits, fused, exponent_bits, chunk_bits=CHUNK_BITS):
        self._exponent_bits = exponent_bits
        self._lanes, self._fixed, self._fused, self._chunk_bits = lanes, accumulator == "fixed", fused, chunk_bits
        self._width = width if self._fixed else 32
        # 2**-self._weight is what a product of two chunks is in units of, of groups whose exponents are 0.
        self._weight = 2 * (FP32_BIAS + chunk_bits - 1)
        # Of the products of one pass, or of those of a group.
        self._bits = (lanes * (2 ** (max_bits if fused else chunk_bits) - 1) ** 2).bit_length() + 1
        chunk = data.ArrayLayout(1 + chunk_bits, lanes)
        total = sum_layout(accumulator, width)
        super().__init__(
            {
                "x": In(chunk),
                "y": In(chunk),
                "exponent": In(signed(exponent_bits)),
                "base": In(total),
                "enable": In(1),
                "update": In(1),
                "nan": In(1),
                **({"lower": In(1)} if fused else {}),
                "total": Out(total),
            }
        )

    def build(self, m):
        value = Signal(signed(self._bits))
        before = None
        if self._fused:
            # What came of the passes before, in units of this one.
            kept = Signal.like(value, reset_less=True)
            open_ = Signal()
            before = Signal.like(value)
            m.d.comb += before.eq(Mux(self.lower, kept << self._chunk_bits, kept).as_unsigned() & open_.replicate(self._bits))
            with m.If(self.enable):
                m.d.sync += open_.eq(~self.update)
            with m.If(self.enable & ~self.update):
                m.d.sync += kept.eq(value)
        m.d.comb += value.eq(self._products(m, before))
        total = Signal.like(self.total, reset_less=True)
        following = Signal.like(self.total)
        m.d.comb += [self.total.eq(total), following.eq(self._add_fixed(m, value) if self._fixed else self._add_fp32(m, value))]
        with m.If(self.update):
            m.d.sync += total.eq(following)

    def _products(self, m, before):
        """The sum of the products of all lanes, and of `before`: of each product the bits of its partial products, inverted
        where its sign is negative, and the largest product, 9 for two bits, less for each such sign."""
        width = self._bits
        signs = [Signal(name=f"sign{lane}") for lane in range(self._lanes)]
        columns = [[] for _ in range(width)]
        for lane, sign in enumerate(signs):
            x, y = self.x[lane], self.y[lane]
            m.d.comb += sign.eq(x[-1] ^ y[-1])
            for i in range(self._chunk_bits):
                for j in range(self._chunk_bits):
                    columns[i + j].append(wire(m, 1, (x[i] & y[j]) ^ sign, f"bit{lane}_{i}_{j}"))
        bits = self._lanes.bit_length()
        negative = _reduce(m, [signs], bits, "signs")
        # -9 n = 9 (~n) - 9 (2**bits - 1)
        largest = (2**self._chunk_bits - 1) ** 2
        for k in range(bits):
            for weight in range(k, width):
                if largest >> weight - k & 1:
                    columns[weight].append(~negative[k])
        constant = -largest * (2**bits - 1) % 2**width
        for k in range(width):
            if before is not None:
                columns[k].append(before[k])
            if constant >> k & 1:
                columns[k].append(Const(1, 1))
        return _reduce(m, columns, width, "products").as_signed()

    def _add_fixed(self, m, value):
        """What the total becomes with ``floor(value * 2**exponent)``."""
        width, bits, shift = self._width, len(value), self.exponent
        # The value starts below the window, with its last bits there, and moves up to above it, with its sign in the window.
        low, high = bits - 1, width + bits - 1
        steps = (high - 1).bit_length()
        places = wire(m, signed(max(len(shift), steps) + 1), shift + low)
        sign = value[-1]
        below = Signal()
        above = Signal()
        m.d.comb += [below.eq(places[-1]), above.eq(~below & (places[:-1] >= high))]
        # Further down all that is left is the sign.
        moved = wire(m, signed(bits), Mux(below, sign.replicate(bits), value.as_unsigned()).as_signed(), "placed")
        for k in reversed(range(steps)):
            shape = signed(min(len(moved) + (1 << k), high + bits - 1))
            moved = wire(m, shape, Mux(places[k] & ~below, moved << (1 << k), moved), f"moved{k}")
        upper = moved[low + width - 1 :]
        outside = wire(m, 1, Mux(above, value.any(), upper.any() & ~upper.all()))
        added = Signal(signed(width + 1))
        overflow = Signal()
        negative = Signal()
        m.d.comb += [
            added.eq(self.base.sum.as_signed() + moved[low : low + width].as_signed()),
            overflow.eq(outside | (added[-1] ^ added[-2])),
            negative.eq(Mux(outside, sign, added[-1])),
        ]
        end = Cat((~negative).replicate(width - 1), negative)
        return Cat(Mux(overflow, end, added.as_unsigned()[:width]), self.base.saturated | overflow | self.nan)

    def _add_fp32(self, m, value):
        """What the total becomes with ``value * 2**(exponent - weight)``: one path aligns, adds, normalises and rounds."""
        bits = len(value) - 1

        # The addend's magnitude with its leading one on top, and the exponent that binary32 would have for it without bounds.
        sign, magnitude = value[-1], Signal(bits)
        m.d.comb += magnitude.eq((value[:-1] ^ sign.replicate(bits)) + sign)
        leading, places = normalised_to_top(m, magnitude, "leading{power}", "place{power}")
        nonzero = leading[-1]
        addend_exponent = wire(
            m, signed(self._exponent_bits + 1), self.exponent - places + (bits - 1 - self._weight + FP32_BIAS)
        )

        kept = self.base.sum
        old_sign, old_exponent, infinite = kept[-1], kept[23:31], kept[23:31].all()
        is_nan = wire(m, 1, self.nan | (infinite & kept[:23].any()))
        normal = old_exponent.any()
        old = Cat(kept[:23], normal)
        # subnormals have the exponent 1
        old_place = Cat(old_exponent[0] | ~normal, old_exponent[1:])

        # What has the smaller exponent goes right, with two more bits, and one for all that is below.
        distance = wire(m, signed(self._exponent_bits + 2), addend_exponent - old_place)
        above = wire(m, 1, ~distance[-1] & nonzero)  # the addend has the larger exponent
        addend = Cat(Const(0, 24 - bits), leading)
        top = Signal(24)
        small = Signal(24)
        places = Signal(len(distance) - 1)
        m.d.comb += [
            top.eq(Mux(above, addend, old)),
            small.eq(Mux(above, old, addend)),
            places.eq((distance[:-1] ^ distance[-1].replicate(len(places))) + distance[-1]),
        ]
        aligned, sticky = Cat(Const(0, 2), small), Const(0, 1)
        for k in range(5):
            left = sticky | (places[k] & aligned[: 1 << k].any())
            aligned = wire(m, 26, Mux(places[k], aligned >> (1 << k), aligned), f"aligned{k}")
            sticky = wire(m, 1, left, f"sticky{k}")
        low = wire(m, 27, Mux(places[5:].any(), small.any(), Cat(sticky, aligned)))

        high = Cat(Const(0, 3), top)
        subtract = Signal()
        difference = Signal(28)
        negated = Signal(28)
        total = Signal(28)
        m.d.comb += [
            subtract.eq(sign ^ old_sign),
            difference.eq(high - low),
            negated.eq(~difference + 1),
            total.eq(Mux(subtract, Mux(difference[-1], negated, difference), high + low)),
        ]
        top_sign = Mux(above, sign, old_sign)

        # The leading one goes to the top bit, whose exponent is one above that of the larger number, but not below subnormals'.
        place, normalised = wire(m, signed(len(addend_exponent)), Mux(above, addend_exponent, old_place), "top_place"), total
        for k in reversed(range(5)):
            may = wire(m, 1, ~normalised[-(1 << k) :].any() & ~place[-1] & place[k:-1].any(), f"may{k}")
            normalised = wire(m, 28, Mux(may, normalised << (1 << k), normalised), f"normal{k}")
            place = wire(m, signed(len(place)), Mux(may, place - (1 << k), place), f"place_after{k}")
        # Rounding up may carry into the exponent, as it should.
        up = normalised[3] & (normalised[:3].any() | normalised[4])
        packed = wire(m, len(place) + 24, (place << 23) + normalised[4:] + up)
        # Infinity, whose fields read as 2**128, stays even where that much is taken from it.
        overflow, zero = packed[31:].any() | packed[23:31].all() | infinite, ~(total.any() | infinite)
        flipped = subtract & difference[-1] & ~infinite
        sign = (Mux(infinite, old_sign, top_sign) ^ flipped) & ~(zero & nonzero)
        return Cat(
            packed[:22] & (~(overflow | is_nan)).replicate(22),
            (packed[22] & ~overflow) | is_nan,
            (packed[23:31] | overflow.replicate(8)) & (~zero).replicate(8) | is_nan.replicate(8),
            sign & ~is_nan,
        )


class FastMac(Block):
    """The fMAC of FAST: dot products of groups in block floating point, a pass of 2 by 2 mantissa bits or a few more per clock.

    Equation: a pass gives ``S = sum((-1)**(sx ^ sy) * x * y)`` over the group, of weight ``2**(Ex + Ey - 256)``. Groups are
    those of `BlockFormat`, and chunk j of a group with E is a group of 2 mantissa bits with E - 2 j, so a pass needs to know of
    its operands' precision no more than the exponents of its chunks: groups of mx and my bits take mx/2 * my/2 passes, and
    every group may have other ones.

    ===========  =====================================================================================================
    accumulator  what is added
    ===========  =====================================================================================================
    fixed        each pass: ``floor(S * 2**(Ex + Ey))`` in two's complement of `width` bits, where one of the exponents is
                 given less that of the window, so that the sum's last bit means ``2**(window - 256)``. A pass that does not
                 fit makes the sum the end of the range on its side, whatever the sum was before. A sum that does not fit
                 becomes the end on its side. Either sets `saturated` until the result leaves
                 (`golden.bfp.accumulate_fixed`)
    fp32         each group, when its passes have been added as integers: rounded once, to nearest even, with subnormals;
                 what is too large becomes infinity and stays so. A group whose sum is zero leaves the sum as it is, -0 too;
                 what cancels exactly gives +0, and a negative sum too small for a subnormal -0
                 (`golden.bfp.accumulate_fp32`)
    ===========  =====================================================================================================

    With `nan` one of the groups is NaN (E is 255). A sum of "fp32" becomes NaN, +NaN without payload, and stays so. A "fixed"
    sum goes on with the numbers that the groups have, and `saturated` is set.

    Latency: 1 cycle from the last pass. Throughput: a pass per clock. The accumulator is the output register: while a result
    waits there, no pass is taken.

    Source: FAST, HPCA 2022, arXiv 2110.15456. What is not known of its accumulator is our choice.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {x, y: lanes of {magnitude, sign}}, last, user: {x_exponent, y_exponent, nan, lower, complete, user}}.
        Only with "fp32" and several chunks there are `lower` and `complete`.
    o : Out(stream.Signature)
        Payload {data: {sum}, last, user: {saturated, user}}.

    Fields
    ------
    x, y
        A number of the chunk: its magnitude in the lowest bits, and above it its sign, which is 1 of negative numbers.
    x_exponent, y_exponent
        The exponents of the chunks: of chunk j of a group with the exponent E, chunk 0 being that of its highest bits, it is
        ``E - c * j`` with c the bits of a chunk. With a fixed accumulator one of the two is given less the window. Only their
        sum counts, and in fp32 with several chunks only that of the pass with `complete`.
    nan
        One of the groups is NaN. In fp32 with several chunks that of the pass with `complete` counts.
    lower
        The weight of the pass is c bits lower than that of the pass before. In the first pass of a pair of groups it has no
        effect.
    complete
        The last pass of a pair of groups; TLAST says so as well.
    sum
        The result: a binary32 word, or an integer whose last bit means ``2**(window - 254 - 2 * (c - 1))``, c the bits of a
        chunk.
    saturated
        A pass of the result, or a sum, did not fit, or a group was NaN.
    user
        The tag. That of the last pass of a result goes out with it, the others count for nothing.

    Protocol
    --------
    order
        A result is the sum of the passes from the one after the last TLAST, or after reset, to the next one with TLAST. A pair
        of groups x and y takes a pass for every chunk of x with every chunk of y. With a fixed accumulator these may come in
        any order. With fp32 and several chunks they come pair by pair, those with the smallest sum of both chunks' numbers
        first: chunks 0 and 0, then 0 and 1, 1 and 0, then the next sum. Where a fixed sum saturates, its value depends on the
        order.
    TLAST
        Of what enters: the last pass of a result. Of what leaves: always 1.
    constant
        The window of a fixed accumulator has to be the same in all passes of a result.
    wrong input
        Passes in another order, or with `lower` elsewhere, make another sum of the pair of groups, which nothing marks. The
        next pair is right again.
    """

    lanes = Integer(16, MIN_GROUP, MAX_GROUP, "Numbers in a group.")
    accumulator = Choice("fixed", ACCUMULATORS, "What passes are added to: a fixed-point sum, or a binary32.")
    width = Integer(32, *FIXED_WIDTHS, "Bits of the fixed accumulator.")
    max_bits = Choice(4, MAX_BITS, 'The most mantissa bits of a group; of interest to "fp32" only.')
    chunk_bits = Choice(
        CHUNK_BITS,
        CHUNKS,
        "Mantissa bits c of a pass. What is said of 2 bits goes for c, with 2**(Ex + Ey - 254 - 2 * (c - 1)). FAST has 2; "
        "MSFP-12 has 3, and one pass for each group.",
    )
    user_bits = Integer(0, 0, 64, "Width of a tag: that of the last pass goes out with the result.", place=3)

    effects = (Effect("with the fixed accumulator", lambda accumulator: accumulator == "fixed", ("width",)),)
    relations = (
        Relation(
            "max_bits must be a multiple of chunk_bits where the accumulator is fp32",
            lambda accumulator, max_bits, chunk_bits: accumulator == "fixed" or max_bits % chunk_bits == 0,
        ),
    )

    latency = 1

    def prepare(self):
        self._fixed = self.accumulator == "fixed"
        self._fused = not self._fixed and self.max_bits > self.chunk_bits
        self._unit = PassUnit(
            lanes=self.lanes,
            accumulator=self.accumulator,
            width=self.width,
            max_bits=self.max_bits,
            fused=self._fused,
            exponent_bits=CHUNK_EXPONENT_BITS + 1,
            chunk_bits=self.chunk_bits,
        )

    def members(self):
        chunks = data.ArrayLayout(1 + self.chunk_bits, self.lanes)
        given = {"x_exponent": signed(CHUNK_EXPONENT_BITS), "y_exponent": signed(CHUNK_EXPONENT_BITS), "nan": 1}
        given |= {"lower": 1, "complete": 1} if self._fused else {}
        total = signed(self.width) if self._fixed else 32
        raised = {"saturated": 1} if self._fixed else {}
        return {
            "i": In(fields_of({"x": chunks, "y": chunks}, given | self.tag)),
            "o": Out(fields_of({"sum": total}, raised | self.tag)),
        }

    def build(self, m):
        m.submodules.unit = unit = self._unit
        given, result = self.i.p.user, self.o.p.user
        done = Signal()
        fresh = Signal(init=1)
        taken = Signal()
        complete = given.complete | self.i.p.last if self._fused else Const(1, 1)
        m.d.comb += [
            self.i.ready.eq(~done | self.o.ready),
            taken.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(done),
            self.o.p.last.eq(1),
            unit.x.eq(self.i.p.data.x),
            unit.y.eq(self.i.p.data.y),
            unit.exponent.eq(given.x_exponent + given.y_exponent),
            unit.base.eq(unit.total.as_value() & (~fresh).replicate(len(unit.total.as_value()))),
            unit.enable.eq(taken),
            unit.update.eq(taken & complete),
            unit.nan.eq(given.nan),
            self.o.p.data.sum.eq(unit.total.sum),
        ]
        if self._fixed:
            m.d.comb += result.saturated.eq(unit.total.saturated)
        if self._fused:
            m.d.comb += unit.lower.eq(given.lower)
        with m.If(self.i.ready):
            m.d.sync += done.eq(unit.update & self.i.p.last)
        with m.If(unit.update):
            m.d.sync += fresh.eq(self.i.p.last)
        if self.user_bits:
            tag = Signal(result.user.shape(), reset_less=True)
            m.d.comb += result.user.eq(tag)
            with m.If(taken & self.i.p.last):
                m.d.sync += tag.eq(given.user)
