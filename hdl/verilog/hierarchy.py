"""Modules as the source has them: each kind of component is elaborated once, and stands in others as an instance."""

from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Instance, ResetSignal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from narrowfloat.hdl.verilog.keywords import KEYWORDS


@dataclass(frozen=True, eq=False)
class Part:
    """A component: its name in the netlist, its text in RTLIL, its ports in order, and whether it has a clock."""

    name: str
    component: object
    text: str
    ports: tuple
    is_clocked: bool


class Hierarchy:
    """What components get as Amaranth's platform, for those to become modules whose method `elaborate` asks it (`Circuit`).

    Components made with equal arguments are one part, so that of an array of cells only one is elaborated.

    Attributes
    ----------
    parts : dict of Part
        By name, submodules before the modules that have them.
    """

    def __init__(self):
        self.parts = {}
        self._names = {}
        self._open = []

    def add(self, component, name):
        """Elaborate a `component`, and with it all that is in it, as the part `name`."""
        self._open.append(component)
        ports = dict(_ports(component))
        text = rtlil.convert(component, name, self, ports=ports, missing_domain=domain)
        self._open.pop()
        is_clocked = any(line.startswith("  wire width 1 input ") and line.endswith(" \\clk") for line in text.splitlines())
        added = ("clk", "rst") if is_clocked and "clk" not in ports else ()
        self.parts[name] = Part(name, component, text, (*added, *ports), is_clocked)

    def module_or_instance(self, component):
        """None if this is the component that is being elaborated, else the instance that stands for it."""
        if component is self._open[-1]:
            return None
        key = type(component), *component.made_with
        try:
            known = key in self._names
        except TypeError:  # of an argument that cannot be a key
            key, known = component, False
        if not known:
            name = f"{type(component).__name__}__{len(self._names)}"
            self._names[key] = name
            self.add(component, name)
        part = self.parts[self._names[key]]
        clocks = [("i", "clk", ClockSignal()), ("i", "rst", ResetSignal())] if part.is_clocked else []
        sides = [("i" if way is PortDirection.Input else "o", name, value) for name, (value, way) in _ports(component)]
        return Instance(part.name, *clocks, *sides)


def domain(name):
    """A clock domain whose registers have their reset apart from what they get, as Yosys has it of asynchronous ones.

    Whether it is asynchronous is said where they are written.
    """
    return ClockDomain(name, async_reset=True)


def _ports(component):
    """Pairs of the name of a port and the value and direction of that member."""
    for path, member, value in component.signature.flatten(component):
        value = Value.cast(value)
        if len(value):
            name = "_".join(map(str, path))
            way = PortDirection.Input if member.flow is wiring.In else PortDirection.Output
            yield f"{name}_" if name in KEYWORDS else name, (value, way)
