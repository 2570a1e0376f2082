"""`golden.formats`: what a format may be, and how it is named."""

import dataclasses
import re

import pytest
from narrowfloat.golden.formats import BLOCKS, CATALOG, FLOATS, LOGARITHMS, SPECIALS, UNDERFLOWS, FloatFormat, LogBlockFormat


def make(**fields):
    return FloatFormat(**{"name": "made", "exp_bits": 4, "man_bits": 3, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "E4M3"}, r"name must be a lower-case identifier, not 'E4M3'"),
        ({"name": "4e"}, r"name must be a lower-case identifier, not '4e'"),
        ({"name": None}, r"name must be a lower-case identifier, not None"),
        ({"exp_bits": 1}, r"exp_bits must be an integer from 2 to 8, not 1"),
        ({"exp_bits": 9}, r"exp_bits must be an integer from 2 to 8, not 9"),
        ({"exp_bits": 4.0}, r"exp_bits must be an integer from 2 to 8, not 4\.0"),
        ({"exp_bits": True}, r"exp_bits must be an integer from 2 to 8, not True"),
        ({"man_bits": -1}, r"man_bits must be an integer from 0 to 7, not -1"),
        ({"man_bits": 8}, r"man_bits must be an integer from 0 to 7, not 8"),
        ({"bias": 64}, r"bias of made must be an integer from 0 to 63, not 64"),
        ({"bias": -1}, r"bias of made must be an integer from 0 to 63, not -1"),
        ({"bias": 7.0}, r"bias of made must be an integer from 0 to 63, not 7\.0"),
        ({"exp_bits": 8, "specials": "ieee", "bias": 7}, r"bias of made must be 127, not 7"),
        ({"specials": "inf"}, r"specials must be one of ieee, fn, fnuz, none, fnu, not 'inf'"),
        ({"underflow": "flush"}, r"underflow must be one of gradual, zero_code, clamp_exponent, not 'flush'"),
        ({"specials": "ieee", "man_bits": 0}, r"specials 'ieee' needs man_bits of at least 1"),
        ({"specials": "fnu"}, r"specials 'fnu' needs man_bits=0 and underflow='clamp_exponent'"),
        ({"specials": "fnu", "man_bits": 0}, r"specials 'fnu' needs man_bits=0 and underflow='clamp_exponent'"),
        (
            {"underflow": "clamp_exponent", "specials": "fn"},
            r"underflow 'clamp_exponent' needs specials 'none' or 'fnu', not 'fn'",
        ),
        ({"exp_bits": 8}, r"exp_bits=8 needs"),
        ({"exp_bits": 8, "specials": "fn"}, r"exp_bits=8 needs"),
        ({"exp_bits": 8, "specials": "ieee", "underflow": "zero_code"}, r"exp_bits=8 needs"),
    ],
)
def test_impossible_formats(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(**fields)
    assert "\n" not in str(caught.value)


def test_format_is_frozen_and_hashable():
    fmt = make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fmt.bias = 3
    assert hash(fmt) == hash(make())
    assert make(bias=7) == fmt != make(bias=8)


@pytest.mark.parametrize("name", CATALOG)
def test_catalogue_is_keyed_by_name(name):
    fmt = CATALOG[name]
    assert fmt.name == name and type(fmt).parse(name) is fmt
    with pytest.raises(TypeError):
        CATALOG[name] = fmt


@pytest.mark.parametrize(
    ("specials", "max_finite", "infinity", "nan", "bits"),
    [("ieee", 0x77, 0x78, 0x7C, 8), ("fn", 0x7E, None, 0x7F, 8), ("fnuz", 0x7F, None, 0, 8), ("none", 0x7F, None, None, 8)],
)
def test_special_codes(specials, max_finite, infinity, nan, bits):
    fmt = make(specials=specials)
    assert (fmt.max_finite, fmt.infinity, fmt.nan, fmt.bits, fmt.signed) == (max_finite, infinity, nan, bits, True)


def test_unsigned_format():
    fmt = make(man_bits=0, specials="fnu", underflow="clamp_exponent")
    assert (fmt.max_finite, fmt.infinity, fmt.nan, fmt.bits, fmt.signed) == (0xE, None, 0xF, 4, False)


@pytest.mark.parametrize(("exp_bits", "bias"), [(2, 1), (4, 7), (5, 15), (7, 63), (8, 127)])
def test_default_bias(exp_bits, bias):
    fmt = make(exp_bits=exp_bits, specials="ieee")
    assert fmt.bias == bias
    assert fmt.bias_range == ((127, 127) if exp_bits == 8 else (0, 63))


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        ("e4m3", "e4m3", {}),
        ("e4m3b7_none_gradual", "e4m3", {}),
        ("e4m3b11", "e4m3b11", {"bias": 11}),
        ("e4m3_fn", "float8_e4m3fn", {"specials": "fn"}),
        ("e4m3_fnuz", "e4m3_fnuz", {"specials": "fnuz"}),
        ("e3m4_ieee", "float8_e3m4", {"exp_bits": 3, "man_bits": 4, "specials": "ieee"}),
        ("e4m3_zero_code", "e4m3_zero_code", {"underflow": "zero_code"}),
        ("e2m5b9_none_zero_code", "e2m5b9_zero_code", {"exp_bits": 2, "man_bits": 5, "bias": 9, "underflow": "zero_code"}),
        (
            *("e5m0_fnu_paper", "e5m0_fnu_clamp_exponent"),
            {"exp_bits": 5, "man_bits": 0, "specials": "fnu", "underflow": "clamp_exponent"},
        ),
    ],
)
def test_parse_spelled_formats(text, name, fields):
    """Whatever its spelling, a format has one name."""
    assert FloatFormat.parse(text) == make(**{**fields, "name": name}) == FloatFormat.parse(name)


