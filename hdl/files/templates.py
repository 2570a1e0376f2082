"""How an emitted module is instantiated, in Verilog, VHDL, Amaranth, and migen for LiteX."""

from narrowfloat.hdl.files import vhdl
from narrowfloat.hdl.files.interfaces import data_ports, reset


def templates(manifest):
    """Texts to instantiate the module that `manifest` describes, by language: verilog, vhdl, amaranth and litex.

    In Verilog and VHDL they declare a wire for each port; in Python they are a class with the ports.
    """
    return {
        "verilog": _verilog(manifest),
        "vhdl": vhdl.instance(manifest),
        "amaranth": _amaranth(manifest),
        "litex": _litex(manifest),
    }


def _verilog(manifest):
    wires = [f"wire {_range(port['width'])}{port['name']};" for port in data_ports(manifest)]
    parameters = ", ".join(
        f".{each['name']}({each['width']}'d{each['default']})" for each in manifest.get("verilog_parameters", ())
    )
    head = f"{manifest['module']} {f'#({parameters}) ' if parameters else ''}{manifest['design']}_i ("
    ports = ",\n".join(f"  .{port['name']}({port['name']})" for port in manifest["ports"])
    return "\n".join([*wires, "", head, ports, ");"]) + "\n"


def _amaranth(manifest):
    members = [f"    {port['name']}: {_flow(port)}({port['width']})" for port in data_ports(manifest)]
    parameters = {
        f"p_{each['name']}": f"Const({each['default']}, {each['width']})" for each in manifest.get("verilog_parameters", ())
    }
    lines = [
        "from amaranth import *",
        "from amaranth.lib import wiring",
        "from amaranth.lib.wiring import In, Out",
        "",
        "",
        f"class {_class(manifest)}(wiring.Component):",
        *members,
        "",
        "    def elaborate(self, platform):",
        "        m = Module()",
        "        m.submodules.block = Instance(",
        f'            "{manifest["module"]}",',
        *(f"            {name}={value}," for name, value in _connections(manifest, parameters, "").items()),
        "        )",
        "        return m",
    ]
    return "\n".join(lines) + "\n"


def _litex(manifest):
    parameters = {f"p_{each['name']}": str(each["default"]) for each in manifest.get("verilog_parameters", ())}
    lines = [
        "from migen import *",
        "",
        "",
        f"class {_class(manifest)}(Module):",
        "    def __init__(self, platform):",
        *(f"        self.{port['name']} = Signal({port['width']})" for port in data_ports(manifest)),
        "        self.specials += Instance(",
        f'            "{manifest["module"]}",',
        *(f"            {name}={value}," for name, value in _connections(manifest, parameters, '"sys"').items()),
        "        )",
        f'        platform.add_source("{manifest["source"]}")',
    ]
    return "\n".join(lines) + "\n"


def _connections(manifest, parameters, domain):
    """What each parameter and port of an instance in Python is given, by its keyword; `domain` is the clock's."""
    values = {port["name"]: f"self.{port['name']}" for port in manifest["ports"]} | {"clk": f"ClockSignal({domain})"}
    if found := reset(manifest):
        values[found.name] = f"{'~' if found.active_low else ''}ResetSignal({domain})"
    return parameters | {f"{port['direction'][0]}_{port['name']}": values[port["name"]] for port in manifest["ports"]}


def _class(manifest):
    return "".join(word.capitalize() for word in manifest["design"].split("_"))


def _flow(port):
    return "In" if port["direction"] == "input" else "Out"


def _range(width):
    return f"[{width - 1}:0] " if width > 1 else ""
