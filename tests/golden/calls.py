"""Calls of the golden model with long arrays, as the bench and the test of what they take of memory make them."""

import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from narrowfloat.golden import bfp, float_codec, lbfp, s2fp8, statistics
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.lbfp.calibration import Histogram

SEED = 1
COUNT = 2**20
ONE_FOR_ALL, ONE_FOR_EACH = (
    5,
    15,
)  # ns per value: by numbers as parameters; by arrays, with random bits or flags
MOST_BYTES = 8  # per value, beside arguments and results


class Call(NamedTuple):
    """A call of a public function: `make` prepares it for a number of values."""

    name: str
    make: Callable[[int], Callable[[], Any]]
    limit: int | None = ONE_FOR_ALL  # ns; None: neither an encoder or a decoder nor a product
    bytes: int | None = MOST_BYTES


def memory(call):
    """Bytes that a value takes at most while the call runs, beside its arguments and results; tables are there already."""
    function = call.make(COUNT)
    function()
    tracemalloc.start()
    try:
        results = function()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del results
    return (peak - after) / COUNT


@cache
def numbers(count):
    return np.random.default_rng(SEED).standard_normal(count, np.float32)


@cache
def integers(count, low, high, dtype=np.int64):
    return np.random.default_rng(SEED).integers(low, high, count, dtype, endpoint=True)


def codes(count, bits=8):
    return integers(count, 0, 2**bits - 1, np.uint8)


def float_codec_calls(name):
    fmt = FloatFormat.of(name)
    encode, decode = float_codec.encode, float_codec.decode
    biases = partial(integers, low=fmt.bias_range[0], high=fmt.bias_range[1])

    def stochastic(count, **more):
        return partial(encode, numbers(count), fmt, rounding="sr", random_bits=integers(count, 0, 255), **more)

    return [
        Call(f"encode {name}", lambda n: partial(encode, numbers(n), fmt)),
        Call(f"encode {name}, flags", lambda n: partial(encode, numbers(n), fmt, flags=True), ONE_FOR_EACH),
        Call(f"encode {name}, biases", lambda n: partial(encode, numbers(n), fmt, bias=biases(n)), ONE_FOR_EACH),
        Call(
            f"encode {name}, biases, flags",
            lambda n: partial(encode, numbers(n), fmt, bias=biases(n), flags=True),
            ONE_FOR_EACH,
        ),
        Call(f"encode {name}, sr", stochastic, ONE_FOR_EACH),
        Call(f"encode {name}, sr, biases, flags", lambda n: stochastic(n, bias=biases(n), flags=True), ONE_FOR_EACH),
        Call(f"decode {name}", lambda n: partial(decode, codes(n, fmt.bits), fmt)),
        Call(f"decode {name}, biases", lambda n: partial(decode, codes(n, fmt.bits), fmt, bias=biases(n)), ONE_FOR_EACH),
        Call(f"quantize {name}", lambda n: partial(float_codec.quantize, numbers(n), fmt)),
    ]


def s2fp8_calls():
    encode, decode = s2fp8.encode, s2fp8.decode
    alpha, mean, inverse = 128, 127 << 8, 1 << 16
    alphas, means = partial(integers, low=-128, high=256), partial(integers, low=120 << 8, high=130 << 8)
    inverses = partial(integers, low=1 << 15, high=1 << 18)
    return [
        Call("s2fp8.encode", lambda n: partial(encode, numbers(n), alpha, mean)),
        Call("s2fp8.encode, flags", lambda n: partial(encode, numbers(n), alpha, mean, flags=True), ONE_FOR_EACH),
        Call(
            "s2fp8.encode, alphas, flags", lambda n: partial(encode, numbers(n), alphas(n), means(n), flags=True), ONE_FOR_EACH
        ),
        Call("s2fp8.decode", lambda n: partial(decode, codes(n), inverse, mean)),
        Call("s2fp8.decode, inverses", lambda n: partial(decode, codes(n), inverses(n), means(n)), ONE_FOR_EACH),
        Call("s2fp8.exact_encode", lambda n: partial(s2fp8.exact_encode, numbers(n), 2.0, 0.0)),
        Call("s2fp8.exact_decode", lambda n: partial(s2fp8.exact_decode, codes(n), 2.0, 0.0)),
        Call("s2fp8.exact_parameters", lambda n: partial(s2fp8.exact_parameters, numbers(n)), None, None),
        Call("s2fp8.tensor_parameters", lambda n: partial(s2fp8.tensor_parameters, numbers(n)), None),
    ]


