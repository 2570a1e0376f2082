"""FP32 to narrow floats and back, bit-exact to `hdl.float_codec`.

`encode` rounds as `golden.rounding` says; the adaptive-bias formats and their codec are those of Sadi et al. 2024,
DOI 10.1007/s10617-024-09282-2, Algorithm 1 and its readings.
"""

from functools import lru_cache

import numpy as np
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.fp32 import FP32_INFINITY
from narrowfloat.golden.rounding import OVERFLOWS, ROUNDINGS, Flag, round_and_pack

# Long arrays are worked off in parts whose intermediate results stay in the cache.
_PART = 2**16


def code_dtype(fmt):
    """The dtype of arrays of codes of `fmt`: uint8 up to 8 bits, above that uint16."""
    return np.dtype(np.uint8 if fmt.bits <= 8 else np.uint16)


def encode(x, fmt, *, bias=None, rounding="rne", overflow="saturate", random_bits=None, sr_bits=8, flags=False):
    """FP32 values as codes of `fmt`.

    Parameters
    ----------
    x : numpy.ndarray
        float32, any shape.
    fmt : FloatFormat
    bias : int, numpy.ndarray or None
        Exponent bias in ``fmt.bias_range``; an array of integers that broadcasts to the shape of `x` gives each value its own.
        None means ``fmt.bias``.
    rounding : str
        One of `golden.rounding.ROUNDINGS`, explained at `golden.rounding.round_increment`.
    overflow : str
        One of `golden.rounding.OVERFLOWS`, explained at `golden.rounding.round_and_pack`.
    random_bits : numpy.ndarray or None
        Integers from 0 to ``2**sr_bits - 1`` in the shape of `x`; `golden.lfsr.lane_bits` gives those of the hardware. Only
        rounding "sr" needs and reads them.
    sr_bits : int
        1 to 16: how many random bits rounding "sr" adds to a value.
    flags : bool
        Whether to return the flags too.

    Returns
    -------
    codes : numpy.ndarray
        uint8, or uint16 if ``fmt.bits`` is above 8, in the shape of `x`.
    raised : numpy.ndarray
        Only if `flags`: uint8 in the shape of `x`, sets of `golden.rounding.Flag`:

        =========  ==========================================================================================
        OVERFLOW   the input is finite and, rounded with an unbounded exponent, above the largest finite number
        UNDERFLOW  INEXACT, and the input is smaller than the smallest normal number of `fmt`
        INEXACT    the input is finite and the code has another value
        INVALID    infinity or NaN became something else; for "fnu" also: the input is zero or negative
                   (OVERFLOW, UNDERFLOW and INEXACT are then clear)
        =========  ==========================================================================================

    Raises
    ------
    TypeError
        `x` is not float32; `bias` or `random_bits` are not integers; `fmt` is not a FloatFormat.
    ValueError
        `bias`, `rounding`, `overflow`, `random_bits` or `sr_bits` are not among what is allowed, or have another shape.
    """
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"x must be float32, not {x.dtype}: convert with .astype(np.float32)")
    bias = _checked_bias(bias, fmt, x.shape)
    check_choice("rounding", rounding, ROUNDINGS)
    check_choice("overflow", overflow, OVERFLOWS)
    if rounding == "sr":
        random_bits = _checked_random_bits(random_bits, sr_bits, x.shape)

    words = x.reshape(-1).view(np.uint32)
    codes = np.empty(words.shape, code_dtype(fmt))
    if isinstance(bias, int) and rounding != "sr" and not flags:
        table, shift = _encode_table(fmt, bias, rounding, overflow)
        for part in _parts(words):
            np.take(table, _table_key(words[part], shift), out=codes[part], mode="wrap")
        return codes.reshape(x.shape)

    raised = np.empty(words.shape, np.uint8)
    for part in _parts(words):
        part_bias = bias if isinstance(bias, int) else bias[part]
        part_random = random_bits[part] if rounding == "sr" else None
        codes[part], is_too_large = round_and_pack(words[part], fmt, part_bias, rounding, overflow, part_random, sr_bits)
        if flags:
            raised[part] = _flags(words[part].view(np.float32), codes[part], is_too_large, fmt, part_bias)
    codes = codes.reshape(x.shape)
    return (codes, raised.reshape(x.shape)) if flags else codes


def decode(codes, fmt, *, bias=None):
    """Codes of `fmt` as FP32 values, which they always are exactly.

    Zero keeps its sign. NaN has its sign, the code's mantissa as the upper bits of its payload, and the quiet bit set.

    Parameters
    ----------
    codes : numpy.ndarray
        uint8, or uint16 if ``fmt.bits`` is above 8; any shape.
    fmt : FloatFormat
    bias : int, numpy.ndarray or None
        As for `encode`.

    Returns
    -------
    numpy.ndarray
        float32 in the shape of `codes`.

    Raises
    ------
    TypeError
        `codes` has another dtype; `bias` is not of integers; `fmt` is not a FloatFormat.
    ValueError
        A code has more than ``fmt.bits`` bits; `bias` is out of range or of another shape.
    """
    codes = np.asarray(codes)
    bias = _checked_bias(bias, fmt, codes.shape)
    dtype = code_dtype(fmt)
    if codes.dtype != dtype:
        raise TypeError(f"codes of {fmt.name} must be {dtype}, not {codes.dtype}: convert with .astype(np.{dtype})")
    if codes.max(initial=0) >= 2**fmt.bits:
        wrong = codes[codes >= 2**fmt.bits][0]
        raise ValueError(f"codes of {fmt.name} must be from 0 to {2**fmt.bits - 1:#x}, not {wrong:#x}")

    codes, shape = codes.reshape(-1), codes.shape
    values = np.empty(codes.shape, np.float32)
    table = _decode_table(fmt, bias) if isinstance(bias, int) else None
    for part in _parts(codes):
        if table is not None:
            np.take(table, codes[part], out=values[part], mode="wrap")
        else:
            values[part] = _unpack(codes[part], fmt, bias[part])
    return values.reshape(shape)


