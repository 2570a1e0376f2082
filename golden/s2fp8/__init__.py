"""S2FP8: tensors shifted and squeezed into FP8, exactly as Cambier et al. do it, and in fixed point, bit-exact to `hdl.s2fp8`.

A tensor X is stored as codes Y of 1 sign, 5 exponent and 2 mantissa bits, ``float8_e5m2``, with two numbers of its own:

    log2|Y| = alpha * log2|X| + beta = alpha * (log2|X| - mu),  alpha = 15 / (m - mu),  beta = -alpha * mu

where mu is the mean and m the largest log2|X| of what is not zero, so that log2|Y| has the mean 0 and its largest is 15.

`exact_parameters`, `exact_encode` and `exact_decode` are that in float64. `encode` and `decode` are what the hardware does. It
takes alpha, mu and 1 / alpha as integers, see `Parameters`: with mu in the place of beta, which may be 15000, all factors are
short. With alpha = 1 and whole beta they are the plain codec of ``float8_e5m2`` with the bias 15 + beta, bit for bit.

There are two precisions, for each of which hardware and model are the same: "short" has logarithms of 8 bits and takes half the
area, "full" has those of 14 and 15 bits. Both have the same parameters of a tensor and the same codes; few of them differ, by
one.

Source: L. Cambier et al., "Shifted and Squeezed 8-bit Floating Point format for Low-Precision Training of Deep Neural
Networks", ICLR 2020, arXiv 2001.05674.
"""

from narrowfloat.golden.s2fp8.codec import decode, encode
from narrowfloat.golden.s2fp8.exact import exact_decode, exact_encode, exact_parameters
from narrowfloat.golden.s2fp8.tensor import (
    ALPHA_BITS,
    ALPHA_FRACTION_BITS,
    ALPHA_RANGE,
    FORMAT,
    INVERSE_BITS,
    INVERSE_FRACTION_BITS,
    INVERSE_RANGE,
    MEAN_BITS,
    MEAN_FRACTION_BITS,
    MEAN_RANGE,
    MIN_SPREAD,
    PRECISIONS,
    Parameters,
    inverse,
    parameters,
    tensor_parameters,
)

__all__ = [
    "ALPHA_BITS",
    "ALPHA_FRACTION_BITS",
    "ALPHA_RANGE",
    "FORMAT",
    "INVERSE_BITS",
    "INVERSE_FRACTION_BITS",
    "INVERSE_RANGE",
    "MEAN_BITS",
    "MEAN_FRACTION_BITS",
    "MEAN_RANGE",
    "MIN_SPREAD",
    "PRECISIONS",
    "Parameters",
    "decode",
    "encode",
    "exact_decode",
    "exact_encode",
    "exact_parameters",
    "inverse",
    "parameters",
    "tensor_parameters",
]
