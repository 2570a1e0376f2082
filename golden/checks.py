"""Checks of arguments, whose messages quote what was given and what is allowed."""

import numpy as np


def check_int(name, value, low, high):
    """Raise ValueError unless `value` is an int from `low` to `high`, inclusive."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_choice(name, value, allowed):
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")


def check_integers(name, values):
    """`values` as an array; raise TypeError unless they are integers."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"{name} must be of integers, not {values.dtype}")
    return values


def integers_for(name, values, low, high, shape):
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
