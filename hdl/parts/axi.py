"""Tops with flat AXI4-Stream and AXI4-Lite ports, for blocks with streams and registers and blocks that listen to a stream."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import EnumMeta

from amaranth.hdl import ClockSignal, ResetSignal, Shape, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.parts.logic import Circuit
from narrowfloat.hdl.parts.stream import SkidBuffer
from narrowfloat.hdl.verilog import hierarchy

RESETS = ("sync_high", "sync_low", "async_high", "async_low")
READIES = ("combinational", "registered")


@dataclass(frozen=True)
class Field:
    """A named range of the bits of a port.

    `signed` is what is in two's complement. Of an encoding `values` are its words with their values; of a number in fixed point
    `fraction_bits` lie below its point; of a struct `parts` are the widths of its members, the lowest first.
    """

    name: str
    lsb: int
    msb: int
    signed: bool
    values: dict[str, int] | None = None
    fraction_bits: int | None = None
    parts: dict[str, int] | None = None

    def as_json(self):
        """The field as the manifest shows it."""
        return {name: value for name, value in vars(self).items() if value is not None}


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


class _Top(Circuit):
    """Flat ports for a `hdl.block.Block`.

    The ``_ports()`` of a subclass yields of each the name, the flow, what it stands for in the block, its shape, and what its
    elements are called, or it as a whole if it is no layout; of handshakes and AXI4-Lite that is empty. `_output` is what the
    latency of a block with one output leads to.

    Parameters
    ----------
    block : hdl.block.Block
    reset : str
        One of `RESETS`; the port is called rst, or rst_n if it is active low. A top without registers of any kind has no
        clock and no reset.
    ready : str
        One of `READIES`: whether each stream enters through a `SkidBuffer`.

    Attributes
    ----------
    fields : dict of lists of Field
        By the name of the port.
    padding : dict of int
        By the name of the port, how many upper bits fill TDATA up to whole bytes: zeros that leave, ignored where they enter.
    facts : dict
        What the manifest says of the top besides its ports.
    registers : sequence of hdl.parts.registers.Register
        Those of the block, which may have none.
    seeded : bool
        As of the block.
    """

    def __init__(self, block, reset="sync_high", ready="combinational"):
        self._block = block
        self._reset = reset
        self._is_buffered = ready == "registered"
        self._buffers = {}
        self.reset_name = "rst_n" if reset.endswith("_low") else "rst"
        self.is_asynchronous = reset.startswith("async")
        self.registers = block.registers
        self.seeded = block.seeded
        latency = block.latency if isinstance(block.latency, Mapping) else {self._output: block.latency}
        latency = {output: cycles + self._is_buffered for output, cycles in latency.items()}
        self.facts = {"latency": latency, "initiation_interval": block.initiation_interval, **block.facts}
        if block.statistics:
            self.facts["statistics"] = list(block.statistics)
        self.fields, self.padding, self._inner = {}, {}, {}
        self._is_clocked = self._is_buffered or block.clocked(vars(block))
        members = {"clk": In(1), self.reset_name: In(1)} if self._is_clocked else {}
        for name, flow, inner, shape, element in self._ports():
            if width := Shape.cast(shape).width:
                if padding := -width % 8 if name.endswith("_tdata") else 0:
                    self.padding[name] = padding
                members[name] = flow(width + padding)
                self._inner[name] = flow, Value.cast(inner)
                if fields := list(_fields(name, shape, element, block)):
                    self.fields[name] = fields
        super().__init__(members)

    def build(self, m):
        if self._is_clocked:
            _clock(m, self, self._reset)
        self._block.add_to(m)
        for name, (buffer, side) in self._buffers.items():
            m.submodules[f"{name}_buffer"] = buffer
            wiring.connect(m, buffer.o, side)
        for name, (flow, inner) in self._inner.items():
            port = getattr(self, name)
            m.d.comb += inner.eq(port) if flow is In else port.eq(inner)


class AxiStreamTop(_Top):
    """Flat ports for a block with streams of beats (see `hdl.parts.stream.beats`), and maybe registers.

    The port ``s_axis_tdata`` is the data of the payload of the block's stream `i`, lane 0 lowest, in whole bytes;
    ``s_axis_tkeep`` its keep, where it has that; ``s_axis_tlast`` its last; ``s_axis_tuser`` its user struct, first field
    lowest, and absent where that has no bits. ``m_axis_...`` are those of the stream `o`; streams of other names give their
    ports these. An `AxiLite` called `axil` becomes ``s_axil_...``, and a member that is a port keeps its name.
    """

    _output = "m_axis"

    def _ports(self):
        prefixes = {"i": "s_axis", "o": "m_axis", "axil": "s_axil"}
        for name, member in self._block.signature.members.items():
            prefix, side = prefixes.get(name, name), getattr(self._block, name)
            if member.is_port:
                yield name, member.flow, side, member.shape, _MEANT.get(name, name)
                continue
            if not isinstance(member.signature, stream.Signature):
                for part, port in side.signature.members.items():
                    yield f"{prefix}_{part}", port.flow, getattr(side, part), port.shape, ""
                continue
            inward, outward = (In, Out) if member.flow is In else (Out, In)
            if self._is_buffered and member.flow is In:
                buffer = SkidBuffer(side.payload.shape())
                self._buffers[prefix] = buffer, side
                side = buffer.i
            payload = side.payload
            layout = payload.shape()
            yield f"{prefix}_tvalid", inward, side.valid, 1, ""
            yield f"{prefix}_tready", outward, side.ready, 1, ""
            yield f"{prefix}_tlast", inward, payload.last, 1, ""
            if "keep" in layout.members:
                yield f"{prefix}_tkeep", inward, payload.keep, data.ArrayLayout(1, layout["keep"].width), "byte"
            yield f"{prefix}_tdata", inward, payload.data, layout["data"].shape, "lane"
            yield f"{prefix}_tuser", inward, payload.user, layout["user"].shape, ""


class TapTop(_Top):
    """Flat ports for a block that listens to a stream (see `hdl.statistics`).

    ``tap_tdata``, ``tap_tvalid`` and ``tap_tuser``, the tensor type, go to the AXI4-Stream that is listened to, with
    ``tap_tvalid`` high in the cycles in which a beat is transferred; ``tap_tkeep`` has one bit for each lane, not for each
    byte. The other ports are the block's members, ``end_valid`` and the like. A port without bits is absent, as types are
    where there is one.
    """

    _output = "bias"

    def _ports(self):
        for path, member, inner in self._block.signature.flatten(self._block):
            name, part = _TAP.get(path, "_".join(path)), path[-1]
            shape = data.ArrayLayout(1, member.shape) if part in ("keep", "settled", "busy") else member.shape
            element = "lane" if path[0] == "observe" else "type"
            yield name, member.flow, inner, shape, element if isinstance(shape, data.Layout) else _MEANT.get(part, part)


# Ports of another name than what they hold, and handshakes.
_MEANT = {"seed_in": "seed"} | dict.fromkeys(("seed_load", "valid", "enable", "done"), "")
_TAP = {
    ("observe", part): f"tap_t{port}"
    for part, port in zip(("valid", "type", "keep", "words"), ("valid", "user", "keep", "data"))
}


def _clock(m, top, reset):
    m.domains.sync = hierarchy.domain("sync")
    port = getattr(top, top.reset_name)
    m.d.comb += [ClockSignal().eq(top.clk), ResetSignal().eq(~port if reset.endswith("_low") else port)]


def _fields(name, shape, element, block):
    """Named bit ranges of what is called `name`: of an array `element` and their numbers, of a number `element` alone."""
    if element and not isinstance(shape, data.Layout):
        bits = Shape.cast(shape)
        yield Field(element, 0, bits.width - 1, bits.signed, block.encodings.get(element))
    for key, field in shape if isinstance(shape, data.Layout) else ():
        in_array = isinstance(shape, data.ArrayLayout)
        if isinstance(field.shape, data.ArrayLayout) and not in_array:
            for inner in _fields(key, field.shape, key, block):
                yield replace(inner, lsb=field.offset + inner.lsb, msb=field.offset + inner.msb)
        elif field.width:
            meant = name if in_array else key
            values = block.encodings.get(meant)
            if values is None and isinstance(field.shape, EnumMeta):
                values = {word.name.lower(): word.value for word in field.shape}
            yield Field(
                name=f"{element}{key}" if in_array else key,
                lsb=field.offset,
                msb=field.offset + field.width - 1,
                signed=Shape.cast(field.shape).signed,
                values=values and dict(values),
                fraction_bits=block.fraction_bits.get(meant),
                parts=_parts(field.shape),
            )


def _parts(shape):
    """Widths of the members of a struct by name, None of anything else."""
    return {name: member.width for name, member in shape if member.width} if isinstance(shape, data.StructLayout) else None
