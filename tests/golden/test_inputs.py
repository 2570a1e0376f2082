"""What may be converted: every public function of a tensor takes the same dtypes, lists and numbers, and names of formats."""

import importlib
import inspect
import pkgutil
import random
from fractions import Fraction
from functools import partial

import ml_dtypes
import narrowfloat
import numpy as np
import pytest
from narrowfloat import golden
from narrowfloat.golden import bfp, float_codec, lbfp, s2fp8, statistics
from narrowfloat.golden.arrays import as_fp32
from narrowfloat.golden.lbfp.calibration import Histogram, calibrate

# Of each function that takes a tensor `x`, what else it is given.
CALLS = {
    narrowfloat.encode: {"fmt": "float8_e4m3fn"},
    float_codec.quantize: {"fmt": "float8_e4m3fn"},
    bfp.convert: {"fmt": "bfp4"},
    bfp.to_mxint8: {},
    bfp.relative_improvement: {"fmt": "bfp4", "reference": 100},
    lbfp.encode: {"fmt": "lbfp8", "exponent": 3},
    lbfp.block_exponent: {"fmt": "lbfp8"},
    calibrate: {"fmt": "lbfp8"},
    Histogram.observe: {"self": Histogram()},
    s2fp8.encode: {"alpha": 0, "mean": 127 << 8},
    s2fp8.exact_encode: {"alpha": 1.0, "beta": 0.0},
    s2fp8.exact_parameters: {},
    s2fp8.tensor_parameters: {},
    importlib.import_module("narrowfloat.golden.s2fp8.tensor").tensor_statistics: {},
    statistics.exact_median_bias: {},
}
ROWS = [pytest.param(call, arguments, id=call.__qualname__) for call, arguments in CALLS.items()]
GROUPED = (bfp.convert, bfp.to_mxint8, bfp.relative_improvement, lbfp.block_exponent)
SCALARS = [row for row in ROWS if row.values[0] not in GROUPED]
NUMBERS = [[0.1, -2.7, 3], [1e-3, 448.0, 7.25]]
X = np.array(NUMBERS, np.float32)


def functions():
    """The public functions of `golden`, but for the benches' side."""
    for module in pkgutil.walk_packages(golden.__path__, "narrowfloat.golden."):
        if ".reference" not in module.name and not module.name.endswith(".parts"):
            found = importlib.import_module(module.name)
            yield from (each for each in vars(found).values() if inspect.isroutine(each) and each.__module__ == module.name)


def call_with(call, x, arguments):
    """What a call gives, as lists."""
    if call is Histogram.observe:
        histogram = Histogram()
        histogram.observe(x)
        return histogram.counts.tolist(), histogram.largest
    found = call(x=x, **arguments)
    if isinstance(found, bfp.Blocks):
        found = found.codes, found.signs, found.magnitudes
    return [np.asarray(each).tolist() for each in (found if isinstance(found, tuple) else [found])]


def test_every_function_of_a_tensor_is_in_the_calls():
    # of_tensor takes words
    found = {each for each in functions() if "x" in inspect.signature(each).parameters and not each.__name__.startswith("_")}
    assert found <= CALLS.keys()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ">f4", "<f4"])
@pytest.mark.parametrize(("call", "arguments"), ROWS)
def test_arrays_that_float32_holds_exactly(call, arguments, dtype):
    x = X.astype(dtype)
    want = call_with(call, x.astype(np.float32), arguments)
    assert call_with(call, x, arguments) == want
    assert call_with(call, list(x), arguments) == want


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_every_number_of_16_bits(dtype):
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    for fmt in ("float8_e4m3fn", "ab_e5m2"):
        assert np.array_equal(narrowfloat.encode(x, fmt), narrowfloat.encode(x.astype(np.float32), fmt))


@pytest.mark.parametrize(("call", "arguments"), ROWS)
def test_lists_are_rounded_to_the_nearest_float32(call, arguments):
    want = call_with(call, X, arguments)
    assert call_with(call, NUMBERS, arguments) == want
    assert call_with(call, tuple(map(tuple, NUMBERS)), arguments) == want


@pytest.mark.parametrize("scalar", [0.1, 3, np.float32(0.1), np.float16(0.1), ml_dtypes.bfloat16(0.1)], ids=repr)
@pytest.mark.parametrize(("call", "arguments"), SCALARS)
def test_scalars(call, arguments, scalar):
    assert call_with(call, scalar, arguments) == call_with(call, np.array(scalar, np.float32), arguments)


@pytest.mark.parametrize("scalar", [0.5, np.float32(0.5), np.float16(0.5)], ids=repr)
@pytest.mark.parametrize("call", GROUPED)
def test_scalars_have_no_axis_to_group(call, scalar):
    others = [{"fmt": "i3f4b4"}] if call is lbfp.block_exponent else []
    for arguments in (CALLS[call], *others):
        with pytest.raises(ValueError, match=r"axis .*shape \(\)"):
            call(x=scalar, **arguments)


