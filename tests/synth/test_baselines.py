"""Baselines compute what NumPy says; the models that say it are held to exact arithmetic or to another implementation."""

from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.golden.float_codec import decode
from narrowfloat.golden.formats import CATALOG
from narrowfloat.synth import gates, units
from narrowfloat.synth.baselines import BASELINES, approximate, minifloats, posits
from narrowfloat.synth.baselines.floats import multiply_add
from narrowfloat.synth.baselines.products import METHODS, SUM_METHODS
from narrowfloat.synth.vectors import Vectors

BUILDS = [(name, settings) for name, baseline in BASELINES.items() for settings in (*baseline.builds, *baseline.more)]
ODD = [
    *(
        ("multiplier", (f"width={width}", f"numbers={numbers}", f"method={method}"))
        for width in (5, 7, 13)
        for numbers in ("signed", "unsigned", "sign_magnitude")
        for method in METHODS
        if method != "star"
    ),
    *(("dot_product", ("width=5", f"method={method}")) for method in SUM_METHODS),
    ("minifloat_dot_product", ("format=e2m1", "align=largest", "method=star")),
    ("block_dot_product", ("man_bits=7", "method=booth")),
]


def run_verilog(unit, vectors, folder):
    (folder / "unit.v").write_text(unit.verilog)
    gates.check(unit, vectors, gates.simulate(unit, vectors, ["unit.v"], folder))


