"""`golden.float_codec`: round trips, biases, the paper's codec, stochastic rounding, arguments."""

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import CATALOG, FLOATS, FloatFormat
from narrowfloat.golden.rounding import OVERFLOWS, ROUNDINGS, Flag

from tests.golden.vectors import grid, mismatch, random_words, structured

E4M3FN = CATALOG["float8_e4m3fn"]
AB = CATALOG["ab_e5m2"]
HAND_MADE = [
    FloatFormat.parse(text)
    for text in (
        "e2m0", "e2m0_fn", "e2m0_fnuz", "e7m0_zero_code", "e3m0_paper", "e5m0_fnu_paper", "e2m1_ieee", "e2m5_fn_zero_code",
        "e4m3_fnuz_zero_code", "e5m2_ieee_zero_code", "e4m3_paper", "e7m7", "e7m7_ieee", "e7m7_paper", "e6m7_fn_zero_code",
        "e8m7_ieee",
    )
]  # fmt: skip
FORMATS = [pytest.param(fmt, id=fmt.name) for fmt in (*FLOATS.values(), *HAND_MADE)]
CATALOGUED = [pytest.param(fmt, id=fmt.name) for fmt in FLOATS.values()]


def all_codes(fmt):
    return np.arange(2**fmt.bits, dtype=code_dtype(fmt))


def all_biases(fmt):
    return np.arange(fmt.bias_range[0], fmt.bias_range[1] + 1)


# Round trips


