"""Dot products of groups in block floating point, a pass of 2 by 2 mantissa bits per clock."""

from amaranth.hdl import Const, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import ACCUMULATORS, CHUNKS
from narrowfloat.golden.formats import MAX_GROUP, MIN_GROUP
from narrowfloat.hdl.bfp.common import fields_of
from narrowfloat.hdl.bfp.dot import CHUNK_BITS, PassUnit
from narrowfloat.hdl.bfp.segmented import HEAD, SegmentedToFloat, SegmentedUnit
from narrowfloat.hdl.block import Block, Choice, Effect, Integer, Relation

MAX_BITS = 2, 3, 4, 6, 8
FIXED_WIDTHS = 16, 62
# Of a chunk's exponent: E - 2 j is from -6 to 254, a window's from 0 to 508.
CHUNK_EXPONENT_BITS = 10


class FastMac(Block):
    """The fMAC of FAST: dot products of groups in block floating point, a pass of 2 by 2 mantissa bits or a few more per clock.

    Equation: a pass gives ``S = sum((-1)**(sx ^ sy) * x * y)`` over the group, of weight ``2**(Ex + Ey - 256)``. Groups are
    those of `BlockFormat`, and chunk j of a group with E is a group of 2 mantissa bits with E - 2 j, so a pass needs to know of
    its operands' precision no more than the exponents of its chunks: groups of mx and my bits take mx/2 * my/2 passes, and
    every group may have other ones.

    ===========  =====================================================================================================
    accumulator  what is added
    ===========  =====================================================================================================
    fixed        each pass: ``floor(S * 2**(Ex + Ey))`` in two's complement of `width` bits, where one of the exponents is
                 given less that of the window, so that the sum's last bit means ``2**(window - 256)``. A pass that does not
                 fit makes the sum the end of the range on its side, whatever the sum was before. A sum that does not fit
                 becomes the end on its side. Either sets `saturated` until the result leaves
                 (`golden.bfp.accumulate_fixed`)
    fp32         each group, when its passes have been added as integers: rounded once, to nearest even, with subnormals;
                 what is too large becomes infinity and stays so. A group whose sum is zero leaves the sum as it is, -0 too;
                 what cancels exactly gives +0, and a negative sum too small for a subnormal -0
                 (`golden.bfp.accumulate_fp32`)
    segmented    each pass: to an integer of some 50 bits that moves by whole bytes, and is rounded to binary32 once, as the
                 result. What is in range and how exact it is: see below (`golden.bfp.accumulate_segmented`)
    ===========  =====================================================================================================

    A "segmented" sum has room for 16 powers of two on either side of what it begins with. Where all weights are within 16 of
    the first one whose sum S is not zero, the result is the exact sum, rounded once, as long as that fits: for 2**16 passes at
    the first weight, fewer at larger ones. No binary32 is closer to it. A sum that no longer fits moves, and drops bits far
    below those of a binary32. Smaller weights lose bits; a weight at least 33 above the first may make the sum begin anew. The
    result is rounded to nearest even: below the smallest normal number it is zero with its sign, too large it is infinity, and
    0 is +0. On the way there is no infinity: a sum may leave the range of binary32 and return.

    With `nan` one of the groups is NaN (E is 255). A sum of "fp32" or "segmented" becomes NaN, +NaN without payload, and stays
    so. A "fixed" sum goes on with the numbers that the groups have, and `saturated` is set.

    Latency: 1 cycle from the last pass, 2 with "segmented". Throughput: a pass per clock. The accumulator is the output
    register: while a result waits there, no pass is taken. A "segmented" sum is converted on its way out, without another
    register.

    Source: FAST, HPCA 2022, arXiv 2110.15456. What is not known of its accumulator is our choice.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: {x, y: lanes of {magnitude, sign}}, last, user: {x_exponent, y_exponent, nan, lower, complete, user}}.
        Only with "fp32" and several chunks there are `lower` and `complete`.
    o : Out(stream.Signature)
        Payload {data: {sum}, last, user: {saturated, user}}.

    Fields
    ------
    x, y
        A number of the chunk: its magnitude in the lowest bits, and above it its sign, which is 1 of negative numbers.
    x_exponent, y_exponent
        The exponents of the chunks: of chunk j of a group with the exponent E, chunk 0 being that of its highest bits, it is
        ``E - c * j`` with c the bits of a chunk. With a fixed accumulator one of the two is given less the window. Only their
        sum counts, and in fp32 with several chunks only that of the pass with `complete`. With a segmented accumulator it has
        to be from -28 to 511.
    nan
        One of the groups is NaN. In fp32 with several chunks that of the pass with `complete` counts.
    lower
        The weight of the pass is c bits lower than that of the pass before. In the first pass of a pair of groups it has no
        effect.
    complete
        The last pass of a pair of groups; TLAST says so as well.
    sum
        The result: a binary32 word, or an integer whose last bit means ``2**(window - 254 - 2 * (c - 1))``, c the bits of a
        chunk.
    saturated
        A pass of the result, or a sum, did not fit, or a group was NaN.
    user
        The tag. That of the last pass of a result goes out with it, the others count for nothing.

    Protocol
    --------
    order
        A result is the sum of the passes from the one after the last TLAST, or after reset, to the next one with TLAST. A pair
        of groups x and y takes a pass for every chunk of x with every chunk of y. With a fixed or segmented accumulator these
        may come in any order. With fp32 and several chunks they come pair by pair, those with the smallest sum of both chunks'
        numbers first: chunks 0 and 0, then 0 and 1, 1 and 0, then the next sum. Where a fixed sum saturates, or a segmented one
        drops bits, its value depends on the order.
    TLAST
        Of what enters: the last pass of a result. Of what leaves: always 1.
    constant
        The window of a fixed accumulator has to be the same in all passes of a result.
    wrong input
        Passes in another order, or with `lower` elsewhere, make another sum of the pair of groups, which nothing marks. The
        next pair is right again.
    """

    lanes = Integer(16, MIN_GROUP, MAX_GROUP, "Numbers in a group.")
    accumulator = Choice(
        "fixed",
        ACCUMULATORS,
        "What passes are added to: a fixed-point sum, a binary32, or an integer that moves by bytes and becomes a binary32.",
    )
    width = Integer(32, *FIXED_WIDTHS, "Bits of the fixed accumulator.")
    max_bits = Choice(4, MAX_BITS, 'The most mantissa bits of a group; of interest to "fp32" only.')
    chunk_bits = Choice(
        CHUNK_BITS,
        CHUNKS,
        "Mantissa bits c of a pass. What is said of 2 bits goes for c, with 2**(Ex + Ey - 254 - 2 * (c - 1)). FAST has 2; "
        "MSFP-12 has 3, and one pass for each group.",
    )
    user_bits = Integer(0, 0, 64, "Width of a tag: that of the last pass goes out with the result.", place=3)

    effects = (Effect("with the fixed accumulator", lambda accumulator: accumulator == "fixed", ("width",)),)
    relations = (
        Relation(
            "max_bits must be a multiple of chunk_bits where the accumulator is fp32",
            lambda accumulator, max_bits, chunk_bits: accumulator == "fixed" or max_bits % chunk_bits == 0,
        ),
    )

    @property
    def latency(self):
        return 2 if self.accumulator == "segmented" else 1

    def prepare(self):
        self._fixed, self._segmented = (self.accumulator == name for name in ("fixed", "segmented"))
        self._fused = self.accumulator == "fp32" and self.max_bits > self.chunk_bits
        shape = {
            "lanes": self.lanes,
            "max_bits": self.max_bits,
            "fused": self._fused,
            "exponent_bits": CHUNK_EXPONENT_BITS + 1,
            "chunk_bits": self.chunk_bits,
        }
        if self._segmented:
            self._unit = SegmentedUnit(**shape)
        else:
            self._unit = PassUnit(accumulator=self.accumulator, width=self.width, **shape)

    def members(self):
        chunks = data.ArrayLayout(1 + self.chunk_bits, self.lanes)
        given = {"x_exponent": signed(CHUNK_EXPONENT_BITS), "y_exponent": signed(CHUNK_EXPONENT_BITS), "nan": 1}
        given |= {"lower": 1, "complete": 1} if self._fused else {}
        total = signed(self.width) if self._fixed else 32
        raised = {"saturated": 1} if self._fixed else {}
        return {
            "i": In(fields_of({"x": chunks, "y": chunks}, given | self.tag)),
            "o": Out(fields_of({"sum": total}, raised | self.tag)),
        }

    def build(self, m):
        m.submodules.unit = unit = self._unit
        given = self.i.p.user
        done = Signal()
        fresh = Signal(init=1)
        taken = Signal()
        complete = given.complete | self.i.p.last if self._fused else Const(1, 1)
        m.d.comb += [
            self.i.ready.eq(~done | self.o.ready),
            taken.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(done),
            self.o.p.last.eq(1),
            unit.x.eq(self.i.p.data.x),
            unit.y.eq(self.i.p.data.y),
            unit.exponent.eq(given.x_exponent + given.y_exponent),
            unit.enable.eq(taken),
            unit.update.eq(taken & complete),
            unit.nan.eq(given.nan),
        ]
        if self._fused:
            m.d.comb += unit.lower.eq(given.lower)
        if self._segmented:
            self._end_segmented(m, done, fresh, taken)
        else:
            self._end(m, done, fresh, taken)
        with m.If(unit.update):
            m.d.sync += fresh.eq(self.i.p.last)

    def _end(self, m, done, fresh, taken):
        """A pass is added in the cycle in which it is taken, and the sum is the result."""
        unit, result = self._unit, self.o.p.user
        total = unit.total.as_value()
        m.d.comb += [unit.base.eq(total & (~fresh).replicate(len(total))), self.o.p.data.sum.eq(unit.total.sum)]
        if self._fixed:
            m.d.comb += result.saturated.eq(unit.total.saturated)
        with m.If(self.i.ready):
            m.d.sync += done.eq(unit.update & self.i.p.last)
        if self.user_bits:
            tag = Signal(result.user.shape(), reset_less=True)
            m.d.comb += result.user.eq(tag)
            with m.If(taken & self.i.p.last):
                m.d.sync += tag.eq(self.i.p.user.user)

    def _end_segmented(self, m, done, fresh, taken):
        """A pass is added in the cycle after that; what is converted is the sum, once it is whole."""
        unit = self._unit
        adds = Signal()
        last = Signal(reset_less=True)
        head = Signal(HEAD, reset_less=True)
        m.submodules.to_float = to_float = SegmentedToFloat(unit.width)
        m.d.comb += [
            unit.start.eq(unit.head),
            unit.start.begun.eq(unit.head.begun & ~fresh),
            unit.adds.eq(adds & self.i.ready),
            unit.base.eq(unit.total),
            to_float.enable.eq(done),
            to_float.sum.eq(unit.total),
            to_float.head.eq(head),
            self.o.p.data.sum.eq(to_float.result),
        ]
        with m.If(self.i.ready):
            m.d.sync += [adds.eq(self.i.valid), last.eq(self.i.p.last), done.eq(adds & last), head.eq(unit.head)]
        if self.user_bits:
            given, tag = (Signal(self.user_bits, name=name, reset_less=True) for name in ("given_tag", "tag"))
            m.d.comb += self.o.p.user.user.eq(tag)
            with m.If(self.i.ready):
                m.d.sync += [given.eq(self.i.p.user.user), tag.eq(given)]
