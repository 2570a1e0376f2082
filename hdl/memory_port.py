"""The unit that sits in a memory controller: FP32 on the core's side, eight-bit floats on the memory's.

Tensors of each of a few types go to memory as codes with an exponent bias that statistics of the passing data choose for that
type, and come back as FP32. After Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2, sections 4 and 5.
"""

from importlib.metadata import version

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.checks import check_choice, check_int
from golden.formats import BIAS_BITS, CATALOG, FloatFormat
from hdl import statistics
from hdl.arith import pick
from hdl.float_codec import FloatDecoder, FloatEncoder
from hdl.registers import Field, Register, Registers, as_json
from hdl.shapes import Flags
from hdl.stream import Register as StreamRegister

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


def _type_bits(types):
    return (types - 1).bit_length()


def _face(lanes, user):
    """A stream of beats of `lanes` words with a keep bit for each byte."""
    fields = {"data": data.ArrayLayout(32, lanes), "keep": WORD_BYTES * lanes, "last": 1, "user": data.StructLayout(user)}
    return stream.Signature(data.StructLayout(fields))


def core_face(lanes, types):
    """Signature of the streams of the core's side: words, and whose they are."""
    return _face(lanes, {"type": _type_bits(types), "bypass": 1})


def memory_face(lanes, types):
    """Signature of the streams of the memory's side: words or packed codes, and how to read them."""
    return _face(lanes, {"type": _type_bits(types), "bypass": 1, "packed": 1, "bias": BIAS_BITS})


