"""A mapped netlist simulated by Icarus with the cells of its library, without delays."""

import re
from dataclasses import dataclass

from narrowfloat.tools import ICARUS, VVP, ToolError

LIMIT_SECONDS = 300


class GateError(ToolError):
    """A netlist does not do what the model says; the message is one line."""


@dataclass(frozen=True)
class Run:
    """What a simulation saw: of each output port its hexadecimal digits, cycle by cycle; toggles of each net by name."""

    outputs: dict
    toggles: dict


def simulate(unit, vectors, sources, folder, nets=None):
    """Run the module of `unit` with the inputs of `vectors` and return what it did, a `Run`.

    All is X before; where there is a clock, reset is held for two cycles in which the other inputs are X too. Then comes one
    vector per cycle, and outputs are read right before the next.

    Parameters
    ----------
    unit : synth.units.Unit
    vectors : synth.vectors.Vectors
    sources : list of str
        Verilog files in `folder`.
    folder : Path
    nets : dict, optional
        If the module has no output ports: of each the names of its nets, lowest bit first. Icarus drives a wide port bit by bit
        in a time that grows with the square of its width, 100 s where this takes 2.
    """
    (folder / "stimulus.hex").write_text("\n".join(_words(vectors.inputs, unit.inputs)) + "\n")
    (folder / "bench.v").write_text(_bench(unit, vectors, nets))
    ICARUS.run(["-g2012", "-o", "bench.vvp", "bench.v", *sources], folder, seconds=LIMIT_SECONDS)
    lines = VVP.run(["-n", "bench.vvp"], folder, seconds=LIMIT_SECONDS).splitlines()
    rows = [line.split()[1:] for line in lines if line.startswith("out ")]
    outputs = dict(zip(vectors.outputs, zip(*rows), strict=True))
    return Run(outputs, _toggles(folder / "bench.vcd"))


def check(unit, vectors, run):
    """Compare a `Run` with what `vectors` expect.

    Raises
    ------
    GateError
        They differ: the message says where first.
    """
    for name, column in vectors.outputs.items():
        digits = -(-unit.outputs[name] // 4)
        for cycle, want in enumerate(column):
            if want is not None and run.outputs[name][cycle] != f"{want:0{digits}x}":
                inputs = ", ".join(f"{port} 0x{values[cycle]:x}" for port, values in vectors.inputs.items())
                raise GateError(
                    f"cycle {cycle}, {name}: got 0x{run.outputs[name][cycle]}, want 0x{want:0{digits}x} for {inputs}"
                )


def _words(columns, widths):
    """The columns joined to one word per row, the first port highest, in hexadecimal."""
    for row in zip(*columns.values(), strict=True):
        word = 0
        for name, value in zip(columns, row, strict=True):
            word = word << widths[name] | value
        yield f"{word:x}"


def _bench(unit, vectors, nets):
    width = sum(unit.inputs[name] for name in vectors.inputs)
    resets = [name for name in ("rst", "rst_n") if name in unit.inputs]
    declared = [f"  reg [{unit.inputs[name] - 1}:0] {name};" for name in (*vectors.inputs, *resets)]
    if nets is None:
        declared += [f"  wire [{width - 1}:0] {name};" for name, width in unit.outputs.items()]
        seen, ports = list(vectors.outputs), (*unit.inputs, *unit.outputs)
    else:
        seen = [_concatenation(nets[name]) for name in vectors.outputs]
        ports = unit.inputs
    show = f'$display("out{" %h" * len(seen)}", {", ".join(seen)});'
    connected = ", ".join(f".{name}({name})" for name in ports)
    reset = "".join(f"    {name} = {int(name == 'rst')};\n" for name in resets)
    release = "".join(f"    {name} = {int(name != 'rst')};\n" for name in resets)
    return f"""`timescale 1ns/1ps
module bench;
  reg clk = 0;
{chr(10).join(declared)}
  reg [{width - 1}:0] stimulus [0:{len(vectors) - 1}];
  integer cycle;
  {unit.top} dut({connected});
  initial begin
    $readmemh("stimulus.hex", stimulus);
    $dumpfile("bench.vcd");
{reset}{"    repeat (2) begin #5 clk = 1; #5 clk = 0; end" if unit.clocked else ""}
{release}    for (cycle = 0; cycle < {len(vectors) + vectors.latency}; cycle = cycle + 1) begin
      {{{", ".join(vectors.inputs)}}} = stimulus[cycle < {len(vectors)} ? cycle : {len(vectors) - 1}];
      #4;
      if (cycle >= {vectors.latency}) {show}
      if (cycle == {vectors.latency}) $dumpvars(1, dut);
      #1 clk = {int(unit.clocked)};
      #5 clk = 0;
    end
    $finish;
  end
endmodule
"""


def _concatenation(nets):
    inside = [net if net[0].isdigit() else f"dut.{net}" for net in reversed(nets)]
    return f"{{{', '.join(inside)}}}"


def _toggles(path):
    """Changes between 0 and 1 of each net in a VCD file, by name as in `synth.netlist.Netlist.names`."""
    names, values, counts = {}, {}, {}
    with path.open() as file:
        for line in file:
            if match := re.match(r"\$var \w+ (\d+) (\S+) (\S+)", line):
                names.setdefault(match[2], []).append((match[3], int(match[1])))
            elif line.startswith("$enddefinitions"):
                break
        for line in file:
            if line[0] in "01":
                code, new = line[1:].strip(), line[0]
                if values.get(code, new) != new:
                    counts[code] = counts.get(code, 0) + 1
                values[code] = new
            elif line[0] == "b":
                new, code = line[1:].split()
                new = new.rjust(names[code][0][1], "0" if new[0] == "1" else new[0])
                old = values.get(code, new)
                counts[code] = [
                    count + (a + b in ("01", "10"))
                    for count, a, b in zip(counts.get(code, [0] * len(new)), old, new, strict=True)
                ]
                values[code] = new
    toggles = {}
    for code, nets in names.items():
        for name, width in nets:
            if width == 1:
                toggles[name] = counts.get(code, 0)
            else:
                toggles |= {f"{name}[{width - 1 - index}]": n for index, n in enumerate(counts.get(code, [0] * width))}
    return toggles
