"""Words and codes as a reader of a failure wants to see them."""

import numpy as np
from narrowfloat.golden.float_codec import code_dtype, decode


def spell_float32(word):
    """An FP32 word in hexadecimal and as the number it is."""
    return f"0x{int(word):08x} ({np.uint32(word).view(np.float32)!s})"


def spell_code(code, fmt, bias):
    """A code in hexadecimal and as the number it is."""
    return f"0x{int(code):02x} ({decode(np.array([code], code_dtype(fmt)), fmt, bias=int(bias))[0]!s})"
