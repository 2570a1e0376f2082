"""The fMAC adds up exactly what it is given, once, and cannot wrap; the converter loses and repeats nothing.

The dot product is proven in parts, since as a whole it is beyond any solver: each lane with all its pairs of operands, the adders
as a linear form over integers, the widths by the largest sum of any pass. What is added to is proven with any dot product there
may be, against integers so wide that nothing overflows.
"""

import re
from itertools import product

import pytest

from golden.formats import BLOCK_MAN_BITS
from tests.formal.adders import Netlist, NotLinear
from tests.formal.codec import emitted

QUICK = [("lanes=8", "width=16"), ("lanes=16",), ("lanes=32",), ("lanes=8", "accumulator=fp32")]
LONG = [
    ("lanes=5", "width=24", "user_bits=3", "reset=async_low"),
    ("lanes=64", "width=62"),
    ("lanes=16", "accumulator=fp32"),
    ("lanes=32", "accumulator=fp32"),
    ("lanes=8", "accumulator=fp32", "max_bits=2"),
    ("lanes=16", "accumulator=fp32", "max_bits=6"),
    ("lanes=64", "accumulator=fp32", "max_bits=8"),
]


def long(builds):
    return [pytest.param(settings, marks=pytest.mark.long) for settings in builds]


class DotProduct:
    """The sum of the products of an emitted fMAC, found in its netlist.

    Attributes
    ----------
    value : list
        Its bits, lowest first.
    lanes : list of dict
        The bits of the operands "x" and "y" of each lane: two of magnitude, lowest first, and the sign.
    before : list
        The bits of what the passes before count, if passes are added up.
    """

    def __init__(self, settings, folder, change=lambda text: text):
        emission = emitted("fast_mac", settings)
        self.parameters = emission.manifest["parameters"]
        self.fused = self.parameters["accumulator"] == "fp32"
        self.netlist = netlist = Netlist(change(emission.files[f"{emission.module}.sv"]), emission.module, folder)
        ports = {
            field["name"]: netlist.bits[port["name"]][field["lsb"] : field["msb"] + 1]
            for port in emission.manifest["ports"]
            for field in port.get("fields", [])
        }
        self.lanes = [{name: ports[f"{name}{lane}"] for name in "xy"} for lane in range(self.parameters["lanes"])]
        self.before = self.open = ()
        if self.fused:
            # It is the sum so far, or that moved up, and becomes the next one.
            self.before = self._wires("before")
            moved, self.open = zip(*map(netlist.inputs, self.before), strict=True)
            self.kept = [netlist.inputs(bit)[0] for bit in moved]
            self.lower = ports["lower"][0]
            self.value = [netlist.next_value(bit) for bit in self.kept]
        else:
            # It goes to the shifter, unless that is given its sign alone.
            low, sign, _ = zip(*map(netlist.inputs, self._wires("placed")), strict=True)
            self.value = [*low, sign[0]]

    def _wires(self, name):
        """Bits of the wires of the unit called `name` and a number, from 0 up."""
        bits = self.netlist.bits
        found = [wire for wire in bits if re.fullmatch(rf"block_unit_{name}_\d+_", wire)]
        assert found
        return [bits[f"block_unit_{name}_{number}_"][0] for number in range(len(found))]

    def wrong(self):
        """What shows that the value is not the sum of the products, and of the passes before, or None."""
        operands = [frozenset(bit for bits in lane.values() for bit in bits) for lane in self.lanes]
        support, evaluate = self.netlist.support, self.netlist.evaluate
        try:
            coefficients, constant = self.netlist.linear(
                self.value, lambda bit: bit in self.before or any(frozenset() < support(bit) <= group for group in operands)
            )
        except NotLinear as refusal:
            return str(refusal)
        modulus = 2 ** len(self.value)
        for place, bit in enumerate(self.before):
            if coefficients.pop(bit, 0) != 2**place:
                return f"bit {place} of the passes before"
        for number, (lane, group) in enumerate(zip(self.lanes, operands, strict=True)):
            own = {bit: coefficient for bit, coefficient in coefficients.items() if support(bit) <= group}
            at_zero = None
            for x, y in product(range(8), repeat=2):
                values = {bit: code >> place & 1 for code, name in ((x, "x"), (y, "y")) for place, bit in enumerate(lane[name])}
                counted = sum(coefficient * evaluate(bit, values) for bit, coefficient in own.items())
                at_zero = counted if at_zero is None else at_zero
                if (counted - at_zero - _signed(x) * _signed(y)) % modulus:
                    return f"lane {number}: {_signed(x)} times {_signed(y)}"
            constant += at_zero
        return f"{constant % modulus} too much" if constant % modulus else None

    def wrong_before(self):
        """Whether the passes before count other than they should: not at all in a group's first, four times with `lower`."""
        for place, (bit, open_) in enumerate(zip(self.before, self.open, strict=True)):
            here, below = self.kept[place], self.kept[place - 2] if place >= 2 else "0"
            if not self.netlist.support(bit) <= {here, below, self.lower, open_}:
                return True
            for values in product((0, 1), repeat=4):
                values = dict(zip((here, below, self.lower, open_), values, strict=True)) | {"0": 0}
                moved = values[below] if values[self.lower] else values[here]
                if self.netlist.evaluate(bit, values) != (moved & values[open_]):
                    return True
        return len({*self.open}) > 1