@pytest.mark.parametrize("build", BUILDS + ODD, ids=lambda build: " ".join([build[0], *build[1]]))
def test_baseline_on_its_vectors(build, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit(*build)
    run_verilog(unit, unit.vectors(), tmp_path)


def all_pairs(bits):
    """Every pair of codes: two int64 arrays."""
    return np.divmod(np.arange(4**bits), 2**bits)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("numbers", ["signed", "unsigned", "sign_magnitude"])
def test_multiplier_of_4_bits_on_all_operands(numbers, method, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit("multiplier", ["width=4", f"numbers={numbers}", f"method={method}"])
    a, b = all_pairs(4)
    if numbers == "unsigned":
        product = a * b
    elif numbers == "signed":
        product = (a ^ 8) - 8
        product = product * ((b ^ 8) - 8) & 255
    else:
        product = (a % 8) * (b % 8) | ((a ^ b) & 8) << 3
    run_verilog(unit, Vectors({"a": a.tolist(), "b": b.tolist()}, {"product": product.tolist()}), tmp_path)


@pytest.mark.parametrize("method", ["array", "booth", "booth_rows"])
@pytest.mark.parametrize("numbers", ["signed", "sign_magnitude"])
def test_multiplier_of_8_bits_on_extreme_operands(numbers, method, tmp_path, require_tool):
    """Codes next to where a carry or a sign changes, each with every code."""
    require_tool("iverilog")
    unit = units.unit("multiplier", [f"numbers={numbers}", f"method={method}"])
    a, b = (x.ravel() for x in np.meshgrid([0, 1, 2, 63, 64, 85, 127, 128, 129, 170, 254, 255], np.arange(256)))
    if numbers == "signed":
        product = ((a ^ 128) - 128) * ((b ^ 128) - 128) & 65535
    else:
        product = (a % 128) * (b % 128) | ((a ^ b) & 128) << 7
    run_verilog(unit, Vectors({"a": a.tolist(), "b": b.tolist()}, {"product": product.tolist()}), tmp_path)


@pytest.mark.parametrize("numbers, smallest", [("signed", 0x80), ("sign_magnitude", 0xFF)])
@pytest.mark.parametrize("method", SUM_METHODS)
def test_dot_product_of_largest_numbers(numbers, smallest, method, tmp_path, require_tool):
    """Every product as large as it gets, of either sign, for so long that an accumulator of fewer bits would overflow."""
    require_tool("iverilog")
    unit = units.unit("dot_product", [f"numbers={numbers}", f"method={method}"])
    value = -128 if numbers == "signed" else -127
    beats = 2 * 1024
    word = sum(smallest << 8 * lane for lane in range(16))
    other = word if numbers == "signed" else sum(0x7F << 8 * lane for lane in range(16))
    product = value * value if numbers == "signed" else -127 * 127
    clear = [1, *[0] * (beats - 1)]
    sums = [16 * product * (beat + 1) % 2**32 for beat in range(beats)]
    vectors = Vectors({"clear": clear, "a": [word] * beats, "b": [other] * beats}, {"sum": sums}, latency=1)
    run_verilog(unit, vectors, tmp_path)


@pytest.mark.parametrize("output", minifloats.OUTPUTS)
@pytest.mark.parametrize("format", minifloats.FORMATS)
@pytest.mark.parametrize("method", ["array", "booth_rows"])
def test_minifloat_multiplier_on_all_operands(format, output, method, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit("minifloat_multiplier", [f"format={format}", f"output={output}", f"method={method}"])
    pairs = all_pairs(1 + sum(minifloats.FORMATS[format]))
    run_verilog(unit, minifloats.multiplier_vectors(format, output, *pairs), tmp_path)


@pytest.mark.parametrize(
    "format, golden", [("e4m3", "float8_e4m3fn"), ("e3m4", "float8_e3m4"), ("e2m1", "float4_e2m1fn")], ids=lambda name: name
)
def test_minifloats_are_those_of_the_codec_on_every_code(format, golden):
    codes = np.arange(2 ** (1 + sum(minifloats.FORMATS[format])))
    values = decode(codes.astype(np.uint8), CATALOG[golden])
    finite = np.isfinite(values)
    unit = values[1]
    assert np.array_equal((values / unit)[finite], minifloats.integers(codes, format)[finite])


@pytest.mark.parametrize("format", minifloats.FORMATS)
@pytest.mark.parametrize("align", minifloats.ALIGNMENTS)
def test_minifloat_dot_product_on_random_codes(format, align, tmp_path, require_tool):
    """Uniform codes: all exponents meet, and in some beats all are small or zero."""
    require_tool("iverilog")
    unit = units.unit("minifloat_dot_product", [f"format={format}", f"align={align}"])
    rng = np.random.default_rng(4)
    bits = 1 + sum(minifloats.FORMATS[format])
    a, b = rng.integers(2**bits, size=(2, 400, 16))
    small = rng.random((2, 400, 1)) < 0.3
    sign = 1 << bits - 1
    a, b = (np.where(few, codes & (sign | 1), codes) for few, codes in zip(small, (a, b), strict=True))
    run_verilog(unit, minifloats.dot_product_vectors(format, align, a, b), tmp_path)


def test_aligned_dot_product_loses_less_than_a_unit_of_each_product():
    a, b = np.random.default_rng(5).integers(256, size=(2, 1, 16))
    vectors = minifloats.dot_product_vectors("e4m3", "largest", a, b)
    (total,), (exponent,) = vectors.outputs["sum"], vectors.outputs["exponent"]
    total -= 2**33 if total >> 32 else 0
    exact = Fraction(int(np.sum(minifloats.integers(a, "e4m3") * minifloats.integers(b, "e4m3"))))
    assert abs(total * Fraction(2) ** (exponent - 2 - minifloats.GUARD_BITS) - exact) < 16 * Fraction(2) ** (
        exponent - 2 - minifloats.GUARD_BITS
    )


def test_posit_multiplier_on_all_operands(tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit("posit_multiplier", [])
    a, b = all_pairs(8)
    run_verilog(unit, posits.multiplier_vectors(a.tolist(), b.tolist()), tmp_path)


def test_posits_are_those_of_the_standard():
    """Examples and limits: 1, the largest 2**24, the smallest 2**-24, and that values rise with codes."""
    values = [Fraction(significand, 8) * Fraction(2) ** scale for scale, significand in map(posits.unpacked, range(1, 128))]
    assert values == sorted(values) and len(set(values)) == 127
    assert (values[0], values[63], values[126]) == (Fraction(2) ** -24, 1, 2**24)
    assert values[0x4B - 1] == Fraction(11, 4)  # 0 10 01 011: two to the power of one, times 1 + 3 / 8


@pytest.mark.parametrize("method", approximate.APPROXIMATIONS)
@pytest.mark.parametrize("numbers", approximate.NUMBERS)
def test_approximate_multiplier_on_all_operands(numbers, method, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit("approximate_multiplier", [f"numbers={numbers}", f"approximation={method}"])
    run_verilog(unit, approximate.multiplier_vectors(numbers, method, *all_pairs(8)), tmp_path)


@pytest.mark.parametrize("method, mean", [("mitchell", 0.038), ("drum3", 0.119), ("drum4", 0.0589), ("drum6", 0.0147)])
def test_approximate_products_are_as_wrong_as_published(method, mean):
    """Mean relative errors, DRUM's of 16 bits, of which 8 can keep more; at worst 1/9, of DRUM 2**(1 - k) in both factors."""
    a, b = all_pairs(8)
    a, b = (x[(a > 0) & (b > 0)] for x in (a, b))
    errors = np.abs(approximate.product(a, b, method) / (a * b) - 1)
    assert 0.88 * mean < np.mean(errors) < 1.02 * mean
    worst = 1 / 9 if method == "mitchell" else (1 + 2.0 ** (1 - approximate.KEPT[method])) ** 2 - 1
    assert np.max(errors) == pytest.approx(worst, rel=1e-9)


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
        ("multiplier", ["method=wallace"], "method must be one of star, array, booth, rows, booth_rows, not 'wallace'"),
        ("multiply_add", ["fmt=fp32"], "multiply_add has no parameter 'fmt=fp32': use NAME=VALUE with one of format"),
        ("e4m3_to_fp32", ["bias=3"], "e4m3_to_fp32 has no parameter 'bias=3': it has none"),
    ],
)
def test_wrong_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        units.unit(name, settings)
