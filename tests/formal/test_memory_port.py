"""The memory port keeps all data and their order, gives a tensor one bias, and heeds its estimators in nothing else.

Each promise is about one clock edge, from any state in which `invariant` holds, to which reset leads; that it always holds is a
promise, too. The codec is compared with the emitted encoder and decoder, which have proofs of their own.
"""

import os

import pytest
import z3
from amaranth.back import rtlil
from narrowfloat.golden.formats import CATALOG
from narrowfloat.hdl.memory import ReadPath, WritePath
from narrowfloat.tools import yosys

from tests.formal.codec import emitted
from tests.formal.machine import NO, TIMEOUT, YES, Machine
from tests.formal.mutation import mutants

TYPES, SLOTS, CODE_BITS = 2, 4, 8
CUT = 19  # bits of a word that rounding looks at together
# Fields of a beat of one lane, lowest bit first. Those of the core's side are the first five, of what it writes these, too.
# The last three are S2FP8's. A bias of its own has a beat only where that is built.
WRITTEN = {"flush": 1, "own_bias": 1, "bias": 6}
LAYOUT = {
    "data": 32,
    "keep": 4,
    "last": 1,
    "type": 1,
    "bypass": 1,
    "packed": 1,
    "bias": 6,
    "own_bias": 1,
    "squeezed": 1,
    "mean": 16,
    "inverse": 22,
}
ABSENT = {name: z3.BitVecVal(0, LAYOUT[name]) for name in ("own_bias", "squeezed", "mean", "inverse")}


def component(block, folder):
    """The Verilog of a component, with its ports as they are."""
    (folder / "component.il").write_text(rtlil.convert(block, name="component"))
    script = "read_rtlil component.il; proc; flatten -separator _; opt_clean; rename -unescape"
    yosys(f"{script}; write_verilog -sv -noattr component.sv", folder)
    return (folder / "component.sv").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("memory_port")


def codec(design, folder, *more):
    """Encoder or decoder of one lane as a machine without registers, with `more` settings."""
    emission = emitted(design, ("formats=ab_e5m2", "lanes=1", "stages=0", *more))
    return Machine(emission.text, emission.module, folder)


def fields(payload):
    """The fields of a beat by name; those that are not built are 0."""
    total = sum(LAYOUT.values())
    has_own_bias = payload.size() in (total, total - sum(LAYOUT[name] for name in ("squeezed", "mean", "inverse")))
    return _split(payload, {name: width for name, width in LAYOUT.items() if name != "own_bias" or has_own_bias})


def written_fields(payload):
    """The fields of a beat that the core writes."""
    names = ("data", "keep", "last", "type", "bypass")
    return {"bias": z3.BitVecVal(0, 6)} | _split(payload, {name: LAYOUT[name] for name in names} | WRITTEN)


def _split(payload, layout):
    result, low = dict(ABSENT), 0
    for name, width in layout.items():
        if low < payload.size():
            result[name] = z3.Extract(low + width - 1, low, payload)
            low += width
    return result


def of_type(array, type_):
    """The element of an array with one for each type."""
    width = array.size() // TYPES
    return z3.If(type_ == YES, z3.Extract(2 * width - 1, width, array), z3.Extract(width - 1, 0, array))


def both(*conditions):
    """Conditions, some of which are single bits, as one bit."""
    return z3.If(z3.And([c if z3.is_bool(c) else c == YES for c in conditions]), YES, NO)


def bit(word, number):
    return z3.Extract(number, number, word)


def without_gaps(entries):
    """How many of `entries`, pairs of a valid bit and a value, are valid, and these in front of the others' places."""
    number, values = z3.BitVecVal(0, 5), [z3.BitVecVal(0, entries[0][1].size())] * len(entries)
    for valid, value in entries:
        values = [z3.If(z3.And(valid == YES, number == place), value, old) for place, old in enumerate(values)]
        number += z3.ZeroExt(4, valid)
    return number, values


