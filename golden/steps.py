"""Functions of magnitudes that rise in few steps, as small tables."""

from collections.abc import Callable
from typing import Any

import numpy as np
from narrowfloat.golden.formats import FP32_INFINITY, FP32_SMALLEST_NORMAL
from numpy.typing import NDArray

WORTH_STEPS = 2**17  # values of which the function is wanted: with fewer, making the table takes longer

Function = Callable[[NDArray[np.uint32]], NDArray[Any]]


class Steps:
    """What `function` gives of the magnitudes of normal FP32 numbers, from a table that is made of it.

    `function` takes uint32 words without a sign and gives integers from 0 to 255, which never fall as the magnitude grows. Of
    other magnitudes the result is any of them.

    The range of the steps is cut into equal pieces that are so short that each has one step at most. The table says how high
    the function is before it and after it, and where it is.
    """

    def __init__(self, function: Function) -> None:
        lowest, highest = function(np.array([FP32_SMALLEST_NORMAL, FP32_INFINITY - 1], np.uint32)).tolist()
        places = _places(function, np.arange(lowest + 1, highest + 1))
        steps = np.unique(places)
        self._first = int(steps[0]) if steps.size else FP32_INFINITY
        self._shift = int(np.diff(steps).min(initial=FP32_INFINITY)).bit_length() - 1
        starts = np.arange(self._first, (steps[-1] if steps.size else self._first) + 1, 1 << self._shift)
        passed = np.searchsorted(steps, starts)
        heights = lowest + np.concatenate([[0], np.searchsorted(places, steps, side="right")]).astype(np.uint8)
        self._before = heights[passed]
        self._after = heights[np.minimum(passed + 1, steps.size)]
        self._step = np.append(steps, FP32_INFINITY)[passed].astype(np.uint32)

    def __call__(self, magnitudes: NDArray[np.uint32]) -> NDArray[np.uint8]:
        piece = magnitudes.view(np.int32) - np.int32(self._first) >> np.int32(self._shift)
        is_after = magnitudes >= self._step.take(piece, mode="clip")
        return np.where(is_after, self._after.take(piece, mode="clip"), self._before.take(piece, mode="clip"))


def _places(function, results):
    """The least magnitude of which `function` gives each of `results`, or more, by halving: int64."""
    low, high = np.full(results.shape, FP32_SMALLEST_NORMAL), np.full(results.shape, FP32_INFINITY - 1)
    while (low < high).any():
        middle = low + high >> 1
        is_there = function(middle.astype(np.uint32)) >= results
        low, high = np.where(is_there, low, middle + 1), np.where(is_there, middle, high)
    return low
