"""Combinational paths through emitted Verilog, from gates that Yosys makes of it."""

import json
from collections import defaultdict

from narrowfloat.tools import yosys


def paths(text, module, folder):
    """Which inputs reach which outputs without a register: sets of ports by the name of the output; files go to `folder`.

    Outputs that none reaches are left out.
    """
    (folder / "design.v").write_text(text)
    gates = f"hierarchy -top {module}; proc; flatten; opt; techmap; opt; clean; write_json gates.json"
    yosys(f"read_verilog design.v; {gates}", folder)
    top = json.loads((folder / "gates.json").read_text())["modules"][module]
    made_of = defaultdict(set)
    for cell in top["cells"].values():
        if "dff" in cell["type"].lower():
            continue
        ways = cell["port_directions"]
        inputs = {bit for name, bits in cell["connections"].items() if ways[name] == "input" for bit in bits}
        for name, bits in cell["connections"].items():
            for bit in bits if ways[name] == "output" else ():
                made_of[bit] |= inputs
    port_of = {bit: name for name, port in top["ports"].items() if port["direction"] == "input" for bit in port["bits"]}
    found = {}
    for name, port in top["ports"].items():
        if port["direction"] == "output":
            seen, waiting = set(), list(port["bits"])
            while waiting:
                bit = waiting.pop()
                if bit not in seen:
                    seen.add(bit)
                    waiting += made_of[bit]
            found[name] = {port_of[bit] for bit in seen if bit in port_of}
    return {name: inputs for name, inputs in found.items() if inputs}