def lbfp_calls():
    fmt, encode, fixed = "lbfp8", lbfp.encode, lbfp.encode_fixed
    exponents, weights = partial(integers, low=-4, high=4), partial(integers, low=-24, high=-16)
    sums = partial(integers, low=-(2**20), high=2**20)

    def factors(count, *shape):
        return codes(count).reshape(shape or -1), codes(count)[::-1].reshape(shape or -1), fmt

    return [
        Call("lbfp.encode", lambda n: partial(encode, numbers(n), fmt, 1)),
        Call("lbfp.encode, flags", lambda n: partial(encode, numbers(n), fmt, 1, flags=True), ONE_FOR_EACH),
        Call(
            "lbfp.encode, exponents, flags", lambda n: partial(encode, numbers(n), fmt, exponents(n), flags=True), ONE_FOR_EACH
        ),
        Call("lbfp.block_exponent", lambda n: partial(lbfp.block_exponent, numbers(n), "i3f4b32")),
        Call("lbfp.encode_fixed", lambda n: partial(fixed, sums(n), fmt, 1, -20)),
        Call("lbfp.encode_fixed, flags", lambda n: partial(fixed, sums(n), fmt, 1, -20, flags=True), ONE_FOR_EACH),
        Call("lbfp.encode_fixed, exponents", lambda n: partial(fixed, sums(n), fmt, exponents(n), weights(n)), ONE_FOR_EACH),
        Call("lbfp.decode", lambda n: partial(lbfp.decode, codes(n), fmt, 1)),
        Call("lbfp.decode, exponents", lambda n: partial(lbfp.decode, codes(n), fmt, exponents(n)), ONE_FOR_EACH),
        Call("lbfp.multiply", lambda n: partial(lbfp.multiply, *factors(n))),
        Call("lbfp.multiply, words", lambda n: partial(lbfp.multiply, *factors(n), output="sign_magnitude", out_bits=12)),
        Call("lbfp.dot", lambda n: partial(lbfp.dot, *factors(n))),
        Call("lbfp.dot of 64", lambda n: partial(lbfp.dot, *factors(n, -1, 64))),
        Call("lbfp.matmul", lambda n: partial(lbfp.matmul, codes(n // 64).reshape(-1, 64), codes(4096).reshape(64, 64), fmt)),
        Call("lbfp.calibration.Histogram", lambda n: partial(Histogram().observe, numbers(n)), None),
    ]


def bfp_calls():
    convert, accumulate_fixed = bfp.convert, partial(bfp.accumulate_fixed, width=32, base=0)

    def blocks(count):
        return convert(numbers(count), "bfp4")

    def segmented(count):
        return partial(
            bfp.accumulate_segmented, bfp.SegmentedSums.of_fp32(numbers(count)), integers(count, -99, 99), -5, bits=9
        )

    def stochastic(count):
        return partial(convert, numbers(count), "bfp4", rounding="sr", random_bits=integers(count, 0, 255).reshape(-1, 16))

    return [
        Call("bfp.convert", lambda n: partial(convert, numbers(n), "bfp4")),
        Call("bfp.convert, rne", lambda n: partial(convert, numbers(n), "bfp4", rounding="rne")),
        Call("bfp.convert, m4e3", lambda n: partial(convert, numbers(n), "m4e3", rounding="rne", offset=122)),
        Call("bfp.convert, m8g4", lambda n: partial(convert, numbers(n), "m8g4", rounding="rne")),
        Call("bfp.convert, sr", stochastic, ONE_FOR_EACH),
        Call("bfp.convert, flags", lambda n: partial(convert, numbers(n), "bfp4", flags=True), ONE_FOR_EACH),
        Call("bfp.decode", lambda n: partial(bfp.decode, blocks(n))),
        Call("bfp.chunks", lambda n: partial(bfp.chunks, blocks(n))),
        Call("bfp.Blocks.integers", lambda n: partial(getattr, blocks(n), "integers")),
        Call("bfp.to_mxint8", lambda n: partial(bfp.to_mxint8, numbers(n))),
        Call("bfp.from_mxint8", lambda n: partial(bfp.from_mxint8, *bfp.to_mxint8(numbers(n)))),
        Call("bfp.relative_improvement", lambda n: partial(bfp.relative_improvement, numbers(n), "bfp4", 120)),
        Call("bfp.dot", lambda n: partial(bfp.dot, blocks(n), blocks(n))),
        Call("bfp.matmul", lambda n: partial(bfp.matmul, *2 * (convert(numbers(n // 32).reshape(32, -1), "bfp4"),))),
        Call("bfp.accumulate_fp32", lambda n: partial(bfp.accumulate_fp32, numbers(n), integers(n, -99, 99), -5), None, None),
        Call("bfp.accumulate_segmented", segmented, None, None),
        Call("bfp.SegmentedSums.of_fp32", lambda n: partial(bfp.SegmentedSums.of_fp32, numbers(n)), None, None),
        Call("bfp.SegmentedSums.to_fp32", lambda n: bfp.SegmentedSums.of_fp32(numbers(n)).to_fp32, None, None),
        Call("bfp.accumulate_fixed", lambda n: partial(accumulate_fixed, *2 * (integers(n, -99, 99),), 3), None, None),
    ]


def statistics_calls():
    def lanes(count):
        return numbers(count).reshape(-1, 4)

    def second_pass(count, **parameters):
        estimator = statistics.MedianEstimator(**parameters)
        estimator.observe(lanes(count))
        estimator.end(0)
        return partial(estimator.observe, lanes(count))

    def mixed(count):
        keep = integers(count, 0, 1, np.uint8).astype(bool).reshape(-1, 4)
        return partial(statistics.LogMoments().observe, lanes(count), integers(count // 4, 0, 3), keep)

    return [
        Call("MedianEstimator, first pass", lambda n: partial(statistics.MedianEstimator().observe, lanes(n)), None),
        Call("MedianEstimator, next pass", second_pass, None),
        Call("MedianEstimator, linear", partial(second_pass, domain="linear"), None),
        Call("ExponentHistogram", lambda n: partial(statistics.ExponentHistogram().observe, lanes(n)), None),
        Call("LogMoments", lambda n: partial(statistics.LogMoments().observe, lanes(n)), None),
        Call("LogMoments, mitchell", lambda n: partial(statistics.LogMoments(log="mitchell").observe, lanes(n)), None),
        Call("LogMoments, types, keep", mixed, None),
        Call("MedianTracker", lambda n: partial(statistics.MedianTracker().observe, lanes(n)), None),
        Call("exact_median_bias", lambda n: partial(statistics.exact_median_bias, numbers(n)), None),
        Call("fit_bias", lambda n: partial(statistics.fit_bias, "ab_e5m2", integers(n, 2**23, 2**30)), None),
    ]


FLOATS = "float8_e4m3fn", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "ab_e5m2"
CALLS = [
    *(call for name in FLOATS for call in float_codec_calls(name)),
    *s2fp8_calls(),
    *lbfp_calls(),
    *bfp_calls(),
    *statistics_calls(),
]
