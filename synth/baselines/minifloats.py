"""Products and dot products of minifloats, in fixed point.

Every code is a number here, also those that stand for infinity or NaN in a format: they would need a flag beside the result.
"""

import numpy as np
from narrowfloat.hdl.block import Choice
from narrowfloat.hdl.catalog import BEST_DOT_PRODUCT, BEST_MULTIPLIER, Measured
from narrowfloat.synth.baselines import products
from narrowfloat.synth.baselines.baseline import LANES, Baseline, Module
from narrowfloat.synth.baselines.operands import clears, joined, running, scaled_pair
from narrowfloat.synth.baselines.products import HEAPS, METHODS, Body, Word
from narrowfloat.synth.vectors import Vectors

# Bits of exponent and mantissa.
FORMATS = {"e4m3": (4, 3), "e3m4": (3, 4), "e2m1": (2, 1)}
OUTPUTS = ("sign_magnitude", "twos_complement")
GUARD_BITS = 8  # kept of an aligned product below its own lowest bit
_BEATS_BITS = 12  # accumulators hold sums of 2**12 beats
_GROWTH = 1 + (LANES - 1).bit_length() + _BEATS_BITS  # bits that a sum has more than a magnitude


def _code_bits(format):
    return 1 + sum(FORMATS[format])


def _product_bits(format):
    """Bits of the product of two significands, and of the whole product's magnitude in fixed point."""
    exp_bits, man_bits = FORMATS[format]
    # Exponents of 0 and 1 mean the same, so each goes over 2**exp_bits - 1 values.
    return 2 * (man_bits + 1), 2 * (man_bits + 1) + 2 * (2**exp_bits - 2)


def _factors(body, format, a, b, method, first=1):
    """Of two codes the product of their significands, the sum of their exponents, each from `first` on, and the sign."""
    exp_bits, man_bits = FORMATS[format]
    significands, exponents = [], []
    for code in (a, b):
        normal = body.bit(f"|{code.name}[{man_bits + exp_bits - 1}:{man_bits}]")
        significands.append(body.word(f"{{{normal}, {code.name}[{man_bits - 1}:0]}}", man_bits + 1))
        # An exponent of 0 counts as 1.
        upper = f"{code.name}[{man_bits + exp_bits - 1}:{man_bits + 1}]"
        exponents.append(body.word(f"{{{upper}, {code.name}[{man_bits}] | ~{normal}}} - {exp_bits}'d{1 - first}", exp_bits))
    magnitude = products.product(body, *significands, method, signed=False)
    exponent = body.word(" + ".join(f"{{1'b0, {exponent.name}}}" for exponent in exponents), exp_bits + 1)
    return magnitude, exponent, body.bit(f"{a.bits[-1]} ^ {b.bits[-1]}")


def _exact(body, format, a, b, method):
    """The product of two codes in units of its smallest one: the magnitude and the sign."""
    # Shifting by two places too far costs less than exponents from 0, except in cells, of exponents of two bits.
    first = 0 if FORMATS[format][0] == 2 and method in HEAPS else 1
    magnitude, exponent, sign = _factors(body, format, a, b, method, first)
    width = _product_bits(format)[1]
    shifted = body.word(f"{magnitude.name} << {exponent.name}", width + 2 * first)
    return body.word(f"{shifted.name}[{width + 2 * first - 1}:{2 * first}]", width), sign


def _multiplier(format, output, method):
    body, bits = Body(), _code_bits(format)
    magnitude, sign = _exact(body, format, Word("a", bits), Word("b", bits), method)
    if output == "sign_magnitude":
        body.lines.append(f"  assign product = {{{sign}, {magnitude.name}}};")
    else:
        inverse = f"{{{sign}, {magnitude.name} ^ {{{magnitude.width}{{{sign}}}}}}}"
        body.lines.append(f"  assign product = {inverse} + {sign};")
    return Module({"a": bits, "b": bits}, {"product": magnitude.width + 1}, body.text())


def integers(codes, format):
    """Values of codes in units of the smallest one, int64."""
    exp_bits, man_bits = FORMATS[format]
    sign, exponent, mantissa = codes >> exp_bits + man_bits, codes >> man_bits & 2**exp_bits - 1, codes & 2**man_bits - 1
    return np.where(exponent, mantissa + 2**man_bits << np.maximum(exponent, 1) - 1, mantissa) * np.where(sign, -1, 1)


def code_pair(format, lanes):
    """Real tensors as codes of a minifloat, each scaled so that its largest is the largest one: two int64 [beats, lanes]."""
    exp_bits, man_bits = FORMATS[format]
    values = integers(np.arange(2 ** (exp_bits + man_bits)), format)
    pair = []
    for column in scaled_pair(lanes, values[-1]):
        nearest = np.searchsorted((values[1:] + values[:-1]) / 2, np.abs(column))
        pair.append(nearest | (column < 0).astype(np.int64) << exp_bits + man_bits)
    return pair


def multiplier_vectors(format, output, a, b):
    """The exact products of codes."""
    width = _product_bits(format)[1]
    product = integers(a, format) * integers(b, format)
    sign = (a ^ b) >> _code_bits(format) - 1
    words = np.abs(product) | sign << width if output == "sign_magnitude" else product & 2 ** (width + 1) - 1
    return Vectors({"a": a.tolist(), "b": b.tolist()}, {"product": words.tolist()})


