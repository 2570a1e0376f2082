"""The sum of the products of two chunks: a network of full adders that registers may cut."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.hdl import Const
from narrowfloat.hdl.parts.logic import wire

_GIVEN = -1  # the level of operands and constants


@dataclass(frozen=True, eq=False)
class Bit:
    """A bit of a network.

    Attributes
    ----------
    level : int
        The most adders from operands to it.
    operands : tuple of Bit
    logic : callable
        ``logic(m, *operands)`` makes it of them.
    """

    level: int
    operands: tuple
    logic: Callable


class SumOfProducts:
    """``sum((-1)**(sx ^ sy) * x * y)`` over lanes of `chunk_bits` bits of magnitude and a sign, modulo ``2**width``, and with
    `adds` a number of `width` bits more.

    Bits are added, not products: of each product the bits of its partial products, inverted where its sign is negative, and the
    largest product, 9 for two bits, less for each such sign.

    Attributes
    ----------
    levels : int
        The most adders from operands to the sum.
    """

    def __init__(self, lanes, chunk_bits, width, adds=False):
        self._bits = []
        self._lanes = [[self._given(1 + chunk_bits) for _ in "xy"] for _ in range(lanes)]
        self._added = self._given(width if adds else 0)
        signs, columns = [], [[] for _ in range(width)]
        for lane, (x, y) in enumerate(self._lanes):
            signs.append(self._made(0, (x[-1], y[-1]), _named(f"sign{lane}", lambda a, b: a ^ b)))
            for i in range(chunk_bits):
                for j in range(chunk_bits):
                    product = _named(f"bit{lane}_{i}_{j}", lambda a, b, sign: (a & b) ^ sign)
                    columns[i + j].append(self._made(0, (x[i], y[j], signs[-1]), product))
        bits = lanes.bit_length()
        negative = self._reduce([signs], bits, "signs")
        # -9 n = 9 (~n) - 9 (2**bits - 1)
        largest = (2**chunk_bits - 1) ** 2
        for k, bit in enumerate(negative):
            inverted = self._made(bit.level, (bit,), lambda m, a: ~a)
            for weight in range(k, width):
                if largest >> weight - k & 1:
                    columns[weight].append(inverted)
        constant = -largest * (2**bits - 1) % 2**width
        for k in range(width):
            columns[k] += self._added[k : k + 1]
            if constant >> k & 1:
                columns[k].append(_ONE)
        self._sum = self._reduce(columns, width, "products")
        self.levels = max(bit.level for bit in self._sum)

    def given(self, x, y, added=()):
        """The operands' values: a dict of what is known of the network."""
        known = {}
        for lane, operands in enumerate(self._lanes):
            for bits, value in zip(operands, (x[lane], y[lane]), strict=True):
                known |= zip(bits, value, strict=True)
        return known | dict(zip(self._added, added, strict=True))

    def add(self, m, known, after, upto):
        """Add the adders of the levels above `after`, up to `upto`, to a module, and what they make to `known`."""
        for bit in self._bits:
            if after < bit.level <= upto:
                known[bit] = bit.logic(m, *(_value(known, operand) for operand in bit.operands))

    def sum(self, known):
        """Its bits."""
        return [_value(known, bit) for bit in self._sum]

    def crossing(self, level):
        """The bits that what is above a level needs of it and those below."""
        later = [operand for bit in self._bits if bit.level > level for operand in bit.operands]
        needed = {bit for bit in (*later, *self._sum) if bit.level <= level}
        return [bit for bit in self._bits if bit in needed]

    def _given(self, count):
        return [Bit(_GIVEN, (), None) for _ in range(count)]

    def _made(self, level, operands, logic):
        bit = Bit(level, operands, logic)
        self._bits.append(bit)
        return bit

    def _reduce(self, columns, width, name):
        """The sum of bits by weight, `columns[k]` of weight 2**k, modulo 2**width: full adders from the lowest column up, each
        of which takes one bit away; in cells fewer than in trees of adders of words."""
        columns = [*(list(column) for column in columns), *([] for _ in range(width - len(columns)))]
        total = []
        for weight in range(width):
            column, number = columns[weight], 0
            while len(column) > 1:
                operands = column.pop(0), column.pop(0), column.pop(0) if column else _ZERO
                level = 1 + max(bit.level for bit in operands)
                place = f"{name}{weight}_{number}"
                column.append(self._made(level, operands, _named(f"{place}_sum", lambda a, b, c: a ^ b ^ c)))
                if weight + 1 < width:
                    carry = _named(f"{place}_carry", lambda a, b, c: (a & b) | (c & (a ^ b)))
                    columns[weight + 1].append(self._made(level, operands, carry))
                number += 1
            total.append(column[0] if column else _ZERO)
        return total


_ZERO, _ONE = (Bit(_GIVEN, (), lambda m, value=value: Const(value, 1)) for value in (0, 1))


def _value(known, bit):
    return bit.logic(None) if bit in (_ZERO, _ONE) else known[bit]


def _named(name, logic):
    return lambda m, *operands: wire(m, 1, logic(*operands), name)
