"""`golden.float_codec` against ml_dtypes and gfloat, which are not ours."""

import gfloat
import ml_dtypes
import numpy as np
import pytest
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import FLOATS, FloatFormat
from narrowfloat.golden.rounding import ROUNDINGS
from rich.console import Console
from rich.progress import track

from tests.golden.vectors import mismatch, random_words, structured

NAMES = [name for name in FLOATS if hasattr(ml_dtypes, name)]
GRADUAL = [name for name in FLOATS if FLOATS[name].underflow == "gradual"]


def cast(x, dtype):
    """ml_dtypes' own conversion, as codes."""
    with np.errstate(all="ignore"):
        return x.astype(dtype).view(f"u{np.dtype(dtype).itemsize}")


def comparable(x, fmt):
    """The inputs of which ml_dtypes' answer is the format's.

    A format without NaN cannot answer NaN: golden saturates, ml_dtypes makes it a zero. float8_e8m0fnu starts at 2**-127, an
    FP32 subnormal: ml_dtypes 0.6 takes all that is above it to 2**-126, golden only what is not below the midpoint.
    """
    if fmt.specials == "none":
        return x[~np.isnan(x)]
    if fmt.specials == "fnu":
        return x[~((x > 2.0**-127) & (x < 1.5 * 2.0**-127))]
    return x


def assert_equals_cast(x, name):
    fmt = FLOATS[name]
    x = comparable(x, fmt)
    assert not mismatch(x, encode(x, fmt, overflow="format"), cast(x, getattr(ml_dtypes, name)), name)


@pytest.mark.parametrize("name", NAMES)
def test_catalogue_has_the_parameters_of_ml_dtypes(name):
    fmt, info = FLOATS[name], ml_dtypes.finfo(getattr(ml_dtypes, name))
    assert (fmt.bits, fmt.exp_bits, fmt.man_bits) == (info.bits, info.nexp, info.nmant)
    assert decode(np.uint8(fmt.max_finite), fmt) == np.float32(info.max)


def test_catalogue_has_every_small_float_of_ml_dtypes():
    assert set(NAMES) == {name for name in dir(ml_dtypes) if name.startswith(("float8_", "float6_", "float4_"))}


@pytest.mark.parametrize("name", NAMES)
def test_decode_every_code(name):
    fmt = FLOATS[name]
    codes = np.arange(2**fmt.bits, dtype=np.uint8)
    got, want = decode(codes, fmt), codes.view(getattr(ml_dtypes, name)).astype(np.float32)
    is_nan = np.isnan(want)
    assert np.array_equal(np.isnan(got), is_nan)
    assert np.array_equal(got[~is_nan].view(np.uint32), want[~is_nan].view(np.uint32))
    assert np.array_equal(np.signbit(got[is_nan]), np.signbit(want[is_nan]))


@pytest.mark.parametrize("name", NAMES)
def test_encode_all_codes_and_midpoints_with_neighbours(name):
    assert_equals_cast(structured(FLOATS[name], FLOATS[name].bias), name)


@pytest.mark.parametrize("name", NAMES)
def test_encode_random_words(name):
    assert_equals_cast(random_words(10**7, seed=1), name)


@pytest.mark.parametrize("name", NAMES)
def test_encode_gaussian_values(name):
    assert_equals_cast(np.random.default_rng(2).standard_normal(10**6, np.float32), name)


@pytest.mark.parametrize("name", NAMES)
def test_encode_saturating_equals_cast_of_clipped_values(name):
    fmt = FLOATS[name]
    x = comparable(np.concatenate([structured(fmt, fmt.bias), random_words(10**6, seed=3)]), fmt)
    largest = decode(np.uint8(fmt.max_finite), fmt)
    clipped = np.minimum(x, largest) if fmt.specials == "fnu" else np.clip(x, -largest, largest)
    assert not mismatch(x, encode(x, fmt), cast(clipped, getattr(ml_dtypes, name)), name)


