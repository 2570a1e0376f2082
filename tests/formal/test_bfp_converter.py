"""The converter to block floating point loses, repeats and mixes up nothing, with and without sums."""

import re

import pytest
import z3

from tests.formal.codec import emitted
from tests.formal.machine import NO, YES, Machine, broken
from tests.formal.mutation import faulty
from tests.formal.test_stream import Cycles, output

INPUTS = "s_axis_tdata", "s_axis_tuser", "s_axis_tlast"
EMPTY = "m_axis_tvalid", "pending", "index_in", "index_out", "filled"
GROUP_LAST = 22  # its place in a slot


class Converter:
    """An emitted converter, two beats to a group, whose states are told apart by the beats that they still owe.

    Those come out when nothing more comes in and all may go; of a group that has begun they depend on the beat that will end
    it, which is given then. So from any state one clock edge must take away what was delivered, add what a converter without
    past makes of a group that was accepted, and leave the rest alone. The rest is induction.
    """

    SETTINGS = ("fmt=m2e8g4", "lanes=2", "roundings=rtz", "sums=0", "user_bits=1")
    CYCLES = 6  # as many as it takes until nothing is left

    def __init__(self, folder, change=lambda text: text):
        emission = emitted("bfp_converter", self.SETTINGS)
        self.machine = Machine(change(emission.text), emission.module, folder)
        (user,) = [port for port in emission.manifest["ports"] if port["name"] == "m_axis_tuser"]
        self.fields = {field["name"]: (field["msb"], field["lsb"]) for field in user["fields"]}
        self.cycles = Cycles()
        self.now = self.cycles.cycle(self.machine)
        self.then = self.cycles.cycle(self.machine, after=self.now)
        self.blank = self.cycles.cycle(self.machine, after=self.cycles.cycle(self.machine, reset=YES))

    def beat(self, name):
        return {port: z3.BitVec(f"{name} {port}", self.now[port].size()) for port in INPUTS}

    def send(self, start, *items):
        """What comes out, and the last cycle, from the registers of `start` on when `items` come in, pairs of a bit whether it
        does and a beat, each as soon as it is taken."""
        wanted, outputs, cycle = [bit for bit, _ in items], [], None
        for _ in range(self.CYCLES):
            valid, given = NO, items[0][1]
            for bit, (_, beat) in reversed([*zip(wanted, items, strict=True)]):
                valid, given = valid | bit, {port: z3.If(bit == YES, beat[port], given[port]) for port in INPUTS}
            where = {"registers_of": start} if cycle is None else {"after": cycle}
            cycle = self.cycles.cycle(self.machine, **where, s_axis_tvalid=valid, m_axis_tready=YES, **given)
            outputs.append(output(cycle))
            taken = cycle["s_axis_tready"]
            for index, bit in enumerate(wanted):
                wanted[index], taken = bit & ~taken, taken & ~bit
        return outputs, cycle


def in_order(outputs, places=6):
    """How many of `outputs` are valid, and their beats in front of the others' places."""
    number, beats = z3.BitVecVal(0, 4), [z3.BitVecVal(0, outputs[0][1].size())] * places
    for valid, beat in outputs:
        beats = [z3.If(z3.And(valid == YES, number == place), beat, old) for place, old in enumerate(beats)]
        number += z3.ZeroExt(3, valid)
    return z3.Concat(number, *beats)


def bit(cycle, register, place):
    return z3.Extract(place, place, cycle[register])


def sound(cycle):
    """What holds of the registers in all states that there are."""
    pending, entry, exit_ = cycle["pending"], cycle["index_in"], cycle["index_out"]
    filled = [bit(cycle, "filled", slot) for slot in range(2)]
    ends = [bit(cycle, f"slot{slot}", GROUP_LAST) for slot in range(2)]
    leaves_first, leaves_second = pending & ~exit_, pending & exit_
    return z3.And(
        # the second slot holds the end of a group, and that one leaves from there
        z3.Implies(filled[1] == YES, z3.And(pending == YES, ends[1] == YES)),
        z3.Implies(pending == NO, z3.And(exit_ == NO, filled[0] == entry)),
        z3.Implies(leaves_first == YES, z3.And(entry == NO, filled[0] == YES, filled[1] == ~ends[0])),
        z3.Implies(leaves_second == YES, z3.And(filled[1] == YES, filled[0] == entry)),
        z3.Implies(entry == YES, ends[0] == NO),
    )


