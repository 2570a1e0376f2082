"""What statistics units can be asked for: the names of raw statistics in the order of the hardware's read index.

A count is a pair: its lower 32 bits, and under its name with ``_high`` the rest. Each name is one 32-bit word.
"""

from collections.abc import Iterable, Mapping
from itertools import chain

from narrowfloat.golden.checks import check_int
from narrowfloat.golden.formats import FP32_MAX_EXPONENT

_EXCLUDED = ("zeros", "specials", "missed")


def counts(*names: str) -> tuple[str, ...]:
    """The words of counts: two for each name."""
    return tuple(chain.from_iterable((name, f"{name}_high") for name in names))


def median_slots(bins: int) -> tuple[str, ...]:
    """The counters of a median estimator."""
    return ("total", "below", *(f"bin{i}" for i in range(check_int("bins", bins, 2, 32))), "above", *_EXCLUDED)


def histogram_slots(first: int, last: int) -> tuple[str, ...]:
    """The counters of an exponent histogram."""
    last = check_int("last", last, 1, FP32_MAX_EXPONENT)
    exponents = range(check_int("first", first, 1, last), last + 1)
    return ("total", *(f"exponent{exponent}" for exponent in exponents), *_EXCLUDED)


def median_estimator(bins: int) -> tuple[str, ...]:
    """The raw statistics of a median estimator."""
    return (*counts(*median_slots(bins)), "low", "reach", "pass", "drift")


def exponent_histogram(first: int, last: int) -> tuple[str, ...]:
    """The raw statistics of an exponent histogram."""
    return (*counts(*histogram_slots(first, last)), "median_exponent")


MEDIAN_TRACKER = ("position",)
LOG_MOMENTS = (*counts("total", *_EXCLUDED, "log_sum"), "amax", "mean", "max", "amax_window", "fit_bias")


def words(raw: Mapping[str, int], names: Iterable[str]) -> list[int]:
    """The 32-bit words of `raw`, whole values by name, in the order of `names`."""
    return [int(raw[name.removesuffix("_high")]) >> 32 * name.endswith("_high") & 0xFFFFFFFF for name in names]
