"""The languages of emitted text, and the same text as SystemVerilog."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A language: its name, the end of its files' names, and what tools call it.

    `standard` is its standard as Verilator and slang have it, `icarus` the option of Icarus Verilog, `file_type` that of
    FuseSoC and IP-XACT.
    """

    name: str
    suffix: str
    standard: str
    icarus: str
    file_type: str


VERILOG = Language("Verilog-2005", ".v", "1364-2005", "-g2005", "verilogSource")
SYSTEM_VERILOG = Language("SystemVerilog", ".sv", "1800-2017", "-g2012", "systemVerilogSource")


def language_of(source):
    """The `Language` of a file of that name."""
    return SYSTEM_VERILOG if source.endswith(SYSTEM_VERILOG.suffix) else VERILOG


# Of what the writer makes: registers, in lists of ports too, and blocks that are triggered by a clock.
_WORDS = (
    (r"^( *)always @\(", r"\1always_ff @("),
    (r"^( *)reg\b", r"\1logic"),
    (r"^( *output) reg  ", r"\1 logic "),
    (r"^( *(?:input |output)) wire ", r"\1 logic "),
)


def systemverilog(text):
    """Verilog-2005 as `writer` makes it, in the words of IEEE 1800-2017: `logic` and `always_ff`."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text, flags=re.MULTILINE)
    return text
