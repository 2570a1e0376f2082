"""Segmented sums: what is emitted adds and rounds as it is defined, whatever the sum is.

The dot product is proven with those of the other accumulators. Here it is any integer.
"""

import re
from itertools import pairwise

import pytest
import z3

from tests.formal.codec import emitted
from tests.formal.machine import NO, YES, Machine, broken

BUILDS = [("lanes=4",), ("lanes=16",), ("lanes=5", "chunk_bits=3", "max_bits=3")]
LONG = [("lanes=64", "chunk_bits=4")]


def part(settings, name, folder, change=lambda text: text):
    """A module that an emitted fMAC has an instance of, as a `Machine`."""
    emission = emitted("fast_mac", (*settings, "accumulator=segmented"))
    module = f"{emission.module}_{name}"
    (text,) = re.findall(rf"^module {module} .*?^endmodule$", emission.text, re.MULTILINE | re.DOTALL)
    return Machine(change(text), module, folder)


def integer(bits, size):
    return z3.SignExt(size - bits.size(), bits)


def broken_result(machine):
    """A sum that is not rounded as z3's floats are, with an exponent that has no end, or None."""
    now = machine.signals(machine.state("now"))
    rounded = z3.fpToIEEEBV(z3.fpSignedToFP(z3.RNE(), now["sum"], z3.FPSort(12, 24)))
    sign, exponent, fraction = (z3.Extract(high, low, rounded) for high, low in ((35, 35), (34, 23), (22, 0)))
    place, nan = z3.Extract(6, 0, now["head"]), z3.Extract(8, 8, now["head"])
    exponent = z3.ZeroExt(2, exponent) - 2047 + 127 + 8 * (z3.ZeroExt(7, place) - 2) - 288
    number = z3.Concat(sign, z3.Extract(7, 0, exponent), fraction)
    want = z3.If(exponent >= 255, z3.Concat(sign, z3.BitVecVal(0xFF << 23, 31)), number)
    want = z3.If(exponent <= 0, z3.Concat(sign, z3.BitVecVal(0, 31)), want)
    want = z3.If(now["sum"] == 0, z3.BitVecVal(0, 32), want)
    want = z3.If(nan == YES, z3.BitVecVal(0x7FC00000, 32), want)
    solver = z3.Solver()
    solver.add(now["enable"] == YES, now["result"] != want)
    answer = solver.check()
    assert answer != z3.unknown, solver.reason_unknown()
    return solver.model() if answer == z3.sat else None


def broken_addition(machine):
    """Whether a value is ever added to a sum other than it should be, in integers in which nothing overflows."""
    states = [machine.state(f"cycle{number}") for number in range(3)]
    first, second, third = map(machine.signals, states)
    follows = [machine.follows(*pair) for pair in pairwise(states)]
    value, base = second["held_value"], second["base"]
    width = base.size()
    size = width + 24

    def constant(number):
        return z3.BitVecVal(number, size)

    place, begun, nan = (z3.Extract(high, low, first["start"]) for high, low in ((6, 0), (7, 7), (8, 8)))
    exponent = integer(first["exponent"], size)
    weight = exponent + 32
    q, within = weight >> 3, weight & 7
    a = integer(value, size) << within
    old_place, m = z3.ZeroExt(size - 7, place), integer(base, size)
    limit = constant(1 << width - 2)
    byte = q - old_place + 2
    moves = z3.Or(byte > 4, m >= limit, m < -limit)
    kept, byte = z3.If(moves, m >> 16, m), z3.If(moves, byte - 2, byte)
    drops = z3.And(moves, z3.Extract(15, 15, m) == YES)
    below = -8 * byte
    lost = -(-(value.size() + 7) // 8) * 8
    drops_of_value = z3.And(byte < 0, below < lost, z3.Extract(0, 0, a >> (below - 1)) == YES)
    placed = z3.If(byte >= 0, a << (8 * byte), z3.If(below < lost, a >> below, 0))
    added = kept + placed + z3.If(z3.Or(drops, drops_of_value), constant(1), constant(0))
    anew = z3.Or(begun == NO, byte > 4)
    zero = value == 0
    # A sum of nothing is 0, or what another one left behind.
    total = z3.If(zero, z3.If(begun == YES, m, 0), z3.If(anew, a << 16, added))
    new_place = z3.If(zero, old_place, z3.If(anew, q, old_place + z3.If(moves, constant(2), constant(0))))
    head = second["head"]
    got_place, got_begun, got_nan = (z3.Extract(high, low, head) for high, low in ((6, 0), (7, 7), (8, 8)))
    given = [first["update"] == YES, second["adds"] == YES, exponent >= -28, exponent <= 511, z3.ULE(place, 100)]
    promises = {
        "sum": integer(third["total"], size) == total,
        "place": z3.Or(got_begun == NO, z3.And(zero, begun == NO), z3.ZeroExt(size - 7, got_place) == new_place),
        "begun": (got_begun == YES) == z3.Or(begun == YES, value != 0, first["nan"] == YES),
        "nan": (got_nan == YES) == z3.Or(z3.And(nan == YES, begun == YES), first["nan"] == YES),
    }
    return broken([*follows, *given], promises)


@pytest.mark.parametrize("settings", [*BUILDS, *(pytest.param(each, marks=pytest.mark.long) for each in LONG)], ids=" ".join)
def test_any_sum_is_rounded_once(settings, tmp_path):
    assert broken_result(part(settings, "segmented_to_float", tmp_path)) is None


def test_a_wrong_rounding_is_refuted(tmp_path):
    def change(text):
        changed = re.sub(r"(wire rest3 = )rest4 \|", r"\1", text)
        assert changed != text
        return changed

    assert broken_result(part(BUILDS[0], "segmented_to_float", tmp_path, change)) is not None


def test_any_value_is_added_to_any_sum(tmp_path):
    assert not broken_addition(part(BUILDS[0], "segmented_unit", tmp_path))


def test_a_sum_that_does_not_make_room_is_refuted(tmp_path):
    def change(text):
        changed = text.replace("(held_makes_room & ", "(1'h0 & ")
        assert changed != text
        return changed

    assert "sum" in broken_addition(part(BUILDS[0], "segmented_unit", tmp_path, change))
