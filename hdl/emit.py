"""From a design and its parameters to the files that a tool flow takes."""

import json
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version

from narrowfloat import cache, shell
from narrowfloat.freshness import fingerprint
from narrowfloat.hdl import manifest, verilog
from narrowfloat.hdl.files import beside, sheet, testbench
from narrowfloat.hdl.files.fields import in_words
from narrowfloat.hdl.files.ipxact import interface_attributes
from narrowfloat.hdl.names import MAX_NAME
from narrowfloat.hdl.verilog.keywords import KEYWORDS
from narrowfloat.tools import YOSYS

# For which there are targets, as Yosys calls them and in words.
_FAMILIES = {"ice40": "Lattice iCE40", "ecp5": "Lattice ECP5", "xilinx": "Xilinx 7 series"}


@dataclass(frozen=True)
class Emission:
    """What `emit` makes: the module's name, its manifest, its Verilog, its data sheet, and what it is.

    Attributes
    ----------
    files : dict of str
        The texts of all files, these and what goes beside them, by name.
    """

    module: str
    manifest: dict
    text: str
    page: str
    summary: str

    @cached_property
    def files(self):
        module, source = self.module, self.manifest["source"]
        texts = {
            source: self.text,
            f"{module}.json": json.dumps(self.manifest, indent=2) + "\n",
            f"{module}.f": f"{source}\n",
            f"{module}.core": _core(module, source, self.summary),
            f"{module}.md": self.page,
        }
        return texts | beside(self.manifest) | testbench.files(self.manifest, [source])

    def write(self, folder):
        """Write the files into `folder`, made if missing, all of them or none; their paths."""
        return shell.write_all(folder, self.files)


def emit(design, settings=(), name=None, systemverilog=False):
    """Emit `design` (`hdl.catalog.Design`) with `settings`, texts NAME=VALUE, as an `Emission`; `name` is that of the module.

    It is Verilog-2005, or SystemVerilog. The same parameters give the same bytes anywhere, however they are spelled.

    Raises
    ------
    ValueError
        A setting or the name is not allowed.
    narrowfloat.tools.ToolError
        Yosys is missing or fails.
    """
    values = design.parse(settings)
    top = design.top(values)
    module = design.module(values) if name is None else _checked_name(name, top)
    seed = values["seed"] if top.seeded else None
    language = verilog.SYSTEM_VERILOG if systemverilog else verilog.VERILOG
    described = manifest.of(design, values, module, top, module + language.suffix)
    heading = _heading(design, values, module, described)
    modules = verilog.Design(top, module)
    text = modules.text(heading, interface_attributes(described), top.is_asynchronous, seed)
    text = verilog.systemverilog(text) if systemverilog else text
    described = manifest.sealed(described, text, modules.paths, modules.in_reset)
    return Emission(module, described, text, sheet.page(design, values, described), design.summary)


def kept(design, settings=()):
    """As `emit`, from the build folder if it is there, made of the same sources by the same tools."""
    settings = design.settings(design.parse(settings))
    sources = __name__, "narrowfloat.hdl.catalog", design.reference.partition(":")[0]
    parts = [design.name, *settings, fingerprint(*sources), version("narrowfloat"), YOSYS.version()]
    return Emission(**cache.value("emissions", parts, lambda: asdict(emit(design, settings))))


def _checked_name(name, top):
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or len(name) > MAX_NAME or name in KEYWORDS:
        allowed = f"1 to {MAX_NAME} of A to Z, a to z, 0 to 9 and _, not beginning with a digit, and no keyword of Verilog"
        raise ValueError(f"a module's name must be {allowed}, not {name!r}")
    if name in {*top.signature.members, *(("SEED", "lfsr_start") if top.seeded else ())}:
        raise ValueError(f"a module's name must not be that of anything in it, as {name!r} is: take another one")
    return name


def _heading(design, values, module, described):
    """The lines of the comment above a module: what it is, and the fields of its ports."""
    built = " ".join(design.settings(values)) or "all parameters at their defaults"
    lines = [
        f"{module}: {design.summary}",
        f"Narrowfloat {version('narrowfloat')}: {design.name}, {built}",
        "SPDX-License-Identifier: Apache-2.0",
    ]
    ports = [port for port in described["ports"] if "fields" in port]
    longest = max((len(port["name"]) for port in ports), default=0)
    return [*lines, *[""] * bool(ports), *(f"{port['name']:{longest}}  {in_words(port['fields'])}" for port in ports)]


def _core(module, source, summary):
    language = verilog.language_of(source)
    return f"""CAPI=2:
name: narrowfloat:rtl:{module}:{version("narrowfloat")}
description: {summary}
filesets:
  rtl:
    files: [{source}]
    file_type: {language.file_type}
  tb:
    files:
      - {module}_tb.v: {{file_type: verilogSource}}
      - {module}_tb.hex: {{file_type: user, copyto: {module}_tb.hex}}
targets:
  default:
    filesets: [rtl]
    toplevel: {module}
  lint:
    description: all warnings of Verilator
    flow: lint
    flow_options: {{tool: verilator, verilator_options: [-Wall, --language, {language.standard}]}}
    filesets: [rtl]
    toplevel: {module}
  sim:
    description: a testbench that checks itself
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [{language.icarus}]
      verilator_options: [--timing]
      mode: binary
    filesets: [rtl, tb]
    toplevel: {module}_tb
{"".join(_synthesis(module, family) for family in _FAMILIES)}"""


def _synthesis(module, family):
    return f"""  synth_{family}:
    description: a netlist for {_FAMILIES[family]}, by Yosys
    flow: generic
    flow_options: {{tool: yosys, arch: {family}, output_format: json}}
    filesets: [rtl]
    toplevel: {module}
"""
