"""AXI4-Lite registers, from one table that also makes their description in the manifest and in Markdown."""

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.hdl.parts.axi import AxiLite
from narrowfloat.hdl.parts.logic import Circuit, wire

WORD = 32
ACCESSES = {
    "ro": "read only",
    "rw": "read and write",
    "w1c": "sticky; writing ones clears",
    "strobe": "writing ones acts once; reads as zero",
}
OKAY, SLVERR = 0, 2


@dataclass(frozen=True)
class Field:
    """Bits of a register; `ro`, `rw`, `w1c` and `strobe` make one of that access.

    Parameters
    ----------
    name : str
        Lower-case identifier.
    lsb, width : int
        Where it lies. One that can be written lies within a byte, so that a byte strobe takes it whole.
    description : str
        For the register map.
    access : str
        One of `ACCESSES`.
    reset : int, optional
        Value after reset, 0 unless it is given; for "ro" not known unless it is given.
    slow : bool
        For "ro": the value has to be fetched, and the read takes as long.
    values : dict of str to int
        Of an encoding, the words and their values. A write with another value to what is "rw" changes nothing in its register,
        and answers SLVERR.
    signed : bool
        Whether it is in two's complement.
    fraction_bits : int, optional
        Of a number in fixed point, or of some of its bits: its last bit weighs ``2**-fraction_bits``.
    """

    name: str
    lsb: int
    width: int
    description: str
    access: str
    reset: int | None = None
    slow: bool = False
    values: dict[str, int] | None = None
    signed: bool = False
    fraction_bits: int | None = None

    def __post_init__(self):
        check_choice("access", self.access, ACCESSES)
        check_int("lsb", self.lsb, 0, WORD - 1)
        check_int("width", self.width, 1, WORD - self.lsb)
        if self.reset is None and self.access != "ro":
            object.__setattr__(self, "reset", 0)
        if self.reset is not None:
            check_int("reset", self.reset, 0, 2**self.width - 1 if self.access in ("ro", "rw") else 0)
        if self.access != "ro" and self.lsb // 8 != self.msb // 8:
            raise ValueError(f"bits {self.msb}:{self.lsb} of {self.name} must lie within a byte, as they can be written")
        if self.slow and self.access != "ro":
            raise ValueError(f"{self.name} must be ro to be slow, not {self.access}")

    @property
    def msb(self):
        return self.lsb + self.width - 1


ro, rw, w1c, strobe = (partial(Field, access=access) for access in ACCESSES)


@dataclass(frozen=True)
class Register:
    """A 32-bit register at a byte `address`, a multiple of 4; bits that belong to no field read as zero.

    `index` is the number of a register that is one of several alike (`repeated`), which is also the end of its name.
    """

    name: str
    address: int
    description: str
    fields: tuple[Field, ...]
    index: int | None = None

    def __post_init__(self):
        if self.address % 4:
            raise ValueError(f"address of {self.name} must be a multiple of 4, not {self.address:#x}")
        free = 0
        for field in self.fields:
            if field.lsb < free:
                raise ValueError(f"fields of {self.name} must rise and not overlap, unlike {field.name} at bit {field.lsb}")
            free = field.msb + 1
        if any(field.slow for field in self.fields) and len(self.fields) > 1:
            raise ValueError(f"a slow field must be alone in its register, unlike those of {self.name}")

    @property
    def words(self):
        """The address in words."""
        return self.address // 4


def repeated(count, stride, registers):
    """`count` copies of `registers`, each `stride` bytes above the one before, with its number at the end of the names and in
    place of {} in the descriptions."""
    return [
        replace(
            register,
            name=f"{register.name}{index}",
            address=register.address + stride * index,
            description=register.description.format(index),
            index=index,
        )
        for index in range(count)
        for register in registers
    ]


