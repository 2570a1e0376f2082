"""Standard cells: a unit mapped to a Liberty library, for area and for delay."""

import json
from dataclasses import dataclass, field
from importlib.resources import files
from operator import attrgetter

from narrowfloat.freshness import fingerprint
from narrowfloat.synth import gates, power, sta
from narrowfloat.synth.library import NANGATE45, OSU018, Library
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
# No net but the clock has more loads than this. ABC maps for area without a thought to it, and its `buffer` leaves alone what
# registers and full adders drive: nets of hundreds, which no cell drives in reasonable time.
_FAN_OUT = 24

# What a bit of memory takes, an assumption for small macros of one port to write and one to read: in 0.18 um a cell of six
# transistors takes 4.65 um2 and what is around it as much again, and a NAND2 of two inputs 10 um2.
MEMORY_GE_PER_BIT = 1

# The clock at which energy is stated, 50 MHz; that of slower units is as fast as they go. It is the time in which they leak.
POWER_CLOCK_NS = 20

# Delay targets of the curve, as multiples of the fastest delay. Each takes as long as all else together.
_CURVE = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5)


@dataclass(frozen=True)
class Mapped:
    """A netlist of cells, as NAME.v in the folder of the job."""

    name: str
    netlist: Netlist = field(compare=False)
    area_um2: float
    ff: int


_AREA_OF = attrgetter("area_um2")


@dataclass(frozen=True)
class StandardCells:
    """Recipes "area" and "delay"; for a combinational unit also a curve, the smallest area at several delay targets.

    The netlists of "area" and "delay" are simulated with what the unit is used for; they must do what the model says, and what
    toggles gives their power. Units above `curve_limit` gate equivalents get no curve. Of what has memories, which would become
    flip-flops, there is the area alone, `MEMORY_GE_PER_BIT` standing in for them, and the delay of the logic beside them.
    """

    library: Library
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
        return [self.library.text, str(self.curve_limit), fingerprint(__name__), vectors, *tools]

    def measure(self, unit, folder):
        """Metrics of `unit` by recipe; works in the empty `folder`."""
        if unit.has_memory:
            return {"area": self._beside_memories(unit, folder)}
        self.prepare(unit, folder)
        small = self.smallest(unit, folder)
        timed = {small: sta.delay_ns(f"{small.name}.v", unit, "cells.lib", folder)}
        fast = _FAST[:2] if small.area_um2 > _LARGE * self.library.nand2_um2 else _FAST
        self._time(self._fast(unit, folder, fast, _NO_TARGET), timed, unit, folder)
        fastest = min(timed, key=lambda mapped: (timed[mapped], mapped.area_um2))
        vectors = unit.vectors()
        results = {
            recipe: self._metrics(mapped, timed) | self._activity(mapped, timed[mapped], unit, vectors, folder)
            for recipe, mapped in (("area", small), ("delay", fastest))
        }
        if not unit.clocked and small.area_um2 <= self.curve_limit * self.library.nand2_um2:
            results |= self._curve(unit, folder, timed, timed[fastest])
        return results

    def _beside_memories(self, unit, folder):
        """The area of a unit with memories, and the longest path that does not go through one."""
        logic = unit.without_memories()
        self.prepare(logic, folder)
        small = self._map(logic, folder, "small", f"{_AREA[0][0]}\nexpose -evert -sep __", *_AREA[0][1:], [_SMALL])[0]
        memories = unit.memory_bits * MEMORY_GE_PER_BIT
        return {
            "area_um2": round(small.area_um2 + memories * self.library.nand2_um2, 2),
            "gate_equivalents": round(small.area_um2 / self.library.nand2_um2 + memories, 2),
            "delay_ns": sta.delay_ns(f"{small.name}.v", logic, "cells.lib", folder),
            "ff": small.ff,
            "memory_bits": unit.memory_bits,
        }

    def prepare(self, unit, folder):
        """Write what synthesis and simulation read into the empty `folder`."""
        (folder / "cells.lib").write_text(self.library.text)
        (folder / "power.lib").write_text(self.library.power_view)
        (folder / "ripple.v").write_text(files("narrowfloat.synth").joinpath("ripple.v").read_text())
        (folder / "full_adder.v").write_text(self.library.full_adder)
        (folder / "unit.v").write_text(unit.verilog)

    def smallest(self, unit, folder):
        """The netlist of the area recipe, a `Mapped` in the `folder` that is prepared."""
        return min(self._small(unit, folder), key=_AREA_OF)

    def timed(self, mapped, unit, folder):
        """Write what a simulation of a netlist with delays reads, gates.v, timed.v and delays.sdf.

        Returns
        -------
        netlist : Netlist
            Without output ports, as it is in gates.v.
        outputs : dict
            Of each output the names of its nets, lowest bit first.
        """
        netlist = mapped.netlist.without_outputs()
        names = netlist.names()
        delays = sta.delays(f"{mapped.name}.v", unit, "cells.lib", folder)
        (folder / "gates.v").write_text(netlist.verilog())
        (folder / "delays.sdf").write_text(delays)
        (folder / "timed.v").write_text(gates.timed(self.library.models, delays))
        ports = mapped.netlist.ports
        return netlist, {port.name: [names[bit] for bit in port.bits] for port in ports if port.direction == "output"}

    def _activity(self, mapped, delay_ns, unit, vectors, folder):
        if vectors is None:
            return {}
        netlist, outputs = self.timed(mapped, unit, folder)
        run = gates.simulate(unit, vectors, ["gates.v", "timed.v"], folder, outputs, "delays.sdf")
        gates.check(unit, vectors, run)
        period = max(POWER_CLOCK_NS, delay_ns)
        energies = []
        for toggles in (run.toggles, run.settled):
            dynamic, leakage = power.measure(netlist, unit, "power.lib", toggles, period, folder)
            # microwatts times nanoseconds are femtojoules
            energies.append(round((dynamic + leakage) * period / 1000 / unit.operations, 4))
        return {
            "energy_pj_per_op": energies[0],
            "energy_without_glitches_pj_per_op": energies[1],
            "leakage_uw": round(leakage, 5),
        }

    def _small(self, unit, folder):
        """Netlists of the area recipe, the plainest first."""
        (plain,) = self._map(unit, folder, "plain", *_AREA[0], [_SMALL])
        yield plain
        if not self.library.full_adder:
            return
        searched = plain.area_um2 <= _SEARCH_LIMIT * self.library.nand2_um2
        for number, (synthesis, adders) in enumerate(_AREA[1:]):
            yield from self._map(
                unit, folder, f"small{number}", synthesis, adders, [_SMALL, _SMALLER] if searched else [_SMALL]
            )

    def _fast(self, unit, folder, scripts, target_ps):
        scripts = [script.format(target=target_ps) for script in scripts]
        return self._map(unit, folder, f"fast{target_ps}_", "synth -flatten -noabc -top {top}", "", scripts)

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

    def _map(self, unit, folder, name, synthesis, adders, scripts):
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
            whole = Netlist.read(folder / f"{result}.json", unit.top)
            netlist = whole.with_fan_out(_FAN_OUT, self.library.buffer, but=("clk",))
            buffers = len(netlist.cells) - len(whole.cells)
            (folder / f"{result}.v").write_text(netlist.verilog())
            area = stat["area"] + buffers * self.library.cells[self.library.buffer[0]]["area"]
            mapped.append(Mapped(result, netlist, area, ff))
        return mapped


MEASUREMENTS = (StandardCells(OSU018, curve_limit=1000), StandardCells(NANGATE45))
