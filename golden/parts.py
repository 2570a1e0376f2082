"""Long arrays in parts, whose intermediate results stay in the cache."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 2**15


def parts(size: int, each: int = PART) -> Iterator[slice]:
    """Slices of at most `each` elements that cover `size`."""
    return (slice(start, start + each) for start in range(0, size, each))


def in_parts(
    function: Callable[..., tuple[Any, ...]], results: tuple[NDArray[Any], ...], values: NDArray[Any], *own: NDArray[Any]
) -> None:
    """Fill flat `results` with what ``function(values, *own)`` gives of flat values and their own integers, as int32.

    `own` are flat too, or of no shape.
    """
    for part in parts(values.size):
        each = ((integers[part] if integers.ndim else integers).astype(np.int32, copy=False) for integers in own)
        for result, found in zip(results, function(values[part], *each), strict=True):
            result[part] = found


def take(table: NDArray[Any], keys: NDArray[Any]) -> NDArray[Any]:
    """``table[keys]`` of flat keys, all within the table."""
    values = np.empty(keys.shape, table.dtype)
    for part in parts(keys.size):
        np.take(table, keys[part], out=values[part], mode="wrap")
    return values


def codes_and_flags(
    encode: Callable[..., tuple[Any, Any]], values: NDArray[Any], *own: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What ``encode(values, *own)`` gives of flat values, two arrays, in the shape of `values`; `own` as for `in_parts`."""
    codes, raised = np.empty(values.size, np.uint8), np.empty(values.size, np.uint8)
    in_parts(encode, (codes, raised), values.reshape(-1), *own)
    return codes.reshape(values.shape), raised.reshape(values.shape)
