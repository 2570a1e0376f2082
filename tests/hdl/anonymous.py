"""How many names in the shipped Verilog the source has none for: ``python -m tests.hdl.anonymous`` lists it by module.

A name is one of a declared wire or register. Those that are no signal, field, port or instance of the source, nor bits of
one, are called expr and a number: results of operators that are used more than once, or too large to stand where they are.
"""

import re

from narrowfloat.hdl.catalog import SHIPPED, find
from narrowfloat.hdl.emit import emit


def count(text):
    """How many names are declared in a Verilog text, and how many of them are anonymous."""
    names = re.findall(r"^  (?:wire|reg) (?:\[\d+:\d+\] )?(\w+)", text, re.MULTILINE)
    return len(names), sum(re.fullmatch(r"expr\d+(?:_\d+)?", name) is not None for name in names)


if __name__ == "__main__":
    for name, settings in SHIPPED:
        emission = emit(find(name), settings)
        names, anonymous = count(emission.text)
        print(f"{emission.module}: {anonymous} of {names}, {anonymous / names:.1%}")
