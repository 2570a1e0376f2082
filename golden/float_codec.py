"""FP32 to narrow floats and back, bit-exact to `hdl.float_codec`.

`encode` rounds as `golden.rounding` says; the adaptive-bias formats and their codec are those of Sadi et al. 2024,
DOI 10.1007/s10617-024-09282-2, Algorithm 1 and its readings.
"""

from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_choice, check_codes, check_int, check_random_bits, integers_for
from narrowfloat.golden.formats import FP32_INFINITY, FP32_MAN_BITS, FloatFormat
from narrowfloat.golden.parts import in_parts, parts
from narrowfloat.golden.rounding import MAX_SR_BITS, OVERFLOWS, ROUNDINGS, TININESS, Flag, is_tiny, round_and_pack, round_to_odd
from numpy.typing import ArrayLike, NDArray

_MOST_TABLE_BITS = 8  # of codes whose values at all biases are worth a table


def code_dtype(fmt: FloatFormat | str) -> np.dtype[Any]:
    """The dtype of arrays of codes of `fmt`, a format or its name: uint8 up to 8 bits, above that uint16."""
    return np.dtype(np.uint8 if FloatFormat.of(fmt).bits <= 8 else np.uint16)


@overload
def encode(
    x: ArrayLike,
    fmt: FloatFormat | str,
    *,
    bias: ArrayLike | None = ...,
    rounding: str = ...,
    overflow: str = ...,
    random_bits: ArrayLike | None = ...,
    sr_bits: int = ...,
    tininess: str = ...,
    flags: Literal[False] = ...,
) -> NDArray[Any]: ...
@overload
def encode(
    x: ArrayLike,
    fmt: FloatFormat | str,
    *,
    bias: ArrayLike | None = ...,
    rounding: str = ...,
    overflow: str = ...,
    random_bits: ArrayLike | None = ...,
    sr_bits: int = ...,
    tininess: str = ...,
    flags: Literal[True],
) -> tuple[NDArray[Any], NDArray[np.uint8]]: ...
def encode(
    x: ArrayLike,
    fmt: FloatFormat | str,
    *,
    bias: ArrayLike | None = None,
    rounding: str = "rne",
    overflow: str = "saturate",
    random_bits: ArrayLike | None = None,
    sr_bits: int = 8,
    tininess: str = "before",
    flags: bool = False,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.uint8]]:
    """FP32 values as codes of `fmt`.

    Python's own numbers, alone or in lists, are first rounded to the nearest FP32 number; arrays of float64 are refused,
    because what is rounded twice may not become the nearest number of `fmt`.

    >>> encode(np.float32([1, 1.06, -500, np.nan]), "float8_e4m3fn")
    array([ 56,  56, 254, 127], dtype=uint8)

    Parameters
    ----------
    x : array_like
        float32, float16, bfloat16 or Python's own numbers (see `golden.arrays.as_fp32`), any shape.
    fmt : FloatFormat or str
        A format or its name.
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
    tininess : str
        One of `golden.rounding.TININESS`, for the flag UNDERFLOW.
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
        UNDERFLOW  INEXACT, and the input is smaller than the smallest normal number of `fmt`; with `tininess` "after" it is
                   so once it is rounded with an unbounded exponent
        INEXACT    the input is finite and the code has another value
        INVALID    infinity or NaN became something else; for "fnu" also: the input is zero or negative
                   (OVERFLOW, UNDERFLOW and INEXACT are then clear)
        =========  ==========================================================================================

    Raises
    ------
    TypeError
        `x` is of another dtype; `bias` or `random_bits` are not integers; `fmt` is neither a FloatFormat nor a name.
    ValueError
        `fmt` names no float; `bias`, `rounding`, `overflow`, `random_bits`, `sr_bits` or `tininess` are not among what is
        allowed, or have another shape.
    """
    x, fmt = as_fp32("x", x), FloatFormat.of(fmt)
    biases = _checked_bias(bias, fmt, x.shape)
    check_choice("rounding", rounding, ROUNDINGS)
    check_choice("overflow", overflow, OVERFLOWS)
    check_choice("tininess", tininess, TININESS)
    if rounding == "sr":
        sr_bits = check_int("sr_bits", sr_bits, 1, MAX_SR_BITS)
        noise = check_random_bits(random_bits, sr_bits, x.shape, "x").reshape(-1)

    words = x.reshape(-1).view(np.uint32)
    codes, raised = np.empty(words.shape, code_dtype(fmt)), np.empty(words.shape if flags else 0, np.uint8)
    for part in parts(words.size):
        if biases.ndim == 0 and rounding != "sr":
            table, shift = _encode_table(fmt, int(biases), rounding, overflow)
            np.take(table, round_to_odd(words[part], shift), out=codes[part], mode="wrap")
            if flags:
                table, shift = _flag_table(fmt, int(biases), rounding, overflow, tininess)
                np.take(table, round_to_odd(words[part], shift), out=raised[part], mode="wrap")
            continue
        part_bias = (biases[part] if biases.ndim else biases).astype(np.int32)
        mode = rounding, noise[part].astype(np.uint32) if rounding == "sr" else None, sr_bits
        codes[part], is_too_large = round_and_pack(words[part], fmt, part_bias, mode[0], overflow, *mode[1:])
        if flags:
            raised[part] = _flags(words[part], codes[part], is_too_large, fmt, part_bias, tininess, mode)
    codes = codes.reshape(x.shape)
    return (codes, raised.reshape(x.shape)) if flags else codes


