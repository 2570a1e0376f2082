"""Standard cells: a unit mapped to a Liberty library, for area and for delay."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from operator import attrgetter
from pathlib import Path

from narrowfloat import cache
from narrowfloat.freshness import fingerprint
from narrowfloat.synth import gates, liberty, power, sta
from narrowfloat.synth.netlist import Netlist
from narrowfloat.tools import ICARUS, STA, VVP, YOSYS, ToolError, yosys

# Scripts for ABC, with a comma for each blank. Its default ones begin with `&fraig -x`, which does not come to an end on wide
# dot products, and map with `&nf`: measured 10 to 30 % larger than `amap` on every unit tried.
_START = "+strash;ifraig;scorr;"
_COMPRESS = (
    "balance,-l;resub,-K,6,-l;rewrite,-l;resub,-K,6,-N,2;refactor,-l;resub,-K,8,-l;balance,-l;resub,-K,8,-N,2,-l;rewrite,-l;"
    "resub,-K,10,-l;rewrite,-z,-l;resub,-K,10,-N,2,-l;balance,-l;resub,-K,12,-l;refactor,-z,-l;resub,-K,12,-N,2,-l;"
    "rewrite,-z,-l;balance,-l;"
)
_SMALL = f"{_START}{_COMPRESS}{_COMPRESS}dch,-f;amap,-m"
# A random search, the same every time as its steps are counted, not its seconds.
_SMALLER = f"{_START}&get,-n;&deepsyn,-I,2,-J,6;&put;dch,-f;amap,-m"

# Structures that the area recipe starts from: how Yosys builds adders, and whether full adders become cells at once or after
# logic was simplified. What is smallest depends on the unit; the recipe tries all and keeps the smallest.
_GATES = "abc -g gates -script +strash;ifraig;scorr;dc2;strash;&get,-n;&nf;&put"
_FULL_ADDERS = "extract_fa -fa\ntechmap -map full_adder.v\ntechmap\nopt"
_AREA = (
    ("synth -flatten -noabc -extra-map ripple.v -top {top}", ""),
    ("synth -flatten -noabc -extra-map ripple.v -top {top}", _FULL_ADDERS),
    ("synth -flatten -noabc -extra-map ripple.v -top {top}", f"{_GATES}\n{_FULL_ADDERS}"),
    ("synth -flatten -noabc -top {top}", f"{_GATES}\n{_FULL_ADDERS}"),
)
# In gate equivalents: above, a random search takes minutes; and above, so does each way to the fastest, of which the first two
# are left.
_SEARCH_LIMIT, _LARGE = 700, 2000

# The delay recipe: depth falls most where sums of products are balanced (`if -g`), how often depends on the unit; then gates
# are sized for the delay target of {target} ps. The fastest is kept.
_BALANCE = "if,-g,-K,6;strash;dch,-f;"
_MAP = "map,-B,0.9,-D,{target};topo;"
_SIZE = "buffer,-c;topo;upsize,-D,{target};dnsize,-D,{target}"
_FAST = (
    f"{_START}dc2;strash;{_BALANCE}{_MAP}{_SIZE}",
    f"{_START}dc2;strash;{_BALANCE}{_BALANCE}{_MAP}{_SIZE}",
    f"{_START}dc2;strash;{_BALANCE}{_BALANCE}{_BALANCE}{_MAP}{_SIZE}",
    f"{_START}dc2;strash;{_BALANCE}{_BALANCE}&get,-n;&nf,-D,{{target}};&put;{_SIZE}",
    f"{_START}&get,-n;&st;&synch2;&put;{_BALANCE}{_BALANCE}{_MAP}{_SIZE}",
)
_NO_TARGET = 1  # ps: as fast as it goes

# For the curve also what is between the two: small and unbalanced netlists, sized until they meet the target or no more helps.
_BETWEEN = (
    _FAST[1],
    _FAST[3],
    f"{_SMALL};topo;{_SIZE}",
    f"{_START}dc2;strash;&get,-n;&dch,-f;&nf;&put;{_SIZE}",
    f"{_START}dc2;strash;dch,-f;{_MAP}{_SIZE}",
    f"{_START}{_COMPRESS}dch,-f;{_MAP}{_SIZE}",
)
# The clock at which power is stated: 50 MHz, which all units reach.
POWER_CLOCK_NS = 20

# Delay targets of the curve, as multiples of the fastest delay. Each takes as long as all else together.
_CURVE = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5)


@dataclass(frozen=True)
class Library:
    """A Liberty file with the name under which results are reported."""

    name: str
    path: Path

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
            package = {"osu018": "qflow-tech-osu018", "osu035": "qflow-tech-osu035"}.get(self.name)
            hint = f"sudo apt-get install {package}" if package else "give --liberty the path of one"
            raise ToolError(f"there is no Liberty file {self.path}: {hint}") from None

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


_SUM = 0b10010110
_CARRY = 0b11101000


@dataclass(frozen=True)
class Mapped:
    """A netlist of cells, as NAME.v and NAME.json in the folder of the job."""

    name: str
    area_um2: float
    ff: int


_AREA_OF = attrgetter("area_um2")


@dataclass(frozen=True)
class StandardCells:
    """Recipes "area" and "delay"; for a combinational unit also a curve, the smallest area at several delay targets.

    The netlists of "area" and "delay" are simulated with what the unit is used for; they must do what the model says, and what
    toggles gives their power. Units whose first netlist is above `limit` gate equivalents are not measured, those
    above `curve_limit` get no curve. Nor is what has memories, as they would become flip-flops.
    """

    library: Library
    limit: float = math.inf
    curve_limit: float = 0

    @property
    def target(self):
        return self.library.name

    def missing(self):
        """What must be installed first, one line, or None."""
        try:
            self.library.power_view, self.library.nand2_um2, STA.find(), ICARUS.find(), VVP.find()
        except ToolError as error:
            return str(error)
        return None

    def key(self, unit):
        """Texts on which the metrics depend beside the unit's Verilog."""
        tools = [YOSYS.version(), STA.version(), ICARUS.version()]
        vectors = unit.vectors_digest()
        return [self.library.text, str(self.limit), str(self.curve_limit), fingerprint(__name__), vectors, *tools]

    def measure(self, unit, folder):
        """Metrics of `unit` by recipe; works in the empty `folder`."""
        if unit.has_memory:
            return {}
        (folder / "cells.lib").write_text(self.library.text)
        (folder / "power.lib").write_text(self.library.power_view)
        (folder / "cells.v").write_text(self.library.models)
        (folder / "ripple.v").write_text(files("narrowfloat.synth").joinpath("ripple.v").read_text())
        (folder / "full_adder.v").write_text(self.library.full_adder)
        (folder / "unit.v").write_text(unit.verilog)
        candidates = self._small(unit, folder)
        small = next(candidates)
        if small.area_um2 > self.limit * self.library.nand2_um2:
            return {}
        small = min([small, *candidates], key=_AREA_OF)
        timed = {small: sta.delay_ns(f"{small.name}.v", unit, "cells.lib", folder)}
        fast = _FAST[:2] if small.area_um2 > _LARGE * self.library.nand2_um2 else _FAST
        self._time(self._fast(unit, folder, fast, _NO_TARGET), timed, unit, folder)
        fastest = min(timed, key=lambda mapped: (timed[mapped], mapped.area_um2))
        vectors = unit.vectors()
        results = {
            recipe: self._metrics(mapped, timed) | self._activity(mapped, unit, vectors, folder)
            for recipe, mapped in (("area", small), ("delay", fastest))
        }
        if not unit.clocked and small.area_um2 <= self.curve_limit * self.library.nand2_um2:
            results |= self._curve(unit, folder, timed, timed[fastest])
        return results

    def _activity(self, mapped, unit, vectors, folder):
        if vectors is None:
            return {}
        whole = Netlist.read(folder / f"{mapped.name}.json", unit.top)
        netlist = whole.without_outputs()
        (folder / "gates.v").write_text(netlist.verilog())
        names = netlist.names()
        outputs = {port.name: [names[bit] for bit in port.bits] for port in whole.ports if port.direction == "output"}
        run = gates.simulate(unit, vectors, ["gates.v", "cells.v"], folder, outputs)
        gates.check(unit, vectors, run)
        toggles = {net: count / len(vectors) for net, count in run.toggles.items()}
        dynamic, leakage = power.measure(netlist, unit, "power.lib", toggles, POWER_CLOCK_NS, folder)
        # microwatts times nanoseconds are femtojoules
        energy = (dynamic + leakage) * POWER_CLOCK_NS / 1000 / unit.operations
        return {"dynamic_uw": round(dynamic, 3), "leakage_uw": round(leakage, 5), "energy_pj_per_op": round(energy, 4)}

    def _small(self, unit, folder):
        """Netlists of the area recipe, the plainest first."""
        (plain,) = _map(unit, folder, "plain", *_AREA[0], [_SMALL])
        yield plain
        if not self.library.full_adder:
            return
        searched = plain.area_um2 <= _SEARCH_LIMIT * self.library.nand2_um2
        for number, (synthesis, adders) in enumerate(_AREA[1:]):
            yield from _map(unit, folder, f"small{number}", synthesis, adders, [_SMALL, _SMALLER] if searched else [_SMALL])

    def _fast(self, unit, folder, scripts, target_ps):
        scripts = [script.format(target=target_ps) for script in scripts]
        return _map(unit, folder, f"fast{target_ps}_", "synth -flatten -noabc -top {top}", "", scripts)

    def _time(self, netlists, timed, unit, folder):
        for mapped in netlists:
            timed[mapped] = sta.delay_ns(f"{mapped.name}.v", unit, "cells.lib", folder)

    def _curve(self, unit, folder, timed, fastest_ns):
        targets = {f"delay x{factor}": round(fastest_ns * factor, 2) for factor in _CURVE}
        for target in targets.values():
            self._time(self._fast(unit, folder, _BETWEEN, round(1000 * target)), timed, unit, folder)
        within = {name: [mapped for mapped in timed if timed[mapped] <= target] for name, target in targets.items()}
        return {name: self._metrics(min(those, key=_AREA_OF), timed) for name, those in within.items()}

    def _metrics(self, mapped, timed):
        return {
            "area_um2": mapped.area_um2,
            "gate_equivalents": round(mapped.area_um2 / self.library.nand2_um2, 2),
            "delay_ns": timed[mapped],
            "ff": mapped.ff,
        }


