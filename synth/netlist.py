"""Netlists of library cells, one net per bit, as the plainest Verilog there is.

OpenSTA 2.0 reads no concatenation and no `signed`.
"""

import json
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Port:
    """A port of the module: its direction and the bits of its nets, lowest first; constants are "0", "1" and "x"."""

    name: str
    direction: str
    bits: tuple


@dataclass(frozen=True)
class Netlist:
    """A module of cells.

    `cells` are (type, connections), connections from pin to (direction, bit), bits being integers or constants.
    """

    module: str
    ports: list
    cells: list

    @classmethod
    def read(cls, path, module):
        """The netlist of `module` from what Yosys' write_json wrote to `path`, without outputs that are its clock."""
        found = json.loads(path.read_text())["modules"][module]
        ports = [Port(name, port["direction"], tuple(port["bits"])) for name, port in found["ports"].items()]
        clock = {port.bits for port in ports if port.name == "clk"}
        ports = [port for port in ports if port.direction == "input" or port.bits not in clock]
        cells = [
            (cell["type"], {pin: (cell["port_directions"][pin], bits[0]) for pin, bits in cell["connections"].items()})
            for cell in found["cells"].values()
        ]
        return cls(module, ports, cells)

    def with_fan_out(self, most, buffer, but=()):
        """The same with no net that more than `most` input pins load: behind it stands a tree of buffers.

        `buffer` is a cell and its pins for input and output; ports of the names `but`, like the clock, stay as they are.
        """
        kind, pin_in, pin_out = buffer
        kept = {bit for port in self.ports if port.name in but for bit in port.bits}
        cells = [(name, dict(pins)) for name, pins in self.cells]
        loads = {}
        for _, pins in cells:
            for pin, (direction, bit) in pins.items():
                if direction == "input" and isinstance(bit, int) and bit not in kept:
                    loads.setdefault(bit, []).append((pins, pin))
        fresh = max((bit for _, pins in cells for _, bit in pins.values() if isinstance(bit, int)), default=0)
        for bit, driven in loads.items():
            while len(driven) > most:
                groups = -(-len(driven) // most)
                buffers = []
                for group in range(groups):
                    fresh += 1
                    for pins, pin in driven[group::groups]:
                        pins[pin] = ("input", fresh)
                    pins = {pin_in: ("input", bit), pin_out: ("output", fresh)}
                    cells.append((kind, pins))
                    buffers.append((pins, pin_in))
                driven = buffers
        return replace(self, cells=cells)

    def without_outputs(self):
        """The same without output ports, so that each net has a name of its own or that of an input."""
        return replace(self, ports=[port for port in self.ports if port.direction == "input"])

    def names(self):
        """The name of each bit in `verilog`: that of an input, else of an output, else one of its own."""
        names = {"0": "1'b0", "1": "1'b1", "x": "1'b0"}
        for direction in ("input", "output"):
            for port in self.ports:
                if port.direction == direction:
                    for index, bit in enumerate(port.bits):
                        names.setdefault(bit, f"{port.name}[{index}]" if len(port.bits) > 1 else port.name)
        for _, connections in self.cells:
            for _, bit in connections.values():
                names.setdefault(bit, f"n{bit}")
        return names

    def verilog(self):
        """The module as text."""
        names = self.names()
        lines = [f"module {self.module}({', '.join(port.name for port in self.ports)});"]
        for port in self.ports:
            lines.append(f"  {port.direction} {f'[{len(port.bits) - 1}:0] ' if len(port.bits) > 1 else ''}{port.name};")
        lines += [f"  wire {name};" for name in names.values() if name.startswith("n") and name[1:].isdigit()]
        for port in self.ports:
            for index, bit in enumerate(port.bits):
                name = f"{port.name}[{index}]" if len(port.bits) > 1 else port.name
                if port.direction == "output" and names[bit] != name:
                    lines.append(f"  assign {name} = {names[bit]};")
        for number, (kind, connections) in enumerate(self.cells):
            pins = ", ".join(f".{pin}({names[bit]})" for pin, (_, bit) in connections.items())
            lines.append(f"  {kind} c{number} ({pins});")
        return "\n".join([*lines, "endmodule", ""])
