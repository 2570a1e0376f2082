"""Fills measured figures and generated tables in README.md and docs/, from committed JSON and from the formats themselves.

In a sentence a figure stands between two comments, a table stands between two comments on lines of their own:

    It takes <!-- figure: area("fast_mac", accumulator="fixed") -->1525<!-- end --> GE.

    <!-- table: codec_lane() -->
    ...
    <!-- end -->

Each comment holds an expression of functions in `tables.py`, `formats.py` and `experiments.py`. Without arguments the script
fills every page in. With `--check` it changes nothing, names the pages that are out of date, and fails if there are any.
"""

import argparse
import re
import sys
from pathlib import Path

from docs.scripts import experiments, formats, specials, tables

ROOT = Path(__file__).resolve().parents[2]
_MARKED = re.compile(r"<!-- (figure|table): (.+?) -->(.*?)<!-- end -->", re.DOTALL)


def pages():
    """README.md and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text):
    """`text` with the value of each marked expression in its place."""
    return _MARKED.sub(_value, text)


def _value(match):
    kind, expression, _ = match.groups()
    value = str(eval(expression, vars(tables) | vars(formats) | vars(experiments) | vars(specials)))
    space = "" if kind == "figure" else "\n\n"
    return f"<!-- {kind}: {expression} -->{space}{value}{space}<!-- end -->"


def without_figures(text):
    """`text` without what is filled in."""
    return _MARKED.sub("", text)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m docs.scripts.figures", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is out of date")
    options = parser.parse_args(arguments)
    old = [page for page in pages() if filled(page.read_text()) != page.read_text()]
    for page in old:
        print(
            f"{page.relative_to(ROOT)}: {'out of date; run python -m docs.scripts.figures' if options.check else 'filled in'}"
        )
        if not options.check:
            page.write_text(filled(page.read_text()))
    return 1 if options.check and old else 0


if __name__ == "__main__":
    sys.exit(main())
