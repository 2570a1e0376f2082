"""Tops with flat ports, as in AXI4-Stream, around blocks that have streams of beats or listen to one."""

from dataclasses import dataclass

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Shape, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

RESETS = ("sync_high", "sync_low", "async_high", "async_low")


@dataclass(frozen=True)
class Field:
    """A named range of the bits of a port."""

    name: str
    lsb: int
    msb: int


class AxiStreamTop(wiring.Component):
    """Flat ports for a block with a stream of beats `i` and one `o` (see `hdl.stream.beats`).

    The port ``s_axis_tdata`` is the payload's data, lane 0 lowest; ``s_axis_tlast`` its last; ``s_axis_tuser`` its user struct,
    first field lowest, and absent where that has no bits. ``m_axis_...`` likewise. A block without registers has no clock and no
    reset.

    Parameters
    ----------
    block : wiring.Component
    reset : str
        One of `RESETS`; the port is called rst, or rst_n if it is active low.
    """

    def __init__(self, block, reset="sync_high"):
        self._block = block
        self._reset = reset
        self.reset_name = "rst_n" if reset.endswith("_low") else "rst"
        self.fields = {}
        self.facts = {"latency": block.latency, "initiation_interval": 1}
        members = {"clk": In(1), self.reset_name: In(1)} if block.clocked else {}
        for prefix, stream, inward, outward in (("s_axis", block.i, In, Out), ("m_axis", block.o, Out, In)):
            layout = stream.payload.shape()
            members |= {f"{prefix}_tvalid": inward(1), f"{prefix}_tready": outward(1), f"{prefix}_tlast": inward(1)}
            for port, part in (("tdata", "data"), ("tuser", "user")):
                shape = layout[part].shape
                if width := Shape.cast(shape).width:
                    members[f"{prefix}_{port}"] = inward(width)
                    self.fields[f"{prefix}_{port}"] = list(_fields(shape, "lane" if port == "tdata" else ""))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if self._block.clocked:
            _clock(m, self, self._reset)
        m.submodules.block = block = self._block
        for prefix, stream in (("s_axis", block.i), ("m_axis", block.o)):
            pairs = [(f"{prefix}_tvalid", stream.valid), (f"{prefix}_tlast", stream.p.last)]
            pairs += [(f"{prefix}_tdata", stream.p.data.as_value()), (f"{prefix}_tuser", stream.p.user.as_value())]
            for name, inner in pairs:
                if (port := getattr(self, name, None)) is not None:
                    m.d.comb += inner.eq(port) if prefix == "s_axis" else port.eq(inner)
            ready = getattr(self, f"{prefix}_tready")
            m.d.comb += ready.eq(stream.ready) if prefix == "s_axis" else stream.ready.eq(ready)
        return m


class TapTop(wiring.Component):
    """Flat ports for a block that listens to a stream (see `hdl.statistics`).

    ``tap_tdata``, ``tap_tvalid`` and ``tap_tuser``, the tensor type, go to the AXI4-Stream that is listened to, with
    ``tap_tvalid`` high in the cycles in which a beat is transferred; ``tap_tkeep`` has one bit for each lane, not for each byte. The other
    ports are the block's members, ``end_valid`` and the like. A port without bits is absent, as types are where there is one.

    Parameters
    ----------
    block : wiring.Component
    reset : str
        One of `RESETS`.
    """

    def __init__(self, block, reset="sync_high"):
        self._block = block
        self._reset = reset
        self.reset_name = "rst_n" if reset.endswith("_low") else "rst"
        self.fields = {}
        self.facts = {"latency": block.latency, "initiation_interval": 1, "statistics": list(block.statistics)}
        self._inner = {}
        members = {"clk": In(1), self.reset_name: In(1)}
        for path, member, inner in block.signature.flatten(block):
            name = _TAP.get(path, "_".join(path))
            if width := Shape.cast(member.shape).width:
                members[name] = member.flow(width)
                self._inner[name] = inner, member.flow
                if isinstance(member.shape, data.ArrayLayout):
                    self.fields[name] = list(_fields(member.shape, "lane" if name == "tap_tdata" else "type"))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        _clock(m, self, self._reset)
        m.submodules.block = self._block
        for name, (inner, flow) in self._inner.items():
            port, inner = getattr(self, name), Value.cast(inner)
            m.d.comb += inner.eq(port) if flow is In else port.eq(inner)
        return m


_TAP = {
    ("observe", part): f"tap_t{port}"
    for part, port in zip(("valid", "type", "keep", "words"), ("valid", "user", "keep", "data"))
}


def _clock(m, top, reset):
    m.domains.sync = ClockDomain(async_reset=reset.startswith("async"))
    port = getattr(top, top.reset_name)
    m.d.comb += [ClockSignal().eq(top.clk), ResetSignal().eq(~port if reset.endswith("_low") else port)]


def _fields(shape, prefix):
    """Named bit ranges of a packed struct or array; an array's elements are its name and their number."""
    items = shape if isinstance(shape, data.Layout) else ()
    for key, field in items:
        if isinstance(shape, data.StructLayout) and isinstance(field.shape, data.ArrayLayout):
            for inner in _fields(field.shape, key):
                yield Field(inner.name, field.offset + inner.lsb, field.offset + inner.msb)
        else:
            yield Field(f"{prefix}{key}", field.offset, field.offset + field.width - 1)
