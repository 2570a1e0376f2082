"""How long names of modules may be, and how longer ones are cut."""

import hashlib

MAX_NAME = 100  # characters of a module's name: some tools take 127 of a name within a hierarchy
# Of the name of the top at the front of other modules' names: so lines with these stay short, too.
MAX_PREFIX = 64
_DIGITS = 8


def shortened(name, longest=MAX_NAME):
    """A name; of one that is longer its beginning and a hash of the whole."""
    if len(name) <= longest:
        return name
    return f"{name[: longest - _DIGITS - 1]}_{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}"
