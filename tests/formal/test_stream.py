"""Pipelines deliver what their core without pipeline computes, each beat once and in order, in runs of any length.

The beats in a pipeline are those that come out when it runs empty. From any state at all a clock edge must take the first of
them away if it was delivered, add one at the end if it was accepted, and leave the others alone; reset must take all away. The
rest is induction, for which it need not be known what the registers inside mean, but for one in each stage of a long pipeline:
whether it and all behind it are taken.
"""

import os
from itertools import count

import pytest
import z3

from tests.formal.codec import emitted
from tests.formal.machine import NO, TIMEOUT, YES, Machine
from tests.formal.mutation import mutants


class Cycles:
    """Clock cycles of machines. What is known of them is in `facts`, all else may be anything."""

    def __init__(self):
        self.facts = []
        self._names = (f"state{number}" for number in count())

    def cycle(self, machine, registers_of=None, after=None, reset=NO, **inputs):
        """Ports and registers of a new cycle.

        The registers are those of the same names in the cycle `registers_of`, or follow from the cycle `after`.
        """
        state = machine.state(next(self._names))
        signals = machine.signals(state) | {"state": state}
        if registers_of is not None:
            self.facts += [signals[name] == registers_of[name] for name in machine.registers]
        if after is not None:
            self.facts.append(machine.follows(after["state"], state))
        inputs |= {"rst": reset, "rst_n": ~reset}
        self.facts += [signals[name] == value for name, value in inputs.items() if name in signals]
        return signals

    def run_empty(self, machine, cycle, stages):
        """This and `stages` more cycles, in which nothing comes and all may go, from the registers of `cycle` on."""
        idle = {"s_axis_tvalid": NO, "m_axis_tready": YES}
        cycles = [self.cycle(machine, registers_of=cycle, **idle)]
        for _ in range(stages):
            cycles.append(self.cycle(machine, after=cycles[-1], **idle))
        return cycles


def output(cycle):
    """Valid, and the beat: data, last and user."""
    beat = [cycle[name] for name in ("m_axis_tdata", "m_axis_tlast", "m_axis_tuser") if name in cycle]
    return cycle["m_axis_tvalid"], z3.Concat(beat)


def without_gaps(outputs):
    """How many of `outputs` are valid, and their beats."""
    number, beats = z3.BitVecVal(0, 4), [z3.BitVecVal(0, outputs[0][1].size())] * len(outputs)
    for valid, beat in outputs:
        beats = [z3.If(z3.And(valid == YES, number == place), beat, old) for place, old in enumerate(beats)]
        number += z3.ZeroExt(3, valid)
    return number, beats


# Boundaries in the order in which beats pass them; where random numbers are drawn beats may wait in front of the middle.
BOUNDARIES = ("input", "placed", "aligned", "middle", "summed", "ranged", "output")


def knows_what_is_full(cycle, draws):
    """Whether each stage that has a register for it knows whether it and all behind it, up to the end of its run, are taken."""
    facts, rest = [], YES
    for name in reversed(BOUNDARIES):
        if f"{name}_register.full" in cycle:
            rest = rest & cycle[f"{name}_register.o_valid"]
            facts.append(cycle[f"{name}_register.full"] == rest)
        if name == "middle" and draws:
            rest = YES
    return z3.And(facts)


