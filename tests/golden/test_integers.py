"""Wherever a public function or constructor of `golden` takes an int it takes NumPy's integers, and nothing else."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from narrowfloat import golden
from narrowfloat.golden import bfp, finfo, float_codec, formats, lbfp, lfsr, rounding, s2fp8, statistics
from narrowfloat.golden.bfp import systolic
from narrowfloat.golden.lbfp import calibration
from narrowfloat.golden.memory import CoreBeats, MemoryPort
from narrowfloat.golden.statistics import readout

# What checks arguments itself, results, and the benches' side, which is given manifests.
LEFT_OUT = ("checks", "arrays", "parts", "reference", "finfo.FloatInfo")
KINDS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64)

X = np.float32([0.3, -7, 1e9, 2.0**-20])
WORDS = X.view(np.uint32)
STOCHASTIC = {"rounding": "sr", "random_bits": WORDS % 8, "sr_bits": 3}
E4M3, BFP8, LBFP8 = (formats.Format.parse(name) for name in ("e4m3_fn", "m8", "lbfp8"))
BLOCKS = bfp.convert(np.tile(X, (2, 4)), "m4g4")
GROUPS = np.array([[[7, -3]], [[-1, 15]]])
PASSES = bfp.to_passes(GROUPS, np.full((2, 1), 120), np.full((2, 1), 4), np.array([True]))
LIMITS = {"initial_bias": 63, "bias_min": 3, "bias_max": 63}
ARRAY = systolic.Array(255, 255, 255)
CODES = np.uint8([[1, 130], [255, 99]])
TABLE = lbfp.antilog_table("i3f1", "lut", 5).tolist()


def estimator():
    made = statistics.MedianEstimator(2)
    made.observe(X[:, None])
    return made


def port():
    return MemoryPort(types=2, estimators=("moments",), s2fp8=True)


# Of each function, constructor and method that takes an int, calls with all of them; methods are of an object that is made.
CALLS = [
    (formats.FloatFormat, {"name": "made", "exp_bits": 7, "man_bits": 7, "bias": 63}),
    (formats.LogBlockFormat, {"name": "made", "int_bits": 3, "frac_bits": 4, "exp_bits": 8, "block": 127}),
    (formats.BlockFormat, {"name": "made", "man_bits": 8, "exp_bits": 8, "group": 64}),
    ((lambda: E4M3, "check_bias"), {"bias": 63}),
    ((lambda: LBFP8, "check_exponent"), {"exponent": 127}),
    (finfo.finfo, {"fmt": "ab_e5m2", "bias": 63}),
    (float_codec.encode, {"x": X, "fmt": "e4m3", "bias": 3, **STOCHASTIC}),
    (float_codec.quantize, {"x": X, "fmt": "e4m3", "bias": 3, **STOCHASTIC}),
    (float_codec.decode, {"codes": np.uint8([1, 200]), "fmt": "e4m3", "bias": 63}),
    (rounding.align, {"words": WORDS, "fmt": E4M3, "bias": 3}),
    (rounding.round_increment, {"whole": np.zeros(4, np.int32), "fraction": WORDS, "fmt": E4M3, **STOCHASTIC}),
    (rounding.is_tiny, {"words": WORDS, "fmt": E4M3, "bias": 3, "tininess": "after", **STOCHASTIC}),
    (rounding.round_and_pack, {"words": WORDS, "fmt": E4M3, "bias": 3, "overflow": "format", **STOCHASTIC}),
    (lfsr.start, {"seed": 127, "register": 7}),
    (lfsr.words, {"seed": 127, "register": 7, "beats": 3, "width": 127, "first": 100}),
    (lfsr.lane_bits, {"seed": 127, "beats": 3, "lanes": 64, "sr_bits": 8, "first": 100}),
    (lfsr.register_widths, {"lanes": 64, "sr_bits": 8}),
    (bfp.Blocks, {"fmt": BFP8, "length": 3, "codes": np.uint8([255]), "offset": 127, "signs": X > 0, "magnitudes": CODES}),
    (bfp.convert, {"x": X, "fmt": "m8e4", "bits": 6, "offset": 127}),
    (bfp.accumulate_fixed, {"acc": np.int64(1), "sums": np.array([3]), "weights": np.array([2]), "width": 62, "base": -100}),
    (bfp.matmul, {"a": BLOCKS, "b": BLOCKS, "accumulator": "fixed", "width": 62, "window": 127}),
    (bfp.matmul, {"a": BLOCKS, "b": BLOCKS, "accumulator": "segmented", "bits": 8}),
    (bfp.pass_bits, {"lanes": 64, "bits": 8}),
    (bfp.segmented_width, {"bits": 23}),
    (
        bfp.accumulate_segmented,
        {"acc": bfp.SegmentedSums.zeros((1,)), "sums": np.array([3]), "weights": np.array([2]), "bits": 23},
    ),
    (
        bfp.to_passes,
        {
            "integers": GROUPS,
            "exponents": np.full((2, 1), 120),
            "bits": np.full((2, 1), 4),
            "last": np.array([True]),
            "chunk_bits": 2,
            "window": 127,
        },
    ),
    (bfp.accumulate_passes, {"passes": PASSES, "width": 62, "chunk_bits": 2}),
    (bfp.relative_improvement, {"x": X, "fmt": "m4e4", "reference": 127, "offset": 127, "width": 64}),
    (
        bfp.precision,
        {
            "numerator": 127,
            "denominator": 100,
            "alpha": 127,
            "beta": 3,
            "iteration": 100,
            "iterations": 127,
            "layer": 100,
            "layers": 127,
        },
    ),
    (systolic.passes, {"x_bits": 8, "y_bits": 8}),
    (systolic.Array, {"rows": 100, "columns": 127, "group": 127}),
    ((lambda: ARRAY, "stationary"), {"results": 127, "reduced": 127, "outputs": 127, "passes_each": 16}),
    ((lambda: ARRAY, "in_place"), {"reduced": 127, "left": 127, "top": 127, "passes_each": 16}),
    ((lambda: ARRAY, "utilization"), {"products": 127, "passes_each": 16, "cycles": 127}),
    (systolic.training_step, {"array": ARRAY, "positions": 127, "inputs": 127, "outputs": 127, "bits": (8, 4, 2)}),
    (lbfp.encode, {"x": X, "fmt": LBFP8, "exponent": 100}),
    (lbfp.encode_fixed, {"values": np.array([1, -5]), "fmt": LBFP8, "exponent": 100, "lsb_exponent": 127}),
    (lbfp.decode, {"codes": CODES, "fmt": LBFP8, "exponent": -100}),
    (lbfp.antilog_table, {"fmt": LBFP8, "guard_bits": 8}),
    (lbfp.antilog_table, {"fmt": "i3f1", "antilog": TABLE, "guard_bits": 5}),
    (lbfp.table_guard_bits, {"fmt": LBFP8, "guard_bits": 8}),
    (lbfp.product_bits, {"fmt": LBFP8, "guard_bits": 8}),
    (lbfp.lsb_exponent, {"fmt": "i4f3", "exponent": -128, "guard_bits": 8, "out_bits": 3}),
    (lbfp.multiply, {"a": CODES, "b": CODES, "fmt": LBFP8, "guard_bits": 8, "out_bits": 16}),
    (lbfp.dot, {"a": CODES, "b": CODES, "fmt": LBFP8, "guard_bits": 8, "out_bits": 16, "axis": 0}),
    (lbfp.matmul, {"a": CODES, "b": CODES, "fmt": LBFP8, "guard_bits": 8, "out_bits": 16}),
    (calibration.flushed, {"histogram": calibration.Histogram(), "fmt": LBFP8, "exponent": 3}),
    (calibration.calibrate, {"x": np.tile(X, (2, 2)), "fmt": LBFP8, "axis": 1}),
    (statistics.exact_median_bias, {"x": X, "bias_min": 3, "bias_max": 63}),
    (statistics.MedianEstimator, {"types": 16, "bins": 32, "passes": 6, "cnt_width": 64, **LIMITS}),
    (statistics.ExponentHistogram, {"types": 16, "first": 100, "last": 127, "cnt_width": 64, **LIMITS}),
    (statistics.MedianTracker, {"types": 16, "fraction": 15, "run": 64, **LIMITS}),
    (statistics.LogMoments, {"types": 16, "history": 64, "cnt_width": 64, **LIMITS}),
    ((estimator, "observe"), {"words": X[:, None], "types": 1}),
    ((estimator, "end"), {"type": 0, "late": 127}),
    ((estimator, "raw"), {"type": 0}),
    (readout.median_slots, {"bins": 32}),
    (readout.histogram_slots, {"first": 100, "last": 127}),
    (readout.median_estimator, {"bins": 32}),
    (readout.exponent_histogram, {"first": 100, "last": 127}),
    (readout.words, {"raw": {"low": 2**40 + 5}, "names": ("low", "low_high")}),
    (s2fp8.Parameters, {"alpha": 127, "mean": 127, "inverse": 127}),
    (s2fp8.Parameters.of_bias, {"bias": 63}),
    (s2fp8.parameters, {"mean": 100, "largest": 127}),
    (s2fp8.inverse, {"alpha": 127}),
    (s2fp8.encode, {"x": X, "alpha": 127, "mean": 127}),
    (s2fp8.decode, {"codes": CODES, "inverse": 127, "mean": 127}),
    (CoreBeats.of_tensor, {"x": X, "type": 7, "lanes": 16}),
    (MemoryPort, {"lanes": 16, "types": 8, **LIMITS, "estimators": {"tracker": {"run": 64}}}),
    ((port, "next_bias"), {"type_": 1}),
    ((port, "load"), {"type_": 1, "mean": 100, "largest": 127}),
    ((port, "use"), {"type_": 1, "parameters": s2fp8.parameters(100, 127)}),
    ((port, "clear_flags"), {"type_": 1, "flags": 3}),
    ((port, "epoch"), {"types": [0, 1]}),
    ((port, "end_pass"), {"type_": 1, "late": 100}),
    ((port, "end_pass"), {"type_": 1, "late": {"moments": 100}}),
]


def function(call):
    """The function of a row of `CALLS`, for `inspect`."""
    return getattr(type(call[0]()), call[1]) if isinstance(call, tuple) else call


def name(call):
    found = function(call)
    return f"{found.__module__.removeprefix('narrowfloat.golden.')}.{found.__qualname__}"


def public():
    """All public functions, constructors and methods of `golden`, by name."""
    for module in pkgutil.walk_packages(golden.__path__, "narrowfloat.golden."):
        for found in vars(importlib.import_module(module.name)).values():
            if not (inspect.isfunction(found) or inspect.isclass(found)) or found.__module__ != module.name:
                continue
            methods = [method for _, method in inspect.getmembers(found, inspect.isroutine)] if inspect.isclass(found) else []
            for each in [found, *(method for method in methods if getattr(method, "__module__", None) == module.name)]:
                if not (each.__name__.startswith("_") or inspect.isabstract(each)):
                    yield name(each), each


def ints(each):
    """Names of the parameters that are, or may be, an int."""
    try:
        parameters = inspect.signature(each).parameters.values()
    except ValueError:
        return set()
    words = {parameter.name: str(parameter.annotation).replace("<class 'int'>", "int") for parameter in parameters}
    return {name for name, text in words.items() if {"int", "SupportsIndex"} & {*text.replace("typing.", "").split(" | ")}}


def plain(value):
    """`value` with all that it holds, comparable, and with the type of every number."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if hasattr(value, "__dict__") and not inspect.isroutine(value):
        return type(value), plain(vars(value))
    return type(value), value


