"""Arrays of numbers as public functions take them, and of state as objects hand them out."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_WITHIN_FP32 = ("float32", "float16", "bfloat16")  # by name, so that ml_dtypes, which has the last, need not be imported


def as_fp32(name: str, values: ArrayLike) -> NDArray[np.float32]:
    """`values` as an array of float32; raise TypeError for what is not meant to be.

    Arrays and scalars of float32, float16 and bfloat16 are float32 numbers exactly. Python's own numbers, alone or in lists and
    tuples, have no dtype: each is rounded once, to the nearest float32 number, ints of any size too. All others are refused,
    float64 because a second rounding, to a format, can then give another number than a single one.
    """
    with np.errstate(over="ignore"):  # the nearest number to what is too large is infinity
        return np.asarray(_within_float64(name, values), np.float32)


def _within_float64(name: str, values: Any) -> Any:
    """`values` with ints that round to float32 as they did and that float64, which NumPy makes of them first, holds."""
    if isinstance(values, (list, tuple)):
        return [_within_float64(name, each) for each in values]
    if type(values) is int:
        return _rounded_to_odd(values)
    if type(values) is float:
        return values
    dtype = np.asarray(values).dtype
    if dtype.name not in _WITHIN_FP32:
        twice = ", which would be rounded twice, first to float32" if dtype == np.float64 else ""
        raise TypeError(
            f"{name} must be float32, float16, bfloat16 or Python's own numbers, not {dtype}{twice}: "
            "convert with .astype(np.float32), if that is meant"
        )
    return values


def _rounded_to_odd(number: int) -> int:
    """`number` in 53 bits, more than two beyond those of float32, the last of which is set if a lower one was."""
    magnitude = min(abs(number), 2**128)  # infinity from here on
    below = max(magnitude.bit_length() - 53, 0)
    kept = magnitude >> below
    kept |= kept << below != magnitude
    return kept << below if number >= 0 else -(kept << below)


def snapshot(state: NDArray[Any]) -> NDArray[Any]:
    """A copy of an array of state, read-only: writing to it would look as if it changed the state."""
    copy = state.copy()
    copy.flags.writeable = False
    return copy
