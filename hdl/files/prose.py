"""What the docstrings of a block say of it, for its data sheet."""

import inspect
import re

from narrowfloat.golden.rounding import Flag, LogFlag
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files import markdown


class Prose:
    """The docstrings of a component and of its base classes.

    Attributes
    ----------
    fields : dict of str
        By FIELD, PORT or STREAM.FIELD, what it means: the items of the sections ``Fields``.
    protocol : dict of str
        By subject, what whoever drives it keeps to: the items of the sections ``Protocol``.
    """

    def __init__(self, component):
        self._component = component
        self.fields, self.protocol = {}, {}
        for base in reversed(component.__mro__):
            _, sections = markdown.sections(_docstring(base))
            self.fields |= markdown.items(sections.get("Fields", ""))
            self.protocol |= markdown.items(sections.get("Protocol", ""))

    def of(self, port, field):
        """What a field of a port means, or "" if nobody says."""
        stream = port.rpartition("_t")[0]
        stem = field.rstrip("0123456789")
        return self.fields.get(f"{stream}.{stem}", self.fields.get(stem, ""))

    @property
    def text(self):
        """What it computes, as Markdown; what it does as another design does is said by that one's docstring, below."""
        own = _docstring(self._component)
        others = {
            design.component.__name__: design
            for design in DESIGNS.values()
            if design.component is not self._component and f"`{design.component.__name__}`" in markdown.sections(own)[0]
        }
        parts = [_computes(self._component)]
        for design in others.values():
            parts += [f"### What `{design.name}` computes", _computes(design.component)]
        return "\n\n".join(parts)


def flag_meanings():
    """What raises each flag, by its name."""
    meant = {}
    for kind in (LogFlag, Flag):  # the latter has the whole text of INVALID
        meant |= markdown.items(markdown.sections(_docstring(kind))[1]["Members"])
    return meant


def _docstring(component):
    return inspect.cleandoc(vars(component).get("__doc__") or "")


def _computes(component):
    text, _ = markdown.sections(_docstring(component))
    for design in DESIGNS.values():
        text = text.replace(f"`{design.component.__name__}`", f"`{design.name}`")
    return re.sub("\n{3,}", "\n\n", markdown.docstring(text))