def broken_conversion(converter):
    """Names of promises about one clock edge that are not kept."""
    now, then, blank = converter.now, converter.then, converter.blank
    accepted, open_ = now["s_axis_tvalid"] & now["s_axis_tready"], now["index_in"]
    given, ending = {port: now[port] for port in INPUTS}, converter.beat("ending")
    closed_by = {port: z3.If(accepted == YES, given[port], ending[port]) for port in INPUTS}
    begins = accepted & ~open_
    before, left = converter.send(now, (open_, closed_by))
    after, _ = converter.send(then, (then["index_in"], ending))
    added, _ = converter.send(blank, (begins, given), (begins & ~given["s_axis_tlast"], ending))
    first_valid, first = before[0]
    delivered = now["m_axis_tvalid"] & now["m_axis_tready"]
    due = [(first_valid & ~delivered, first), *before[1:], *added]

    largest, uncounted = z3.BitVecVal(0, 8), z3.BoolVal(False)
    for beat, counts in ((given, z3.BoolVal(True)), (ending, given["s_axis_tlast"] == NO)):
        for lane in range(2):
            word = z3.Extract(32 * lane + 30, 32 * lane, beat["s_axis_tdata"])
            exponent = z3.Extract(30, 23, word)
            is_number_or_nan = word != 0x7F800000
            uncounted = z3.Or(uncounted, z3.And(counts, z3.Not(is_number_or_nan)))
            largest = z3.If(z3.And(counts, is_number_or_nan, z3.UGT(exponent, largest)), exponent, largest)
    largest = z3.If(z3.And(uncounted, largest == 0), z3.BitVecVal(254, 8), largest)
    high, low = converter.fields["exponent"]
    promises = {
        "the invariant holds": sound(then),
        "reset leaves nothing": z3.And(sound(blank), *(blank[name] == 0 for name in EMPTY)),
        "no beat is made up or stays": z3.And([left[name] == 0 for name in EMPTY]),
        "a beat waits until it is taken": z3.Implies(
            now["m_axis_tvalid"] & ~now["m_axis_tready"] == YES,
            z3.And(then["m_axis_tvalid"] == YES, output(then)[1] == output(now)[1]),
        ),
        "both beats of a group have its exponent": z3.And(
            [z3.Implies(valid == YES, z3.Extract(high, low, beat) == largest) for valid, beat in added]
        ),
        "no beat is lost, repeated, changed or overtaken": in_order(due) == in_order(after),
    }
    return broken([*converter.cycles.facts, sound(now)], promises)


# What the emitted text says otherwise, and a promise that breaks.
CONVERTER_FAULTS = {
    "reset": (r"(if \(rst\) pending <= )1'b0", r"\g<1>1'b1", "reset leaves nothing"),
    "end of a group": (r"(wire group_free = ~pending \| )\(leaves & front_group_last\)", r"\1leaves", "the invariant holds"),
    "exponent": (
        r"(?s)(\.i_payload \()(\{front.*?, group)(.*)assign m_axis_tuser = .*?;",
        r"\1\2\3reg [11:0] user; always @(posedge clk) if (taken) user <= \2}; assign m_axis_tuser = user;",
        "both beats of a group have its exponent",
    ),
    "payload": (r"if \(i_ready & i_valid\)", r"if (i_valid)", "a beat waits until it is taken"),
}


@pytest.mark.long
def test_conversion_loses_and_repeats_nothing(tmp_path):
    assert not broken_conversion(Converter(tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("fault", CONVERTER_FAULTS)
def test_faulty_converter_is_refuted(fault, tmp_path):
    pattern, replacement, promise = CONVERTER_FAULTS[fault]
    assert promise in broken_conversion(Converter(tmp_path, faulty(pattern, replacement)))


def broken_count_of_sums(folder, change=lambda text: text):
    """As `broken_conversion`, of a converter of a beat per group with sums: how many beats and sums of tensors it owes."""
    emission = emitted("bfp_converter", ("fmt=m2e8g4", "lanes=4", "roundings=rtz", "sum_bits=16", "user_bits=1"))
    text = change(emission.text)
    machine, cycles = Machine(text, emission.module, folder), Cycles()
    now = cycles.cycle(machine)
    then, blank = cycles.cycle(machine, after=now), cycles.cycle(machine, after=cycles.cycle(machine, reset=YES))
    fields = re.findall(r"^  wire (slot0_last|slot0_group_last|beat_sums_last) = (\w+)\[(\d+)\];", text, re.MULTILINE)
    fields = {name: (register, int(place)) for name, register, place in fields}

    def field(cycle, name):
        return bit(cycle, *fields[name])

    def count(*bits):
        return sum((z3.ZeroExt(3, bit) for bit in bits), z3.BitVecVal(0, 4))

    def owed(cycle):
        sums = cycle["pending"] & field(cycle, "slot0_last"), cycle["sums_valid"] & field(cycle, "beat_sums_last")
        return count(cycle["pending"], cycle["m_axis_tvalid"]), count(*sums, cycle["m_sums_tvalid"])

    def sound_slot(cycle):
        """Every beat ends its group."""
        return z3.Implies(cycle["pending"] == YES, field(cycle, "slot0_group_last") == YES)

    accepted = now["s_axis_tvalid"] & now["s_axis_tready"]
    gone, sums_gone = (now[f"{stream}_tvalid"] & now[f"{stream}_tready"] for stream in ("m_axis", "m_sums"))
    waits = now["m_sums_tvalid"] & ~now["m_sums_tready"]
    kept = [then[name] == now[name] for name in ("m_sums_tvalid", "m_sums_tdata", "m_sums_tuser")]
    (beats_owed, sums_owed), (beats_then, sums_then) = owed(now), owed(then)
    promises = {
        "no beat is lost or repeated": beats_then == beats_owed + count(accepted) - count(gone),
        "no sums are lost or repeated": sums_then == sums_owed + count(accepted & now["s_axis_tlast"]) - count(sums_gone),
        "sums wait until they are taken": z3.Implies(waits == YES, z3.And(kept)),
        "the invariant holds": z3.And(sound_slot(then), sound_slot(blank)),
        "reset leaves nothing": z3.And([number == 0 for number in owed(blank)]),
        "reset clears the sums": z3.And([blank[name] == 0 for name in ("numerator", "denominator", "saturated")]),
    }
    return broken([*cycles.facts, sound_slot(now)], promises)


def test_conversion_with_sums_loses_and_repeats_nothing(tmp_path):
    assert not broken_count_of_sums(tmp_path)
    # Conversion that goes on while sums wait loses them.
    careless = faulty(r"(wire may_leave = ).*;", r"\g<1>1'b1;")
    assert "no sums are lost or repeated" in broken_count_of_sums(tmp_path, careless)