def contents(valid, beat, slots):
    """What a beat of the memory's side holds: kept codes or a beat of words, and the mark of a tensor's end.

    A code that is not kept is nothing, as a null byte on AXI4-Stream. Codes of S2FP8 count as all alike: here is proven that
    as many come out, where they belong and with what they are to be read with, and what they are is for `make exhaustive`.
    """
    whose = z3.Concat(*(beat[name] for name in ("type", "bypass", "packed", *ABSENT)))
    codes = []
    for slot in range(slots):
        code = z3.ZeroExt(24, z3.Extract(CODE_BITS * slot + CODE_BITS - 1, CODE_BITS * slot, beat["data"]))
        code = z3.If(beat["squeezed"] == YES, z3.BitVecVal(0, 32), code)
        value = z3.Concat(NO, whose, beat["bias"], z3.BitVecVal(1, 4), code)
        codes.append((both(valid, beat["packed"], bit(beat["keep"], slot)), value))
    words = z3.Concat(NO, whose, z3.BitVecVal(0, 6), beat["keep"], beat["data"])
    end = z3.Concat(YES, whose, z3.BitVecVal(0, 42))
    return [*codes, (both(valid, ~beat["packed"]), words), (both(valid, beat["last"]), end)]


def broken(facts, promises):
    """Promises that are not kept, as text, or None."""
    solver = z3.SolverFor("QF_BV")
    solver.set(timeout=TIMEOUT)
    solver.add(*facts, z3.Not(z3.And(list(promises.values()))))
    answer = solver.check()
    if answer == z3.unsat:
        return None
    assert answer == z3.sat, solver.reason_unknown()
    model = solver.model()
    names = [name for name, promise in promises.items() if not model.eval(promise, model_completion=True)]
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    return f"not kept: {'; '.join(names)}; rerun: .venv/bin/python -m pytest '{test}'"


def stages(now):
    """The registers before the pack, the one next to it first: whether there is a beat, and its fields."""
    size = now["m_mem__payload"].size()
    if "prepared_valid" in now:
        return [(now["prepared_valid"], fields(z3.Extract(size - 1, 0, now["prepared_o__payload"])))]
    found = []
    for name in ("output", "middle"):
        # the beat, then whether it flushes and whether it has parts of words, is the tag in the S2FP8 encoder, whose own fields
        # are below
        payload = now[f"s2_encoder_{name}_register_o__payload"]
        beat = z3.Extract(payload.size() - 3, payload.size() - 2 - size, payload)
        found.append((now[f"s2_encoder_{name}_register_valid"], fields(beat)))
    return found


def flushes(now):
    """Whether the beat next to the pack moves there, as it does if memory is ready, and is not to wait in it."""
    stage = "prepared" if "prepared_valid" in now else "s2_encoder_output_register"
    payload = now[f"{stage}_o__payload"]
    return both(now[f"{stage}_valid"], now["m_mem__ready"], bit(payload, payload.size() - 2))


def read_with(now, type_):
    """Whether tensors of a type are encoded, and the fields of TUSER that their codes are then read with, by name."""
    mode, bias = of_type(now["mode"], type_), of_type(now["bias"], type_)
    if "parameters" not in now:
        return bit(mode, 1), {"bias": bias, **ABSENT}
    parameters, squeezed = of_type(now["parameters"], type_), bit(mode, 2)
    own = {"mean": z3.Extract(26, 11, parameters), "inverse": z3.Extract(48, 27, parameters)}
    own = {name: z3.If(squeezed == YES, value, 0) for name, value in own.items()}
    return bit(mode, 1) | squeezed, {**ABSENT, "bias": z3.If(squeezed == YES, 0, bias), "squeezed": squeezed, **own}


def alike(one, other):
    """Whether two, by name, agree in all that codes are read with."""
    return z3.And([one[name] == other[name] for name in ("bias", *ABSENT)])


def write_invariant(now):
    """Every beat before memory is of the same tensor as the next of its type, or else of the tensor that is open.

    Those are the pack that waits for more and the beats behind it; a tensor's last beat is excepted, and so are beats with a
    bias of their own.
    """
    pack, behind = fields(now["m_mem__payload"]), stages(now)
    waits = both(now["taken"], ~now["complete"])
    empty = z3.And([z3.Or(bit(pack["keep"], slot) == NO, z3.UGT(now["position"], slot)) for slot in range(1, SLOTS)])
    promises = [
        z3.Implies(waits == YES, both(pack["packed"], ~pack["bypass"], ~pack["last"], now["position"] != 0, empty) == YES)
    ]
    for valid, beat in behind:
        whole = both(~beat["bypass"], z3.Extract(3, 1, beat["keep"]) == 0)
        promises.append(z3.Implies(both(valid, beat["packed"]) == YES, whole == YES))
        promises.append(z3.Implies(both(valid, beat["squeezed"]) == YES, beat["packed"] == YES))
    for valid, beat in [(waits, pack), *behind]:
        unlike = z3.Or([beat[name] != 0 for name in ABSENT if name != "own_bias"])
        promises.append(z3.Implies(both(valid, beat["own_bias"]) == YES, z3.And(beat["packed"] == YES, z3.Not(unlike))))
    entries = [(waits, pack), *((both(valid, beat["packed"]), beat) for valid, beat in behind)]
    entries = [(both(valid, ~beat["own_bias"]), beat) for valid, beat in entries]
    for place, (valid, beat) in enumerate(entries):
        encodes, expected = read_with(now, beat["type"])
        same = z3.And(of_type(now["open"], beat["type"]) == YES, encodes == YES, alike(beat, expected))
        for present, later in reversed(entries[place + 1 :]):
            same = z3.If(both(present, later["type"] == beat["type"]) == YES, alike(beat, later), same)
        promises.append(z3.Implies(both(valid, ~beat["last"]) == YES, same))
    return z3.And(promises)


