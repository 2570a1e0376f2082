"""Dot products of groups in block floating point, a pass of 2 by 2 mantissa bits per clock."""

from itertools import pairwise
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import ACCUMULATORS, CHUNKS
from narrowfloat.golden.formats import MAX_GROUP, MIN_GROUP
from narrowfloat.hdl.bfp.common import fields_of
from narrowfloat.hdl.bfp.dot import CHUNK_BITS, PassUnit
from narrowfloat.hdl.bfp.segmented import (
    DECIDED,
    HEAD,
    Decide,
    Move,
    Pack,
    SegmentedToFloat,
    SegmentedUnit,
    moved,
    normalising_steps,
    not_moved,
)
from narrowfloat.hdl.block import Block, Choice, Effect, Integer, Relation, Stages
from narrowfloat.hdl.parts.pipeline import Phase, pipeline

MAX_BITS = 2, 3, 4, 6, 8
FIXED_WIDTHS = 16, 62
# Of a chunk's exponent: E - 2 j is from -6 to 254, a window's from 0 to 508.
CHUNK_EXPONENT_BITS = 10

# Where registers may be: in front of the accumulator, and behind it.
_BACK = ("moved1", "moved2", "normalised", "decided", "output")
_BOUNDARIES = {
    "fixed": ("input", "sums1", "sums2", "products", "aligned"),
    "fp32": ("input", "products", "aligned"),
    "segmented": ("input", "sums1", "sums2", "products", *_BACK),
}


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

    Latency: `stages` + 1 cycles from the last pass, with "segmented" `stages` + 2. Throughput: a pass per clock. The
    accumulator is the output register: while a result waits there, no pass is added. A "segmented" sum is converted on its way
    out, without another register unless `stages` puts one there.

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
    stages = Stages(
        0,
        most=9,
        place=2,
        products="behind the products of a pass",
        aligned="in front of the accumulator, unless it is segmented",
        normalised="in front of the rounding of a segmented sum",
        sums2="behind two thirds of the adders of products, unless the accumulator is fp32",
        moved2="amid the shift that normalises a segmented sum",
        sums1="behind a third of the adders of products, unless the accumulator is fp32",
        moved1="earlier amid that shift",
        decided="behind the decision to round a segmented sum up",
        output="at the output of a segmented one",
        input="at the input",
    )
    user_bits = Integer(0, 0, 64, "Width of a tag: that of the last pass goes out with the result.", place=3)

    effects = (Effect("with the fixed accumulator", lambda accumulator: accumulator == "fixed", ("width",)),)
    relations = (
        Relation(
            "stages must be at most 5 with a fixed accumulator, 3 with fp32, 9 with segmented",
            lambda stages, accumulator: stages <= len(_BOUNDARIES[accumulator]),
        ),
        Relation(
            "max_bits must be a multiple of chunk_bits where the accumulator is fp32",
            lambda accumulator, max_bits, chunk_bits: accumulator == "fixed" or max_bits % chunk_bits == 0,
        ),
    )

    @property
    def latency(self):
        return self.stages + (2 if self.accumulator == "segmented" else 1)

    def prepare(self):
        self._fixed, self._segmented = (self.accumulator == name for name in ("fixed", "segmented"))
        self._fused = self.accumulator == "fp32" and self.max_bits > self.chunk_bits
        self._cuts = [name for name in type(self).stages.cuts if name in _BOUNDARIES[self.accumulator]][: self.stages]
        shape = {
            "lanes": self.lanes,
            "max_bits": self.max_bits,
            "fused": self._fused,
            "exponent_bits": CHUNK_EXPONENT_BITS + 1,
            "chunk_bits": self.chunk_bits,
            "given": "addend" if "aligned" in self._cuts else "products" if "products" in self._cuts else "operands",
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
        source = pipeline(m, self.i, self._phases() if self._cuts else [], [name for name in self._cuts if name not in _BACK])
        done = Signal()
        fresh = Signal(init=1)
        taken = Signal()
        given = self._given(source)
        m.d.comb += [
            taken.eq(source.valid & source.ready),
            unit.enable.eq(taken),
            unit.update.eq(taken & given.complete),
            unit.nan.eq(given.nan),
        ]
        if not self._cuts:
            m.d.comb += [unit.x.eq(self.i.p.data.x), unit.y.eq(self.i.p.data.y), unit.exponent.eq(given.exponent)]
        elif "aligned" in self._cuts:
            m.d.comb += unit.addend.eq(source.p.addend)
        else:
            m.d.comb += [unit.products.eq(source.p.products), unit.weight.eq(source.p.weight)]
        if "lower" in unit.signature.members:
            m.d.comb += unit.lower.eq(given.lower)
        if self._segmented:
            self._end_segmented(m, source, done, fresh)
        else:
            self._end(m, source, done, fresh, taken)
        with m.If(unit.update):
            m.d.sync += fresh.eq(source.p.last)

    def _given(self, source):
        """What comes with a pass, from the payload of the input or of a stream behind some phases."""
        given = {"complete": Const(1, 1)}
        if "data" in source.p.shape().members:
            user = source.p.user
            given |= {"nan": user.nan, "exponent": user.x_exponent + user.y_exponent}
            if self._fused:
                given |= {"lower": user.lower, "complete": user.complete | source.p.last}
        else:
            given |= {name: source.p[name] for name in ("nan", "lower", "complete") if name in source.p.shape().members}
        return SimpleNamespace(**given)

    def _phases(self):
        """What there is in front of the accumulator, up to the last register."""
        network, unit = self._unit.network, self._unit
        levels = [-1, *(round(network.levels * third / 3) for third in (1, 2, 3))]
        rest = {"nan": 1, "last": 1, "user": data.StructLayout(self.tag)}
        own = {"weight": unit.sum.weight_shape, **({"lower": 1, "complete": 1} if self._fused else {})}

        def adds(after, upto):
            def logic(m, source, sink):
                if after < 0:
                    known = network.given(source.p.data.x, source.p.data.y)
                    given = self._given(source)
                    m.d.comb += sink.p.weight.eq(unit.sum.weight(m, given.exponent))
                    m.d.comb += [sink.p[name].eq(getattr(given, name)) for name in own if name != "weight"]
                    m.d.comb += [sink.p.nan.eq(given.nan), sink.p.last.eq(source.p.last)]
                    m.d.comb += [sink.p.user[name].eq(source.p.user[name]) for name in self.tag]
                else:
                    known = dict(zip(network.crossing(after), source.p.bits, strict=True))
                    m.d.comb += [sink.p[name].eq(source.p[name]) for name in (rest | own)]
                network.add(m, known, after, upto)
                if upto < network.levels:
                    m.d.comb += sink.p.bits.eq(Cat(known[bit] for bit in network.crossing(upto)))
                else:
                    m.d.comb += sink.p.products.eq(Cat(network.sum(known)))

            return logic

        def bits(level):
            return {"bits": len(network.crossing(level))}

        results = [bits(levels[1]), bits(levels[2]), {"products": signed(unit.pass_bits)}]
        phases = [
            Phase(name, data.StructLayout({**result, **own, **rest}), adds(*ends))
            for name, result, ends in zip(("sums1", "sums2", "products"), results, pairwise(levels), strict=True)
        ]
        if "aligned" in self._cuts:
            phases.append(Phase("aligned", data.StructLayout({"addend": unit.sum.addend_layout, **rest}), self._align))
        return phases

    def _align(self, m, source, sink):
        value = source.p.products
        if self._fused:
            taken = source.valid & source.ready
            control = SimpleNamespace(lower=source.p.lower, enable=taken, update=taken & source.p.complete)
            value = self._unit.value(m, control, lambda m, before: source.p.products + before)
            m.d.comb += sink.valid.eq(source.valid & source.p.complete)
        addend = self._unit.sum.align(m, value, source.p.weight)
        m.d.comb += [sink.p.addend[name].eq(part) for name, part in vars(addend).items()]
        m.d.comb += [sink.p[name].eq(source.p[name]) for name in ("nan", "last", "user")]

    def _end(self, m, source, done, fresh, taken):
        """A pass is added in the cycle in which it is taken, and the sum is the result."""
        unit, result = self._unit, self.o.p.user
        total = unit.total.as_value()
        m.d.comb += [
            source.ready.eq(~done | self.o.ready),
            self.o.valid.eq(done),
            self.o.p.last.eq(1),
            unit.base.eq(total & (~fresh).replicate(len(total))),
            self.o.p.data.sum.eq(unit.total.sum),
        ]
        if self._fixed:
            m.d.comb += result.saturated.eq(unit.total.saturated)
        with m.If(source.ready):
            m.d.sync += done.eq(unit.update & source.p.last)
        if self.user_bits:
            tag = Signal(result.user.shape(), reset_less=True)
            m.d.comb += result.user.eq(tag)
            with m.If(taken & source.p.last):
                m.d.sync += tag.eq(source.p.user.user)

    def _end_segmented(self, m, source, done, fresh):
        """A pass is added in the cycle after that; what is converted is the sum, once it is whole."""
        unit = self._unit
        adds = Signal()
        last = Signal(reset_less=True)
        head = Signal(HEAD, reset_less=True)
        shape = data.StructLayout({"sum": signed(unit.width), "head": HEAD, "user": data.StructLayout(self.tag)})
        total = stream.Signature(shape).create(path=("whole",))
        m.d.comb += [
            source.ready.eq(~done | total.ready),
            total.valid.eq(done),
            unit.start.eq(unit.head),
            unit.start.begun.eq(unit.head.begun & ~fresh),
            *([unit.adds.eq(adds), unit.advance.eq(source.ready)] if self._cuts else [unit.adds.eq(adds & source.ready)]),
            unit.base.eq(unit.total),
            total.p.sum.eq(unit.total),
            total.p.head.eq(head),
        ]
        with m.If(source.ready):
            m.d.sync += [adds.eq(source.valid), last.eq(source.p.last), done.eq(adds & last), head.eq(unit.head)]
        if self.user_bits:
            given, tag = (Signal(self.user_bits, name=name, reset_less=True) for name in ("given_tag", "tag"))
            m.d.comb += total.p.user.user.eq(tag)
            with m.If(source.ready):
                m.d.sync += [given.eq(source.p.user.user), tag.eq(given)]
        result = pipeline(m, total, self._conversion(), [name for name in self._cuts if name in _BACK])
        m.d.comb += [self.o.valid.eq(result.valid), result.ready.eq(self.o.ready), self.o.payload.eq(result.payload)]

    def _conversion(self):
        """The phases from a segmented sum to the result."""
        width, tag = self._unit.width, {"user": data.StructLayout(self.tag)}

        def convert(m, source, sink):
            m.submodules.to_float = to_float = SegmentedToFloat(width)
            m.d.comb += [
                to_float.enable.eq(source.valid),
                to_float.sum.eq(source.p.sum),
                to_float.head.eq(source.p.head),
                sink.p.data.sum.eq(to_float.result),
            ]
            end(m, source, sink)

        def end(m, source, sink):
            m.d.comb += sink.p.last.eq(1)
            m.d.comb += [sink.p.user[name].eq(source.p.user[name]) for name in self.tag]

        def move(after, upto):
            def logic(m, source, sink):
                m.submodules[f"move{after}"] = part = Move(width, after, upto)
                # As long as no result is asked for nothing here switches.
                word = None if after else source.p.sum.as_unsigned() & source.valid.replicate(width)
                given = source.p.moved if after else not_moved(word)
                m.d.comb += [part.i[name].eq(getattr(given, name)) for name in part.i.shape().members]
                m.d.comb += [sink.p.moved.eq(part.o), sink.p.head.eq(source.p.head), sink.p.user.eq(source.p.user)]

            return logic

        def decide(m, source, sink):
            m.submodules.decide = part = Decide(width)
            m.d.comb += [part.i.eq(source.p.moved), part.head.eq(source.p.head), sink.p.decided.eq(part.o)]
            m.d.comb += sink.p.user.eq(source.p.user)

        def finish(m, source, sink):
            m.submodules.pack = part = Pack()
            m.d.comb += [part.i.eq(source.p.decided), sink.p.data.sum.eq(part.result)]
            end(m, source, sink)

        if "normalised" not in self._cuts:
            return [Phase("output", self.o.payload.shape(), convert)]
        ends = [0, 1, 3, normalising_steps(width)]
        return [
            *(
                Phase(name, data.StructLayout({"moved": moved(width, upto), "head": HEAD, **tag}), move(after, upto))
                for name, (after, upto) in zip(("moved1", "moved2", "normalised"), pairwise(ends), strict=True)
            ),
            Phase("decided", data.StructLayout({"decided": DECIDED, **tag}), decide),
            Phase("output", self.o.payload.shape(), finish),
        ]
