"""The limits of floats, by the names that `numpy.finfo` gives them."""

from dataclasses import dataclass
from math import frexp
from typing import SupportsIndex

import numpy as np
from narrowfloat.golden.float_codec import code_dtype, decode
from narrowfloat.golden.formats import FloatFormat


@dataclass(frozen=True)
class FloatInfo:
    """The limits of a float; all numbers are exact.

    Attributes
    ----------
    format : FloatFormat
    bias : int
        The exponent bias that the limits are for.
    bits : int
        Width of a code.
    nexp, nmant, iexp : int
        Bits of exponent, of mantissa without the hidden one, and of exponent once more, as NumPy has it.
    max, min : float
        The largest and the lowest finite number; a format without a sign has no negative number.
    smallest_normal, tiny : float
        The smallest positive number with a full mantissa, under both of NumPy's names.
    smallest_subnormal : float
        The smallest positive number: that above in formats without subnormals.
    eps, epsneg : float
        The distances from 1 to the next larger and to the next smaller number, as they are for a bias at which 1 is no
        subnormal number; `epsneg` is that of subnormals where 1 is the smallest normal number.
    machep, negep : int
        Their logarithms to base 2.
    maxexp, minexp : int
        The smallest power of two above `max`, and the power of two that `smallest_normal` has.
    """

    format: FloatFormat
    bias: int
    bits: int
    nexp: int
    nmant: int
    iexp: int
    max: float
    min: float
    smallest_normal: float
    tiny: float
    smallest_subnormal: float
    eps: float
    epsneg: float
    machep: int
    negep: int
    maxexp: int
    minexp: int


def finfo(fmt: FloatFormat | str, *, bias: SupportsIndex | None = None) -> FloatInfo:
    """The limits of a float.

    >>> finfo("float8_e4m3fn").max
    448.0

    Parameters
    ----------
    fmt : FloatFormat or str
        A format or its name.
    bias : int or None
        Exponent bias in ``fmt.bias_range``; None means ``fmt.bias``.

    Returns
    -------
    FloatInfo

    Raises
    ------
    TypeError
        `fmt` is neither a FloatFormat nor a name.
    ValueError
        `fmt` names no float, or `bias` is out of range.
    """
    fmt = FloatFormat.of(fmt)
    bias = fmt.check_bias(fmt.bias if bias is None else bias)
    smallest = fmt.underflow != "clamp_exponent"  # the code of the smallest positive number
    normal = 1 << fmt.man_bits if fmt.underflow == "gradual" else smallest
    codes = np.array([fmt.max_finite, normal, smallest], code_dtype(fmt))
    largest, smallest_normal, smallest_subnormal = decode(codes, fmt, bias=bias).tolist()
    negep = -fmt.man_bits if smallest_normal == 1 and fmt.underflow == "gradual" else -fmt.man_bits - 1
    return FloatInfo(
        format=fmt,
        bias=bias,
        bits=fmt.bits,
        nexp=fmt.exp_bits,
        nmant=fmt.man_bits,
        iexp=fmt.exp_bits,
        max=largest,
        min=-largest if fmt.signed else smallest_subnormal,
        smallest_normal=smallest_normal,
        tiny=smallest_normal,
        smallest_subnormal=smallest_subnormal,
        eps=2.0**-fmt.man_bits,
        epsneg=2.0**negep,
        machep=-fmt.man_bits,
        negep=negep,
        maxexp=frexp(largest)[1],
        minexp=frexp(smallest_normal)[1] - 1,
    )
