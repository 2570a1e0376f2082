"""Parts of which streaming blocks are made."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class Register(wiring.Component):
    """A pipeline stage: holds one transfer, and takes the next in the cycle in which it gives this one away.

    Latency 1, one transfer per clock. `ready` passes through combinationally, so a chain of stages closes up behind a stall and
    holds one transfer per stage.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i : In(stream.Signature(shape))
    o : Out(stream.Signature(shape))
    """

    def __init__(self, shape):
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        valid = Signal()
        payload = Signal(self._shape, reset_less=True)
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(payload), self.i.ready.eq(self.o.ready | ~valid)]
        with m.If(self.i.ready):
            m.d.sync += valid.eq(self.i.valid)
        # A separate enable keeps the data quiet while nothing arrives: no toggling, no reset.
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += payload.eq(self.i.payload)
        return m


def beats(shape, lanes, user):
    """Signature of a stream whose transfers become AXI4-Stream beats.

    Its payload is {data: `lanes` of `shape`, last, user: a struct of the fields `user`}.
    """
    return beats_of(data.ArrayLayout(shape, lanes), user)


def beats_of(layout, user):
    """Signature of a stream of beats whose data is a `layout` of any kind."""
    return stream.Signature(_beat({"data": layout}, user))


def two_halves(m, i, o, middle, stages, first, second):
    """Build a block of two combinational halves between the streams of beats `i` and `o`, with 0 to 3 pipeline registers.

    ``first(m, source, sink)`` and ``second(m, source, sink)`` add the logic from the payload of one stream to that of the next.
    The fields `middle` travel between them beside `last` and the tag `user.user`, which pass through all. The first register
    goes to the output, the second between the halves, the third to the input: first cut what is longest.
    """
    tag = {"user": o.p.user.user.shape()} if "user" in dict(iter(o.p.user.shape())) else {}
    source = registered(m, "input_register", i) if stages >= 3 else i
    halfway = _between(m, "halfway", source, _beat(middle, tag), first)
    if stages >= 2:
        halfway = registered(m, "middle_register", halfway)
    result = _between(m, "result", halfway, o.payload.shape(), second)
    if stages >= 1:
        result = registered(m, "output_register", result)
    m.d.comb += [o.valid.eq(result.valid), result.ready.eq(o.ready), o.payload.eq(result.payload)]


def _beat(fields, user):
    return data.StructLayout({**fields, "last": 1, "user": data.StructLayout(user)})


def _between(m, name, source, shape, half):
    sink = stream.Signature(shape).create(path=(name,))
    m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready), sink.p.last.eq(source.p.last)]
    if "user" in dict(iter(sink.p.user.shape())):
        m.d.comb += sink.p.user.user.eq(source.p.user.user)
    half(m, source, sink)
    return sink


def registered(m, name, source):
    """The stream `source` behind a `Register`, which becomes the submodule `name`."""
    m.submodules[name] = stage = Register(source.payload.shape())
    m.d.comb += [
        stage.i.valid.eq(source.valid),
        source.ready.eq(stage.i.ready),
        stage.i.payload.eq(source.payload),
    ]
    return stage.o
