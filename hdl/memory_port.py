"""The unit that sits in a memory controller: FP32 on the core's side, eight-bit floats on the memory's.

Tensors of each of a few types go to memory as codes with an exponent bias that statistics of the passing data choose for that
type, and come back as FP32. After Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2, sections 4 and 5. On request they may be
shifted and squeezed as well, after Cambier et al. 2020, arXiv 2001.05674.
"""

from functools import reduce
from importlib.metadata import version
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BIAS_BITS, CATALOG, FloatFormat
from narrowfloat.hdl import statistics
from narrowfloat.hdl.arith import pick
from narrowfloat.hdl.float_codec import FloatDecoder, FloatEncoder
from narrowfloat.hdl.registers import Field, Register, Registers, as_json
from narrowfloat.hdl.s2fp8 import ALPHA_BITS, INVERSE_BITS, MEAN_BITS, NEUTRAL, S2Decoder, S2Encoder, S2Parameters
from narrowfloat.hdl.shapes import Flags
from narrowfloat.hdl.stream import Register as StreamRegister

SLOTS = 4  # words of the core in one of the memory
TYPES = (1, 2, 4, 8)  # powers of two, so that every code of a type field names one
CODE_BITS = 8
WORD_BYTES = 4
IDENTIFICATION = 0x4E464D50  # "NFMP"
# By the codes of the register field; all have the same ports.
ESTIMATORS = {
    "median": statistics.MedianEstimator,
    "histogram": statistics.ExponentHistogram,
    "tracker": statistics.MedianTracker,
    "moments": statistics.LogMoments,
}
TYPE_REGISTERS, TYPE_STRIDE = 0x40, 0x20
# Pipeline registers of the S2FP8 codec: in the middle, where half of its delay is past, and at the end.
_SQUEEZE_STAGES = 2
_PARAMETERS = data.StructLayout({"alpha": ALPHA_BITS, "mean": MEAN_BITS, "inverse": INVERSE_BITS})


def _type_bits(types):
    return (types - 1).bit_length()


def mode_bits(s2fp8):
    """Bits of a mode: bit 1 encodes, or with S2FP8 bit 2 as well; an odd number of ones is observed."""
    return 3 if s2fp8 else 2


def _face(lanes, user):
    """A stream of beats of `lanes` words with a keep bit for each byte."""
    fields = {"data": data.ArrayLayout(32, lanes), "keep": WORD_BYTES * lanes, "last": 1, "user": data.StructLayout(user)}
    return stream.Signature(data.StructLayout(fields))


def core_face(lanes, types):
    """Signature of the streams of the core's side: words, and whose they are."""
    return _face(lanes, {"type": _type_bits(types), "bypass": 1})


def memory_face(lanes, types, s2fp8):
    """Signature of the streams of the memory's side: words or packed codes, and how to read them."""
    squeezed = {"squeezed": 1, "mean": MEAN_BITS, "inverse": INVERSE_BITS} if s2fp8 else {}
    return _face(lanes, {"type": _type_bits(types), "bypass": 1, "packed": 1, "bias": BIAS_BITS, **squeezed})


