"""From a design and its parameters to the files that a tool flow takes."""

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
from narrowfloat.hdl import manifest
from narrowfloat.hdl.catalog import MAX_NAME
from narrowfloat.hdl.files import testbench
from narrowfloat.hdl.parts import lfsr, registers
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
techmap -map outputs.v
opt_clean -purge
rename -unescape
write_verilog -sv -noattr top.sv
design -reset
read_verilog -sv -noopt top.sv
proc -noopt -norom
write_json top.json
"""
# Those of SystemVerilog, IEEE 1800-2017, among which are all of Verilog.
_KEYWORDS = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind bins
    binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
    constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
    else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
    endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
    export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global
    highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input
    inside instance int integer interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
    noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
    property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1
    sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri
    tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var
    vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Emission:
    """What `emit` makes: the module's name, its manifest, and the text of each file by name."""

    module: str
    manifest: dict
    files: dict[str, str]

    def write(self, folder):
        """Write the files into `folder`, made if missing, all of them or none; their paths."""
        return shell.write_all(folder, self.files)


def emit(design, settings=(), name=None):
    """Emit `design` (`hdl.catalog.Design`) with `settings`, texts NAME=VALUE, as an `Emission`; `name` is that of the module.

    The same parameters give the same bytes anywhere, however they are spelled.

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
    body, netlist = _written(top, module)
    if read_back := _read_back(body):
        body, netlist = _written(design.top(values).with_own_wires(read_back), module)
    text = _tidy(body, module, list(top.signature.members), *_unused(netlist), _header(design, values))
    if top.seeded:
        text = _with_seed(text, module, values["seed"])
    described = manifest.of(design, values, module, top, text)
    texts = {
        f"{module}.sv": text,
        f"{module}.json": json.dumps(described, indent=2) + "\n",
        f"{module}.f": f"{module}.sv\n",
        f"{module}.core": _core(module, design.summary),
    }
    if top.registers:
        texts[f"{module}.md"] = registers.markdown(module, top.registers)
    texts |= testbench.files(described, [f"{module}.sv"])
    return Emission(module, described, texts)


def _written(top, module):
    """What Yosys makes of `top`: the text and the netlist."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "top.il").write_text(rtlil.convert(top, name=module))
        for name in ("widths.v", "outputs.v"):
            (folder / name).write_text(files("narrowfloat.hdl").joinpath(name).read_text())
        yosys(_SCRIPT, folder)
        netlist = json.loads((folder / "top.json").read_text())["modules"][module]
        return (folder / "top.sv").read_text(), netlist


def kept(design, settings=()):
    """As `emit`, from the build folder if it is there, made of the same sources by the same tools."""
    settings = design.settings(design.parse(settings))
    sources = __name__, "narrowfloat.hdl.catalog", design.reference.partition(":")[0]
    parts = [design.name, *settings, fingerprint(*sources), version("narrowfloat"), YOSYS.version()]
    return Emission(**cache.value("emissions", parts, lambda: asdict(emit(design, settings))))


def _checked_name(name, top):
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or len(name) > MAX_NAME or name in _KEYWORDS:
        allowed = f"1 to {MAX_NAME} of A to Z, a to z, 0 to 9 and _, not beginning with a digit, and no keyword of Verilog"
        raise ValueError(f"a module's name must be {allowed}, not {name!r}")
    if name in {*top.signature.members, *(("SEED", "lfsr_start") if top.seeded else ())}:
        raise ValueError(f"a module's name must not be that of anything in it, as {name!r} is: take another one")
    return name


def _header(design, values):
    built = " ".join(design.settings(values)) or "all parameters at their defaults"
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


def _read_back(body):
    """Names of outputs of several bits that combinational logic drives and something reads.

    They would stand for loops, where linters look at words and not at bits.
    """
    words = re.findall(r"^  output \[.*\] (\w+);$", body, re.MULTILINE)
    assignments = re.findall(r"^  assign (.*) = (.*);$", body, re.MULTILINE)
    driven, read = (set(re.findall(r"\w+", " ".join(each[side] for each in assignments))) for side in (0, 1))
    return [name for name in words if name in driven and name in read]


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


def _with_seed(text, module, seed):
    """Random bits start at the Verilog parameter SEED, and not at the one number that `seed` leads to."""
    pattern = r"(if \(!?rst(?:_n)?\) \w*lfsr(\d)_state_(\d+)_ <= )1'h[01];"
    text, count = re.subn(pattern, r"\1lfsr\2_start[\3];", text)
    registers_ = sorted(set(re.findall(r"<= lfsr(\d)_start\[", text)))
    assert count == lfsr.WIDTH * len(registers_) > 0
    starts = "".join(f"  localparam [88:0] lfsr{n}_start = lfsr_start(SEED, 3'd{n});\n" for n in registers_)
    text = re.sub(rf"^module {module}\(", f"module {module} #(parameter [31:0] SEED = 32'd{seed}) (", text, flags=re.MULTILINE)
    return re.sub(
        rf"^(module {module} [^;]*;\n)", lambda match: match[1] + lfsr.start_function() + starts, text, flags=re.MULTILINE
    )


def _core(module, summary):
    return f"""CAPI=2:
name: narrowfloat:rtl:{module}:{version("narrowfloat")}
description: {summary}
filesets:
  rtl:
    files: [{module}.sv]
    file_type: systemVerilogSource
  tb:
    files:
      - {module}_tb.v: {{file_type: verilogSource}}
      - {module}_tb.hex: {{file_type: user, copyto: {module}_tb.hex}}
targets:
  default:
    filesets: [rtl]
    toplevel: {module}
  sim:
    description: a testbench that checks itself
    default_tool: icarus
    filesets: [rtl, tb]
    toplevel: {module}_tb
    tools:
      icarus: {{iverilog_options: [-g2012]}}
      verilator: {{mode: binary, verilator_options: [--timing]}}
"""