@pytest.mark.parametrize(
    "text",
    [
        "float8_e9m9",
        "",
        "e4m3 ",
        "E4M3",
        "e4m3-fn",
        "e4m3_signed",
        "e4m3_fn_fn",
        "e4m3_zero_code_fn",
        "e4m3b",
        "e4",
        "e4m3\n",
        "e04m3",
        "e4m٣",
    ],
)
def test_parse_unknown_formats(text):
    allowed = r"use one of ab_e5m2, .*float8_e4m3fn.*, or spell one like e4m3b7_fn_gradual"
    with pytest.raises(ValueError, match=rf"unknown format {re.escape(repr(text))}: {allowed}") as caught:
        FloatFormat.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e9m3", r"exp_bits must be an integer from 2 to 8, not 9"),
        ("e4m3b64", r"bias of e4m3b64 must be an integer from 0 to 63, not 64"),
        ("e4m3_fnu_paper", r"specials 'fnu' needs man_bits=0"),
    ],
)
def test_parse_impossible_formats(text, message):
    with pytest.raises(ValueError, match=message):
        FloatFormat.parse(text)


def test_every_combination_is_a_format_or_an_error_of_one_line():
    made = 0
    for specials in SPECIALS:
        for underflow in UNDERFLOWS:
            for exp_bits in range(2, 9):
                for man_bits in range(8):
                    try:
                        fmt = make(exp_bits=exp_bits, man_bits=man_bits, specials=specials, underflow=underflow)
                    except ValueError as error:
                        assert "\n" not in str(error)
                        continue
                    made += 1
                    assert 2 <= fmt.bits <= 16 and 0 < fmt.max_finite < 2**fmt.magnitude_bits
    assert made


def make_log(**fields):
    return LogBlockFormat(**{"name": "made", **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "LBFP"}, r"name must be a lower-case identifier, not 'LBFP'"),
        ({"int_bits": 0}, r"int_bits must be an integer from 1 to 4, not 0"),
        ({"int_bits": 5}, r"int_bits must be an integer from 1 to 4, not 5"),
        ({"frac_bits": -1}, r"frac_bits must be an integer from 0 to 6, not -1"),
        ({"frac_bits": 4.0}, r"frac_bits must be an integer from 0 to 6, not 4\.0"),
        ({"exp_bits": 9}, r"exp_bits must be an integer from 2 to 8, not 9"),
        ({"block": 0}, r"block must be an integer from 1 to 65536, not 0"),
        ({"int_bits": 4}, r"1 \+ int_bits \+ frac_bits must be from 4 to 8, not 9"),
        ({"int_bits": 2, "frac_bits": 0}, r"1 \+ int_bits \+ frac_bits must be from 4 to 8, not 3"),
    ],
)
def test_impossible_logarithmic_formats(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        make_log(**fields)
    assert "\n" not in str(caught.value)


def test_logarithmic_format():
    fmt = make_log(exp_bits=6)
    assert (fmt.bits, fmt.magnitude_bits, fmt.max_magnitude, fmt.exponent_range) == (8, 7, 127, (-32, 31))
    assert hash(fmt) == hash(make_log(exp_bits=6)) and fmt != make_log()
    with pytest.raises(ValueError, match=r"exponent of made must be an integer from -32 to 31, not 32"):
        fmt.check_exponent(32)


def test_catalogued_logarithmic_formats():
    assert {name: (fmt.bits, fmt.int_bits, fmt.frac_bits, fmt.block) for name, fmt in LOGARITHMS.items()} == {
        "lbfp8": (8, 3, 4, None), "lbfp7": (7, 3, 3, None), "lbfp6": (6, 3, 2, None), "lbfp5": (5, 3, 1, None),
    }  # fmt: skip
    assert dict(CATALOG) == {**FLOATS, **LOGARITHMS, **BLOCKS}


@pytest.mark.parametrize(
    ("text", "fields"),
    [("lbfp8", {}), ("i2f3e6b32", {"int_bits": 2, "frac_bits": 3, "exp_bits": 6, "block": 32}), ("i3f4b8", {"block": 8})],
)
def test_parse_spelled_logarithmic_formats(text, fields):
    assert LogBlockFormat.parse(text) == make_log(**{**fields, "name": text})


@pytest.mark.parametrize("text", ["lbfp9", "", "i3f4 ", "e4m3", "i3", "float8_e5m2", "i3f4b"])
def test_parse_unknown_logarithmic_formats(text):
    allowed = r"use one of lbfp8, lbfp7, lbfp6, lbfp5, or spell one like i3f4e8b32"
    with pytest.raises(ValueError, match=rf"unknown format {re.escape(repr(text))}: {allowed}"):
        LogBlockFormat.parse(text)


def test_float_format_does_not_parse_a_logarithmic_one():
    with pytest.raises(ValueError, match=r"unknown format 'lbfp8'"):
        FloatFormat.parse("lbfp8")