def test_encode_e8m0_subnormals_are_rounded_to_nearest_where_ml_dtypes_rounds_up():
    fmt = FLOATS["float8_e8m0fnu"]
    words = np.array([0x400000, 0x400001, 0x5FFFFF, 0x600000, 0x7FFFFF], np.uint32)
    assert encode(words.view(np.float32), fmt).tolist() == [0, 0, 0, 1, 1]
    assert cast(words.view(np.float32), ml_dtypes.float8_e8m0fnu).tolist() == [0, 1, 1, 1, 1]


def test_hand_made_bfloat16_equals_ml_dtypes():
    fmt = FloatFormat(name="bfloat16", exp_bits=8, man_bits=7, specials="ieee")
    x = np.concatenate([random_words(10**6, seed=4), np.arange(0x1000000, dtype=np.uint32).view(np.float32)])
    assert not mismatch(x, encode(x, fmt, overflow="format"), cast(x, ml_dtypes.bfloat16))
    codes = np.arange(2**16, dtype=np.uint16)
    assert np.array_equal(decode(codes, fmt), codes.view(ml_dtypes.bfloat16).astype(np.float32), equal_nan=True)


def test_gradual_adaptive_format_equals_e5m2_below_the_top_exponent():
    fmt = FLOATS["ab_e5m2_gradual"]
    x = np.concatenate([structured(fmt, 15), random_words(10**6, seed=5)])
    want = cast(x, ml_dtypes.float8_e5m2)
    below = want & 0x7F < 0x7C
    assert not mismatch(x[below], encode(x[below], fmt, bias=15), want[below])


def as_gfloat(fmt, bias):
    """The same format as gfloat describes it."""
    return gfloat.FormatInfo(
        fmt.name,
        fmt.bits,
        fmt.man_bits + 1,
        bias=bias,
        is_signed=True,
        domain=gfloat.Domain.Extended if fmt.specials == "ieee" else gfloat.Domain.Finite,
        has_nz=fmt.specials != "fnuz",
        num_high_nans={"ieee": 2**fmt.man_bits - 1, "fn": 1}.get(fmt.specials, 0),
        has_subnormals=True,
        is_twos_complement=False,
    )


# gfloat does not overflow into formats that have neither infinity nor NaN
@pytest.mark.parametrize(
    ("name", "overflow"),
    [(name, "saturate") for name in GRADUAL] + [(name, "format") for name in GRADUAL if FLOATS[name].specials != "none"],
)
@pytest.mark.parametrize("rounding", [name for name in ROUNDINGS if name != "rto"])
def test_encode_equals_gfloat(name, overflow, rounding):
    fmt, seed = FLOATS[name], 6
    mode = {
        "rne": "TiesToEven",
        "rna": "TiesToAway",
        "rtz": "TowardZero",
        "sr": "Stochastic",
        "rdn": "TowardNegative",
        "rup": "TowardPositive",
    }[rounding]
    rng = np.random.default_rng(seed)
    for bias in {fmt.bias, 0, 63}:
        x = rng.choice(structured(fmt, bias), 20000)
        x = x[np.isfinite(x)]
        random_bits = rng.integers(0, 256, x.size, dtype=np.uint8)
        saturates = overflow == "saturate"
        want = gfloat.round_ndarray(as_gfloat(fmt, bias), x.astype(float), gfloat.RoundMode[mode], saturates, random_bits, 8)
        codes = encode(x, fmt, bias=bias, rounding=rounding, overflow=overflow, random_bits=random_bits)
        got, want = decode(codes, fmt, bias=bias), want.astype(np.float32)
        assert np.array_equal(np.isnan(got), np.isnan(want))
        finite = ~np.isnan(want)
        where = f"{name}, bias {bias}, seed {seed}, as FP32 words"
        assert not mismatch(x[finite], got[finite].view(np.uint32), want[finite].view(np.uint32), where)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_encode_all_words(name, capfd):
    step = 2**24
    with capfd.disabled():
        for start in track(range(0, 2**32, step), description=name, console=Console(stderr=True), transient=True):
            assert_equals_cast(np.arange(start, start + step, dtype=np.uint32).view(np.float32), name)
