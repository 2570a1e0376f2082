"""The dot product of two groups of block floating point, such as MSFP-12: Darvish Rouhani et al., NeurIPS 2020.

A group is 16 numbers of a sign and a magnitude, with an exponent for all of them.
"""

import numpy as np
from narrowfloat.hdl.block import Choice, Integer
from narrowfloat.hdl.catalog import BEST_DOT_PRODUCT, Measured
from narrowfloat.synth.baselines import products
from narrowfloat.synth.baselines.baseline import LANES, Baseline, Module
from narrowfloat.synth.baselines.operands import joined, scaled_pair, sign_magnitude
from narrowfloat.synth.baselines.products import SUM_METHODS, Body
from narrowfloat.synth.vectors import Vectors

_EXP_BITS = 8


def _sum_bits(man_bits):
    return 2 * man_bits + (LANES - 1).bit_length() + 1


def _dot_product(man_bits, method):
    body, bits = Body(), man_bits + 1
    factors, signs = [], []
    for lane in range(LANES):
        pair = [body.word(f"{x}[{bits * lane} +: {bits}]", bits) for x in "ab"]
        factors.append([body.word(f"{x.name}[{man_bits - 1}:0]", man_bits) for x in pair])
        signs.append(body.bit(f"{pair[0].bits[-1]} ^ {pair[1].bits[-1]}"))
    if method == "booth_trees":
        total = products.booth_trees(body, None, factors, signs, _sum_bits(man_bits))
    else:
        magnitudes = [products.product(body, *pair, method, signed=False) for pair in factors]
        total = products.added(body, None, list(zip(magnitudes, signs, strict=True)), method, _sum_bits(man_bits))
    body.lines.append(f"  assign sum = {total.name}, exponent = {{1'b0, exponent_a}} + {{1'b0, exponent_b}};")
    inputs = {"a": LANES * bits, "b": LANES * bits, "exponent_a": _EXP_BITS, "exponent_b": _EXP_BITS}
    return Module(inputs, {"sum": _sum_bits(man_bits), "exponent": _EXP_BITS + 1}, body.text())


def _vectors(man_bits, method):
    inputs, groups, exponents = {}, [], []
    for name, values in zip("ab", scaled_pair(LANES, 2.0**16), strict=True):
        # Cut off, with the bits of a group's largest magnitude beginning at its leading one.
        _, exponent = np.frexp(np.abs(values).max(axis=1))
        numbers = np.ldexp(values, man_bits - exponent[:, None]).astype(np.int64)
        inputs[name] = joined(sign_magnitude(numbers, man_bits + 1), man_bits + 1)
        groups.append(numbers)
        exponents.append(exponent + 2 ** (_EXP_BITS - 1))
    inputs |= {f"exponent_{name}": exponent.tolist() for name, exponent in zip("ab", exponents, strict=True)}
    sums = np.sum(groups[0] * groups[1], axis=1) & 2 ** _sum_bits(man_bits) - 1
    return Vectors(inputs, {"sum": sums.tolist(), "exponent": (exponents[0] + exponents[1]).tolist()})


DOT_PRODUCT = Baseline(
    "block_dot_product",
    "dot product of two groups of 16 numbers with shared exponents, MSFP-12 unless set otherwise; no accumulator",
    (Integer(3, 2, 7).named("man_bits"), Choice("array", SUM_METHODS).named("method")),
    tuple((f"method={method}",) for method in ("array", "booth", "booth_trees")),
    _dot_product,
    _vectors,
    tuple((f"method={method}",) for method in ("rows", "booth_rows")),
    measured=Measured(relative_to=BEST_DOT_PRODUCT),
    lanes=LANES,
    is_for_fpgas=products.for_fpgas,
)
