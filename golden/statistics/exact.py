"""The bias that suits a tensor, from the exact median of its magnitudes."""

import numpy as np
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.formats import BIAS_MAX
from narrowfloat.golden.specials import counts
from numpy.typing import ArrayLike


def exact_median_bias(x: ArrayLike, *, bias_min: int = 10, bias_max: int = 40) -> int:
    """The bias whose reference median, ``2**(16 - bias)``, is nearest to the median of ``|x|``.

    >>> exact_median_bias(np.float32([0.001, 0.002, 0.0025, 0, 7]))
    25

    Zeros, subnormals, infinities and NaN are left out. Of an even number of values the lower one of the middle two is the
    median. Halfway between two reference medians, the larger one and so the smaller bias is taken.

    Parameters
    ----------
    x : array_like
        float32, float16, bfloat16 or Python's own numbers (see `golden.arrays.as_fp32`), any shape.
    bias_min, bias_max : int
        The result is clamped to these, which are from 0 to 63. The paper's table of biases goes from 10 to 40.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        `x` is of another dtype.
    ValueError
        `x` holds no finite normal value, or `bias_min` and `bias_max` are out of range or exchanged.
    """
    x = as_fp32("x", x)
    bias_max = check_int("bias_max", bias_max, 0, BIAS_MAX)
    bias_min = check_int("bias_min", bias_min, 0, bias_max)
    magnitude = x.reshape(-1).view(np.uint32) & 0x7FFFFFFF
    counted = counts(magnitude)
    if not counted.all():
        magnitude = magnitude[counted]
    if magnitude.size == 0:
        raise ValueError(f"the median needs a finite normal value, and none of the {x.size} values is one")
    middle = (magnitude.size - 1) // 2
    magnitude.partition(middle)
    median = int(magnitude[middle])
    # FP32 words grow with their values: adding half an octave and cutting off the mantissa gives the nearest power of two
    nearest = (median + 0x400000 >> 23) - 127
    return min(max(16 - nearest, bias_min), bias_max)
