"""From memory to core."""

from amaranth.hdl import Array, Cat, Mux, Shape, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BIAS_BITS
from narrowfloat.hdl.float_codec import FloatDecoder
from narrowfloat.hdl.memory.streams import CODE_BITS, S2FP8_STAGES, SLOTS, WORD_BYTES, core_stream, memory_stream
from narrowfloat.hdl.parts.logic import Circuit
from narrowfloat.hdl.parts.stream import Register as StreamRegister
from narrowfloat.hdl.s2fp8 import S2Decoder


class ReadPath(Circuit):
    """From memory to core: a packed beat becomes a beat of words for each slot with a kept code, or one where none is kept.

    Equation: a code becomes a word as in `FloatDecoder`, or in `S2Decoder`. TLAST comes with the last of the beats. What is not
    packed leaves as it came.

    Latency: 1 cycle, with S2FP8 2. Throughput: a beat to the core per clock. `ready` is combinational from output to input.
    Words leave the decoder, which is behind the registers.

    Parameters
    ----------
    fmt : FloatFormat
    lanes, types : int
    s2fp8 : bool
        Whether codes may be those of S2FP8.
    bias_port : bool
        As of the write path.

    Members
    -------
    s_mem : In(memory_stream)
        With bypass, packed is not looked at, and squeezed only if packed is.
    m_core : Out(core_stream)
        A word's four bytes are kept if its code was.
    """

    def __init__(self, fmt, lanes, types, s2fp8=False, bias_port=False):
        self._fmt, self._lanes, self._s2fp8 = fmt, lanes, s2fp8
        self.latency = S2FP8_STAGES if s2fp8 else 1
        super().__init__({"s_mem": In(memory_stream(lanes, types, s2fp8, bias_port)), "m_core": Out(core_stream(lanes, types))})

    def build(self, m):
        beat, user = self.s_mem.payload, self.s_mem.payload.user
        code_bits = CODE_BITS * self._lanes
        packed = Signal()
        left = Signal(SLOTS)  # slots that have left the beat
        ahead = Signal(SLOTS)  # those that have still to
        slot = Signal(range(SLOTS))
        final = Signal(init=1)
        # nothing but known signals goes to `ready`, as some simulated masters drive X without valid
        m.d.comb += packed.eq(self.s_mem.valid & user.packed & ~user.bypass)
        for number in reversed(range(SLOTS)):
            kept = beat.keep.word_select(number, self._lanes).any()
            m.d.comb += ahead[number].eq(packed & kept & ~left[number])
            with m.If(ahead[number]):
                m.d.comb += [slot.eq(number), final.eq(~ahead[number + 1 :].any())]

        # What is left of it are codes and the bias for the decoder, behind the register.
        chosen = Signal(data.StructLayout({"beat": self.m_core.payload.shape(), "packed": 1, "bias": BIAS_BITS}))
        result = chosen.beat
        taken = Signal()
        kept = Signal(self._lanes)
        codes = Signal(code_bits)
        m.d.comb += [
            kept.eq(Array(beat.keep.word_select(number, self._lanes) for number in range(SLOTS))[slot]),
            codes.eq(Array(beat.data.as_value().word_select(number, code_bits) for number in range(SLOTS))[slot]),
            chosen.packed.eq(packed),
            chosen.bias.eq(user.bias),
            self.s_mem.ready.eq(taken & final),
            # of a beat that is not packed slot 0 is chosen, where its words are
            result.data.eq(Cat(codes, beat.data.as_value()[code_bits:])),
            result.keep.eq(Mux(packed, Cat(bit.replicate(WORD_BYTES) for bit in kept), beat.keep)),
            result.last.eq(beat.last & final),
            result.user.type.eq(user.type),
            result.user.bypass.eq(user.bypass),
        ]
        with m.If(self.s_mem.valid & taken):
            m.d.sync += left.eq(Mux(final, 0, left | (1 << slot)))
        if self._s2fp8:
            leaving = self._expand(m, chosen, codes, packed & user.squeezed, taken)
        else:
            m.submodules.chosen = register = StreamRegister(chosen.shape())
            m.d.comb += [register.i.valid.eq(self.s_mem.valid), taken.eq(register.i.ready), register.i.payload.eq(chosen)]
            m.d.comb += [self.m_core.valid.eq(register.o.valid), register.o.ready.eq(self.m_core.ready)]
            leaving = register.o.payload
        m.submodules.decoder = decoder = FloatDecoder((self._fmt,), lanes=self._lanes, stages=0)
        m.d.comb += [
            decoder.i.p.data.eq(leaving.beat.data.as_value()[:code_bits]),
            decoder.i.p.user.bias.eq(leaving.bias),
            self.m_core.payload.eq(leaving.beat),
        ]
        with m.If(leaving.packed):
            m.d.comb += self.m_core.payload.data.eq(decoder.o.p.data)

    def _expand(self, m, chosen, codes, squeezed, taken):
        """`chosen` behind the decoder of S2FP8, with the values of `codes` if `squeezed`; `taken` says when it is."""
        user = self.s_mem.payload.user
        tag = Shape.cast(chosen.shape()).width + 1
        m.submodules.s2_decoder = s2_decoder = S2Decoder(lanes=self._lanes, stages=S2FP8_STAGES, user_bits=tag)
        leaving = Signal(chosen.shape())
        m.d.comb += [
            s2_decoder.i.valid.eq(self.s_mem.valid),
            taken.eq(s2_decoder.i.ready),
            # all is still in there while beats are not squeezed: these come with an inverse of 0
            s2_decoder.i.p.data.eq(codes & squeezed.replicate(len(codes))),
            s2_decoder.i.p.user.inverse.eq(user.inverse),
            s2_decoder.i.p.user.mean.eq(user.mean),
            s2_decoder.i.p.user.user.eq(Cat(chosen, squeezed)),
            self.m_core.valid.eq(s2_decoder.o.valid),
            s2_decoder.o.ready.eq(self.m_core.ready),
            leaving.eq(s2_decoder.o.p.user.user[:-1]),
        ]
        with m.If(s2_decoder.o.p.user.user[-1]):
            m.d.comb += [leaving.beat.data.eq(s2_decoder.o.p.data), leaving.packed.eq(0)]
        return leaving
