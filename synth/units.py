"""What is measured: blocks as they are emitted, and the baselines beside them."""

import re
from dataclasses import asdict, dataclass
from hashlib import sha256

from narrowfloat.hdl import yosys
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED
from narrowfloat.hdl.emit import emit
from narrowfloat.synth import vectors
from narrowfloat.synth.baselines import BASELINES
from narrowfloat.synth.cache import cached

from narrowfloat.freshness import fingerprint

# A codec is measured as one lane without registers, the form in which structures are compared, and as it is shipped; a memory
# port with the smallest estimator, all else as it is shipped. What takes minutes is left to those who ask for it.
_CODEC = ({"lanes": "1", "stages": "0"}, {})
_PRODUCT = {"lanes": "1", "stages": "0"}
_SHAPES = {
    "float_encoder": _CODEC,
    "float_decoder": _CODEC,
    "exponent_histogram": (),
    "bfp_converter": (),
    "systolic_array": (),
    "log_moments": (),
    "memory_port": ({"estimators": "tracker", "s2fp8": "0"},),
    "s2_encoder": (),
    "s2_decoder": (),
    "s2_parameters": (),
    "lbfp_encoder": _CODEC,
    "lbfp_decoder": _CODEC,
    "lbfp_multiplier": tuple(_PRODUCT | {"output": output} for output in ("twos_complement", "sign_magnitude")),
    # without exponents it does what the integer one does
    "lbfp_dot_product": ({"exponents": "0"}, {}),
}
# Who asks for a design gets these, too, which take long: wide codecs of one format, estimators for one type and four.
_MORE_CODEC = ({"lanes": "16"},)
_ANTILOGS = (
    {"antilog": "mitchell"},
    {"antilog": "two_segment"},
    *({"guard_bits": guard_bits} for guard_bits in ("4", "6", "7", "8")),
    *({"fmt": name} for name in ("lbfp7", "lbfp6", "lbfp5")),
)
_MORE_SHAPES = {
    "float_encoder": _MORE_CODEC,
    "float_decoder": _MORE_CODEC,
    # what S2FP8 adds to the estimator that it takes
    "memory_port": ({}, {"estimators": "moments"}, {"estimators": "moments", "s2fp8": "1"}),
    "lbfp_encoder": ({"lanes": "1", "stages": "0", "source": "fixed"},),
    "lbfp_decoder": (),
    "lbfp_multiplier": (*(_PRODUCT | {"output": "sign_magnitude"} | antilog for antilog in _ANTILOGS), {}),
    "lbfp_dot_product": (
        *({"exponents": "0", "out_bits": bits} for bits in ("12", "13", "16", "22")),
        {"exponents": "0", "output": "twos_complement", "out_bits": "16"},
        *({"exponents": "0", "lanes": lanes} for lanes in ("1", "4", "64")),
    ),
    # what of it the sums of relative improvement take, and roundings
    "bfp_converter": (
        {},
        {"sums": "0"},
        {"sums": "0", "precisions": "4"},
        {"sums": "0", "precisions": "4", "roundings": "rtz"},
    ),
    "precision_policy": (),
    # one pass for groups of 3 bits, as MSFP-12 has them, or of 4
    "fast_mac": ({"chunk_bits": "3", "max_bits": "3"}, {"chunk_bits": "4"}),
    "systolic_array": ({"rows": "1", "columns": "1"},),
    "s2_encoder": (_CODEC[0],),
    "s2_decoder": (_CODEC[0],),
    "s2_parameters": ({},),
}
_MORE_ESTIMATOR = ({}, *({"types": types, "lanes": lanes} for types in ("1", "4") for lanes in ("1", "16")))

# The model's results for the inputs that a design is simulated with, from its manifest.
_VECTORS = {
    "float_encoder": vectors.float_codec,
    "float_decoder": vectors.float_codec,
    "median_tracker": vectors.median_tracker,
    "lbfp_multiplier": vectors.lbfp_multiplier,
    "lbfp_dot_product": vectors.lbfp_dot_product,
    "bfp_converter": vectors.bfp_converter,
    "fast_mac": vectors.fast_mac,
    "s2_encoder": vectors.s2_codec,
    "s2_decoder": vectors.s2_codec,
}
# Designs whose lanes do one thing together.
_ONE_OPERATION = ("lbfp_dot_product", "fast_mac")

NAMES = (*DESIGNS, *BASELINES)


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

    @property
    def clocked(self):
        """Whether it has a clock."""
        return "clk" in self.inputs

    @property
    def has_memory(self):
        """Whether some of its registers are an array, which FPGAs have block RAM for and cells do not."""
        return re.search(r"^ *reg [^;]*\] \w+ \[", self.verilog, re.MULTILINE) is not None

    def vectors(self):
        """Inputs to simulate it with and the model's results (`synth.vectors.Vectors`), or None if there is no model yet."""
        if self.role == "baseline":
            return BASELINES[self.design].vectors(**self.parameters)
        return _VECTORS[self.design](self.manifest) if self.design in _VECTORS else None

    def vectors_digest(self):
        """A digest of the vectors, by which results from them are kept."""
        made_by = fingerprint("narrowfloat.synth.vectors", "narrowfloat.synth.baselines")
        return cached([self.top, self.verilog, made_by], lambda: sha256(repr(self.vectors()).encode()).hexdigest())


def builds(name, every_shape):
    """Settings of the builds of the design or baseline of that name that are measured."""
    if name in BASELINES:
        return [*BASELINES[name].builds, *(BASELINES[name].more if every_shape else ())]
    found = {}
    for design, settings in SHIPPED:
        if design == name:
            shapes = _SHAPES.get(name, ({},))
            if every_shape and "," not in "".join(settings):
                shapes += _MORE_SHAPES.get(name, _MORE_ESTIMATOR)
            for shape in shapes:
                kept = [setting for setting in settings if setting.partition("=")[0] not in shape]
                found[(*kept, *map("=".join, shape.items()))] = None
    return list(found)


def unit(name, settings):
    """The `Unit` of the design or baseline of that name with `settings`, texts NAME=VALUE.

    Raises
    ------
    ValueError
        A setting is not allowed.
    hdl.yosys.ToolError
        Yosys is missing or fails.
    """
    if name in BASELINES:
        return _baseline(BASELINES[name], settings)
    DESIGNS[name].parse(settings)
    made_by = [fingerprint(__name__), yosys.version()]
    return Unit(**cached([name, *settings, *made_by], lambda: asdict(_block(DESIGNS[name], settings))))


def _baseline(baseline, settings):
    values = baseline.parse(settings)
    top, verilog = baseline.top(values)
    interface = baseline.interface(**values)
    return Unit(baseline.name, values, "baseline", top, verilog, interface.inputs, interface.outputs, 1)


def _block(design, settings):
    emission = emit(design, settings)
    manifest = emission.manifest
    inputs, outputs = (
        {port["name"]: port["width"] for port in manifest["ports"] if port["direction"] == direction}
        for direction in ("input", "output")
    )
    verilog = emission.files[f"{emission.module}.sv"]
    operations = 1 if design.name in _ONE_OPERATION else manifest["parameters"].get("lanes", 1)
    return Unit(design.name, manifest["parameters"], "block", emission.module, verilog, inputs, outputs, operations, manifest)
