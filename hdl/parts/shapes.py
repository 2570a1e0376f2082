"""Data layouts and modes of the float blocks."""

from amaranth.lib import data, enum
from narrowfloat.golden import rounding


class Rounding(enum.Enum, shape=2):
    """Rounding modes, in the encoding of every `rounding` field."""

    RNE = rounding.ROUNDINGS.index("rne")
    RNA = rounding.ROUNDINGS.index("rna")
    RTZ = rounding.ROUNDINGS.index("rtz")
    SR = rounding.ROUNDINGS.index("sr")


ROUNDINGS = {mode.name.lower(): mode for mode in Rounding}


# An IEEE 754 binary32 word.
Float32 = data.StructLayout({"fraction": 23, "exponent": 8, "sign": 1})
# What a conversion raised, and an encoder of logarithms, per element.
Flags = data.StructLayout({"overflow": 1, "underflow": 1, "inexact": 1, "invalid": 1})
LogFlags = data.StructLayout({"saturated": 1, "flushed": 1, "invalid": 1})
