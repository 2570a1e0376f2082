"""Data layouts and modes of the float blocks."""

from amaranth.lib import data
from narrowfloat.golden import rounding

# Rounding modes, in the encoding of fields `rounding`, which have no more bits than those that are built take.
ROUNDINGS = {name: code for code, name in enumerate(rounding.ROUNDINGS)}


def rounding_field(names):
    """The shape of a field `rounding` where these are built."""
    return range(max(ROUNDINGS[name] for name in names) + 1)


# An IEEE 754 binary32 word.
Float32 = data.StructLayout({"fraction": 23, "exponent": 8, "sign": 1})
# What a conversion raised, and an encoder of logarithms, per element.
Flags = data.StructLayout({"overflow": 1, "underflow": 1, "inexact": 1, "invalid": 1})
LogFlags = data.StructLayout({"saturated": 1, "flushed": 1, "invalid": 1})
