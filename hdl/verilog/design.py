"""A whole design: a module for each kind of component in it, the top first."""

import inspect
import json
import re
import tempfile
from pathlib import Path

from narrowfloat.hdl.names import MAX_PREFIX, shortened
from narrowfloat.hdl.parts.lfsr import start_function
from narrowfloat.hdl.verilog import netlist, writer
from narrowfloat.hdl.verilog.hierarchy import Hierarchy
from narrowfloat.hdl.verilog.paths import paths
from narrowfloat.tools import yosys

# Parts of the library's are no modules of their own. Initial values are left out, which neither standard cells nor their
# memories have: reset sets all that matters.
_SCRIPT = """
read_rtlil top.il
delete t:$meminit*
proc -norom
setattr -mod -set keep_hierarchy 1 {names}
flatten
opt -fast -full -nodffe -nosdff
opt_share
opt -fast -full -nodffe -nosdff
opt_clean
setattr -unset init w:*
write_json top.json
"""
# What is left of it under reset: registers with a reset have its value, and nothing is known of others and of memories. Of the
# top only outputs of one bit are kept, and so of the rest what leads to them: an array of cells is not made flat for nothing.
_IN_RESET = """
delete t:$dff t:$mem*
techmap -map in_reset.v
opt_clean
setattr -mod -unset keep_hierarchy *
delete {top}/o:* {top}/s:2: %i
opt_clean
flatten
opt
write_json in_reset.json
"""
_REGISTER_IN_RESET = r"""
module \$adff (CLK, ARST, D, Q);
  parameter WIDTH = 1;
  parameter CLK_POLARITY = 1;
  parameter ARST_POLARITY = 1;
  parameter [WIDTH-1:0] ARST_VALUE = 0;
  input CLK, ARST;
  input [WIDTH-1:0] D;
  output [WIDTH-1:0] Q;
  assign Q = ARST_VALUE;
endmodule
"""
_MANY_MODULES = "/* verilator lint_off DECLFILENAME */\n\n"


class Design:
    """The modules of a component `top`, a `narrowfloat.hdl.parts.logic.Circuit`, which itself is the module `name`.

    Attributes
    ----------
    paths : dict of sets of str
        By the output of the top, the inputs on which it depends within a clock cycle; without outputs that depend on none.
    in_reset : dict of int
        By the output of the top, of those of one bit, what it is under reset; without outputs that depend on inputs then.
    """

    def __init__(self, top, name):
        hierarchy = Hierarchy()
        hierarchy.add(top, name)
        self._name, self._parts = name, hierarchy.parts
        self._modules, self.in_reset = _modules(hierarchy.parts, name)
        self.paths = paths(self._modules)

    def text(self, heading, attributes, asynchronous=False, seed=None):
        """The Verilog.

        Parameters
        ----------
        heading : list of str
            The comment above it.
        attributes : dict of list of str
            By the names of ports, the attributes that stand before them.
        asynchronous : bool
            Whether its reset is.
        seed : int or None
            The default of the Verilog parameter SEED, if it has one.
        """
        name, instances, seeded, texts = self._name, {}, set(), {}
        for part in self._parts.values():
            is_top = part.name == name
            module = self._modules[part.name]
            register = getattr(part.component, "register", None)
            if register is not None or any(cell.type in seeded for cell in module.instances):
                seeded.add(part.name)
            declared, given, body = _seed(part.name in seeded, register, seed)
            source = writer.Source(
                heading=tuple(heading if is_top else _heading(part.component)),
                parameters=declared,
                body=body,
                start=part.component.start_of if register is not None else "",
                modules=instances,
                attributes=attributes if is_top else {},
                asynchronous=asynchronous,
                ports=part.ports,
            )
            written = writer.write(module, "@", source)
            if written not in texts:
                texts[written] = name if is_top else _module_name(name, part.component, set(texts.values()))
            instances[part.name] = texts[written], given, part.ports
        blocks = [written.replace("module @", f"module {label}") for written, label in texts.items()]
        *others, first = blocks
        return first + ("\n" + _MANY_MODULES + "\n".join(reversed(others)) if others else "")


def _modules(parts, name):
    """The netlists of `parts`, by name, as Yosys has cleaned them, and which outputs are known under reset."""
    texts = [part.text if part.name == name else part.text.replace("attribute \\top 1\n", "") for part in parts.values()]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "top.il").write_text("\n".join(texts))
        (folder / "in_reset.v").write_text(_REGISTER_IN_RESET)
        yosys(_SCRIPT.format(names=" ".join(parts)) + _IN_RESET.format(top=name), folder)
        under_reset = json.loads((folder / "in_reset.json").read_text())["modules"][name]["ports"]
        known = {port: int(each["bits"][0]) for port, each in under_reset.items() if each["bits"] in (["0"], ["1"])}
        return netlist.read((folder / "top.json").read_text(), list(parts)), known


def _heading(component):
    """What a component says of itself first."""
    paragraph = inspect.cleandoc(type(component).__doc__).split("\n\n")[0]
    return paragraph.splitlines()


def _module_name(top, component, taken):
    label = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(component).__name__.strip("_")).lower()
    first = found = f"{shortened(top, MAX_PREFIX)}_{label}"
    number = 1
    while found in taken:
        number += 1
        found = f"{first}{number}"
    return found


def _seed(is_seeded, register, seed):
    """Of a module with registers of random bits: its Verilog parameters, those that its instances get, and a function."""
    if not is_seeded:
        return (), "", ""
    declared = (f"parameter [31:0] SEED = 32'd{seed}",)
    if register is None:
        return declared, " #(.SEED(SEED))", ""
    declared = (*declared, "parameter [2:0] REGISTER = 3'd0")
    constant = "  localparam [88:0] START = lfsr_start(SEED, REGISTER);\n"
    return declared, f" #(.SEED(SEED), .REGISTER(3'd{register}))", start_function() + constant
