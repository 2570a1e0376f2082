"""Baselines compute what NumPy says; NumPy's fused multiply-add is what exact arithmetic says."""

from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.synth import gates, units
from narrowfloat.synth.baselines import BASELINES, multiply_add

BUILDS = [(name, settings) for name, baseline in BASELINES.items() for settings in (*baseline.builds, *baseline.more)]
ODD = [
    *(
        ("multiplier", (f"width={width}", f"numbers={numbers}", f"method={method}"))
        for width in (5, 7, 13)
        for numbers, method in (
            ("signed", "booth"),
            ("signed", "baugh_wooley"),
            ("unsigned", "booth"),
            ("sign_magnitude", "star"),
        )
    ),
    ("dot_product", ("width=5", "method=booth")),
]


def run_verilog(unit, vectors, folder):
    (folder / "unit.v").write_text(unit.verilog)
    gates.check(unit, vectors, gates.simulate(unit, vectors, ["unit.v"], folder))


@pytest.mark.parametrize("build", BUILDS + ODD, ids=lambda build: " ".join([build[0], *build[1]]))
def test_baseline_on_its_vectors(build, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit(*build)
    run_verilog(unit, unit.vectors(), tmp_path)


@pytest.mark.parametrize(
    ("numbers", "method"),
    [
        ("signed", "star"),
        ("signed", "booth"),
        ("signed", "baugh_wooley"),
        ("unsigned", "star"),
        ("unsigned", "booth"),
        ("sign_magnitude", "star"),
    ],
)
def test_multiplier_of_4_bits_on_all_operands(numbers, method, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit("multiplier", ["width=4", f"numbers={numbers}", f"method={method}"])
    codes = np.arange(256)
    a, b = codes // 16, codes % 16
    if numbers == "unsigned":
        product = a * b
    elif numbers == "signed":
        product = (a ^ 8) - 8
        product = product * ((b ^ 8) - 8) & 255
    else:
        product = (a % 8) * (b % 8) | ((a ^ b) & 8) << 3
    vectors = type(unit.vectors())({"a": a.tolist(), "b": b.tolist()}, {"product": product.tolist()})
    run_verilog(unit, vectors, tmp_path)


def exact(a, b, c, man_bits):
    """a * b + c of three finite float32 numbers by rational arithmetic, as a Fraction, or "inf"."""
    smallest = Fraction(2) ** -126
    a, b, c = (Fraction(0) if abs(x) < smallest else x for x in (Fraction(float(x)) for x in (a, b, c)))
    value = a * b + c
    if not value:
        return value
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    ulp = Fraction(2) ** (exponent - man_bits)
    rounded = round(value / ulp) * ulp  # Python rounds halves to even
    if abs(rounded) < smallest:
        return Fraction(0)
    return "inf" if abs(rounded) >= Fraction(2) ** 128 else rounded


@pytest.mark.parametrize("man_bits", [7, 23])
def test_model_of_multiply_add_is_exact(man_bits):
    rng = np.random.default_rng(3)
    operands = (rng.standard_normal((3, 3000)) * 2.0 ** rng.integers(-60, 60, (3, 3000))).astype(np.float32)
    operands[:, 1::50] *= np.float32(2.0**40)
    with np.errstate(over="ignore"):
        operands[2, ::3] = np.nan_to_num(-(operands[0, ::3] * operands[1, ::3]))
    a, b, c = (operands.view(np.uint32) >> (23 - man_bits) << (23 - man_bits)).view(np.float32)
    for x, y, z, got in zip(a, b, c, multiply_add(a, b, c, man_bits), strict=True):
        want = exact(x, y, z, man_bits)
        assert np.isinf(got) if want == "inf" else Fraction(float(got)) == want, (x, y, z, got, want)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("multiplier", ["width=3"], "width must be an integer from 4 to 16, not 3"),
        ("multiplier", ["width=x"], "width must be an integer from 4 to 16, not 'x'"),
        ("multiplier", ["method=wallace"], "method must be one of star, booth, baugh_wooley, not 'wallace'"),
        (
            "multiplier",
            ["numbers=unsigned", "method=baugh_wooley"],
            "method of a multiplier of unsigned numbers must be one of star, booth",
        ),
        ("multiply_add", ["fmt=fp32"], "multiply_add has no parameter 'fmt=fp32': use NAME=VALUE with one of format"),
        ("e4m3_to_fp32", ["bias=3"], "e4m3_to_fp32 has no parameter 'bias=3': it has none"),
    ],
)
def test_wrong_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        units.unit(name, settings)