def broken_promises_of_writing(machine, folder):
    """Words to encode wait in the registers before the pack with what is left to round, which an encoder does then."""
    encoder, second = codec("float_encoder", folder), codec("float_encoder", folder, "roundings=rna")
    state, following, other, code_state, after_reset = (
        m.state(name)
        for m, name in ((machine, "now"), (machine, "then"), (machine, "other"), (encoder, "code"), (machine, "after_reset"))
    )
    now, then, blank = machine.signals(state), machine.signals(following), machine.signals(after_reset)
    # the same registers with other inputs
    elsewise = machine.signals(other)
    resetting_state = machine.state("resetting")
    resetting = machine.signals(resetting_state)
    core = written_fields(now["s_core__payload"])
    code = encoder.signals(code_state)
    encoding, with_what = read_with(now, core["type"])
    alone = both(core["own_bias"], ~core["bypass"])
    own = {"bias": core["bias"], **ABSENT, "own_bias": YES}
    with_what = {name: z3.If(alone == YES, own[name], value) for name, value in (ABSENT | with_what).items()}
    facts = [
        machine.follows(state, following),
        machine.follows(resetting_state, after_reset),
        resetting["rst"] == YES,
        now["rst"] == NO,
        write_invariant(now),
        code["s_axis_tdata"] == core["data"],
        code["s_axis_tuser"] == z3.If(alone == YES, core["bias"], of_type(now["bias"], core["type"])),
        *(now[name] == elsewise[name] for name in machine.registers),
    ]

    def encoded(name, beat):
        """A beat before the pack with the code that is to be in there."""
        left = second.signals(second.state(name))
        facts.append(left["s_axis_tdata"] == z3.Concat(z3.Extract(31, CUT, beat["data"]), z3.BitVecVal(0, CUT)))
        facts.append(left["s_axis_tuser"] == beat["bias"])
        return beat | {"data": z3.If(beat["packed"] == YES, z3.ZeroExt(24, left["m_axis_tdata"]), beat["data"])}

    def inside(signals, name):
        """What is in the pack, and then in the registers before it."""
        first = contents(signals["taken"], fields(signals["m_mem__payload"]), SLOTS)
        behind = [(valid, encoded(f"{name}{place}", beat)) for place, (valid, beat) in enumerate(stages(signals))]
        return first, [entry for valid, beat in behind for entry in contents(valid, beat, 1)]

    accepted, delivered = now["s_core__valid"] & now["s_core__ready"], now["m_mem__valid"] & now["m_mem__ready"]
    encodes = both(~core["bypass"], encoding) | alone
    kept = z3.If(core["keep"] == 15, z3.BitVecVal(1, 4), z3.BitVecVal(0, 4))
    pushed = core | {
        "packed": encodes,
        **{name: z3.If(encodes == YES, value, 0) for name, value in with_what.items()},
        "keep": z3.If(encodes == YES, kept, core["keep"]),
        "data": z3.If(encodes == YES, z3.ZeroExt(24, code["m_axis_tdata"]), core["data"]),
    }
    packed_now, encoded_now = inside(now, "code_now")
    due = [*((valid & ~delivered, value) for valid, value in packed_now), *encoded_now, *contents(accepted, pushed, 1)]
    number_due, due = without_gaps(due)
    first_then, second_then = inside(then, "code_then")
    number_then, got = without_gaps([*first_then, *second_then])
    number_blank, _ = without_gaps([entry for part in inside(blank, "code_after_reset") for entry in part])
    same_tensor, opening = [], []
    for t in range(TYPES):
        here = both(accepted, ~core["bypass"], ~alone, core["type"] == t)
        stays = z3.If(here == YES, ~core["last"], bit(now["open"], t))
        opening.append(bit(then["open"], t) == stays)
        names = [name for name in ("mode", "bias", "parameters") if name in now]
        held = z3.And([of_type(now[name], z3.BitVecVal(t, 1)) == of_type(then[name], z3.BitVecVal(t, 1)) for name in names])
        same_tensor.append(z3.Implies(stays == YES, held))
    promises = {
        "nothing is lost, made up, changed or overtaken": z3.And(
            number_then == number_due, *(z3.Or(z3.ULE(number_due, place), a == b) for place, (a, b) in enumerate(zip(got, due)))
        ),
        "a tensor is open from its first beat to its last": z3.And(opening),
        "mode, bias and parameters stay while a tensor is open": z3.And(same_tensor),
        "tvalid and the beat depend on registers alone": z3.And(
            now["m_mem__valid"] == elsewise["m_mem__valid"], now["m_mem__payload"] == elsewise["m_mem__payload"]
        ),
        "tvalid and the beat stay until tready": z3.Implies(
            z3.And(now["m_mem__valid"] == YES, now["m_mem__ready"] == NO),
            z3.And(then["m_mem__valid"] == YES, then["m_mem__payload"] == now["m_mem__payload"]),
        ),
        "with a ready memory the core never waits": z3.Implies(now["m_mem__ready"] == YES, now["s_core__ready"] == YES),
        "a complete pack is offered at once": z3.Implies(now["taken"] & now["complete"] == YES, now["m_mem__valid"] == YES),
        "a pack that is flushed waits for nothing": z3.Implies(flushes(now) == YES, then["taken"] & then["complete"] == YES),
        "the invariant is kept": write_invariant(then),
        "reset leaves nothing, and the invariant holds": z3.And(number_blank == 0, blank["open"] == 0, write_invariant(blank)),
    }
    return broken(facts, promises)


