"""Checks of arguments, whose messages quote what was given and what is allowed."""

import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_int(name: str, value: SupportsIndex, low: int, high: int) -> int:
    """`value`, of any integral type, as an int; raise ValueError unless it is from `low` to `high`, inclusive."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        allowed = f"{low}" if low == high else f"an integer from {low} to {high}"
        raise ValueError(f"{name} must be {allowed}, not {value!r}")
    return number


def check_fields(owner: Any, **limits: tuple[int, int]) -> None:
    """Make ints of these fields of a frozen dataclass, and raise ValueError unless they are within their limits."""
    for name, (low, high) in limits.items():
        object.__setattr__(owner, name, check_int(name, getattr(owner, name), low, high))


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")


def check_integers(name: str, values: ArrayLike) -> NDArray[Any]:
    """`values` as an array; raise TypeError unless they are integers."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must be of integers, not {values.dtype}")
    return values


def integers_for(name: str, values: ArrayLike, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The integers, from `low` to `high`, as int64, of no shape or flat, one for each element of `shape`."""
    values = check_integers(name, values)
    for wrong in values[(values < low) | (values > high)][:1]:
        raise ValueError(f"{name} must be from {low} to {high}, not {wrong}")
    values = values.astype(np.int64)
    if values.ndim == 0:
        return values
    try:
        return np.broadcast_to(values, shape).reshape(-1)
    except ValueError:
        raise ValueError(f"{name} of shape {values.shape} does not broadcast to the values' shape {shape}") from None


def check_float32(x: ArrayLike, name: str = "x") -> NDArray[np.float32]:
    """`x` as an array; raise TypeError unless it is float32."""
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"{name} must be float32, not {x.dtype}: convert with .astype(np.float32)")
    return x