def _signed(code):
    """The number that a lane of two bits of magnitude and a sign means."""
    return -(code & 3) if code & 4 else code & 3


def _largest(bits):
    """For each pass of two groups of `bits` mantissa bits, from the highest weight down, the largest that a lane can sum up to."""
    total, before = 0, 0
    for weight in sorted(i + j for i, j in product(*(range(number // 2) for number in bits))):
        assert weight - before in (0, 1)
        total, before = total * 4 ** (weight - before) + 9, weight
        yield total


@pytest.mark.parametrize("settings", [*QUICK, *long(LONG)], ids=" ".join)
def test_dot_product_of_any_operands(settings, tmp_path):
    dot = DotProduct(settings, tmp_path)
    assert dot.wrong() is None
    assert not dot.wrong_before()
    # No sum of any pass reaches what the width leaves out, nor does that of the passes before, in units of the next.
    lanes, limit = dot.parameters["lanes"], 2 ** (len(dot.value) - 1)
    sizes = [bits for bits in BLOCK_MAN_BITS if bits <= dot.parameters["max_bits"]] if dot.fused else [2]
    for bits in product(sizes, repeat=2):
        assert all(lanes * largest < limit for largest in _largest(bits))
    assert lanes * (2 ** sizes[-1] - 1) ** 2 == lanes * max(_largest((sizes[-1], sizes[-1])))


# A gate that is another one, the carry of another adder, an inverter that is left out.
FAULTS = {
    "sign": (r"(block_unit_sign3 = \S+ )\^", r"\1|", "lane 3: "),
    "product": (r"(block_unit_bit5_0_1 = \S+ )\^", r"\1&", "lane 5: "),
    "sum": (r"(block_unit_products3_1_sum = \S+ )\^", r"\1|", "the product of "),
    "carry": (r"(block_unit_products4_1_carry = \S+ )\|", r"\1&", "the product of "),
    "wire": (r"(block_unit_products2_0_carry) = .*;", r"\1 = block_unit_products2_1_carry;", "the product of "),
    "inverter": (r"(assign _\d+_ = )~ (block_unit_signs0_3_sum;)", r"\1\2", ""),
}


def faulty(pattern, replacement):
    """What changes a text in the one place that there is for it."""

    def change(text):
        changed, number = re.subn(pattern, replacement, text)
        assert number == 1
        return changed

    return change


@pytest.mark.parametrize("settings", [QUICK[0], *long(QUICK[-1:])], ids=" ".join)
@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_dot_product_is_refuted(fault, settings, tmp_path):
    pattern, replacement, shown = FAULTS[fault]

    wrong = DotProduct(settings, tmp_path, faulty(pattern, replacement)).wrong()
    assert wrong is not None
    assert wrong.startswith(shown)


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"(block_unit_before_2_ = \S+ )&", r"\1|"),
        (r"(assign _\d+_ = s_axis_tuser\[20\] \? block_unit__like_)3_", r"\g<1>2_"),
    ],
    ids=["mask", "shift"],
)
def test_faulty_sum_of_the_passes_before_is_refuted(pattern, replacement, tmp_path):
    assert DotProduct(QUICK[-1], tmp_path, faulty(pattern, replacement)).wrong_before()