class Registers(Circuit):
    """Registers behind AXI4-Lite.

    Write address, write data and read address may come in any order and wait for one another as they like. A write takes two
    cycles and a read two, besides what a slow register waits for. Byte strobes are honoured. What has no register answers
    SLVERR, as a value does that an encoding does not have; writing what is read only is OKAY and does nothing. Addresses are
    taken by whole words. No output depends on an input of the same cycle.

    Parameters
    ----------
    table : sequence of Register

    Members
    -------
    axil : In(AxiLite)
    REGISTER_FIELD : for each field, named in lower case
        "ro": In, the value, and where slow the outputs ..._enable, held until the input ..._done, when the value is valid.
        "rw": Out. "w1c": In, bits to set, which wins over clearing. "strobe": Out, the written bits in one cycle.

    Attributes
    ----------
    REGISTER : for each register, named in lower case
        The same members as attributes ``FIELD``, ``FIELD_enable`` and ``FIELD_done``; of `repeated` registers, a list by index.

    Raises
    ------
    ValueError
        Two registers have the same address or name.
    """

    def __init__(self, table):
        self.table = tuple(table)
        for what, shown in (("address", "{:#x}"), ("name", "{}")):
            ((value, count),) = Counter(getattr(register, what) for register in self.table).most_common(1)
            if count > 1:
                raise ValueError(f"registers must differ in {what}, and {count} have {shown.format(value)}")
        members = {"axil": In(AxiLite(max(register.address for register in self.table).bit_length()))}
        for register in self.table:
            members |= {f"{register.name.lower()}_{name}": member for name, member in _members(register).items()}
        super().__init__(members)
        for register in self.table:
            fields = SimpleNamespace(**{name: getattr(self, f"{register.name.lower()}_{name}") for name in _members(register)})
            if register.index is None:
                setattr(self, register.name.lower(), fields)
            else:
                name = register.name.removesuffix(str(register.index)).lower()
                setattr(self, name, [*getattr(self, name, ()), fields])

    def build(self, m):
        values, writes = {}, {}
        for register in self.table:
            for field in register.fields:
                name = _member(register, field)
                member, written = getattr(self, name), self.axil.wdata[field.lsb : field.msb + 1]
                value, write = member, []
                if field.access == "rw":
                    value = Signal(field.width, init=field.reset, name=f"{name}_value")
                    m.d.comb += member.eq(value)
                    write = value.eq(written)
                elif field.access == "w1c":
                    value = Signal(field.width, name=f"{name}_sticky")
                    m.d.sync += value.eq(value | member)
                    write = value.eq(value & ~written | member)
                elif field.access == "strobe":
                    value, write = Const(0, field.width), member.eq(written)
                values[name], writes[name] = value, write
        self._write(m, writes)
        self._read(m, values)

    def _write(self, m, writes):
        axil = self.axil
        take = Signal()  # address and data are both taken in this cycle
        m.d.sync += take.eq(axil.awvalid & axil.wvalid & ~take & (~axil.bvalid | axil.bready))
        m.d.comb += [axil.awready.eq(take), axil.wready.eq(take)]
        with m.If(axil.bready):
            m.d.sync += axil.bvalid.eq(0)
        refused = {register.words: self._refused(m, register) for register in self.table}
        fails = Signal(name="write_fails")
        with m.Switch(axil.awaddr[2:]):
            for register in self.table:
                with m.Case(register.words):
                    m.d.comb += fails.eq(refused[register.words])
            with m.Default():
                m.d.comb += fails.eq(1)
        with m.If(take):
            m.d.sync += [axil.bvalid.eq(1), axil.bresp.eq(Mux(fails, SLVERR, OKAY))]
            with m.Switch(axil.awaddr[2:]):
                for register in self.table:
                    with m.Case(register.words), m.If(~refused[register.words]):
                        for field in register.fields:
                            with m.If(axil.wstrb[field.lsb // 8]):
                                m.d["comb" if field.access == "strobe" else "sync"] += writes[_member(register, field)]

    def _refused(self, m, register):
        """Whether what is written to a register has a value for an encoding that does not have it."""
        unknown = []
        for field in register.fields:
            if field.access == "rw" and field.values and len(set(field.values.values())) < 2**field.width:
                written = self.axil.wdata[field.lsb : field.msb + 1]
                known = Cat(written == value for value in sorted(set(field.values.values()))).any()
                unknown.append(self.axil.wstrb[field.lsb // 8] & ~known)
        return wire(m, 1, Cat(unknown).any(), f"{register.name.lower()}_refused") if unknown else Const(0, 1)

    def _read(self, m, values):
        axil = self.axil
        reading = Signal()
        waiting = Signal()
        word = Signal(len(axil.araddr) - 2)
        m.d.comb += axil.arready.eq(~reading & ~axil.rvalid)
        with m.If(axil.arready & axil.arvalid):
            m.d.sync += [reading.eq(1), word.eq(axil.araddr[2:])]
        with m.If(axil.rready):
            m.d.sync += axil.rvalid.eq(0)
        fails = Signal(name="read_fails")
        content = Signal(WORD, name="content_of_word")
        with m.If(reading):
            m.d.sync += axil.rdata.eq(content)
            with m.If(~waiting):
                m.d.sync += [reading.eq(0), axil.rvalid.eq(1), axil.rresp.eq(Mux(fails, SLVERR, OKAY))]
        with m.Switch(word):
            for register in self.table:
                with m.Case(register.words):
                    m.d.comb += content.eq(_content(register, values))
                    for field in register.fields:
                        if field.slow:
                            name = _member(register, field)
                            enable, done = getattr(self, f"{name}_enable"), getattr(self, f"{name}_done")
                            m.d.comb += [enable.eq(reading), waiting.eq(~done)]
            with m.Default():
                m.d.comb += fails.eq(1)


def _member(register, field):
    return f"{register.name}_{field.name}".lower()


def _content(register, values):
    """The whole word of a `register`: the `values` of its fields, by the names of their members, and zeros between them."""
    parts, end = [], 0
    for field in register.fields:
        parts += [Const(0, field.lsb - end), values[_member(register, field)]]
        end = field.msb + 1
    return Cat(parts)


def _members(register):
    """Members of the signature by the names of the fields of a `register`."""
    members = {}
    for field in register.fields:
        members[field.name] = (In if field.access in ("ro", "w1c") else Out)(field.width)
        if field.slow:
            members |= {f"{field.name}_enable": Out(1), f"{field.name}_done": In(1)}
    return members


def as_json(table):
    """The table as the manifest shows it."""
    return [
        {
            "name": register.name,
            "address": register.address,
            "description": register.description,
            "fields": [_field_as_json(field) for field in register.fields],
        }
        for register in table
    ]


def _field_as_json(field):
    place = {"name": field.name, "lsb": field.lsb, "msb": field.msb, "signed": field.signed, "access": field.access}
    known = {"reset": field.reset, "values": field.values and dict(field.values), "fraction_bits": field.fraction_bits}
    return place | {name: value for name, value in known.items() if value is not None} | {"description": field.description}