class WritePath(wiring.Component):
    """From core to memory: four beats of words become one of codes.

    A beat is encoded into a register, from which it joins those of the same tensor in the pack, four to a memory beat, slot 0
    lowest. The pack leaves when it has four, with the tensor's last, and where a beat of another kind follows: order is kept
    exactly, and a pack that a change of type cuts short leaves slots without kept bytes. Types should therefore alternate
    by bursts: beat by beat, every memory beat carries one slot. What is not encoded leaves as it came.

    A tensor's mode and bias are those that its type had when its first beat was accepted, up to its last: whatever is read
    with the bias that came along is read right. Only tensors in modes that encode count, and no beat with bypass.

    Latency: 2 cycles from the beat that completes a pack. Throughput: a beat per clock; a memory beat leaves for each beat at
    most, so the core never waits unless the memory does. `ready` is combinational from output to input, and depends on no bias.

    Parameters
    ----------
    fmt : FloatFormat
    lanes, types : int

    Members
    -------
    s_core : In(core_face)
        A lane counts as kept if its four bytes are, for encoding and observing alike.
    m_mem : Out(memory_face)
        One keep bit per code. A packed beat has the tensor's bias, others 0.
    next_mode, next_bias : In
        For each type what a tensor takes at its start; it counts from the next cycle on.
    mode, bias, open : Out
        For each type what its tensor has, or, if none is open, what one would that starts now.
    tap : Out({valid, type, keep, words})
        Beats to observe: each in the cycle in which it is accepted.
    tensor_end : Out({valid, type})
        The beat on the tap is its tensor's last.
    raised : Out(ArrayLayout(Flags, types))
        What encoding raises in this cycle.
    """

    latency = 2

    def __init__(self, fmt, lanes, types):
        self._fmt, self._lanes, self._types = fmt, lanes, types
        modes, biases = data.ArrayLayout(2, types), data.ArrayLayout(BIAS_BITS, types)
        type_bits = _type_bits(types)
        tap = {"valid": Out(1), "type": Out(type_bits), "keep": Out(lanes), "words": Out(data.ArrayLayout(32, lanes))}
        super().__init__(
            {
                "s_core": In(core_face(lanes, types)),
                "m_mem": Out(memory_face(lanes, types)),
                "next_mode": In(modes),
                "next_bias": In(biases),
                "mode": Out(modes),
                "bias": Out(biases, init=[fmt.bias] * types),
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
        mode = Signal(2)
        m.d.comb += [
            accepted.eq(core.valid & core.ready & ~payload.user.bypass),
            mode.eq(pick([self.mode[t] for t in range(self._types)], payload.user.type)),
        ]
        self._hold_until_last(m, accepted)
        kept = [payload.keep.word_select(lane, WORD_BYTES).all() for lane in range(self._lanes)]
        m.d.comb += [
            self.tap.valid.eq(accepted & (mode[0] ^ mode[1])),
            self.tap.type.eq(payload.user.type),
            self.tap.keep.eq(Cat(kept)),
            self.tap.words.eq(payload.data),
            self.tensor_end.valid.eq(self.tap.valid & payload.last),
            self.tensor_end.type.eq(payload.user.type),
        ]
        m.submodules.encoded = encoded = StreamRegister(self.m_mem.payload.shape())
        m.d.comb += [encoded.i.valid.eq(core.valid), core.ready.eq(encoded.i.ready)]
        self._encode(m, encoded.i.payload, accepted, mode[1], Cat(kept))
        self._pack(m, encoded.o)
        return m

    def _hold_until_last(self, m, accepted):
        """Mode and bias of each type, which follow theirs at the input except while a tensor is open."""
        payload = self.s_core.payload
        for t in range(self._types):
            open_, stays_open = self.open[t], Signal(name=f"stays_open{t}")
            here = accepted & (payload.user.type == t if self._types > 1 else 1)
            m.d.comb += stays_open.eq(Mux(here, ~payload.last, open_))
            m.d.sync += open_.eq(stays_open)
            with m.If(~stays_open):
                m.d.sync += [self.mode[t].eq(self.next_mode[t]), self.bias[t].eq(self.next_bias[t])]

    def _encode(self, m, result, accepted, encodes, kept):
        payload, user = self.s_core.payload, self.s_core.payload.user
        m.submodules.encoder = encoder = FloatEncoder((self._fmt,), lanes=self._lanes, stages=0, flags=True)
        bias, packed = Signal(BIAS_BITS), Signal()
        m.d.comb += [
            bias.eq(pick([self.bias[t] for t in range(self._types)], user.type)),
            packed.eq(encodes & ~user.bypass),
            encoder.i.p.data.eq(payload.data),
            encoder.i.p.user.bias.eq(bias),
            result.data.eq(Mux(packed, encoder.o.p.data.as_value(), payload.data.as_value())),
            result.keep.eq(Mux(packed, kept, payload.keep)),
            result.last.eq(payload.last),
            result.user.type.eq(user.type),
            result.user.bypass.eq(user.bypass),
            result.user.packed.eq(packed),
            result.user.bias.eq(Mux(packed, bias, 0)),
        ]
        raised = 0
        for lane in range(self._lanes):
            raised = raised | Mux(kept[lane], encoder.o.p.user.flags[lane].as_value(), 0)
        for t in range(self._types):
            here = accepted & encodes & (user.type == t if self._types > 1 else 1)
            m.d.comb += self.raised[t].eq(Mux(here, raised, 0))

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

    Latency: 1 cycle. Throughput: a beat to the core per clock. `ready` is combinational from output to input.

    Parameters
    ----------
    fmt : FloatFormat
    lanes, types : int

    Members
    -------
    s_mem : In(memory_face)
        With bypass, packed is not looked at.
    m_core : Out(core_face)
        A word's four bytes are kept if its code was.
    """

    latency = 1

    def __init__(self, fmt, lanes, types):
        self._fmt, self._lanes = fmt, lanes
        super().__init__({"s_mem": In(memory_face(lanes, types)), "m_core": Out(core_face(lanes, types))})

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
        m.submodules.decoded = decoded = StreamRegister(self.m_core.payload.shape())
        result = decoded.i.payload
        kept, codes = Signal(self._lanes), Signal(code_bits)
        m.d.comb += [
            kept.eq(Array(beat.keep.word_select(number, self._lanes) for number in range(SLOTS))[slot]),
            codes.eq(Array(beat.data.as_value().word_select(number, code_bits) for number in range(SLOTS))[slot]),
            decoder.i.p.data.eq(codes),
            decoder.i.p.user.bias.eq(user.bias),
            decoded.i.valid.eq(self.s_mem.valid),
            self.s_mem.ready.eq(decoded.i.ready & final),
            result.data.eq(Mux(packed, decoder.o.p.data.as_value(), beat.data.as_value())),
            result.keep.eq(Mux(packed, Cat(bit.replicate(WORD_BYTES) for bit in kept), beat.keep)),
            result.last.eq(beat.last & final),
            result.user.type.eq(user.type),
            result.user.bypass.eq(user.bypass),
        ]
        with m.If(decoded.i.valid & decoded.i.ready):
            m.d.sync += left.eq(Mux(final, 0, left | (1 << slot)))
        m.d.comb += [
            self.m_core.valid.eq(decoded.o.valid),
            decoded.o.ready.eq(self.m_core.ready),
            self.m_core.payload.eq(decoded.o.payload),
        ]
        return m


def register_table(*, lanes, types, estimators):
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
    for t in range(types):
        address = TYPE_REGISTERS + TYPE_STRIDE * t
        table += [
            Register(
                name=f"CONTROL{t}",
                address=address,
                description=f"How tensors of type {t} are treated. A tensor keeps the mode that it started with.",
                fields=(
                    field(
                        "mode", 0, 2, "rw", "0 FP32; 1 calibrate: FP32, observed; 2 FP8, observed; 3 frozen: FP8, not observed"
                    ),
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
                        "an estimator is at work on the end of a pass: its bias is not known yet, and it may miss data",
                    ),
                    field("open", 2, 1, "ro", "a tensor has begun and not ended"),
                    field("mode", 8, 2, "ro", "mode of the open tensor; if none is, of one that starts now"),
                ),
            ),
            Register(
                name=f"FLAGS{t}",
                address=address + 0x10,
                description=f"What encoding tensors of type {t} has raised.",
                fields=tuple(
                    field(name, bit, 1, "w1c", meaning)
                    for bit, (name, meaning) in enumerate(
                        {
                            "overflow": "a finite value was too large",
                            "underflow": "a value was changed and smaller than the smallest normal number",
                            "inexact": "a finite value was changed",
                            "invalid": "infinity or NaN became something else",
                        }.items()
                    )
                ),
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
                    3 frozen: words are encoded, the estimators rest
    bypass          such beats pass as they are and count for nothing
    order           kept exactly, among all types and bypass
    TLAST           ends a tensor of its type; tensors of different types may interleave beat by beat
    TKEEP           what is encoded goes by whole words: one counts as kept if its four bytes are
    latency         write 2 cycles from the beat that completes a pack, read 1
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
        self._fmt, self._lanes, self._types = fmt, lanes, types
        limits = {"initial_bias": fmt.bias, "bias_min": bias_min, "bias_max": bias_max}
        self._units = {
            name: ESTIMATORS[name](types, lanes, **limits, **({} if name == "tracker" else {"cnt_width": cnt_width}))
            for name in estimators
        }
        self.latency = {"write": WritePath.latency, "read": ReadPath.latency}
        self._registers = Registers(register_table(lanes=lanes, types=types, estimators=estimators))
        self.registers = self._registers.table
        self.facts = {
            "registers": as_json(self.registers),
            "statistics": {name: unit.statistics for name, unit in self._units.items()},
        }
        super().__init__(
            {
                "s_core": In(core_face(lanes, types)),
                "m_mem": Out(memory_face(lanes, types)),
                "s_mem": In(memory_face(lanes, types)),
                "m_core": Out(core_face(lanes, types)),
                "axil": self._registers.signature.members["axil"],
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = self._registers
        m.submodules.write = write = WritePath(self._fmt, self._lanes, self._types)
        m.submodules.read = read = ReadPath(self._fmt, self._lanes, self._types)
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
        ]
        self._end_passes(m, write)
        self._read_statistics(m)
        for t in range(self._types):
            self._control_type(m, write, t)
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
            self._of_type("status", t, "busy").eq(Cat((unit.busy[t], unit.working) for unit in self._units.values()).any()),
            self._of_type("status", t, "open").eq(write.open[t]),
            self._of_type("status", t, "mode").eq(write.mode[t]),
        ]
        for name in ("overflow", "underflow", "inexact", "invalid"):
            m.d.comb += self._of_type("flags", t, name).eq(getattr(write.raised[t], name))
