"""Approximate multipliers of 8 bits: Mitchell's logarithms, and DRUM."""

import numpy as np
from narrowfloat.hdl.block import Choice
from narrowfloat.hdl.catalog import BEST_MULTIPLIER, Measured
from narrowfloat.synth.baselines import products
from narrowfloat.synth.baselines.baseline import Baseline, Module
from narrowfloat.synth.baselines.operands import integer_pair, sign_magnitude
from narrowfloat.synth.baselines.products import Body, Heap, Word
from narrowfloat.synth.vectors import Vectors

WIDTH = 8
NUMBERS = ("sign_magnitude", "unsigned")
# Bits that DRUM keeps of each factor, by name.
KEPT = {"drum3": 3, "drum4": 4, "drum6": 6}
APPROXIMATIONS = ("mitchell", *KEPT)


def _mitchell(body, a, b):
    """The logarithm is the place of the leading one, and the bits behind it stand for the fraction."""
    logarithms = []
    for x in (a, b):
        shifted, zeros = x, []
        for step in (4, 2, 1):
            none = body.bit(f"~|{shifted.name}[7:{8 - step}]")
            shifted = body.word(f"{none} ? {shifted.name} << {step} : {shifted.name}", WIDTH)
            zeros.append(f"~{none}")
        logarithms.append((shifted.bits[-1], body.word(f"{{{', '.join(zeros)}, {shifted.name}[6:0]}}", WIDTH + 2)))
    (normal_a, a), (normal_b, b) = logarithms
    total = body.word(f"{{1'b0, {a.name}}} + {{1'b0, {b.name}}}", WIDTH + 3)
    power = body.word(f"{{16'd1, {total.name}[6:0]}} << {total.name}[10:7]", 2 * WIDTH + 7)
    return body.word(f"{power.name}[22:7] & {{16{{{normal_a} & {normal_b}}}}}", 2 * WIDTH)


def _drum(body, a, b, kept):
    """Of each factor `kept` bits from the leading one on, the last of them one; a smaller factor as it is."""
    places = range(WIDTH - kept + 1)
    segments = []
    for x in (a, b):
        leading = [
            body.bit(f"{x.bits[kept - 1 + place]} & ~|{{{', '.join([*x.bits[kept + place :], products.ZERO])}}}")
            for place in places[1:]
        ]
        chosen = [body.word(f"{x.name}[{kept - 1}:0] & {{{kept}{{~|{{{', '.join(leading)}}}}}}}", kept)]
        for place, here in zip(places[1:], leading, strict=True):
            chosen.append(body.word(f"{{{x.name}[{place + kept - 1}:{place + 1}], 1'b1}} & {{{kept}{{{here}}}}}", kept))
        segments.append(
            (
                body.word(" | ".join(word.name for word in chosen), kept),
                body.word(_encoded(leading), len(places[1:]).bit_length()),
            )
        )
    (a, shift_a), (b, shift_b) = segments
    heap = Heap(body, 2 * kept)
    products.add_product(heap, a, b, "array", signed=False)
    width = shift_a.width + 1
    shift = body.word(f"{{1'b0, {shift_a.name}}} + {{1'b0, {shift_b.name}}}", width)
    return body.word(f"{{{2 * WIDTH - 2 * kept}'d0, {heap.total().name}}} << {shift.name}", 2 * WIDTH)


def _encoded(lines):
    """The number of the one line that is set, from 1, or 0, as text of a vector."""
    bits = range(len(lines).bit_length())
    ors = [" | ".join(line for number, line in enumerate(lines, 1) if number >> bit & 1) for bit in reversed(bits)]
    return "{" + ", ".join(ors) + "}"


def _multiplier(numbers, approximation):
    body, factors = Body(), [Word(name, WIDTH) for name in "ab"]
    if numbers == "sign_magnitude":
        factors = [body.word(f"{{1'b0, {x.name}[{WIDTH - 2}:0]}}", WIDTH) for x in factors]
    product = _mitchell(body, *factors) if approximation == "mitchell" else _drum(body, *factors, KEPT[approximation])
    if numbers == "unsigned":
        body.lines.append(f"  assign product = {product.name};")
    else:
        body.lines.append(f"  assign product = {{a[{WIDTH - 1}] ^ b[{WIDTH - 1}], {product.name}[{2 * WIDTH - 3}:0]}};")
    return Module({"a": WIDTH, "b": WIDTH}, {"product": 2 * WIDTH - (numbers == "sign_magnitude")}, body.text())


def _leading(x):
    """The place of the leading one; of zero 0."""
    return np.maximum(np.frexp(x)[1] - 1, 0)


def product(a, b, approximation):
    """The approximate product of two magnitudes, int64.

    Mitchell, IRE Transactions on Electronic Computers 1962: 2**(p + q) (1 + x + y) of 2**p (1 + x) and 2**q (1 + y), or twice
    2**(p + q) (x + y) where x + y >= 1. DRUM: Hashemi, Bahar and Reda, ICCAD 2015.
    """
    if approximation == "mitchell":
        powers = [1 << _leading(x) for x in (a, b)]
        rest = (a - powers[0]) * powers[1] + (b - powers[1]) * powers[0]
        both = powers[0] * powers[1]
        return np.where((a == 0) | (b == 0), 0, np.where(rest < both, both + rest, 2 * rest))
    shifts = [np.maximum(_leading(x) - KEPT[approximation] + 1, 0) for x in (a, b)]
    kept = [x >> shift | (shift > 0) for x, shift in zip((a, b), shifts, strict=True)]
    return kept[0] * kept[1] << shifts[0] + shifts[1]


def _vectors(numbers, approximation):
    a, b = (column[:, 0] for column in integer_pair(WIDTH, 1, signed=numbers != "unsigned"))
    return multiplier_vectors(numbers, approximation, *(sign_magnitude(x, WIDTH) for x in (a, b)))


def multiplier_vectors(numbers, approximation, a, b):
    """The products of codes."""
    magnitude_bits = WIDTH - (numbers == "sign_magnitude")
    magnitudes = [x & 2**magnitude_bits - 1 for x in (a, b)]
    words = product(*magnitudes, approximation) | (a >> magnitude_bits ^ b >> magnitude_bits) << 2 * magnitude_bits
    return Vectors({"a": a.tolist(), "b": b.tolist()}, {"product": words.tolist()})


MULTIPLIER = Baseline(
    "approximate_multiplier",
    "approximate multiplier of 8 bits, Mitchell's or DRUM with 3, 4 or 6 bits",
    (Choice("sign_magnitude", NUMBERS).named("numbers"), Choice("mitchell", APPROXIMATIONS).named("approximation")),
    tuple((f"approximation={approximation}",) for approximation in ("mitchell", "drum3", "drum6")),
    _multiplier,
    _vectors,
    (("approximation=drum4",), *(("numbers=unsigned", f"approximation={approximation}") for approximation in APPROXIMATIONS)),
    measured=Measured(relative_to=BEST_MULTIPLIER, curve="multipliers"),
)
