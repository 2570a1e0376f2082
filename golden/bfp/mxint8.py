"""OCP MXINT8 as block floating point, and back."""

from typing import Literal, overload

import numpy as np
from narrowfloat.golden.bfp.blocks import Blocks, convert, signed
from narrowfloat.golden.checks import check_dtype
from narrowfloat.golden.formats import BlockFormat
from numpy.typing import ArrayLike, NDArray

_MXINT8 = BlockFormat(name="mxint8", man_bits=8, group=32)


def from_mxint8(scales: ArrayLike, elements: ArrayLike) -> Blocks:
    """OCP MXINT8 as `Blocks` of 8 mantissa bits in groups of 32: a number of 8 bits in two's complement, in units of 2**-6,
    times ``2**(scale - 127)``, is k = |element| with E = scale + 1. k goes up to 128, beyond that of sign and 7 bits. With the
    scale 254, since E = 255 is NaN, it is k = 2 |element| with E = 254, and -2 * 2**127, which FP32 does not have, becomes the
    largest k. A block with the scale 255 is NaN.

    Parameters
    ----------
    scales : numpy.ndarray
        uint8 [..., groups]: E8M0.
    elements : numpy.ndarray
        int8 [..., groups, 32].

    Returns
    -------
    Blocks

    Raises
    ------
    TypeError
        Another dtype.
    ValueError
        The shapes do not fit.
    """
    scales, elements = check_dtype("scales", scales, np.uint8), check_dtype("elements", elements, np.int8)
    if elements.shape != (*scales.shape, _MXINT8.group) or not scales.ndim:
        raise ValueError(f"elements must be of the shape [..., groups, 32] of scales [..., groups], not {elements.shape}")
    codes = np.where(scales >= 254, scales, scales + np.uint8(1))
    magnitudes = np.abs(elements).view(np.uint8)  # of -128 too: as uint8 it is right
    highest = scales == 254
    magnitudes[highest] = np.minimum(2 * magnitudes[highest].astype(np.int16), 255)
    return Blocks(_MXINT8, elements.shape[-2] * _MXINT8.group, codes, 0, elements < 0, magnitudes)


@overload
def to_mxint8(
    x: ArrayLike, *, overflow: str = ..., flags: Literal[False] = ...
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]: ...
@overload
def to_mxint8(
    x: ArrayLike, *, overflow: str = ..., flags: Literal[True]
) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.bool_]]: ...
def to_mxint8(
    x: ArrayLike, *, overflow: str = "saturate", flags: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.int8]] | tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.bool_]]:
    """FP32 values as OCP MXINT8, in blocks of 32 along their last axis.

    The scale is the largest exponent of a block, elements are rounded to the nearest, ties to even, and go from -127 to 127.
    So it is conversion to 8 mantissa bits of which 7 are used, with zeros, subnormals, infinity and NaN as there. A block that
    is NaN has the scale 255 and elements of 0.

    Parameters
    ----------
    x : array_like
        As for `convert`, [..., n].
    overflow : str
        As for `convert`.
    flags : bool
        Whether to return the flags too.

    Returns
    -------
    scales : numpy.ndarray
        uint8 [..., blocks]: E8M0.
    elements : numpy.ndarray
        int8 [..., blocks, 32].
    invalid : numpy.ndarray
        Only if `flags`: bool [..., blocks, 32]: infinity or NaN.

    Raises
    ------
    TypeError, ValueError
        As `convert`.
    """
    if flags:
        blocks, _, invalid = convert(x, _MXINT8, rounding="rne", overflow=overflow, bits=7, flags=True)
    else:
        blocks = convert(x, _MXINT8, rounding="rne", overflow=overflow, bits=7)
    elements = signed(blocks.signs, blocks.magnitudes >> 1, np.int8)
    elements[blocks.is_nan] = 0
    return (blocks.codes, elements, invalid) if flags else (blocks.codes, elements)
