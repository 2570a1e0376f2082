"""Static timing of mapped netlists by OpenSTA."""

import re

from narrowfloat.tools import STA, ToolError

LIMIT_SECONDS = 300
# Longer than any path; what is left of it is the slack.
_PERIOD_NS = 1000


def run(script, folder):
    """Run a Tcl `script` with `folder` as the working directory, and return what it printed.

    Raises
    ------
    ToolError
        OpenSTA is missing, reports an error or takes too long.
    """
    (folder / "script.tcl").write_text(script)
    done = STA.start(["-no_init", "-no_splash", "-exit", "script.tcl"], folder, seconds=LIMIT_SECONDS)
    output = done.stdout + done.stderr
    if (error := re.search(r"^Error: .*", output, re.MULTILINE)) or done.returncode:
        raise ToolError(f"OpenSTA: {error[0] if error else f'exit status {done.returncode}'}")
    return output


def constrained(netlist, unit, library, period_ns):
    """Commands that load a mapped `netlist` with a clock and all inputs and outputs timed from edge to edge.

    Inputs arrive at the clock edge with no slew, outputs are not loaded, wires are nothing.
    """
    ports = " [get_ports clk]" if unit.clocked else ""
    return f"""read_liberty {library}
read_verilog {netlist}
link_design {unit.top}
create_clock -name clock -period {period_ns}{ports}
set_input_delay 0 -clock clock [all_inputs]
set_output_delay 0 -clock clock [all_outputs]
"""


def delay_ns(netlist, unit, library, folder):
    """The longest path of a mapped netlist between inputs, registers (with their setup time) and outputs."""
    script = constrained(netlist, unit, library, _PERIOD_NS) + "report_checks -path_delay max -format end -digits 6\n"
    slack = re.search(r"(-?[\d.]+) \((?:MET|VIOLATED)\)", run(script, folder))
    return round(_PERIOD_NS - float(slack[1]), 4)


def delays(netlist, unit, library, folder):
    """The delay of each path through each cell of a mapped netlist, as SDF that Icarus reads."""
    run(constrained(netlist, unit, library, _PERIOD_NS) + "write_sdf -digits 4 -divider . delays.sdf\n", folder)
    return slowest((folder / "delays.sdf").read_text())


def slowest(sdf):
    """SDF with one delay for each path and edge, the largest in the text `sdf`, and without wires.

    A path may have several, by the values of the other inputs. Icarus 11 reads neither such conditions nor wires.
    """
    lines = ['(DELAYFILE (SDFVERSION "3.0") (DIVIDER .) (TIMESCALE 1ns)']
    cells = re.findall(r'\(CELLTYPE "(\w+)"\)\s+\(INSTANCE (\w+)\)(.*?)(?=\(CELLTYPE|\Z)', sdf, re.DOTALL)
    for kind, instance, text in cells:
        paths = {}
        for start, end, rise, fall in re.findall(r"\(IOPATH (\w+|\(\w+ \w+\)) (\w+) \(([\d.:-]+)\) \(([\d.:-]+)\)\)", text):
            edges = [float(edge.split(":")[-1]) for edge in (rise, fall)]
            paths[start, end] = [max(pair) for pair in zip(edges, paths.get((start, end), edges), strict=True)]
        written = "".join(f" (IOPATH {start} {end} ({rise:.4f}) ({fall:.4f}))" for (start, end), (rise, fall) in paths.items())
        lines.append(f' (CELL (CELLTYPE "{kind}") (INSTANCE {instance}) (DELAY (ABSOLUTE{written})))')
    return "\n".join([*lines, ")", ""])
