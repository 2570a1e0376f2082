"""Narrowfloat: verified hardware for number formats of eight bits and fewer, and its NumPy models.

This module exports the models of floats, which need NumPy alone. A float is a `FloatFormat` or its name: one of `formats`, or a
spelling such as ``e4m3b7_fn``.

>>> import numpy as np, narrowfloat
>>> x = np.float32([0.3, -2.7, 1e6])
>>> codes = narrowfloat.encode(x, "float8_e5m2")
>>> narrowfloat.decode(codes, "float8_e5m2").tolist()
[0.3125, -2.5, 57344.0]
>>> narrowfloat.quantize(x, "ab_e5m2", bias=20).tolist()
[0.3125, -2.5, 3584.0]
>>> narrowfloat.finfo("float8_e5m2").max
57344.0

Other families have modules of their own in `narrowfloat.golden`: `lbfp`, `bfp`, `s2fp8`, `statistics`, `memory`.
"""

from narrowfloat.golden.finfo import FloatInfo, finfo
from narrowfloat.golden.float_codec import decode, encode, quantize
from narrowfloat.golden.formats import CATALOG as formats
from narrowfloat.golden.formats import BlockFormat, FloatFormat, Format, LogBlockFormat

format = Format.parse

__all__ = [
    "BlockFormat",
    "FloatFormat",
    "FloatInfo",
    "Format",
    "LogBlockFormat",
    "decode",
    "encode",
    "finfo",
    "format",
    "formats",
    "quantize",
]