@pytest.mark.parametrize("rounding", [name for name in ROUNDINGS if name != "sr"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_round_trip_every_code_at_every_bias(fmt, rounding):
    codes, biases = all_codes(fmt), all_biases(fmt)
    if fmt.bits > 10:
        biases = biases[[0, len(biases) // 4, -1]]
    pairs = np.broadcast_to(codes, (biases.size, codes.size))
    values = decode(pairs, fmt, bias=biases[:, None])
    back, flags = encode(values, fmt, bias=biases[:, None], rounding=rounding, overflow="format", flags=True)
    is_nan = np.isnan(values)
    assert np.array_equal(back[~is_nan], pairs[~is_nan])
    if fmt.nan is None:
        assert not is_nan.any()
    elif fmt.specials == "fnuz":
        assert (pairs[is_nan] == 2**fmt.magnitude_bits).all() and (back[is_nan] == 2**fmt.magnitude_bits).all()
    else:
        assert (back[is_nan] == (fmt.nan | pairs[is_nan] & 2**fmt.bits - 2**fmt.magnitude_bits)).all()
    assert not flags.any()


@pytest.mark.parametrize("fmt", CATALOGUED)
def test_values_of_codes_are_distinct_and_grow_with_the_magnitude_at_every_bias(fmt):
    magnitudes = np.arange(fmt.max_finite + 1, dtype=np.uint8)
    values = decode(np.broadcast_to(magnitudes, (all_biases(fmt).size, magnitudes.size)), fmt, bias=all_biases(fmt)[:, None])
    assert np.isfinite(values).all() and (np.diff(values) > 0).all()


def test_decode_gives_nan_the_mantissa_and_the_quiet_bit():
    assert decode(np.array([0x7D, 0x7E, 0xFF], np.uint8), CATALOG["float8_e5m2"]).view(np.uint32).tolist() == [
        0x7FE00000, 0x7FC00000, 0xFFE00000,
    ]  # fmt: skip
    assert decode(np.array([0x80], np.uint8), CATALOG["float8_e4m3fnuz"]).view(np.uint32).tolist() == [0xFFC00000]


# One exact path behind both ways of computing


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", [name for name in ROUNDINGS if name != "sr"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_table_equals_direct_path(fmt, rounding, overflow):
    for bias in {fmt.bias, *fmt.bias_range}:
        x = structured(fmt, bias) if fmt.bits <= 10 else np.concatenate([grid(fmt, bias), random_words(10**5, seed=8)])
        direct, _ = encode(x, fmt, bias=bias, rounding=rounding, overflow=overflow, flags=True)
        by_table = encode(x, fmt, bias=bias, rounding=rounding, overflow=overflow)
        assert not mismatch(x, by_table, direct, f"{fmt.name}, bias {bias}")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("fmt", CATALOGUED)
def test_bias_per_element_equals_scalar_bias(fmt, rounding):
    seed = 9
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.standard_normal(40000, np.float32), random_words(40000, seed)])
    biases = rng.choice(all_biases(fmt), x.size)
    random_bits = rng.integers(0, 256, x.size, dtype=np.uint8)
    keywords = {"rounding": rounding, "flags": True}
    codes, flags = encode(x, fmt, bias=biases, random_bits=random_bits, **keywords)
    values = decode(codes, fmt, bias=biases)
    for bias in all_biases(fmt).tolist():
        chosen = biases == bias
        want_codes, want_flags = encode(x[chosen], fmt, bias=bias, random_bits=random_bits[chosen], **keywords)
        assert not mismatch(x[chosen], codes[chosen], want_codes, f"bias {bias}, seed {seed}")
        assert not mismatch(x[chosen], flags[chosen], want_flags, f"flags, bias {bias}, seed {seed}")
        assert np.array_equal(values[chosen].view(np.uint32), decode(want_codes, fmt, bias=bias).view(np.uint32))


# The paper's codec


def quantize_by_the_specification(x, bias):
    """Zero code and nearest even, on the fields of the FP32 word: one increment, one subtraction, one clamp."""
    word = x.view(np.uint32).astype(np.int64)
    sign, magnitude = word >> 31, word & 0x7FFFFFFF
    rounded = magnitude + (2**20 - 1) + (magnitude >> 21 & 1)
    v = (rounded >> 21) - (127 - bias) * 4
    v = np.where(v > 127, 127, np.where(v < 0, 0, np.where(v == 0, 1, v)))
    v = np.where(magnitude >> 23 == 0, 0, v)
    return (sign << 7 | v).astype(np.uint8)


def test_adaptive_encode_equals_the_specification_at_every_bias():
    x = np.concatenate([random_words(10**5, seed=10), np.random.default_rng(10).standard_normal(10**5, np.float32)])
    for bias in range(64):
        for inputs in (x, structured(AB, bias)):
            want = quantize_by_the_specification(inputs, bias)
            assert not mismatch(inputs, encode(inputs, AB, bias=bias), want, f"bias {bias}")


def test_adaptive_decode_equals_the_specification_at_every_bias():
    code = np.arange(256, dtype=np.uint32)
    v = code & 127
    for bias in range(64):
        word = ((v >> 2) - bias + 127 << 23 | (v & 3) << 21) * (v != 0) | code >> 7 << 31
        assert np.array_equal(decode(code.astype(np.uint8), AB, bias=bias).view(np.uint32), word)


@pytest.mark.parametrize(
    ("bias", "value", "code"),
    [
        (15, 1.0, 0x3C), (15, 1.125, 0x3C), (15, 1.375, 0x3E), (15, -3.0, 0xC2), (15, 1e5, 0x7E), (15, 1.2e5, 0x7F),
        (15, 2e5, 0x7F), (15, 1e-5, 0x00), (31, 4.18e-5, 0x41), (31, 1e-3, 0x54), (31, -2.0, 0xFF), (31, 1e-10, 0x00),
    ],
)  # fmt: skip
def test_adaptive_encode_examples(bias, value, code):
    assert encode(np.float32(value), AB, bias=bias) == code


@pytest.mark.parametrize(("bias", "lowest", "highest"), [(15, 3.05e-5, 1.13e5), (24, 5.9e-8, 2.24e2), (26, 1.49e-8, 5.6e1)])
def test_literal_format_has_the_ranges_of_the_paper(bias, lowest, highest):
    values = decode(np.array([0x00, 0x7F], np.uint8), CATALOG["ab_e5m2_paper"], bias=bias)
    # the paper prints them cut off or rounded
    assert values == pytest.approx([lowest, highest], rel=2e-2)
    assert values.tolist() == [2.0**-bias, 1.75 * 2.0 ** (31 - bias)]


def quantize_by_algorithm_1(x, bias):
    """Algorithm 1, with a bound that fits five bits, 31 - B, and rounding to nearest even, whose carry raises the exponent."""
    word = x.view(np.uint32).astype(np.int64)
    n, f23 = (word >> 23 & 255) - 127, word & 0x7FFFFF
    mantissa, rest = f23 >> 21, f23 & 2**21 - 1
    mantissa += (rest > 2**20) | ((rest == 2**20) & (mantissa % 2 == 1))
    n, mantissa = np.where(mantissa == 4, n + 1, n), mantissa % 4
    exponent = np.where(n < -bias, 0, np.where(n > 31 - bias, 31, n + bias))
    return (word >> 31 << 7 | exponent << 2 | mantissa).astype(np.uint8)


def test_literal_encode_equals_algorithm_1_at_every_bias():
    fmt = CATALOG["ab_e5m2_paper"]
    x = random_words(10**5, seed=12)
    for bias in range(64):
        for inputs in (x, structured(fmt, bias)):
            want = quantize_by_algorithm_1(inputs, bias)
            assert not mismatch(inputs, encode(inputs, fmt, bias=bias), want, f"bias {bias}")


@pytest.mark.parametrize(
    ("bias", "value", "result"),
    [
        (31, -2.0, -1.0),
        (31, -1.75, -1.75),
        (15, 2.0e5, 98304.0),
        (15, 1.2e5, 114688.0),
        (15, 0.0, 2.0**-15),
        (15, -0.0, -(2.0**-15)),
    ],
)
def test_literal_format_is_not_monotone_and_has_no_zero(bias, value, result):
    fmt = CATALOG["ab_e5m2_paper"]
    assert decode(encode(np.float32(value), fmt, bias=bias), fmt, bias=bias) == result


# Stochastic rounding


@pytest.mark.parametrize("sr_bits", [1, 3, 8])
@pytest.mark.parametrize("fmt", CATALOGUED)
def test_stochastic_rounds_up_for_as_many_random_numbers_as_the_fraction_says(fmt, sr_bits):
    """Between two neighbouring codes, of 2**sr_bits random numbers 2**sr_bits * fraction, rounded, round up."""
    seed = 13
    rng = np.random.default_rng(seed)
    random_bits = np.arange(2**sr_bits, dtype=np.uint8)
    for lower in rng.choice(fmt.max_finite, 40):
        low, high = (Fraction(float(v)) for v in decode(np.array([lower, lower + 1], np.uint8), fmt))
        if fmt.underflow == "zero_code" and lower == 0:
            continue  # zero is not the neighbour on the grid
        word_low, word_high = (int(np.float32(v).view(np.uint32)) for v in (low, high))
        for word in rng.integers(word_low, word_high, 4).tolist():
            x = np.uint32(word).view(np.float32)
            codes = encode(np.full(random_bits.shape, x), fmt, rounding="sr", random_bits=random_bits, sr_bits=sr_bits)
            fraction = (Fraction(float(x)) - low) / (high - low)
            assert set(codes.tolist()) <= {lower, lower + 1}
            assert (codes == lower + 1).sum() == round(2**sr_bits * fraction), f"{word:#010x}, seed {seed}"
            assert (np.diff(codes.astype(int)) >= 0).all()


def test_stochastic_sixteen_bits_see_every_bit_of_a_seven_bit_format():
    fmt = FloatFormat.parse("e7m7")
    x = (np.uint32(127 << 23 | 5 << 16) + np.arange(2**16, dtype=np.uint32)).view(np.float32)
    for r in (0, 1, 0x7FFF, 0xFFFF):
        codes = encode(x, fmt, bias=63, rounding="sr", random_bits=np.full(x.shape, r, np.uint16), sr_bits=16)
        assert np.array_equal(codes - codes[0], np.arange(2**16) + r >= 2**16)


# Flags


@pytest.mark.parametrize(
    ("name", "value", "overflow", "flags"),
    [
        ("float8_e4m3fn", 1.0, "saturate", 0),
        ("float8_e4m3fn", 1.01, "saturate", Flag.INEXACT),
        ("float8_e4m3fn", 464.0, "saturate", Flag.INEXACT),
        ("float8_e4m3fn", 465.0, "saturate", Flag.INEXACT | Flag.OVERFLOW),
        ("float8_e4m3fn", 465.0, "format", Flag.INEXACT | Flag.OVERFLOW),
        ("float8_e4m3fn", 2.0**-9, "saturate", 0),
        ("float8_e4m3fn", 1e-9, "saturate", Flag.INEXACT | Flag.UNDERFLOW),
        ("float8_e4m3fn", math.inf, "saturate", Flag.INVALID),
        ("float8_e4m3fn", math.inf, "format", Flag.INVALID),
        ("float8_e4m3fn", math.nan, "saturate", 0),
        ("float8_e5m2", -math.inf, "saturate", Flag.INVALID),
        ("float8_e5m2", -math.inf, "format", 0),
        ("float6_e2m3fn", math.nan, "format", Flag.INVALID),
        ("ab_e5m2", 0.0, "saturate", 0),
        ("ab_e5m2", 2.0**-15, "saturate", Flag.INEXACT | Flag.UNDERFLOW),
        ("ab_e5m2", 1e-40, "saturate", Flag.INEXACT | Flag.UNDERFLOW),
        ("ab_e5m2_paper", 0.0, "saturate", Flag.INEXACT | Flag.UNDERFLOW),
        ("ab_e5m2_paper", math.inf, "saturate", Flag.INVALID | 0),
        ("float8_e8m0fnu", -1e38, "saturate", Flag.INVALID),
        ("float8_e8m0fnu", -0.0, "format", Flag.INVALID),
        ("float8_e8m0fnu", 3e38, "format", Flag.INEXACT | Flag.OVERFLOW),
    ],
)
def test_flags_examples(name, value, overflow, flags):
    assert encode(np.float32(value), CATALOG[name], overflow=overflow, flags=True)[1] == flags


# Shapes


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7,), (2, 3, 5), (2**16 + 1,)])
@pytest.mark.parametrize("bias", [None, 12, np.int8(12), np.array(12), "per element"])
def test_any_shape(shape, bias):
    x = np.full(shape, 1.25, np.float32)
    bias = np.full(shape, 12, np.uint8) if bias == "per element" else bias
    codes, flags = encode(x, AB, bias=bias, flags=True)
    values = decode(codes, AB, bias=bias)
    for array, dtype in ((codes, np.uint8), (encode(x, AB, bias=bias), np.uint8), (flags, np.uint8), (values, np.float32)):
        assert isinstance(array, np.ndarray) and array.shape == shape and array.dtype == dtype
    assert (values == 1.25).all()


