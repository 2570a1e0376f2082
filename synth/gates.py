"""A mapped netlist simulated by Icarus with the cells of its library, with their delays or without.

Delays are per pin and edge, from OpenSTA's SDF (`synth.sta.delays`). A gate swallows pulses shorter than its delay. What is not
modelled is wires.
"""

import re
from collections import Counter
from dataclasses import dataclass

from narrowfloat.tools import ICARUS, VVP, ToolError

LIMIT_SECONDS = 1800
# Longer than any unit takes to settle: what is simulated is events, so that waiting costs nothing.
_PERIOD_NS = 10_000


class GateError(ToolError):
    """A netlist does not do what the model says; the message is one line."""


@dataclass(frozen=True)
class Run:
    """What a simulation saw.

    Attributes
    ----------
    outputs : dict
        Of each output port its hexadecimal digits, cycle by cycle.
    toggles : dict
        How often per cycle each net changed between 0 and 1, by its name.
    settled : dict
        The same as if there were no delays: how often it ended a cycle with another value than the one before.
    """

    outputs: dict
    toggles: dict
    settled: dict


def simulate(unit, vectors, sources, folder, nets=None, delays=None):
    """Run the module of `unit` with the inputs of `vectors` and return what it did, a `Run`.

    All is X before; where there is a clock, reset is held for two cycles in which the other inputs are X too. Then comes one
    vector per cycle, at the clock edge, and outputs are read right before the next. What changes is counted from the second
    vector on whose results are seen.

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
    delays : str, optional
        An SDF file in `folder`; the cells in `sources` must have its paths (`timed`).
    """
    (folder / "stimulus.hex").write_text("\n".join(_words(vectors.inputs, unit.inputs)) + "\n")
    (folder / "bench.v").write_text(_bench(unit, vectors, nets, delays))
    options = ["-gspecify"] if delays else []
    ICARUS.run(["-g2012", *options, "-o", "bench.vvp", "bench.v", *sources], folder, seconds=LIMIT_SECONDS)
    lines = VVP.run(["-n", "bench.vvp"], folder, seconds=LIMIT_SECONDS).splitlines()
    rows = [line.split()[1:] for line in lines if line.startswith("out ")]
    outputs = dict(zip(vectors.outputs, zip(*rows, strict=True)))
    return Run(outputs, *_toggles(folder / "bench.vcd", max(len(vectors) - 1, 1)))


def timed(models, delays):
    """Verilog of cells, as `synth.liberty.models` gives it, with the paths for which the SDF text `delays` has values."""
    kinds = re.findall(r'\(CELLTYPE "(\w+)"\)(.*?)(?=\(CELLTYPE|\Z)', delays, re.DOTALL)
    paths = {}
    for kind, text in kinds:
        if kind not in paths:
            paths[kind] = list(dict.fromkeys(re.findall(r"\(IOPATH (\w+|\(\w+ \w+\)) (\w+) ", text)))

    def with_paths(module):
        found = "".join(f"    ({start.strip('()')} => {end}) = 0;\n" for start, end in paths.get(module[1], ()))
        return f"{module[0][: -len('endmodule')]}  specify\n{found}  endspecify\nendmodule" if found else module[0]

    return "`timescale 1ns/1ps\n" + re.sub(r"^module (\w+).*?^endmodule", with_paths, models, flags=re.DOTALL | re.MULTILINE)


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


def _bench(unit, vectors, nets, delays):
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
    release = "".join(f"      {name} <= {int(name != 'rst')};\n" for name in resets)
    half = _PERIOD_NS // 2
    return f"""`timescale 1ns/1ps
module bench;
  reg clk = 0;
{chr(10).join(declared)}
  reg [{width - 1}:0] stimulus [0:{len(vectors) - 1}];
  integer cycle;
  {unit.top} dut({connected});
  initial begin
{f'    $sdf_annotate("{delays}", dut);' if delays else ""}
    $readmemh("stimulus.hex", stimulus);
    $dumpfile("bench.vcd");
{reset}    repeat (2) begin #{half} clk = {int(unit.clocked)}; #{half} clk = 0; end
    for (cycle = 0; cycle < {len(vectors) + vectors.latency}; cycle = cycle + 1) begin
      #{half} clk = {int(unit.clocked)};
{release}      {{{", ".join(vectors.inputs)}}} <= stimulus[cycle < {len(vectors)} ? cycle : {len(vectors) - 1}];
      #{half - 1} clk = 0;
      if (cycle >= {vectors.latency}) {show}
      if (cycle == {vectors.latency}) $dumpvars(1, dut);
      #1;
    end
    $finish;
  end
endmodule
"""


def _concatenation(nets):
    inside = [net if net[0].isdigit() else f"dut.{net}" for net in reversed(nets)]
    return f"{{{', '.join(inside)}}}"


def _toggles(path, cycles):
    """Changes between 0 and 1 per cycle of each net in a VCD file of so many cycles.

    First all of them, then those from the end of a cycle to that of the next. Names are as in `synth.netlist.Netlist.names`.
    """
    nets, values, ends = {}, {}, {}
    toggles, settled = Counter(), Counter()
    with path.open() as file:
        for line in file:
            if match := re.match(r"\$var \w+ (\d+) (\S+) (\S+)", line):
                width, name = int(match[1]), match[3]
                bits = [name] if width == 1 else [f"{name}[{bit}]" for bit in reversed(range(width))]
                nets.setdefault(match[2], []).append(bits)
            elif line.startswith("$enddefinitions"):
                break
        cycle = None
        changed = set()
        for line in file:
            kind = line[0]
            if kind == "#":
                # In picoseconds, as the bench's timescale has it.
                now = int(line[1:]) // (1000 * _PERIOD_NS)
                if now != cycle:
                    _settle(changed, values, ends, settled)
                    cycle = now
                continue
            if kind in "01xz":
                new, code = kind, line[1:].strip()
            elif kind == "b":
                new, code = line[1:].split()
                width = len(nets[code][0])
                new = new.rjust(width, "0" if new[0] == "1" else new[0])
            else:
                continue
            old = values.get(code, new)
            if old != new:
                for bit, (before, after) in enumerate(zip(old, new, strict=True)):
                    if before + after in ("01", "10"):
                        toggles[code, bit] += 1
                changed.add(code)
            elif code not in values:
                ends[code] = new
            values[code] = new
        _settle(changed, values, ends, settled)
    return [
        {
            name: counts[code, bit] / cycles
            for code, aliases in nets.items()
            for bits in aliases
            for bit, name in enumerate(bits)
        }
        for counts in (toggles, settled)
    ]


def _settle(changed, values, ends, counts):
    """Count what ends this cycle with another value than the one before."""
    for code in changed:
        for bit, (before, after) in enumerate(zip(ends[code], values[code], strict=True)):
            counts[code, bit] += before + after in ("01", "10")
        ends[code] = values[code]
    changed.clear()
