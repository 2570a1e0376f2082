"""`narrowfloat.finfo` against ml_dtypes, and against every code of hand-made formats."""

import ml_dtypes
import narrowfloat
import numpy as np
import pytest
from narrowfloat.golden.float_codec import code_dtype
from narrowfloat.golden.formats import FLOATS, FloatFormat

LIMITS = "max", "min", "smallest_normal", "tiny", "smallest_subnormal", "eps", "epsneg"
COUNTS = "bits", "nexp", "nmant", "iexp", "machep", "negep", "maxexp", "minexp"


@pytest.mark.parametrize("name", [name for name in FLOATS if hasattr(ml_dtypes, name)])
def test_finfo_is_that_of_ml_dtypes(name):
    found, expected = narrowfloat.finfo(name), ml_dtypes.finfo(getattr(ml_dtypes, name))
    for attribute in (*LIMITS, *COUNTS):
        assert getattr(found, attribute) == float(getattr(expected, attribute)), attribute


def test_finfo_of_half_precision_is_that_of_numpy():
    fmt = FloatFormat(name="half", exp_bits=5, man_bits=7, specials="ieee")
    found, expected = narrowfloat.finfo(fmt), np.finfo(np.float16)
    for attribute in ("smallest_normal", "tiny", "nexp", "maxexp", "minexp"):
        assert getattr(found, attribute) == float(getattr(expected, attribute)), attribute


@pytest.mark.parametrize("bias", [0, 5, 63])
@pytest.mark.parametrize("name", ["ab_e5m2", "ab_e5m2_gradual", "ab_e5m2_paper", "e2m0", "e3m2_fnuz_zero_code", "e7m4_ieee"])
def test_limits_are_those_of_all_codes(name, bias):
    fmt, found = narrowfloat.format(name), narrowfloat.finfo(name, bias=bias)
    codes = np.arange(2**fmt.bits).astype(code_dtype(fmt))
    values = narrowfloat.decode(codes, name, bias=bias).astype(np.float64)
    finite = values[np.isfinite(values)]
    assert (found.format, found.bias, found.bits) == (fmt, bias, fmt.bits)
    assert (found.max, found.min) == (finite.max(), finite.min())
    assert found.smallest_subnormal == finite[finite > 0].min()
    # from there on neighbours differ by 2**-nmant of the power of two below
    normal = np.unique(finite[finite >= found.smallest_normal])
    assert normal[0] == found.smallest_normal and len(normal) >= 2
    power = np.exp2(np.floor(np.log2(normal[:-1])))
    assert (np.diff(normal) == power * found.eps).all()
    assert found.smallest_normal == found.smallest_subnormal or found.smallest_subnormal == found.smallest_normal * found.eps


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fmt": "lbfp8"}, ValueError, r"unknown format 'lbfp8': use one of ab_e5m2, "),
        ({"fmt": 8}, TypeError, r"fmt must be a FloatFormat or the name of one, not 8"),
        ({"fmt": "ab_e5m2", "bias": 64}, ValueError, r"bias of ab_e5m2 must be an integer from 0 to 63, not 64"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        narrowfloat.finfo(**arguments)
