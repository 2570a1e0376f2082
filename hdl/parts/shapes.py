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


class Float32(data.Struct):
    """An IEEE 754 binary32 word."""

    fraction: 23
    exponent: 8
    sign: 1


class Flags(data.Struct):
    """What a conversion raised, per element."""

    overflow: 1
    underflow: 1
    inexact: 1
    invalid: 1


class LogFlags(data.Struct):
    """What an encoder of logarithms raised, per element."""

    saturated: 1
    flushed: 1
    invalid: 1
