"""Netlists of modules as Yosys' write_json has them: words that cells drive, and which of their bits are used."""

import json
from dataclasses import dataclass, field
from functools import cached_property

# Cells of which a bit of the result depends on the same bit of the operands, and others as a whole, as the select of a $mux.
BITWISE = {
    "$and": ("A", "B"),
    "$or": ("A", "B"),
    "$xor": ("A", "B"),
    "$xnor": ("A", "B"),
    "$not": ("A",),
    "$mux": ("A", "B"),
    "$pmux": ("A", "B"),
}
# Cells of which a bit of the result depends on those of the operands up to it.
CARRYING = {"$add": ("A", "B"), "$sub": ("A", "B"), "$mul": ("A", "B"), "$neg": ("A",), "$shl": ("A",), "$pos": ("A",)}
REGISTERS = ("$dff", "$adff")
# Cells that work bit by bit, of either kind.
_PLACEWISE = BITWISE | dict.fromkeys(REGISTERS, ("D",))
ZERO = "0"


@dataclass(eq=False)
class Cell:
    """A cell: its type, parameters (texts of bits, or others), the bits at its inputs by port, and where it comes from."""

    name: str
    type: str
    parameters: dict
    inputs: dict
    outputs: dict
    source: str

    def number(self, name):
        """An integer parameter."""
        return int(self.parameters[name], 2)

    @property
    def is_operator(self):
        """Whether it is neither an instance nor a register nor a part of a memory."""
        return self.type.startswith("$") and self.type not in REGISTERS and not self.type.startswith("$mem")

    @cached_property
    def is_signed(self):
        """Whether its operands are numbers in two's complement."""
        return all(self.number(name) for name in ("A_SIGNED", "B_SIGNED") if name in self.parameters)


@dataclass(eq=False)
class Word:
    """Bits that something drives together: `cell` at its output `port`, or an input of the module, where `cell` is None.

    `first` is the place of the lowest of `bits` in the cell's result: bits that nothing uses are left out at both ends.
    """

    cell: Cell | None
    port: str
    bits: tuple
    first: int = 0

    @property
    def is_logic(self):
        """Whether it is the result of an operator, and so may be part of a larger expression."""
        return self.cell is not None and self.cell.is_operator

    @property
    def is_register(self):
        return self.cell is not None and self.cell.type in REGISTERS

    @property
    def is_clocked_read(self):
        """Whether it is what a memory gives in the cycle after it is asked."""
        return self.cell is not None and self.cell.type == "$memrd_v2" and bool(self.cell.number("CLK_ENABLE"))

    @property
    def is_memory(self):
        return self.cell is not None and self.cell.type.startswith("$mem")


@dataclass(eq=False)
class Module:
    """A module: `ports` by name with direction and bits, `signals` of the source by name with bits, source and attributes."""

    name: str
    ports: dict
    cells: list
    signals: dict
    memories: dict
    words: list = field(default_factory=list)
    used: set = field(default_factory=set)

    @property
    def instances(self):
        return [cell for cell in self.cells if not cell.type.startswith("$")]


@dataclass(frozen=True)
class NamedBits:
    """What the source calls by one name."""

    name: str
    bits: tuple
    source: str
    attributes: dict


def read(text, names):
    """The modules `names` of a netlist, submodules first, reduced to what the outputs of the last one depend on.

    Ports of the others that nothing needs are left out.
    """
    given = json.loads(text)["modules"]
    modules = {name: _module(name, given[name]) for name in names}
    *submodules, _ = names
    before = None
    while before != (before := {name: set(modules[name].ports) for name in names}):
        for name in reversed(names):
            _reduce(modules[name])
        # what a submodule gives and nothing takes, and what it takes for that
        taken = {name: set() for name in names}
        for module in modules.values():
            for cell in module.instances:
                taken[cell.type] |= {port for port, bits in cell.outputs.items() if module.used.intersection(bits)}
        for name in submodules:
            ports = modules[name].ports
            gone = {port for port, (way, _) in ports.items() if way == "output" and port not in taken[name]}
            gone |= {
                port for port, (way, bits) in ports.items() if way == "input" and not modules[name].used.intersection(bits)
            }
            for port in gone:
                del ports[port]
            for cell in (each for module in modules.values() for each in module.instances if each.type == name):
                for port in gone:
                    cell.inputs.pop(port, None)
                    cell.outputs.pop(port, None)
    for module in modules.values():
        _find_words(module)
    return modules


