"""Segmented sums, integers whose exponent counts in bytes: what is added to them, and conversion to binary32 and back."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import ABOVE, BELOW, LOWEST_WEIGHT, STEP, segmented_width
from narrowfloat.golden.formats import FP32_BIAS, FP32_MAN_BITS
from narrowfloat.hdl.bfp.dot import PassUnit
from narrowfloat.hdl.parts.logic import Circuit, wire

BYTE = 8
# Exponents of passes, from 0 on: weights from -288 to 255 are below 2**10, places below 2**7.
EXPONENT_BITS, PLACE_BITS = 10, 7
TOP = BELOW + ABOVE  # the highest byte at which something is added

_SEEN = FP32_MAN_BITS + 3  # the bits of a normalised sum that rounding looks at one by one

# Where a sum is and what kind it is of; all 0 is a sum of nothing.
HEAD = data.StructLayout({"place": PLACE_BITS, "begun": 1, "nan": 1})


class Segments:
    """What a segmented sum makes of the exponents of passes: numbers from 0 on."""

    weight_shape = EXPONENT_BITS

    def __init__(self, offset):
        self._offset = offset

    def weight(self, m, exponent):
        """That of a pass."""
        return wire(m, EXPONENT_BITS, exponent + self._offset, "exponent_from_0")


class SegmentedUnit(PassUnit):
    """What one pass does to a segmented sum: the arithmetic of `FastMac`, and of a cell of `SystolicArray`, in two cycles.

    In the first the pass gives a dot product as in `PassUnit`, and `head` becomes that of the sum that it will be added to; in
    the second, if `adds` is set, `total` becomes `base` and this product, otherwise `base`.

    Equation: see `narrowfloat.golden.bfp.segments`. Latency: 2 cycles. Throughput: a pass per clock.

    The second cycle has no path from the products, so that what they do until they are settled does not go on to the sum, and
    where it adds it depends of the sum only on whether its two highest bits differ. The adder's upper part is there twice, with
    a carry and without, as one chain of full adders takes longer than all else in a cycle.

    Parameters
    ----------
    lanes, max_bits, fused, exponent_bits, chunk_bits, given
        As of `PassUnit`.

    Members
    -------
    x, y, products, exponent, weight, enable, update, nan, lower
        As of `PassUnit`, where `base` is what `start` is here.
    start : In(HEAD)
        The sum that the pass is added to; one that is not begun is a sum of nothing.
    head : Out(HEAD)
        The sum with the latest pass, in the cycle in which that is added.
    adds : In(1)
        The cycle after `update`, if no other is between.
    advance : In(1)
        Only where `given` are products: nothing is added, and `adds` may stay, unless it is set.
    base, total : In(signed), Out(signed)
        A sum before this cycle, and after the one before.
    """

    def __init__(self, *, lanes, max_bits, fused, exponent_bits, chunk_bits, given="operands"):
        # A sum that is its own start: `FastMac` with registers in front of the accumulator, which is fast then.
        self._goes_on = given == "products"
        super().__init__(
            lanes=lanes,
            accumulator="segmented",
            width=0,
            max_bits=max_bits,
            fused=fused,
            exponent_bits=exponent_bits,
            chunk_bits=chunk_bits,
            given=given,
        )

    def _sum(self, accumulator, width):
        return Segments(-LOWEST_WEIGHT - 2 * (FP32_BIAS + self._chunk_bits - 1))

    def _members(self, total):
        self.width = segmented_width(self._bits)
        self._bytes = -(-(self._bits + BYTE - 1) // BYTE)  # of what is added, moved within a byte
        added = {"start": In(HEAD), "head": Out(HEAD), "adds": In(1), **({"advance": In(1)} if self._goes_on else {})}
        return super()._members(signed(self.width)) | added

    def build(self, m):
        # The bytes of the sum at which something may start that is not all below.
        starts = range(1 - self._bytes, TOP + STEP + 1)
        # Registers between the two cycles.
        bits = self._bits + (BYTE - 1 if self._goes_on else 0)
        shapes = {"value": signed(bits), "within": 3, "start": len(starts), "rises": 1, "makes_room": 1, "anew": 1}
        held = SimpleNamespace(**{name: Signal(shape, name=f"held_{name}", reset_less=True) for name, shape in shapes.items()})
        value = self._value(m, held.value)
        rises = Signal()
        self._place(m, starts, held, value, rises)
        self._add(m, starts, held, rises)

    def _place(self, m, starts, held, value, rises):
        """The first cycle: where the value is to be added, and which of the sum's places that makes."""
        exponent = self._weight(m)
        place = wire(m, PLACE_BITS, exponent[3:], "place_of_value")
        nonzero = wire(m, 1, value.any(), "nonzero")
        started = self.start.begun
        latest = Signal(PLACE_BITS, name="latest_place", reset_less=True)
        at, lost = self._distances(m, starts, place, latest, rises)
        begins = wire(m, 1, ~started | lost, "begins")
        anew = wire(m, 1, ~started | (lost & nonzero), "anew")
        far = wire(m, 1, Cat(at[-STEP:]).any(), "far")
        chosen = [(bit & started) | (begins if start == BELOW else 0) for bit, start in zip(at, starts, strict=True)]
        is_begun = Signal(reset_less=True)
        is_nan = Signal(reset_less=True)
        risen = Mux(rises, latest + STEP, latest) if self._goes_on else latest + Mux(rises, STEP, 0)
        risen = wire(m, PLACE_BITS, risen, "risen")
        m.d.comb += [self.head.place.eq(risen), self.head.begun.eq(is_begun), self.head.nan.eq(is_nan)]
        with m.If(self.enable | self.update):
            m.d.sync += held.value.eq(self._within(m, value, exponent[:3]) if self._goes_on else value)
        with m.If(self.update):
            m.d.sync += [
                held.within.eq(exponent[:3]),
                held.start.eq(Cat(chosen)),
                held.rises.eq(nonzero & ~begins & far),
                held.makes_room.eq(nonzero & ~begins & ~far),
                held.anew.eq(anew),
                latest.eq(Mux(anew, place, self.start.place)),
                is_begun.eq(started | nonzero | self.nan),
                is_nan.eq((self.start.nan & started) | self.nan),
            ]
        with m.Elif(self.advance) if self._goes_on else m.Else():
            m.d.sync += latest.eq(risen)

    def _distances(self, m, starts, place, latest, rises):
        """At which of the sum's bytes the value starts, and whether it is above all of them."""
        after = latest if self._goes_on else self.start.place
        distance = wire(m, signed(PLACE_BITS + 1), place - after, "distance")

        def is_above(start):
            return ~distance[-1] & (distance[:-1] > start - BELOW)

        def is_at(start):
            return distance == start - BELOW

        def found(name, test, start):
            # Known for a sum that rises and for one that does not before it is known whether it does.
            return wire(m, 1, Mux(rises, test(start + STEP), test(start)) if self._goes_on else test(start), name)

        at = [found(f"at{number}", is_at, start) for number, start in enumerate(starts)]
        return at, found("lost", is_above, starts[-1])

    def _add(self, m, starts, held, rises):
        """The second cycle: the sum moves or begins anew, and what is held is added."""
        width, base = self.width, self.base.as_unsigned()
        stays = wire(m, 1, ~(self.adds & (held.anew | rises)), "stays")
        m.d.comb += rises.eq(self.adds & (held.rises | (held.makes_room & (base[-1] ^ base[-2]))))
        moved = Cat(base[BYTE * STEP :], base[-1].replicate(BYTE * STEP))
        kept = wire(m, width, (base & stays.replicate(width)) | (moved & rises.replicate(width)), "kept_sum")

        value = held.value if self._goes_on else self._within(m, held.value, held.within)
        value = Cat(value, value[-1].replicate(BYTE * self._bytes - len(value)))
        # The bits for the bytes of the sum at which the value starts, of one that rises and one that does not.
        numbers = {start: number for number, start in enumerate(starts) if start <= TOP}
        if self._goes_on:
            # Both are there before it is known which it is.
            as_it_is = wire(m, 1, self.adds & ~rises, "as_it_is")
            below, above = ({start: held.start[number + up] for start, number in numbers.items()} for up in (0, STEP))
            low, high = self._placed(m, below, value, "low"), self._placed(m, above, value, "high")
            placed = (low & as_it_is.replicate(width)) | (high & rises.replicate(width))
            dropped = (self._drops(below, value) & as_it_is) | (self._drops(above, value) & rises)
        else:
            at = {
                start: wire(m, 1, Mux(rises, held.start[number + STEP], held.start[number]) & self.adds, f"start{number}")
                for start, number in numbers.items()
            }
            placed, dropped = self._placed(m, at, value, ""), self._drops(at, value)
        placed = wire(m, width, placed, "placed")
        rounds_up = wire(m, 1, (rises & base[BYTE * STEP - 1]) | dropped, "rounds_up")

        cut = width // 2
        lower = wire(m, cut + 2, Cat(Const(1, 1), kept[:cut]) + Cat(rounds_up, placed[:cut]), "lower_sum")
        # A bit below both adds the carry in the chain itself, else it would be a second adder behind a shared one.
        one, kept, placed = Const(1, 1), kept[cut:], placed[cut:]
        without = wire(m, width - cut, kept + placed, "upper_sum")
        carried = wire(m, width - cut + 1, Cat(one, kept) + Cat(one, placed), "upper_sum_carried")
        total = Signal(width, reset_less=True)
        m.d.comb += self.total.eq(total)
        with m.If(self.advance if self._goes_on else Const(1, 1)):
            m.d.sync += total.eq(Cat(lower[1:-1], Mux(lower[-1], carried[1:], without)))

    def _within(self, m, value, places):
        """The value moved within a byte."""
        for k in range(3):
            shape = signed(len(value) + (1 << k))
            value = wire(m, shape, Mux(places[k], value << (1 << k), value), f"within{k}")
        return value

    def _placed(self, m, at, value, name):
        """What is added: the value from one of the bytes `at` on."""
        return Cat(self._byte(m, number, at, value, name) for number in range(-(-self.width // BYTE)))[: self.width]

    def _drops(self, at, value):
        """Whether of a value that starts below the sum the highest bit there is set."""
        return Cat(at[start] & value[-BYTE * start - 1] for start in at if start < 0).any()

    def _byte(self, m, number, at, value, name):
        """A byte of what is added: one of the value's, or its sign above it."""
        above = [bit for start, bit in at.items() if start + self._bytes <= number]
        byte = wire(m, 1, Cat(above).any() & value[-1], f"{name}sign{number}").replicate(BYTE)
        for own in range(self._bytes):
            if number - own in at:
                byte = byte | (value.word_select(own, BYTE) & at[number - own].replicate(BYTE))
        return byte[:BYTE]


def normalising_steps(width):
    """How many steps move a sum's sign and what is like it below away at the top."""
    return (width - 2).bit_length()


def moved(width, steps):
    """Layout of a sum behind so many of these steps: its sign, the bits that are left, whether any that fell away is set, and
    which steps moved it. Behind all of them the sign is at the top, above a bit that differs."""
    bits = width
    for k in _powers(width, 0, steps):
        bits -= _below(bits, k)
    return data.StructLayout({"sign": 1, "word": bits, "rest": 1, "shifts": steps})


def _powers(width, after, upto):
    """The distances of steps as powers of two: the longest first."""
    return [*reversed(range(normalising_steps(width)))][after:upto]


def _below(bits, power):
    """How many bits the later steps cannot bring up to the bit below the half, of which only counts whether any is set."""
    return max(0, bits - _SEEN - ((1 << power) - 1))


def _move(m, given, powers):
    """Steps of a sum that is `given` with the fields of `moved`, as an object with those."""
    sign, word, rest, shifts = given.sign, given.word, given.rest, given.shifts
    for k in powers:
        run = word[-(1 << k) - 1 : -1]
        shift = wire(m, 1, ~(run ^ sign.replicate(1 << k)).any(), f"shift{k}")
        moved = Mux(shift, Cat(Const(0, 1 << k), word[: -(1 << k)]), word)
        whole = wire(m, len(word), moved, f"normal{k}")
        below = _below(len(word), k)
        if below:
            rest = wire(m, 1, rest | whole[:below].any(), f"rest{k}")
        word, shifts = whole[below:], Cat(shift, shifts)
    return SimpleNamespace(sign=sign, word=word, rest=rest, shifts=shifts)


def not_moved(word):
    """The bits of a sum, with the fields of `moved`."""
    return SimpleNamespace(sign=word[-1], word=word, rest=Const(0, 1), shifts=Cat())


# A sum as a float whose exponent has no bounds, and whether it is to be rounded up.
DECIDED = data.StructLayout(
    {"sign": 1, "zero": 1, "nan": 1, "up": 1, "fraction": FP32_MAN_BITS, "exponent": signed(PLACE_BITS + 5)}
)


def _decided(m, normal, head, width):
    """That of a sum with the fields of `moved`, and its head."""
    word, rest, sign = normal.word, normal.rest, normal.sign
    zero = wire(m, 1, ~(word[-1] | word[-2]), "zero")
    # A negative sum's magnitude is its complement and 1 more, which carries into the fraction where all below it is 0.
    half = wire(m, 1, word[0] ^ sign, "half")
    fraction = wire(m, FP32_MAN_BITS, word[1:-2] ^ sign.replicate(FP32_MAN_BITS), "fraction")
    up = wire(m, 1, Mux(sign, half | (~rest & fraction[0]), half & (rest | fraction[0])), "up")
    # of the leading bit, were it at the top
    highest = width - 2 + LOWEST_WEIGHT - BYTE * BELOW + FP32_BIAS
    exponent = wire(m, signed(PLACE_BITS + 5), (head.place << 3) - normal.shifts + highest, "exponent")
    return SimpleNamespace(sign=sign, zero=zero, nan=head.nan, up=up, fraction=fraction, exponent=exponent)


def _packed(m, decided):
    """The binary32 of a sum with the fields of `DECIDED`."""
    sign, zero, nan, up = decided.sign, decided.zero, decided.nan, decided.up
    fraction, exponent = decided.fraction, decided.exponent
    packed = wire(m, FP32_MAN_BITS + len(exponent), Cat(fraction, exponent) + up, "packed")
    rounded = packed[FP32_MAN_BITS:]
    infinite = wire(m, 1, ~zero & ~rounded[-1] & (rounded[8:-1].any() | rounded[:8].all()), "infinite")
    tiny = wire(m, 1, zero | rounded[-1] | ~rounded.any(), "tiny")
    number = ~(tiny | infinite | nan)
    return Cat(
        packed[: FP32_MAN_BITS - 1] & number.replicate(FP32_MAN_BITS - 1),
        (packed[FP32_MAN_BITS - 1] & number) | nan,
        (rounded[:8] & (~tiny).replicate(8)) | (infinite | nan).replicate(8),
        sign & ~nan,
    )


class SegmentedToFloat(Circuit):
    """A segmented sum of `width` bits rounded to binary32, to nearest even, while `enable` is set."""

    def __init__(self, width):
        self._width = width
        super().__init__({"enable": In(1), "sum": In(signed(width)), "head": In(HEAD), "result": Out(32)})

    def build(self, m):
        # As long as no result is asked for nothing here switches.
        word = wire(m, self._width, self.sum.as_unsigned() & self.enable.replicate(self._width), "word")
        normal = _move(m, not_moved(word), _powers(self._width, 0, None))
        m.d.comb += self.result.eq(_packed(m, _decided(m, normal, self.head, self._width)))


class Move(Circuit):
    """Those steps of `SegmentedToFloat` that move a sum, from number `after` to before `upto`."""

    def __init__(self, width, after, upto):
        self._width, self._steps = width, (after, upto)
        super().__init__({"i": In(moved(width, after)), "o": Out(moved(width, upto))})

    def build(self, m):
        result = _move(m, self.i, _powers(self._width, *self._steps))
        m.d.comb += [self.o[name].eq(part) for name, part in vars(result).items()]


class Decide(Circuit):
    """The step of `SegmentedToFloat` that decides, behind these, whether to round up."""

    def __init__(self, width):
        self._width = width
        super().__init__({"i": In(moved(width, normalising_steps(width))), "head": In(HEAD), "o": Out(DECIDED)})

    def build(self, m):
        decided = _decided(m, self.i, self.head, self._width)
        m.d.comb += [self.o[name].eq(part) for name, part in vars(decided).items()]


class Pack(Circuit):
    """The last step of `SegmentedToFloat`."""

    def __init__(self):
        super().__init__({"i": In(DECIDED), "result": Out(32)})

    def build(self, m):
        m.d.comb += self.result.eq(_packed(m, self.i))


def head_of_float(word):
    """The `HEAD` of a sum that goes on from a binary32 `word`."""
    exponent = word[23:31]
    place = (exponent - FP32_BIAS - FP32_MAN_BITS - LOWEST_WEIGHT + BYTE)[3 : 3 + PLACE_BITS]
    return Cat(place, exponent.any(), exponent.all() & word[:23].any())


def sum_of_float(m, word, width, name):
    """Its integer, where it is none that counts as zero."""
    within = (word[23:26] - FP32_BIAS - FP32_MAN_BITS - LOWEST_WEIGHT)[:3]
    magnitude = wire(m, FP32_MAN_BITS + 1 + BYTE, Cat(word[:23], Const(1, 1)) << within, f"{name}_magnitude")
    return wire(m, signed(width), Mux(word[31], -magnitude, magnitude) << BYTE, name)