def decode(codes: ArrayLike, fmt: FloatFormat | str, *, bias: ArrayLike | None = None) -> NDArray[np.float32]:
    """Codes of `fmt` as FP32 values, which they always are exactly.

    >>> decode(np.uint8([0, 1, 56, 254]), "float8_e4m3fn").tolist()
    [0.0, 0.001953125, 1.0, -448.0]

    Zero keeps its sign. NaN has its sign, the code's mantissa as the upper bits of its payload, and the quiet bit set.

    Parameters
    ----------
    codes : numpy.ndarray
        uint8, or uint16 if ``fmt.bits`` is above 8; any shape.
    fmt : FloatFormat or str
        A format or its name.
    bias : int, numpy.ndarray or None
        As for `encode`.

    Returns
    -------
    numpy.ndarray
        float32 in the shape of `codes`.

    Raises
    ------
    TypeError
        `codes` has another dtype; `bias` is not of integers; `fmt` is neither a FloatFormat nor a name.
    ValueError
        `fmt` names no float; a code has more than ``fmt.bits`` bits; `bias` is out of range or of another shape.
    """
    fmt = FloatFormat.of(fmt)
    codes = check_codes(f"codes of {fmt.name}", codes, fmt.bits, code_dtype(fmt))
    biases = _checked_bias(bias, fmt, codes.shape)

    flat = codes.reshape(-1)
    values = np.empty(flat.shape, np.float32)
    in_parts(lambda *part: (_values(fmt, *part),), (values,), flat, biases)
    return values.reshape(codes.shape)


def quantize(
    x: ArrayLike,
    fmt: FloatFormat | str,
    *,
    bias: ArrayLike | None = None,
    rounding: str = "rne",
    overflow: str = "saturate",
    random_bits: ArrayLike | None = None,
    sr_bits: int = 8,
) -> NDArray[np.float32]:
    """FP32 values rounded to numbers of `fmt`: what `decode` gives of what `encode` gives.

    >>> quantize(np.float32([1.06, 1.07, 1000]), "float8_e4m3fn").tolist()
    [1.0, 1.125, 448.0]

    Parameters
    ----------
    x, fmt, bias, rounding, overflow, random_bits, sr_bits
        As for `encode`.

    Returns
    -------
    numpy.ndarray
        float32 in the shape of `x`.

    Raises
    ------
    TypeError, ValueError
        As `encode`.
    """
    codes = encode(x, fmt, bias=bias, rounding=rounding, overflow=overflow, random_bits=random_bits, sr_bits=sr_bits)
    return decode(codes, fmt, bias=bias)


@lru_cache(maxsize=64)
def _encode_table(fmt, bias, rounding, overflow):
    """The codes by words rounded to odd, and how many bits these are shifted by."""
    # Rounding sees the bits of M, one more, and whether there is any below. The subnormals that "fnu" has codes for are first
    # shifted by one.
    words, shift = _table_words(fmt.man_bits + (2 if fmt.signed else 3))
    codes, _ = round_and_pack(words, fmt, bias, rounding, overflow)
    return codes.astype(code_dtype(fmt)), shift


