"""A cell of the systolic array, and a row of them."""

from dataclasses import dataclass
from functools import cached_property

from amaranth.hdl import Cat, Mux, Shape, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import pass_bits, segmented_width
from narrowfloat.hdl.bfp.dot import CHUNK_BITS, PassUnit, sum_layout
from narrowfloat.hdl.bfp.segmented import HEAD, SegmentedUnit
from narrowfloat.hdl.parts.logic import Circuit, pick

# Of E - 2 (jx + jy), less a window's exponent.
X_EXPONENT_BITS = 11


@dataclass(frozen=True)
class Layouts:
    """What moves between cells of an array with these parameters of `SystolicArray`."""

    lanes: int
    max_bits: int
    accumulator: str
    width: int

    @cached_property
    def chunk_number(self):
        return range(self.max_bits // CHUNK_BITS)

    @cached_property
    def number(self):
        return data.StructLayout({"magnitude": self.max_bits, "sign": 1})

    @cached_property
    def _chunks(self):
        return data.ArrayLayout(1 + CHUNK_BITS, self.lanes)

    @cached_property
    def group(self):
        return data.StructLayout({"numbers": data.ArrayLayout(self.number, self.lanes), "exponent": 8})

    @cached_property
    def chunk(self):
        return data.StructLayout({"numbers": self._chunks, "exponent": 8})

    @cached_property
    def operand(self):
        return data.StructLayout({"numbers": self._chunks, "exponent": signed(X_EXPONENT_BITS), "nan": 1})

    @cached_property
    def control(self):
        """What a cell does in a cycle: it adds to zero if `fresh`, to its own sum if `in_place`, otherwise to that of the cell
        above; `update` without `enable` takes that over."""
        flags = dict.fromkeys(("enable", "update", "in_place", "fresh", "swap", "lower"), 1)
        return data.StructLayout({**flags, "chunk": self.chunk_number})

    def unit(self):
        """The unit that a cell has."""
        shape = {
            "lanes": self.lanes,
            "max_bits": self.max_bits,
            "fused": True,
            "exponent_bits": X_EXPONENT_BITS + 1,
            "chunk_bits": CHUNK_BITS,
        }
        if self.is_segmented:
            return SegmentedUnit(**shape)
        return PassUnit(accumulator=self.accumulator, width=self.width, **shape)

    @cached_property
    def is_segmented(self):
        return self.accumulator == "segmented"

    @cached_property
    def sum_bits(self):
        if self.is_segmented:
            return segmented_width(pass_bits(self.lanes, self.max_bits))
        return Shape.cast(sum_layout(self.accumulator, self.width)).width

    def heads(self, flow, name, shape=HEAD):
        """The member `name` where sums have a head that moves a cycle before them."""
        return {name: flow(shape)} if self.is_segmented else {}

    def chunk_of(self, element, number):
        """A chunk of a magnitude, number 0 being the highest."""
        chunks = [element.magnitude[CHUNK_BITS * k :][:CHUNK_BITS] for k in reversed(self.chunk_number)]
        return pick(chunks, number)

    def chunks_of(self, elements, number, operand):
        """Assignments of a chunk of each of `elements`, with its sign, to the numbers of `operand`."""
        return [
            result.eq(Cat(self.chunk_of(element, number), element.sign)) for result, element in zip(operand.numbers, elements)
        ]

    def highest(self, group):
        """The highest chunk of a group."""
        numbers = Cat(Cat(element.magnitude[-CHUNK_BITS:], element.sign) for element in group.numbers)
        return data.View(self.chunk, Cat(numbers, group.exponent))


def delayed(m, name, advance, value, cycles, holds=None):
    """`value` some cycles later. With `holds` a register takes it only where that is set: data that nobody looks at stays as it
    is, which saves switching, and needs no reset; without, it starts from zero."""
    for cycle in range(cycles):
        later = Signal(len(value), name=f"{name}_{cycle}", reset_less=holds is not None)
        if holds is None:
            with m.If(advance):
                m.d.sync += later.eq(value)
        else:
            moved = Signal(name=f"{name}_{cycle}_holds")
            with m.If(advance & holds):
                m.d.sync += later.eq(value)
            with m.If(advance):
                m.d.sync += moved.eq(holds)
            holds = moved
        value = later
    return value


class FirstOperand(Circuit):
    """The chunk of a group that enters a row from the left: zeros unless `enable` is set, and an exponent less `below`."""

    def __init__(self, layouts):
        self._layouts = layouts
        super().__init__(
            {
                "group": In(layouts.group),
                "number": In(layouts.chunk_number),
                "below": In(signed(X_EXPONENT_BITS)),
                "enable": In(1),
                "operand": Out(layouts.operand),
            }
        )

    def build(self, m):
        group, operand = self.group, self.operand
        m.d.comb += [operand.exponent.eq(group.exponent - self.below), operand.nan.eq(group.exponent.all())]
        for result, element in zip(operand.numbers, group.numbers):
            bits = self._layouts.chunk_of(element, self.number) & self.enable.replicate(CHUNK_BITS)
            m.d.comb += result.eq(Cat(bits, element.sign))


class FirstChunk(Circuit):
    """The chunk of a group that enters a column from the top, in place."""

    def __init__(self, layouts):
        self._layouts = layouts
        members = {"group": In(layouts.group), "number": In(layouts.chunk_number), "chunk": Out(layouts.chunk)}
        super().__init__(members)

    def build(self, m):
        m.d.comb += self.chunk.exponent.eq(self.group.exponent)
        m.d.comb += self._layouts.chunks_of(self.group.numbers, self.number, self.chunk)


class Cell(Circuit):
    """Multiplies a pair of groups, a chunk of each in a cycle, and adds to its own sum or to that of the cell above.

    Members
    -------
    advance, loads : In(1)
        Everything moves on; the group that waits is replaced.
    control : In(Layouts.control)
    x : In(Layouts.operand)
        From the left.
    top : In(Layouts.chunk)
        What waits in the cell above: of a group its highest chunk.
    loaded : In(Layouts.group)
        What takes the place of the group that waits.
    above : In
        The sum of the cell above.
    waiting : Out(Layouts.group)
    total : Out
        Its own sum.
    above_head, head : In(HEAD), Out(HEAD)
        Only of segmented sums: their heads, a cycle earlier.
    """

    def __init__(self, layouts):
        self._layouts = layouts
        super().__init__(
            {
                "advance": In(1),
                "loads": In(1),
                "control": In(layouts.control),
                "x": In(layouts.operand),
                "top": In(layouts.chunk),
                "loaded": In(layouts.group),
                "above": In(layouts.sum_bits),
                "waiting": Out(layouts.group),
                "total": Out(layouts.sum_bits),
                **layouts.heads(In, "above_head"),
                **layouts.heads(Out, "head"),
            }
        )

    def build(self, m):
        layouts, control = self._layouts, self.control
        m.submodules.unit = unit = layouts.unit()
        waiting, held = (Signal(layouts.group, name=f"{kind}_group", reset_less=True) for kind in ("waiting", "held"))
        # Where sums move down, products of zeros are added: zero whatever is held, once simulators know its signs.
        held_signs = Signal(layouts.lanes)
        y = Signal(layouts.chunk)
        with m.If(control.in_place):
            m.d.comb += y.eq(self.top)
        with m.Else():
            m.d.comb += y.exponent.eq(held.exponent)
            for result, element, sign in zip(y.numbers, held.numbers, held_signs):
                m.d.comb += result.eq(Cat(layouts.chunk_of(element, control.chunk), sign))
        with m.If(self.advance & self.loads):
            m.d.sync += waiting.eq(self.loaded)
        with m.Elif(self.advance & control.in_place):
            # A chunk, which lies where the highest one of a group does.
            m.d.sync += waiting.exponent.eq(self.top.exponent)
            for number, chunk in zip(waiting.numbers, self.top.numbers, strict=True):
                m.d.sync += [number.magnitude[-CHUNK_BITS:].eq(chunk[:CHUNK_BITS]), number.sign.eq(chunk[CHUNK_BITS])]
        with m.If(self.advance & control.swap):
            m.d.sync += [held.eq(waiting), held_signs.eq(Cat(number.sign for number in waiting.numbers))]
        own = Value.cast(unit.total)
        m.d.comb += [
            unit.x.eq(self.x.numbers),
            unit.y.eq(y.numbers),
            unit.exponent.eq(self.x.exponent + y.exponent),
            unit.enable.eq(self.advance & control.enable),
            unit.update.eq(self.advance & control.update),
            unit.nan.eq(control.enable & (self.x.nan | y.exponent.all())),
            unit.lower.eq(control.lower),
            self.waiting.eq(waiting),
            self.total.eq(own),
        ]
        if not layouts.is_segmented:
            m.d.comb += unit.base.eq(Mux(control.in_place, own, self.above) & (~control.fresh).replicate(len(own)))
            return
        start = Signal(HEAD)
        adds = Signal()
        in_place = Signal(reset_less=True)
        with m.If(self.advance):
            m.d.sync += [adds.eq(control.update), in_place.eq(control.in_place)]
        m.d.comb += [
            start.eq(Mux(control.in_place, unit.head, self.above_head)),
            unit.start.eq(start),
            unit.start.begun.eq(start.begun & ~control.fresh),
            unit.adds.eq(self.advance & adds),
            unit.base.eq(Mux(unit.adds & ~in_place, self.above, own)),
            self.head.eq(unit.head),
        ]


class Row(Circuit):
    """Cells side by side: x and what to do move to the right, a cell per cycle.

    Members
    -------
    advance, loads, control, x : In
        As of its first cell.
    loaded, above, waiting, total, above_head, head : In, Out
        Arrays of those of the cells.
    top : In
        As these, of the first row; in the others it is the highest chunk of what is loaded.
    """

    def __init__(self, layouts, columns, is_first):
        self._layouts, self._columns, self._is_first = layouts, columns, is_first

        def each(shape):
            return data.ArrayLayout(shape, columns)

        super().__init__(
            {
                "advance": In(1),
                "loads": In(1),
                "control": In(layouts.control),
                "x": In(layouts.operand),
                **({"top": In(each(layouts.chunk))} if is_first else {}),
                "loaded": In(each(layouts.group)),
                "above": In(each(layouts.sum_bits)),
                "waiting": Out(each(layouts.group)),
                "total": Out(each(layouts.sum_bits)),
                **layouts.heads(In, "above_head", each(HEAD)),
                **layouts.heads(Out, "head", each(HEAD)),
            }
        )

    def build(self, m):
        layouts, control, x = self._layouts, self.control, self.x
        for column in range(self._columns):
            m.submodules[f"cell{column}"] = cell = Cell(layouts)
            m.d.comb += [
                cell.advance.eq(self.advance),
                cell.loads.eq(self.loads),
                cell.control.eq(control),
                cell.x.eq(x),
                cell.top.eq(self.top[column] if self._is_first else layouts.highest(self.loaded[column])),
                cell.loaded.eq(self.loaded[column]),
                cell.above.eq(self.above[column]),
                self.waiting[column].eq(cell.waiting),
                self.total[column].eq(cell.total),
            ]
            if layouts.is_segmented:
                m.d.comb += [cell.above_head.eq(self.above_head[column]), self.head[column].eq(cell.head)]
            if column + 1 < self._columns:
                moves = control.enable | control.update
                x = data.View(layouts.operand, delayed(m, f"x{column}", self.advance, x.as_value(), 1, moves))
                control = data.View(layouts.control, delayed(m, f"control{column}", self.advance, control.as_value(), 1))
