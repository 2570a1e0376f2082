"""The tables of formats, from the formats themselves."""

from narrowfloat.golden.formats import BLOCKS, FLOATS, LOGARITHMS
from narrowfloat.hdl.files.markdown import left_table

_PAPERS = {
    "ab_": "Sadi et al. 2024",
    "float8_e4m3fn": "OCP OFP8",
    "float8_e5m2": "OCP OFP8",
    "float8_e8m0": "OCP MX, block scale",
}
_RULES = {
    "none": "none",
    "fn": "NaN",
    "ieee": "infinity, NaN",
    "fnuz": "NaN in place of -0",
    "fnu": "NaN; no sign, no zero",
}


def _origin(name):
    if name.endswith("fnuz"):
        return "Noune et al. 2022"
    if name in ("float8_e4m3", "float8_e3m4"):
        return "IEEE 754 rules"
    return next((paper for start, paper in _PAPERS.items() if name.startswith(start)), "OCP MX")


def _number(fmt, magnitude):
    """The magnitude {E, M} at the default bias, as a decimal number or as a power of two."""
    exponent, mantissa = magnitude >> fmt.man_bits, magnitude & 2**fmt.man_bits - 1
    subnormal = fmt.underflow == "gradual" and exponent == 0
    significand = mantissa + (0 if subnormal else 2**fmt.man_bits)
    power = max(exponent, subnormal) - fmt.bias - fmt.man_bits
    while significand % 2 == 0:
        significand, power = significand // 2, power + 1
    value = significand * 2.0**power
    if 2**-6 <= value < 2**20:
        return f"{value:g}" if value % 1 else str(int(value))
    shift = significand.bit_length() - 1
    return f"{significand / 2**shift:g} * 2^{power + shift}".removeprefix("1 * ")


def formats():
    """The catalogue of floats."""
    rows = []
    for fmt in FLOATS.values():
        smallest = 0 if fmt.underflow not in ("gradual", "zero_code") else 1
        rows.append(
            [
                f"`{fmt.name}`",
                f"{int(fmt.signed)}, {fmt.exp_bits}, {fmt.man_bits}",
                fmt.bias,
                _RULES[fmt.specials],
                f"`{fmt.underflow}`",
                _number(fmt, smallest),
                _number(fmt, fmt.max_finite),
                _origin(fmt.name),
            ]
        )
    return left_table(["name", "sign, E, M", "bias", "special values", "underflow", "smallest", "largest", "from"], rows)


def block_formats():
    """The catalogues of logarithmic and block formats."""
    rows = [
        *(
            [
                f"`{fmt.name}`",
                fmt.bits,
                f"sign, {fmt.int_bits} integer and {fmt.frac_bits} fraction bits of the logarithm",
                fmt.exp_bits,
            ]
            for fmt in LOGARITHMS.values()
        ),
        *(
            [f"`{fmt.name}`", 1 + fmt.man_bits, f"sign, {fmt.man_bits} bits of magnitude; groups of {fmt.group}", fmt.exp_bits]
            for fmt in BLOCKS.values()
        ),
    ]
    return left_table(["name", "bits", "a number", "bits of the shared exponent"], rows)