@lru_cache(maxsize=64)
def _flag_table(fmt, bias, rounding, overflow, tininess):
    """The flags by words rounded to odd, and how many bits these are shifted by."""
    # One bit more than for codes: with an unbounded exponent what is below the smallest normal number is shifted by one, too.
    words, shift = _table_words(fmt.man_bits + (3 if fmt.signed else 4))
    bias = np.int32(bias)
    codes, is_too_large = round_and_pack(words, fmt, bias, rounding, overflow)
    codes = codes.astype(code_dtype(fmt))
    return _flags(words, codes, is_too_large, fmt, bias, tininess, (rounding,)), shift


def _table_words(mantissa_bits):
    """The FP32 words of all table keys with so many bits of mantissa, and the keys' shift."""
    shift = FP32_MAN_BITS - mantissa_bits
    return np.arange(2 ** (9 + mantissa_bits), dtype=np.uint32) << shift, shift


def _values(fmt, codes, bias):
    """The FP32 values of an array of codes; `bias` is an int32 array of no shape or in theirs."""
    if bias.ndim == 0:
        return _decode_table(fmt, int(bias)).take(codes, mode="wrap")
    if fmt.bits > _MOST_TABLE_BITS:
        return _unpack(codes, fmt, bias)
    return _decode_tables(fmt).take((bias - fmt.bias_range[0] << fmt.bits) + codes, mode="wrap")


@lru_cache(maxsize=16)
def _decode_tables(fmt):
    """The values of all codes at every bias, one bias after the other."""
    low, high = fmt.bias_range
    return np.concatenate([_decode_table(fmt, bias) for bias in range(low, high + 1)])


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
    words = np.where(is_nan, FP32_INFINITY | 0x400000 | mantissa << FP32_MAN_BITS - fmt.man_bits, words)
    if fmt.infinity is not None:
        words = np.where(magnitude == fmt.infinity, np.uint32(FP32_INFINITY), words)
    if fmt.signed:
        words |= codes.astype(np.uint32) >> fmt.magnitude_bits << 31
    return words.view(np.float32)


def _flags(words, codes, is_too_large, fmt, bias, tininess, mode):
    """The flags that encoding FP32 words raised; `mode` is what follows `tininess` in `is_tiny`."""
    x, result = words.view(np.float32), _values(fmt, codes, bias)
    is_number = np.isfinite(x)
    invalid = np.zeros(x.shape, bool)
    if not is_number.all():
        invalid = (np.isnan(x) & ~np.isnan(result)) | (np.isinf(x) & ~np.isinf(result))
    if fmt.specials == "fnu":
        invalid |= x <= 0
        is_number &= ~invalid
    inexact = is_number & (x != result)
    underflow = inexact & _is_tiny(words, fmt, bias, tininess, mode)
    raised = (is_number & is_too_large) * np.uint8(Flag.OVERFLOW)
    for flag, where in ((Flag.UNDERFLOW, underflow), (Flag.INEXACT, inexact), (Flag.INVALID, invalid)):
        raised |= where * np.uint8(flag)
    return raised


def _is_tiny(words, fmt, bias, tininess, mode):
    """What `is_tiny` gives, which is asked only of the octave below the smallest normal number: there rounding counts."""
    magnitude = np.abs(words.view(np.float32))
    smallest = _smallest(fmt)[bias - fmt.bias_range[0]]
    tiny = magnitude < smallest
    if tininess == "after":
        near = np.flatnonzero(tiny & (magnitude >= smallest / 2))
        rounding, *random = mode
        random = [each[near] if isinstance(each, np.ndarray) else each for each in random]
        tiny[near] = is_tiny(words[near], fmt, bias[near] if bias.ndim else bias, tininess, rounding, *random)
    return tiny


@lru_cache(maxsize=16)
def _smallest(fmt):
    """The smallest normal number at every bias."""
    low, high = fmt.bias_range
    code = {"gradual": 1 << fmt.man_bits, "zero_code": 1, "clamp_exponent": 0}[fmt.underflow]
    biases = np.arange(low, high + 1, dtype=np.int32)
    return _unpack(np.full(biases.shape, code, code_dtype(fmt)), fmt, biases)


def _checked_bias(bias: ArrayLike | None, fmt: FloatFormat, shape: tuple[int, ...]) -> NDArray[Any]:
    """The bias, of no shape, or for each value of a flat array."""
    return integers_for(f"bias of {fmt.name}", fmt.bias if bias is None else bias, *fmt.bias_range, shape)