def _module(name, given):
    cells = []
    for label, cell in given["cells"].items():
        sides = {"input": {}, "output": {}}
        for port, bits in cell["connections"].items():
            sides[cell["port_directions"][port]][port] = tuple(map(_known, bits))
        source = cell["attributes"].get("src", "").split("|")[0]
        cells.append(Cell(label, cell["type"], cell["parameters"], sides["input"], sides["output"], source))
    signals = {}
    for label, net in given["netnames"].items():
        if not net["hide_name"] and "$signal" not in label and not label.startswith("$"):
            attributes = net["attributes"]
            source = attributes.get("src", "").split("|")[0]
            signals[label] = NamedBits(label, tuple(map(_known, net["bits"])), source, attributes)
    ports = {label: (port["direction"], tuple(map(_known, port["bits"]))) for label, port in given["ports"].items()}
    return Module(name, ports, cells, signals, given.get("memories", {}))


def _known(bit):
    """What is left open is 0."""
    return ZERO if bit in ("x", "z") else bit


def _reduce(module):
    """Find the bits that are used, and drop the cells that drive none of them."""
    driver = {}
    for cell in module.cells:
        for port, bits in cell.outputs.items():
            driver |= {bit: (cell, port, index) for index, bit in enumerate(bits)}
    inputs = {bit for direction, bits in module.ports.values() if direction == "input" for bit in bits}
    waiting = [bit for direction, bits in module.ports.values() if direction == "output" for bit in bits]
    for cell in module.cells:
        if cell.type.startswith("$memwr") or not cell.type.startswith("$") and not cell.outputs:
            waiting += [bit for bits in cell.inputs.values() for bit in bits]
    used = module.used = set()
    seen_cells = set()
    while waiting:
        bit = waiting.pop()
        if bit in used or isinstance(bit, str):
            continue
        used.add(bit)
        if bit in driver:
            cell, _, index = driver[bit]
            waiting += needs(cell, index, seen_cells)
        else:
            assert bit in inputs, f"{module.name} has bits that nothing drives"
    module.cells = [
        cell for cell in module.cells if any(bit in used for bits in cell.outputs.values() for bit in bits) or not cell.outputs
    ]


def _find_words(module):
    """Collect the words."""
    for cell in module.cells:
        _leave_out(cell, module.used)
        for port, bits in cell.outputs.items():
            module.words += _used_words(cell, port, bits, module.used)
    for label, (direction, bits) in module.ports.items():
        if direction == "input":
            module.words.append(Word(None, label, bits))


def needs(cell, index, seen_cells=None):
    """Bits on which bit `index` of the result depends; those on which all depend not of `seen_cells`, which the cell joins."""
    seen_cells = set() if seen_cells is None else seen_cells
    found = []
    if cell.type in _PLACEWISE:
        ports = _PLACEWISE[cell.type]
        (result,) = cell.outputs.values()
        for port in ports:
            found += _placed_bits(cell, port, len(result))[index :: len(result)]
        others = [port for port in cell.inputs if port not in ports]
    elif cell.type in CARRYING:
        ports = CARRYING[cell.type]
        for port in ports:
            found += cell.inputs[port][: index + 1]
            if index >= len(cell.inputs[port]):
                found += cell.inputs[port][-1:]
        others = [port for port in cell.inputs if port not in ports]
    else:
        others = list(cell.inputs)
    if cell not in seen_cells:
        seen_cells.add(cell)
        found += [bit for port in others for bit in cell.inputs[port]]
    return found


def operand_bits(cell, port, width):
    """The operand at `port` in `width` bits: what is above repeats its sign, or is 0, and what is too much is dropped."""
    bits = cell.inputs[port]
    fill = bits[-1] if bits and cell.is_signed else ZERO
    return (*bits[:width], *[fill] * (width - len(bits)))


def _placed_bits(cell, port, width):
    """The bits at the input of a cell that works bit by bit, `width` of them for each of what a $pmux chooses from."""
    return cell.inputs[port] if cell.type == "$pmux" else operand_bits(cell, port, width)


def _leave_out(cell, used):
    """Put 0 where operands make bits of a result that nothing uses: nothing drives them, maybe."""
    for port in _PLACEWISE.get(cell.type, ()):
        (result,) = cell.outputs.values()
        bits = _placed_bits(cell, port, len(result))
        cell.inputs[port] = tuple(bit if result[place % len(result)] in used else ZERO for place, bit in enumerate(bits))


def _used_words(cell, port, bits, used):
    if not cell.type.startswith("$"):
        return [Word(cell, port, bits)]
    indices = [index for index, bit in enumerate(bits) if bit in used]
    if not indices:
        return []
    trimmed = cell.type in _PLACEWISE
    first = indices[0] if trimmed else 0
    last = indices[-1] if trimmed or cell.type in CARRYING else len(bits) - 1
    return [Word(cell, port, bits[first : last + 1], first)]
