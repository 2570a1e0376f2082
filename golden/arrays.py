"""Arrays of numbers as public functions take them, and of state as objects hand them out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_WITHIN_FP32 = ("float32", "float16", "bfloat16")  # by name, so that ml_dtypes, which has the last, need not be imported


def as_fp32(name: str, values: ArrayLike) -> NDArray[np.float32]:
    """`values` as an array of float32; raise TypeError for what is not meant to be.

    Arrays and scalars of float32, float16 and bfloat16 are float32 numbers exactly. Python's own numbers, alone or in lists and
    tuples, have no dtype: each is rounded to the nearest float32 number. All others are refused, float64 because a second
    rounding, to a format, can then give another number than a single one.
    """
    for leaf in _leaves(values):
        dtype = None if type(leaf) in (int, float) else np.asarray(leaf).dtype
        if dtype is not None and dtype.name not in _WITHIN_FP32:
            twice = ", which would be rounded twice, first to float32" if dtype == np.float64 else ""
            raise TypeError(
                f"{name} must be float32, float16, bfloat16 or Python's own numbers, not {dtype}{twice}: "
                "convert with .astype(np.float32), if that is meant"
            )
    with np.errstate(over="ignore"):  # the nearest number to what is too large is infinity
        return np.asarray(values, np.float32)


def _leaves(values: Any) -> Iterator[Any]:
    """What nested lists and tuples hold."""
    if isinstance(values, (list, tuple)):
        for each in values:
            yield from _leaves(each)
    else:
        yield values


def snapshot(state: NDArray[Any]) -> NDArray[Any]:
    """A copy of an array of state, read-only: writing to it would look as if it changed the state."""
    copy = state.copy()
    copy.flags.writeable = False
    return copy
