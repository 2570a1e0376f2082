"""Conversion between FP32 and floats of 3 to 16 bits whose exponent bias is set at run time.

The value of a code is ``(-1)**sign * 1.M * 2**(E - bias)``; `golden.formats.FloatFormat` says what E = 0 and the top codes
mean.
"""

from narrowfloat.hdl.float_codec.decoder import FloatDecoder
from narrowfloat.hdl.float_codec.encoder import FloatEncoder

__all__ = ["FloatDecoder", "FloatEncoder"]
