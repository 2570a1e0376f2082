"""FP32 to groups of block floating point, with the sums from which the precision of a tensor is chosen."""

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.bfp import MAX_SUM_BITS, MIN_SUM_BITS, NAN_EXPONENT, ROUNDINGS, SR_BITS, SUM_BITS
from narrowfloat.golden.formats import FP32_MAN_BITS, MAX_GROUP, BlockFormat
from narrowfloat.golden.rounding import OVERFLOWS
from narrowfloat.hdl.bfp.common import element
from narrowfloat.hdl.block import Block, Choice, Effect, Format, Integer, Relation, Several, Switch
from narrowfloat.hdl.parts.lfsr import MAX_SEED, SEED_PORTS, lane_words, seed_port
from narrowfloat.hdl.parts.logic import carries, decide, is_none_of, named, pick_or_last, wire
from narrowfloat.hdl.parts.shapes import ROUNDINGS as CODES
from narrowfloat.hdl.parts.shapes import Float32, rounding_field
from narrowfloat.hdl.parts.stream import Register, beats, beats_of

POLICY_BITS = 4  # that the sums are made from


class BfpConverter(Block):
    """FP32 to groups of block floating point, `lanes` numbers per beat, one beat per clock.

    Equation: E is the largest exponent of a group, ``k = |x| / 2**(E - 127 - (man_bits - 1))``, rounded.

    ============  =======================================================================================================
    rounding      rtz toward zero; rne nearest, ties to even; sr stochastic: up if what is discarded, rounded to 8 bits
                  (nearest, ties to even), plus 8 random bits carries
    overflow      what rounds to ``2**bits`` becomes the largest k: E stays
    zero          k = 0 without sign; so are FP32's subnormals. A group of nothing else has E = 0
    3, 4 bits     of exponent: the code is E - offset within its range; the group is aligned to what that means, and
                  larger numbers become the largest k, with the flag `saturated`
    NaN           the flag `invalid`, and E = 255, which makes the group NaN; with 3 or 4 bits of exponent as infinity
    infinity      the flag `invalid`; it does not count for E and becomes the largest k with its sign, and the flag
                  `saturated`; with `overflow` "format" and 8 bits of exponent as NaN. A group with no other number
                  above zero is aligned to E = 254
    not built     a code of `rounding` or `precision` that is none of those built counts as the last of them, with the
                  flag `invalid` in every beat of the group
    ============  =======================================================================================================

    Of a narrower precision the bits are the highest of k: the others are zero.

    With `sums` both sums of `golden.bfp.relative_improvement` of each tensor leave once all of it has left: they are made of
    the aligned numbers before they are rounded. The sums of one tensor are kept until they are taken; only if those of the next
    are ready before that, conversion waits.

    Latency: ``group / lanes + 1`` cycles; of the sums 1 more. Throughput: a beat per clock.

    Sources: FAST, HPCA 2022, for alignment, 8 random bits, truncation; all that the table fixes is ours.

    Members
    -------
    i : In(stream.Signature)
        Payload {data: FP32 lanes, last, user: {rounding, precision, offset, reference, user}}.
    o : Out(stream.Signature)
        Payload {data: lanes of `element`, last, user: {exponent, saturated, invalid, group_last, user}}.
    m_sums : Out(stream.Signature)
        Only with `sums`. Payload {data: {numerator, denominator}, last, user: {saturated, user}}.

    Fields
    ------
    s_axis.lane
        An FP32 word.
    m_axis.lane
        A number {sign, k}.
    rounding
        The rounding of the group.
    precision
        The mantissa bits of the group: the values name those that were built.
    offset
        The offset of the group's exponent, with which its code has to be read.
    reference
        The exponent that the sums are in units of: ``2**(reference - 127 - 3)``. It has to be the same in a whole tensor; the
        sums do not overflow if it is about 14 below the largest exponent of a tensor of a million numbers.
    exponent
        The code of the group's exponent, in each of its beats.
    m_axis.saturated
        A number of the beat became the largest k as the exponent was at its end.
    invalid
        A number of the beat was NaN or infinity, or a code of the group is none of those built.
    m_sums.user
        The tag of the tensor's last beat.
    group_last
        The last beat of a group.
    numerator, denominator
        Sums over the tensor of ``|BFP4 - BFP2|`` and of ``|BFP2|``: with k = 4 h + l of 4 bits, cut, a group adds its l to one
        and its 4 h to the other, each times ``2**(E - reference)``, rounded down.
    m_sums.saturated
        One of the sums is at the end of its range.

    Protocol
    --------
    TLAST
        Ends a tensor and with it the group, whose missing beats count as zeros and do not leave; the next group may then wait
        until the shorter one before it has left. It leaves with the last beat of the tensor. At `m_sums` it is always 1.
    order
        A group comes in ``group / lanes`` beats in a row, and leaves in as many.
    constant
        What TUSER sets for a group counts where it is the group's last: rounding, precision, offset, reference. The reference
        has to be the same in a whole tensor.
    """

    fmt = Format("bfp4", BlockFormat, "Format of the groups.")
    lanes = Integer(16, 1, MAX_GROUP, "Numbers per beat.")
    roundings = Several(
        ("rtz", "sr"), Choice("rtz", ROUNDINGS), "Roundings that are built; with more than one, each group chooses."
    )
    overflow = Choice(
        "saturate", OVERFLOWS, "Infinity becomes the largest number of its group, or makes NaN of the group, which takes less."
    )
    precisions = Several(
        None,
        Integer(4, 1, 8),
        "Mantissa bits that are built; with more than one, each group chooses. Not given, those of fmt.",
    )
    sums = Switch(True, "Whether there are sums of relative improvement.")
    sum_bits = Integer(SUM_BITS, MIN_SUM_BITS, MAX_SUM_BITS, "Width of each sum.")
    seed = Integer(
        1,
        0,
        MAX_SEED,
        "Seed of the random bits, see `golden.lfsr`: instances with different ones share none. The Verilog parameter "
        "SEED has it as default. They step with every beat.",
    )
    seed_port = seed_port()
    user_bits = Integer(0, 0, 64, "Width of a tag that passes through.", place=3)

    relations = (
        Relation("lanes must divide the group of fmt", lambda fmt, lanes: fmt.group % lanes == 0),
        Relation(
            "precisions must not be above the mantissa bits of fmt",
            lambda fmt, precisions: max(precisions or [0]) <= fmt.man_bits,
        ),
    )

    effects = (
        Effect("with 8 bits of exponent", lambda fmt: fmt.exp_bits == 8, ("overflow",)),
        Effect("where sr is among roundings", lambda roundings: "sr" in roundings, ("seed", "seed_port")),
        Effect("with sums", lambda sums: sums, ("sum_bits",)),
    )

    @property
    def latency(self):
        cycles = self._beats + 1
        return {"m_axis": cycles, **({"m_sums": cycles + 1} if self.sums else {})}

    def prepare(self):
        self._precisions = self.precisions or (self.fmt.man_bits,)
        self._beats = self.fmt.group // self.lanes
        # Rounding looks at so many bits below k; of those further down only at whether there is any.
        looks_at = SR_BITS + 1 if "sr" in self.roundings else int("rne" in self.roundings)
        self._width = max(self.fmt.man_bits + looks_at, POLICY_BITS if self.sums else 0)
        self._sticky = self.roundings != ("rtz",)
        # Whether a number may have a larger exponent than its group.
        self._exceeds = self.fmt.exp_bits < 8 or self.overflow == "saturate"
        self._control = data.StructLayout(
            {
                **({"rounding": rounding_field(self.roundings)} if len(self.roundings) > 1 else {}),
                **({"precision": range(len(self._precisions))} if len(self._precisions) > 1 else {}),
                **({"offset": 8} if self.fmt.exp_bits < 8 else {}),
                **({"reference": 8} if self.sums else {}),
            }
        )
        self.seeded = "sr" in self.roundings
        self.encodings = {
            "rounding": {rounding: CODES[rounding] for rounding in self.roundings},
            "precision": {str(bits): index for index, bits in enumerate(self._precisions)},
        }

    def members(self):
        raised = {"exponent": self.fmt.exp_bits, "saturated": 1, "invalid": 1, "group_last": 1}
        members = {
            "i": In(beats(Float32, self.lanes, self._control.members | self.tag)),
            "o": Out(beats(element(self.fmt), self.lanes, raised | self.tag)),
        }
        if self.sums:
            pair = data.StructLayout({"numerator": self.sum_bits, "denominator": self.sum_bits})
            members["m_sums"] = Out(beats_of(pair, {"saturated": 1, **self.tag}))
        return members | (SEED_PORTS if self.seed_port else {})

    def build(self, m):
        m.submodules.output = output = Register(self.o.payload.shape())
        may_leave = Signal()
        seeded = Signal()
        group, beat, leaves = self._collect(m, output.i, may_leave & seeded)
        exponent, code = self._effective_exponent(m, group)
        aligned = self._align(m, beat, exponent)
        m.d.comb += seeded.eq(self._round(m, output.i.p, group, beat, aligned, leaves))
        m.d.comb += [
            output.i.p.last.eq(beat.last),
            output.i.p.user.exponent.eq(code),
            output.i.p.user.saturated.eq(reduce(or_, (lane.saturated for lane in aligned))),
            output.i.p.user.invalid.eq(beat.invalid | self._unbuilt(group)),
            output.i.p.user.group_last.eq(beat.group_last),
            self.o.valid.eq(output.o.valid),
            self.o.payload.eq(output.o.payload),
            output.o.ready.eq(self.o.ready),
            *(output.i.p.user[name].eq(beat[name]) for name in self.tag),
        ]
        if self.sums:
            self._sum(m, group, beat, aligned, exponent, leaves, may_leave)
        else:
            m.d.comb += may_leave.eq(1)

    def _collect(self, m, sink, may_leave):
        """Beats wait in as many slots as a group has until the group's largest exponent is known; the group then leaves while
        the next one takes its slots, each in the cycle in which it becomes free.

        Returns what the group in front has, its beat in front, and whether that beat leaves, which it may if `may_leave`.
        """
        lane = data.StructLayout({"sign": 1, "exponent": 8, "fraction": self._width - 1, "sticky": int(self._sticky)})
        slot = data.StructLayout(
            {"lanes": data.ArrayLayout(lane, self.lanes), "invalid": 1, "last": 1, "group_last": 1, **self.tag}
        )
        group = Signal(data.StructLayout({"largest": 8, "control": self._control}), reset_less=True)
        pending = Signal()  # a whole group is there
        arriving = Signal(slot)
        taken, leaves, ends_group, group_free = (Signal(name=name) for name in ("taken", "leaves", "ends_group", "group_free"))
        exponents, uncounted = self._arriving(m, arriving)
        largest = Signal(8)
        slots = [Signal(slot, name=f"slot{index}", reset_less=True) for index in range(self._beats)]
        if self._beats == 1:
            front = slots[0]
            m.d.comb += [ends_group.eq(1), self.i.ready.eq(group_free)]
            with m.If(taken):
                m.d.sync += slots[0].eq(arriving)
        else:
            index_in, index_out = (Signal(range(self._beats), name=name) for name in ("index_in", "index_out"))
            filled = Signal(self._beats)
            so_far = Signal(8, reset_less=True)
            front = Signal(slot)
            slot_free = Signal()
            m.d.comb += [
                front.eq(Array(slots)[index_out]),
                ends_group.eq(self.i.p.last | (index_in == self._beats - 1)),
                slot_free.eq(~Array(filled)[index_in] | (leaves & (index_in == index_out))),
                self.i.ready.eq(slot_free & (~ends_group | group_free)),
            ]
            exponents.append(wire(m, 8, Mux(index_in.any(), so_far, 0), "exponent_so_far"))
            if self._exceeds:
                uncounted_so_far = Signal(reset_less=True)
                uncounted = uncounted | (index_in.any() & uncounted_so_far)
            with m.If(leaves):
                m.d.sync += [index_out.eq(Mux(front.group_last, 0, index_out + 1)), filled.bit_select(index_out, 1).eq(0)]
            with m.If(taken):
                m.d.sync += [
                    index_in.eq(Mux(ends_group, 0, index_in + 1)),
                    filled.bit_select(index_in, 1).eq(1),
                    so_far.eq(largest),
                ]
                if self._exceeds:
                    m.d.sync += uncounted_so_far.eq(uncounted)
                with m.Switch(index_in):
                    for index in range(self._beats):
                        with m.Case(index):
                            m.d.sync += slots[index].eq(arriving)
        m.d.comb += [
            largest.eq(_largest(m, exponents)),
            arriving.group_last.eq(ends_group),
            taken.eq(self.i.valid & self.i.ready),
            sink.valid.eq(pending & may_leave),
            leaves.eq(sink.valid & sink.ready),
            group_free.eq(~pending | (leaves & front.group_last)),
        ]
        with m.If(group_free):
            m.d.sync += pending.eq(taken & ends_group)
        with m.If(taken & ends_group):
            m.d.sync += group.largest.eq(Mux(uncounted & ~largest.any(), NAN_EXPONENT - 1, largest))
            for name in self._control.members:
                m.d.sync += group.control[name].eq(self.i.p.user[name])
        return group, front, leaves

    def _arriving(self, m, arriving):
        """What is kept of the beat at the input; returns its exponents, as they count for the group's, and whether there is an
        infinity or NaN that does not."""
        kept = self._width - 1
        exponents, invalid, uncounted = [], [], []
        for lane, word in zip(arriving.lanes, self.i.p.data):
            special = word.exponent.all()
            m.d.comb += [
                lane.sign.eq(word.sign),
                lane.exponent.eq(word.exponent),
                lane.fraction.eq(word.fraction[FP32_MAN_BITS - kept :]),
            ]
            if self._sticky:
                m.d.comb += lane.sticky.eq(word.fraction[: FP32_MAN_BITS - kept].any())
            if self.fmt.exp_bits < 8:
                counts = ~special
            elif self.overflow == "saturate":
                counts = ~special | word.fraction.any()
            else:
                counts = Const(1, 1)
            exponents.append(wire(m, 8, word.exponent & counts.replicate(8), f"counted_exponent{len(exponents)}"))
            invalid.append(special)
            uncounted.append(special & ~counts)
        m.d.comb += [arriving.invalid.eq(Cat(invalid).any()), arriving.last.eq(self.i.p.last)]
        m.d.comb += [arriving[name].eq(self.i.p.user[name]) for name in self.tag]
        return exponents, wire(m, 1, Cat(uncounted).any(), "uncounted")

    def _unbuilt(self, group):
        """Whether the group in front asks for a rounding or precision that there is not."""
        modes = [CODES[name] for name in self.roundings]
        numbers = range(len(self._precisions))
        return is_none_of(group.control, "rounding", modes) | is_none_of(group.control, "precision", numbers)

    def _effective_exponent(self, m, group):
        """The exponent that the group in front is aligned to, and its code."""
        if self.fmt.exp_bits == 8:
            return group.largest, group.largest
        bits = self.fmt.exp_bits
        difference = wire(m, signed(9), group.largest - group.control.offset)
        code = wire(m, bits, Mux(difference < 0, 0, difference[:bits] | difference[bits:8].any().replicate(bits)))
        # Not above 255: the code is 0, or at most that of an exponent of FP32.
        exponent = wire(m, 8, group.control.offset + code)
        return exponent, code

    def _align(self, m, beat, exponent):
        """For each lane its `width` highest bits in units of the group, what falls off below, whether it is too large, and the
        bits as the sums count them: without those of infinity and NaN."""
        layout = data.StructLayout({"bits": self._width, "sticky": 1, "saturated": 1, "counted": self._width})
        results = []
        for index, lane in enumerate(beat.lanes):
            result = Signal(layout, name=f"aligned{index}")
            distance = wire(m, 9, exponent - lane.exponent, f"distance{index}")
            near_bits = (self._width - 1).bit_length()
            nonzero = lane.exponent.any()
            bits, sticky = Cat(lane.fraction, 1), lane.sticky if self._sticky else Const(0, 1)
            # Long shifts first, and zeros at the end: fewer gates and LUTs than a case for each distance.
            for power in reversed(range(near_bits)):
                places = 2**power
                # What falls off counts where the leading one is among the bits that rounding looks at: not after long shifts.
                if self._sticky and places < self._width:
                    sticky = sticky | (distance[power] & bits[:places].any())
                bits = wire(m, self._width, Mux(distance[power], bits[places:], bits), f"lane{index}_by_{places}")
            near = nonzero & ~distance[near_bits : 9 if self._exceeds else 8].any()
            exceeds = nonzero & distance[8] if self._exceeds else Const(0, 1)
            # Without an offset only what does not count can exceed.
            number_exceeds = exceeds & ~lane.exponent.all() if self.fmt.exp_bits < 8 else Const(0, 1)
            within = wire(m, self._width, bits & near.replicate(self._width), f"within{index}")
            m.d.comb += [
                result.bits.eq(within | exceeds.replicate(self._width)),
                result.sticky.eq(sticky),
                result.saturated.eq(exceeds),
                result.counted.eq(within | number_exceeds.replicate(self._width)),
            ]
            results.append(result)
        return results

    def _round(self, m, sink, group, beat, aligned, leaves):
        """Numbers and their signs; returns whether the random bits for them are there."""
        random, seeded = [None] * self.lanes, Const(1, 1)
        if "sr" in self.roundings:
            random, seeded = lane_words(m, self.seed, self.lanes, SR_BITS, leaves, self if self.seed_port else None)
        for index, result in enumerate(aligned):
            kept, up = self._decide(m, index, group, result, random[index])
            magnitude = sink.data[index].magnitude
            m.d.comb += [
                magnitude.eq((kept + (up & ~kept.all())) & self._for_precision(group, lambda extra: -1 << extra)),
                sink.data[index].sign.eq(beat.lanes[index].sign & magnitude.any()),
            ]
        return seeded

    def _for_precision(self, group, make):
        """That of ``make(extra)`` which belongs to the group's precision, `extra` being how many bits of k it does not have."""
        mask = 2**self.fmt.man_bits - 1
        values = [make(self.fmt.man_bits - bits) for bits in self._precisions]
        values = [Const(value & mask, self.fmt.man_bits) if isinstance(value, int) else value for value in values]
        return pick_or_last(values, group.control.precision if len(values) > 1 else None)

    def _decide(self, m, index, group, result, random):
        """k before rounding, with ones in bits that its precision lacks, through which a carry runs, and whether to add 1."""
        below = self._width - self.fmt.man_bits

        def choose(make):
            return self._for_precision(group, make)

        up = Signal(name=f"up{index}")
        chosen = choose(lambda extra: Cat(Const(2**extra - 1, extra), result.bits[below + extra :]))
        kept = wire(m, self.fmt.man_bits, chosen, f"kept{index}")
        decisions = {"rtz": Const(0, 1)}
        if "rne" in self.roundings:
            guard = choose(lambda extra: result.bits[below + extra - 1])
            lower = choose(lambda extra: result.bits[: below + extra - 1].any())
            odd = choose(lambda extra: result.bits[below + extra])
            decisions["rne"] = guard & (lower | result.sticky | odd)
        if "sr" in self.roundings:
            discarded = choose(lambda extra: result.bits[below + extra - SR_BITS : below + extra])
            guard = choose(lambda extra: result.bits[below + extra - SR_BITS - 1])
            lower = choose(lambda extra: result.bits[: below + extra - SR_BITS - 1].any())
            rounds_up = guard & (lower | result.sticky | discarded[0])
            decisions["sr"] = carries(m, discarded, random, rounds_up, f"with_random{index}")
        decide(m, up, group.control, {CODES[rounding]: decisions[rounding] for rounding in self.roundings})
        return kept, up

    def _sum(self, m, group, beat, aligned, exponent, leaves, may_leave):
        """Sums of chunks of a beat in one cycle, of the group and the tensor in the next; a tensor's then wait until they are
        taken."""
        width = (3 * self.fmt.group).bit_length()
        tag = {"last": 1, **self.tag}
        chunk_sums = {"low": width, "high": width, "shift": signed(9), "group_last": 1}
        beat_sums = Signal(data.StructLayout({**chunk_sums, **tag}), reset_less=True)
        sums_valid = Signal()
        numerator, denominator = (Signal(self.sum_bits, name=name) for name in ("numerator", "denominator"))
        m.submodules.result = result = Register(self.m_sums.payload.shape())
        m.d.comb += [
            may_leave.eq(~(sums_valid & beat_sums.last) | result.i.ready),
            self.m_sums.valid.eq(result.o.valid),
            self.m_sums.payload.eq(result.o.payload),
            result.o.ready.eq(self.m_sums.ready),
        ]
        with m.If(may_leave):
            m.d.sync += sums_valid.eq(leaves)
        tops = [lane.counted[self._width - POLICY_BITS :] for lane in aligned]
        high = self._sum_of_lanes(m, [top[2:] for top in tops], "high")
        low = self._sum_of_lanes(m, [top[:2] for top in tops], "low")
        is_number = ~exponent.all()
        with m.If(leaves):
            m.d.sync += [
                beat_sums.low.eq(Mux(is_number, low, 0)),
                beat_sums.high.eq(Mux(is_number, high, 0)),
                beat_sums.shift.eq(exponent - group.control.reference),
                beat_sums.group_last.eq(beat.group_last),
                beat_sums.last.eq(beat.last),
                *(beat_sums[name].eq(beat[name]) for name in self.tag),
            ]
        low, high = beat_sums.low, beat_sums.high
        if self._beats > 1:
            low_before, high_before, low, high = (
                Signal(width, name=name) for name in ("low_before", "high_before", "low_in_group", "high_in_group")
            )
            m.d.comb += [low.eq(beat_sums.low + low_before), high.eq(beat_sums.high + high_before)]
            with m.If(may_leave & sums_valid):
                m.d.sync += [
                    low_before.eq(Mux(beat_sums.group_last, 0, low)),
                    high_before.eq(Mux(beat_sums.group_last, 0, high)),
                ]
        saturated = Signal()
        sums = []
        too_large = saturated
        for total, value in ((numerator, low), (denominator, Cat(Const(0, 2), high))):
            addend = self._scaled(m, total.name, value, beat_sums.shift)
            sum_ = wire(m, self.sum_bits + 1, total + addend.value, f"{total.name}_sum")
            beyond = addend.too_large | sum_[-1]
            sums.append(sum_[:-1] | beyond.replicate(self.sum_bits))
            too_large = too_large | beyond
        with m.If(may_leave & sums_valid & beat_sums.group_last):
            m.d.sync += [
                numerator.eq(Mux(beat_sums.last, 0, sums[0])),
                denominator.eq(Mux(beat_sums.last, 0, sums[1])),
                saturated.eq(too_large & ~beat_sums.last),
            ]
        m.d.comb += [
            result.i.valid.eq(sums_valid & beat_sums.last),
            result.i.p.data.numerator.eq(sums[0]),
            result.i.p.data.denominator.eq(sums[1]),
            result.i.p.user.saturated.eq(too_large),
            result.i.p.last.eq(1),
            *(result.i.p.user[name].eq(beat_sums[name]) for name in self.tag),
        ]

    def _sum_of_lanes(self, m, values, name):
        total = values[0]
        for lane, value in enumerate(values[1:], 1):
            total = named(m, total + value, f"{name}_of_lanes0to{lane}")
        return total

    def _scaled(self, m, name, value, shift):
        """``floor(value * 2**shift)``, as many bits as a sum has, and whether it has more."""
        below = (3 * self.fmt.group).bit_length() + 2  # a shift right by so many leaves nothing
        near_bits = (self.sum_bits + below).bit_length()
        places = wire(m, signed(10), shift + below, f"{name}_places")
        wide = Cat(value, Const(0, below + 2**near_bits - 1 - len(value)))
        for bit in range(near_bits):
            wide = wire(m, len(wide), Mux(places[bit], Cat(Const(0, 2**bit), wide), wide), f"{name}_by_{2**bit}")
        result = Signal(data.StructLayout({"value": self.sum_bits, "too_large": 1}), name=f"{name}_scaled")
        with m.If(~places[-1]):
            m.d.comb += [
                result.value.eq(wide[below:]),
                result.too_large.eq(wide[below + self.sum_bits :].any() | (places[near_bits:].any() & value.any())),
            ]
        return result


def _largest(m, exponents):
    """The largest of several exponents, found bit by bit from the top among those that are still in the running.

    It takes fewer gates than a tree of comparators, though more LUTs where carries are free.
    """
    running = Const(-1, len(exponents))
    bits = []
    for bit in reversed(range(8)):
        candidates = Cat(alive & exponent[bit] for alive, exponent in zip(running, exponents, strict=True))
        is_set = wire(m, 1, candidates.any(), f"largest{bit}")
        still_running = Cat(alive & (exponent[bit] | ~is_set) for alive, exponent in zip(running, exponents, strict=True))
        running = wire(m, len(exponents), still_running, f"running{bit}")
        bits.insert(0, is_set)
    return Cat(bits)
