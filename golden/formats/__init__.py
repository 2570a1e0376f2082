"""Number formats as frozen, validated objects, the catalogue of named ones, and the fields of FP32.

Model (`golden`) and hardware (`hdl`) share these objects: what a format is stands here alone, and how numbers are converted is
written twice.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from narrowfloat.golden.formats.base import Format
from narrowfloat.golden.formats.blocks import BLOCK_EXP_BITS, BLOCK_MAN_BITS, BLOCKS, MAX_GROUP, MIN_GROUP, BlockFormat
from narrowfloat.golden.formats.floats import BIAS_BITS, BIAS_MAX, FLOATS, SPECIALS, UNDERFLOWS, FloatFormat
from narrowfloat.golden.formats.fp32 import FP32_BIAS, FP32_INFINITY, FP32_MAN_BITS, FP32_MAX_EXPONENT, FP32_SMALLEST_NORMAL
from narrowfloat.golden.formats.logarithms import LOG_BITS, LOGARITHMS, LogBlockFormat

CATALOG: Mapping[str, Any] = MappingProxyType({**FLOATS, **LOGARITHMS, **BLOCKS})

__all__ = [
    "BIAS_BITS",
    "BIAS_MAX",
    "BLOCKS",
    "BLOCK_EXP_BITS",
    "BLOCK_MAN_BITS",
    "CATALOG",
    "FLOATS",
    "FP32_BIAS",
    "FP32_INFINITY",
    "FP32_MAN_BITS",
    "FP32_MAX_EXPONENT",
    "FP32_SMALLEST_NORMAL",
    "LOGARITHMS",
    "LOG_BITS",
    "MAX_GROUP",
    "MIN_GROUP",
    "SPECIALS",
    "UNDERFLOWS",
    "BlockFormat",
    "FloatFormat",
    "Format",
    "LogBlockFormat",
]
