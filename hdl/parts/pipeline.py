"""Blocks as sequences of phases, with registers between them where a parameter asks for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Const, Module
from amaranth.lib import stream
from narrowfloat.hdl.parameters import Integer
from narrowfloat.hdl.parts.stream import Register, RunRegister, staged

INPUT = "input"  # the boundary in front of the first phase
_CHAINED = 3  # registers at most from one to the next of which `ready` may pass


@dataclass(frozen=True)
class Phase:
    """Combinational logic of a block, from one stream to the next one.

    Attributes
    ----------
    name : str
        That of the stream behind it, and of the boundary there.
    shape : ShapeLike
        Shape of the payload behind it.
    logic : callable
        ``logic(m, source, sink)`` adds what makes the payload of `sink` from that of `source`. Valid and ready pass through,
        unless it says something else.
    waits : bool
        Whether it may say so: beats wait in front of it although those behind it move.
    """

    name: str
    shape: Any
    logic: Callable[[Module, Any, Any], None]
    waits: bool = False


class Stages(Integer):
    """How many pipeline registers a block has. `cuts` are the boundaries at which they are, each by the name of the phase in
    front of it, in words: n registers are at the first n, so the first ones are where most is won. Where no configuration has
    all of them, `most` says how many one has at most."""

    def __init__(self, default, most=None, place=1, **cuts):
        places = "; ".join(cuts.values())
        meaning = f"Pipeline registers, at the first so many of these places: {places}."
        super().__init__(default, 0, most or len(cuts), meaning, place=place)
        self.cuts = tuple(cuts)


def pipeline(m, source, phases, cuts):
    """The stream behind all `phases`, with a register at each of the boundaries `cuts`."""
    kind = Register if len(cuts) <= _CHAINED else RunRegister
    run = []

    def cut(name, source):
        if name not in cuts:
            return source
        run.append(staged(m, f"{name}_register", source, kind))
        return run[-1].o

    def end(ready):
        fills = Const(1, 1)
        for stage in reversed(run if kind is RunRegister else []):
            m.d.comb += [stage.ready_at_end.eq(ready), stage.rest_fills.eq(fills)]
            fills = stage.fills
        run.clear()

    source = cut(INPUT, source)
    for phase in phases:
        if phase.waits:
            end(source.ready)
        sink = stream.Signature(phase.shape).create(path=(phase.name,))
        m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready)]
        phase.logic(m, source, sink)
        source = cut(phase.name, sink)
    end(source.ready)
    return source