def test_number_that_is_too_large_is_infinity():
    want = narrowfloat.encode(np.float32([np.inf, -np.inf]), "float8_e5m2", overflow="format")
    assert narrowfloat.encode([1e39, -1e300], "float8_e5m2", overflow="format").tolist() == want.tolist()


def rounded(number):
    """The FP32 number nearest to an int, ties to even, by exact arithmetic."""
    size = abs(number)
    ulp = Fraction(2) ** max(size.bit_length() - 24, 0)
    nearest = round(size / ulp) * ulp  # a Fraction is rounded to even
    return (-1) ** (number < 0) * (float(nearest) if nearest < 2**128 else np.inf)


def around_middles():
    """Ints next to, and at all distances from, the middle between two FP32 numbers, where a first rounding to 53 bits errs."""
    rng = random.Random(1)
    for places in (*range(1, 105), 200, 1500):
        for significand in (2**23, 2**24 - 1, 2**24 - 2, rng.randrange(2**23, 2**24)):
            middle = (2 * significand + 1) << places - 1
            for distance in (0, 1, 2 ** rng.randrange(places), 2 ** max(places - 31, 0), 2 ** max(places - 30, 0)):
                yield from (middle - distance, middle + distance, -middle - distance, distance - middle)


def test_ints_around_all_middles_are_rounded_once():
    numbers = [*around_middles(), 2**53 + 1, 2**128 - 2**103, 2**128 - 2**103 - 1, 10**400, -(10**400)]
    assert as_fp32("x", numbers).tolist() == [rounded(number) for number in numbers]
    # the test would find a first rounding to float64
    twice = [number for number in numbers if abs(number) < 2**127 and np.float32(float(number)) != rounded(number)]
    assert len(twice) > 100


@pytest.mark.parametrize("number", [2**60 + 2**36 + 1, 2**90 + 2**66 - 1, 10**400, -(10**400)], ids=lambda n: hex(n)[:20])
@pytest.mark.parametrize(("call", "arguments"), ROWS)
def test_large_ints_in_lists_are_rounded_once(call, arguments, number):
    want = call_with(call, np.float32([[0.5, rounded(number)], [3, 1]]), arguments)
    assert call_with(call, [[0.5, number], (3, np.float32(1))], arguments) == want
    assert call_with(call, [[np.float16(0.5), number], np.float32([3, 1])], arguments) == want


def test_large_int_alone_is_rounded_once():
    for number in (2**60 + 2**36 + 1, 10**400):
        assert call_with(narrowfloat.encode, number, {"fmt": "e8m7_ieee"}) == call_with(
            narrowfloat.encode, np.float32(rounded(number)), {"fmt": "e8m7_ieee"}
        )


@pytest.mark.parametrize(
    "wrong", [10**400, -(10**400), np.inf, np.nan, None, "1", True, [1, 2]], ids=lambda value: str(value)[:8]
)
@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize(
    "call", [partial(s2fp8.exact_encode, X), partial(s2fp8.exact_decode, np.uint8([1]))], ids=["encode", "decode"]
)
def test_what_is_no_parameter_of_the_exact_transform(call, name, wrong):
    with pytest.raises(ValueError, match=rf"^{name} must be a finite number( above 0)?, not [^\n]*$"):
        call(**{"alpha": 1, "beta": 0, name: wrong})


def test_a_second_rounding_can_give_another_number():
    """Why float64 is refused: of just above the middle of two codes float32 keeps the middle alone."""
    exact = 1 + 2.0**-4 + 2.0**-40
    assert narrowfloat.decode(narrowfloat.encode(np.float32(exact), "float8_e4m3fn"), "float8_e4m3fn") == 1.0
    assert abs(1.125 - exact) < abs(1.0 - exact)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.astype(np.float64), r"not float64, .* rounded twice, first to float32: convert with \.astype\(np\.float32\)"),
        (np.float64(0.1), "not float64, which would be rounded twice"),
        ([0.5, np.float64(0.1)], "not float64, which would be rounded twice"),
        ([X.astype(np.float64)], "not float64, which would be rounded twice"),
        (np.arange(3), r"not int64: convert with \.astype\(np\.float32\)"),
        ([True, False], "not bool: "),
        (np.array([1j]), "not complex128: "),
        (["0.5"], "not <U3: "),
        (None, "not object: "),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("call", "arguments"), ROWS)
def test_what_is_refused(call, arguments, x, message):
    with pytest.raises(TypeError, match=rf"^x must be float32, float16, bfloat16 or Python's own numbers, {message}[^\n]*$"):
        call_with(call, x, arguments)


def test_formats_may_be_given_by_name():
    """But for the steps of rounding, which are between calls that look names up."""
    takers = [each for each in functions() if "fmt" in inspect.signature(each).parameters and not each.__name__.startswith("_")]
    only_objects = {
        each.__qualname__ for each in takers if "str" not in str(inspect.signature(each).parameters["fmt"].annotation)
    }
    assert len(takers) > 15 and only_objects == {"align", "is_tiny", "round_increment", "round_and_pack"}
