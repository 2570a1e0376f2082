"""`golden.lbfp` against exact arithmetic: powers of two with fractional exponents are compared as integers, both raised."""

import itertools
import struct
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrowfloat.golden.formats import CATALOG, LOGARITHMS, LogBlockFormat
from narrowfloat.golden.lbfp import (
    ANTILOGS,
    OUTPUTS,
    antilog_table,
    block_exponent,
    decode,
    dot,
    encode,
    encode_fixed,
    lsb_exponent,
    matmul,
    multiply,
    product_bits,
    thresholds,
)
from narrowfloat.golden.rounding import LogFlag

from tests.golden.vectors import random_words

LBFP8 = CATALOG["lbfp8"]
FORMATS = [
    pytest.param(fmt, id=fmt.name)
    for fmt in (*LOGARITHMS.values(), *map(LogBlockFormat.parse, ("i1f6", "i2f5", "i4f3", "i3f0", "i4f0", "i1f2", "i2f3e4")))
]
TABLES = [
    pytest.param(antilog, guard_bits, id=f"{antilog}{guard_bits}")
    for antilog, guard_bits in (
        *(("lut", bits) for bits in range(4, 9)),
        ("mitchell", 4),
        ("two_segment", 5),
        ("two_segment", 8),
    )
]
lbfp8_codes = st.integers(0, 255)


def all_codes(fmt):
    return np.arange(2**fmt.bits, dtype=np.uint8)


def is_at_least(n, power, root):
    """Whether the integer n is at least 2**(power / root)."""
    return n**root >= 1 << power if power >= 0 else n >= 1


@lru_cache
def rounded_fractions(fmt):
    """For every significand of which frac_bits + 4 bits of fraction are seen, the nearest logarithm's fraction, in steps."""
    bits, steps = fmt.frac_bits + 4, 2**fmt.frac_bits
    limits = [2 * j - 1 + 2 * steps * bits for j in range(1, steps + 1)]  # (j - 1/2) / steps + bits, in 1 / (2 * steps)
    return [sum(is_at_least(n, limit, 2 * steps) for limit in limits) for n in range(2**bits, 2 ** (bits + 1))]


def exact_code(value, fmt, exponent):
    """The code and the flags of a finite rational, by comparing integers with real powers of two."""
    if value == 0:
        return 0, 0
    sign = (value < 0) << fmt.magnitude_bits
    size, bits, steps = abs(Fraction(value)), fmt.frac_bits + 4, 2**fmt.frac_bits
    power = size.numerator.bit_length() - size.denominator.bit_length()
    power -= size < Fraction(2) ** power
    n = int(size / Fraction(2) ** (power - bits))  # the significand, cut off
    octave = power - exponent + 2**fmt.int_bits
    c = steps * octave + rounded_fractions(fmt)[n - 2**bits]
    if c > fmt.max_magnitude:
        return sign | fmt.max_magnitude, LogFlag.SATURATED
    if c >= 1:
        return sign | c, 0
    # twice the number is n * 2**(octave + 1 - bits), the smallest is 2**(1 / steps), both times 2**(exponent - 2**int_bits)
    is_half = is_at_least(n, 1 + steps * (bits - octave - 1), steps)
    return (sign | 1, 0) if is_half else (0, LogFlag.FLUSHED)


def exact_encode(word, fmt, exponent):
    """The code and the flags of an FP32 word."""
    field, mantissa, sign = word >> 23 & 0xFF, word % 2**23, word >> 31 << fmt.magnitude_bits
    if field == 255:
        return sign | fmt.max_magnitude, LogFlag.INVALID
    if field == 0:
        return 0, LogFlag.FLUSHED if mantissa else 0
    return exact_code(Fraction(struct.unpack("<f", word.to_bytes(4, "little"))[0]), fmt, exponent)


def assert_encoded(words, fmt, exponent):
    codes, raised = encode(words.view(np.float32), fmt, exponent, flags=True)
    for word, code, flag in zip(words.tolist(), codes.tolist(), raised.tolist(), strict=True):
        wanted = exact_encode(word, fmt, exponent)
        assert (code, flag) == wanted, f"{fmt.name}, E = {exponent}, {word:#010x}: got {code:#x}, {flag}, want {wanted}"


