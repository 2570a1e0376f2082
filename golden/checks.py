"""Checks of arguments, whose messages quote what was given and what is allowed."""


def check_int(name, value, low, high):
    """Raise ValueError unless `value` is an int from `low` to `high`, inclusive."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {value!r}")


def check_choice(name, value, allowed):
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")