MULTIPLIER = Baseline(
    "minifloat_multiplier",
    "exact product of minifloats in fixed point",
    (
        Choice("e4m3", FORMATS).named("format"),
        Choice("sign_magnitude", OUTPUTS).named("output"),
        Choice("array", METHODS).named("method"),
    ),
    (*((f"format={format}", "method=array") for format in FORMATS), ("format=e3m4", "method=booth_rows")),
    _multiplier,
    lambda format, output, method: multiplier_vectors(format, output, *(x[:, 0] for x in code_pair(format, 1))),
    (
        *((f"format={format}", "output=twos_complement") for format in FORMATS),
        *((f"format={format}", f"method={method}") for format in ("e4m3", "e2m1") for method in ("rows", "booth_rows")),
    ),
    measured=Measured(relative_to=BEST_MULTIPLIER, curve="multipliers"),
)


# --- dot products -------------------------------------------------------------------------------------------------------------

ALIGNMENTS = ("exact", "largest")


def _dot_product(format, align, method):
    body, bits = Body(), _code_bits(format)
    width = _sum_bits(format, align)
    held = products.accumulator(body, width)
    pairs = [[body.word(f"{x}[{bits * lane} +: {bits}]", bits) for x in "ab"] for lane in range(LANES)]
    inputs = {"clk": 1, "clear": 1, "a": LANES * bits, "b": LANES * bits}
    if align == "exact":
        terms = [_exact(body, format, *pair, method) for pair in pairs]
        total = products.added(body, held, terms, method, width)
        body.lines.append(f"  assign next = {total.name}, sum = total;")
        return Module(inputs, {"sum": width}, body.text())
    factors = [_factors(body, format, *pair, method) for pair in pairs]
    exp_bits = factors[0][1].width
    body.lines.append(f"  reg [{exp_bits - 1}:0] scale;")
    before = body.word(f"scale & {{{exp_bits}{{~clear}}}}", exp_bits)
    exponents = [exponent for _, exponent, _ in factors]
    while len(exponents) > 1:
        exponents = [_maximum(body, *pair) for pair in zip(exponents[::2], exponents[1::2], strict=True)]
    largest = _maximum(body, exponents[0], before)
    terms = []
    for magnitude, exponent, sign in factors:
        distance = body.word(f"{largest.name} - {exponent.name}", exp_bits)
        kept = magnitude.width + GUARD_BITS
        terms.append((body.word(f"{{{magnitude.name}, {GUARD_BITS}'d0}} >> {distance.name}", kept), sign))
    distance = body.word(f"{largest.name} - {before.name}", exp_bits)
    held = body.word(f"$signed({held.name}) >>> {distance.name}", width)
    total = products.added(body, held, terms, method, width)
    body.lines += [
        f"  always @(posedge clk) scale <= {largest.name};",
        f"  assign next = {total.name}, sum = total, exponent = scale;",
    ]
    return Module(inputs, {"sum": width, "exponent": exp_bits}, body.text())


def _maximum(body, a, b):
    return body.word(f"{a.name} > {b.name} ? {a.name} : {b.name}", a.width)


def _sum_bits(format, align):
    significand, exact = _product_bits(format)
    return _GROWTH + (exact if align == "exact" else significand + GUARD_BITS)


def dot_product_vectors(format, align, a, b):
    """Sums of the products of codes, int64 [beats, LANES] each.

    With ``align=largest`` a sum is in units of 2**-GUARD_BITS times two to its exponent, which is the largest one of a product
    since the last `clear`; exponents begin with 2. There products are cut off, towards zero, and the sum so far,
    downwards.
    """
    bits, width = _code_bits(format), _sum_bits(format, align)
    clear = clears(len(a))
    inputs = {"clear": clear.tolist(), "a": joined(a, bits), "b": joined(b, bits)}
    if align == "exact":
        totals = running(np.sum(integers(a, format) * integers(b, format), axis=1), clear)
        return Vectors(inputs, {"sum": [total % 2**width for total in totals]}, latency=1)
    exp_bits, man_bits = FORMATS[format]
    shifts = sum(np.maximum(codes >> man_bits & 2**exp_bits - 1, 1) - 1 for codes in (a, b))
    significands = integers(a, format) * integers(b, format) >> shifts
    exponents = shifts + 2
    sums, scales = [], []
    total = scale = 0
    for row, exponent, anew in zip(significands, exponents, clear, strict=True):
        total, before = (0, 0) if anew else (total, scale)
        scale = max(before, int(exponent.max()))
        kept = np.abs(row) << GUARD_BITS >> scale - exponent
        total = (total >> scale - before) + int(np.sum(np.sign(row) * kept))
        sums.append(total % 2**width)
        scales.append(scale)
    return Vectors(inputs, {"sum": sums, "exponent": scales}, latency=1)


DOT_PRODUCT = Baseline(
    "minifloat_dot_product",
    "dot product of 16 minifloats, exact or aligned to the largest exponent, with an accumulator for 4096 beats",
    (
        Choice("e4m3", FORMATS).named("format"),
        Choice("exact", ALIGNMENTS).named("align"),
        Choice("array", METHODS).named("method"),
    ),
    tuple((f"format={format}", f"method={method}") for format in ("e4m3", "e2m1") for method in ("array", "rows")),
    _dot_product,
    lambda format, align, method: dot_product_vectors(format, align, *code_pair(format, LANES)),
    (
        *(("format=e3m4", f"method={method}") for method in ("array", "rows", "booth_rows")),
        *(
            (f"format={format}", "align=largest", f"method={method}")
            for format in ("e4m3", "e3m4")
            for method in ("array", "rows")
        ),
    ),
    measured=Measured(relative_to=BEST_DOT_PRODUCT),
    lanes=LANES,
    is_for_fpgas=products.for_fpgas,
)
