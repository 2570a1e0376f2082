"""From a design and its parameters to the files that a tool flow takes."""

import hashlib
import json
import re
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from amaranth.back import rtlil
from narrowfloat import cache, shell
from narrowfloat.freshness import fingerprint
from narrowfloat.hdl.parts import registers
from narrowfloat.tools import YOSYS, yosys

# Flattened and cleaned, and without initial values, which neither standard cells nor their memories have: reset sets all that
# matters.
_SCRIPT = """
read_rtlil top.il
delete t:$meminit*
proc -norom
flatten -separator _
opt -full
opt_clean -purge
splitcells
splitnets -driver
opt_clean -purge
setattr -unset init w:*
wreduce t:$add t:$sub
opt_clean -purge
pmuxtree
techmap -max_iter 1 -map widths.v
opt_clean -purge
splitnets -driver
opt_clean -purge
rename -unescape
write_verilog -sv -noattr top.sv
design -reset
read_verilog -sv -noopt top.sv
proc -noopt -norom
write_json top.json
"""


@dataclass(frozen=True)
class Emission:
    """What `emit` makes: the module's name, its manifest, and the text of each file by name."""

    module: str
    manifest: dict
    files: dict[str, str]

    def write(self, folder):
        """Write the files into `folder`, made if missing, all of them or none; their paths."""
        return shell.write_all(folder, self.files)


def emit(design, settings=()):
    """Emit `design` (`hdl.catalog.Design`) with `settings`, texts NAME=VALUE, as an `Emission`.

    The same arguments give the same bytes anywhere.

    Raises
    ------
    ValueError
        A setting is not allowed.
    narrowfloat.tools.ToolError
        Yosys is missing or fails.
    """
    values = design.parse(settings)
    top = design.top(values)
    module = design.module(values)
    ports = [
        {
            "name": name,
            "direction": "input" if member.flow.name == "In" else "output",
            "width": member.shape,
            **({"fields": [field.as_json() for field in top.fields[name]]} if name in top.fields else {}),
        }
        for name, member in top.signature.members.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "top.il").write_text(rtlil.convert(top, name=module))
        (folder / "widths.v").write_text(files("narrowfloat.hdl").joinpath("widths.v").read_text())
        yosys(_SCRIPT, folder)
        netlist = json.loads((folder / "top.json").read_text())["modules"][module]
        body = (folder / "top.sv").read_text()
    text = _tidy(body, module, [port["name"] for port in ports], *_unused(netlist), _header(design, settings))
    manifest = {
        "design": design.name,
        "module": module,
        "reference": design.reference,
        "parameters": design.to_json(values),
        "ports": ports,
        **top.facts,
        "versions": {"narrowfloat": version("narrowfloat"), "amaranth": version("amaranth"), "yosys": YOSYS.version()},
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    texts = {
        f"{module}.sv": text,
        f"{module}.json": json.dumps(manifest, indent=2) + "\n",
        f"{module}.f": f"{module}.sv\n",
        f"{module}.core": _core(module, design.summary),
    }
    if top.registers:
        texts[f"{module}.md"] = registers.markdown(module, top.registers)
    return Emission(module, manifest, texts)


def kept(design, settings=()):
    """As `emit`, from the build folder if it is there, made of the same sources by the same tools."""
    parts = [design.name, *settings, fingerprint(__name__, "narrowfloat.hdl.catalog"), version("narrowfloat"), YOSYS.version()]
    return Emission(**cache.value("emissions", parts, lambda: asdict(emit(design, settings))))


def _header(design, settings):
    built = " ".join(settings) or "all parameters at their defaults"
    title = f"Narrowfloat {version('narrowfloat')}: {design.summary}"
    return f"// {title}\n// {design.name}: {built}\n// SPDX-License-Identifier: Apache-2.0\n"


def _unused(netlist):
    """Names of the input ports of which a bit drives nothing, and those of such wires: lower bits of sums, which only carry."""
    used = {bit for cell in netlist["cells"].values() for bits in _inputs(cell) for bit in bits}
    used |= {bit for port in netlist["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
    inputs = [name for name, port in netlist["ports"].items() if port["direction"] == "input"]
    partly = [
        name for name, net in netlist["netnames"].items() if any(type(bit) is int and bit not in used for bit in net["bits"])
    ]
    return [name for name in inputs if name in partly], [name for name in partly if name not in netlist["ports"]]


def _inputs(cell):
    return (bits for port, bits in cell["connections"].items() if cell["port_directions"][port] == "input")


def _tidy(body, module, ports, unused, carrying, header):
    """Our header for Yosys', the manifest's order of ports, plain names, and a word to the linter on what is ignored."""
    body = re.sub(r"^/\*.*\*/\n+", header, body)
    body = re.sub(rf"^module {module}\([^;]*\);$", f"module {module}({', '.join(ports)});", body, flags=re.MULTILINE)
    # Yosys names a register after the range of the port that it drives.
    body = re.sub(r"\\(\w+)\[(\d+)(?::(\d+))?\] ", lambda match: "_".join(filter(None, match.groups())) + "_ ", body)
    ignored = [rf"  input .*\b{name};\n  wire .*\b{name};\n" for name in unused]
    for lines in (*ignored, *(rf"  wire .*\b{name};\n" for name in carrying)):
        marked = r"  /* verilator lint_off UNUSEDSIGNAL */\n\1  /* verilator lint_on UNUSEDSIGNAL */\n"
        body = re.sub(rf"^({lines})", marked, body, flags=re.MULTILINE)
    return body


def _core(module, summary):
    return f"""CAPI=2:
name: narrowfloat:rtl:{module}:{version("narrowfloat")}
description: {summary}
filesets:
  rtl:
    files: [{module}.sv]
    file_type: systemVerilogSource
targets:
  default:
    filesets: [rtl]
    toplevel: {module}
"""
