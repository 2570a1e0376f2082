"""Logarithmic block floating point (LBFP): FP32 or sums to codes, codes to FP32, products and dot products of codes.

A code {sign, c} with the shared exponent E means ``(-1)**sign * 2**(E - 2**int_bits + c / 2**frac_bits)``, c = 0 means zero:
see `golden.formats.LogBlockFormat`. The idea is that of "LBFP: logarithmic block floating point", APCCAS 2020; the encoding is
ours.

A product takes an addition, a table and a shift. With t the sum of both c, f its fraction bits and T its integer bits,

    |a * b| = A[f] << T,  A[f] about 2**(f / 2**frac_bits) in units of 2**-G

in units of ``2**(Ea + Eb - 2**(int_bits + 1) - G)``. What makes it small:

- The shift is to the right, from where T is all ones, the shortest distance first. Its last stage, by half of the range, is an
  AND-OR with a select for either half; for a zero neither is set, so that zero costs nothing where the bits are.
- For two's complement the table's entry is negated before the shift, where it is narrow, and the shift fills in signs.
"""

from narrowfloat.hdl.lbfp.decoder import LbfpDecoder
from narrowfloat.hdl.lbfp.dot_product import LbfpDotProduct
from narrowfloat.hdl.lbfp.encoder import LbfpEncoder
from narrowfloat.hdl.lbfp.multiplier import LbfpMultiplier

__all__ = ["LbfpDecoder", "LbfpDotProduct", "LbfpEncoder", "LbfpMultiplier"]