def broken_promises(pipeline, core, stages):
    """Promises that the Machine `pipeline` does not keep, in one line with a cycle that shows it, or None."""
    cycles = Cycles()
    now = cycles.cycle(pipeline)
    then = cycles.cycle(pipeline, after=now)
    after_reset = cycles.cycle(pipeline, after=cycles.cycle(pipeline, reset=YES))
    empty_now, empty_then, empty_after_reset = (cycles.run_empty(pipeline, start, stages) for start in (now, then, after_reset))
    draws = bool(core.registers)
    cycles.facts.append(knows_what_is_full(now, draws))
    is_accepted = now["s_axis_tvalid"] & now["s_axis_tready"]
    is_delivered = now["m_axis_tvalid"] & now["m_axis_tready"]
    # A core that draws random numbers has registers. Those of the pipeline come to the same when it has run empty.
    beat = {name: now[name] for name in ("s_axis_tdata", "s_axis_tlast", "s_axis_tuser")}
    computing = cycles.cycle(core, registers_of=empty_now[-1], s_axis_tvalid=is_accepted, m_axis_tready=YES, **beat)
    computed = cycles.cycle(core, after=computing)
    core_after_reset = cycles.cycle(core, after=cycles.cycle(core, reset=YES))

    (valid, out), (valid_then, out_then) = output(now), output(then)
    (first_valid, first), *others = (output(cycle) for cycle in empty_now)
    number, _ = without_gaps([(first_valid, first), *others])
    number_then, beats_then = without_gaps([output(cycle) for cycle in empty_then])
    due = [(first_valid & ~is_delivered, first), *others[:-1], (is_accepted, output(computing)[1])]
    number_due, beats_due = without_gaps(due)
    valids_then = [cycle["m_axis_tvalid"] for cycle in empty_then]
    promises = {
        "outputs depend on registers alone": z3.And(valid == first_valid, out == first),
        "tvalid and the beat stay until tready": z3.Implies(
            z3.And(valid == YES, now["m_axis_tready"] == NO), z3.And(valid_then == YES, out_then == out)
        ),
        "no beat is lost, made up, changed or overtaken": z3.And(
            number_then == number_due, *(got == due for got, due in zip(beats_then, beats_due, strict=True))
        ),
        "all beats come out at one per clock": empty_now[-1]["m_axis_tvalid"] == NO,
        "tready unless all stages are taken": (
            (now["s_axis_tready"] == YES) == z3.Or(now["m_axis_tready"] == YES, number < stages)
        ),
        "the latency is the number of stages": z3.Implies(
            z3.And(number == 0, is_accepted == YES),
            z3.And(valids_then[-2] == YES, *(valid == NO for valid in valids_then[:-2])),
        ),
        "stages know which are taken": z3.And(knows_what_is_full(then, draws), knows_what_is_full(after_reset, draws)),
        "reset leaves no beat": z3.And([cycle["m_axis_tvalid"] == NO for cycle in empty_after_reset]),
        "each beat has the random numbers of its number": z3.And(
            [empty_then[-1][name] == computed[name] for name in core.registers]
            + [empty_after_reset[-1][name] == core_after_reset[name] for name in core.registers]
        ),
    }
    solver = z3.SolverFor("QF_BV")
    solver.set(timeout=TIMEOUT)
    solver.add(*cycles.facts, z3.Not(z3.And(list(promises.values()))))
    answer = solver.check()
    if answer == z3.unsat:
        return None
    assert answer == z3.sat, solver.reason_unknown()
    model = solver.model()
    broken = [name for name, promise in promises.items() if not model.eval(promise, model_completion=True)]
    del now["state"]
    signals = [f"{name} {model.eval(bits, model_completion=True).as_long():#x}" for name, bits in now.items()]
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    return f"not kept: {'; '.join(broken)}; in a cycle with {', '.join(signals)}; rerun: .venv/bin/python -m pytest '{test}'"


def machine(design, settings, folder):
    emission = emitted(design, settings)
    return Machine(emission.text, emission.module, folder)


def check(design, settings, stages, folder):
    pipeline = machine(design, (*settings, f"stages={stages}"), folder)
    # without registers there is nothing to reset
    core = machine(design, (*(each for each in settings if not each.startswith("reset=")), "stages=0"), folder)
    broken = broken_promises(pipeline, core, stages)
    assert broken is None, broken


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("design", ["float_encoder", "float_decoder"])
def test_stream_from_every_state(design, stages, tmp_path):
    check(design, ("formats=ab_e5m2", "lanes=1", "user_bits=2"), stages, tmp_path)


@pytest.mark.parametrize(
    ("formats", "stages"), [("ab_e5m2", 4), ("ab_e5m2", 5), *(("float8_e4m3fn", stages) for stages in range(4, 8))]
)
def test_long_pipelines_from_every_state(formats, stages, tmp_path):
    check("float_encoder", (f"formats={formats}", "lanes=1", "user_bits=2"), stages, tmp_path)


@pytest.mark.parametrize("reset", ["sync_low", "async_high", "async_low"])
def test_stream_of_every_reset(reset, tmp_path):
    check("float_encoder", ("formats=float8_e4m3fn", "lanes=1", f"reset={reset}"), 2, tmp_path)


@pytest.mark.parametrize("stages", [1, 2, 3, 5, 7])
def test_stream_with_every_option_from_every_state(stages, tmp_path):
    settings = ("formats=ab_e5m2,float8_e4m3fn,float8_e5m2", "lanes=2", "user_bits=4")
    check("float_encoder", (*settings, "roundings=rne,rna,rtz,sr", "overflow=format", "flags=1"), stages, tmp_path)


def test_mutants_of_a_pipeline_break_promises(tmp_path):
    """Not all do: a bit that belongs to no beat may be anything."""
    stages, count = 2, 10
    settings = ("formats=float8_e4m3fn", "lanes=1", "user_bits=2")
    emission = emitted("float_encoder", (*settings, f"stages={stages}"))
    core = machine("float_encoder", (*settings, "stages=0"), tmp_path)
    texts = mutants(emission.text, emission.module, count, tmp_path)
    broken = [broken_promises(Machine(text, emission.module, tmp_path), core, stages) for text in texts]
    assert sum(line is not None for line in broken) > count / 2
    assert any("no beat is lost" in line and "s_axis_tdata 0x" in line for line in filter(None, broken))
