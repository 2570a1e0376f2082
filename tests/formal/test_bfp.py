"""The fMAC adds up exactly what it is given, once, and cannot wrap.

The dot product is proven in parts, since as a whole it is beyond any solver: each lane with all its pairs of operands, the
adders as a linear form over integers, the widths by the largest sum of any pass. What is added to is proven with any dot
product there may be, against integers so wide that nothing overflows.
"""

from itertools import product

import pytest
import z3
from narrowfloat.golden.formats import BLOCK_MAN_BITS
from narrowfloat.tools import yosys

from tests.formal.adders import Netlist, NotLinear
from tests.formal.codec import emitted
from tests.formal.machine import NO, YES, Machine, broken
from tests.formal.mutation import faulty, mutants

QUICK = [
    ("lanes=8", "width=16"),
    ("lanes=16",),
    ("lanes=32",),
    ("lanes=8", "accumulator=segmented"),
    ("lanes=8", "accumulator=fp32"),
]
LONG = [
    ("lanes=5", "width=24", "user_bits=3", "reset=async_low"),
    ("lanes=64", "width=62"),
    ("lanes=16", "accumulator=fp32"),
    ("lanes=32", "accumulator=fp32"),
    ("lanes=16", "accumulator=fp32", "max_bits=6"),
    ("lanes=64", "accumulator=fp32", "max_bits=8"),
]


# registers, of which the last two are the unit's where it adds up passes
FRESH, OPEN, KEPT = "fresh", "unit.open", "unit.kept"


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
        self.module, self.text = emission.module, change(emission.text)
        self.manifest, self.parameters = emission.manifest, emission.manifest["parameters"]
        self.fused = self.parameters["accumulator"] == "fp32"
        self.netlist = netlist = Netlist(self.text, self.module, folder)
        ports = {
            field["name"]: netlist.bits[port["name"]][field["lsb"] : field["msb"] + 1]
            for port in emission.manifest["ports"]
            for field in port.get("fields", [])
        }
        self.lanes = [{name: ports[f"{name}{lane}"] for name in "xy"} for lane in range(self.parameters["lanes"])]
        self.before = self.kept = self.open = ()
        if self.fused:
            # It is the sum so far, or that moved up, and becomes the next one.
            self.before = netlist.bits["unit.before_"]
            moved, self.open = zip(*map(netlist.inputs, self.before), strict=True)
            self.kept = [netlist.inputs(bit)[0] for bit in moved]
            self.lower = ports["lower"][0]
            self.value = [netlist.registers[bit] for bit in self.kept]
        elif self.parameters["accumulator"] == "segmented":
            # A register takes it.
            self.value = [netlist.registers[bit] for bit in netlist.bits["unit.held_value"]]
        else:
            # It goes to the shifter, unless that is given its sign alone.
            self.value, sign, _ = map(list, zip(*map(netlist.inputs, netlist.bits["unit.placed"]), strict=True))
            assert {*sign} == {self.value[-1]}

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

    def cut(self, folder):
        """The text as one module with inputs instead of the value, and registers as outputs; the inputs' names."""
        names, seen = [self.netlist.names[bit] for bit in self.value], [FRESH, *([OPEN, KEPT] if self.fused else [])]
        (folder / "whole.sv").write_text(self.text)
        ports = (
            f"expose{option} {' '.join(f'w:{name}' for name in wires)}" for option, wires in ((" -input", names), ("", seen))
        )
        script = f"read_verilog -sv whole.sv; hierarchy -top {self.module}; proc; flatten; opt_clean; {'; '.join(ports)}"
        yosys(f"{script}; write_verilog -sv -noattr cut.sv", folder)
        return (folder / "cut.sv").read_text(), names


def _signed(code):
    """The number that a lane of two bits of magnitude and a sign means."""
    return -(code & 3) if code & 4 else code & 3


def _largest(bits):
    """For each pass of two groups of `bits` mantissa bits, from the highest weight down, a lane's largest sum."""
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
    "sign": (r"(wire sign3 = \S+ )\^", r"\1|", "lane 3: "),
    "product": (r"(wire bit5_0_1 = \(.*\) )\^", r"\1&", "lane 5: "),
    "sum": (r"(wire products3_1_sum = .*)\^", r"\1|", "the product of "),
    "carry": (r"(wire products4_1_carry = [^;|]*)\|", r"\1&", "the product of "),
    "wire": (r"(wire products2_1_carry) = [^;]*;", r"\1 = products2_0_carry;", "the product of "),
    # there is one wherever this wire goes
    "inverter": (r"(wire signs0_3_sum = )(.*);", r"\1~(\2);", ""),
}


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
        (r"(wire \[11:0\] before_ = \(.*\) )&", r"\1|"),
        (r"\{kept\[9:0\], 2'h0\}", r"{kept[9:4], kept[2], kept[2:0], 2'h0}"),
    ],
    ids=["mask", "shift"],
)
def test_faulty_sum_of_the_passes_before_is_refuted(pattern, replacement, tmp_path):
    assert DotProduct(QUICK[-1], tmp_path, faulty(pattern, replacement)).wrong_before()


STREAMS = [
    ("lanes=8", "width=16", "user_bits=3", "reset=sync_low"),
    ("lanes=8", "accumulator=fp32", "user_bits=3"),
]


