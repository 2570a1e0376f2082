"""Synthesis recipes: what a unit becomes on each target, counted by Yosys.

Every recipe reads the emitted Verilog, flattens it and counts cells. Nothing is placed and no pin is counted.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from narrowfloat.freshness import fingerprint
from narrowfloat.tools import YOSYS, yosys

# ABC's own default begins with `&fraig -x`, which does not come to an end on wide dot products.
_ABC_TO_GATES = "+strash;ifraig;scorr;dc2;strash;&get,-n;&dch,-f;&nf;&put"


@dataclass(frozen=True)
class CellCount:
    """A Yosys script for the module `{top}`, and what is counted of the cells it ends with.

    `count` makes metrics from a function that sums the cells of the types it is given; a type that ends in "*" stands for all
    that begin so. With `multiplies` only units that multiply are measured.
    """

    target: str
    recipe: str
    script: str
    count: Callable[[Callable[..., int]], dict]
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
        if self.multiplies and not _cells("hierarchy -top {top}\nproc\nflatten\nopt", unit, folder)("$mul"):
            return {}
        return {self.recipe: self.count(_cells(self.script, unit, folder))}


def _cells(script, unit, folder):
    """Run a script on unit.v; a function that sums the cells of the types it is given."""
    yosys("\n".join(["read_verilog -sv unit.v", script.format(top=unit.top), "tee -q -o stat.json stat -json"]), folder)
    cells = json.loads((folder / "stat.json").read_text())["design"].get("num_cells_by_type", {})

    def total(*types):
        kinds = [(kind.removesuffix("*"), kind.endswith("*")) for kind in types]
        return sum(
            number
            for cell, number in cells.items()
            if any(cell.startswith(kind) if prefix else cell == kind for kind, prefix in kinds)
        )

    return total


def _count_ice40(total):
    """Counts of an iCE40 netlist."""
    return {
        "lut4": total("SB_LUT4"),
        "carry": total("SB_CARRY"),
        "ff": total("SB_DFF*"),
        "bram": total("SB_RAM40_4K*"),
        "dsp": total("SB_MAC16"),
    }


def _count_ecp5(total):
    """Counts of an ECP5 netlist. A CCU2C is two LUT4s with their carries; what joins LUTs (PFUMX, L6MUX21) comes with them."""
    return {
        "lut4": total("LUT4") + 2 * total("CCU2C"),
        "carry": total("CCU2C"),
        "ff": total("TRELLIS_FF"),
        "bram": total("DP16KD"),
        "dsp": total("MULT18X18D"),
    }


def _xilinx(total):
    """LUTs of every size; what joins LUTs (MUXF7, MUXF8) comes with them, as do inverters."""
    return {
        "lut6": total("LUT*", "SRL*"),
        "carry": total("CARRY*"),
        "ff": total("FDRE", "FDSE", "FDCE", "FDPE"),
        "bram": total("RAMB*"),
        "dsp": total("DSP48*"),
    }


def _gowin(total):
    """LUTs of every size and ALUs, each of which takes the place of a LUT."""
    return {
        "lut4": total("LUT*", "ALU"),
        "carry": total("ALU"),
        "ff": total("DFF*"),
        "bram": total("SDP*", "DPB*", "SP*"),
        "dsp": total("MULT*", "PADD*"),
    }


def _generic(total):
    """Static CMOS: 4 transistors make a NAND2 or NOR2, 2 an inverter, 16 a flip-flop (Yosys' figure)."""
    flip_flops = total("$_DFF_*")
    transistors = 4 * total("$_NAND_", "$_NOR_") + 2 * total("$_NOT_") + 16 * flip_flops
    return {"gate_equivalents": transistors / 4, "ff": flip_flops}


_XILINX = "synth_xilinx -flatten -noiopad -noclkbuf -top {top} -family"

ICE40 = CellCount("ice40", "luts", "synth_ice40 -top {top}", _count_ice40)
ECP5 = CellCount("ecp5", "luts", "synth_ecp5 -nodsp -top {top}", _count_ecp5)

MEASUREMENTS = (
    ICE40,
    ECP5,
    CellCount("xc7", "luts", f"{_XILINX} xc7 -nodsp", _xilinx),
    CellCount("xcup", "luts", f"{_XILINX} xcup -nodsp", _xilinx),
    # Multiplexers in place of LUTs would leave LUT1s behind that only pass a signal on.
    CellCount("gowin", "luts", "synth_gowin -nodsp -noiopads -nowidelut -top {top}", _gowin),
    CellCount("xc7", "dsp", f"{_XILINX} xc7", _xilinx, multiplies=True),
    CellCount("xcup", "dsp", f"{_XILINX} xcup", _xilinx, multiplies=True),
    CellCount("gowin", "dsp", "synth_gowin -family gw2a -noiopads -nowidelut -top {top}", _gowin, multiplies=True),
    CellCount(
        "generic",
        "nand2",
        "synth -flatten -noabc -top {top}\ndfflegalize -cell $_DFF_P_ x -cell $_DFF_P??_ x\n"
        f"abc -g cmos2 -script {_ABC_TO_GATES}\nopt_clean",
        _generic,
    ),
)
