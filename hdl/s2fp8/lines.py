"""Logarithm and antilogarithm as straight lines from node to node."""

from functools import reduce
from math import log2
from operator import add

from amaranth.hdl import Cat, Const, Mux, Signal
from narrowfloat.hdl.parts.logic import switch


def on_lines(m, name, nodes, fraction):
    """The height at `fraction` of straight lines from node to node over its whole range, rounded to nearest.

    They are small corrections to the fraction itself, so that what is multiplied is short.
    """
    segments = len(nodes) - 1
    drop = len(fraction) - (segments - 1).bit_length()
    rest, segment = fraction[:drop], fraction[drop:]
    unit = round(log2(nodes[-1] / segments))
    starts = [nodes[i] - (i << unit) for i in range(segments)]
    slopes = [nodes[i + 1] - nodes[i] - (1 << unit) for i in range(segments)]
    start = Signal(range(min(starts), max(starts) + 1), name=f"{name}_start")
    slope = Signal(range(min(slopes), max(slopes) + 1), name=f"{name}_slope")
    switch(m, segment, {key: [start.eq(starts[key]), slope.eq(slopes[key])] for key in range(segments)})
    rounding = Cat(Const(1 << drop - 1, drop), start)
    height = sum_of([fraction << unit, rounding.as_signed() if min(starts) < 0 else rounding, *rows(rest, slope)])
    return (height >> drop)[: (nodes[-1] - 1).bit_length()]


def rows(value, factor):
    """What is to be added for a product with `factor`, whose top bit, if it is signed, counts negative."""
    width = len(factor)
    added = [Mux(factor[k], value << k, 0) for k in range(width - factor.shape().signed)]
    if factor.shape().signed:
        added.append(Mux(factor[-1], -(value << width - 1), 0))
    return added


def sum_of(values):
    """All `values`, by halves."""
    while len(values) > 1:
        values = [reduce(add, values[i : i + 2]) for i in range(0, len(values), 2)]
    return values[0]
