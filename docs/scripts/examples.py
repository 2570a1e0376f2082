"""The pages of the examples, README.md in `examples/` and in each folder of it, as pages of the site."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?<=\]\()[^():#]+\.md(?=[)#])")


def files():
    """The files of all pages, that of `examples/` first."""
    return [ROOT / "examples" / "README.md", *sorted((ROOT / "examples").glob("*/README.md"))]


def pages():
    """Every page: its path in the site, its title, and its text."""
    for path in files():
        text = path.read_text()
        yield _place(path), re.match("# (.+)", text)[1], relinked(text, path)


def relinked(text, path):
    """The `text` of the page in the file `path`, whose links to other files name their pages in the site."""
    folder = _place(path).rpartition("/")[0] or "."
    return _LINK.sub(lambda link: os.path.relpath(_place((path.parent / link[0]).resolve()), folder), text)


def _place(path):
    """Where the page of a file is in the site."""
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix()
    place = path.relative_to(ROOT).as_posix()
    return "examples/index.md" if place == "examples/README.md" else place.replace("/README.md", ".md")
