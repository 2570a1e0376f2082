"""The list of SHA-256 by which a change of the shipped Verilog is noticed: ``python -m tests.hdl.pins`` renews it."""

import hashlib
import re
from pathlib import Path

from narrowfloat.hdl.catalog import SHIPPED, find
from narrowfloat.hdl.emit import emit

LIST = Path(__file__).with_name("verilog.sha256")


def digest(text):
    """The SHA-256 of a Verilog text without the places in the source that it names, whose lines move with every edit."""
    return hashlib.sha256(re.sub(r" *// \S+\.py:\d+$", "", text, flags=re.MULTILINE).encode()).hexdigest()


if __name__ == "__main__":
    emissions = [emit(find(name), settings) for name, settings in SHIPPED]
    lines = sorted((f"{emission.module}.v", digest(emission.text)) for emission in emissions)
    LIST.write_text("".join(f"{value}  {file}\n" for file, value in lines))
