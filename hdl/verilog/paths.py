"""Combinational paths: on which inputs of a module an output depends within a clock cycle."""

from narrowfloat.hdl.verilog.netlist import REGISTERS, needs


def paths(modules):
    """Of the last of `modules`, which are as `netlist.read` has them: by output, the set of inputs that it depends on.

    Outputs that depend on none are left out. Bits are traced one by one, through instances too: what enters a module in one
    word makes no path from all of its bits.
    """
    reached = {}
    for module in modules.values():
        reached[module.name] = _of_module(module, reached)
    found = {port: {name for bits in each for name, _ in bits} for port, each in reached[module.name].items()}
    return {port: inputs for port, inputs in found.items() if inputs}


def _of_module(module, reached):
    """By output, of each of its bits the set of bits of inputs, pairs of port and index; `reached` has that of submodules."""
    driver = {
        bit: (cell, port, i) for cell in module.cells for port, bits in cell.outputs.items() for i, bit in enumerate(bits)
    }
    known = {}
    for port, (direction, bits) in module.ports.items():
        if direction == "input":
            known |= {bit: frozenset([(port, index)]) for index, bit in enumerate(bits)}
    outputs = {port: bits for port, (direction, bits) in module.ports.items() if direction == "output"}
    waiting = [bit for bits in outputs.values() for bit in bits]
    while waiting:
        bit = waiting[-1]
        needed = [] if bit in known or isinstance(bit, str) else _needed(*driver[bit], reached)
        unknown = [each for each in needed if each not in known and not isinstance(each, str)]
        if not unknown:
            known.setdefault(bit, frozenset().union(*(known.get(each, ()) for each in needed)))
            waiting.pop()
        waiting += unknown
    return {port: [known[bit] for bit in bits] for port, bits in outputs.items()}


def _needed(cell, port, index, reached):
    """Bits within the module of `cell` on which a bit of its output depends in the same cycle."""
    if cell.type in REGISTERS or cell.type == "$memrd_v2" and cell.number("CLK_ENABLE"):
        return []
    if cell.type in reached:
        return [cell.inputs[name][place] for name, place in reached[cell.type][port][index]]
    return needs(cell, index)
