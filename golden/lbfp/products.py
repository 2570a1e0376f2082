"""Products and dot products of LBFP codes: additions of logarithms, small tables of powers of two, and shifts."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from narrowfloat.golden.checks import check_choice, check_codes, check_int, check_integers
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.parts import PART, parts
from numpy.typing import ArrayLike, NDArray

ANTILOGS = ("lut", "two_segment", "mitchell")
OUTPUTS = ("twos_complement", "sign_magnitude")
GUARD_BITS = 5  # the narrowest look-up table whose products of 3.4 codes are within 1.3 %
MAX_GUARD_BITS = 8

Antilog = str | Sequence[int] | NDArray[np.integer]


def antilog_table(fmt: LogBlockFormat | str, antilog: Antilog = "lut", guard_bits: int | None = None) -> NDArray[np.int64]:
    """The powers of two that a multiplier shifts: A[f] stands for ``2**(f / 2**frac_bits)`` in units of ``2**-guard_bits``.

    ===========  =============================================================================================
    lut          the nearest integer
    two_segment  ``2**G + m - ceil(3/16 * min(m, 2**G - m))`` with m = ``f * 2**(G - frac_bits)``: two straight lines that
                 meet in the middle, by shifts and additions; at 4 fraction and 5 guard bits equal to "lut"
    mitchell     ``2**G + m``: one straight line (Mitchell 1962), up to 6.1 % too large
    ===========  =============================================================================================

    Parameters
    ----------
    fmt : LogBlockFormat or str
        A format or its name.
    antilog : str or sequence of int
        One of `ANTILOGS`; or the table itself, ``2**frac_bits`` integers from ``2**guard_bits`` to below twice that.
    guard_bits : int or None
        G, from 0 ("two_segment" and "mitchell": from ``frac_bits``) to 8. None: for "mitchell" ``fmt.frac_bits``, else
        `GUARD_BITS` or, if that is more, ``fmt.frac_bits``.

    Returns
    -------
    numpy.ndarray
        int64, shape (2**frac_bits,).

    Raises
    ------
    TypeError
        `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        `antilog` is none of these, or `guard_bits` out of range.
    """
    fmt = LogBlockFormat.of(fmt)
    guard_bits = table_guard_bits(fmt, antilog, guard_bits)
    steps, one = 2**fmt.frac_bits, 2**guard_bits
    fraction = np.arange(steps)
    if antilog == "lut":
        return np.rint(np.exp2(fraction / steps) * one).astype(np.int64)
    if isinstance(antilog, str):
        line = fraction << guard_bits - fmt.frac_bits
        if antilog == "mitchell":
            return one + line
        return one + line - (3 * np.minimum(line, one - line) + 15 >> 4)
    table = check_integers("antilog", antilog).astype(np.int64)
    if table.shape != (steps,) or table.min() < one or table.max() >= 2 * one:
        raise ValueError(f"antilog must be {steps} integers from {one} to {2 * one - 1}, not {table.tolist()}")
    return table


def table_guard_bits(fmt: LogBlockFormat | str, antilog: Antilog = "lut", guard_bits: int | None = None) -> int:
    """The guard bits of an antilog table, checked, or where they are None what they then are: see `antilog_table`."""
    fmt = LogBlockFormat.of(fmt)
    low = 0
    if isinstance(antilog, str):
        check_choice("antilog", antilog, ANTILOGS)
        low = 0 if antilog == "lut" else fmt.frac_bits
    if guard_bits is None:
        return fmt.frac_bits if isinstance(antilog, str) and antilog == "mitchell" else max(GUARD_BITS, fmt.frac_bits)
    return check_int(f"guard_bits of {fmt.name}", guard_bits, low, MAX_GUARD_BITS)


def product_bits(fmt: LogBlockFormat | str, antilog: Antilog = "lut", guard_bits: int | None = None) -> int:
    """The width of a full product, with its sign.

    The sum of two c is at most ``2 * (2**(int_bits + frac_bits) - 1)``, so that the shift is at most ``2**(int_bits + 1) - 1``,
    and the table's entries are below ``2**(G + 1)``: magnitudes are below ``2**(G + 2**(int_bits + 1))``. Where a table is so
    coarse that its last entry is rounded up to ``2**(G + 1)``, as with 4 guard bits for 6 fraction bits, no hardware is built.
    """
    fmt = LogBlockFormat.of(fmt)
    return table_guard_bits(fmt, antilog, guard_bits) + 2 ** (fmt.int_bits + 1) + 1


def lsb_exponent(
    fmt: LogBlockFormat | str,
    exponent: Any,
    *,
    antilog: Antilog = "lut",
    guard_bits: int | None = None,
    out_bits: int | None = None,
) -> Any:
    """The weight of the last bit of products and dot products, as a power of two: the one place where shared exponents enter.

    Parameters
    ----------
    fmt : LogBlockFormat or str
        A format or its name.
    exponent : int or numpy.ndarray
        Sum of the two shared exponents, of integers.
    antilog, guard_bits, out_bits
        As for `multiply`.

    Returns
    -------
    int or numpy.ndarray
        ``exponent - 2**(int_bits + 1) - G``, plus the number of bits that were cut off; int32 for an array.

    Raises
    ------
    TypeError
        `exponent` is not of integers; `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        Another argument is not among what is allowed.
    """
    fmt = LogBlockFormat.of(fmt)
    dropped = _dropped_bits(fmt, antilog, guard_bits, out_bits)
    offset = dropped - 2 ** (fmt.int_bits + 1) - table_guard_bits(fmt, antilog, guard_bits)
    exponents = check_integers("exponent", exponent)
    return exponents.astype(np.int32) + offset if exponents.ndim else int(exponents) + offset


def multiply(
    a: ArrayLike,
    b: ArrayLike,
    fmt: LogBlockFormat | str,
    *,
    antilog: Antilog = "lut",
    guard_bits: int | None = None,
    out_bits: int | None = None,
    output: str = "twos_complement",
) -> NDArray[np.int64]:
    """Products of codes as the hardware gives them, whose last bit weighs ``2**lsb_exponent(...)``.

    >>> one, half = np.uint8(112), np.uint8(224)  # 1 and -0.5 with the exponent 1
    >>> int(multiply(one, half, "lbfp8")) * 2.0 ** lsb_exponent("lbfp8", 1 + 1)
    -0.5

    With t the sum of both c: ``A[t mod 2**frac_bits] << (t >> frac_bits)``, negative if the signs differ, 0 if either c is 0.

    ===============  ==========================================================================================
    output           a product
    ===============  ==========================================================================================
    twos_complement  an integer with its sign; bits that are cut off round it toward minus infinity
    sign_magnitude   the word {sign, magnitude} of `out_bits` bits; bits that are cut off round it toward zero.
                     A product that becomes zero so keeps its sign, one with a factor of zero is +0
    ===============  ==========================================================================================

    Parameters
    ----------
    a, b : numpy.ndarray
        uint8 codes, of shapes that broadcast.
    fmt : LogBlockFormat or str
        A format or its name.
    antilog, guard_bits
        As for `antilog_table`.
    out_bits : int or None
        Width of a product with its sign, 2 to `product_bits`: so many of its upper bits are kept. None keeps all.
    output : str
        One of `OUTPUTS`.

    Returns
    -------
    numpy.ndarray
        int64, in the broadcast shape.

    Raises
    ------
    TypeError
        `a` or `b` is not uint8; `fmt` is neither a LogBlockFormat nor a name.
    ValueError
        A code has more than ``fmt.bits`` bits; another argument is not among what is allowed.
    """
    *factors, width, parameters = _checked(a, b, fmt, antilog, guard_bits, out_bits, output)
    table = _product_table(*parameters, width if output == "sign_magnitude" else None)
    left, right = np.broadcast_arrays(*factors)
    products = np.empty(left.size, np.int64)
    flat = left.reshape(-1), right.reshape(-1)
    for part in parts(products.size):
        np.take(table, _keys(*(codes[part] for codes in flat)), out=products[part], mode="wrap")
    return products.reshape(left.shape)


def _checked(a, b, fmt, antilog, guard_bits, out_bits, output):
    """The codes, the width of a product, and the parameters of `_product_table` but for the last."""
    fmt = LogBlockFormat.of(fmt)
    a, b = check_codes(f"a of {fmt.name}", a, fmt.bits), check_codes(f"b of {fmt.name}", b, fmt.bits)
    check_choice("output", output, OUTPUTS)
    table = antilog_table(fmt, antilog, guard_bits)
    dropped = _dropped_bits(fmt, antilog, guard_bits, out_bits)
    return a, b, product_bits(fmt, antilog, guard_bits) - dropped, (fmt, tuple(table.tolist()), dropped, output)


def _keys(a, b):
    """Where `_product_table` has the products of codes."""
    return a.astype(np.uint16) << 8 | b


@lru_cache(maxsize=16)
def _product_table(fmt, antilog, dropped, output, word_bits):
    """All products by `_keys`, rounded as `output` has it: integers with their sign, or words of so many bits: int64."""
    code = np.arange(2**fmt.bits)
    c, negative = code & fmt.max_magnitude, code > fmt.max_magnitude
    t = c[:, None] + c
    is_zero = (c[:, None] == 0) | (c == 0)
    magnitude = np.where(is_zero, 0, np.array(antilog)[t & 2**fmt.frac_bits - 1] << (t >> fmt.frac_bits))
    negative = (negative[:, None] != negative) & ~is_zero
    if output == "twos_complement":
        magnitude = np.where(negative, magnitude + 2**dropped - 1, magnitude)
    magnitude >>= dropped
    if word_bits is None:
        products = np.where(negative, -magnitude, magnitude)
    else:
        products = magnitude | negative.astype(np.int64) << word_bits - 1
    table = np.zeros((2**8, 2**8), np.int64)
    table[: len(code), : len(code)] = products
    return table.reshape(-1)


def dot(
    a: ArrayLike,
    b: ArrayLike,
    fmt: LogBlockFormat | str,
    *,
    antilog: Antilog = "lut",
    guard_bits: int | None = None,
    out_bits: int | None = None,
    output: str = "twos_complement",
    axis: int = -1,
) -> NDArray[np.int64]:
    """Dot products of codes: the exact sum of `multiply`'s products, whose last bit weighs ``2**lsb_exponent(...)``.

    Parameters
    ----------
    a, b, fmt, antilog, guard_bits, out_bits, output
        As for `multiply`.
    axis : int
        The axis of the broadcast shape that is summed.

    Returns
    -------
    numpy.ndarray
        int64, in the broadcast shape without `axis`.

    Raises
    ------
    TypeError, ValueError
        As `multiply`; `axis` is out of range; so many products could overflow int64.
    """
    *factors, width, parameters = _checked(a, b, fmt, antilog, guard_bits, out_bits, output)
    left, right = np.broadcast_arrays(*factors)
    check_int("axis", axis, -left.ndim, left.ndim - 1)
    _check_count(left.shape[axis], width)
    *shape, count = np.moveaxis(left, axis, -1).shape
    left, right = (np.moveaxis(codes, axis, -1).reshape(math.prod(shape), count) for codes in (left, right))
    table = _product_table(*parameters, None)
    sums = np.zeros(len(left), np.int64)
    for rows in _rows_at_once(left.shape):
        for part in parts(count):
            sums[rows] += _sums(table, left[rows, part], right[rows, part])
    return sums.reshape(shape)[()]


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    fmt: LogBlockFormat | str,
    *,
    antilog: Antilog = "lut",
    guard_bits: int | None = None,
    out_bits: int | None = None,
    output: str = "twos_complement",
) -> NDArray[np.int64]:
    """Every row of `a` times every row of `b`: the results of `dot`, from a table of all products.

    Parameters
    ----------
    a : numpy.ndarray
        uint8 codes [rows, n].
    b : numpy.ndarray
        uint8 codes [columns, n].
    fmt, antilog, guard_bits, out_bits, output
        As for `multiply`.

    Returns
    -------
    numpy.ndarray
        int64 [rows, columns].

    Raises
    ------
    TypeError, ValueError
        As `dot`; `a` and `b` are not two matrices with rows of one length.
    """
    left, right, width, parameters = _checked(a, b, fmt, antilog, guard_bits, out_bits, output)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(f"a and b must be matrices with rows of one length, not of shapes {left.shape} and {right.shape}")
    _check_count(left.shape[1], width)
    table = _product_table(*parameters, None)
    sums = np.zeros((len(left), len(right)), np.int64)
    for columns in _rows_at_once(right.shape):
        for rows in _rows_at_once((len(left), right[columns].size)):
            for part in parts(left.shape[1]):
                sums[rows, columns] += _sums(table, left[rows, None, part], right[columns, part])
    return sums


def _rows_at_once(shape):
    """Slices of the rows of a matrix, of as many as a part has."""
    rows, count = shape
    step = max(PART // max(count, 1), 1)
    return [slice(first, first + step) for first in range(0, rows, step)]


def _sums(table, a, b):
    """Sums of products of codes along their last axis."""
    return np.einsum("...i->...", table.take(_keys(a, b)))  # of short rows faster than their `sum`


def _dropped_bits(fmt, antilog, guard_bits, out_bits):
    bits = product_bits(fmt, antilog, guard_bits)
    return 0 if out_bits is None else bits - check_int("out_bits", out_bits, 2, bits)


def _check_count(count, bits):
    """Raise ValueError if the sum of so many products could overflow int64: each is at most 2**(bits - 1) in magnitude."""
    limit = 2 ** (64 - bits) - 1
    if count > limit:
        raise ValueError(f"{count} products of {bits} bits could overflow 64: at most {limit}")