def decision_words(fmt, exponent):
    """FP32 words around which a code or a flag changes: every threshold and where the smallest number's half begins, with both
    neighbours, and the grid of compared bits, with both signs, from two octaves below the numbers to one above."""
    bits = fmt.frac_bits + 4
    fractions = np.unique(np.concatenate([thresholds(fmt), np.arange(0, 2**bits, max(1, 2**bits // 64))]))
    powers = np.arange(exponent - 2**fmt.int_bits - 2, exponent + 2)
    powers = powers[(powers >= -126) & (powers <= 127)]
    words = (powers[:, None] + 127 << 23 | fractions[fractions < 2**bits] << 23 - bits).reshape(-1)
    half = np.exp2(exponent - 2**fmt.int_bits - 1 + 2.0**-fmt.frac_bits)
    words = np.concatenate([words, np.array([half], np.float32).view(np.uint32).astype(np.int64)])
    words = np.unique(words[:, None] + [-1, 0, 1])
    words = words[(words >= 0) & (words < 2**31)]
    return np.concatenate([words, words + 2**31]).astype(np.uint32)


# Constants


@pytest.mark.parametrize("fmt", FORMATS)
def test_thresholds_are_exact(fmt):
    steps, grid = 2**fmt.frac_bits, 2 ** (fmt.frac_bits + 4)
    for j, threshold in enumerate(thresholds(fmt).tolist(), 1):
        power = 2 * j - 1 + 2 * steps * (fmt.frac_bits + 4)
        assert is_at_least(grid + threshold, power, 2 * steps)
        assert not is_at_least(grid + threshold - 1, power, 2 * steps)


def test_thresholds_of_the_specification():
    assert thresholds(LBFP8).tolist() == [6, 18, 30, 42, 56, 69, 84, 99, 114, 131, 148, 166, 184, 204, 224, 246]


@pytest.mark.parametrize("guard_bits", range(9))
@pytest.mark.parametrize("fmt", FORMATS)
def test_lut_is_the_nearest_integer(fmt, guard_bits):
    steps = 2**fmt.frac_bits
    for f, entry in enumerate(antilog_table(fmt, "lut", guard_bits).tolist()):
        power = f + (guard_bits + 1) * steps
        assert is_at_least(2 * entry + 1, power, steps) and not is_at_least(2 * entry - 1, power, steps)


@pytest.mark.parametrize(
    ("guard_bits", "table"),
    [
        (5, "32 33 35 36 38 40 41 43 45 47 49 52 54 56 59 61"),
        (6, "64 67 70 73 76 79 83 87 91 95 99 103 108 112 117 123"),
        (7, "128 134 140 146 152 159 166 173 181 189 197 206 215 225 235 245"),
        (8, "256 267 279 292 304 318 332 347 362 378 395 412 431 450 470 490"),
    ],
)
def test_luts_of_the_specification(guard_bits, table):
    assert antilog_table(LBFP8, "lut", guard_bits).tolist() == [int(entry) for entry in table.split()]


def test_mitchell_is_one_line_and_two_segments_are_the_lut_at_five_guard_bits():
    assert antilog_table(LBFP8, "mitchell").tolist() == list(range(16, 32))
    assert antilog_table(LBFP8, "two_segment").tolist() == antilog_table(LBFP8, "lut", 5).tolist()


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("antilog", ANTILOGS)
def test_tables_start_at_one_and_rise_and_stay_below_two(antilog, fmt):
    for guard_bits in range(max(fmt.frac_bits, 4), 9):
        table = antilog_table(fmt, antilog, guard_bits)
        assert table[0] == 2**guard_bits and (np.diff(table) >= 0).all() and table[-1] < 2 ** (guard_bits + 1)


# Encoding and decoding


@pytest.mark.parametrize("fmt", FORMATS)
def test_encode_every_threshold_and_its_neighbours(fmt):
    low, high = fmt.exponent_range
    for exponent in sorted({low, -1, 0, 5, high}):
        assert_encoded(decision_words(fmt, exponent), fmt, exponent)


def test_encode_every_threshold_at_every_exponent_like_its_neighbour_exponent():
    """A step of the exponent is a step of the field: what holds at one exponent holds at all that FP32 reaches."""
    words = decision_words(LBFP8, 0)
    codes, raised = encode(words.view(np.float32), LBFP8, 0, flags=True)
    for exponent in range(-115, 126):
        moved = (words.astype(np.int64) + (exponent << 23)).astype(np.uint32)
        found = encode(moved.view(np.float32), LBFP8, exponent, flags=True)
        assert np.array_equal(found[0], codes) and np.array_equal(found[1], raised), exponent


@pytest.mark.parametrize("fmt", FORMATS)
def test_encode_random_words(fmt):
    for exponent in fmt.exponent_range:
        assert_encoded(random_words(1000, seed=3).view(np.uint32), fmt, exponent)


def test_special_values():
    words = np.array([0, 1, 0x7FFFFF, 0x7F800000, 0x7FC00000, 0x7F800001], np.uint32)
    codes, raised = encode(np.concatenate([words, words | 2**31]).view(np.float32), LBFP8, 0, flags=True)
    assert codes.tolist() == [0, 0, 0, 127, 127, 127, 0, 0, 0, 255, 255, 255]
    assert raised.tolist() == 2 * [0, LogFlag.FLUSHED, LogFlag.FLUSHED, *3 * [LogFlag.INVALID]]


@pytest.mark.parametrize("fmt", FORMATS)
def test_decode_is_the_nearest_fp32(fmt):
    """As integers: the FP32 significand n, of 24 bits, is nearest to a power of two if that is between n - 1/2 and n + 1/2."""
    steps = 2**fmt.frac_bits
    for exponent in sorted({*fmt.exponent_range, 0, max(-118, fmt.exponent_range[0])}):
        for code, word in zip(
            all_codes(fmt).tolist(), decode(all_codes(fmt), fmt, exponent).view(np.uint32).tolist(), strict=True
        ):
            c = code & fmt.max_magnitude
            power = exponent - 2**fmt.int_bits + (c >> fmt.frac_bits)
            if c == 0 or power < -126:
                assert word == 0
                continue
            assert (word >> 31, word >> 23 & 0xFF) == (code >> fmt.magnitude_bits, power + 127)
            n = word % 2**23 + 2**23
            f = c % steps
            assert is_at_least(2 * n + 1, f + 24 * steps, steps) and not is_at_least(2 * n - 1, f + 24 * steps, steps)


@pytest.mark.parametrize("fmt", FORMATS)
def test_round_trip_of_every_code_at_every_exponent(fmt):
    low, high = fmt.exponent_range
    exponents = np.arange(max(low, -126 + 2**fmt.int_bits), high + 1)[:, None]
    codes = np.broadcast_to(all_codes(fmt), (exponents.size, 2**fmt.bits))
    back, raised = encode(decode(codes, fmt, exponents), fmt, exponents, flags=True)
    assert np.array_equal(back, np.where(codes == 2**fmt.magnitude_bits, 0, codes)) and not raised.any()


def test_exponent_per_element_equals_one_exponent():
    x = np.random.default_rng(1).standard_normal((7, 30), np.float32)
    exponents = np.arange(-3, 4)[:, None]
    assert np.array_equal(
        encode(x, LBFP8, exponents), np.stack([encode(row, LBFP8, e) for row, e in zip(x, range(-3, 4), strict=True)])
    )


@given(
    st.integers(-(2**63), 2**63 - 1), st.integers(-40, 40), st.sampled_from([p.values[0] for p in FORMATS]), st.integers(-8, 7)
)
def test_encode_fixed_is_exact(value, lsb, fmt, exponent):
    found = encode_fixed(np.array([value]), fmt, exponent, lsb, flags=True)
    assert (int(found[0][0]), int(found[1][0])) == exact_code(Fraction(value) * Fraction(2) ** lsb, fmt, exponent)


def test_encode_fixed_around_every_power_and_threshold():
    powers = np.int64(1) << np.arange(63)
    near = np.concatenate([powers, powers - 1, powers + 1, *(powers[8:40] + (t << np.arange(32)) for t in thresholds(LBFP8))])
    values = np.concatenate([near, near - 1, near + 1])
    for exponent in (0, 30, 60):
        codes, raised = encode_fixed(values, LBFP8, exponent, 0, flags=True)
        for value, code, flag in zip(values.tolist(), codes.tolist(), raised.tolist(), strict=True):
            assert (code, flag) == exact_code(Fraction(value), LBFP8, exponent), value


def test_encode_fixed_agrees_with_encode_where_both_hold_the_value():
    values = np.random.default_rng(2).integers(-(2**24), 2**24, 10000)
    for exponent in (4, 16, 24):
        assert np.array_equal(
            encode_fixed(values, LBFP8, exponent, -2), encode((values / 4).astype(np.float32), LBFP8, exponent)
        )


@pytest.mark.parametrize("block", [None, 1, 8, 32])
def test_block_exponent_is_the_smallest_that_holds_the_block(block):
    fmt = LogBlockFormat(name="blocked", block=block)
    x = np.random.default_rng(4).standard_t(2, (5, 64)).astype(np.float32)
    x[0, :32] = 0
    exponents = block_exponent(x, fmt)
    largest = np.abs(x).reshape(5, -1, block or 64).max(axis=-1).astype(np.float64)
    assert exponents.shape == largest.shape
    some = largest > 0
    assert (largest < np.exp2(exponents))[some].all() and (largest >= np.exp2(exponents - 1.0))[some].all()
    assert (exponents[~some] == -128).all()


def test_block_exponent_stays_in_range():
    small = LogBlockFormat(name="small", exp_bits=4)
    x = np.array([[1e-40, 0], [1e-20, 0], [300, 1], [3e38, 0]], np.float32)
    assert block_exponent(x, small).tolist() == [[-8], [-8], [7], [7]]
    assert block_exponent(x, LBFP8).tolist() == [[-128], [-66], [9], [127]]


def test_infinity_and_nan_spoil_no_other_number_of_their_block():
    x = np.array([[1, -3, value, 0.125] for value in (0, np.inf, -np.inf, np.nan, -np.nan)], np.float32)
    exponents = block_exponent(x, LBFP8)
    assert exponents.tolist() == [[2]] * 5
    codes, raised = encode(x, LBFP8, exponents, flags=True)
    assert (codes[:, [0, 1, 3]] == codes[0, [0, 1, 3]]).all() and codes[:, 2].tolist() == [0, 127, 255, 127, 255]
    assert raised[:, 2].tolist() == [0] + 4 * [LogFlag.INVALID] and not raised[:, [0, 1, 3]].any()


def test_infinity_and_nan_alone_are_as_large_as_there_is():
    x = np.float32([[0, value, 1e-40] for value in (np.inf, -np.inf, np.nan)])
    exponents = block_exponent(x, LBFP8)
    assert exponents.tolist() == [[127]] * 3
    assert (
        np.abs(decode(encode(x, LBFP8, exponents), LBFP8, exponents)[:, 1]).tolist() == [decode(np.uint8(127), LBFP8, 127)] * 3
    )


# Products


@pytest.mark.parametrize(("antilog", "guard_bits"), TABLES)
def test_multiply_all_pairs(antilog, guard_bits):
    """The whole multiplication table of lbfp8 against a loop over plain integers, full and cut to 16 bits."""
    table = antilog_table(LBFP8, antilog, guard_bits).tolist()
    full = []
    for a, b in itertools.product(range(256), repeat=2):
        t = a % 128 + b % 128
        size = table[t % 16] * 2 ** (t // 16) if a % 128 and b % 128 else 0
        full.append(-size if (a < 128) != (b < 128) else size)
    a, b = all_codes(LBFP8)[:, None], all_codes(LBFP8)
    keywords = {"antilog": antilog, "guard_bits": guard_bits}
    assert multiply(a, b, LBFP8, **keywords).reshape(-1).tolist() == full
    bits = guard_bits + 17
    assert product_bits(LBFP8, antilog, guard_bits) == bits and max(map(abs, full)) < 2 ** (bits - 1)
    unit = 2 ** (bits - 16)
    floored = multiply(a, b, LBFP8, **keywords, out_bits=16).reshape(-1).tolist()
    assert floored == [product // unit for product in full]
    assert min(floored) >= -(2**15) and max(floored) < 2**15
    words = multiply(a, b, LBFP8, **keywords, out_bits=16, output="sign_magnitude").reshape(-1).tolist()
    assert words == [abs(product) // unit + (2**15 if product < 0 else 0) for product in full]


@pytest.mark.parametrize("fmt", FORMATS)
def test_products_stand_for_the_products_of_the_numbers(fmt):
    """Within the error of the table: at most half a unit of 2**-G over 1."""
    a, b = all_codes(fmt)[:, None], all_codes(fmt)
    guard_bits = max(5, fmt.frac_bits)
    products = multiply(a, b, fmt) * 2.0 ** lsb_exponent(fmt, 3 - 4)
    exact = np.multiply(*(decode(codes, fmt, e).astype(np.float64) for codes, e in ((a, 3), (b, -4))))
    assert (np.abs(products - exact) <= 2.0 ** -(guard_bits + 1) * np.abs(exact) * (1 + 1e-6)).all()


@pytest.mark.parametrize(("guard_bits", "percent"), [(4, 2.63), (5, 1.26), (6, 0.61), (7, 0.31), (8, 0.17)])
def test_lut_errors_of_the_specification(guard_bits, percent):
    error = antilog_table(LBFP8, "lut", guard_bits) / 2**guard_bits / np.exp2(np.arange(16) / 16) - 1
    assert np.abs(error).max() < percent / 100


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("out_bits", [None, 12, 16])
def test_dot_is_the_sum_of_products(out_bits, output):
    rng = np.random.default_rng(6)
    a, b = rng.integers(0, 256, (3, 50), np.uint8), rng.integers(0, 256, (4, 1, 50), np.uint8)
    keywords = {"out_bits": out_bits, "output": output}
    found = dot(a, b, LBFP8, **keywords)
    assert found.shape == (4, 3) and found.dtype == np.int64
    sign = 2 ** ((out_bits or product_bits(LBFP8)) - 1)

    def product(x, y):
        word = int(multiply(x, y, LBFP8, **keywords))
        return -(word - sign) if output == "sign_magnitude" and word >= sign else word

    for i, j in np.ndindex(4, 3):
        assert found[i, j] == sum(product(x, y) for x, y in zip(a[j], b[i, 0], strict=True))
    assert np.array_equal(dot(a.T, b.transpose(2, 1, 0)[:, 0, :1], LBFP8, **keywords, axis=0), found[0])


@pytest.mark.parametrize(
    "keywords", [{}, {"antilog": "mitchell"}, {"guard_bits": 6, "out_bits": 16, "output": "sign_magnitude"}]
)
@pytest.mark.parametrize("name", ["lbfp8", "lbfp5"])
def test_matmul_is_every_dot_product(name, keywords):
    fmt = LOGARITHMS[name]
    rng = np.random.default_rng(7)
    a, b = (rng.integers(0, 2**fmt.bits, (rows, 33), np.uint8) for rows in (5, 6))
    assert np.array_equal(matmul(a, b, fmt, **keywords), dot(a[:, None], b, fmt, **keywords))


@given(lbfp8_codes, lbfp8_codes)
def test_multiplication_commutes_and_knows_signs(a, b):
    def product(x, y):
        return int(multiply(np.uint8(x), np.uint8(y), LBFP8))

    assert product(a, b) == product(b, a) == -product(a ^ 128, b)


def test_lsb_exponent_counts_what_is_cut_off():
    assert lsb_exponent(LBFP8, 5) == 5 - 16 - 5
    assert lsb_exponent(LBFP8, np.array([1, 2]), guard_bits=6, out_bits=16).tolist() == [-14, -13]
    assert lsb_exponent(LBFP8, 0, antilog="mitchell") == -20


def test_a_table_of_ones_own():
    table = [32, 33, 35, 36, 38, 40, 41, 43, 45, 47, 49, 52, 54, 56, 59, 62]
    assert antilog_table(LBFP8, table, 5).tolist() == table


# Arguments

CODE = np.array([1], np.uint8)
ONE = np.array([1], np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: encode(np.ones(2), LBFP8, 0), TypeError, r"x must be float32, .*, not float64, .*: convert"),
        (
            lambda: encode(ONE, CATALOG["ab_e5m2"], 0),
            TypeError,
            r"fmt must be a LogBlockFormat or the name of one, not FloatFormat\(",
        ),
        (lambda: encode(ONE, LBFP8, 0.5), TypeError, r"exponent must be of integers, not float64"),
        (lambda: encode(ONE, LBFP8, 128), ValueError, r"exponent must be an integer from -128 to 127, not 128"),
        (lambda: encode(ONE, LBFP8, np.zeros(2, int)), ValueError, r"exponent of shape \(2,\) does not broadcast"),
        (lambda: encode_fixed(ONE, LBFP8, 0, 0), TypeError, r"values must be of integers, not float32"),
        (lambda: encode_fixed(np.array([2**63], np.uint64), LBFP8, 0, 0), ValueError, r"values must be below 2\*\*63"),
        (
            lambda: encode_fixed(CODE, LBFP8, 0, 2000),
            ValueError,
            r"lsb_exponent must be an integer from .* to 1023, not 2000",
        ),
        (lambda: decode(np.array([1]), LBFP8, 0), TypeError, r"codes of lbfp8 must be uint8, not int64: convert"),
        (
            lambda: decode(np.array([64], np.uint8), CATALOG["lbfp6"], 0),
            ValueError,
            r"codes of lbfp6 must be from 0 to 0x3f, not 0x40",
        ),
        (lambda: block_exponent(np.ones(3), LBFP8), TypeError, r"x must be float32"),
        (
            lambda: block_exponent(ONE, LogBlockFormat(name="two", block=2)),
            ValueError,
            r"must be a multiple of the block, 2, not",
        ),
        (
            lambda: antilog_table(LBFP8, "taylor"),
            ValueError,
            r"antilog must be one of lut, two_segment, mitchell, not 'taylor'",
        ),
        (lambda: antilog_table(LBFP8, "lut", 9), ValueError, r"guard_bits of lbfp8 must be an integer from 0 to 8, not 9"),
        (lambda: antilog_table(LBFP8, "mitchell", 3), ValueError, r"guard_bits of lbfp8 must be an integer from 4 to 8, not 3"),
        (lambda: antilog_table(LBFP8, [32] * 15), ValueError, r"antilog must be 16 integers from 32 to 63, not"),
        (lambda: antilog_table(LBFP8, [32] * 15 + [64]), ValueError, r"antilog must be 16 integers from 32 to 63, not"),
        (lambda: multiply(CODE, CODE, LBFP8, out_bits=23), ValueError, r"out_bits must be an integer from 2 to 22, not 23"),
        (
            lambda: multiply(CODE, CODE, LBFP8, output="ones"),
            ValueError,
            r"output must be one of twos_complement, sign_magnitude",
        ),
        (
            lambda: matmul(CODE, CODE, LBFP8),
            ValueError,
            r"a and b must be matrices with rows of one length, not of shapes \(1,\)",
        ),
        (lambda: dot(CODE, CODE, LBFP8, axis=1), ValueError, r"axis must be an integer from -1 to 0, not 1"),
    ],
)
def test_arguments(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_dot_product_that_could_overflow_is_refused():
    wide = LogBlockFormat(name="wide", int_bits=4, frac_bits=3)
    ones = np.broadcast_to(CODE, (2**22,))
    assert product_bits(wide, "lut", 8) == 41
    dot(ones, ones, wide, guard_bits=8)
    ones = np.broadcast_to(CODE, (2**23,))
    with pytest.raises(ValueError, match=r"8388608 products of 41 bits could overflow 64: at most 8388607"):
        dot(ones, ones, wide, guard_bits=8)
