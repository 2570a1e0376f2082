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
    """The delay of each path through each cell of a mapped netlist, as SDF without wires."""
    run(constrained(netlist, unit, library, _PERIOD_NS) + "write_sdf -digits 4 -divider . delays.sdf\n", folder)
    # The first cell is the module itself with its wires, which Icarus 11 does not read.
    return re.sub(
        r"^ \(CELL\n.*\n  \(INSTANCE\)\n(?:  .*\n)* \)\n", "", (folder / "delays.sdf").read_text(), flags=re.MULTILINE
    )
