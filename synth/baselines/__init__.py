"""What users compare our blocks with: plain designs in Verilog, with the parameters a user would set."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files

import numpy as np
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG, FloatFormat
from narrowfloat.golden.reference.stimulus import RESULT_BEATS, RUN_BEATS, WORKLOAD_SEED, operands, runs
from narrowfloat.hdl.block import Choice, Integer, Parameter
from narrowfloat.hdl.catalog import Measured, Relative, given
from narrowfloat.synth.vectors import Vectors, real_tensors

BFLOAT16 = FloatFormat(name="bfloat16", exp_bits=8, man_bits=7, specials="ieee")
E4M3 = CATALOG["float8_e4m3fn"]


@dataclass(frozen=True)
class Interface:
    """The module for some parameters: its name and its own parameters, and the widths of its ports."""

    module: str
    settings: dict
    inputs: dict
    outputs: dict


@dataclass(frozen=True)
class Baseline:
    """A kind of plain design: how it is built, and what it computes.

    `interface` and `vectors` are called with the parameters' values by name; `builds` are the settings, texts NAME=VALUE,
    that are measured by default, `more` those that are measured for who asks for this kind. `lanes` is how many values it
    takes.
    """

    name: str
    summary: str
    files: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    builds: tuple[tuple[str, ...], ...]
    interface: Callable[..., Interface]
    vectors: Callable[..., Vectors]
    more: tuple[tuple[str, ...], ...] = ()
    measured: Measured = field(default_factory=Measured)
    lanes: int = 1

    def parse(self, settings):
        """Values of all parameters from NAME=VALUE texts.

        Raises
        ------
        ValueError
            A setting names no parameter, or its value is not allowed.
        """
        return {parameter.name: parameter.default for parameter in self.parameters} | given(self, settings)

    def top(self, values):
        """Name and Verilog of a module for these values: without parameters, with the ports that `interface` says."""
        interface = self.interface(**values)
        name = "_".join(["baseline", self.name, *map(str, values.values())])
        declared = [
            f"{direction} [{width - 1}:0] {port}"
            for direction, ports in (("input", interface.inputs), ("output", interface.outputs))
            for port, width in ports.items()
        ]
        settings = ", ".join(f".{key}({value})" for key, value in interface.settings.items())
        connected = ", ".join(f".{port}({port})" for port in (*interface.inputs, *interface.outputs))
        body = f"  {interface.module} {f'#({settings}) ' if settings else ''}plain({connected});"
        texts = [files("narrowfloat.synth.baselines").joinpath(file).read_text() for file in self.files]
        return name, "\n".join([*texts, f"module {name}({', '.join(declared)});", body, "endmodule", ""])


# --- multipliers --------------------------------------------------------------------------------------------------------------

# The encoding of the operands; not all multipliers are there for all of them.
_NUMBERS = {"signed": ("star", "booth", "baugh_wooley"), "unsigned": ("star", "booth"), "sign_magnitude": ("star",)}


def _multiplier(width, numbers, method):
    if method not in _NUMBERS[numbers]:
        raise ValueError(
            f"method of a multiplier of {numbers} numbers must be one of {', '.join(_NUMBERS[numbers])}, not {method!r}"
        )
    product = 2 * width - (numbers == "sign_magnitude")
    module, settings = f"multiplier_{method}", {"WIDTH": width, "SIGNED": int(numbers == "signed")}
    if numbers == "sign_magnitude" or method == "baugh_wooley":
        module, settings = f"multiplier_{'sign_magnitude' if numbers == 'sign_magnitude' else method}", {"WIDTH": width}
    return Interface(module, settings, {"a": width, "b": width}, {"product": product})


def _multiplier_vectors(width, numbers, method):
    a, b = quantized_pair(width, 1, signed=numbers != "unsigned")
    a, b, product = a[:, 0], b[:, 0], a[:, 0] * b[:, 0]
    if numbers == "sign_magnitude":
        sign = (a < 0) ^ (b < 0)
        product = np.abs(product) | sign.astype(np.int64) << 2 * width - 2
        a, b = (np.abs(x) | (x < 0).astype(np.int64) << width - 1 for x in (a, b))
    mask = 2**width - 1
    return Vectors({"a": (a & mask).tolist(), "b": (b & mask).tolist()}, {"product": (product & 4**width - 1).tolist()})


def quantized_pair(width, lanes, signed=True):
    """Real tensors as integers of `width` bits, each scaled so that its largest fits: two int64 [beats, lanes].

    One runs through activations, errors and gradients, the other through weights. Unsigned ones are magnitudes.
    """
    largest = 2 ** (width - signed) - 1
    pair = []
    for values in operands(lanes):
        values = values if signed else np.abs(values)
        scale = largest / np.maximum(np.abs(values).max(axis=1, keepdims=True), np.float32(1e-30))
        pair.append(np.rint(values * scale).astype(np.int64).reshape(-1, lanes))
    return pair


# --- dot products -------------------------------------------------------------------------------------------------------------

_LANES = 16


def _dot_product(width, method):
    return Interface(
        f"dot_product_{method}",
        {"WIDTH": width, "LANES": _LANES},
        {"clk": 1, "clear": 1, "a": _LANES * width, "b": _LANES * width},
        {"sum": 32},
    )


def _dot_product_vectors(width, method):
    a, b = quantized_pair(width, _LANES)
    products = np.sum(a * b, axis=1)
    clear = (np.arange(len(a)) % RESULT_BEATS == 0).astype(np.int64)
    total = np.cumsum(products)
    total -= np.repeat((total - products)[clear == 1], RESULT_BEATS)[: len(a)]
    inputs = {"clear": clear.tolist(), "a": _join(a, width), "b": _join(b, width)}
    return Vectors(inputs, {"sum": (total & 2**32 - 1).tolist()}, latency=1)


def _join(lanes, width):
    return [sum((value & 2**width - 1) << width * lane for lane, value in enumerate(row)) for row in lanes.tolist()]


# --- conversions --------------------------------------------------------------------------------------------------------------


def _fp32_words():
    """Real tensors, then corners that they have not."""
    words = runs(real_tensors(), RUN_BEATS).ravel()
    rng = np.random.default_rng(WORKLOAD_SEED)
    corners = rng.integers(2**32, size=256, dtype=np.uint32).view(np.float32)
    specials = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 464, 465, -480, 2**-9, 2**-10, 1.5 * 2**-10], np.float32
    )
    return np.concatenate([words, specials, corners])


def _to_codes(fmt, overflow):
    words = _fp32_words()
    codes = encode(words, fmt, overflow=overflow)
    return Vectors({"word": words.view(np.uint32).tolist()}, {"code": codes.tolist()})


def _from_codes(fmt):
    codes = np.concatenate([encode(runs(real_tensors(), RUN_BEATS).ravel(), fmt), np.arange(256, dtype=np.uint8)])
    return Vectors({"code": codes.tolist()}, {"word": decode(codes, fmt).view(np.uint32).tolist()})


# --- multiply-add -------------------------------------------------------------------------------------------------------------

_MULTIPLY_ADD = {"bfloat16": (8, 7), "fp32": (8, 23)}


def _multiply_add(format):
    exp_bits, man_bits = _MULTIPLY_ADD[format]
    width = 1 + exp_bits + man_bits
    return Interface("multiply_add", {"EXP": exp_bits, "MAN": man_bits}, {"a": width, "b": width, "c": width}, {"y": width})


def multiply_add(a, b, c, man_bits):
    """a * b + c of float32 arrays, rounded once to `man_bits` of mantissa, to nearest even; subnormals count as zero: float32.

    Exact: a product of two 24-bit significands fits a float64, and the sum is rounded to odd, after which a second rounding to
    fewer bits is as if it were the first.
    """
    smallest = np.float32(2.0**-126)
    with np.errstate(invalid="ignore", over="ignore"):
        a, b, c = (np.where(np.abs(x) < smallest, np.copysign(np.float32(0), x), x).astype(np.float64) for x in (a, b, c))
        product = a * b
        total = product + c
        part = total - product
        error = (product - (total - part)) + (c - part)
    words = total.view(np.int64)
    to_odd = np.isfinite(total) & (error != 0) & (words & 1 == 0)
    words = words + np.where(to_odd, np.where((error > 0) == (total > 0), 1, -1), 0)
    dropped = 52 - man_bits
    rounded = (words + (2 ** (dropped - 1) - 1) + (words >> dropped & 1) >> dropped << dropped).view(np.float64)
    rounded = np.where(np.isfinite(total), rounded, total)
    with np.errstate(over="ignore"):
        result = np.where(np.abs(rounded) < smallest, np.copysign(0, rounded), rounded).astype(np.float32)
    return np.where(np.isnan(result), np.float32(np.nan), result)


def _multiply_add_vectors(format):
    _, man_bits = _MULTIPLY_ADD[format]
    tensors = real_tensors()
    rng = np.random.default_rng(WORKLOAD_SEED)
    columns = [np.roll(runs(tensors, RUN_BEATS), k, axis=0).ravel() for k in range(3)]
    specials = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0**-126, -(2.0**127), 3e38, 1.0 + 2**-7, 1e-40]
    corners = np.array(np.meshgrid(specials, specials, specials), np.float32).reshape(3, -1)
    near = (rng.standard_normal((3, 512)) * 2.0 ** rng.integers(-12, 12, (3, 512))).astype(np.float32)
    cancelling = np.stack([near[0], near[1], -(near[0] * near[1])])
    wild = rng.integers(2**32, size=(3, 512), dtype=np.uint32).view(np.float32)
    drop = 23 - man_bits
    parts = (np.stack(columns), corners, near, cancelling, wild)
    words = np.concatenate([part.view(np.uint32) for part in parts], axis=1) >> drop << drop
    a, b, c = words.view(np.float32)
    y = multiply_add(a, b, c, man_bits).view(np.uint32) & 2**32 - 1
    y = np.where(np.isnan(y.view(np.float32)), np.uint32(0x7FC00000), y)
    return Vectors({name: (x >> drop).tolist() for name, x in zip("abc", words, strict=True)}, {"y": (y >> drop).tolist()})


BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline(
            "multiplier",
            "integer multiplier",
            ("multiplier.v",),
            (
                Integer(8, 4, 16).named("width"),
                Choice("signed", _NUMBERS).named("numbers"),
                Choice("star", ("star", "booth", "baugh_wooley")).named("method"),
            ),
            (*((f"method={method}",) for method in _NUMBERS["signed"]), ("numbers=sign_magnitude",)),
            _multiplier,
            _multiplier_vectors,
            (
                *(("numbers=unsigned", f"method={method}") for method in _NUMBERS["unsigned"]),
                *((f"width={width}", f"method={method}") for width in (4, 16) for method in _NUMBERS["signed"]),
            ),
            measured=Measured(relative_to=Relative("multiplier", ("method=baugh_wooley",)), curve="multipliers"),
        ),
        Baseline(
            "dot_product",
            "dot product of 16 with an accumulator of 32 bits",
            ("multiplier.v", "dot_product.v"),
            (Integer(8, 4, 8).named("width"), Choice("star", ("star", "booth", "baugh_wooley")).named("method")),
            (("method=booth",), ("method=baugh_wooley",)),
            _dot_product,
            _dot_product_vectors,
            (("method=star",), *(("width=4", f"method={method}") for method in ("star", "booth", "baugh_wooley"))),
            measured=Measured(relative_to=Relative("dot_product", ("method=baugh_wooley",))),
            lanes=_LANES,
        ),
        Baseline(
            "fp32_to_bfloat16",
            "FP32 to bfloat16, nearest even",
            ("convert.v",),
            (),
            ((),),
            lambda: Interface("fp32_to_bfloat16", {}, {"word": 32}, {"code": 16}),
            partial(_to_codes, BFLOAT16, "format"),
            measured=Measured(relative_to=Relative("fp32_to_e4m3"), curve="FP32 to narrow"),
        ),
        Baseline(
            "fp32_to_e4m3",
            "FP32 to OCP E4M3, fixed bias, nearest even, subnormals, saturating",
            ("convert.v",),
            (),
            ((),),
            lambda: Interface("fp32_to_e4m3", {}, {"word": 32}, {"code": 8}),
            partial(_to_codes, E4M3, "saturate"),
            measured=Measured(relative_to=Relative("fp32_to_e4m3"), curve="FP32 to narrow", purpose="FP32 to 8 bits"),
        ),
        Baseline(
            "e4m3_to_fp32",
            "OCP E4M3 to FP32, fixed bias, subnormals",
            ("convert.v",),
            (),
            ((),),
            lambda: Interface("e4m3_to_fp32", {}, {"code": 8}, {"word": 32}),
            partial(_from_codes, E4M3),
            measured=Measured(relative_to=Relative("e4m3_to_fp32"), curve="narrow to FP32", purpose="8 bits to FP32"),
        ),
        Baseline(
            "multiply_add",
            "fused multiply-add of floats, nearest even, subnormals as zero",
            ("multiply_add.v",),
            (Choice("fp32", _MULTIPLY_ADD).named("format"),),
            (("format=bfloat16",),),
            _multiply_add,
            _multiply_add_vectors,
            (("format=fp32",),),
            measured=Measured(relative_to=Relative("multiply_add", ("format=bfloat16",)), curve="multiply-add"),
        ),
    )
}