def _parts(array):
    return (slice(start, start + _PART) for start in range(0, array.size, _PART))


def _table_key(words, shift):
    """The upper bits of FP32 words, the last of them set also if any bit below is (round to odd)."""
    mask = (1 << shift) - 1
    return ((words & mask) + mask | words) >> shift


@lru_cache(maxsize=64)
def _encode_table(fmt, bias, rounding, overflow):
    """The codes by `_table_key`, and its shift."""
    # Rounding sees the bits of M, one more, and whether there is any below. The subnormals that "fnu" has codes for are first
    # shifted by one.
    mantissa_bits = fmt.man_bits + (2 if fmt.signed else 3)
    shift = 23 - mantissa_bits
    words = np.arange(2 ** (9 + mantissa_bits), dtype=np.uint32) << shift
    codes, _ = round_and_pack(words, fmt, bias, rounding, overflow)
    return codes.astype(code_dtype(fmt)), shift


@lru_cache(maxsize=64)
def _decode_table(fmt, bias):
    return _unpack(np.arange(2**fmt.bits, dtype=code_dtype(fmt)), fmt, bias)


def _unpack(codes, fmt, bias):
    """The FP32 values of an array of codes; `bias` is an int, or int32 in the same shape."""
    magnitude = codes.astype(np.uint32) & 2**fmt.magnitude_bits - 1
    exponent = (magnitude >> fmt.man_bits).astype(np.int32)
    significand = mantissa = magnitude & 2**fmt.man_bits - 1
    if fmt.underflow == "gradual":
        significand = np.where(exponent > 0, significand + 2**fmt.man_bits, significand)
        exponent = np.maximum(exponent, 1)
    else:
        significand = significand + 2**fmt.man_bits
    with np.errstate(over="ignore"):  # by infinity and NaN of 8 exponent bits, which are replaced below
        words = np.ldexp(significand.astype(np.float32), exponent - bias - fmt.man_bits).view(np.uint32)
    if fmt.underflow == "zero_code":
        words = np.where(magnitude == 0, np.uint32(0), words)

    if fmt.specials == "fnuz":
        is_nan = codes == 1 << fmt.magnitude_bits
    else:
        is_nan = magnitude > (fmt.max_finite if fmt.infinity is None else fmt.infinity)
    words = np.where(is_nan, FP32_INFINITY | 0x400000 | mantissa << 23 - fmt.man_bits, words)
    if fmt.infinity is not None:
        words = np.where(magnitude == fmt.infinity, np.uint32(FP32_INFINITY), words)
    if fmt.signed:
        words |= codes.astype(np.uint32) >> fmt.magnitude_bits << 31
    return words.view(np.float32)


def _flags(x, codes, is_too_large, fmt, bias):
    """The flags that encoding the float32 array `x` raised."""
    smallest_normal = {"gradual": 1 << fmt.man_bits, "zero_code": 1, "paper": 0}[fmt.underflow]
    result = _unpack(codes, fmt, bias)
    is_finite = np.isfinite(x)
    invalid = (np.isnan(x) & ~np.isnan(result)) | (np.isinf(x) & ~np.isinf(result))
    if fmt.specials == "fnu":
        invalid |= x <= 0
    inexact = is_finite & ~invalid & (x != result)
    underflow = inexact & (np.abs(x) < _unpack(np.full_like(codes, smallest_normal), fmt, bias))
    overflow = is_finite & ~invalid & is_too_large
    return overflow * Flag.OVERFLOW + underflow * Flag.UNDERFLOW + inexact * Flag.INEXACT + invalid * Flag.INVALID


def _checked_bias(bias, fmt, shape):
    """The bias as an int, or for each value of a flat array as int32."""
    if not isinstance(fmt, FloatFormat):
        raise TypeError(f"fmt must be a FloatFormat, not {fmt!r}: FloatFormat.parse makes one of its name")
    bias = np.asarray(fmt.bias if bias is None else bias)
    if bias.dtype.kind not in "iu":
        raise TypeError(f"bias must be an integer or an array of integers, not {bias.dtype}")
    low, high = fmt.bias_range
    for wrong in bias[(bias < low) | (bias > high)][:1]:
        fmt.check_bias(int(wrong))
    if bias.ndim == 0:
        return int(bias)
    try:
        return np.broadcast_to(bias, shape).reshape(-1).astype(np.int32)
    except ValueError:
        raise ValueError(f"bias of shape {bias.shape} does not broadcast to the values' shape {shape}") from None


def _checked_random_bits(random_bits, sr_bits, shape):
    """The random numbers as a flat array."""
    check_int("sr_bits", sr_bits, 1, 16)
    highest = 2**sr_bits - 1
    if random_bits is None:
        raise ValueError(f"rounding 'sr' needs random_bits: for each value an integer from 0 to {highest} (see golden.lfsr)")
    random_bits = np.asarray(random_bits)
    if random_bits.dtype.kind not in "iu":
        raise TypeError(f"random_bits must be integers, not {random_bits.dtype}")
    if random_bits.shape != shape:
        raise ValueError(f"random_bits must have the shape of x, {shape}, not {random_bits.shape}")
    for wrong in random_bits[(random_bits < 0) | (random_bits > highest)][:1]:
        raise ValueError(f"random_bits must be from 0 to {highest} (sr_bits={sr_bits}), not {wrong}")
    return random_bits.reshape(-1)
