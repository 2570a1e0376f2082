"""What one pass of block floating point does to a sum: a dot product of chunks, and what it is added to."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_BIAS
from narrowfloat.hdl.bfp.products import SumOfProducts
from narrowfloat.hdl.parts.logic import Circuit, normalised_to_top, wire

CHUNK_BITS = 2


def sum_layout(accumulator, width):
    """What passes are added up to, unless in segments: with the "fixed" accumulator `width` bits, which may have saturated."""
    is_fixed = accumulator == "fixed"
    return data.StructLayout({"sum": width if is_fixed else 32, "saturated": int(is_fixed)})


class FixedSum:
    """A sum in two's complement of `width` bits, which saturates: passes are moved to their place in its window, and added."""

    def __init__(self, width, bits, exponent_bits):
        self._width, self._bits = width, bits
        # The value starts below the window, with its last bits there, and moves up to above it, with its sign in the window.
        self._low, self._high = bits - 1, width + bits - 1
        self._steps = (self._high - 1).bit_length()
        self.weight_shape = signed(max(exponent_bits, self._steps) + 1)

    def weight(self, m, exponent):
        """How many places a pass is moved up, from its exponent."""
        return wire(m, self.weight_shape, exponent + self._low, "places")

    @property
    def addend_layout(self):
        """Of what is added: its bits in the window, those from the window's sign on, and whether it is above all of these."""
        return data.StructLayout({"window": self._width, "upper": self._bits, "above": 1, "nonzero": 1, "sign": 1})

    def align(self, m, value, places):
        """What is added of a `value`, an object with the fields of `addend_layout`."""
        bits, low, high = self._bits, self._low, self._high
        sign = value[-1]
        below = Signal()
        above = Signal()
        m.d.comb += [below.eq(places[-1]), above.eq(~below & (places[:-1] >= high))]
        # Further down all that is left is the sign.
        moved = wire(m, signed(bits), Mux(below, sign.replicate(bits), value.as_unsigned()).as_signed(), "placed")
        for k in reversed(range(self._steps)):
            shape = signed(min(len(moved) + (1 << k), high + bits - 1))
            moved = wire(m, shape, Mux(places[k] & ~below, moved << (1 << k), moved), f"moved{k}")
        window, upper = moved[low : low + self._width], moved[low + self._width - 1 :]
        return SimpleNamespace(window=window, upper=upper, above=above, nonzero=value.any(), sign=sign)

    def add(self, m, addend, base, nan):
        """What the sum becomes with ``floor(value * 2**exponent)``."""
        width = self._width
        outside = wire(m, 1, Mux(addend.above, addend.nonzero, addend.upper.any() & ~addend.upper.all()))
        added = Signal(signed(width + 1))
        overflow = Signal()
        negative = Signal()
        m.d.comb += [
            added.eq(base.sum.as_signed() + addend.window.as_signed()),
            overflow.eq(outside | (added[-1] ^ added[-2])),
            negative.eq(Mux(outside, addend.sign, added[-1])),
        ]
        end = Cat((~negative).replicate(width - 1), negative)
        return Cat(Mux(overflow, end, added.as_unsigned()[:width]), base.saturated | overflow | nan)


