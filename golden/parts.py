"""Long arrays in parts, whose intermediate results stay in the cache."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 2**16


def parts(size: int) -> Iterator[slice]:
    """Slices that cover `size` elements."""
    return (slice(start, start + PART) for start in range(0, size, PART))


def codes_and_flags(
    encode: Callable[..., tuple[Any, Any]], x: NDArray[np.float32], *own: NDArray[Any]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What ``encode(words, *own)`` gives of flat words, two arrays, in the shape of `x`; `own` are flat or of no shape."""
    words = x.reshape(-1).view(np.uint32)
    codes, raised = np.empty(words.shape, np.uint8), np.empty(words.shape, np.uint8)
    for part in parts(words.size):
        codes[part], raised[part] = encode(words[part], *(each[part] if each.ndim else each for each in own))
    return codes.reshape(x.shape), raised.reshape(x.shape)
