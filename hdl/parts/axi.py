"""Tops with flat AXI4-Stream and AXI4-Lite ports, around blocks that have streams of beats and registers, or listen to a stream."""

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


class AxiLite(wiring.Signature):
    """AXI4-Lite with 32 bits of data, as its master sees it.

    Parameters
    ----------
    address_bits : int
    """

    def __init__(self, address_bits):
        super().__init__(
            {
                **_channel("aw", Out, {"addr": address_bits, "prot": 3}),
                **_channel("w", Out, {"data": 32, "strb": 4}),
                **_channel("b", In, {"resp": 2}),
                **_channel("ar", Out, {"addr": address_bits, "prot": 3}),
                **_channel("r", In, {"data": 32, "resp": 2}),
            }
        )


def _channel(name, outward, payload):
    inward = In if outward is Out else Out
    members = {f"{name}{part}": outward(width) for part, width in payload.items()}
    return members | {f"{name}valid": outward(1), f"{name}ready": inward(1)}


class AxiStreamTop(wiring.Component):
    """Flat ports for a block with streams of beats (see `hdl.parts.stream.beats`), and maybe registers.

    The port ``s_axis_tdata`` is the data of the payload of the block's stream `i`, lane 0 lowest; ``s_axis_tkeep`` its keep,
    where it has that; ``s_axis_tlast`` its last; ``s_axis_tuser`` its user struct, first field lowest, and absent where that
    has no bits. ``m_axis_...`` are those of the stream `o`; streams of other names give their ports these. An `AxiLite` called
    `axil` becomes ``s_axil_...``. A block without registers of any kind has no clock and no reset.

    Parameters
    ----------
    block : wiring.Component
    reset : str
        One of `RESETS`; the port is called rst, or rst_n if it is active low.

    Attributes
    ----------
    facts : dict
        What the manifest says of it besides its ports; `facts` of the block are added.
    registers : sequence of hdl.parts.registers.Register
        Those of the block, which may have none.
    """

    def __init__(self, block, reset="sync_high"):
        self._block = block
        self._reset = reset
        self.reset_name = "rst_n" if reset.endswith("_low") else "rst"
        self.fields = {}
        self.facts = {"latency": block.latency, "initiation_interval": 1, **getattr(block, "facts", {})}
        self.registers = getattr(block, "registers", ())
        members = {"clk": In(1), self.reset_name: In(1)} if block.clocked else {}
        for prefix, member, face in self._faces():
            inward, outward = (In, Out) if member.flow is In else (Out, In)
            if not hasattr(face, "payload"):
                members |= {f"{prefix}_{name}": part for name, part in face.signature.members.items()}
                continue
            layout = face.payload.shape()
            members |= {f"{prefix}_tvalid": inward(1), f"{prefix}_tready": outward(1), f"{prefix}_tlast": inward(1)}
            if "keep" in dict(iter(layout)):
                members[f"{prefix}_tkeep"] = inward(layout["keep"].width)
            for port, part in (("tdata", "data"), ("tuser", "user")):
                shape = layout[part].shape
                if width := Shape.cast(shape).width:
                    members[f"{prefix}_{port}"] = inward(width)
                    self.fields[f"{prefix}_{port}"] = list(_fields(shape, "lane" if port == "tdata" else ""))
        super().__init__(members)

    def _faces(self):
        """Prefix of the ports, member of the signature, and the interface, of each stream and of the registers."""
        prefixes = {"i": "s_axis", "o": "m_axis", "axil": "s_axil"}
        return [
            (prefixes.get(name, name), member, getattr(self._block, name))
            for name, member in self._block.signature.members.items()
        ]

    def elaborate(self, platform):
        m = Module()
        if self._block.clocked:
            _clock(m, self, self._reset)
        m.submodules.block = self._block
        for prefix, _, face in self._faces():
            if not hasattr(face, "payload"):
                pairs = [(name, getattr(face, name)) for name in face.signature.members]
            else:
                payload = face.payload
                pairs = [("tvalid", face.valid), ("tready", face.ready), ("tlast", payload.last)]
                pairs += [("tdata", payload.data.as_value()), ("tuser", payload.user.as_value())]
                if "keep" in dict(iter(payload.shape())):
                    pairs.append(("tkeep", payload.keep))
            for name, inner in pairs:
                if (port := f"{prefix}_{name}") in self.signature.members:
                    is_input = self.signature.members[port].flow is In
                    m.d.comb += inner.eq(getattr(self, port)) if is_input else getattr(self, port).eq(inner)
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
        self.registers = ()
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
    for key, field in shape if isinstance(shape, data.Layout) else ():
        if isinstance(shape, data.ArrayLayout):
            yield Field(f"{prefix}{key}", field.offset, field.offset + field.width - 1)
        elif isinstance(field.shape, data.ArrayLayout):
            for inner in _fields(field.shape, key):
                yield Field(inner.name, field.offset + inner.lsb, field.offset + inner.msb)
        else:
            yield Field(key, field.offset, field.offset + field.width - 1)
