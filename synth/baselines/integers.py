"""Multipliers and dot products of integers."""

import numpy as np
from narrowfloat.hdl.block import Choice, Integer
from narrowfloat.hdl.catalog import BEST_DOT_PRODUCT, BEST_MULTIPLIER, Measured
from narrowfloat.synth.baselines import products
from narrowfloat.synth.baselines.baseline import LANES, Baseline, Module
from narrowfloat.synth.baselines.operands import clears, integer_pair, joined, running, sign_magnitude
from narrowfloat.synth.baselines.products import HEAPS, METHODS, SUM_METHODS, Body, Heap, Word
from narrowfloat.synth.vectors import Vectors

NUMBERS = ("signed", "unsigned", "sign_magnitude")
ACCUMULATOR_BITS = 32


def _multiplier(width, numbers, method):
    body = Body()
    a, b = Word("a", width), Word("b", width)
    if numbers == "sign_magnitude":
        magnitudes = [body.word(f"{x.name}[{width - 2}:0]", width - 1) for x in (a, b)]
        magnitude = products.product(body, *magnitudes, method, signed=False)
        body.lines.append(f"  assign product = {{a[{width - 1}] ^ b[{width - 1}], {magnitude.name}}};")
    else:
        product = products.product(body, a, b, method, numbers == "signed")
        body.lines.append(f"  assign product = {product.name};")
    outputs = {"product": 2 * width - (numbers == "sign_magnitude")}
    return Module({"a": width, "b": width}, outputs, body.text())


def _multiplier_vectors(width, numbers, method):
    a, b = (column[:, 0] for column in integer_pair(width, 1, signed=numbers != "unsigned"))
    product = a * b
    if numbers == "sign_magnitude":
        product = np.abs(product) | ((a < 0) ^ (b < 0)).astype(np.int64) << 2 * width - 2
        a, b = (sign_magnitude(x, width) for x in (a, b))
    mask = 2**width - 1
    return Vectors({"a": (a & mask).tolist(), "b": (b & mask).tolist()}, {"product": (product & 4**width - 1).tolist()})


MULTIPLIER = Baseline(
    "multiplier",
    "integer multiplier",
    (
        Integer(8, 4, 16).named("width"),
        Choice("signed", NUMBERS).named("numbers"),
        Choice("star", METHODS).named("method"),
    ),
    (
        *(("numbers=signed", f"method={method}") for method in METHODS if method != "rows"),
        *(("numbers=sign_magnitude", f"method={method}") for method in ("array", "booth", "booth_rows")),
    ),
    _multiplier,
    _multiplier_vectors,
    (
        ("numbers=signed", "method=rows"),
        *(("numbers=sign_magnitude", f"method={method}") for method in ("star", "rows")),
        *(("numbers=unsigned", f"method={method}") for method in METHODS),
        *((f"width={width}", f"method={method}") for width in (4, 16) for method in ("array", "booth", "booth_rows")),
    ),
    measured=Measured(relative_to=BEST_MULTIPLIER, curve="multipliers"),
)


# --- dot products -------------------------------------------------------------------------------------------------------------


def _dot_product(width, numbers, method):
    body = Body()
    held = products.accumulator(body, ACCUMULATOR_BITS)
    pairs = [[body.word(f"{x}[{width * lane} +: {width}]", width) for x in "ab"] for lane in range(LANES)]
    signs = None
    if numbers == "sign_magnitude":
        signs = [body.bit(" ^ ".join(x.bits[-1] for x in pair)) for pair in pairs]
        pairs = [[body.word(f"{x.name}[{width - 2}:0]", width - 1) for x in pair] for pair in pairs]
    signed = numbers == "signed"
    if method in HEAPS:
        heap = Heap(body, ACCUMULATOR_BITS)
        for pair, sign in zip(pairs, signs or [None] * LANES, strict=True):
            products.add_product(heap, *pair, method, signed, sign)
        for weight, bit in enumerate(held.bits):
            heap.add(bit, weight)
        total = heap.total()
    elif method == "booth_trees":
        total = products.booth_trees(body, held, pairs, signs, ACCUMULATOR_BITS)
    else:
        terms = [products.product(body, *pair, method, signed) for pair in pairs]
        if signed:
            total = products.added_words(body, held, terms, method, ACCUMULATOR_BITS)
        else:
            total = products.added(body, held, list(zip(terms, signs, strict=True)), method, ACCUMULATOR_BITS)
    body.lines.append(f"  assign next = {total.name}, sum = total;")
    return Module({"clk": 1, "clear": 1, "a": LANES * width, "b": LANES * width}, {"sum": ACCUMULATOR_BITS}, body.text())


def _dot_product_vectors(width, numbers, method):
    a, b = integer_pair(width, LANES)
    clear = clears(len(a))
    totals = running(np.sum(a * b, axis=1), clear)
    if numbers == "sign_magnitude":
        a, b = (sign_magnitude(x, width) for x in (a, b))
    inputs = {"clear": clear.tolist(), "a": joined(a, width), "b": joined(b, width)}
    return Vectors(inputs, {"sum": [total % 2**ACCUMULATOR_BITS for total in totals]}, latency=1)


_DOT_NUMBERS = ("signed", "sign_magnitude")
DOT_PRODUCT = Baseline(
    "dot_product",
    "dot product of 16 integers with an accumulator of 32 bits",
    (
        Integer(8, 4, 8).named("width"),
        Choice("signed", _DOT_NUMBERS).named("numbers"),
        Choice("star", SUM_METHODS).named("method"),
    ),
    # With sign and magnitude only the smallest in cells.
    (
        *(("numbers=signed", f"method={method}") for method in ("array", "booth", "booth_rows", "booth_trees")),
        ("numbers=sign_magnitude", "method=booth"),
    ),
    _dot_product,
    _dot_product_vectors,
    (
        *((f"numbers={numbers}", f"method={method}") for numbers in _DOT_NUMBERS for method in ("star", "rows")),
        *(("numbers=sign_magnitude", f"method={method}") for method in ("array", "booth_rows", "booth_trees")),
        *(
            ("width=4", f"numbers={numbers}", f"method={method}")
            for numbers in _DOT_NUMBERS
            for method in SUM_METHODS
            if method != "star"
        ),
    ),
    measured=Measured(relative_to=BEST_DOT_PRODUCT),
    lanes=LANES,
    is_for_fpgas=products.for_fpgas,
)
