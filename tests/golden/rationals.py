"""The float codec once more, a value at a time, on exact rationals: real arithmetic where `golden` moves bits."""

import math
import struct
from bisect import bisect_left
from fractions import Fraction

from narrowfloat.golden.rounding import Flag

HALF = Fraction(1, 2)


def value_of(magnitude, fmt, bias):
    """The value of a finite {E, M}."""
    exponent, mantissa = divmod(magnitude, 2**fmt.man_bits)
    if fmt.underflow == "gradual" and exponent == 0:
        return Fraction(mantissa, 2**fmt.man_bits) * Fraction(2) ** (1 - bias)
    if fmt.underflow == "zero_code" and magnitude == 0:
        return Fraction(0)
    return (1 + Fraction(mantissa, 2**fmt.man_bits)) * Fraction(2) ** (exponent - bias)


def magnitude_of(value, fmt, bias):
    """The {E, M} that means exactly `value`."""
    magnitude = bisect_left(range(fmt.max_finite + 1), value, key=lambda m: value_of(m, fmt, bias))
    assert value_of(magnitude, fmt, bias) == value, f"{fmt.name} has no {value} at bias {bias}"
    return magnitude


def decode(code, fmt, bias):
    """The value of a code: a Fraction, or a float where it is a zero (which has a sign), an infinity or NaN."""
    negative = fmt.signed and code >> fmt.magnitude_bits
    magnitude = code % 2**fmt.magnitude_bits
    if fmt.specials == "fnuz" and code == 2**fmt.magnitude_bits:
        return math.nan
    if magnitude > fmt.max_finite:
        value = math.inf if magnitude == fmt.infinity else math.nan
    else:
        value = value_of(magnitude, fmt, bias) or 0.0
    return -value if negative else value


def encode(word, fmt, bias, rounding="rne", overflow="saturate", random_bits=0, sr_bits=8, tininess="before"):
    """The code of an FP32 word, and its flags."""
    x = struct.unpack("<f", word.to_bytes(4, "little"))[0]
    negative, exponent_field, mantissa_field = word >> 31, word >> 23 & 0xFF, word % 2**23

    def signed(magnitude):
        if fmt.specials == "fnuz" and magnitude == 0:
            return 0
        return magnitude + negative * 2**fmt.magnitude_bits if fmt.signed else magnitude

    if fmt.specials == "fnuz":
        nan = 2**fmt.magnitude_bits
    else:
        nan = signed(fmt.max_finite if fmt.nan is None else fmt.nan)
    if overflow == "saturate":
        infinity = signed(fmt.max_finite)
    else:
        infinity = nan if fmt.infinity is None else signed(fmt.infinity)

    literal = fmt.underflow == "clamp_exponent" and fmt.specials == "none"
    if literal:  # whatever the exponent field, the word means this
        size = (1 + Fraction(mantissa_field, 2**23)) * Fraction(2) ** (exponent_field - 127)
    elif fmt.specials == "fnu" and x <= 0:
        return nan, Flag.INVALID
    elif math.isnan(x):
        return nan, Flag.INVALID if fmt.nan is None else Flag(0)
    elif math.isinf(x):
        return infinity, Flag(0) if fmt.infinity is not None and overflow == "format" else Flag.INVALID
    else:
        size = abs(Fraction(x))

    def rounded_at(exponent):
        """The size rounded to numbers whose leading bit, if they are normal, has that exponent."""
        ulp = Fraction(2) ** (exponent - fmt.man_bits)
        lower, discarded = divmod(size / ulp, 1)
        goes_up = {
            "rne": discarded > HALF or (discarded == HALF and lower % 2 == 1),
            "rna": discarded >= HALF,
            "rtz": False,
            "sr": round(discarded * 2**sr_bits) + random_bits >= 2**sr_bits,  # Python rounds ties to even
            "rdn": negative and discarded > 0,
            "rup": not negative and discarded > 0,
            "rto": discarded > 0 and lower % 2 == 0,
        }
        return (lower + goes_up[rounding]) * ulp

    rounded = without_bounds = size
    if size:
        exponent = floor_log2(size)
        without_bounds = rounded_at(exponent)
        rounded = rounded_at(max(exponent, 1 - bias)) if fmt.underflow == "gradual" else without_bounds

    too_large = rounded > value_of(fmt.max_finite, fmt, bias)
    if literal:
        exponent = floor_log2(rounded)
        clamped = min(max(exponent, -bias), 2**fmt.exp_bits - 1 - bias)
        code = signed(magnitude_of(rounded * Fraction(2) ** (clamped - exponent), fmt, bias))
        if not math.isfinite(x):
            return code, Flag.INVALID
    elif too_large:
        stays_finite = rounding in ("rtz", "rto", "rup" if negative else "rdn")
        code = signed(fmt.max_finite) if stays_finite else infinity
    elif fmt.underflow == "zero_code":
        smallest = Fraction(2) ** -bias  # what the zero code would mean
        if exponent_field == 0 or rounded < smallest:
            code = signed(0)
        else:
            code = signed(1 if rounded == smallest else magnitude_of(rounded, fmt, bias))
    else:
        code = signed(magnitude_of(max(rounded, value_of(0, fmt, bias)), fmt, bias))

    flags = Flag.OVERFLOW if too_large else Flag(0)
    if decode(code, fmt, bias) != Fraction(x):
        flags |= Flag.INEXACT
        smallest_normal = {"gradual": 2**fmt.man_bits, "zero_code": 1, "clamp_exponent": 0}[fmt.underflow]
        if {"before": abs(Fraction(x)), "after": without_bounds}[tininess] < value_of(smallest_normal, fmt, bias):
            flags |= Flag.UNDERFLOW
    return code, flags


def floor_log2(value):
    """The largest n with 2**n <= value."""
    n = value.numerator.bit_length() - value.denominator.bit_length()
    return n if value >= Fraction(2) ** n else n - 1
