"""Matrix products of block floating point on a systolic array, with one operand held still, or the results."""

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BLOCK_MAN_BITS, MAX_GROUP, MIN_GROUP
from narrowfloat.hdl.bfp.common import fields_of
from narrowfloat.hdl.bfp.mac import ACCUMULATORS, CHUNK_BITS, FIXED_WIDTHS, PassUnit
from narrowfloat.hdl.block import Block, Choice, Effect, Integer
from narrowfloat.hdl.parts.logic import pick

MAX_SIDE = 16
WINDOW_BITS = 9
# Of E - 2 (jx + jy), less a window's exponent.
_X_EXPONENT_BITS = 11


class SystolicArray(Block):
    """Matrix products of block floating point: `rows` by `columns` cells, each of which multiplies a pair of groups, 2 by 2
    mantissa bits per clock.

    Beats enter at the left, a group for each row, and move to the right; other groups enter at the top, one for each column,
    and move down; results leave at the bottom. A beat of mx bits with groups of my bits takes mx/2 * my/2 cycles.

    ==========  ===================  ======================  ===============================================================
    dataflow    left                 top                     a result is
    ==========  ===================  ======================  ===============================================================
    stationary  x, a beat per        a tile of y, held still the sum over the rows: ``sum over r of x[r] . y[r, c]``, for
                result               for any number of beats each beat
    in place    x, a beat per step   y, a beat per step      the sum over the beats: ``sum over k of x[k, r] . y[k, c]``,
                                                             for each cell
    ==========  ===================  ======================  ===============================================================

    So the three products of training run on one array, and nothing is transposed, since groups lie along what is summed over:

    ========  ==============  ==========================  ========================  ===========================
    product   dataflow        left, for row r             top, for column c         results
    ========  ==============  ==========================  ========================  ===========================
    O = A W   stationary      A[m, group r of k]          W[group r of k, n = c]    a row of O per beat
    dA= dO W' stationary      dO[m, group r of n]         W[k = c, group r of n]    a row of dA per beat
    dW= A' dO in place        A[group of m, k = r]        dO[group of m, n = c]     rows of dW, the last first
    ========  ==============  ==========================  ========================  ===========================

    A tile is loaded in `rows` beats, that of the last row first, while the one before it is in use: there are two registers in
    each cell. A beat at the left with `swap` set waits until a tile has been loaded whole and takes it into use; the first one
    after reset does so in any case. Beats in place pass through the registers of the tile that waits, and so discard it.

    The sums of a tile start from zero, or with `resume` from those at `s_sums`: so a reduction that is longer than the array is
    high goes through it several times. In place they start from zero after each `last`; with `last` the results leave, a row
    per cycle, which takes ``rows - 1`` cycles in which nothing is added.

    Arithmetic is that of `PassUnit` with `fused`: the passes of a group are added as integers, and groups one after the other,
    as in `golden.bfp.matmul`. A fixed accumulator's last bit means ``2**(window - 256)``. A group whose exponent is 255 is
    NaN: see `FastMac`.

    Everything moves on in the same cycles: as long as a result waits at the output nothing does. Idle cycles at the left become
    gaps.

    Latency: ``rows + columns - 1`` cycles from the last pass of a beat. Throughput: a pass per cycle; a swap takes a cycle.
    `ready` is combinational from `o` to the inputs, and in place also between `i` and `s_columns`.

    FAST has a second path of sums, to the right, so that W lies in the array for dA as it does for O. That takes a selector of
    the adder's operand in each cell, and nothing is saved: the groups for dA lie along n, and have to be loaded anyway.

    Sources: FAST, HPCA 2022, arXiv 2110.15456, for the dataflows. What is not known of its array is our choice.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {x: lanes of all rows {magnitude, sign}, exponent: [rows]}, last, user: {in_place, swap, resume, chunks,
        window}}; an exponent is E, which of formats with 3 or 4 bits is the code and the tensor's offset; chunks is the number
        of 2 bits that the groups have, less 1; only with "fixed" there is a window.
    s_columns : In(stream.Signature)
        Payload {data: {y: lanes of all columns, exponent: [columns]}, last, user: {in_place, chunks}}: a row of a tile, or what
        goes with the beat at the left. `last` is ignored.
    s_sums : In(stream.Signature)
        Payload {data: {sum: [columns]}, last, user: {saturated: [columns]}}, `user` only with "fixed". `last` is ignored.
    o : Out(stream.Signature)
        As `s_sums`. `last` goes with the result of a beat that had it; in place with the last row of results.
    """

    rows = Integer(4, 1, MAX_SIDE, "Rows of cells.")
    columns = Integer(4, 1, MAX_SIDE, "Columns of cells.")
    lanes = Integer(16, MIN_GROUP, MAX_GROUP, "Numbers in a group.")
    max_bits = Choice(4, BLOCK_MAN_BITS, "The most mantissa bits of a group. Of a narrower group the bits are the highest.")
    accumulator = Choice("fixed", ACCUMULATORS, "What passes are added to: fixed-point sums, or binary32.")
    width = Integer(32, *FIXED_WIDTHS, "Bits of the fixed accumulators.")
    effects = (Effect("with the fixed accumulators", lambda accumulator: accumulator == "fixed", ("width",)),)

    @property
    def latency(self):
        return self.rows + self.columns - 1

    def prepare(self):
        self._unit = {
            "lanes": self.lanes,
            "accumulator": self.accumulator,
            "width": self.width,
            "max_bits": self.max_bits,
            "fused": True,
            "exponent_bits": _X_EXPONENT_BITS + 1,
        }
        self._fixed = self.accumulator == "fixed"
        self._chunks = self.max_bits // CHUNK_BITS
        self._chunk_number = range(self._chunks)
        self._number = data.StructLayout({"magnitude": self.max_bits, "sign": 1})
        chunks = data.ArrayLayout(1 + CHUNK_BITS, self.lanes)
        self._group = data.StructLayout({"numbers": data.ArrayLayout(self._number, self.lanes), "exponent": 8})
        self._chunk = data.StructLayout({"numbers": chunks, "exponent": 8})
        self._operand = data.StructLayout({"numbers": chunks, "exponent": signed(_X_EXPONENT_BITS), "nan": 1})
        # What a cell does in a cycle: it adds to zero if `fresh`, to its own sum if `in_place`, otherwise to that of the cell
        # above; `update` without `enable` takes that over.
        flags = dict.fromkeys(("enable", "update", "in_place", "fresh", "swap", "lower"), 1)
        self._control = data.StructLayout({**flags, "chunk": self._chunk_number})

    def members(self):
        def groups(name, count):
            return {name: data.ArrayLayout(self._number, count * self.lanes), "exponent": data.ArrayLayout(8, count)}

        left = {"in_place": 1, "swap": 1, "resume": 1, "chunks": self._chunk_number}
        left |= {"window": WINDOW_BITS} if self._fixed else {}
        word = signed(self.width) if self._fixed else 32
        raised = {"saturated": data.ArrayLayout(1, self.columns)} if self._fixed else {}
        sums = fields_of({"sum": data.ArrayLayout(word, self.columns)}, raised)
        return {
            "i": In(fields_of(groups("x", self.rows), left)),
            "s_columns": In(fields_of(groups("y", self.columns), {"in_place": 1, "chunks": self._chunk_number})),
            "s_sums": In(sums),
            "o": Out(sums),
        }

    def build(self, m):
        advance = Signal()
        wave, number = self._sequence(m, advance)
        x, y = self._first_operands(m, wave, number)
        results = self._cells(m, advance, wave, number, x, y)
        self._leave(m, advance, wave, results)

    def _sequence(self, m, advance):
        """What enters the array in this cycle: a pass, a swap, a cycle of leaving results, or nothing."""
        given, columns = self.i.p.user, self.s_columns.p.user
        flags = ("adds", "in_place", "complete", "lower", "fresh", "swap", "loads", "leaves", "result", "last")
        # `leaving`: cycles in which results still have to leave; row r moves down in those up to r.
        leaving_shape = range(max(self.rows, 2))
        wave = Signal(data.StructLayout({**dict.fromkeys(flags, 1), "leaving": leaving_shape}))
        number = Signal(data.StructLayout({"x": self._chunk_number, "y": self._chunk_number}))

        # The tile that waits, and the one in use.
        loaded, has_tile, swapped = Signal(range(self.rows + 1)), Signal(), Signal()
        waiting_chunks, chunks = (Signal(self._chunk_number, name=name) for name in ("waiting_chunks", "chunks"))
        # Cycles until no swap and no beat in place is on its way, so that the registers of the waiting tile may change.
        quiet = Signal(range(max(self.rows + self.columns - 1, 2)))
        leaving, needs_swap = Signal(leaving_shape), Signal()
        m.d.comb += [
            needs_swap.eq(~given.in_place & ~swapped & (given.swap | ~has_tile)),
            wave.adds.eq(
                self.i.valid
                & ~leaving.any()
                & Mux(
                    given.in_place,
                    self.s_columns.valid & columns.in_place,
                    ~needs_swap & (~given.resume | ~wave.complete | self.s_sums.valid),
                )
            ),
            wave.swap.eq(self.i.valid & ~leaving.any() & needs_swap & (loaded == self.rows)),
            wave.in_place.eq(wave.adds & given.in_place),
            wave.leaving.eq(leaving),
            wave.leaves.eq(leaving.any()),
            wave.loads.eq(
                self.s_columns.valid & ~columns.in_place & (loaded != self.rows) & ~quiet.any() & ~wave.swap & ~wave.in_place
            ),
        ]
        fresh = Signal(init=1)
        m.d.comb += [
            wave.fresh.eq(Mux(given.in_place, fresh, ~given.resume)),
            wave.result.eq(wave.leaves | (wave.adds & wave.complete & (~given.in_place | self.i.p.last))),
            wave.last.eq(Mux(wave.leaves, leaving == 1, self.i.p.last & ~(given.in_place & (self.rows > 1)))),
            self.i.ready.eq(advance & wave.adds & wave.complete),
            self.s_columns.ready.eq(advance & (wave.loads | (wave.in_place & wave.complete))),
            self.s_sums.ready.eq(self.i.ready & given.resume & ~given.in_place),
        ]
        self._passes(m, advance, wave, number, given.chunks, Mux(given.in_place, columns.chunks, chunks))
        with m.If(advance):
            with m.If(wave.swap):
                m.d.sync += [swapped.eq(1), has_tile.eq(1), loaded.eq(0), chunks.eq(waiting_chunks)]
            with m.If(self.i.ready & self.i.valid):
                m.d.sync += swapped.eq(0)
            with m.If(wave.loads):
                m.d.sync += [loaded.eq(loaded + 1), waiting_chunks.eq(columns.chunks)]
            with m.If(wave.in_place):
                m.d.sync += loaded.eq(0)
                with m.If(wave.complete):
                    m.d.sync += [fresh.eq(self.i.p.last), leaving.eq(Mux(self.i.p.last, self.rows - 1, 0))]
            with m.If(wave.leaves):
                m.d.sync += leaving.eq(leaving - 1)
            with m.If(wave.swap | wave.in_place):
                m.d.sync += quiet.eq(self.rows + self.columns - 2)
            with m.Elif(quiet.any()):
                m.d.sync += quiet.eq(quiet - 1)
        return wave, number

    def _passes(self, m, advance, wave, number, last_x, last_y):
        """Pairs of chunks, from the highest weight down: those of one weight by rising numbers of x."""
        if self._chunks == 1:
            m.d.comb += [wave.complete.eq(1), wave.lower.eq(0)]
            return
        lower, next_sum = Signal(), Signal(range(2 * self._chunks))
        ends = Signal()  # of this weight there is no other pair
        m.d.comb += [
            wave.lower.eq(lower),
            ends.eq((number.y == 0) | (number.x == last_x)),
            wave.complete.eq((number.x == last_x) & (number.y == last_y)),
            next_sum.eq(number.x + number.y + 1),
        ]
        at = Signal.like(number)
        m.d.comb += number.eq(at)
        start_y = Mux(next_sum > last_y, last_y, next_sum)
        with m.If(advance & wave.adds):
            m.d.sync += lower.eq(ends & ~wave.complete)
            with m.If(wave.complete):
                m.d.sync += [at.x.eq(0), at.y.eq(0)]
            with m.Elif(ends):
                m.d.sync += [at.y.eq(start_y), at.x.eq(next_sum - start_y)]
            with m.Else():
                m.d.sync += [at.x.eq(number.x + 1), at.y.eq(number.y - 1)]

    def _first_operands(self, m, wave, number):
        """The chunks that enter the rows, zero unless there is a pass, and those that enter the columns in place."""
        below = (number.x + number.y) << 1
        if self._fixed:
            below = below + self.i.p.user.window
        x, y = [], []
        for row in range(self.rows):
            operand = Signal(self._operand, name=f"x{row}")
            exponent = self.i.p.data.exponent[row]
            m.d.comb += [operand.exponent.eq(exponent - below), operand.nan.eq(exponent.all())]
            for lane in range(self.lanes):
                element = self.i.p.data.x[row * self.lanes + lane]
                bits = self._chunk_of(element, number.x) & wave.adds.replicate(CHUNK_BITS)
                m.d.comb += operand.numbers[lane].eq(Cat(bits, element.sign))
            x.append(operand)
        for column in range(self.columns):
            operand = Signal(self._chunk, name=f"y{column}")
            m.d.comb += operand.exponent.eq(self.s_columns.p.data.exponent[column])
            elements = [self.s_columns.p.data.y[column * self.lanes + lane] for lane in range(self.lanes)]
            m.d.comb += self._chunks_of(elements, number.y, operand)
            y.append(operand)
        return x, y

    def _chunk_of(self, element, number):
        """A chunk of a magnitude, number 0 being the highest."""
        chunks = [element.magnitude[CHUNK_BITS * k :][:CHUNK_BITS] for k in reversed(range(self._chunks))]
        return pick(chunks, number)

    def _chunks_of(self, elements, number, operand):
        """Assignments of a chunk of each of `elements`, with its sign, to the numbers of `operand`."""
        return [
            result.eq(Cat(self._chunk_of(element, number), element.sign)) for result, element in zip(operand.numbers, elements)
        ]

    def _cells(self, m, advance, wave, number, x, y):
        """All cells; returns the sums of the last row."""
        above = [self._delayed(m, f"sums{c}", advance, self._sums_in(c), c, self.i.p.user.resume) for c in range(self.columns)]
        from_top = [self._delayed(m, f"top{c}", advance, y[c].as_value(), c, wave.in_place) for c in range(self.columns)]
        top = [data.View(self._chunk, value) for value in from_top]
        for row in range(self.rows):
            control = Signal(self._control, name=f"control{row}")
            moves_down = wave.leaves & (wave.leaving <= row) if row else Const(0, 1)
            m.d.comb += [
                control.enable.eq(wave.adds),
                control.update.eq((wave.adds & wave.complete) | moves_down),
                control.in_place.eq(wave.in_place),
                control.fresh.eq(wave.adds & wave.fresh & (wave.in_place | (row == 0))),
                control.swap.eq(wave.swap),
                control.lower.eq(wave.lower),
                control.chunk.eq(number.y),
            ]
            control = data.View(self._control, self._delayed(m, f"control{row}", advance, control.as_value(), row))
            busy = wave.adds | wave.leaves
            operand = data.View(self._operand, self._delayed(m, f"left{row}", advance, x[row].as_value(), row, busy))
            for column in range(self.columns):
                control, operand, top[column], above[column] = self._cell(
                    m, row, column, advance, wave, control, operand, top[column], above[column]
                )
        return above

    def _sums_in(self, column):
        saturated = self.s_sums.p.user.saturated[column] if self._fixed else Const(0, 0)
        return Cat(self.s_sums.p.data.sum[column], saturated)

    def _cell(self, m, row, column, advance, wave, control, x, top, above):
        """One cell; returns what it hands on: to the right what to do and x, downwards y and its sum."""
        m.submodules[f"unit{row}_{column}"] = unit = PassUnit(**self._unit)
        name = f"{row}_{column}"
        waiting, held = (Signal(self._group, name=f"{kind}{name}", reset_less=True) for kind in ("waiting", "held"))
        if row == 0:
            loaded = Cat(
                Cat(self.s_columns.p.data.y[column * self.lanes + lane].as_value() for lane in range(self.lanes)),
                self.s_columns.p.data.exponent[column],
            )
            loaded = data.View(self._group, loaded)
        else:
            # What waits in the cell above: a group, or in place a chunk, which lies where the highest one of a group does.
            top, loaded = self._highest(top), top
        y = Signal(self._chunk, name=f"y{name}")
        with m.If(control.in_place):
            m.d.comb += y.eq(top)
        with m.Else():
            m.d.comb += y.exponent.eq(held.exponent)
            m.d.comb += self._chunks_of(held.numbers, control.chunk, y)
        with m.If(advance & wave.loads):
            m.d.sync += waiting.eq(loaded)
        with m.Elif(advance & control.in_place):
            m.d.sync += waiting.exponent.eq(top.exponent)
            for lane in range(self.lanes):
                m.d.sync += [
                    waiting.numbers[lane].magnitude[-CHUNK_BITS:].eq(top.numbers[lane][:CHUNK_BITS]),
                    waiting.numbers[lane].sign.eq(top.numbers[lane][CHUNK_BITS]),
                ]
        with m.If(advance & control.swap):
            m.d.sync += held.eq(waiting)
        width = Shape.cast(unit.base.shape()).width
        own = unit.total.as_value()
        m.d.comb += [
            unit.x.eq(x.numbers),
            unit.y.eq(y.numbers),
            unit.exponent.eq(x.exponent + y.exponent),
            unit.base.eq(Mux(control.in_place, own, above) & (~control.fresh).replicate(width)),
            unit.enable.eq(advance & control.enable),
            unit.update.eq(advance & control.update),
            unit.nan.eq(control.enable & (x.nan | y.exponent.all())),
            unit.lower.eq(control.lower),
        ]
        if column + 1 < self.columns:
            busy = control.enable | control.update
            handed_on = self._delayed(m, f"x{name}", advance, x.as_value(), 1, busy)
            x = data.View(self._operand, handed_on)
            control = data.View(self._control, self._delayed(m, f"control{name}", advance, control.as_value(), 1))
        return control, x, waiting, own

    def _highest(self, group):
        """The highest chunk of a group."""
        numbers = Cat(Cat(element.magnitude[-CHUNK_BITS:], element.sign) for element in group.numbers)
        return data.View(self._chunk, Cat(numbers, group.exponent))

    def _delayed(self, m, name, advance, value, cycles, holds=None):
        """`value` some cycles later. With `holds` a register takes it only where that is set: data that nobody looks at stays
        as it is, which saves switching, and needs no reset; without, it starts from zero."""
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

    def _leave(self, m, advance, wave, results):
        """Results of the last row, each column delayed until the last one is there."""
        flags = self._delayed(m, "result", advance, Cat(wave.result, wave.last), self.latency)
        m.d.comb += [self.o.valid.eq(flags[0]), self.o.p.last.eq(flags[1]), advance.eq(~self.o.valid | self.o.ready)]
        width = Shape.cast(self.o.p.data.sum.shape().elem_shape).width
        leaves = self._delayed(m, "leaves", advance, wave.result, self.rows)
        for column, value in enumerate(results):
            holds = self._delayed(m, f"leaves{column}", advance, leaves, column)
            value = self._delayed(m, f"out{column}", advance, value, self.columns - 1 - column, holds)
            m.d.comb += self.o.p.data.sum[column].eq(value[:width])
            if self._fixed:
                m.d.comb += self.o.p.user.saturated[column].eq(value[width])