class Float32Sum:
    """A binary32 sum: one path aligns, adds, normalises and rounds."""

    def __init__(self, unit, bits, exponent_bits):
        self._unit, self._bits, self._exponent_bits = unit, bits - 1, exponent_bits
        self.weight_shape = signed(exponent_bits)

    def weight(self, m, exponent):
        """The exponent of a pass."""
        return exponent

    @property
    def addend_layout(self):
        """Of what is added: its sign, its magnitude with the leading one on top, and the exponent that binary32 would have for
        it without bounds."""
        return data.StructLayout({"sign": 1, "leading": self._bits, "exponent": signed(self._exponent_bits + 1)})

    def align(self, m, value, exponent):
        """What is added of a `value`, an object with the fields of `addend_layout`."""
        bits = self._bits
        sign, magnitude = value[-1], Signal(bits)
        m.d.comb += magnitude.eq((value[:-1] ^ sign.replicate(bits)) + sign)
        leading, places = normalised_to_top(m, magnitude, "leading{power}", "place{power}")
        addend_exponent = wire(
            m, signed(self._exponent_bits + 1), exponent - places + (bits - 1 - self._unit + FP32_BIAS), "addend_exponent"
        )
        return SimpleNamespace(sign=sign, leading=leading, exponent=addend_exponent)

    def add(self, m, addend, base, nan):
        """What the sum becomes with ``value * 2**(exponent - unit)``."""
        bits, sign, leading, addend_exponent = self._bits, addend.sign, addend.leading, addend.exponent
        nonzero = leading[-1]

        kept = base.sum
        old_sign, old_exponent, infinite = kept[-1], kept[23:31], kept[23:31].all()
        is_nan = wire(m, 1, nan | (infinite & kept[:23].any()))
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
    given : str
        What it is given: the "operands", their "products", or the "addend" that these make.

    Members
    -------
    x, y : In(ArrayLayout)
        Lanes of `chunk_bits` bits of magnitude and the sign.
    products : In(signed)
        In their place: the sum of their products, in a pass.
    addend : In(StructLayout)
        In its place: what is added, that of the whole group, as the `sum` of the unit aligns it.
    weight : In
        With `products` in place of the exponent: the `weight` that the unit's `sum` makes of it.
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

    def __init__(self, *, lanes, accumulator, width, max_bits, fused, exponent_bits, chunk_bits=CHUNK_BITS, given="operands"):
        self._exponent_bits, self._given = exponent_bits, given
        self._lanes, self._fused, self._chunk_bits = lanes, fused, chunk_bits
        # Of the products of one pass, or of those of a group.
        self._bits = (lanes * (2 ** (max_bits if fused else chunk_bits) - 1) ** 2).bit_length() + 1
        self.sum = self._sum(accumulator, width)
        super().__init__(self._members(sum_layout(accumulator, width)))

    def _sum(self, accumulator, width):
        if accumulator == "fixed":
            return FixedSum(width, self._bits, self._exponent_bits)
        # What a product of two chunks is in units of, of groups whose exponents are 0: 2 to minus that.
        return Float32Sum(2 * (FP32_BIAS + self._chunk_bits - 1), self._bits, self._exponent_bits)

    def _members(self, total):
        chunk = data.ArrayLayout(1 + self._chunk_bits, self._lanes)
        if self._given == "operands":
            given = {"x": In(chunk), "y": In(chunk), "exponent": In(signed(self._exponent_bits))}
        elif self._given == "products":
            given = {"products": In(signed(self.pass_bits)), "weight": In(self.sum.weight_shape)}
        else:
            given = {"addend": In(self.sum.addend_layout)}
        return {
            **given,
            "base": In(total),
            "enable": In(1),
            "update": In(1),
            "nan": In(1),
            **({"lower": In(1)} if self._fused and self._given != "addend" else {}),
            "total": Out(total),
        }

    @property
    def network(self):
        """The sum of the products of one pass."""
        return SumOfProducts(self._lanes, self._chunk_bits, self.pass_bits)

    @property
    def pass_bits(self):
        """Bits of that."""
        return (self._lanes * (2**self._chunk_bits - 1) ** 2).bit_length() + 1

    def build(self, m):
        if self._given == "addend":
            addend = self.addend
        else:
            value = self._value(m)
            addend = self.sum.align(m, value, self._weight(m))
        total = Signal.like(self.total, reset_less=True)
        following = Signal.like(self.total)
        m.d.comb += [self.total.eq(total), following.eq(self.sum.add(m, addend, self.base, self.nan))]
        with m.If(self.update):
            m.d.sync += total.eq(following)

    def _weight(self, m):
        return self.sum.weight(m, self.exponent) if self._given == "operands" else self.weight

    def _value(self, m, register=None):
        """What there is to add in `update`: the sum of the products, with `fused` of all passes of a group.

        `register` is one that takes it in every pass; else, with `fused`, one is made.
        """
        return self.value(m, self, self._products, register)

    def value(self, m, control, products, register=None):
        """As ``products(m, before)`` and with `fused` signals `lower`, `enable` and `update` of `control` make it."""
        value = Signal(signed(self._bits))
        before = None
        if self._fused:
            # What came of the passes before, in units of this one.
            kept = Signal.like(value, name="kept", reset_less=True) if register is None else register
            open_ = Signal()
            before = Signal.like(value)
            moved = Mux(control.lower, kept << self._chunk_bits, kept)
            m.d.comb += before.eq(moved.as_unsigned() & open_.replicate(self._bits))
            with m.If(control.enable):
                m.d.sync += open_.eq(~control.update)
            if register is None:
                with m.If(control.enable & ~control.update):
                    m.d.sync += kept.eq(value)
        m.d.comb += value.eq(products(m, before))
        return value

    def _products(self, m, before):
        """The sum of the products of all lanes, and of `before`."""
        if self._given == "products":
            return self.products if before is None else self.products + before
        network = SumOfProducts(self._lanes, self._chunk_bits, self._bits, before is not None)
        known = network.given(self.x, self.y, [] if before is None else before)
        network.add(m, known, -1, network.levels)
        return Cat(network.sum(known)).as_signed()
