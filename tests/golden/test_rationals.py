"""`golden.float_codec` against exact rationals: every rounding, overflow and underflow, flags, hand-made formats."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import FLOATS, SPECIALS, UNDERFLOWS, FloatFormat
from narrowfloat.golden.rounding import OVERFLOWS, ROUNDINGS, TININESS

from tests.golden import rationals
from tests.golden.vectors import structured


@st.composite
def formats(draw):
    specials = draw(st.sampled_from(SPECIALS))
    exp_bits = draw(st.integers(2, 8 if specials in ("ieee", "fnu") else 7))
    man_bits = 0 if specials == "fnu" else draw(st.integers(specials == "ieee", 7))
    if specials == "fnu":
        underflows = ["clamp_exponent"]
    elif specials == "none":
        underflows = UNDERFLOWS
    else:
        underflows = ["gradual"] if exp_bits == 8 else ["gradual", "zero_code"]
    return FloatFormat(
        name="made",
        exp_bits=exp_bits,
        man_bits=man_bits,
        specials=specials,
        underflow=draw(st.sampled_from(underflows)),
    )


def biases(fmt):
    return st.integers(*fmt.bias_range)


def words(fmt, bias):
    """Any word, and often one near a code or a midpoint, at or around the exponents that the format has."""
    exponent = st.integers(-3, 2**fmt.exp_bits + 2).map(lambda e: min(max(e - bias + 127, 0), 255))
    upper = st.integers(0, 2 ** (fmt.man_bits + 1) - 1).map(lambda f: f << 22 - fmt.man_bits)
    lower = st.sampled_from([0, 0, 1, 2 ** (22 - fmt.man_bits) - 1]) | st.integers(0, 21 - fmt.man_bits).map(lambda k: 2**k)
    near = st.builds(lambda s, e, u, w: s << 31 | e << 23 | u | w, st.integers(0, 1), exponent, upper, lower)
    return near | st.integers(0, 2**32 - 1)


def assert_equal(x, fmt, bias, rounding, overflow, random_bits=None, sr_bits=8, tininess="before"):
    """Codes and flags of all of `x`, by the direct way and, where there is one, by the table."""
    keywords = {"bias": bias, "rounding": rounding, "overflow": overflow, "random_bits": random_bits, "sr_bits": sr_bits}
    codes, flags = encode(x, fmt, **keywords, tininess=tininess, flags=True)
    assert np.array_equal(encode(x, fmt, **keywords), codes), keywords
    for i, word in enumerate(x.view(np.uint32).tolist()):
        r = 0 if random_bits is None else int(random_bits[i])
        code, raised = rationals.encode(word, fmt, bias, rounding, overflow, r, sr_bits, tininess)
        assert (codes[i], flags[i]) == (code, raised), (
            f"{fmt}, {keywords}: {word:#010x} ({x[i]!r}), r={r}: "
            f"got {codes[i]:#x} with flags {flags[i]:04b}, want {code:#x} with {raised:04b}"
        )


@settings(max_examples=400)
@given(data=st.data())
def test_encode_hand_made_formats(data):
    fmt = data.draw(formats())
    bias = data.draw(biases(fmt))
    x = np.array(data.draw(st.lists(words(fmt, bias), min_size=1, max_size=30)), np.uint32).view(np.float32)
    rounding = data.draw(st.sampled_from(ROUNDINGS))
    overflow = data.draw(st.sampled_from(OVERFLOWS))
    sr_bits = data.draw(st.integers(1, 16))
    random_bits = np.array(data.draw(st.lists(st.integers(0, 2**sr_bits - 1), min_size=x.size, max_size=x.size)), np.uint16)
    assert_equal(x, fmt, bias, rounding, overflow, random_bits, sr_bits, data.draw(st.sampled_from(TININESS)))


_AROUND = ("float8_e4m3fn", "float8_e5m2", "ab_e5m2", "ab_e5m2_paper", "float8_e8m0fnu", "e8m7_ieee", "e4m0")


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", _AROUND)
def test_tininess_around_the_smallest_normal_number(name, rounding):
    """In each 64th of the last bit that a number with an unbounded exponent has below it."""
    fmt = FloatFormat.of(name)
    code = {"gradual": 2**fmt.man_bits, "zero_code": 1, "clamp_exponent": 0}[fmt.underflow]
    smallest = float(rationals.value_of(code, fmt, fmt.bias))
    x = (smallest * (1 + np.arange(-130, 66) * 2.0 ** (-fmt.man_bits - 7))).astype(np.float32)
    random_bits = np.full(x.shape, 100)
    for tininess in TININESS:
        assert_equal(x, fmt, fmt.bias, rounding, "saturate", random_bits, 8, tininess)
    keywords = {"rounding": rounding, "random_bits": random_bits, "flags": True}
    before, after = (encode(x, fmt, **keywords, tininess=tininess)[1] for tininess in TININESS)
    # below it all bits of a number are ones, but with "zero_code", so that it is odd
    never_up = rounding in ("rtz", "rdn") or rounding == "rto" and fmt.underflow != "zero_code"
    assert np.array_equal(before, after) == never_up


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", FLOATS)
def test_encode_sample_of_structured_words(name, rounding):
    fmt, seed = FLOATS[name], 11
    rng = np.random.default_rng(seed)
    for bias in {fmt.bias, fmt.bias_range[0], fmt.bias_range[1]}:
        x = rng.choice(structured(fmt, bias), 300, replace=False)
        random_bits = rng.integers(0, 256, x.size, dtype=np.uint8)
        for overflow in OVERFLOWS:
            assert_equal(x, fmt, bias, rounding, overflow, random_bits)


@pytest.mark.parametrize("man_bits", [0, 5, 6, 7])
@pytest.mark.parametrize("sr_bits", [8, 15, 16])
def test_encode_stochastic_far_below_the_smallest_subnormal(man_bits, sr_bits):
    """The largest random number finds every bit of the fraction that should not be there, or is missing."""
    fmt, bias = FloatFormat(name="made", exp_bits=4, man_bits=man_bits), 7
    exponents = np.arange(93 - bias, 130 - bias, dtype=np.uint32)  # as FP32 has them: E from -34 to 2
    fractions = np.array([0, 1, 2**22, 2**23 - 1], np.uint32)
    x = (exponents[:, None] << 23 | fractions).ravel().view(np.float32)
    assert_equal(x, fmt, bias, "sr", "saturate", np.full(x.shape, 2**sr_bits - 1, np.uint16), sr_bits)


@settings(max_examples=200)
@given(data=st.data())
def test_decode_hand_made_formats(data):
    fmt = data.draw(formats())
    bias = data.draw(biases(fmt))
    codes = np.array(data.draw(st.lists(st.integers(0, 2**fmt.bits - 1), min_size=1, max_size=30)), code_dtype(fmt))
    by_table = decode(codes, fmt, bias=bias)
    direct = decode(codes, fmt, bias=np.full(codes.shape, bias))
    assert np.array_equal(by_table.view(np.uint32), direct.view(np.uint32))
    for code, value in zip(codes.tolist(), by_table.tolist(), strict=True):
        want = rationals.decode(code, fmt, bias)
        if isinstance(want, Fraction):
            assert Fraction(value) == want, f"{fmt}, bias {bias}, code {code:#x}: got {value!r}, want {want}"
        elif math.isnan(want):
            assert math.isnan(value)
        else:
            assert (value, math.copysign(1, value)) == (want, math.copysign(1, want)), f"{fmt}, bias {bias}, code {code:#x}"
