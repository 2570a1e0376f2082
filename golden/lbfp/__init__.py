"""Logarithmic block floating point (LBFP), bit-exact to `hdl.lbfp`: codes and back, products, dot products, re-encoding.

A code {sign, c} with the shared exponent E means ``(-1)**sign * 2**(E - 2**int_bits + c / 2**frac_bits)``, c = 0 means zero:
see `golden.formats.LogBlockFormat`. So a product is a sum of two c, its fraction looked up in a small table of powers of two
(the antilog) and shifted by its integer part; products add up as integers, and the shared exponents are added once, at the end.

The idea is that of "LBFP: logarithmic block floating point", APCCAS 2020; the encoding, and all that is fixed here, is ours.
"""

from narrowfloat.golden.lbfp.codec import block_exponent, decode, encode, encode_fixed, thresholds
from narrowfloat.golden.lbfp.products import (
    ANTILOGS,
    GUARD_BITS,
    MAX_GUARD_BITS,
    OUTPUTS,
    antilog_table,
    dot,
    lsb_exponent,
    matmul,
    multiply,
    product_bits,
    table_guard_bits,
)

__all__ = [
    "ANTILOGS",
    "GUARD_BITS",
    "MAX_GUARD_BITS",
    "OUTPUTS",
    "antilog_table",
    "block_exponent",
    "decode",
    "dot",
    "encode",
    "encode_fixed",
    "lsb_exponent",
    "matmul",
    "multiply",
    "product_bits",
    "table_guard_bits",
    "thresholds",
]