class WritePath(wiring.Component):
    """From core to memory: four beats of words become one of codes.

    A beat is encoded into a register, from which it joins those of the same tensor in the pack, four to a memory beat, slot 0
    lowest. The pack leaves when it has four, with the tensor's last, and where a beat of another kind follows: order is kept
    exactly, and a pack that a change of type cuts short leaves slots without kept bytes. Types should therefore alternate
    by bursts: beat by beat, every memory beat carries one slot. What is not encoded leaves as it came.

    A tensor's mode and bias are those that its type had when its first beat was accepted, up to its last: whatever is read
    with the bias that came along is read right. Only tensors in modes that encode count, and no beat with bypass. All this
    goes for the parameters of S2FP8 as well.

    Latency: 2 cycles from the beat that completes a pack, with S2FP8 3. Throughput: a beat per clock; a memory beat leaves for each beat at
    most, so the core never waits unless the memory does. `ready` is combinational from output to input, and depends on no bias.

    Parameters
    ----------
    fmt : FloatFormat
    lanes, types : int
    s2fp8 : bool
        Whether there are the modes of S2FP8.

    Members
    -------
    s_core : In(core_face)
        A lane counts as kept if its four bytes are, for encoding and observing alike.
    m_mem : Out(memory_face)
        One keep bit per code. A packed beat has the tensor's bias or its mean and inverse, others 0.
    next_mode, next_bias, next_parameters : In
        For each type what a tensor takes at its start; it counts from the next cycle on. Parameters are there with S2FP8.
    mode, bias, parameters, open : Out
        For each type what its tensor has, or, if none is open, what one would that starts now.
    tap : Out({valid, type, keep, words})
        Beats to observe: each in the cycle in which it is accepted.
    tensor_end : Out({valid, type})
        The beat on the tap is its tensor's last.
    raised : Out(ArrayLayout(Flags, types))
        What encoding raises in this cycle.
    """

    def __init__(self, fmt, lanes, types, s2fp8=False):
        self._fmt, self._lanes, self._types, self._s2fp8 = fmt, lanes, types, s2fp8
        self.latency = _SQUEEZE_STAGES + 1 if s2fp8 else 2
        modes, biases = data.ArrayLayout(mode_bits(s2fp8), types), data.ArrayLayout(BIAS_BITS, types)
        parameters = data.ArrayLayout(_PARAMETERS, types)
        type_bits = _type_bits(types)
        tap = {"valid": Out(1), "type": Out(type_bits), "keep": Out(lanes), "words": Out(data.ArrayLayout(32, lanes))}
        super().__init__(
            {
                "s_core": In(core_face(lanes, types)),
                "m_mem": Out(memory_face(lanes, types, s2fp8)),
                "next_mode": In(modes),
                "next_bias": In(biases),
                "mode": Out(modes),
                "bias": Out(biases, init=[fmt.bias] * types),
                **({"next_parameters": In(parameters)} if s2fp8 else {}),
                **({"parameters": Out(parameters, init=[NEUTRAL] * types)} if s2fp8 else {}),
                "open": Out(types),
                "tap": Out(wiring.Signature(tap)),
                "tensor_end": Out(wiring.Signature({"valid": Out(1), "type": Out(type_bits)})),
                "raised": Out(data.ArrayLayout(Flags, types)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        core, payload = self.s_core, self.s_core.payload
        accepted = Signal()  # a beat of a tensor
        mode = Signal(mode_bits(self._s2fp8))
        m.d.comb += [
            accepted.eq(core.valid & core.ready & ~payload.user.bypass),
            mode.eq(pick([self.mode[t] for t in range(self._types)], payload.user.type)),
        ]
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
        beat = Signal(self.m_mem.payload.shape())
        raised = self._encode(m, beat, accepted, mode, Cat(kept))
        if self._s2fp8:
            encoded, by_squeezing = self._squeeze(m, beat)
            raised = map(or_, raised, by_squeezing)
        else:
            m.submodules.encoded = register = StreamRegister(beat.shape())
            m.d.comb += [register.i.valid.eq(core.valid), core.ready.eq(register.i.ready), register.i.payload.eq(beat)]
            encoded = register.o
        m.d.comb += [self.raised[t].eq(flags) for t, flags in enumerate(raised)]
        self._pack(m, encoded)
        return m

    def _hold_until_last(self, m, accepted):
        """What each type's tensors take at their start, which follows the input except while a tensor is open."""
        payload = self.s_core.payload
        for t in range(self._types):
            open_, stays_open = self.open[t], Signal(name=f"stays_open{t}")
            here = accepted & (payload.user.type == t if self._types > 1 else 1)
            m.d.comb += stays_open.eq(Mux(here, ~payload.last, open_))
            m.d.sync += open_.eq(stays_open)
            with m.If(~stays_open):
                m.d.sync += [self.mode[t].eq(self.next_mode[t]), self.bias[t].eq(self.next_bias[t])]
                if self._s2fp8:
                    m.d.sync += self.parameters[t].eq(self.next_parameters[t])

    def _encode(self, m, result, accepted, mode, kept):
        """What goes to memory of a beat from the core; of one that is to be squeezed all but the codes. Returns what is raised."""
        payload, user = self.s_core.payload, self.s_core.payload.user
        m.submodules.encoder = encoder = FloatEncoder((self._fmt,), lanes=self._lanes, stages=0, flags=True)
        bias = Signal(BIAS_BITS)
        packed = Signal()
        squeezed = Signal()
        m.d.comb += [
            bias.eq(pick([self.bias[t] for t in range(self._types)], user.type)),
            packed.eq(mode[1:].any() & ~user.bypass),
            encoder.i.p.data.eq(payload.data),
            encoder.i.p.user.bias.eq(bias),
            result.data.eq(Mux(packed, encoder.o.p.data.as_value(), payload.data.as_value())),
            result.keep.eq(Mux(packed, kept, payload.keep)),
            result.last.eq(payload.last),
            result.user.type.eq(user.type),
            result.user.bypass.eq(user.bypass),
            result.user.packed.eq(packed),
            result.user.bias.eq(Mux(packed & ~squeezed, bias, 0)),
        ]
        if self._s2fp8:
            found = pick([self.parameters[t] for t in range(self._types)], user.type)
            m.d.comb += [squeezed.eq(packed & mode[2]), result.user.squeezed.eq(squeezed)]
            with m.If(squeezed):
                m.d.comb += [result.user.mean.eq(found.mean), result.user.inverse.eq(found.inverse)]
        flags = [encoder.o.p.user.flags[lane].as_value() for lane in range(self._lanes)]
        return self._raised(accepted & packed & ~squeezed, user.type, kept, flags)

    def _raised(self, valid, type_, kept, flags):
        """What the lanes of a beat raise, for each type."""
        raised = reduce(or_, (flag & keep.replicate(len(flag)) for keep, flag in zip(kept, flags)))
        return [Mux(valid & (type_ == t if self._types > 1 else 1), raised, 0) for t in range(self._types)]

    def _squeeze(self, m, beat):
        """The stream of beats from the core, as `_encode` makes them and with the codes of squeezed ones, and what these raise."""
        user = beat.user
        m.submodules.squeezer = squeezer = S2Encoder(
            lanes=self._lanes, stages=_SQUEEZE_STAGES, flags=True, user_bits=Shape.cast(beat.shape()).width
        )
        encoded = stream.Signature(beat.shape()).create(path=("encoded",))
        alphas = [self.parameters[t].alpha for t in range(self._types)]
        m.d.comb += [
            squeezer.i.valid.eq(self.s_core.valid),
            self.s_core.ready.eq(squeezer.i.ready),
            # all is still in there while beats are not squeezed
            squeezer.i.p.data.eq(self.s_core.payload.data.as_value() & user.squeezed.replicate(32 * self._lanes)),
            squeezer.i.p.user.alpha.eq(pick(alphas, self.s_core.payload.user.type)),
            squeezer.i.p.user.mean.eq(user.mean),
            squeezer.i.p.user.user.eq(beat),
            encoded.valid.eq(squeezer.o.valid),
            squeezer.o.ready.eq(encoded.ready),
            encoded.payload.eq(squeezer.o.p.user.user),
        ]
        with m.If(encoded.payload.user.squeezed):
            m.d.comb += encoded.payload.data.as_value()[: CODE_BITS * self._lanes].eq(squeezer.o.p.data.as_value())
        flags = [squeezer.o.p.user.flags[lane] for lane in range(self._lanes)]
        flags = [Cat(flag.saturated, flag.flushed, 0, flag.invalid) for flag in flags]
        leaves = encoded.valid & encoded.ready & encoded.payload.user.squeezed
        return encoded, self._raised(leaves, encoded.payload.user.type, encoded.payload.keep, flags)

    def _pack(self, m, encoded):
        beat, pack = encoded.payload, Signal(self.m_mem.payload.shape(), reset_less=True)
        taken = Signal()
        complete = Signal()
        position = Signal(range(SLOTS))  # of the next beat to join
        # A tensor whose pack is not complete is open, and so has the same mode and bias still: no need to compare these.
        joins, leaves = Signal(), Signal()
        m.d.comb += [
            joins.eq(taken & ~complete & beat.user.packed & (beat.user.type == pack.user.type)),
            leaves.eq(taken & (complete | encoded.valid & ~joins)),
            encoded.ready.eq(~taken | joins | self.m_mem.ready),
            self.m_mem.valid.eq(leaves),
            self.m_mem.payload.eq(pack),
        ]
        with m.If(encoded.valid & encoded.ready):
            m.d.sync += [taken.eq(1), complete.eq(~beat.user.packed | beat.last | joins & (position == SLOTS - 1))]
            with m.If(joins):
                code_bits = CODE_BITS * self._lanes
                m.d.sync += [
                    pack.data.as_value().word_select(position, code_bits).eq(beat.data.as_value()[:code_bits]),
                    pack.keep.word_select(position, self._lanes).eq(beat.keep[: self._lanes]),
                    pack.last.eq(beat.last),
                    position.eq(position + 1),
                ]
            with m.Else():
                m.d.sync += [pack.eq(beat), position.eq(1)]
        with m.Elif(self.m_mem.ready & leaves):
            m.d.sync += taken.eq(0)


class ReadPath(wiring.Component):
    """From memory to core: a packed beat becomes a beat of words for each slot with a kept code, or one where none is kept.

    TLAST comes with the last of them. What is not packed leaves as it came.

    Latency: 1 cycle, with S2FP8 2. Throughput: a beat to the core per clock. `ready` is combinational from output to input.

    Parameters
    ----------
    fmt : FloatFormat
    lanes, types : int
    s2fp8 : bool
        Whether codes may be those of S2FP8.

    Members
    -------
    s_mem : In(memory_face)
        With bypass, packed is not looked at, and squeezed only if packed is.
    m_core : Out(core_face)
        A word's four bytes are kept if its code was.
    """

    def __init__(self, fmt, lanes, types, s2fp8=False):
        self._fmt, self._lanes, self._s2fp8 = fmt, lanes, s2fp8
        self.latency = _SQUEEZE_STAGES if s2fp8 else 1
        super().__init__({"s_mem": In(memory_face(lanes, types, s2fp8)), "m_core": Out(core_face(lanes, types))})

    def elaborate(self, platform):
        m = Module()
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

        m.submodules.decoder = decoder = FloatDecoder((self._fmt,), lanes=self._lanes, stages=0)
        result = Signal(self.m_core.payload.shape())
        taken = Signal()
        kept, codes = Signal(self._lanes), Signal(code_bits)
        m.d.comb += [
            kept.eq(Array(beat.keep.word_select(number, self._lanes) for number in range(SLOTS))[slot]),
            codes.eq(Array(beat.data.as_value().word_select(number, code_bits) for number in range(SLOTS))[slot]),
            decoder.i.p.data.eq(codes),
            decoder.i.p.user.bias.eq(user.bias),
            self.s_mem.ready.eq(taken & final),
            result.data.eq(Mux(packed, decoder.o.p.data.as_value(), beat.data.as_value())),
            result.keep.eq(Mux(packed, Cat(bit.replicate(WORD_BYTES) for bit in kept), beat.keep)),
            result.last.eq(beat.last & final),
            result.user.type.eq(user.type),
            result.user.bypass.eq(user.bypass),
        ]
        with m.If(self.s_mem.valid & taken):
            m.d.sync += left.eq(Mux(final, 0, left | (1 << slot)))
        if self._s2fp8:
            self._expand(m, result, codes, packed & user.squeezed, taken)
            return m
        m.submodules.decoded = decoded = StreamRegister(result.shape())
        m.d.comb += [decoded.i.valid.eq(self.s_mem.valid), taken.eq(decoded.i.ready), decoded.i.payload.eq(result)]
        wiring.connect(m, decoded.o, wiring.flipped(self.m_core))
        return m

    def _expand(self, m, result, codes, squeezed, taken):
        """Beats to the core: `result`, or if `squeezed` with the values of `codes` in S2FP8; `taken` says when one is."""
        user = self.s_mem.payload.user
        tag = Shape.cast(result.shape()).width + 1
        m.submodules.expander = expander = S2Decoder(lanes=self._lanes, stages=_SQUEEZE_STAGES, user_bits=tag)
        m.d.comb += [
            expander.i.valid.eq(self.s_mem.valid),
            taken.eq(expander.i.ready),
            # all is still in there while beats are not squeezed: these come with an inverse of 0
            expander.i.p.data.eq(codes & squeezed.replicate(len(codes))),
            expander.i.p.user.inverse.eq(user.inverse),
            expander.i.p.user.mean.eq(user.mean),
            expander.i.p.user.user.eq(Cat(result, squeezed)),
            self.m_core.valid.eq(expander.o.valid),
            expander.o.ready.eq(self.m_core.ready),
            self.m_core.payload.eq(expander.o.p.user.user[:-1]),
        ]
        with m.If(expander.o.p.user.user[-1]):
            m.d.comb += self.m_core.payload.data.eq(expander.o.p.data)


class ParameterKeeper(wiring.Component):
    """The S2FP8 parameters of each type: one unit computes them when statistics of a type are new, for one type after the other.

    Latency: 38 cycles, and as many for each other type that waits before.

    Parameters
    ----------
    types : int

    Members
    -------
    mean, largest : In
        Of each type, from `hdl.statistics.LogMoments`.
    ends : In(types)
        They are new in this cycle.
    load, given : In
        For types with a bit in `load`, the mean and largest of `given` are to be taken instead, until the type's next end.
        They stay as they are until `busy` is over.
    parameters : Out
    busy : Out(types)
        They are not yet those of the newest statistics.
    """

    def __init__(self, types):
        self._types = types
        of_types = data.ArrayLayout(MEAN_BITS, types)
        super().__init__(
            {
                "mean": In(of_types),
                "largest": In(of_types),
                "ends": In(types),
                "load": In(types),
                "given": In(data.StructLayout({"mean": MEAN_BITS, "largest": MEAN_BITS})),
                "parameters": Out(data.ArrayLayout(_PARAMETERS, types), init=[NEUTRAL] * types),
                "busy": Out(types),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = S2Parameters()
        stale = Signal(self._types)
        loaded = Signal(self._types)
        works = Signal()
        starts = Signal()
        done = Signal()
        type_ = Signal(_type_bits(self._types))
        here = Const(1, 1) if self._types == 1 else Const(1, self._types) << type_
        m.d.comb += [
            starts.eq(~works & (stale & here).any()),
            done.eq(unit.o.valid),
            unit.i.valid.eq(works & ~done),
            unit.o.ready.eq(1),
            self.busy.eq(stale | self.ends | works.replicate(self._types) & here),
        ]
        with m.If((loaded & here).any()):
            m.d.comb += unit.i.p.data.eq(self.given)
        with m.Else():
            for name in ("mean", "largest"):
                values = getattr(self, name)
                m.d.comb += unit.i.p.data[name].eq(pick([values[t] for t in range(self._types)], type_))
        m.d.sync += [
            works.eq(starts | works & ~done),
            stale.eq(stale & ~(starts.replicate(self._types) & here) | self.ends | self.load),
            loaded.eq(loaded & ~self.ends | self.load),
        ]
        with m.If(~starts & ~works | done):
            m.d.sync += type_.eq(type_ + 1)
        for t in range(self._types):
            # what has become stale meanwhile may be of two statistics, and comes again
            with m.If(done & here[t] & ~stale[t]):
                m.d.sync += self.parameters[t].eq(unit.o.p.data)
        return m


def register_table(*, lanes, types, estimators, s2fp8=False):
    """The registers of a `MemoryPort`: a list of `hdl.registers.Register`."""
    built = sum(1 << code for code, name in enumerate(ESTIMATORS) if name in estimators)
    names = ", ".join(f"{code} {name}" for code, name in enumerate(ESTIMATORS))
    first = list(ESTIMATORS).index(estimators[0])

    def field(name, lsb, width, access, description, **others):
        return Field(name=name, lsb=lsb, width=width, access=access, description=description, **others)

    table = [
        Register(
            name="ID",
            address=0x00,
            description="What this is.",
            fields=(field("value", 0, 32, "ro", f"{IDENTIFICATION:#x}, the letters NFMP"),),
        ),
        Register(
            name="VERSION",
            address=0x04,
            description="Version of the generator.",
            fields=(
                field("patch", 0, 8, "ro", "its last part"),
                field("minor", 8, 8, "ro", "its second part"),
                field("major", 16, 8, "ro", "its first part"),
            ),
        ),
        Register(
            name="CONFIG",
            address=0x08,
            description="What was built.",
            fields=(
                field("lanes", 0, 8, "ro", f"words per beat: {lanes}"),
                field("types", 8, 8, "ro", f"tensor types: {types}"),
                field("estimators", 16, len(ESTIMATORS), "ro", f"a bit for each estimator, {built:#06b}: bits {names}"),
                field("s2fp8", 24, 1, "ro", f"S2FP8: {int(s2fp8)}"),
            ),
        ),
        Register(
            name="EPOCH",
            address=0x0C,
            description="An epoch ends.",
            fields=(
                field(
                    "types",
                    0,
                    types,
                    "strobe",
                    "a bit for each type; only those with END_ON_EPOCH take note. Taken one by one, from the lowest on, in cycles "
                    "in which no tensor ends its estimators' pass",
                ),
            ),
        ),
        Register(
            name="STAT_INDEX",
            address=0x10,
            description="Which raw statistic STAT_DATA shows.",
            fields=(
                field("index", 0, 8, "rw", "which word of the estimator's, as the manifest's `statistics` list them"),
                field("type", 8, 3, "rw", "tensor type"),
                field("estimator", 16, 2, "rw", names),
            ),
        ),
        Register(
            name="STAT_DATA",
            address=0x14,
            description="The raw statistic that STAT_INDEX names, 0 where there is none. Counts have two words: read them while "
            "no data of that type passes, or the upper one before and after the lower one.",
            fields=(field("word", 0, 32, "ro", "32 bits of it", slow=True),),
        ),
    ]
    modes = "0 FP32; 1 calibrate: FP32, observed; 2 FP8, observed; 3 frozen: FP8, not observed"
    flags = {
        "overflow": "a finite value was too large",
        "underflow": "a value was changed and smaller than the smallest normal number",
        "inexact": "a finite value was changed",
        "invalid": "infinity or NaN became something else",
    }
    if s2fp8:
        modes += "; 4 S2FP8, observed; 5 S2FP8, not observed; 6 and 7 are reserved"
        flags["overflow"] += "; in S2FP8 infinity, too"
        flags["underflow"] += "; in S2FP8 it became zero"
        flags["inexact"] += "; not in S2FP8"
        flags["invalid"] += "; in S2FP8 it was NaN"
        table += [
            Register(
                name="MOMENTS",
                address=0x18,
                description="Statistics for LOAD, in units of 2**-8: mean and largest of 127 + log2 of the magnitudes.",
                fields=(
                    field("mean_fraction", 0, 8, "rw", "the mean, below the point"),
                    field("mean_whole", 8, 8, "rw", "the mean, above the point"),
                    field("largest_fraction", 16, 8, "rw", "the largest, below the point"),
                    field("largest_whole", 24, 8, "rw", "the largest, above the point"),
                ),
            ),
            Register(
                name="LOAD",
                address=0x1C,
                description="S2FP8's parameters come from MOMENTS until the next end of a pass of the type. Leave MOMENTS as it is "
                "while such a type's STATUS is busy.",
                fields=(field("types", 0, types, "strobe", "a bit for each type"),),
            ),
        ]
    for t in range(types):
        address = TYPE_REGISTERS + TYPE_STRIDE * t
        table += [
            Register(
                name=f"CONTROL{t}",
                address=address,
                description=f"How tensors of type {t} are treated. A tensor keeps the mode that it started with.",
                fields=(
                    field("mode", 0, mode_bits(s2fp8), "rw", modes),
                    field("estimator", 8, 2, "rw", f"which one gives the bias: {names}", reset=first),
                    field("end_on_epoch", 16, 1, "rw", "estimators' passes end 0 with each tensor, 1 with EPOCH"),
                ),
            ),
            Register(
                name=f"FORCE{t}",
                address=address + 0x04,
                description=f"A bias for type {t} in place of the estimator's.",
                fields=(field("bias", 0, BIAS_BITS, "rw", "the bias"), field("enable", 8, 1, "rw", "1 to use it")),
            ),
            Register(
                name=f"BIAS{t}",
                address=address + 0x08,
                description=f"Biases of type {t}.",
                fields=(
                    field("current", 0, BIAS_BITS, "ro", "of the open tensor; if none is, of one that starts now"),
                    field("next", 8, BIAS_BITS, "ro", "of one that starts when the open one has ended"),
                ),
            ),
            Register(
                name=f"STATUS{t}",
                address=address + 0x0C,
                description=f"State of type {t}.",
                fields=(
                    field("settled", 0, 1, "ro", "the chosen estimator's bias is one from data"),
                    field(
                        "busy",
                        1,
                        1,
                        "ro",
                        "an estimator is at work on the end of a pass: its bias is not known yet, and it may miss data"
                        + "; or S2FP8's parameters are not known yet" * s2fp8,
                    ),
                    field("open", 2, 1, "ro", "a tensor has begun and not ended"),
                    field("mode", 8, mode_bits(s2fp8), "ro", "mode of the open tensor; if none is, of one that starts now"),
                ),
            ),
            Register(
                name=f"FLAGS{t}",
                address=address + 0x10,
                description=f"What encoding tensors of type {t} has raised.",
                fields=tuple(field(name, bit, 1, "w1c", meaning) for bit, (name, meaning) in enumerate(flags.items())),
            ),
        ]
        if s2fp8:
            whose = "of the open tensor; if none is, of one that starts now"
            table += [
                Register(
                    name=f"SQUEEZE{t}",
                    address=address + 0x14,
                    description=f"With what S2FP8 codes of type {t} are written, {whose}.",
                    fields=(
                        field("alpha_fraction", 0, 7, "ro", "of alpha = 2**exponent * (1 + fraction / 128)"),
                        field("alpha_exponent", 7, 4, "ro", "two's complement, -8 to 7"),
                        field("mean", 16, MEAN_BITS, "ro", "127 + the mean logarithm, in units of 2**-8"),
                    ),
                ),
                Register(
                    name=f"EXPAND{t}",
                    address=address + 0x18,
                    description=f"With what, besides the mean, S2FP8 codes of type {t} are read, {whose}.",
                    fields=(field("inverse", 0, INVERSE_BITS, "ro", "1 / alpha in units of 2**-17"),),
                ),
            ]
    return table


class MemoryPort(wiring.Component):
    """FP32 words on their way to memory become eight-bit floats, four to a word, and FP32 again on their way back.

    The bias of a tensor type follows the data: estimators observe what passes (see `hdl.statistics`), and each tensor is
    encoded with the bias that its type has when the tensor begins. That bias travels with the data to memory and comes back with
    it; as it is the same from the first beat to the last, it may as well be stored once per tensor. The estimators never
    hold up the data.

    ==============  =====================================================================================================
    equation        as `FloatEncoder`, nearest even, saturating, and `FloatDecoder`
    mode            0 FP32: words pass. 1 calibrate: words pass and are observed. 2 FP8: words are encoded, and observed.
                    3 frozen: words are encoded, the estimators rest. With `s2fp8`, 4 and 5: as 2 and 3, in S2FP8
    S2FP8           equation as `S2Encoder` and `S2Decoder`. The parameters of a type are those of the last tensor of it that
                    was observed and has ended 64 cycles ago (for one type; others that end meanwhile come first); at first
                    alpha is 1 and the mean 0
    bypass          such beats pass as they are and count for nothing
    order           kept exactly, among all types and bypass
    TLAST           ends a tensor of its type; tensors of different types may interleave beat by beat
    TKEEP           what is encoded goes by whole words: one counts as kept if its four bytes are
    latency         write 2 cycles from the beat that completes a pack, read 1; with S2FP8 3 and 2
    throughput      a beat per clock on the core's faces
    ==============  =====================================================================================================

    Control: `register_table`. A mode or bias that is written, or that an estimator answers, counts for tensors that start two
    cycles later, one cycle after an estimator shows it.

    Parameters
    ----------
    fmt : FloatFormat
        8 bits, 5 of them exponent, which is what the estimators choose biases for.
    lanes : int
        Words per beat, 1 to 16.
    types : int
        Tensor types: 1, 2, 4 or 8.
    estimators : sequence of str
        Which of `ESTIMATORS` are built; the first one is chosen after reset.
    cnt_width : int
        Bits of their counters.
    bias_min, bias_max : int
        Range of their biases.
    s2fp8 : bool
        Whether to build the modes of S2FP8; "moments" must be among the estimators.

    Members
    -------
    s_core, m_core : core_face
        To be written, and read.
    m_mem, s_mem : memory_face
        Written, and to be read: TUSER comes back as it went out.
    axil : In(AxiLite)

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    clocked = True

    def __init__(
        self,
        fmt=CATALOG["ab_e5m2"],
        *,
        lanes=4,
        types=4,
        estimators=("median", "histogram", "tracker"),
        cnt_width=40,
        bias_min=10,
        bias_max=40,
        s2fp8=False,
    ):
        if not isinstance(fmt, FloatFormat) or (fmt.bits, fmt.exp_bits) != (CODE_BITS, 5):
            raise ValueError(f"fmt must have 8 bits, 5 of them exponent, unlike {getattr(fmt, 'name', fmt)}")
        check_int("lanes", lanes, 1, statistics.MAX_LANES)
        check_choice("types", types, TYPES)
        self._estimators = estimators = tuple(estimators)
        if not estimators or len(set(estimators)) != len(estimators):
            raise ValueError(f"estimators must be one or more different ones of {', '.join(ESTIMATORS)}, not {estimators!r}")
        for name in estimators:
            check_choice("estimator", name, ESTIMATORS)
        if s2fp8 and "moments" not in estimators:
            raise ValueError(f"s2fp8 needs moments among the estimators, which are {', '.join(estimators)}")
        self._fmt, self._lanes, self._types, self._s2fp8 = fmt, lanes, types, s2fp8
        self._write, self._read = (path(fmt, lanes, types, s2fp8) for path in (WritePath, ReadPath))
        limits = {"initial_bias": fmt.bias, "bias_min": bias_min, "bias_max": bias_max}
        self._units = {
            name: ESTIMATORS[name](types, lanes, **limits, **({} if name == "tracker" else {"cnt_width": cnt_width}))
            for name in estimators
        }
        self.latency = {"write": self._write.latency, "read": self._read.latency}
        self._registers = Registers(register_table(lanes=lanes, types=types, estimators=estimators, s2fp8=s2fp8))
        self.registers = self._registers.table
        self.facts = {
            "registers": as_json(self.registers),
            "statistics": {name: unit.statistics for name, unit in self._units.items()},
        }
        super().__init__(
            {
                "s_core": In(core_face(lanes, types)),
                "m_mem": Out(memory_face(lanes, types, s2fp8)),
                "s_mem": In(memory_face(lanes, types, s2fp8)),
                "m_core": Out(core_face(lanes, types)),
                "axil": self._registers.signature.members["axil"],
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = self._registers
        m.submodules.write = write = self._write
        m.submodules.read = read = self._read
        wiring.connect(m, wiring.flipped(self.s_core), write.s_core)
        wiring.connect(m, write.m_mem, wiring.flipped(self.m_mem))
        wiring.connect(m, wiring.flipped(self.s_mem), read.s_mem)
        wiring.connect(m, read.m_core, wiring.flipped(self.m_core))
        wiring.connect(m, wiring.flipped(self.axil), registers.axil)
        for name, unit in self._units.items():
            m.submodules[name] = unit
            m.d.comb += [
                getattr(unit.observe, member).eq(getattr(write.tap, member)) for member in ("valid", "type", "keep", "words")
            ]
        major, minor, patch = (int(part) for part in version("narrowfloat").split("."))
        m.d.comb += [
            registers.id_value.eq(IDENTIFICATION),
            registers.version_major.eq(major),
            registers.version_minor.eq(minor),
            registers.version_patch.eq(patch),
            registers.config_lanes.eq(self._lanes),
            registers.config_types.eq(self._types),
            registers.config_estimators.eq(Cat(name in self._units for name in ESTIMATORS)),
            registers.config_s2fp8.eq(self._s2fp8),
        ]
        self._end_passes(m, write)
        self._read_statistics(m)
        working = [Cat(*((unit.busy[t], unit.working) for unit in self._units.values())) for t in range(self._types)]
        if self._s2fp8:
            keeper = self._keep_parameters(m, write)
            working = [Cat(bits, keeper.busy[t]) for t, bits in enumerate(working)]
        for t in range(self._types):
            self._control_type(m, write, t)
            m.d.comb += self._of_type("status", t, "busy").eq(working[t].any())
        return m

    def _of_type(self, register, t, field):
        return getattr(self._registers, f"{register}{t}_{field}")

    def _end_passes(self, m, write):
        """Ends by tensor come with their beat, those by epoch wait for a cycle without."""
        on_epoch = Cat(self._of_type("control", t, "end_on_epoch") for t in range(self._types))
        waiting = Signal(self._types)
        by_tensor = Signal()
        end = Signal(data.StructLayout({"valid": 1, "type": _type_bits(self._types)}))
        m.d.comb += by_tensor.eq(write.tensor_end.valid & ~pick(list(on_epoch), write.tensor_end.type))
        served = Signal(self._types)
        with m.If(by_tensor):
            m.d.comb += [end.valid.eq(1), end.type.eq(write.tensor_end.type)]
        with m.Else():
            for t in reversed(range(self._types)):
                with m.If(waiting[t]):
                    m.d.comb += [end.valid.eq(1), end.type.eq(t), served.eq(1 << t)]
        m.d.sync += waiting.eq(waiting & ~served | self._registers.epoch_types & on_epoch)
        for unit in self._units.values():
            m.d.comb += [unit.end.valid.eq(end.valid), unit.end.type.eq(end.type)]

    def _read_statistics(self, m):
        registers = self._registers
        m.d.comb += registers.stat_data_word_done.eq(1)
        for name, unit in self._units.items():
            chosen = registers.stat_index_estimator == list(ESTIMATORS).index(name)
            m.d.comb += [unit.read.type.eq(registers.stat_index_type), unit.read.index.eq(registers.stat_index_index)]
            with m.If(chosen & (registers.stat_index_index < len(unit.statistics))):
                m.d.comb += [
                    unit.read.enable.eq(registers.stat_data_word_enable),
                    registers.stat_data_word.eq(unit.read.data),
                    registers.stat_data_word_done.eq(unit.read.done),
                ]

    def _keep_parameters(self, m, write):
        """S2FP8's parameters, from the estimator's moments or the registers to tensors that start."""
        m.submodules.keeper = keeper = ParameterKeeper(self._types)
        registers, moments = self._registers, self._units["moments"]
        was_busy = Signal(self._types)
        m.d.sync += was_busy.eq(moments.busy)
        m.d.comb += [
            keeper.mean.eq(moments.mean),
            keeper.largest.eq(moments.max),
            keeper.ends.eq(was_busy & ~moments.busy),
            keeper.load.eq(registers.load_types),
            keeper.given.mean.eq(Cat(registers.moments_mean_fraction, registers.moments_mean_whole)),
            keeper.given.largest.eq(Cat(registers.moments_largest_fraction, registers.moments_largest_whole)),
            write.next_parameters.eq(keeper.parameters),
        ]
        for t in range(self._types):
            found = write.parameters[t]
            m.d.comb += [
                Cat(self._of_type("squeeze", t, f"alpha_{part}") for part in ("fraction", "exponent")).eq(found.alpha),
                self._of_type("squeeze", t, "mean").eq(found.mean),
                self._of_type("expand", t, "inverse").eq(found.inverse),
            ]
        return keeper

    def _control_type(self, m, write, t):
        bias, settled = Signal(BIAS_BITS, name=f"estimated{t}"), Signal(name=f"settled{t}")
        m.d.comb += bias.eq(self._fmt.bias)
        with m.Switch(self._of_type("control", t, "estimator")):
            for name, unit in self._units.items():
                with m.Case(list(ESTIMATORS).index(name)):
                    m.d.comb += [bias.eq(unit.bias[t]), settled.eq(unit.settled[t])]
        next_bias = Mux(self._of_type("force", t, "enable"), self._of_type("force", t, "bias"), bias)
        m.d.comb += [
            write.next_mode[t].eq(self._of_type("control", t, "mode")),
            write.next_bias[t].eq(next_bias),
            self._of_type("bias", t, "current").eq(write.bias[t]),
            self._of_type("bias", t, "next").eq(write.next_bias[t]),
            self._of_type("status", t, "settled").eq(settled),
            self._of_type("status", t, "open").eq(write.open[t]),
            self._of_type("status", t, "mode").eq(write.mode[t]),
        ]
        for name in ("overflow", "underflow", "inexact", "invalid"):
            m.d.comb += self._of_type("flags", t, name).eq(getattr(write.raised[t], name))