class Mac:
    """An emitted fMAC between a state and the next, with any dot product there may be."""

    def __init__(self, dot, folder, text=None):
        self.dot = dot
        cut, value = dot.cut(folder)
        machine = Machine(text or cut, dot.module, folder)
        now, after = machine.state("before"), machine.state("after")
        self.now, self.after = machine.signals(now), machine.signals(after)
        self.value = z3.Concat([self.now[name] for name in reversed(value)])
        reset = "rst_n" if "rst_n" in self.now else "rst"
        self.in_reset = self.now[reset] == (NO if reset == "rst_n" else YES)
        self.steps = machine.follows(now, after)
        if dot.fused:
            bits = dot.netlist.bits
            assert bits[KEPT] == dot.kept
            assert bits[OPEN] == [*{*dot.open}]
        self.taken = self.now["s_axis_tvalid"] & self.now["s_axis_tready"]
        self.update = self.taken
        if dot.fused:
            self.update &= self.field("s_axis_tuser", "complete") | self.now["s_axis_tlast"]

    def field(self, port, name, of=None):
        (described,) = [p for p in self.dot.manifest["ports"] if p["name"] == port]
        (found,) = [f for f in described["fields"] if f["name"] == name]
        return z3.Extract(found["msb"], found["lsb"], (of or self.now)[port])

    def broken(self, promises, *assumptions):
        return broken([self.steps, *assumptions], promises)


def broken_stream(mac):
    """Promises about one clock edge from any state that do not hold."""
    now, after, running = mac.now, mac.after, z3.Not(mac.in_reset)
    waiting = now["m_axis_tvalid"] & ~now["m_axis_tready"]
    last = now["s_axis_tlast"]
    tag = mac.field("m_axis_tuser", "user", after)
    ends = mac.taken & last
    sums = [mac.field("m_axis_tdata", "sum", cycle) for cycle in (now, after)]
    if not mac.dot.fused:
        flags = [mac.field("m_axis_tuser", "saturated", cycle) for cycle in (now, after)]
        sums = [z3.Concat(*pair) for pair in zip(sums, flags, strict=True)]
    promises = {
        "a pass is taken unless a result waits": now["s_axis_tready"] == ~waiting,
        "a result is there after its last pass until it is taken": after["m_axis_tvalid"] == mac.update & last | waiting,
        "the next pass begins a sum": after[FRESH] == z3.If(mac.update == YES, last, now[FRESH]),
        "a sum changes with passes alone": z3.Implies(mac.update == NO, sums[1] == sums[0]),
        "the tag is that of the last pass": tag
        == z3.If(ends == YES, mac.field("s_axis_tuser", "user"), mac.field("m_axis_tuser", "user")),
        "all results are last": now["m_axis_tlast"] == YES,
    }
    blank = {"m_axis_tvalid": NO, FRESH: YES}
    if mac.dot.fused:
        blank[OPEN] = NO
        promises["a group is open until its last pass"] = after[OPEN] == z3.If(mac.taken == YES, ~mac.update, now[OPEN])
        promises["passes are added up"] = after[KEPT] == z3.If(mac.taken & ~mac.update == YES, mac.value, now[KEPT])
    cleared = {f"reset clears {name}": after[name] == value for name, value in blank.items()}
    return mac.broken(promises, running) + mac.broken(cleared, mac.in_reset)


@pytest.mark.parametrize("settings", STREAMS, ids=" ".join)
def test_no_pass_is_lost_and_no_result_made_up(settings, tmp_path):
    assert not broken_stream(Mac(DotProduct(settings, tmp_path), tmp_path))


def broken_sum(mac):
    """Whether a fixed accumulator is ever not what it should be, in integers in which nothing overflows."""
    width, bits = mac.dot.parameters["width"], mac.value.size()
    wide = width + bits + 2

    def extend(word):
        return z3.SignExt(wide - word.size(), word)

    exponent = sum(z3.SignExt(wide, mac.field("s_axis_tuser", f"{name}_exponent")) for name in "xy")
    exponent = z3.Extract(wide - 1, 0, exponent)
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    value, fresh = extend(mac.value), mac.now[FRESH] == YES
    left, right = z3.If(exponent > width, width, exponent), z3.If(-exponent > bits, bits, -exponent)
    added = z3.If(exponent >= 0, value << left, value >> right)
    outside = z3.Or(added < low, added > high)
    before = z3.If(fresh, 0, extend(mac.field("m_axis_tdata", "sum")))
    total = z3.If(outside, added, before + added)
    clipped = z3.If(total < low, low, z3.If(total > high, high, total))
    saturated_before = z3.And(z3.Not(fresh), mac.field("m_axis_tuser", "saturated") == YES)
    saturated = z3.Or(total != clipped, mac.field("s_axis_tuser", "nan") == YES, saturated_before)
    promises = {
        "sum": extend(mac.field("m_axis_tdata", "sum", mac.after)) == clipped,
        "saturated": (mac.field("m_axis_tuser", "saturated", mac.after) == YES) == saturated,
    }
    return mac.broken(promises, mac.taken == YES, z3.Not(mac.in_reset))


@pytest.mark.parametrize("settings", [STREAMS[0], QUICK[1]], ids=" ".join)
def test_fixed_sum_of_any_value_at_any_exponent(settings, tmp_path):
    assert not broken_sum(Mac(DotProduct(settings, tmp_path), tmp_path))


@pytest.mark.long
def test_mutants_of_an_accumulator_break_promises(tmp_path):
    """Not all do: some make no difference."""
    count, dot = 30, DotProduct(STREAMS[0], tmp_path)
    broken = []
    for text in mutants(dot.cut(tmp_path)[0], dot.module, count, tmp_path):
        mac = Mac(dot, tmp_path, text)
        broken.append(broken_stream(mac) + broken_sum(mac))
    assert sum(map(bool, broken)) > 3 * count / 4
    assert any("sum" in found for found in broken)
    assert any("a sum changes with passes alone" in found for found in broken)