def test_bias_broadcasts_to_the_values():
    x = random_words(60, seed=17).reshape(3, 4, 5)
    for bias in (np.arange(5), np.arange(4)[:, None], np.arange(3)[:, None, None], np.array([9])):
        whole = np.broadcast_to(bias, x.shape)
        assert np.array_equal(encode(x, AB, bias=bias), encode(x, AB, bias=whole))
        codes = encode(x, AB)
        assert np.array_equal(decode(codes, AB, bias=bias), decode(codes, AB, bias=whole))


def test_views_that_are_not_contiguous():
    x = random_words(6000, seed=14).reshape(60, 100)
    for view in (x.T, x[::-1, ::3], x[:, 7], np.broadcast_to(x[0], (4, 100))):
        assert np.array_equal(encode(view, E4M3FN), encode(view.copy(), E4M3FN))
        codes = encode(x, E4M3FN).T[1::2]
        assert np.array_equal(decode(codes, E4M3FN), decode(codes.copy(), E4M3FN), equal_nan=True)


def test_arguments_are_left_as_they_were():
    x, codes = random_words(1000, seed=15), np.arange(256, dtype=np.uint8)
    x_before, codes_before = x.copy(), codes.copy()
    for bias in (None, np.full(1000, 3)):
        encode(x, E4M3FN, bias=bias, flags=True)
    for bias in (None, np.full(256, 3)):
        decode(codes, E4M3FN, bias=bias)[:] = 0
    assert np.array_equal(x.view(np.uint32), x_before.view(np.uint32)) and np.array_equal(codes, codes_before)
    assert decode(np.uint8(0x38), E4M3FN) == 1.0