def _map(unit, folder, name, synthesis, adders, scripts):
    """Map `unit` in one run of Yosys, once with each ABC script: a list of `Mapped`."""
    commands = [
        "read_liberty -lib cells.lib",
        "read_verilog -sv unit.v",
        synthesis.format(top=unit.top),
        "dfflibmap -liberty cells.lib",
        "setundef -zero",
        "opt",
        adders,
        "design -save structure",
    ]
    names = [f"{name}{number}" for number in range(len(scripts))]
    for result, script in zip(names, scripts, strict=True):
        commands += [
            "design -load structure",
            f"abc -liberty cells.lib -script {script}",
            "opt_clean -purge",
            f"tee -q -o {result}.stat stat -json -liberty cells.lib",
            f"write_json {result}.json",
        ]
    yosys("\n".join(commands), folder)
    mapped = []
    for result in names:
        stat = json.loads((folder / f"{result}.stat").read_text())["design"]
        ff = sum(number for cell, number in stat["num_cells_by_type"].items() if "DFF" in cell)
        (folder / f"{result}.v").write_text(Netlist.read(folder / f"{result}.json", unit.top).verilog())
        mapped.append(Mapped(result, stat["area"], ff))
    return mapped


_OSU018, _OSU035 = (Library(name, Path(f"/usr/share/qflow/tech/{name}/{name}_stdcells.lib")) for name in ("osu018", "osu035"))

MEASUREMENTS = (StandardCells(_OSU018, curve_limit=1000), StandardCells(_OSU035, limit=400))
