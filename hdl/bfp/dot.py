"""What one pass of block floating point does to a sum: a dot product of chunks, and what it is added to."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_BIAS
from narrowfloat.hdl.parts.logic import Circuit, normalised_to_top, wire

CHUNK_BITS = 2


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
    """What passes are added up to, unless in segments: with the "fixed" accumulator `width` bits, which may have saturated."""
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
        super().__init__(self._members(sum_layout(accumulator, width)))

    def _members(self, total):
        chunk = data.ArrayLayout(1 + self._chunk_bits, self._lanes)
        return {
            "x": In(chunk),
            "y": In(chunk),
            "exponent": In(signed(self._exponent_bits)),
            "base": In(total),
            "enable": In(1),
            "update": In(1),
            "nan": In(1),
            **({"lower": In(1)} if self._fused else {}),
            "total": Out(total),
        }

    def build(self, m):
        value = self._value(m)
        total = Signal.like(self.total, reset_less=True)
        following = Signal.like(self.total)
        m.d.comb += [self.total.eq(total), following.eq(self._add_fixed(m, value) if self._fixed else self._add_fp32(m, value))]
        with m.If(self.update):
            m.d.sync += total.eq(following)

    def _value(self, m, register=None):
        """What there is to add in `update`: the sum of the products, with `fused` of all passes of a group.

        `register` is one that takes it in every pass; else, with `fused`, one is made.
        """
        value = Signal(signed(self._bits))
        before = None
        if self._fused:
            # What came of the passes before, in units of this one.
            kept = Signal.like(value, name="kept", reset_less=True) if register is None else register
            open_ = Signal()
            before = Signal.like(value)
            m.d.comb += before.eq(Mux(self.lower, kept << self._chunk_bits, kept).as_unsigned() & open_.replicate(self._bits))
            with m.If(self.enable):
                m.d.sync += open_.eq(~self.update)
            if register is None:
                with m.If(self.enable & ~self.update):
                    m.d.sync += kept.eq(value)
        m.d.comb += value.eq(self._products(m, before))
        return value

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
