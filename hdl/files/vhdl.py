"""VHDL: a package with the component declaration of an emitted module, and its instantiation."""

import re

from narrowfloat.hdl.files.interfaces import data_ports, title

# Those of IEEE 1076-2008, among which are those of before.
_RESERVED = frozenset(
    """
    abs access after alias all and architecture array assert assume assume_guarantee attribute begin block body buffer bus case
    component configuration constant context cover default disconnect downto else elsif end entity exit fairness file for force
    function generate generic group guarded if impure in inertial inout is label library linkage literal loop map mod nand new
    next nor not null of on open or others out package parameter port postponed procedure process property protected pure range
    record register reject release rem report restrict restrict_guarantee return rol ror select sequence severity shared signal
    sla sll sra srl strong subtype then to transport type unaffected units until use variable vmode vprop vunit wait when while
    with xnor xor
    """.split()  # noqa: SIM905
)


def files(manifest):
    """The package in ``MODULE_component.vhd``."""
    package = f"{manifest['module']}_component"
    lines = [
        *(f"-- {line}" for line in title(manifest, "VHDL component declaration of the Verilog module")),
        "",
        "library ieee;",
        "use ieee.std_logic_1164.all;",
        "",
        f"package {name(package)} is",
        *(f"  {line}" for line in component(manifest)),
        f"end package {name(package)};",
        "",
        f'-- To instantiate it, after "use work.{name(package)}.all;":',
        "--",
        *(f"--   {line}".rstrip() for line in instance(manifest).splitlines()),
    ]
    return {f"{package}.vhd": "\n".join(lines) + "\n"}


def component(manifest):
    """The lines of the component declaration."""
    # Vivado (UG901) takes integers, but no vectors, as generics of a Verilog module: the integer of the same 32 bits.
    generics = [f"{each['name']} : integer := {_integer(each['default'])}" for each in manifest.get("verilog_parameters", ())]
    modes = {"input": "in", "output": "out"}
    ports = [f"{name(port['name'])} : {modes[port['direction']]} {_type(port['width'])}" for port in manifest["ports"]]
    return [
        f"component {name(manifest['module'])} is",
        *(_clause("generic", generics, "; ") if generics else []),
        *_clause("port", ports, "; "),
        f"end component {name(manifest['module'])};",
    ]


def instance(manifest):
    """Declarations of signals, and the instantiation with them: a text."""
    signals = [f"signal {name(port['name'])} : {_type(port['width'])};" for port in data_ports(manifest)]
    generics = [f"{each['name']} => {_integer(each['default'])}" for each in manifest.get("verilog_parameters", ())]
    ports = [f"{name(port['name'])} => {name(port['name'])}" for port in manifest["ports"]]
    lines = [
        *signals,
        "",
        f"{manifest['design']}_i : {name(manifest['module'])}",
        *(_clause("generic map", generics, ", ", "") if generics else []),
        *_clause("port map", ports, ", "),
    ]
    return "\n".join(lines) + "\n"


def name(text):
    """`text` as an identifier, extended where a basic one cannot be it."""
    basic = re.fullmatch("[A-Za-z](_?[A-Za-z0-9])*", text) and text.lower() not in _RESERVED
    return text if basic else f"\\{text}\\"


def _type(width):
    return "std_logic" if width == 1 else f"std_logic_vector({width - 1} downto 0)"


def _integer(value):
    """`value`, unsigned with 32 bits, as an integer of the same bits; the lowest one has no literal."""
    signed = value - 2**32 if value >= 2**31 else value
    return "-2147483647 - 1" if signed == -(2**31) else str(signed)


def _clause(word, items, separator, end=";"):
    *first, last = items
    return [f"  {word} (", *(f"    {item}{separator.strip()}" for item in first), f"    {last}", f"  ){end}"]