@pytest.mark.parametrize("s2fp8", [False, True])
@pytest.mark.parametrize("bias_port", [False, True])
def test_writing_from_every_state(s2fp8, bias_port, folder):
    block = WritePath(CATALOG["ab_e5m2"], 1, TYPES, s2fp8=s2fp8, bias_port=bias_port)
    machine = Machine(component(block, folder), "component", folder)
    assert broken_promises_of_writing(machine, folder) is None


def leaving(now):
    """The registers behind the slots, the one next to the core first.

    Of each: whether there is a beat, its fields, whether it is packed and its codes' bias, and whether its words are to be
    S2FP8's.
    """
    if "s2_decoder_output_register_valid" not in now:
        # what leaves is decoded already
        return [(now["m_core__valid"], fields(now["m_core__payload"]), NO, z3.BitVecVal(0, 6), NO)]
    found, size = [], now["m_core__payload"].size()
    for name in ("output", "middle"):
        # the beat and, on top, whether it is squeezed is the tag in the S2FP8 decoder, whose own fields are below
        payload = now[f"s2_decoder_{name}_register_o__payload"]
        top = payload.size() - 1
        tag = z3.Extract(top - 1, top - size - 7, payload)
        beat, packed, bias = fields(z3.Extract(size - 1, 0, tag)), bit(tag, size), z3.Extract(size + 6, size + 1, tag)
        found.append((now[f"s2_decoder_{name}_register_valid"], beat, packed, bias, bit(payload, top)))
    return found


def on_its_way(valid, beat, squeezed):
    """A beat to the core as an entry; without its data where none is kept, or where that is S2FP8's, for `make exhaustive`."""
    data = z3.If(z3.Or(squeezed == YES, beat["keep"] == 0), 0, beat["data"])
    return valid, z3.Concat(squeezed, *(beat[name] for name in ("type", "bypass", "last", "keep")), data)


