"""Products by digits of -2 to 2, each worth four times the one below, as Booth has them: half as many summands as bits.

Source: A. D. Booth 1951, in radix 4 after O. L. MacSorley 1961.
"""

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed
from amaranth.lib import data
from narrowfloat.hdl.parts.logic import named, wire

# Whether the size of a digit is 1 or 2, and whether it is negative.
DIGIT = data.StructLayout({"one": 1, "two": 1, "negative": 1})


def digits_of(m, factor, digits):
    """Assign to `digits`, an array of `DIGIT`, those of `factor`, which is signed, or unsigned and one bit shorter."""
    bits = Cat(Const(0, 1), Value.cast(factor))
    for place, digit in enumerate(digits):
        below, one, two = (bits[index] if index < len(bits) else Const(0, 1) for index in range(2 * place, 2 * place + 3))
        m.d.comb += [
            digit.one.eq(one ^ below),
            digit.two.eq((two & ~one & ~below) | (~two & one & below)),
            digit.negative.eq(two),
        ]


def summands(m, value, digits, places, name):
    """What `value` times each of `digits` adds to the product times 2**-`places`, lowest digit first, two terms for each.

    Every summand is rounded to nearest, halves up before it gets its sign. So no two change at once when the value rises by 1,
    as each of them is a power of two times the value, and the product never falls.
    """
    value = value if value.shape().signed else Cat(value, 0).as_signed()
    terms = []
    for place, digit in enumerate(digits):
        shift = places - 2 * place
        once = Mux(digit.one, value[shift:].as_signed(), 0)
        twice = Mux(digit.two, value[shift - 1 :].as_signed(), 0)
        size = named(m, once | twice, f"{name}_size{place}")
        rounding = digit.one & value[shift - 1]
        if shift > 1:
            rounding |= digit.two & value[shift - 2]
        up = Signal(name=f"{name}_up{place}")
        m.d.comb += up.eq(rounding ^ digit.negative)
        terms.append((named(m, Mux(digit.negative, ~size, size), f"{name}_digit{place}"), up))
    return terms


def folded(m, terms, name):
    """The sum of `terms`, as `summands` gives them, as such a term: from the shortest to the longest, each with a carry."""
    (total, carry), *others = terms
    for place, (term, up) in enumerate(others, 1):
        # All below are worth less than this one.
        total = wire(m, signed(len(term) + 1), total + term + carry, f"{name}_to_digit{place}")
        carry = up
    return total, carry


def added(m, terms, start, name):
    """The sum of `terms`, as `summands` gives them, and of `start`."""
    total, carry = folded(m, terms, name)
    return named(m, total + start + carry, name)