@pytest.mark.parametrize("fmt", FORMATS)
def test_no_warning_of_numpy(fmt):
    x = np.concatenate([random_words(1000, seed=16), structured(E4M3FN, 7)])
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        codes, _ = encode(x, fmt, flags=True)
        decode(codes, fmt)
        decode(all_codes(fmt), fmt, bias=np.full(2**fmt.bits, fmt.bias))


@pytest.mark.parametrize(("bits", "dtype"), [("e4m3", np.uint8), ("e2m1", np.uint8), ("e5m3", np.uint16), ("e7m7", np.uint16)])
def test_code_dtype(bits, dtype):
    fmt = FloatFormat.parse(bits)
    assert code_dtype(fmt) == dtype == encode(np.float32(1), fmt).dtype


# Wrong arguments

ONE = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("x", "keywords", "error", "message"),
    [
        (np.ones(3), {}, TypeError, r"x must be float32, .*, not float64, .*: convert with \.astype\(np\.float32\)"),
        (np.array([1, 2]), {}, TypeError, r"x must be float32, .*, not int64"),
        (
            ONE,
            {"fmt": "float8"},
            ValueError,
            r"unknown format 'float8': use one of ab_e5m2, .*, or spell one like e4m3b7_fn_gradual",
        ),
        (ONE, {"bias": 64}, ValueError, r"bias of ab_e5m2 must be an integer from 0 to 63, not 64"),
        (ONE, {"bias": -1}, ValueError, r"bias of ab_e5m2 must be an integer from 0 to 63, not -1"),
        (ONE, {"bias": np.array([[7], [99]])}, ValueError, r"bias of ab_e5m2 must be an integer from 0 to 63, not 99"),
        (ONE, {"bias": 7, "fmt": CATALOG["float8_e8m0fnu"]}, ValueError, r"bias of float8_e8m0fnu must be 127, not 7"),
        (ONE, {"bias": 7.0}, TypeError, r"bias of \w+ must be of integers, not float64"),
        (ONE, {"bias": True}, TypeError, r"bias of \w+ must be of integers, not bool"),
        (ONE, {"bias": np.ones(3)}, TypeError, r"bias of \w+ must be of integers, not float64"),
        (ONE, {"bias": np.array([1, 2])}, ValueError, r"bias of \w+ of shape \(2,\) does not broadcast to .*\(2, 3\)"),
        (np.float32(1), {"bias": np.array([1])}, ValueError, r"bias of \w+ of shape \(1,\) does not broadcast to .*\(\)"),
        (ONE, {"rounding": "up"}, ValueError, r"rounding must be one of rne, rna, rtz, sr, rdn, rup, rto, not 'up'"),
        (ONE, {"overflow": "wrap"}, ValueError, r"overflow must be one of saturate, format, not 'wrap'"),
        (ONE, {"rounding": "sr"}, ValueError, r"rounding 'sr' needs random_bits: .* from 0 to 255 "),
        (ONE, {"rounding": "sr", "random_bits": ONE}, TypeError, r"random_bits must be of integers, not float32"),
        (ONE, {"rounding": "sr", "random_bits": np.zeros(3, int)}, ValueError, r"shape of x, \(2, 3\), not \(3,\)"),
        (
            ONE,
            {"rounding": "sr", "random_bits": np.full((2, 3), 256)},
            ValueError,
            r"must be an integer from 0 to 255, not 256",
        ),
        (
            ONE,
            {"rounding": "sr", "random_bits": np.full((2, 3), -1)},
            ValueError,
            r"must be an integer from 0 to 255, not -1",
        ),
        (
            ONE,
            {"rounding": "sr", "random_bits": np.full((2, 3), 4), "sr_bits": 2},
            ValueError,
            r"random_bits must be an integer from 0 to 3, not 4",
        ),
        (ONE, {"rounding": "sr", "sr_bits": 0}, ValueError, r"sr_bits must be an integer from 1 to 16, not 0"),
        (ONE, {"rounding": "sr", "sr_bits": 17}, ValueError, r"sr_bits must be an integer from 1 to 16, not 17"),
    ],
)
def test_encode_wrong_arguments(x, keywords, error, message):
    with pytest.raises(error, match=message) as caught:
        encode(x, **{"fmt": AB, **keywords})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("codes", "keywords", "error", "message"),
    [
        (np.array([1]), {}, TypeError, r"codes of float6_e2m3fn must be uint8, not int64: convert with \.astype\(np\.uint8\)"),
        (np.array([1, 64, 65], np.uint8), {}, ValueError, r"codes of float6_e2m3fn must be from 0 to 0x3f, not 0x40"),
        (np.array([1], np.uint8), {"bias": 64}, ValueError, r"bias of float6_e2m3fn must be an integer from 0 to 63, not 64"),
        (np.array([1], np.uint8), {"bias": 1.0}, TypeError, r"bias of \w+ must be of integers, not float64"),
        (
            np.array([1], np.uint8),
            {"bias": np.zeros((2, 1), int)},
            ValueError,
            r"bias of \w+ of shape \(2, 1\) does not broadcast to .*\(1,\)",
        ),
        (np.array([1], np.uint8), {"fmt": None}, TypeError, r"fmt must be a FloatFormat or the name of one, not None"),
        (np.array([1], np.uint8), {"fmt": FloatFormat.parse("e5m3")}, TypeError, r"codes of e5m3 must be uint16, not uint8"),
    ],
)
def test_decode_wrong_arguments(codes, keywords, error, message):
    with pytest.raises(error, match=message) as caught:
        decode(codes, **{"fmt": CATALOG["float6_e2m3fn"], **keywords})
    assert "\n" not in str(caught.value)


def test_rounding_to_odd_makes_a_second_rounding_harmless():
    """From FP32 to 7 mantissa bits to odd, and on to 3 to nearest: as at once, in every binade, ties and all."""
    between, narrow = FloatFormat.of("e7m7"), FloatFormat.of("float8_e4m3fn")
    x = np.concatenate([structured(narrow, narrow.bias), random_words(10**5, seed=12)])
    x = x[np.isfinite(x)]
    middle = decode(encode(x, between, rounding="rto"), between)
    for rounding in ("rne", "rna", "rdn", "rup"):
        assert np.array_equal(encode(middle, narrow, rounding=rounding), encode(x, narrow, rounding=rounding)), rounding
    by_nearest = decode(encode(x, between), between)
    assert not np.array_equal(encode(by_nearest, narrow), encode(x, narrow))
