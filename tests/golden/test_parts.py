"""What the golden model takes of memory and of time, and that its tables give what is computed for each value by itself."""

import time
from functools import partial
from itertools import product

import numpy as np
import pytest
from narrowfloat.golden import bfp, lbfp, s2fp8
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import FLOATS, FP32_INFINITY, FP32_SMALLEST_NORMAL, LOGARITHMS, BlockFormat, FloatFormat
from narrowfloat.golden.parts import PART, in_parts, parts, take
from narrowfloat.golden.rounding import OVERFLOWS, TININESS
from narrowfloat.golden.steps import WORTH_STEPS, Steps

from tests.golden.calls import CALLS, COUNT, memory, numbers

EVERY_CODE = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
def test_parts_cover_all(size):
    covered = np.zeros(size, int)
    for part in parts(size):
        covered[part] += 1
    assert (covered == 1).all()


def test_in_parts_and_take_of_several_parts():
    values = np.arange(2 * PART + 3)
    results = np.empty(values.shape, np.int64), np.empty(values.shape, np.int64)
    in_parts(lambda each, own, one: (each + own, each * one), results, values, values[::-1], np.array(2))
    assert (results[0] == values[-1]).all()
    assert (results[1] == 2 * values).all()
    assert (take(values[::-1], values) == values[::-1]).all()


@pytest.mark.parametrize("call", [call for call in CALLS if call.bytes], ids=lambda call: call.name)
def test_memory_of_a_value(call):
    assert memory(call) <= call.bytes


@pytest.mark.long
@pytest.mark.parametrize("call", [call for call in CALLS if call.limit], ids=lambda call: call.name)
def test_time_of_a_value_beside_a_logarithm(call):
    """A busy machine slows both down; four times the limit is left, to which `make bench` holds the call on a quiet one."""
    function, values = call.make(COUNT), numbers(COUNT).astype(np.float64) ** 2
    times = []
    for each in (lambda: np.log2(values), function):
        runs = []
        for _ in range(10):
            start = time.thread_time()
            each()
            runs.append(time.thread_time() - start)
        times.append(min(runs))
    assert times[1] < 4 * call.limit * times[0]  # a logarithm takes a nanosecond or less


@pytest.mark.parametrize("inverse", [0, 1, 12345, 1 << 17, 2**22 - 1])
def test_s2fp8_decode_every_code_by_one_parameter_and_by_one_for_each(inverse):
    for mean in (0, 100, 127 << 8, 2**16 - 1):
        of_each = s2fp8.decode(EVERY_CODE, np.full(256, inverse), np.full(256, mean))
        assert s2fp8.decode(EVERY_CODE, inverse, mean).tobytes() == of_each.tobytes()


@pytest.mark.parametrize("fmt", LOGARITHMS)
def test_lbfp_decode_every_code_by_one_exponent_and_by_one_for_each(fmt):
    codes = EVERY_CODE[: 2 ** LOGARITHMS[fmt].bits]
    for exponent in (-128, -127, -120, 0, 127):
        of_each = lbfp.decode(codes, fmt, np.full(codes.shape, exponent))
        assert lbfp.decode(codes, fmt, exponent).tobytes() == of_each.tobytes()


def magnitudes_near(places):
    """FP32 words without sign at places, beside them, and at random: those of normal numbers."""
    random = np.random.default_rng(7).integers(FP32_SMALLEST_NORMAL, FP32_INFINITY, 2**16)
    words = np.concatenate([random, *(places + distance for distance in range(-2, 3))])
    return np.clip(words, FP32_SMALLEST_NORMAL, FP32_INFINITY - 1).astype(np.uint32)


@pytest.mark.parametrize(
    "places", [[], [5], [2**23], [2**23 + 1], [2**30, 2**30 + 1, 2**30 + 2], [2**24, 2**29 + 3, 2**31 - 2**23 - 1]]
)
def test_steps_are_where_the_function_has_them(places):
    places = np.array(places, np.int64)
    words = magnitudes_near(places)
    assert np.array_equal(
        Steps(partial(np.searchsorted, places, side="right"))(words), places.searchsorted(words, side="right")
    )


@pytest.mark.parametrize("alpha", [-1024, -500, -1, 0, 100, 128, 300, 640, 1023])
@pytest.mark.parametrize("mean", [0, 100, 120 << 8, 33333, 2**16 - 1])
def test_s2fp8_encode_of_long_arrays_is_that_of_short_ones(alpha, mean):
    """Of random words, and of each step of the codes with its neighbours, which long arrays find in a table."""
    words = np.random.default_rng([alpha + 1024, mean]).integers(0, 2**32, WORTH_STEPS, np.uint32)
    words[:10] = 0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x80000000, 0xFFC00000
    low, high = np.full(124, FP32_SMALLEST_NORMAL), np.full(124, FP32_INFINITY - 1)
    for _ in range(31):
        middle = low + high >> 1
        reached = s2fp8.encode(middle.astype(np.uint32).view(np.float32), alpha, mean) > np.arange(124)
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    near = magnitudes_near(high)[2**16 :]
    words[10 : 10 + near.size] = near
    x = words.view(np.float32)
    short = [s2fp8.encode(part, alpha, mean, flags=True) for part in np.split(x, 4)]
    for got, want in zip(s2fp8.encode(x, alpha, mean, flags=True), zip(*short, strict=True), strict=True):
        assert np.array_equal(got, np.concatenate(want))


