"""Parts of which streaming blocks are made."""

from amaranth.hdl import Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.parts.logic import Circuit


class _Stage(Circuit):
    """What a stream passes through, a transfer per clock, with a latency of 1.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    def __init__(self, shape, **more):
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), **more})

    def _hold(self, m, valid):
        """A register that takes a transfer whenever it is ready for one."""
        payload = Signal(self._shape, reset_less=True)
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(payload)]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
        # A separate enable keeps the data quiet while nothing arrives: no toggling, no reset.
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += payload.eq(self.i.payload)


class Register(_Stage):
    """A pipeline stage: holds one transfer, and takes the next in the cycle in which it gives this one away.

    `ready` passes through combinationally, so a chain of stages closes up behind a stall and holds one transfer per stage.
    """

    def build(self, m):
        valid = Signal()
        m.d.comb += self.i.ready.eq(self.o.ready | ~valid)
        self._hold(m, valid)


class RunRegister(_Stage):
    """A pipeline stage in a run of them, whose `ready` is a gate away from the consumer's however long the run is.

    It moves as a chain of `Register` does, and knows from a register of its own whether it and all stages behind it are taken.

    Members
    -------
    ready_at_end : In(1)
        That of what takes transfers from the run's last stage.
    rest_fills : In(1)
        All stages behind it hold a transfer after this cycle; 1 if there are none.
    fills : Out(1)
        So do it and those behind it.
    """

    def __init__(self, shape):
        super().__init__(shape, ready_at_end=In(1), rest_fills=In(1), fills=Out(1))

    def build(self, m):
        valid = Signal()
        full = Signal()
        m.d.comb += [
            self.i.ready.eq(self.ready_at_end | ~full),
            self.fills.eq((self.i.valid | ~self.i.ready) & self.rest_fills),
        ]
        m.d.sync += full.eq(self.fills)
        self._hold(m, valid)


class SkidBuffer(_Stage):
    """A pipeline stage that no path crosses: all its outputs are registers.

    It holds two transfers, as one more may arrive when `ready` falls a cycle after the stall. `ready` is low in reset.
    """

    def build(self, m):
        ready = Signal()
        valid = Signal()
        payload, spare = (Signal(self._shape, reset_less=True, name=name) for name in ("payload", "spare"))
        waits = Signal()  # a transfer, in `spare`
        taken = Signal()
        moves = Signal()
        m.d.comb += [
            self.i.ready.eq(ready),
            self.o.valid.eq(valid),
            self.o.payload.eq(payload),
            taken.eq(self.i.valid & ready),
            moves.eq(self.o.ready | ~valid),
        ]
        m.d.sync += [waits.eq(~moves & (waits | taken)), ready.eq(moves | ~(waits | taken))]
        with m.If(moves):
            m.d.sync += valid.eq(waits | taken)
        with m.If(moves & waits):
            m.d.sync += payload.eq(spare)
        with m.Elif(moves & taken):
            m.d.sync += payload.eq(self.i.payload)
        with m.If(~moves & taken):
            m.d.sync += spare.eq(self.i.payload)


def beats(shape, lanes, user):
    """Signature of a stream whose transfers become AXI4-Stream beats.

    Its payload is {data: `lanes` of `shape`, last, user: a struct of the fields `user`}.
    """
    return beats_of(data.ArrayLayout(shape, lanes), user)


def beats_of(layout, user):
    """Signature of a stream of beats whose data is a `layout` of any kind."""
    return stream.Signature(data.StructLayout({"data": layout, "last": 1, "user": data.StructLayout(user)}))


def registered(m, name, source):
    """The stream `source` behind a `Register`, which becomes the submodule `name`."""
    return staged(m, name, source, Register).o


def staged(m, name, source, kind):
    """A stage of that kind that takes the stream `source`, which becomes the submodule `name`."""
    m.submodules[name] = stage = kind(source.payload.shape())
    m.d.comb += [
        stage.i.valid.eq(source.valid),
        source.ready.eq(stage.i.ready),
        stage.i.payload.eq(source.payload),
    ]
    return stage
