"""The table of what becomes of NaN and infinity, made by converting them with the golden model."""

import numpy as np
from narrowfloat.golden import bfp, float_codec, lbfp, s2fp8
from narrowfloat.golden.rounding import OVERFLOWS, Flag, LogFlag
from narrowfloat.hdl.files.markdown import cell, left_table
from narrowfloat.hdl.files.prose import flag_meanings

_BESIDE = 1.0  # a number in the same block
_VALUES = {"NaN": np.nan, "infinity": np.inf, "too large": np.float32(3e38)}


def special_values():
    """A row for each family and value: what it becomes, and what that raises, for both values of `overflow`."""
    rows = []
    for name, convert in _FAMILIES.items():
        for value, number in _VALUES.items():
            found = [_in_words(*convert(np.float32([number, _BESIDE]), overflow)) for overflow in OVERFLOWS]
            rows.append([name, value, *(found if found[0] != found[1] else [found[0], "the same"])])
            name = ""
    return left_table(["family", "value", "`saturate`", "`format`"], rows)


def flags():
    """A row for each flag: what raises it."""
    return left_table(["flag", "raised by"], [[name, cell(text)] for name, text in flag_meanings().items()])


def _in_words(values, raised):
    """`values` are those of the special one and of a number beside it."""
    special, beside = values
    if np.isnan(special):
        text = "NaN" if beside == _BESIDE else "NaN, with all of its group"
    elif np.isinf(special):
        text = "infinity"
    elif beside == _BESIDE:
        text = "the largest number"
    else:
        text = "the largest number, those beside it become zero"
    flags = [flag.name for flag in type(raised) if raised & flag and flag.name != "INEXACT"]
    return f"{text}; {', '.join(flags)}" if flags else text


def _float(name):
    def convert(x, overflow):
        codes, raised = float_codec.encode(x, name, overflow=overflow, flags=True)
        return float_codec.decode(codes, name), Flag(int(raised[0]))

    return convert


def _s2fp8(x, overflow):
    neutral = s2fp8.Parameters.of_bias(15)
    codes, raised = s2fp8.encode(x, neutral.alpha, neutral.mean, overflow=overflow, flags=True)
    return s2fp8.decode(codes, neutral.inverse, neutral.mean), LogFlag(int(raised[0]))


def _lbfp(x, overflow):
    exponent = lbfp.block_exponent(x, "lbfp8")
    codes, raised = lbfp.encode(x, "lbfp8", exponent, flags=True)
    return lbfp.decode(codes, "lbfp8", exponent), LogFlag(int(raised[0]))


def _bfp(name, offset=0):
    def convert(x, overflow):
        blocks, saturated, invalid = bfp.convert(x, name, overflow=overflow, offset=offset, flags=True)
        raised = LogFlag.SATURATED * int(saturated[0, 0]) | LogFlag.INVALID * int(invalid[0, 0])
        return bfp.decode(blocks), LogFlag(raised)

    return convert


def _mxint8(x, overflow):
    scales, elements, invalid = bfp.to_mxint8(x, overflow=overflow, flags=True)
    return bfp.decode(bfp.from_mxint8(scales, elements))[:2], LogFlag(LogFlag.INVALID * int(invalid[0, 0]))


_FAMILIES = {
    "floats with infinity and NaN, as `float8_e5m2`": _float("float8_e5m2"),
    "floats with NaN alone, as `float8_e4m3fn`": _float("float8_e4m3fn"),
    "floats with neither, as `ab_e5m2`": _float("ab_e5m2"),
    "S2FP8": _s2fp8,
    "LBFP, its exponent from the block": _lbfp,
    "BFP, 8 bits of exponent": _bfp("bfp4"),
    "BFP, 3 or 4 bits of exponent": _bfp("m4e4", offset=120),
    "MXINT8": _mxint8,
}