def broken_promises_of_reading(machine, folder):
    decoder = codec("float_decoder", folder)
    state, following, code_state = machine.state("now"), machine.state("then"), decoder.state("code")
    now, then, word = machine.signals(state), machine.signals(following), decoder.signals(code_state)
    beat, held = fields(now["s_mem__payload"]), now["m_core__valid"] & ~now["m_core__ready"]
    expands = both(beat["packed"], ~beat["bypass"])

    def ahead(signals, payload):
        return [
            both(payload["packed"], ~payload["bypass"], bit(payload["keep"], s), ~bit(signals["left"], s)) for s in range(SLOTS)
        ]

    def invariant(signals):
        """A beat of which slots have left is still there, and has more."""
        waiting = both(signals["s_mem__valid"], z3.Or([a == YES for a in ahead(signals, fields(signals["s_mem__payload"]))]))
        return z3.Implies(signals["left"] != 0, waiting == YES)

    slots = ahead(now, beat)
    number = sum((z3.ZeroExt(2, a) for a in slots[1:]), z3.ZeroExt(2, slots[0]))
    first, mask = z3.BitVecVal(0, CODE_BITS), z3.BitVecVal(0, SLOTS)
    code_kept = z3.BitVecVal(0, 1)
    for slot in reversed(range(SLOTS)):
        here = slots[slot] == YES
        first = z3.If(here, z3.Extract(CODE_BITS * slot + CODE_BITS - 1, CODE_BITS * slot, beat["data"]), first)
        mask = z3.If(here, z3.BitVecVal(1 << slot, SLOTS), mask)
        code_kept = z3.If(here, YES, code_kept)
    final = z3.ULE(number, 1)
    room = now["m_core__ready"]
    for valid, *_ in leaving(now):
        room |= ~valid
    taken, accepted = now["s_mem__valid"] & room, now["s_mem__valid"] & now["s_mem__ready"]
    pushed = beat | {
        "data": z3.If(expands == YES, word["m_axis_tdata"], beat["data"]),
        "keep": z3.If(expands == YES, z3.SignExt(3, code_kept), beat["keep"]),
        "last": both(beat["last"], final),
    }
    facts = []

    def decoded(name, signals):
        """As `leaving`, with words where there are still codes, and without that and their bias."""
        results = []
        for place, (valid, beat, packed, bias, squeezed) in enumerate(leaving(signals)):
            left = decoder.signals(decoder.state(f"{name}{place}"))
            facts.append(left["s_axis_tdata"] == z3.Extract(CODE_BITS - 1, 0, beat["data"]))
            facts.append(left["s_axis_tuser"] == bias)
            data = z3.If(packed == YES, left["m_axis_tdata"], beat["data"])
            results.append((valid, beat | {"data": data}, squeezed))
        return results

    leaving_now = decoded("now", now)
    entries_now, entries_then = ([on_its_way(*entry) for entry in found] for found in (leaving_now, decoded("then", then)))
    (valid, value), *others = entries_now
    due = [(valid & held, value), *others, on_its_way(taken, pushed, both(expands, beat["squeezed"]))]
    number_due, due = without_gaps(due)
    number_then, got = without_gaps(entries_then)
    out_valid, out, out_squeezed = leaving_now[0]
    core = fields(now["m_core__payload"])
    facts += [
        machine.follows(state, following),
        now["rst"] == NO,
        invariant(now),
        # what AXI4-Stream asks of a source
        z3.Implies(
            z3.And(now["s_mem__valid"] == YES, now["s_mem__ready"] == NO),
            z3.And(then["s_mem__valid"] == YES, then["s_mem__payload"] == now["s_mem__payload"]),
        ),
        word["s_axis_tdata"] == first,
        word["s_axis_tuser"] == beat["bias"],
    ]
    promises = {
        "the next slot with a kept code comes out decoded with what came with it, a beat of words as it is, in order": z3.And(
            number_then == number_due,
            *(z3.Or(z3.ULE(number_due, place), a == b) for place, (a, b) in enumerate(zip(got, due))),
        ),
        "the core is offered the beat that is next": z3.And(
            now["m_core__valid"] == out_valid,
            *(core[name] == out[name] for name in ("keep", "last", "type", "bypass")),
            z3.Or(out_squeezed == YES, core["data"] == out["data"]),
        ),
        "tvalid and the beat stay until tready": z3.Implies(
            held == YES, z3.And(then["m_core__valid"] == YES, then["m_core__payload"] == now["m_core__payload"])
        ),
        "a beat is accepted with its last slot": z3.Implies(
            now["s_mem__valid"] == YES, (accepted == YES) == z3.And(room == YES, final)
        ),
        "slots leave once": then["left"]
        == z3.If(taken == NO, now["left"], z3.If(final, z3.BitVecVal(0, SLOTS), now["left"] | mask)),
        "the invariant is kept": invariant(then),
    }
    return broken(facts, promises)


@pytest.mark.parametrize("s2fp8", [False, True])
def test_reading_from_every_state(s2fp8, folder):
    machine = Machine(component(ReadPath(CATALOG["ab_e5m2"], 1, TYPES, s2fp8), folder), "component", folder)
    assert broken_promises_of_reading(machine, folder) is None


