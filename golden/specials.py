"""What becomes of NaN and infinity: one rule for every family, which docs/special-values.md shows value by value.

1. NaN stays NaN wherever the target has one: a code of its own, or the exponent 255 of a group, whose numbers then all are
   NaN. Where there is none it becomes the largest number, with its sign.
2. Infinity, and what is too large once it is rounded, become what `overflow` says: with "saturate" the largest number, with
   "format" the target's infinity, else its NaN, else the largest number. Signs stay.
3. INVALID is raised where NaN or infinity became something else, or made NaN of a group. Finite numbers raise OVERFLOW or
   SATURATED.
4. Statistics count neither: estimators, calibration, the exponent of a block, the sums of the precision policy. Only a block
   that can be NaN becomes so by its NaN; and one in which nothing else is above zero has the exponent of FP32's largest number.
5. A sum in FP32 of which a product is NaN is NaN and stays so; a sum in fixed point goes on and is marked as saturated.

The format of Sadi et al. as printed, underflow "clamp_exponent", reads both as numbers, as its Algorithm 1 does.
"""

from typing import Any

from narrowfloat.golden.formats import FP32_INFINITY, FP32_SMALLEST_NORMAL
from numpy.typing import NDArray


def counts(magnitudes: NDArray[Any]) -> NDArray[Any]:
    """Whether statistics count FP32 words without their sign: normal numbers do, bool in the shape of `magnitudes`."""
    counted = magnitudes >= FP32_SMALLEST_NORMAL
    counted &= magnitudes < FP32_INFINITY
    return counted
