"""Power of a mapped netlist from counted toggles, by OpenSTA.

OpenSTA 2.0 takes activities at input ports only, and estimates those of all nets behind them. So it gets a view of the library
in which each output has a pseudo-input that says how often it toggles: the output's function, or the next state of its
register, is that input, and a port of the netlist drives it. Delays, slews and loads stay what they are.

It also counts an output's internal energy once for each input and for both edges at each toggle, and that of a clock pin twice.
The view's energies are scaled so that each toggle counts the mean of both edges and of all inputs that could have caused it.
"""

import re
from dataclasses import replace

from narrowfloat.synth import liberty, sta
from narrowfloat.synth.netlist import Port

_ACTIVITY = "activity_of_"


def view(text):
    """The Liberty file `text` for power, as described above."""
    library = liberty.parse(text)
    for cell in library.all("cell"):
        pins = cell.all("pin")
        clocks = {pin.name for pin in pins if pin.get("clock") == "true"}
        for pin in pins:
            tables = pin.all("internal_power")
            sources = [name for table in tables for name in (table.get("related_pin") or pin.name).split()]
            for table in tables:
                table.items = [item for item in table.items if isinstance(item, liberty.Group) or item[0] != "when"]
                from_clock = clocks & set((table.get("related_pin") or pin.name).split())
                _scale(table, (0.5 if from_clock else 1) / len(sources))
        outputs = [pin for pin in pins if pin.get("function")]
        registers = cell.all("ff") + cell.all("latch")
        for pin in outputs:
            cell.items.append(liberty.Group("pin", [f"{_ACTIVITY}{pin.name}"], [("direction", "input"), ("capacitance", "0")]))
            if not registers:
                pin.set("function", f"{_ACTIVITY}{pin.name}")
        for register in registers:
            register.set("next_state" if register.kind == "ff" else "data_in", f"{_ACTIVITY}{outputs[0].name}")
    return "\n".join(library.lines())


def _scale(table, factor):
    for group in table.all("rise_power") + table.all("fall_power") + table.all("power"):
        for index, item in enumerate(group.items):
            if not isinstance(item, liberty.Group) and item[0] == "values":
                rows = [
                    ", ".join(f"{float(number) * factor:.8g}" for number in re.findall(r"[^\s,\"]+", row)) for row in item[1]
                ]
                group.items[index] = ("values", [f'"{row}"' for row in rows])


def measure(netlist, unit, library, toggles_per_cycle, period_ns, folder):
    """Power of a `synth.netlist.Netlist` in microwatts: (dynamic, leakage).

    Parameters
    ----------
    netlist : Netlist
    unit : synth.units.Unit
    library : str
        Name of the file of the library's power view, in `folder`.
    toggles_per_cycle : dict
        By the names of the netlist's nets, inputs among them.
    period_ns : float
        Of the clock.
    folder : Path
    """
    names = netlist.names()
    ports, cells, activities = list(netlist.ports), [], {}
    fresh = max((bit for bit in names if isinstance(bit, int)), default=0)
    for kind, connections in netlist.cells:
        connections = dict(connections)
        for pin, (direction, bit) in list(connections.items()):
            if direction == "output":
                fresh += 1
                ports.append(Port(f"{_ACTIVITY}{bit}", "input", (fresh,)))
                connections[f"{_ACTIVITY}{pin}"] = ("input", fresh)
                activities[f"{_ACTIVITY}{bit}"] = toggles_per_cycle[names[bit]]
        cells.append((kind, connections))
    for port in netlist.ports:
        if port.direction == "input" and port.name != "clk":
            activities |= {names[bit]: toggles_per_cycle[names[bit]] for bit in port.bits}
    (folder / "power.v").write_text(replace(netlist, ports=ports, cells=cells).verilog())
    commands = [
        sta.constrained("power.v", unit, library, period_ns),
        "set_power_activity -input -activity 0 -duty 0.5",
        *(
            f"set_power_activity -input_ports {{{name}}} -activity {activity:.8g} -duty 0.5"
            for name, activity in activities.items()
        ),
        "report_power -digits 9",
    ]
    total = re.search(r"^Total +(\S+) +(\S+) +(\S+)", sta.run("\n".join(commands) + "\n", folder), re.MULTILINE)
    internal, switching, leakage = (float(watts) * 1e6 for watts in total.groups())
    return internal + switching, leakage