class Forgetful(WritePath):
    """Takes new parameters in the middle of tensors."""

    def _hold_until_last(self, m, accepted):
        super()._hold_until_last(m, accepted)
        m.d.sync += self.parameters.eq(self.next_parameters)


def test_parameters_that_change_in_the_middle_are_found(folder):
    machine = Machine(component(Forgetful(CATALOG["ab_e5m2"], 1, TYPES, s2fp8=True), folder), "component", folder)
    assert broken_promises_of_writing(machine, folder) is not None


@pytest.mark.parametrize("s2fp8", [False, True])
@pytest.mark.parametrize("old, new", [("m_core__valid = ", "m_core__valid = ~"), ("s_mem__ready = ", "s_mem__ready = ~")])
def test_reading_with_a_wrong_handshake_is_found(old, new, s2fp8, folder):
    text = component(ReadPath(CATALOG["ab_e5m2"], 1, TYPES, s2fp8), folder)
    assert old in text
    machine = Machine(text.replace(old, new, 1), "component", folder)
    assert broken_promises_of_reading(machine, folder) is not None


@pytest.mark.parametrize("path", ["writing", "reading"])
def test_mutants_break_promises(path, folder):
    """Not all do: a bit that is not kept may be anything, and what is observed or flagged is not promised."""
    block = {"writing": WritePath, "reading": ReadPath}[path]
    check = {"writing": broken_promises_of_writing, "reading": broken_promises_of_reading}[path]
    text = component(block(CATALOG["ab_e5m2"], 1, TYPES), folder)
    registers = set(Machine(text, "component", folder).registers)
    machines = [Machine(mutant, "component", folder) for mutant in mutants(text, "component", 24, folder)]
    # the invariants speak of registers by their names, which some faults take away
    lines = [check(machine, folder) for machine in machines if registers == set(machine.registers)]
    assert len(lines) > 9 and sum(line is not None for line in lines) > len(lines) / 2


def output_bits_that_can_differ(machine, inputs, outputs, at_first, forced):
    """Which bits, as (name, number), of two ports' `outputs` can differ although they have the same `inputs`, if at first only
    registers differ that have `at_first` in their names. With `forced`, a bias is forced on every type."""
    states = [machine.state(name) for name in ("a", "a_then", "b", "b_then")]
    a, a_then, b, b_then = (machine.signals(state) for state in states)
    solver = z3.SolverFor("QF_BV")
    solver.set(timeout=TIMEOUT)
    solver.add(machine.follows(states[0], states[1]), machine.follows(states[2], states[3]))
    solver.add(*(a[name] == b[name] for name in inputs))
    if forced:
        solver.add(*(a[name] == YES for name in machine.registers if name.endswith("_enable")))
    same = [(name, number) for name in machine.registers if at_first not in name for number in range(a[name].size())]
    while True:
        solver.push()
        solver.add(*(bit(a[name], number) == bit(b[name], number) for name, number in same))
        if solver.check(z3.Or([bit(a_then[name], number) != bit(b_then[name], number) for name, number in same])) == z3.unsat:
            bits = [(name, number) for name in outputs for number in range(a[name].size())]
            return {
                (name, number)
                for name, number in bits
                if solver.check(bit(a[name], number) != bit(b[name], number)) != z3.unsat
            }
        model = solver.model()
        words = {name: model.eval(a_then[name] ^ b_then[name], model_completion=True) for name in machine.registers}
        same = [(name, number) for name, number in same if not words[name].as_long() >> number & 1]
        solver.pop()


@pytest.mark.parametrize("forced", [False, True])
def test_estimators_touch_nothing_but_the_bias(forced, folder):
    emission = emitted("memory_port", ("estimators=tracker", f"types={TYPES}", "lanes=1"))
    machine = Machine(emission.text, emission.module, folder)
    ports = {way: [p["name"] for p in emission.manifest["ports"] if p["direction"] == way] for way in ("input", "output")}
    bits = output_bits_that_can_differ(machine, ports["input"], ports["output"], "tracker", forced)
    bias = next(field for port in emission.manifest["ports"] if port["name"] == "m_mem_tuser" for field in port["fields"][3:])
    allowed = {"s_axil_rdata": range(32)}
    if not forced:
        allowed |= {"m_mem_tdata": range(32), "m_mem_tuser": range(bias["lsb"], bias["msb"] + 1)}
        assert ("m_mem_tuser", bias["lsb"]) in bits
    assert all(number in allowed.get(name, ()) for name, number in bits)
