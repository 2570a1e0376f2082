"""The choice of a tensor's precision."""

import math

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.bfp.blocks import NAN_EXPONENT, chunks, convert, counted_words
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.formats import MAX_GROUP, BlockFormat
from numpy.typing import ArrayLike

SUM_BITS = 40  # of the sums of the precision policy
MIN_SUM_BITS, MAX_SUM_BITS = 16, 64
EPSILON_BITS = 16  # fraction bits of alpha and beta


def relative_improvement(
    x: ArrayLike,
    fmt: BlockFormat | str,
    reference: int,
    *,
    overflow: str = "saturate",
    offset: int = 0,
    width: int = SUM_BITS,
) -> tuple[int, int, bool]:
    """Both sums of what 4 mantissa bits improve on 2: ``sum(|BFP4 - BFP2|)`` and ``sum(|BFP2|)`` over a tensor.

    Whatever the rounding and the precision that a tensor is converted with, its sums are those of truncation: with k = 4 h + l
    of 4 bits, ``|BFP4 - BFP2|`` is l and ``|BFP2|`` is 4 h in units of ``2**(E - 127 - 3)``. A group adds the sum of its l, and
    that of its 4 h, times ``2**(E - reference)``, rounded down, to integers that stop at their largest value; infinity and NaN
    add nothing, nor does a group that is NaN.

    Parameters
    ----------
    x : array_like
        As for `convert`, [..., n].
    fmt : BlockFormat or str
        Its group and exponent count, its mantissa does not.
    reference : int
        0 to 255; for a largest exponent in the tensor of ``reference + 14`` a million numbers fit in 40 bits.
    overflow, offset
        As for `convert`.
    width : int
        Bits of the sums, 16 to 64.

    Returns
    -------
    numerator, denominator : int
    saturated : bool
        Whether one of them stopped.

    Raises
    ------
    TypeError, ValueError
        As `convert`; `reference` or `width` is out of range.
    """
    fmt = BlockFormat.of(fmt)
    reference = check_int("reference", reference, 0, 255)
    width = check_int("width", width, MIN_SUM_BITS, MAX_SUM_BITS)
    four = BlockFormat(name="bfp4", man_bits=4, exp_bits=fmt.exp_bits, group=fmt.group)
    x = as_fp32("x", x)
    if not np.isfinite(x).all():
        x = counted_words(x.view(np.uint32), fmt, overflow).view(np.float32)
    blocks = convert(x, four, overflow=overflow, offset=offset)
    exponents = blocks.exponents.ravel()
    first = int(exponents.min(initial=NAN_EXPONENT))
    # sums of at most 64 numbers up to 3, which uint8 holds
    high, low = np.einsum("kij->ki", chunks(blocks).reshape(2, -1, fmt.group))
    values = np.arange(3 * MAX_GROUP + 1)
    shape = int(exponents.max(initial=first)) - first + 1, len(values)
    totals = []
    for sums, step in ((low, 1), (high, 4)):
        # how many groups have an exponent and a sum
        counts = np.bincount((exponents - first) * len(values) + sums, minlength=math.prod(shape)).reshape(shape)
        total = 0
        for exponent in (np.flatnonzero(counts.any(axis=1)) + first).tolist():
            if exponent != NAN_EXPONENT:
                shift = exponent - reference
                total += int(counts[exponent - first] @ (step * values >> min(max(-shift, 0), 63))) << max(shift, 0)
        totals.append(total)
    largest = 2**width - 1
    numerator, denominator = (min(total, largest) for total in totals)
    return numerator, denominator, max(totals) > largest


def precision(
    numerator: int,
    denominator: int,
    *,
    alpha: int,
    beta: int,
    iteration: int,
    iterations: int,
    layer: int,
    layers: int,
) -> int:
    """Mantissa bits for a tensor, 2 or 4, from its `relative_improvement`: 4 if that is at least epsilon.

    ``epsilon = max(0, alpha - beta * iteration / iterations - beta * layer / layers)``, and the comparison is of integers:
    nothing is divided or rounded. A tensor of zeros gets 4.

    Parameters
    ----------
    numerator, denominator : int
        The two sums, 0 or more.
    alpha, beta : int
        0 to 65535, in units of 2**-16. As far as is known the paper has 0.6 and 0.3.
    iteration, iterations, layer, layers : int
        Which one of how many.

    Returns
    -------
    int
        2 or 4.

    Raises
    ------
    ValueError
        `alpha` or `beta` is out of range, a number is negative, or `iterations` or `layers` is 0.
    """
    alpha, beta = (check_int(name, value, 0, 2**EPSILON_BITS - 1) for name, value in (("alpha", alpha), ("beta", beta)))
    numerator, denominator = check_int("numerator", numerator, 0, None), check_int("denominator", denominator, 0, None)
    iteration, iterations = check_int("iteration", iteration, 0, None), check_int("iterations", iterations, 1, None)
    layer, layers = check_int("layer", layer, 0, None), check_int("layers", layers, 1, None)
    epsilon = alpha * iterations * layers - beta * iteration * layers - beta * layer * iterations
    return 4 if (numerator << EPSILON_BITS) * iterations * layers >= max(0, epsilon) * denominator else 2