@pytest.mark.parametrize(("alpha", "beta"), [(2.0**-8, 0.3), (0.7, -3.0), (1.0, 0.0), (2.0, 1.0), (3.3, 20.0), (256.0, -2.0)])
def test_s2fp8_exact_encode_of_long_arrays_is_that_of_short_ones(alpha, beta):
    rng = np.random.default_rng(3)
    x = rng.standard_normal(WORTH_STEPS, np.float32) * np.exp2(rng.integers(-40, 40, WORTH_STEPS)).astype(np.float32)
    x[: 2**16] = rng.integers(0, 2**32, 2**16, np.uint32).view(np.float32)
    x[-1024:] = np.outer(np.exp2(np.arange(-8.0, 8)), 1 + np.arange(64) / 64).astype(np.float32).ravel()
    short = [s2fp8.exact_encode(part, alpha, beta) for part in np.split(x, 4)]
    assert np.array_equal(s2fp8.exact_encode(x, alpha, beta), np.concatenate(short))


@pytest.mark.parametrize("group", [4, 5, 16, 33, 64])
@pytest.mark.parametrize("rounding", bfp.ROUNDINGS)
def test_bfp_conversion_of_several_parts_is_that_of_each_row(group, rounding):
    """Rows are of three groups, the last not full; parts end within rows."""
    rng = np.random.default_rng(group)
    rows = 2 * PART // (3 * group)
    x = (rng.standard_normal((rows, 3 * group - 1)) * np.exp2(rng.integers(-5, 5, (rows, 1)))).astype(np.float32)
    random = rng.integers(0, 256, (rows, 3, group)) if rounding == "sr" else None
    options = {"fmt": BlockFormat.of(f"m4g{group}"), "rounding": rounding, "flags": True}
    blocks, *raised = bfp.convert(x, random_bits=random, **options)
    for row in (0, 1, rows // 2, *range(rows // 2 - 3, rows // 2 + 3), rows - 1):
        one, *of_one = bfp.convert(x[row], random_bits=None if random is None else random[row], **options)
        assert np.array_equal(blocks.integers[row], one.integers) and np.array_equal(blocks.codes[row], one.codes)
        assert all(np.array_equal(many[row], few) for many, few in zip(raised, of_one, strict=True))
        assert np.array_equal(bfp.decode(blocks)[row], bfp.decode(one))
    sums, weights = bfp.dot(blocks, blocks)
    assert np.array_equal(sums, (blocks.integers.astype(np.int64) ** 2).sum(axis=-1))
    assert np.array_equal(weights, 2 * blocks.weights)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_lbfp_dot_of_several_parts_is_the_sum_of_products(axis):
    rng = np.random.default_rng(5)
    for shape in ((2 * PART + 3,), (3, PART + 1), (PART // 2 + 5, 5)):
        a, b = rng.integers(0, 256, (2, *shape), np.uint8)
        along = min(axis, len(shape) - 1)
        want = lbfp.multiply(a, b, "lbfp8").sum(axis=along)
        assert np.array_equal(lbfp.dot(a, b, "lbfp8", axis=along), want)


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 300, 300), (700, 2, 64), (1, 1, PART + 9)])
def test_lbfp_matmul_of_several_parts_is_the_dot_of_rows(shape):
    rows, columns, count = shape
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 256, (rows, count), np.uint8), rng.integers(0, 256, (columns, count), np.uint8)
    assert np.array_equal(lbfp.matmul(a, b, "lbfp8"), np.stack([lbfp.dot(row, b, "lbfp8") for row in a]))


@pytest.mark.parametrize("fmt", [*FLOATS, "e8m3b127_ieee", "e3m7_fn"])
@pytest.mark.parametrize("tininess", TININESS)
def test_float_encode_by_one_bias_and_by_one_for_each(fmt, tininess):
    """One bias takes codes and flags from tables, an array computes them; random words, and the ends of pieces of octaves."""
    fmt = FloatFormat.of(fmt)
    ends = np.arange(0, 2**32, 2**19) + np.array([-1, 0, 1])[:, None]
    x = (
        np.concatenate([np.random.default_rng(8).integers(0, 2**32, 2**14), ends.ravel() % 2**32])
        .astype(np.uint32)
        .view(np.float32)
    )
    for bias in sorted({fmt.bias, *fmt.bias_range}):
        for rounding, overflow in product(("rne", "rna", "rtz"), OVERFLOWS):
            options = {"rounding": rounding, "overflow": overflow, "tininess": tininess, "flags": True}
            one = encode(x, fmt, bias=bias, **options)
            assert all(map(np.array_equal, one, encode(x, fmt, bias=np.full(x.shape, bias), **options)))
            assert np.array_equal(one[0], encode(x, fmt, bias=bias, rounding=rounding, overflow=overflow))


@pytest.mark.parametrize("fmt", FLOATS)
def test_float_decode_every_code_by_one_bias_and_by_one_for_each(fmt):
    fmt = FloatFormat.of(fmt)
    codes = np.arange(2**fmt.bits, dtype=np.uint8)
    for bias in range(fmt.bias_range[0], fmt.bias_range[1] + 1):
        of_each = decode(codes, fmt, bias=np.full(codes.shape, bias))
        assert decode(codes, fmt, bias=bias).tobytes() == of_each.tobytes()
