"""The product of two posits of 8 bits: Posit Standard 2022, whose exponents have two bits."""

from functools import cache
from itertools import takewhile

import numpy as np
from narrowfloat.hdl.block import Choice
from narrowfloat.hdl.catalog import BEST_MULTIPLIER, Measured, Relative
from narrowfloat.synth.baselines import products
from narrowfloat.synth.baselines.baseline import Baseline, Module
from narrowfloat.synth.baselines.operands import scaled_pair
from narrowfloat.synth.baselines.products import METHODS, Body, Word
from narrowfloat.synth.vectors import Vectors

BITS = 8
NOT_REAL = 1 << BITS - 1
_FRACTION_BITS = 3
_SCALE_BITS = 7  # scales of posits go from -24 to 24, those of products from -48 to 48


def _unpacked(body, code):
    """Sign, whether it is zero or not a real number, scale and significand, which is zero for those."""
    sign = code.bits[-1]
    magnitude = body.word(f"({code.name}[6:0] ^ {{7{{{sign}}}}}) + {sign}", 7)
    special = body.bit(f"~|{magnitude.name}")
    # Of the regime's bits those behind the first are counted and shifted out. One always ends them.
    ones = magnitude.bits[-1]
    regime = body.word(f"{{{magnitude.name}[5:0] ^ {{6{{{ones}}}}}, 1'b1}}", 7)
    fields = body.word(f"{magnitude.name}[4:0]", 5)
    count = []
    for step in (4, 2, 1):
        none = body.bit(f"~|{regime.name}[6:{7 - step}]")
        regime, fields = (body.word(f"{none} ? {x.name} << {step} : {x.name}", x.width) for x in (regime, fields))
        count.append(none)
    # Ones mean the count, zeros minus the count minus one, which is its inverse.
    scale = body.word(f"{{{{4{{~{ones}}}}} ^ {{1'b0, {', '.join(count)}}}, {fields.name}[4:3]}}", 6)
    return sign, special, scale, body.word(f"{{~{special}, {fields.name}[2:0]}}", _FRACTION_BITS + 1)


def _multiplier(method):
    body = Body()
    a, b = (_unpacked(body, Word(name, BITS)) for name in "ab")
    magnitude = products.product(body, a[3], b[3], method, signed=False)
    body.lines += [
        f"  assign sign = {a[0]} ^ {b[0]}, significand = {magnitude.name};",
        f"  assign scale = {a[2].extended(_SCALE_BITS)} + {b[2].extended(_SCALE_BITS)};",
        f"  assign not_real = {a[0]} & {a[1]} | {b[0]} & {b[1]};",
    ]
    outputs = {"not_real": 1, "sign": 1, "scale": _SCALE_BITS, "significand": magnitude.width}
    return Module({"a": BITS, "b": BITS}, outputs, body.text())


@cache
def unpacked(code):
    """Scale and significand, in eighths, of the positive posit `code`, from its bits as the standard reads them."""
    bits = f"{code:07b}"
    run = len(list(takewhile(lambda bit: bit == bits[0], bits)))
    regime = run - 1 if bits[0] == "1" else -run
    fields = bits[run + 1 :].ljust(2 + _FRACTION_BITS, "0")
    return 4 * regime + int(fields[:2], base=2), int(f"1{fields[2:]}", base=2)


def code_pair():
    """Real tensors as codes of posits, each scaled to a mean magnitude of 1: two lists."""
    magnitudes = [unpacked(code) for code in range(1, NOT_REAL)]
    values = np.array([significand * 2.0 ** (scale - _FRACTION_BITS) for scale, significand in magnitudes])
    pair = []
    for column in scaled_pair(1, 1.0):
        column = column[:, 0] / np.abs(column).mean()
        nearest = np.searchsorted((values[1:] + values[:-1]) / 2, np.abs(column)) + 1
        pair.append((np.where(column == 0, 0, np.where(column < 0, -nearest, nearest)) % 2**BITS).tolist())
    return pair


def multiplier_vectors(a, b):
    """The products of codes: any scale and sign will do for zero, and any of the rest for what is not a real number."""
    rows = []
    for x, y in zip(a, b, strict=True):
        if NOT_REAL in (x, y):
            rows.append((1, None, None, None))
        elif 0 in (x, y):
            rows.append((0, None, None, 0))
        else:
            (p, m), (q, n) = (unpacked(min(code, 2**BITS - code)) for code in (x, y))
            rows.append((0, int((x < NOT_REAL) != (y < NOT_REAL)), (p + q) % 2**_SCALE_BITS, m * n))
    names = ("not_real", "sign", "scale", "significand")
    return Vectors({"a": a, "b": b}, {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)})


MULTIPLIER = Baseline(
    "posit_multiplier",
    "product of posits of 8 bits, as scale and significand, not rounded",
    (Choice("array", METHODS).named("method"),),
    (("method=array",), ("method=rows",)),
    _multiplier,
    lambda method: multiplier_vectors(*code_pair()),
    (("method=booth_rows",),),
    measured=Measured(
        relative_to=Relative(BEST_MULTIPLIER.unit, ("numbers=sign_magnitude",), BEST_MULTIPLIER.words, BEST_MULTIPLIER.best_of),
        curve="multipliers",
    ),
)
