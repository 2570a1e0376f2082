"""What the units of block floating point share."""

from amaranth.lib import data
from narrowfloat.hdl.parts.stream import beats_of


def element(fmt):
    """Layout of a number: k, and above it the sign."""
    return data.StructLayout({"magnitude": fmt.man_bits, "sign": 1})


def fields_of(fields, user):
    """Signature of a stream of beats whose data is a struct of `fields`."""
    return beats_of(data.StructLayout(fields), user)
