"""Synthesis recipes: what a unit becomes on each target, counted by Yosys.

Every recipe reads the emitted Verilog, flattens it and counts cells. Nothing is placed and no pin is counted.
"""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase

from narrowfloat.freshness import fingerprint
from narrowfloat.tools import YOSYS, yosys

# ABC's own default begins with `&fraig -x`, which does not come to an end on wide dot products.
_ABC_TO_GATES = "+strash;ifraig;scorr;dc2;strash;&get,-n;&dch,-f;&nf;&put"


@dataclass(frozen=True)
class CellCount:
    """A Yosys script for the module `{top}`, and what is counted of the cells it ends with.

    `count` says of each metric how much a cell of each type adds to it; a type that ends in "*" stands for all that begin so.
    With `multiplies` only units that multiply are measured.
    """

    target: str
    recipe: str
    script: str
    count: dict[str, dict[str, float]]
    multiplies: bool = False

    def missing(self):
        """What must be installed first: nothing, as emission needs Yosys already."""
        return

    def key(self, unit):
        """Texts on which the metrics depend beside the unit's Verilog."""
        return [self.recipe, self.script, fingerprint(__name__), YOSYS.version()]

    def measure(self, unit, folder):
        """Metrics of `unit` by recipe; works in the empty `folder`."""
        (folder / "unit.v").write_text(unit.verilog)
        if self.target == "generic" and unit.has_memory:
            return {}
        if self.multiplies and "$mul" not in _cells("hierarchy -top {top}\nproc\nflatten\nopt", unit, folder):
            return {}
        cells = _cells(self.script, unit, folder)
        return {
            self.recipe: {
                metric: sum(
                    each * number for kind, each in kinds.items() for cell, number in cells.items() if fnmatchcase(cell, kind)
                )
                for metric, kinds in self.count.items()
            }
        }


def _cells(script, unit, folder):
    """Run a script on unit.v; how many cells there are by type."""
    yosys("\n".join(["read_verilog -sv unit.v", script.format(top=unit.top), "tee -q -o stat.json stat -json"]), folder)
    return json.loads((folder / "stat.json").read_text())["design"].get("num_cells_by_type", {})


_COUNT_ICE40 = {
    "lut4": {"SB_LUT4": 1},
    "carry": {"SB_CARRY": 1},
    "ff": {"SB_DFF*": 1},
    "bram": {"SB_RAM40_4K*": 1},
    "dsp": {"SB_MAC16": 1},
}
# A CCU2C is two LUT4s with their carries.
_COUNT_ECP5 = {
    "lut4": {"LUT4": 1, "CCU2C": 2},
    "carry": {"CCU2C": 1},
    "ff": {"TRELLIS_FF": 1},
    "bram": {"DP16KD": 1},
    "dsp": {"MULT18X18D": 1},
}
# LUTs of every size; what joins LUTs (MUXF7, MUXF8) comes with them, as do inverters.
_COUNT_XILINX = {
    "lut6": {"LUT*": 1, "SRL*": 1},
    "carry": {"CARRY*": 1},
    "ff": {"FDRE": 1, "FDSE": 1, "FDCE": 1, "FDPE": 1},
    "bram": {"RAMB*": 1},
    "dsp": {"DSP48*": 1},
}
# LUTs of every size and ALUs, each of which takes the place of a LUT.
_COUNT_GOWIN = {
    "lut4": {"LUT*": 1, "ALU": 1},
    "carry": {"ALU": 1},
    "ff": {"DFF*": 1},
    "bram": {"SDP*": 1, "DPB*": 1, "SP*": 1},
    "dsp": {"MULT*": 1, "PADD*": 1},
}
# Static CMOS: 4 transistors make a NAND2 or NOR2, 2 an inverter, 16 a flip-flop (Yosys' figure).
_COUNT_GENERIC = {
    "gate_equivalents": {"$_NAND_": 4 / 4, "$_NOR_": 4 / 4, "$_NOT_": 2 / 4, "$_DFF_*": 16 / 4},
    "ff": {"$_DFF_*": 1},
}

_XILINX = "synth_xilinx -flatten -noiopad -noclkbuf -top {top} -family"

ICE40 = CellCount("ice40", "luts", "synth_ice40 -top {top}", _COUNT_ICE40)
# Without multiplexers that join LUTs (PFUMX, MUX2): Yosys takes them too often, and they leave LUT1s behind that only pass a
# signal on. ECP5: up to half of the LUTs of encoders and multipliers, at the same speed within 5 %.
ECP5 = CellCount("ecp5", "luts", "synth_ecp5 -nodsp -nowidelut -top {top}", _COUNT_ECP5)

MEASUREMENTS = (
    ICE40,
    ECP5,
    CellCount("xc7", "luts", f"{_XILINX} xc7 -nodsp", _COUNT_XILINX),
    CellCount("xcup", "luts", f"{_XILINX} xcup -nodsp", _COUNT_XILINX),
    CellCount("gowin", "luts", "synth_gowin -nodsp -noiopads -nowidelut -top {top}", _COUNT_GOWIN),
    CellCount("xc7", "dsp", f"{_XILINX} xc7", _COUNT_XILINX, multiplies=True),
    CellCount("xcup", "dsp", f"{_XILINX} xcup", _COUNT_XILINX, multiplies=True),
    CellCount("gowin", "dsp", "synth_gowin -family gw2a -noiopads -nowidelut -top {top}", _COUNT_GOWIN, multiplies=True),
    CellCount(
        "generic",
        "nand2",
        "synth -flatten -noabc -top {top}\ndfflegalize -cell $_DFF_P_ x -cell $_DFF_P??_ x\n"
        f"abc -g cmos2 -script {_ABC_TO_GATES}\nopt_clean",
        _COUNT_GENERIC,
    ),
)
