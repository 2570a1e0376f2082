"""What is measured: blocks as they are emitted, and the baselines beside them."""

import re
from dataclasses import asdict, dataclass, replace
from hashlib import sha256

from narrowfloat import cache
from narrowfloat.freshness import fingerprint
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.emit import emit
from narrowfloat.synth import vectors
from narrowfloat.synth.baselines import BASELINES
from narrowfloat.tools import YOSYS

NAMES = (*DESIGNS, *BASELINES)

# A module with an array of registers: its name, and the text from there to its end; and in that the array.
_MEMORY = re.compile(r"^module (\w+)((?:(?!^endmodule)[\s\S])*?\n *reg [^;]*\] \w+ \[[\s\S]*?)^(?=endmodule)", re.MULTILINE)
_ARRAY = re.compile(r"^ *reg \[(\d+):0\] \w+ \[0:(\d+)\];", re.MULTILINE)


@dataclass(frozen=True)
class Unit:
    """A module to be measured.

    Attributes
    ----------
    design, parameters, role
        What the rows of its results begin with.
    top, verilog
        The module's name, and its Verilog with all that it needs.
    inputs, outputs : dict
        Widths of ports by name; ``clk``, if there, is the clock, ``rst`` or ``rst_n`` the reset.
    operations : int
        What it does per cycle, for the energy of one: conversions, products, dot products.
    manifest : dict or None
        Of a block.
    is_for_fpgas : bool or None
        Whether it is built for FPGAs, or for anything else; None if for both.
    """

    design: str
    parameters: dict
    role: str
    top: str
    verilog: str
    inputs: dict
    outputs: dict
    operations: int
    manifest: dict | None = None
    is_for_fpgas: bool | None = None

    @property
    def clocked(self):
        """Whether it has a clock."""
        return "clk" in self.inputs

    @property
    def has_memory(self):
        """Whether some of its registers are an array, which FPGAs have block RAM for and cells do not."""
        return self.memory_bits > 0

    @property
    def memory_bits(self):
        """How many bits such arrays have together, each in a module of its own, as often as it is instantiated."""
        total = 0
        for module, body in _MEMORY.findall(self.verilog):
            width, words = (int(top) + 1 for top in _ARRAY.search(body).groups())
            total += width * words * len(re.findall(rf"^ *{module} \w+ \($", self.verilog, re.MULTILINE))
        return total

    def without_memories(self):
        """The same with those modules as black boxes."""
        empty = _MEMORY.sub(lambda found: f"(* blackbox *)\nmodule {found[1]}{found[2].partition(');')[0]});\n", self.verilog)
        return replace(self, verilog=empty)

    def vectors(self):
        """Inputs to simulate it with and the model's results (`synth.vectors.Vectors`), or None if there is no model yet."""
        if self.role == "baseline":
            return BASELINES[self.design].vectors(**self.parameters)
        return vectors.of_design(self.manifest)

    def vectors_digest(self):
        """A digest of the vectors, by which results from them are kept."""
        # A reference is imported by the name in the manifest, so that no import leads to it.
        models = [] if self.manifest is None else [self.manifest["reference"].partition(":")[0]]
        made_by = fingerprint("narrowfloat.synth.vectors", "narrowfloat.synth.baselines", *models)
        return cache.value(
            "synth", [self.top, self.verilog, made_by], lambda: sha256(repr(self.vectors()).encode()).hexdigest()
        )


def builds(name, every_shape):
    """Settings of the builds of the design or baseline of that name that are measured."""
    if name in BASELINES:
        return [*BASELINES[name].builds, *(BASELINES[name].more if every_shape else ())]
    design = DESIGNS[name]
    shapes = [_with(settings, shape) for settings in design.shipped for shape in design.measured.shapes]
    return list(dict.fromkeys([*shapes, *((*design.measured.more, *design.shipped) if every_shape else ())]))


def _with(settings, shape):
    """`settings` with those of `shape` in their place."""
    names = [setting.partition("=")[0] for setting in shape]
    return (*(setting for setting in settings if setting.partition("=")[0] not in names), *shape)


def unit(name, settings):
    """The `Unit` of the design or baseline of that name with `settings`, texts NAME=VALUE.

    Raises
    ------
    ValueError
        A setting is not allowed.
    narrowfloat.tools.ToolError
        Yosys is missing or fails.
    """
    if name in BASELINES:
        return _baseline(BASELINES[name], settings)
    DESIGNS[name].parse(settings)
    made_by = [fingerprint(__name__), YOSYS.version()]
    return Unit(**cache.value("synth", [name, *settings, *made_by], lambda: asdict(_block(DESIGNS[name], settings))))


def _baseline(baseline, settings):
    values = baseline.parse(settings)
    module, top = baseline.module(**values), baseline.top(values)
    return Unit(
        baseline.name,
        values,
        "baseline",
        top,
        module.verilog(top),
        module.inputs,
        module.outputs,
        1,
        is_for_fpgas=baseline.is_for_fpgas(**values),
    )


def _block(design, settings):
    emission = emit(design, settings)
    manifest = emission.manifest
    inputs, outputs = (
        {port["name"]: port["width"] for port in manifest["ports"] if port["direction"] == direction}
        for direction in ("input", "output")
    )
    # Without comments, so that results are kept when only line numbers of the source in them have changed.
    verilog = re.sub(r"//.*|/\*.*?\*/", "", emission.text)
    operations = design.measured.operations
    if isinstance(operations, str):
        operations = manifest["parameters"].get(operations, 1)
    return Unit(design.name, manifest["parameters"], "block", emission.module, verilog, inputs, outputs, operations, manifest)
