"""Conversions between FP32 and narrow floats, and multiply-add of floats."""

from functools import partial
from importlib.resources import files

import numpy as np
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG, FloatFormat
from narrowfloat.golden.reference.stimulus import RUN_BEATS, WORKLOAD_SEED, runs
from narrowfloat.hdl.block import Choice
from narrowfloat.hdl.catalog import Measured, Relative
from narrowfloat.synth.baselines.baseline import Baseline, Module
from narrowfloat.synth.vectors import Vectors, real_tensors

BFLOAT16 = FloatFormat(name="bfloat16", exp_bits=8, man_bits=7, specials="ieee")
E4M3 = CATALOG["float8_e4m3fn"]


def _from_file(file, module, inputs, outputs):
    """The module of that name, with its parameters, in a file beside this one."""
    connected = ", ".join(f".{port}({port})" for port in (*inputs, *outputs))
    text = files("narrowfloat.synth.baselines").joinpath(file).read_text()
    return Module(inputs, outputs, f"  {module} plain({connected});", text)


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
    module = f"multiply_add #(.EXP({exp_bits}), .MAN({man_bits}))"
    return _from_file("multiply_add.v", module, {"a": width, "b": width, "c": width}, {"y": width})


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


FLOATS = (
    Baseline(
        "fp32_to_bfloat16",
        "FP32 to bfloat16, nearest even",
        (),
        ((),),
        lambda: _from_file("convert.v", "fp32_to_bfloat16", {"word": 32}, {"code": 16}),
        partial(_to_codes, BFLOAT16, "format"),
        measured=Measured(relative_to=Relative("fp32_to_e4m3"), curve="FP32 to narrow"),
    ),
    Baseline(
        "fp32_to_e4m3",
        "FP32 to OCP E4M3, fixed bias, nearest even, subnormals, saturating",
        (),
        ((),),
        lambda: _from_file("convert.v", "fp32_to_e4m3", {"word": 32}, {"code": 8}),
        partial(_to_codes, E4M3, "saturate"),
        measured=Measured(relative_to=Relative("fp32_to_e4m3"), curve="FP32 to narrow", purpose="FP32 to 8 bits"),
    ),
    Baseline(
        "e4m3_to_fp32",
        "OCP E4M3 to FP32, fixed bias, subnormals",
        (),
        ((),),
        lambda: _from_file("convert.v", "e4m3_to_fp32", {"code": 8}, {"word": 32}),
        partial(_from_codes, E4M3),
        measured=Measured(relative_to=Relative("e4m3_to_fp32"), curve="narrow to FP32", purpose="8 bits to FP32"),
    ),
    Baseline(
        "multiply_add",
        "fused multiply-add of floats, nearest even, subnormals as zero",
        (Choice("fp32", _MULTIPLY_ADD).named("format"),),
        (("format=bfloat16",),),
        _multiply_add,
        _multiply_add_vectors,
        (("format=fp32",),),
        measured=Measured(relative_to=Relative("multiply_add", ("format=bfloat16",)), curve="multiply-add"),
    ),
)
