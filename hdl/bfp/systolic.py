"""Matrix products of block floating point on a systolic array, with one operand held still, or the results."""

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BLOCK_MAN_BITS, MAX_GROUP, MIN_GROUP
from narrowfloat.hdl.bfp.cell import FirstChunk, FirstOperand, Layouts, Row, delayed
from narrowfloat.hdl.bfp.common import fields_of
from narrowfloat.hdl.bfp.dot import CHUNK_BITS
from narrowfloat.hdl.bfp.mac import ACCUMULATORS, FIXED_WIDTHS
from narrowfloat.hdl.bfp.segmented import HEAD, SegmentedToFloat, head_of_float, sum_of_float
from narrowfloat.hdl.block import Block, Choice, Effect, Integer
from narrowfloat.hdl.parts.logic import named, wire

MAX_SIDE = 32
WINDOW_BITS = 9


class SystolicArray(Block):
    """Matrix products of block floating point: `rows` by `columns` cells, each of which multiplies a pair of groups, 2 by 2
    mantissa bits per clock.

    Beats enter at the left, a group for each row, and move to the right; other groups enter at the top, one for each column,
    and move down; results leave at the bottom. A beat of mx bits with groups of my bits takes mx/2 * my/2 cycles.

    ==========  ==================  =======================  ===============================================================
    dataflow    left                top                      a result is
    ==========  ==================  =======================  ===============================================================
    stationary  x, a beat per       a tile of y, held still  the sum over the rows: ``sum over r of x[r] . y[r, c]``, for
                result              for any number of beats  each beat
    in place    x, a beat per step  y, a beat per step       the sum over the beats: ``sum over k of x[k, r] . y[k, c]``,
                                                             for each cell
    ==========  ==================  =======================  ===============================================================

    So the three products of training run on one array, and nothing is transposed, since groups lie along what is summed over:

    ==========  ==============  ==========================  ========================  ===========================
    product     dataflow        left, for row r             top, for column c         results
    ==========  ==============  ==========================  ========================  ===========================
    O = A W     stationary      A[m, group r of k]          W[group r of k, n = c]    a row of O per beat
    dA = dO W'  stationary      dO[m, group r of n]         W[k = c, group r of n]    a row of dA per beat
    dW = A' dO  in place        A[group of m, k = r]        dO[group of m, n = c]     rows of dW, the last first
    ==========  ==============  ==========================  ========================  ===========================

    A tile is loaded in `rows` beats, that of the last row first, while the one before it is in use: there are two registers in
    each cell. The first of these beats waits until all cells have taken the tile before it into use, for ``rows + columns - 2``
    cycles after a swap. A beat at the left with `swap` set waits until a tile has been loaded whole and takes it into use; the
    first one after reset does so in any case. Beats in place pass through the registers of the tile that waits, and so discard
    it; the tile in use stays in use.

    The sums of a tile start from zero, or with `resume` from those at `s_sums`: so a reduction that is longer than the array is
    high goes through it several times. They go down from row 0, a pair of groups in each row: that is the order of rounding and
    saturation. In place they start from zero after each `last`; with `last` the results leave, a row per cycle, which takes
    ``rows - 1`` cycles in which nothing is added.

    Groups are those of `BlockFormat`, and arithmetic is that of `FastMac`, whose passes the array makes of groups by itself:
    those of a pair of groups are added as integers with any accumulator, and pairs one after the other, as in
    `golden.bfp.matmul`. So what is said there of a pass in a fixed or segmented sum goes for a pair here. Segmented sums move
    from cell to cell as they are; below each column they are rounded to binary32, and those at `s_sums` are binary32, of which
    subnormals are zero and infinity is 2**128. A fixed accumulator's last bit means ``2**(window - 256)``. A group whose
    exponent is 255 is NaN; to a fixed sum its numbers are added with that exponent all the same.

    Everything moves on in the same cycles: as long as a result waits at the output nothing does. Idle cycles at the left become
    gaps.

    Latency: ``rows + columns - 1`` cycles from the last pass of a beat, one more with segmented sums; in place to the first of
    the rows that leave, of which the last one comes ``rows - 1`` cycles later.

    Throughput: a pass per cycle, which is what the initiation interval counts; a swap takes a cycle. The next row of a tile is
    taken ``rows + columns - 1`` cycles after a swap, or a pass in place, at the earliest, so swaps are at least
    ``2 * rows + columns - 1`` cycles apart.

    FAST has a second path of sums, to the right, so that W lies in the array for dA as it does for O. That takes a selector of
    the adder's operand in each cell, and nothing is saved: the groups for dA lie along n, and have to be loaded anyway.

    Sources: FAST, HPCA 2022, arXiv 2110.15456, for the dataflows. What is not known of its array is our choice.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {x: lanes of all rows {magnitude, sign}, exponent: [rows]}, last, user: {in_place, swap, resume, chunks,
        window}}; only with "fixed" there is a window.
    s_columns : In(stream.Signature)
        Payload {data: {y: lanes of all columns, exponent: [columns]}, last, user: {in_place, chunks}}.
    s_sums : In(stream.Signature)
        Payload {data: {sum: [columns]}, last, user: {saturated: [columns]}}, `user` only with "fixed".
    o : Out(stream.Signature)
        As `s_sums`.
    discarded : Out(1)

    Fields
    ------
    x, y
        A number: its magnitude in the lowest bits, of narrower groups in the highest bits of these, and above it its sign. Bits
        of the magnitude below those of the beat's chunks are ignored. Number n of the group for row or column r is the field
        with the number ``lanes * r + n``.
    s_axis.exponent
        The exponent E of the group for each row, 0 to 255, of which 255 is NaN. Of formats with 3 or 4 bits of exponent that is
        the code and the tensor's offset.
    s_columns.exponent
        The same of the group for each column.
    in_place
        The dataflow: in place, else stationary. At `s_columns` it says whether the beat goes with one at the left, else it is a
        row of a tile.
    swap
        Stationary: the beat waits for a whole tile and takes it into use. In place it is ignored.
    resume
        Stationary: the sums start from the beat at `s_sums`, which moves in the cycle in which this one does. In place it is
        ignored.
    chunks
        How many chunks of 2 bits each number of the beat's groups has, less 1.
    window
        With a fixed accumulator: the last bit of a sum means ``2**(window - 256)``.
    s_sums.sum
        What the sum of each column starts from, as it left.
    m_axis.sum
        The sum of each column: an integer, or a binary32 word.
    discarded
        In the cycle before, something that could not be used was discarded.
    saturated
        Of the sum of each column: a pair of groups, or a sum, did not fit, or a group was NaN. A sum that starts from `s_sums`
        has it set if it is set there, too.

    Protocol
    --------
    TLAST
        At `s_axis`, stationary: goes out with the result of its beat, and changes nothing. In place: the sums are complete, and
        leave, the last of their rows with TLAST. At `s_columns` and `s_sums` it is ignored.
    order
        A beat at `s_axis` moves in the last cycle of its passes; in place that at `s_columns` moves with it, and with `resume`
        that at `s_sums`. A result leaves for each stationary beat, and one for each row, the last row first, for each TLAST in
        place.
    constant
        `chunks` in all rows of a tile: that of its last beat, for row 0, counts. `window` in all beats whose sums are added. A
        beat that is offered does not change, as its passes take several cycles.
    wrong input
        What cannot be used is discarded, so that no beats wait for one another for ever, and `discarded` is set a cycle later.
        A beat in place at `s_columns`, while one at `s_axis` waits for a tile, is taken and does nothing; rows that are loaded
        stay. A whole tile, which another row follows while a beat in place waits at `s_axis`, makes place for that row. A sum
        in place that a stationary beat interrupts is lost, and the next one starts anew. `chunks` beyond those of `max_bits`
        count as all there are.
    discarded without a sign
        The rows of a tile, whole or not, that beats in place pass through, those that come between two such beats included. The
        sums in place do not change by them.
    """

    rows = Integer(4, 1, MAX_SIDE, "Rows of cells.")
    columns = Integer(4, 1, MAX_SIDE, "Columns of cells.")
    lanes = Integer(16, MIN_GROUP, MAX_GROUP, "Numbers in a group.")
    max_bits = Choice(4, BLOCK_MAN_BITS, "The most mantissa bits of a group. Of a narrower group the bits are the highest.")
    accumulator = Choice(
        "fixed",
        ACCUMULATORS,
        "What passes are added to: fixed-point sums, binary32, or integers that move by bytes and become binary32.",
    )
    width = Integer(32, *FIXED_WIDTHS, "Bits of the fixed accumulators.")
    effects = (Effect("with the fixed accumulators", lambda accumulator: accumulator == "fixed", ("width",)),)

    @property
    def latency(self):
        return self.rows + self.columns - (0 if self.accumulator == "segmented" else 1)

    def prepare(self):
        self._layouts = Layouts(self.lanes, self.max_bits, self.accumulator, self.width)
        self._segmented = self._layouts.is_segmented
        self._fixed = self.accumulator == "fixed"
        self._chunks = self.max_bits // CHUNK_BITS
        self._chunk_number = range(self._chunks)

    def members(self):
        def groups(name, count):
            return {name: data.ArrayLayout(self._layouts.number, count * self.lanes), "exponent": data.ArrayLayout(8, count)}

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
            "discarded": Out(1),
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
        loaded = Signal(range(self.rows + 1))
        has_tile = Signal()
        swapped = Signal()
        waiting_chunks, chunks = (Signal(self._chunk_number, name=name) for name in ("waiting_chunks", "chunks"))
        # Cycles until no swap and no beat in place is on its way, so that the registers of the waiting tile may change.
        quiet = Signal(range(max(self.rows + self.columns - 1, 2)))
        leaving = Signal(leaving_shape)
        needs_swap = Signal()
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
        # A beat at the left and one at the top that wait for one another, or a sum that is not finished.
        drops_beat = wire(m, 1, self.i.valid & self.s_columns.valid & needs_swap & columns.in_place & (loaded != self.rows))
        drops_tile = wire(
            m, 1, self.i.valid & self.s_columns.valid & given.in_place & ~columns.in_place & (loaded == self.rows)
        )
        drops_sum = wire(m, 1, wave.adds & wave.complete & ~given.in_place & ~fresh)
        m.d.comb += [
            wave.fresh.eq(Mux(given.in_place, fresh, ~given.resume)),
            wave.result.eq(wave.leaves | (wave.adds & wave.complete & (~given.in_place | self.i.p.last))),
            wave.last.eq(Mux(wave.leaves, leaving == 1, self.i.p.last & ~(given.in_place & (self.rows > 1)))),
            self.i.ready.eq(advance & wave.adds & wave.complete),
            self.s_columns.ready.eq(advance & (wave.loads | drops_beat | (wave.in_place & wave.complete))),
            self.s_sums.ready.eq(self.i.ready & given.resume & ~given.in_place),
        ]
        top_chunks = self._built(m, columns.chunks, "top_chunks")
        left_chunks = self._built(m, given.chunks, "left_chunks")
        self._passes(m, advance, wave, number, left_chunks, Mux(given.in_place, top_chunks, chunks))
        m.d.sync += self.discarded.eq(advance & (drops_beat | drops_tile | drops_sum))
        with m.If(advance):
            with m.If(drops_tile):
                m.d.sync += loaded.eq(0)
            with m.If(drops_sum):
                m.d.sync += fresh.eq(1)
            with m.If(wave.swap):
                m.d.sync += [swapped.eq(1), has_tile.eq(1), loaded.eq(0), chunks.eq(waiting_chunks)]
            with m.If(self.i.ready & self.i.valid):
                m.d.sync += swapped.eq(0)
            with m.If(wave.loads):
                m.d.sync += [loaded.eq(loaded + 1), waiting_chunks.eq(top_chunks)]
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

    def _built(self, m, chunks, name):
        """A number of chunks less 1, at most that of what is built."""
        most = self._chunks - 1
        return wire(m, self._chunk_number, Mux(chunks > most, most, chunks), name) if self._chunks == 3 else chunks

    def _passes(self, m, advance, wave, number, last_x, last_y):
        """Pairs of chunks, from the highest weight down: those of one weight by rising numbers of x."""
        if self._chunks == 1:
            m.d.comb += [wave.complete.eq(1), wave.lower.eq(0)]
            return
        lower = Signal()
        next_sum = Signal(range(2 * self._chunks))
        ends = Signal()  # of this weight there is no other pair
        m.d.comb += [
            wave.lower.eq(lower),
            ends.eq((number.y == 0) | (number.x == last_x)),
            wave.complete.eq((number.x == last_x) & (number.y == last_y)),
            next_sum.eq(number.x + number.y + 1),
        ]
        at = Signal.like(number)
        m.d.comb += number.eq(at)
        start_y = named(m, Mux(next_sum > last_y, last_y, next_sum), "start_y")
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
        below = named(m, below, "below_first")
        x, y = [], []
        given, columns = self.i.p.data, self.s_columns.p.data
        for row in range(self.rows):
            m.submodules[f"first_x{row}"] = first = FirstOperand(self._layouts)
            m.d.comb += [
                first.group.eq(self._group(given.x, given.exponent, row)),
                first.number.eq(number.x),
                first.below.eq(below),
                first.enable.eq(wave.adds),
            ]
            x.append(first.operand)
        for column in range(self.columns):
            m.submodules[f"first_y{column}"] = first = FirstChunk(self._layouts)
            m.d.comb += [first.group.eq(self._group(columns.y, columns.exponent, column)), first.number.eq(number.y)]
            y.append(first.chunk)
        return x, y

    def _group(self, numbers, exponents, place):
        """The bits of the group for a row or column of that number."""
        of_group = Value.cast(numbers).word_select(place, self.lanes * Shape.cast(self._layouts.number).width)
        return Cat(of_group, exponents[place])

    def _cells(self, m, advance, wave, number, x, y):
        """All cells; returns the sums of the last row."""
        above = [delayed(m, f"sums{c}", advance, self._sums_in(c), c, self.i.p.user.resume) for c in range(self.columns)]
        heads = []
        if self._segmented:
            heads = [wire(m, HEAD, head_of_float(word), f"head_of_sum{c}") for c, word in enumerate(above)]
            above = [self._segmented_in(m, advance, c, word) for c, word in enumerate(above)]
        from_top = [delayed(m, f"top{c}", advance, y[c].as_value(), c, wave.in_place) for c in range(self.columns)]
        layouts, columns = self._layouts, self.s_columns.p.data
        top = [data.View(layouts.chunk, value) for value in from_top]
        loaded = [data.View(layouts.group, self._group(columns.y, columns.exponent, c)) for c in range(self.columns)]
        for row in range(self.rows):
            control = Signal(layouts.control, name=f"control{row}")
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
            control = data.View(layouts.control, delayed(m, f"control{row}", advance, control.as_value(), row))
            busy = wave.adds | wave.leaves
            operand = data.View(layouts.operand, delayed(m, f"left{row}", advance, x[row].as_value(), row, busy))
            m.submodules[f"row{row}"] = cells = Row(layouts, self.columns, row == 0)
            m.d.comb += [cells.advance.eq(advance), cells.loads.eq(wave.loads), cells.control.eq(control), cells.x.eq(operand)]
            for column in range(self.columns):
                m.d.comb += [cells.loaded[column].eq(loaded[column]), cells.above[column].eq(above[column])]
                if self._segmented:
                    m.d.comb += cells.above_head[column].eq(heads[column])
                if row == 0:
                    m.d.comb += cells.top[column].eq(top[column])
            loaded, above = list(cells.waiting), list(cells.total)
            heads = list(cells.head) if self._segmented else []
        return list(zip(above, heads, strict=True)) if self._segmented else above

    def _segmented_in(self, m, advance, column, word):
        """The integer of the sum that a column starts from, a cycle after its head."""
        resumes = delayed(m, f"resumes{column}", advance, self.i.p.user.resume, column)
        word = delayed(m, f"late_sums{column}", advance, word, 1, resumes)
        return sum_of_float(m, word, self._layouts.sum_bits, f"sum_of_float{column}")

    def _segmented_out(self, m, advance, column, value, holds):
        """A result of a column as binary32."""
        total, head = value
        to_float = SegmentedToFloat(self._layouts.sum_bits)
        m.submodules[f"to_float{column}"] = to_float
        late_head = Signal(HEAD, name=f"late_head{column}", reset_less=True)
        with m.If(advance):
            m.d.sync += late_head.eq(head)
        m.d.comb += [to_float.enable.eq(holds), to_float.sum.eq(total), to_float.head.eq(late_head)]
        return to_float.result

    def _sums_in(self, column):
        saturated = self.s_sums.p.user.saturated[column] if self._fixed else Const(0, 0)
        return Cat(self.s_sums.p.data.sum[column], saturated)

    def _leave(self, m, advance, wave, results):
        """Results of the last row, each column delayed until the last one is there."""
        flags = delayed(m, "result", advance, Cat(wave.result, wave.last), self.latency)
        m.d.comb += [self.o.valid.eq(flags[0]), self.o.p.last.eq(flags[1]), advance.eq(~self.o.valid | self.o.ready)]
        width = Shape.cast(self.o.p.data.sum.shape().elem_shape).width
        leaves = delayed(m, "leaves", advance, wave.result, self.rows + self._segmented)
        for column, value in enumerate(results):
            holds = delayed(m, f"leaves{column}", advance, leaves, column)
            if self._segmented:
                value = self._segmented_out(m, advance, column, value, holds)
            value = delayed(m, f"out{column}", advance, value, self.columns - 1 - column, holds)
            m.d.comb += self.o.p.data.sum[column].eq(value[:width])
            if self._fixed:
                m.d.comb += self.o.p.user.saturated[column].eq(value[width])
