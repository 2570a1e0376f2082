"""Checks of arguments, whose messages quote what was given and what is allowed."""

import math
import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


def check_int(name: str, value: SupportsIndex, low: int, high: int | None) -> int:
    """`value`, of any integral type, as an int; raise ValueError unless it is from `low` to `high`, if that is not None."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        up_to = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
        allowed = f"{low}" if low == high else up_to
        raise ValueError(f"{name} must be {allowed}, not {value!r}")
    return number


def check_number(name: str, value: Any, above: float = -math.inf) -> float:
    """`value`, an integer or float of any type, as a float; raise ValueError unless it is finite and above `above`."""
    try:
        number = math.nan if isinstance(value, (bool, np.bool_, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not above < number < math.inf:
        more = "" if above == -math.inf else f" above {above:g}"
        raise ValueError(f"{name} must be a finite number{more}, not {value!r}")
    return number


def check_fields(owner: Any, **limits: tuple[int, int]) -> None:
    """Make ints of these fields of a frozen dataclass, and raise ValueError unless they are within their limits."""
    for name, (low, high) in limits.items():
        object.__setattr__(owner, name, check_int(name, getattr(owner, name), low, high))


def check_choice(name: str, value: object, allowed: Iterable[Any]) -> Any:
    """The one of `allowed`, texts or ints, that `value` is, if an integer then of any type; raise ValueError if it is none."""
    choices = tuple(allowed)
    if isinstance(value, bool) or not isinstance(value, (str, int, np.integer)) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
    return choices[choices.index(value)]


def check_integers(name: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as an array; raise TypeError unless they are integers."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must be of integers, not {values.dtype}")
    return values


def integers_within(name: str, values: ArrayLike, low: int, high: int) -> NDArray[np.int64]:
    """`values` as an array of int64; raise TypeError unless they are integers, and ValueError unless from `low` to `high`."""
    values = check_integers(name, values)
    _check_range(name, values, low, high)
    return values.astype(np.int64, copy=False)


def integers_for(name: str, values: ArrayLike, low: int, high: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """The integers, from `low` to `high`, of no shape or flat, one for each element of `shape`; of their own type or int32."""
    values = check_integers(name, values)
    _check_range(name, values, low, high)
    if values.shape == shape:  # as they are, because a copy takes memory
        return values.reshape(-1) if shape else values
    values = values.astype(np.int32)
    if values.ndim == 0:
        return values
    try:
        return np.broadcast_to(values, shape).reshape(-1)
    except ValueError:
        raise ValueError(f"{name} of shape {values.shape} does not broadcast to the values' shape {shape}") from None


def check_random_bits(random_bits: ArrayLike | None, sr_bits: int, shape: tuple[int, ...], owner: str) -> NDArray[Any]:
    """What rounding "sr" adds, as an array; raise TypeError or ValueError unless it has the shape, which is that of `owner`."""
    highest = 2**sr_bits - 1
    if random_bits is None:
        raise ValueError(f"rounding 'sr' needs random_bits: for each number an integer from 0 to {highest} (see golden.lfsr)")
    random_bits = check_integers("random_bits", random_bits)
    if random_bits.shape != shape:
        raise ValueError(f"random_bits must have the shape of {owner}, {shape}, not {random_bits.shape}")
    _check_range("random_bits", random_bits, 0, highest)
    return random_bits


def check_dtype(name: str, values: ArrayLike, *allowed: DTypeLike) -> NDArray[Any]:
    """`values` as an array; raise TypeError unless it is of an allowed dtype."""
    values, dtypes = np.asarray(values), [np.dtype(each) for each in allowed]
    if values.dtype not in dtypes:
        names = " or ".join(map(str, dtypes))
        raise TypeError(f"{name} must be {names}, not {values.dtype}: convert with .astype(np.{dtypes[0]})")
    return values


def check_codes(name: str, codes: ArrayLike, bits: int, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """`codes` as an array; raise TypeError or ValueError unless they are of the dtype and have so many bits."""
    codes = check_dtype(name, codes, dtype)
    if codes.max(initial=0) >= 2**bits:
        raise ValueError(f"{name} must be from 0 to {2**bits - 1:#x}, not {codes[codes >= 2**bits][0]:#x}")
    return codes


def _check_range(name, values, low, high):
    if values.size and (values.min() < low or values.max() > high):
        check_int(name, int(values[(values < low) | (values > high)][0]), low, high)
