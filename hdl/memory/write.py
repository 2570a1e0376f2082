"""From core to memory."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BIAS_BITS, FP32_MAN_BITS
from narrowfloat.hdl.float_codec import FloatEncoder
from narrowfloat.hdl.memory.streams import (
    CODE_BITS,
    S2FP8_STAGES,
    SLOTS,
    WORD_BYTES,
    PortFlags,
    memory_stream,
    mode_bits,
    type_bits,
    written_stream,
)
from narrowfloat.hdl.parts.logic import Circuit, is_number, named, pick, wire
from narrowfloat.hdl.parts.stream import Register as StreamRegister
from narrowfloat.hdl.s2fp8 import NEUTRAL, PARAMETERS, S2Encoder


class WritePath(Circuit):
    """From core to memory: four beats of words become one of codes.

    Equation: a word becomes a code as in `FloatEncoder`, or in `S2Encoder`.

    A beat is taken into a register, and encoded from there: so it joins those of the same tensor in the pack, four to a memory
    beat, slot 0 lowest. The pack leaves when it has four, with the tensor's last, with a
    beat that says so, and where a beat of another kind follows: order is kept exactly, and a pack that a change of type cuts
    short leaves slots without kept bytes. Types should therefore alternate by bursts: beat by beat, every memory beat carries
    one slot. What is not encoded leaves as it came.

    A beat with a bias of its own is of no tensor, and is encoded with that bias whatever the mode. It joins others with the
    same type and bias.

    A tensor's mode and bias are those that its type had when its first beat was accepted, up to its last: whatever is read
    with the bias that came along is read right. Only tensors in modes that encode count, and no beat with bypass. All this
    goes for the parameters of S2FP8 as well.

    Latency: 2 cycles from the beat that completes a pack, with S2FP8 3. Throughput: a beat per clock. At most
    one memory beat leaves for each beat, so the core never waits unless the memory does. `ready` is combinational from output
    to input, and depends on no bias.

    Parameters
    ----------
    fmt : FloatFormat
    lanes, types : int
    overflow : str
        As of the encoders.
    s2fp8 : bool
        Whether there are the modes of S2FP8.
    bias_port : bool
        Whether beats may have a bias of their own.
    initial_bias : int
        That of all types after reset.

    Members
    -------
    s_core : In(written_stream)
        A lane counts as kept if its four bytes are, for encoding and observing alike.
    m_mem : Out(memory_stream)
        One keep bit per code. A packed beat has the tensor's bias or its mean and inverse, others 0.
    next_mode, next_bias, next_parameters : In
        For each type what a tensor takes at its start; it counts from the next cycle on. Parameters are there with S2FP8.
    mode, bias, parameters, open : Out
        For each type what its tensor has, or, if none is open, what one would that starts now.
    tap : Out({valid, type, keep, words})
        Beats to observe: each in the cycle in which it is accepted.
    tensor_end : Out({valid, type})
        The beat on the tap is its tensor's last.
    raised : Out(ArrayLayout(PortFlags, types))
        What encoding raises: 2 cycles after a beat was accepted, in S2FP8 once it leaves its encoder.
    """

    def __init__(self, fmt, lanes, types, overflow="saturate", s2fp8=False, bias_port=False, initial_bias=15):
        self._fmt, self._lanes, self._types, self._overflow, self._s2fp8 = fmt, lanes, types, overflow, s2fp8
        self._bias_port = bias_port
        self.latency = S2FP8_STAGES + 1 if s2fp8 else 2
        # Where no subnormal has to be aligned it is known which bit to round to.
        self._rounds_here = fmt.underflow != "gradual"
        # Bits of a word without a part of their own in its code, whatever that is: all but two behind its mantissa.
        self._cut = FP32_MAN_BITS - fmt.man_bits - 2
        modes, biases = data.ArrayLayout(mode_bits(s2fp8), types), data.ArrayLayout(BIAS_BITS, types)
        parameters = data.ArrayLayout(PARAMETERS, types)
        tap = {"valid": Out(1), "type": Out(type_bits(types)), "keep": Out(lanes), "words": Out(data.ArrayLayout(32, lanes))}
        super().__init__(
            {
                "s_core": In(written_stream(lanes, types, bias_port)),
                "m_mem": Out(memory_stream(lanes, types, s2fp8, bias_port)),
                "next_mode": In(modes),
                "next_bias": In(biases),
                "mode": Out(modes),
                "bias": Out(biases, init=[initial_bias] * types),
                **({"next_parameters": In(parameters), "parameters": Out(parameters, init=[NEUTRAL] * types)} if s2fp8 else {}),
                "open": Out(types),
                "tap": Out(wiring.Signature(tap)),
                "tensor_end": Out(wiring.Signature({"valid": Out(1), "type": Out(type_bits(types))})),
                "raised": Out(data.ArrayLayout(PortFlags, types)),
            }
        )

    def build(self, m):
        core, payload = self.s_core, self.s_core.payload
        # A beat that is encoded by itself, and one of a tensor.
        alone = wire(m, 1, payload.user.own_bias & ~payload.user.bypass if self._bias_port else Const(0, 1))
        accepted = wire(m, 1, core.valid & core.ready & ~payload.user.bypass & ~alone)
        mode = wire(m, mode_bits(self._s2fp8), pick(self.mode, payload.user.type))
        self._hold_until_last(m, accepted)
        kept = [payload.keep.word_select(lane, WORD_BYTES).all() for lane in range(self._lanes)]
        m.d.comb += [
            self.tap.valid.eq(accepted & mode.xor()),
            self.tap.type.eq(payload.user.type),
            self.tap.keep.eq(Cat(kept)),
            self.tap.words.eq(payload.data),
            self.tensor_end.valid.eq(self.tap.valid & payload.last),
            self.tensor_end.type.eq(payload.user.type),
        ]
        beat = Signal(data.StructLayout({"memory": self.m_mem.payload.shape(), "flush": 1, "partial": 1}))
        cut = [payload.keep.word_select(lane, WORD_BYTES).any() & ~kept[lane] for lane in range(self._lanes)]
        m.d.comb += [beat.flush.eq(payload.user.flush), beat.partial.eq(Cat(cut).any())]
        self._prepare(m, beat.memory, alone, mode, Cat(kept))
        if self._s2fp8:
            s2_encoder = self._squeeze(m, beat)
            prepared = data.View(beat.shape(), s2_encoder.o.p.user.user)
            valid, ready = s2_encoder.o.valid, s2_encoder.o.ready
        else:
            m.submodules.prepared = register = StreamRegister(beat.shape())
            m.d.comb += [register.i.valid.eq(core.valid), core.ready.eq(register.i.ready), register.i.payload.eq(beat)]
            prepared, valid, ready = register.o.payload, register.o.valid, register.o.ready
        codes, flags = self._encode(m, prepared.memory)
        if self._s2fp8:
            with m.If(prepared.memory.user.squeezed):
                m.d.comb += codes.eq(s2_encoder.o.p.data.as_value())
                for flag, found in zip(flags, s2_encoder.o.p.user.flags):
                    m.d.comb += flag.eq(Cat(found.saturated, found.flushed, 0, found.invalid))
            begins = wire(m, 1, valid & ready)
        else:
            # In the register a beat may wait, and registers clear flags meanwhile: it raises them in its first cycle there.
            begins = Signal()
            m.d.sync += begins.eq(core.valid & core.ready)
        self._raise(m, begins, prepared, flags)
        self._pack(m, prepared, valid, ready, codes)

    def _hold_until_last(self, m, accepted):
        """What each type's tensors take at their start, which follows the input except while a tensor is open."""
        payload = self.s_core.payload
        for t in range(self._types):
            open_, stays_open = self.open[t], Signal(name=f"stays_open{t}")
            here = accepted & is_number(payload.user.type, t)
            m.d.comb += stays_open.eq(Mux(here, ~payload.last, open_))
            m.d.sync += open_.eq(stays_open)
            with m.If(~stays_open):
                m.d.sync += [self.mode[t].eq(self.next_mode[t]), self.bias[t].eq(self.next_bias[t])]
                if self._s2fp8:
                    m.d.sync += self.parameters[t].eq(self.next_parameters[t])

    def _prepare(self, m, result, alone, mode, kept):
        """Make of a beat from the core the one for memory, but for codes.

        Of words to be encoded the bits that no code keeps are only looked at for rounding. They leave here in two bits, so that
        the encoder has less to do: the first, and whether there are others. Where codes have no subnormals the first one says
        already whether to round up, and the second whether anything is discarded.
        """
        payload, user = self.s_core.payload, self.s_core.payload.user
        bias = Signal(BIAS_BITS)
        packed = Signal()
        squeezed = Signal()
        of_type = pick(self.bias, user.type)
        m.d.comb += [
            bias.eq(Mux(alone, user.bias, of_type) if self._bias_port else of_type),
            packed.eq(alone | mode[1:].any() & ~user.bypass),
            result.data.eq(payload.data),
            result.keep.eq(Mux(packed, kept, payload.keep)),
            result.last.eq(payload.last),
            result.user.type.eq(user.type),
            result.user.bypass.eq(user.bypass),
            result.user.packed.eq(packed),
            result.user.bias.eq(Mux(packed & ~squeezed, bias, 0)),
        ]
        with m.If(packed & ~squeezed):
            for word, given in zip(result.data, payload.data):
                others, first, last = given[: self._cut + 1].any(), given[self._cut + 1], given[self._cut + 2]
                if self._rounds_here:
                    m.d.comb += word[self._cut : self._cut + 2].eq(Cat(first | others, first & (others | last)))
                else:
                    m.d.comb += word[self._cut].eq(others)
        if self._bias_port:
            m.d.comb += result.user.own_bias.eq(alone)
        if self._s2fp8:
            found = pick(self.parameters, user.type)
            m.d.comb += [squeezed.eq(packed & mode[2] & ~alone), result.user.squeezed.eq(squeezed)]
            with m.If(squeezed):
                m.d.comb += [result.user.mean.eq(found.mean), result.user.inverse.eq(found.inverse)]

    def _encode(self, m, beat):
        """The codes of a beat of words that `_prepare` has made, and what they raise in each lane."""
        m.submodules.encoder = encoder = FloatEncoder(
            (self._fmt,),
            lanes=self._lanes,
            stages=0,
            roundings=("rna" if self._rounds_here else "rne",),
            overflow="saturate" if self._fmt.specials == "none" else self._overflow,
            flags=True,
        )
        m.d.comb += [
            *(lane.eq(Cat(Const(0, self._cut), word[self._cut :])) for lane, word in zip(encoder.i.p.data, beat.data)),
            encoder.i.p.user.bias.eq(beat.user.bias),
        ]
        codes = wire(m, CODE_BITS * self._lanes, encoder.o.p.data.as_value(), "codes")
        return codes, [named(m, flags.as_value(), f"flags{lane}") for lane, flags in enumerate(encoder.o.p.user.flags)]

    def _raise(self, m, begins, beat, flags):
        """Raise for its type what a beat has raised, if it `begins`, a cycle later."""
        of_lanes = reduce(or_, (flag & keep.replicate(len(flag)) for keep, flag in zip(beat.memory.keep, flags)))
        raised, whose = Signal(PortFlags), Signal.like(beat.memory.user.type, name="raised_by", reset_less=True)
        m.d.sync += whose.eq(beat.memory.user.type)
        m.d.sync += raised.eq(Mux(begins & beat.memory.user.packed, Cat(of_lanes, beat.partial), 0))
        m.d.comb += [self.raised[t].eq(Mux(is_number(whose, t), raised.as_value(), 0)) for t in range(self._types)]

    def _squeeze(self, m, beat):
        """The encoder of S2FP8 with the beats that `_prepare` makes as its tag."""
        user = beat.memory.user
        m.submodules.s2_encoder = s2_encoder = S2Encoder(
            lanes=self._lanes,
            stages=S2FP8_STAGES,
            overflow=self._overflow,
            flags=True,
            user_bits=Shape.cast(beat.shape()).width,
        )
        alphas = [self.parameters[t].alpha for t in range(self._types)]
        m.d.comb += [
            s2_encoder.i.valid.eq(self.s_core.valid),
            self.s_core.ready.eq(s2_encoder.i.ready),
            # all is still in there while beats are not squeezed
            s2_encoder.i.p.data.eq(self.s_core.payload.data.as_value() & user.squeezed.replicate(32 * self._lanes)),
            s2_encoder.i.p.user.alpha.eq(pick(alphas, self.s_core.payload.user.type)),
            s2_encoder.i.p.user.mean.eq(user.mean),
            s2_encoder.i.p.user.user.eq(beat),
        ]
        return s2_encoder

    def _pack(self, m, prepared, valid, ready, codes):
        """Take beats that `_prepare` has made, with their codes, if they are `valid`, and say whether they are; offer packs."""
        beat = prepared.memory
        pack = Signal(self.m_mem.payload.shape(), reset_less=True)
        taken = Signal()
        complete = Signal()
        position = Signal(range(SLOTS))  # of the next beat to join
        # A tensor whose pack is not complete is open, and so has the same mode and bias still: no need to compare these.
        joins = Signal()
        leaves = Signal()
        same = beat.user.type == pack.user.type
        if self._bias_port:
            own = beat.user.own_bias
            same &= (own == pack.user.own_bias) & (~own | (beat.user.bias == pack.user.bias))
        closes = ~beat.user.packed | beat.last | prepared.flush
        m.d.comb += [
            joins.eq(taken & ~complete & beat.user.packed & same),
            leaves.eq(taken & (complete | valid & ~joins)),
            ready.eq(~taken | joins | self.m_mem.ready),
            self.m_mem.valid.eq(leaves),
            self.m_mem.payload.eq(pack),
        ]
        with m.If(valid & ready):
            m.d.sync += [taken.eq(1), complete.eq(closes | joins & (position == SLOTS - 1))]
            with m.If(joins):
                for slot in range(1, SLOTS):
                    with m.If(position == slot):
                        m.d.sync += [
                            pack.data.as_value().word_select(slot, len(codes)).eq(codes),
                            pack.keep.word_select(slot, self._lanes).eq(beat.keep[: self._lanes]),
                        ]
                m.d.sync += [pack.last.eq(beat.last), position.eq(position + 1)]
            with m.Else():
                m.d.sync += [pack.eq(beat), position.eq(1)]
                with m.If(beat.user.packed):
                    m.d.sync += pack.data.eq(codes)
        with m.Elif(self.m_mem.ready & leaves):
            m.d.sync += taken.eq(0)
