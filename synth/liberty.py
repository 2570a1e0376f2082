"""Liberty files: reading them as trees of groups, and what their cells compute."""

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from narrowfloat.tools import yosys

_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|\\\r?\n|\s+|("(?:[^"\\]|\\.)*"|[^\s(){}:;,"/\\]+|.)', re.DOTALL)


@dataclass
class Group:
    """``kind (arguments) { ... }``, in its order: groups, simple attributes (name, text), complex ones (name, [arguments])."""

    kind: str
    arguments: list
    items: list = field(default_factory=list)

    @property
    def name(self):
        return self.arguments[0].strip('"')

    def all(self, kind):
        """The groups of that kind right in this one."""
        return [item for item in self.items if isinstance(item, Group) and item.kind == kind]

    def get(self, name):
        """The value of a simple attribute without its quotes, or None."""
        return next((item[1].strip('"') for item in self.items if not isinstance(item, Group) and item[0] == name), None)

    def set(self, name, value):
        """Give a simple attribute that is there another value."""
        self.items = [(name, f'"{value}"') if not isinstance(item, Group) and item[0] == name else item for item in self.items]

    def lines(self, indent=""):
        """The text of the group, line by line."""
        yield f"{indent}{self.kind} ({', '.join(self.arguments)}) {{"
        for item in self.items:
            if isinstance(item, Group):
                yield from item.lines(indent + "  ")
            elif isinstance(item[1], list):
                yield f"{indent}  {item[0]} ({', '.join(item[1])});"
            else:
                yield f"{indent}  {item[0]} : {item[1]};"
        yield f"{indent}}}"


def parse(text):
    """The library group of the Liberty file whose content is `text`.

    Raises
    ------
    ValueError
        It is not Liberty.
    """
    tokens = [match[1] for match in _TOKEN.finditer(text) if match[1]]
    try:
        group, _ = _statement(tokens, 0)
    except (IndexError, ValueError, StopIteration):  # it ends early, or a bracket is missing
        group = None
    if not isinstance(group, Group) or group.kind != "library":
        raise ValueError("not a Liberty file: it must be one library (NAME) { ... }")
    return group


def _statement(tokens, at):
    """The group, or the (name, value), or the (name, [arguments]) that begins at `at`, and where the next begins."""
    name = tokens[at]
    if tokens[at + 1] == ":":
        end = next(index for index in range(at + 2, len(tokens)) if tokens[index] in (";", "}"))
        return (name, " ".join(tokens[at + 2 : end])), end + (tokens[end] == ";")
    end = tokens.index(")", at)
    arguments = [token for token in tokens[at + 2 : end] if token != ","]
    at = end + 1
    if tokens[at] != "{":
        return (name, arguments), at + (tokens[at] == ";")
    group = Group(name, arguments)
    at += 1
    while tokens[at] != "}":
        if tokens[at] == ";":
            at += 1
            continue
        inner, at = _statement(tokens, at)
        group.items.append(inner)
    return group, at + 1


def models(text, write="write_verilog -noattr"):
    """Verilog modules of what the cells of a Liberty file do, without delays; or what another command of Yosys writes of it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cells.lib").write_text(text)
        yosys(f"read_liberty -ignore_miss_func cells.lib\n{write} cells.out", folder)
        return (Path(folder) / "cells.out").read_text()


def functions(text):
    """What the combinational cells of a Liberty file compute, as Yosys reads it.

    Returns
    -------
    dict
        By the cell's name: "area"; "inputs", a list of pins; "outputs", for each pin its truth table as an integer whose bit i
        is the output where input j is bit j of i. Cells with registers or tri-state outputs are left out.
    """
    modules = json.loads(models(text, "write_json"))["modules"]
    tables = {name: _truth_tables(module) for name, module in modules.items()}
    return {name: table for name, table in tables.items() if table}


_GATES = {
    "$_BUF_": lambda a: a,
    "$_NOT_": lambda a: ~a,
    "$_AND_": lambda a, b: a & b,
    "$_OR_": lambda a, b: a | b,
    "$_XOR_": lambda a, b: a ^ b,
}


def _truth_tables(module):
    ports = module["ports"]
    inputs = [name for name, port in ports.items() if port["direction"] == "input"]
    gates = list(module["cells"].values())
    if len(inputs) > 6 or any(gate["type"] not in _GATES for gate in gates):
        return None
    rows = range(2 ** len(inputs))
    known = {ports[name]["bits"][0]: sum((row >> index & 1) << row for row in rows) for index, name in enumerate(inputs)}
    known |= {"0": 0, "1": -1}
    while gates:
        ready = [gate for gate in gates if all(bits[0] in known for pin, bits in gate["connections"].items() if pin != "Y")]
        for gate in ready:
            pins = gate["connections"]
            known[pins["Y"][0]] = _GATES[gate["type"]](*(known[pins[pin][0]] for pin in ("A", "B") if pin in pins))
        gates = [gate for gate in gates if gate not in ready]
        if not ready and gates:
            return None
    outputs = {name: port["bits"][0] for name, port in ports.items() if port["direction"] == "output"}
    if any(bit not in known for bit in outputs.values()):
        return None
    tables = {name: known[bit] & (1 << len(rows)) - 1 for name, bit in outputs.items()}
    return {"area": float(module["attributes"].get("area", 0)), "inputs": inputs, "outputs": tables}
