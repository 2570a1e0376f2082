"""A packaged core after IP-XACT, IEEE 1685-2009, as Vivado has them, and the attributes that name the buses in Verilog."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from narrowfloat.hdl.files.interfaces import buses, clock, reset, title
from narrowfloat.hdl.verilog import language_of

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
XILINX = "http://www.xilinx.com"
# Library and name of each definition in Vivado's catalogue of buses.
_STREAM = ("interface", "axis")
_LITE = ("interface", "aximm")
_CLOCK = ("signal", "clock")
_RESET = ("signal", "reset")
# What Vivado is told to offer the core for; it has nothing of any family in it.
_FAMILIES = """
artix7 kintex7 spartan7 virtex7 zynq kintexu virtexu artixuplus kintexuplus virtexuplus zynquplus versal
""".split()  # noqa: SIM905
# Names and environments by which Vivado knows what is for synthesis, and what for simulation.
_VIEWS = {
    "xilinx_anylanguagesynthesis_view": ":vivado.xilinx.com:synthesis",
    "xilinx_anylanguagebehavioralsimulation_view": ":vivado.xilinx.com:simulation",
}
# Of the accesses of fields: what software may do, and what a write does.
_ACCESS = {
    "ro": ("read-only", None),
    "rw": ("read-write", None),
    "w1c": ("read-write", "oneToClear"),
    "strobe": ("write-only", None),
}


@dataclass(frozen=True)
class _Interface:
    """A bus, the clock or the reset: its definition, whether the module is its master, the names of its ports by those of the
    definition, and its parameters."""

    kind: tuple[str, str]
    master: bool
    ports: dict[str, str]
    parameters: dict[str, str]


def files(manifest):
    """``MODULE.component.xml``."""
    for prefix, uri in (("spirit", SPIRIT), ("xilinx", XILINX)):
        ElementTree.register_namespace(prefix, uri)
    root = _component(manifest)
    ElementTree.indent(root)
    notes = [
        *title(manifest, "IP-XACT, IEEE 1685-2009, of"),
        "Valid by the standard's schema; never opened in Vivado yet.",
    ]
    head = ['<?xml version="1.0" encoding="UTF-8"?>', *(f"<!-- {note} -->" for note in notes)]
    text = ElementTree.tostring(root, encoding="unicode")
    return {f"{manifest['module']}.component.xml": "\n".join([*head, text]) + "\n"}


def interface_attributes(manifest):
    """Verilog attributes, by the name of the port that they stand before, that tell Vivado which bus it belongs to.

    A port that belongs to none is left out.
    """
    found = {}
    for name, interface in _interfaces(manifest).items():
        kind = ":".join(interface.kind)
        for logical, port in interface.ports.items():
            found[port] = [f'(* X_INTERFACE_INFO = "xilinx.com:{kind}:1.0 {name} {logical}" *)']
        if interface.parameters:
            text = ", ".join(f"{parameter} {value}" for parameter, value in interface.parameters.items())
            found[next(iter(interface.ports.values()))].append(f'(* X_INTERFACE_PARAMETER = "{text}" *)')
    return found


def _interfaces(manifest):
    """Each `_Interface` by its name."""
    clk, rst, found = clock(manifest), reset(manifest), {}
    if clk:
        associated = {"ASSOCIATED_BUSIF": ":".join(bus.name for bus in buses(manifest)), "ASSOCIATED_RESET": rst.name}
        polarity = "ACTIVE_LOW" if rst.active_low else "ACTIVE_HIGH"
        found[clk] = _Interface(_CLOCK, False, {"CLK": clk}, {name: value for name, value in associated.items() if value})
        found[rst.name] = _Interface(_RESET, False, {"RST": rst.name}, {"POLARITY": polarity})
    for bus in buses(manifest):
        ports = {logical: port["name"] for logical, port in bus.ports.items()}
        kind, parameters = (_LITE, {"PROTOCOL": "AXI4LITE"}) if bus.lite else (_STREAM, {})
        found[bus.name] = _Interface(kind, bus.master, ports, parameters)
    return found


def _component(manifest):
    module = manifest["module"]
    # Vivado has versions of two numbers, and a revision.
    *version, revision = (re.findall(r"\d+", manifest["versions"]["narrowfloat"]) + ["0"] * 3)[:3]
    root = _element("component")
    identity = {"vendor": "narrowfloat", "library": "rtl", "name": module, "version": ".".join(version)}
    for element, text in identity.items():
        _add(root, element, text)
    interfaces = _add(root, "busInterfaces")
    for name, interface in _interfaces(manifest).items():
        _bus_interface(interfaces, name, interface)
    if "registers" in manifest:
        _memory_map(_add(root, "memoryMaps"), manifest)
    _model(_add(root, "model"), manifest)
    sets = _add(root, "fileSets")
    for view in _VIEWS:
        group = _add(sets, "fileSet")
        _add(group, "name", f"{view}_fileset")
        file = _add(group, "file")
        _add(file, "name", manifest["source"])
        _add(file, "fileType", language_of(manifest["source"]).file_type)
    _add(root, "description", f"{manifest['design']} of Narrowfloat {manifest['versions']['narrowfloat']}")
    parameter = _add(_add(root, "parameters"), "parameter")
    _add(parameter, "name", "Component_Name")
    _add(parameter, "value", module, resolve="user", id="PARAM_VALUE.Component_Name", order="1")
    _extensions(_add(_add(root, "vendorExtensions"), "coreExtensions", uri=XILINX), module, revision)
    return root


def _bus_interface(parent, name, interface):
    found = _add(parent, "busInterface")
    _add(found, "name", name)
    library, definition = interface.kind
    for element, suffix in (("busType", ""), ("abstractionType", "_rtl")):
        _add(found, element, vendor="xilinx.com", library=library, name=f"{definition}{suffix}", version="1.0")
    side = _add(found, "master" if interface.master else "slave")
    if interface.kind == _LITE:
        _add(side, "memoryMapRef", memoryMapRef=name)
    maps = _add(found, "portMaps")
    for logical, port in interface.ports.items():
        connection = _add(maps, "portMap")
        _add(_add(connection, "logicalPort"), "name", logical)
        _add(_add(connection, "physicalPort"), "name", port)
    if interface.parameters:
        group = _add(found, "parameters")
        for parameter, value in interface.parameters.items():
            each = _add(group, "parameter")
            _add(each, "name", parameter)
            _add(each, "value", value, id=f"BUSIFPARAM_VALUE.{name.upper()}.{parameter}")


def _memory_map(parent, manifest):
    (lite,) = (bus for bus in buses(manifest) if bus.lite)
    space = _add(parent, "memoryMap")
    _add(space, "name", lite.name)
    block = _add(space, "addressBlock")
    _add(block, "name", "registers")
    _add(block, "baseAddress", "0")
    _add(block, "range", 2 ** lite.ports["AWADDR"]["width"])
    _add(block, "width", "32")
    _add(block, "usage", "register")
    for register in manifest["registers"]:
        found = _add(block, "register")
        _add(found, "name", register["name"])
        _add(found, "description", register["description"])
        _add(found, "addressOffset", f"{register['address']:#x}")
        _add(found, "size", "32")
        known = [field for field in register["fields"] if "reset" in field]
        if known:
            after = _add(found, "reset")
            _add(after, "value", f"{sum(field['reset'] << field['lsb'] for field in known):#x}")
            _add(after, "mask", f"{sum(_mask(field) for field in known):#x}")
        for field in register["fields"]:
            _field(found, field)


def _field(parent, field):
    access, effect = _ACCESS[field["access"]]
    found = _add(parent, "field")
    _add(found, "name", field["name"])
    _add(found, "description", field["description"])
    _add(found, "bitOffset", field["lsb"])
    _add(found, "bitWidth", field["msb"] - field["lsb"] + 1)
    _add(found, "access", access)
    if "values" in field:
        values = _add(found, "enumeratedValues")
        for word, value in field["values"].items():
            each = _add(values, "enumeratedValue")
            _add(each, "name", word)
            _add(each, "value", value)
    if effect:
        _add(found, "modifiedWriteValue", effect)


def _mask(field):
    return 2 ** (field["msb"] + 1) - 2 ** field["lsb"]


def _model(parent, manifest):
    views = _add(parent, "views")
    for name, environment in _VIEWS.items():
        view = _add(views, "view")
        _add(view, "name", name.removesuffix("_view"))
        _add(view, "envIdentifier", environment)
        _add(view, "language", "SystemVerilog")
        _add(view, "modelName", manifest["module"])
        _add(_add(view, "fileSetRef"), "localName", f"{name}_fileset")
    ports = _add(parent, "ports")
    for port in manifest["ports"]:
        found = _add(ports, "port")
        _add(found, "name", port["name"])
        wire = _add(found, "wire")
        _add(wire, "direction", port["direction"].removesuffix("put"))
        if port["width"] > 1:
            vector = _add(wire, "vector")
            _add(vector, "left", port["width"] - 1)
            _add(vector, "right", "0")
    if "verilog_parameters" in manifest:
        group = _add(parent, "modelParameters")
        for parameter in manifest["verilog_parameters"]:
            found = _add(group, "modelParameter", dataType="std_logic_vector")
            _add(found, "name", parameter["name"])
            _add(found, "description", parameter["meaning"])
            width = parameter["width"]
            value = f"0x{parameter['default']:0{-(-width // 4)}x}"
            _add(
                found,
                "value",
                value,
                format="bitString",
                bitStringLength=str(width),
                id=f"MODELPARAM_VALUE.{parameter['name']}",
            )


def _extensions(parent, module, revision):
    families = _add(parent, "supportedFamilies", uri=XILINX)
    for family in _FAMILIES:
        _add(families, "family", family, uri=XILINX, lifeCycle="Production")
    _add(_add(parent, "taxonomies", uri=XILINX), "taxonomy", "/UserIP", uri=XILINX)
    _add(parent, "displayName", module, uri=XILINX)
    _add(parent, "coreRevision", revision, uri=XILINX)


def _element(tag, uri=SPIRIT, **attributes):
    return ElementTree.Element(f"{{{uri}}}{tag}", {f"{{{uri}}}{each}": value for each, value in attributes.items()})


def _add(parent, tag, text=None, uri=SPIRIT, **attributes):
    """A new element in `parent`, with a text and attributes, all of the namespace `uri`."""
    child = _element(tag, uri, **attributes)
    child.text = None if text is None else str(text)
    parent.append(child)
    return child
