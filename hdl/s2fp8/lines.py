"""Logarithm and antilogarithm as straight lines from node to node."""

from math import log2

from amaranth.hdl import Cat, Const, Mux, Signal
from narrowfloat.hdl.parts.logic import named, switch, wire


def on_lines(m, name, nodes, fraction):
    """The height at `fraction` of straight lines from node to node over its whole range, rounded to nearest.

    They are small corrections to the fraction itself, so that what is multiplied is short.
    """
    segments = len(nodes) - 1
    drop = len(fraction) - (segments - 1).bit_length()
    rest, segment = fraction[:drop], wire(m, len(fraction) - drop, fraction[drop:], f"{name}_segment")
    unit = round(log2(nodes[-1] / segments))
    starts = [nodes[i] - (i << unit) for i in range(segments)]
    slopes = [nodes[i + 1] - nodes[i] - (1 << unit) for i in range(segments)]
    start = Signal(range(min(starts), max(starts) + 1), name=f"{name}_start")
    slope = Signal(range(min(slopes), max(slopes) + 1), name=f"{name}_slope")
    switch(m, segment, {key: [start.eq(starts[key]), slope.eq(slopes[key])] for key in range(segments)})
    rounding = Cat(Const(1 << drop - 1, drop), start)
    terms = [fraction << unit, rounding.as_signed() if min(starts) < 0 else rounding, *rows(m, rest, slope, name)]
    height = sum_of(m, terms, f"{name}_height")
    return (height >> drop)[: (nodes[-1] - 1).bit_length()]


def rows(m, value, factor, name):
    """What is to be added for a product with `factor`, whose top bit, if it is signed, counts negative."""
    width = len(factor)
    added = [Mux(factor[k], value << k, 0) for k in range(width - factor.shape().signed)]
    if factor.shape().signed:
        negative = -(value << width - 1)
        added.append(Mux(factor[-1], named(m, negative, f"{name}_negative"), 0))
    return [named(m, row, f"{name}_row{k}") for k, row in enumerate(added)]


def sum_of(m, terms, name):
    """The sum of all `terms`, by halves."""
    parts = [(place, place, term) for place, term in enumerate(terms)]
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [pair[0] if len(pair) == 1 else _added(m, *pair, name, is_last=len(pairs) == 1) for pair in pairs]
    return parts[0][2]


def _added(m, a, b, name, is_last):
    """The sum of two parts of a sum, each its first and last term's place and its value."""
    (first, _, value), (_, last, other) = a, b
    return first, last, named(m, value + other, name if is_last else f"{name}_of_terms{first}to{last}")
