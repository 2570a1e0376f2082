"""The S2FP8 parameters of each tensor type."""

from amaranth.hdl import Const, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.s2fp8 import MEAN_BITS
from narrowfloat.hdl.memory.streams import type_bits
from narrowfloat.hdl.parts.logic import Circuit, pick, wire
from narrowfloat.hdl.s2fp8 import NEUTRAL, PARAMETERS, S2Parameters


class ParameterKeeper(Circuit):
    """The S2FP8 parameters of each type: one unit computes them when statistics of a type are new, one type after the other.

    Equation: as `hdl.s2fp8.S2Parameters`.

    Latency: 38 cycles, and as many for each other type that waits before. Throughput: parameters of one type in 37 cycles.

    Parameters
    ----------
    types : int

    Members
    -------
    mean, max : In
        Of each type, from `hdl.statistics.LogMoments`.
    ends : In(types)
        They are new in this cycle.
    load, given : In
        For types with a bit in `load`, the mean and max of `given` are to be taken instead, until the type's next end.
        They stay as they are until `busy` is over.
    parameters : Out
    busy : Out(types)
        They are not yet those of the newest statistics.
    """

    def __init__(self, types):
        self._types = types
        of_types = data.ArrayLayout(MEAN_BITS, types)
        super().__init__(
            {
                "mean": In(of_types),
                "max": In(of_types),
                "ends": In(types),
                "load": In(types),
                "given": In(data.StructLayout({"mean": MEAN_BITS, "max": MEAN_BITS})),
                "parameters": Out(data.ArrayLayout(PARAMETERS, types), init=[NEUTRAL] * types),
                "busy": Out(types),
            }
        )

    def build(self, m):
        m.submodules.unit = unit = S2Parameters()
        stale = Signal(self._types)
        loaded = Signal(self._types)
        computing = Signal()
        starts = Signal()
        done = Signal()
        type_ = Signal(type_bits(self._types))
        here = wire(m, self._types, Const(1, 1) if self._types == 1 else Const(1, self._types) << type_)
        is_loaded = wire(m, 1, (loaded & here).any())
        m.d.comb += [
            starts.eq(~computing & (stale & here).any()),
            done.eq(unit.o.valid),
            unit.i.valid.eq(computing & ~done),
            unit.o.ready.eq(1),
            self.busy.eq(stale | self.ends | computing.replicate(self._types) & here),
        ]
        with m.If(is_loaded):
            m.d.comb += unit.i.p.data.eq(self.given)
        with m.Else():
            for name in ("mean", "max"):
                m.d.comb += unit.i.p.data[name].eq(pick(getattr(self, name), type_))
        m.d.sync += [
            computing.eq(starts | computing & ~done),
            stale.eq(stale & ~(starts.replicate(self._types) & here) | self.ends | self.load),
            loaded.eq(loaded & ~self.ends | self.load),
        ]
        with m.If(~starts & ~computing | done):
            m.d.sync += type_.eq(type_ + 1)
        for t in range(self._types):
            # what has become stale meanwhile may be of two statistics, and comes again
            with m.If(done & here[t] & ~stale[t]):
                m.d.sync += self.parameters[t].eq(unit.o.p.data)