def result(call, arguments):
    if isinstance(call, tuple):
        thing = call[0]()
        return plain((getattr(thing, call[1])(**arguments), thing))
    return plain(call(**arguments))


def replaced(value, kind):
    """`value` with an integer of `kind` in the place of each int that it has room for."""
    if isinstance(value, dict):
        return {key: replaced(each, kind) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(each, kind) for each in value)
    fits = type(value) is int and np.iinfo(kind).min <= value <= np.iinfo(kind).max
    return kind(value) if fits else value


def test_every_int_is_in_the_calls():
    called = {}
    for call, arguments in CALLS:
        called.setdefault(name(call), set()).update(arguments)
    missing = {each: wanted - called.get(each, set()) for each, found in public() if (wanted := ints(found))}
    assert len(missing) > 40
    assert {each: some for each, some in missing.items() if some and not each.startswith(LEFT_OUT)} == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("call", "arguments"), [pytest.param(*row, id=name(row[0])) for row in CALLS])
def test_numpy_integers_are_ints(call, arguments, kind):
    assert result(call, replaced(arguments, kind)) == result(call, arguments)


NUMBERS = [
    pytest.param(call, arguments, parameter, id=f"{name(call)}-{parameter}")
    for call, arguments in CALLS
    for parameter, value in arguments.items()
    if type(value) is int
    and call
    not in (rounding.align, rounding.is_tiny, rounding.round_increment, rounding.round_and_pack)  # steps between checked calls
    and parameter not in ("passes_each", "cycles")  # which may be means
]


@pytest.mark.parametrize("wrong", [1.0, np.float64(1), True, np.True_, "1"])
@pytest.mark.parametrize(("call", "arguments", "parameter"), NUMBERS)
def test_what_is_no_integer(call, arguments, parameter, wrong):
    with pytest.raises((TypeError, ValueError), match=r" must be .*not "):
        result(call, arguments | {parameter: wrong})
