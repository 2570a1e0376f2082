"""Place and route: how fast a unit runs in an FPGA, between registers.

A unit has more pins than a package. So it stands between shift registers: its inputs come from one that fills from a single
pin, its outputs go to registers whose content another one takes to a single pin. All other paths are at most one LUT long, so
the slowest is the unit's own, from register to register. Counts of LUTs and so on are those of the unit alone.
"""

import json
import math
import statistics
from dataclasses import dataclass
from itertools import accumulate

from narrowfloat.freshness import fingerprint
from narrowfloat.synth.bench import results
from narrowfloat.synth.yosys import ECP5, ICE40, CellCount
from narrowfloat.tools import NEXTPNR_ECP5, NEXTPNR_ICE40, YOSYS, Tool, ToolError, yosys

SEEDS = (1, 2, 3)
LIMIT_SECONDS = 1800
_WIDE = 1000
# More than any unit reaches, so that the placer does what it can.
_GOAL_MHZ = 400


@dataclass(frozen=True)
class PlaceAndRoute:
    """nextpnr for one device: the recipe "placed" gives the counts of `synthesis` and Fmax.

    Fmax is the median over `SEEDS`; of units of more than `_WIDE` LUTs, which take minutes, that of the first, and of baselines
    none. Units of more than `limit` LUTs are not measured.
    """

    target: str
    tool: Tool
    device: tuple[str, ...]
    synthesis: CellCount
    limit: float = math.inf

    def missing(self):
        """What must be installed first, one line, or None."""
        return self.tool.missing()

    def key(self, unit):
        """Texts on which the metrics depend beside the unit's Verilog."""
        return [
            *self.device,
            str(self.limit),
            self.synthesis.script,
            fingerprint(__name__),
            YOSYS.version(),
            self.tool.version(),
        ]

    def measure(self, unit, folder):
        """Metrics of `unit` by recipe; works in the empty `folder`. What does not fit has no Fmax."""
        (metrics,) = results(unit, self.synthesis).values()
        is_wide = metrics["lut4"] > _WIDE
        if metrics["lut4"] > self.limit or (is_wide and unit.role == "baseline"):
            return {}
        (folder / "unit.v").write_text(unit.verilog)
        (folder / "registers.v").write_text(_between_registers(unit))
        synthesis = self.synthesis.script.format(top="between_registers")
        yosys(f"read_verilog -sv unit.v registers.v\n{synthesis}\nwrite_json registers.json", folder)
        speeds = [self._fmax(seed, folder) for seed in (SEEDS[:1] if is_wide else SEEDS)]
        if None not in speeds:
            metrics["fmax_mhz"] = round(statistics.median(speeds), 1)
        return {"placed": metrics}

    def _fmax(self, seed, folder):
        options = ["--seed", str(seed), "--freq", str(_GOAL_MHZ), "--timing-allow-fail", "--report", "report.json"]
        done = self.tool.start(["-q", *self.device, "--json", "registers.json", *options], folder, seconds=LIMIT_SECONDS)
        if done.returncode:
            problem = self.tool.complaint(done)
            if "no BELs remaining" in problem or "no Bels remaining" in problem:
                return None
            raise ToolError(f"nextpnr: {problem}")
        (clock,) = json.loads((folder / "report.json").read_text())["fmax"].values()
        return clock["achieved"]


def _slices(register, widths):
    """Connections of ports to a register, one after the other."""
    starts = accumulate(widths.values(), initial=0)
    return [f".{name}({register}[{at} +: {width}])" for (name, width), at in zip(widths.items(), starts, strict=False)]


def _between_registers(unit):
    inputs = {name: width for name, width in unit.inputs.items() if name != "clk"}
    connected = ", ".join([*[".clk(clk)"] * unit.clocked, *_slices("sent", inputs), *_slices("seen", unit.outputs)])
    width = sum(unit.outputs.values())
    return f"""module between_registers(input clk, load, serial_in, output serial_out);
  reg [{sum(inputs.values()) - 1}:0] sent;
  wire [{width - 1}:0] seen;
  reg [{width - 1}:0] kept, shifted;
  reg loading;
  {unit.top} unit({connected});
  always @(posedge clk) begin
    sent <= {{sent, serial_in}};
    kept <= seen;
    loading <= load;
    shifted <= loading ? kept : {{shifted, 1'b0}};
  end
  assign serial_out = shifted[{width - 1}];
endmodule
"""


# On a second device of the same family wide ones tell little.
_SECOND = 100

MEASUREMENTS = (
    PlaceAndRoute("ice40-hx8k", NEXTPNR_ICE40, ("--hx8k", "--package", "ct256"), ICE40),
    PlaceAndRoute("ice40-up5k", NEXTPNR_ICE40, ("--up5k", "--package", "sg48"), ICE40, _SECOND),
    PlaceAndRoute("ecp5-25k", NEXTPNR_ECP5, ("--25k", "--package", "CABGA381"), ECP5),
    PlaceAndRoute("ecp5-85k", NEXTPNR_ECP5, ("--85k", "--package", "CABGA381"), ECP5, _SECOND),
)
