"""What the docstrings of a block say of it, for its data sheet."""

import inspect
import re

from narrowfloat.golden.rounding import Flag, LogFlag
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files import markdown

_SWITCH = re.compile(r"[Ww]ith `(\w+)`:")


class Prose:
    """The docstrings of a component and of its base classes, as far as they go for a module with these `values` of parameters.

    Left out are designs that it does not have; of a table that is headed by the name of a parameter, the rows of other values;
    and rows and rules that begin with "with" and the name of a switch that is off.

    Attributes
    ----------
    fields : dict of str
        By FIELD, PORT or STREAM.FIELD, what it means: the items of the sections ``Fields``.
    protocol : dict of str
        By subject, what whoever drives it keeps to: the items of the sections ``Protocol``.
    text : str
        What it computes, as Markdown.
    others : dict of str
        The same of the designs that `text` names, by their names.
    """

    def __init__(self, component, values):
        self._values = values
        self.fields, protocol = {}, {}
        for base in reversed(component.__mro__):
            _, sections = markdown.sections(_docstring(base))
            self.fields |= markdown.items(sections.get("Fields", ""))
            protocol |= markdown.items(sections.get("Protocol", ""))
        self.protocol = {subject: text for subject, text in protocol.items() if self._holds(text)}
        self.text = self._computes(component)
        absent = component.absent(values)
        self.others = {
            design.name: self._computes(design.component)
            for design in DESIGNS.values()
            if design.component not in (component, *absent) and f"`{design.name}`" in self.text
        }

    def of(self, port, field):
        """What a field of a port means, or "" if nobody says."""
        stream = port.rpartition("_t")[0]
        stem = field.rstrip("0123456789")
        return self.fields.get(f"{stream}.{stem}", self.fields.get(stem, ""))

    def _holds(self, text):
        """Whether `text` does not begin with a switch that is off."""
        found = _SWITCH.match(text)
        return not (found and self._values.get(found[1]) is False)

    def _computes(self, component):
        """The text of a docstring, with designs in place of blocks."""
        text, _ = markdown.sections(_docstring(component))
        for design in DESIGNS.values():
            text = text.replace(f"`{design.component.__name__}`", f"`{design.name}`")
        lines, value = [], None
        for line in markdown.docstring(text).splitlines():
            first, second = [*(each.strip() for each in line.strip("|").split(" | ", 2)), ""][:2]
            if not line.startswith("|"):
                value = None
            elif lines[-1:] == [""]:
                value = self._values.get(first)  # of the parameter that heads the table
            elif first != "---" and (isinstance(value, str) and first != value or not self._holds(second)):
                continue
            lines.append(line)
        return re.sub("\n{3,}", "\n\n", "\n".join(lines))


def flag_meanings():
    """What raises each flag, by its name."""
    meant = {}
    for kind in (LogFlag, Flag):  # the latter has the whole text of INVALID
        meant |= markdown.items(markdown.sections(_docstring(kind))[1]["Members"])
    return meant


def _docstring(component):
    return inspect.cleandoc(vars(component).get("__doc__") or "")
