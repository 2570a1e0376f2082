"""The same text as SystemVerilog."""

import re

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
