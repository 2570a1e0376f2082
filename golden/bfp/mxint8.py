"""OCP MXINT8 as block floating point, and back."""

import numpy as np
from narrowfloat.golden.bfp.blocks import Blocks, convert
from narrowfloat.golden.checks import check_dtype
from narrowfloat.golden.formats import BlockFormat
from numpy.typing import ArrayLike, NDArray

_MXINT8 = BlockFormat(name="mxint8", man_bits=8, group=32)


def from_mxint8(scales: ArrayLike, elements: ArrayLike) -> Blocks:
    """OCP MXINT8 as `Blocks` of 8 mantissa bits in groups of 32: a number of 8 bits in two's complement, in units of 2**-6,
    times ``2**(scale - 127)``, is k = |element| with E = scale + 1. k goes up to 128, beyond that of sign and 7 bits.

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
        The shapes do not fit, or a scale is 255, which is NaN and has no counterpart.
    """
    scales, elements = check_dtype("scales", scales, np.uint8), check_dtype("elements", elements, np.int8)
    if elements.shape != (*scales.shape, _MXINT8.group) or not scales.ndim:
        raise ValueError(f"elements must be of the shape [..., groups, 32] of scales [..., groups], not {elements.shape}")
    if (scales == 255).any():
        raise ValueError("a scale of 255 is NaN, which block floating point does not have: replace that block first")
    magnitudes = np.abs(elements.astype(np.int16)).astype(np.uint8)
    return Blocks(_MXINT8, elements.shape[-2] * _MXINT8.group, scales + np.uint8(1), 0, elements < 0, magnitudes)


def to_mxint8(x: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """FP32 values as OCP MXINT8, in blocks of 32 along their last axis.

    The scale is the largest exponent of a block, elements are rounded to the nearest, ties to even, and go from -127 to 127.
    So it is conversion to 8 mantissa bits of which 7 are used, with zeros, subnormals, infinity and NaN as there.

    Parameters
    ----------
    x : array_like
        As for `convert`, [..., n].

    Returns
    -------
    scales : numpy.ndarray
        uint8 [..., blocks]: E8M0.
    elements : numpy.ndarray
        int8 [..., blocks, 32].

    Raises
    ------
    TypeError, ValueError
        As `convert`.
    """
    blocks = convert(x, _MXINT8, rounding="rne", bits=7)
    return blocks.codes, (blocks.integers >> 1).astype(np.int8)
