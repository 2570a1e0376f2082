"""The memory port."""

from importlib.metadata import version
from types import MappingProxyType

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BIAS_BITS, BIAS_MAX, FloatFormat
from narrowfloat.golden.rounding import OVERFLOWS
from narrowfloat.golden.s2fp8 import INVERSE_FRACTION_BITS, MEAN_FRACTION_BITS
from narrowfloat.hdl.block import Block, Choice, Effect, Format, Integer, Relation, Several, Switch
from narrowfloat.hdl.memory.parameters import ParameterKeeper
from narrowfloat.hdl.memory.read import ReadPath
from narrowfloat.hdl.memory.registers import CONSTANTS, ESTIMATORS, register_table, release
from narrowfloat.hdl.memory.streams import CODE_BITS, TYPES, core_stream, memory_stream, type_bits, written_stream
from narrowfloat.hdl.memory.write import WritePath
from narrowfloat.hdl.parts.logic import pick, switch, wire
from narrowfloat.hdl.parts.registers import Registers
from narrowfloat.hdl.s2fp8 import S2Decoder, S2Encoder
from narrowfloat.hdl.statistics import BIAS_RELATIONS, MAX_LANES, starting_bias


class MemoryPort(Block):
    """FP32 words on their way to memory become eight-bit floats, four to a word, and FP32 again on their way back.

    The bias of a tensor type follows the data: estimators observe what passes (`MedianEstimator`, `ExponentHistogram`,
    `MedianTracker` and `LogMoments`, of which those in `estimators` are built), and each tensor is encoded with the bias that
    its type has when the tensor begins. That bias travels with the data to memory and comes back
    with it; as it is the same from the first beat to the last, it may as well be stored once per tensor. The estimators never
    hold up the data.

    ==============  =====================================================================================================
    equation        as `FloatEncoder`, nearest even, and `FloatDecoder`
    mode            0 FP32: words pass. 1 calibrate: words pass and are observed. 2 FP8: words are encoded, and observed.
                    3 frozen: words are encoded, the estimators rest. With `s2fp8`, 4 and 5: as 2 and 3, in S2FP8
    S2FP8           with `s2fp8`: equation as `S2Encoder` and `S2Decoder`. The parameters of a type are those of the last
                    tensor of it that was observed and has ended 64 cycles ago (for one type; others that end meanwhile come
                    first); at first alpha is 1 and the mean 0
    bypass          such beats pass as they are and count for nothing
    TKEEP           what is encoded goes by whole words: one counts as kept if its four bytes are; one that has some of them
                    raises a flag, and is not written. Codes that are not kept may be anything
    flush           the pack that a beat joins leaves with it, full or not
    own bias        with `bias_port`: of no tensor, such beats are encoded with the bias that they bring, whatever the mode;
                    they raise the flags of their type, and else count for nothing
    reading         a packed beat is read as up to four, one for the codes of each beat that it was packed from, but none for
                    those without a kept code; a word is kept if its code is, and TLAST goes with the last
    latency         write 2 cycles from the beat that completes a pack, read 1; with S2FP8 3 and 2
    flags           raised 2 cycles after a beat is taken; in S2FP8 when it leaves the encoder
    throughput      a beat per clock on the core's side
    ==============  =====================================================================================================

    Control: by the registers. A mode or bias that is written counts for tensors that start two cycles after that in which write
    address and data have both been taken, or later; what an estimator answers, one cycle after it shows it.

    Members
    -------
    s_core : written_stream
        To be written.
    m_core : core_stream
        Read.
    m_mem, s_mem : memory_stream
        Written, and to be read: TUSER comes back as it went out.
    axil : In(AxiLite)

    Raises
    ------
    ValueError
        A parameter is out of its range.

    Fields
    ------
    byte
        The byte of TDATA with this number counts. In a packed beat at the memory's side bit n stands for code n.
    s_core.lane, m_core.lane
        An FP32 word.
    m_mem.lane, s_mem.lane
        An FP32 word; in a packed beat four codes, the lowest first. Codes of the pack's first beat from the core are the
        lowest: that of word w in beat b is code ``lanes * b + w`` of TDATA.
    type
        The tensor type.
    bypass
        The beat passes as it is, and counts for nothing.
    flush
        The pack that this beat joins leaves with it. In beats that are not encoded it has no effect.
    own_bias
        The beat is encoded with its own bias, as FP8 in any mode, and is of no tensor. With bypass it has no effect. Of what
        leaves, the codes are of such beats; of what is read it has no effect.
    packed
        The beat holds codes.
    s_core.bias
        The bias of a beat with `own_bias`.
    bias
        The bias of the codes; 0 in beats that are not packed, and in those that are squeezed.
    squeezed
        The codes are S2FP8.
    mean, inverse
        What the codes of S2FP8 are read with: 127 + the mean logarithm, and 1 / alpha. 0 in other beats.

    Protocol
    --------
    TLAST
        Ends a tensor of its type: a pack that is not full then leaves. In bypass it passes and ends nothing; with `own_bias` it
        ends nothing but the pack, and goes out with that.
    order
        Kept among all types and bypass, in each direction. A beat of another type, of bypass or of a tensor in FP32 cuts a pack
        short: let types alternate by bursts, not by beats. A pack waits for its next beat as long as that takes: set `flush` in
        the last beat that a write response must not wait for, or send one of the same kind with `flush` and without kept bytes:
        with the same type, of the same tensor or with the same own bias. Without an open pack such a beat, or a last one,
        leaves as a packed beat whose TKEEP is 0. It begins a tensor as others do.
    parts of what was written
        With `bias_port`: codes have the bias of their tensor, which may be gone. Read the codes, change the words that are
        written in part, and write them with `own_bias` and the bias that the codes were read with: words that have not changed
        become the same codes again.
    memory
        Keep with the data of a tensor all of TUSER that left `m_mem`, and give it back at `s_mem` with each of its beats, as
        well as TKEEP and TLAST. Both directions are independent of one another.
    constant
        Mode, bias and parameters of a type are taken where its tensor starts, and stay until its last beat. Registers may be
        written at any time, and count for the next tensor.
    control
        Mode and estimator are in one register, and a write sets both, unless byte strobes leave one out. Where code 0 is no
        estimator that is built, the mode alone is refused: FP8 with the tracker is 0x202.
    wrong input
        A `type` is always one that there is. A packed beat without any kept code is read as one beat with nothing kept. A write
        of a code that is not built is refused with SLVERR.
    """

    fmt = Format(
        "ab_e5m2", FloatFormat, "Format of the codes: 8 bits, 5 of them exponent, as the estimators choose biases for those."
    )
    lanes = Integer(4, 1, MAX_LANES, "Words per beat.")
    types = Choice(4, TYPES, "Tensor types.")
    estimators = Several(
        ("median", "histogram", "tracker"),
        Choice("median", ESTIMATORS),
        "Estimators that are built; the first one is chosen after reset.",
    )
    cnt_width = Integer(40, 1, 64, "Bits of the estimators' counters, which saturate.")
    bias_min = Integer(10, 0, BIAS_MAX, "The smallest bias of an estimator.")
    bias_max = Integer(40, 0, BIAS_MAX, "The largest bias of an estimator.")
    initial_bias = Integer(
        None, 0, BIAS_MAX, "The bias before an estimator has one; not given, what of the range is nearest to that of fmt."
    )
    overflow = Choice("saturate", OVERFLOWS, "What is too large becomes the largest number, or what the format has for it.")
    s2fp8 = Switch(False, "Whether the modes of S2FP8 are built.")
    bias_port = Switch(False, "Whether a beat may have a bias of its own, as for parts of what has been written before.")

    relations = (
        Relation("fmt must have 8 bits, 5 of them exponent", lambda fmt: (fmt.bits, fmt.exp_bits) == (CODE_BITS, 5)),
        *BIAS_RELATIONS,
        Relation("s2fp8 needs moments among the estimators", lambda estimators, s2fp8: not s2fp8 or "moments" in estimators),
    )

    effects = (
        Effect(
            "where fmt has infinity or NaN, or with s2fp8",
            lambda fmt, s2fp8: fmt.specials != "none" or s2fp8,
            ("overflow",),
        ),
    )

    fraction_bits = MappingProxyType({"mean": MEAN_FRACTION_BITS, "inverse": INVERSE_FRACTION_BITS})

    @classmethod
    def absent(cls, values):
        units = [unit for name, unit in ESTIMATORS.items() if name not in values["estimators"]]
        return (*units, *(() if values["s2fp8"] else (S2Decoder, S2Encoder)))

    def prepare(self):
        self._first_bias = starting_bias(self.initial_bias, self.fmt.bias, self.bias_min, self.bias_max)
        built = {"s2fp8": self.s2fp8, "bias_port": self.bias_port}
        self._write = WritePath(self.fmt, self.lanes, self.types, self.overflow, **built, initial_bias=self._first_bias)
        self._read = ReadPath(self.fmt, self.lanes, self.types, **built)
        limits = {"initial_bias": self._first_bias, "bias_min": self.bias_min, "bias_max": self.bias_max}
        # Whether a beat is accepted is known late in a cycle.
        own = {"tracker": {"stages": 3}}
        self._units = {
            name: ESTIMATORS[name](self.types, self.lanes, **limits, **own.get(name, {"cnt_width": self.cnt_width}))
            for name in self.estimators
        }
        self.latency = {"m_mem": self._write.latency, "m_core": self._read.latency}
        self._registers = Registers(
            register_table(
                lanes=self.lanes,
                types=self.types,
                estimators=self.estimators,
                **built,
                bias=self._first_bias,
                version=release(version("narrowfloat")),
            )
        )
        self.registers = self._registers.table
        self.facts = {"statistics": {name: list(unit.statistics) for name, unit in self._units.items()}}

    def members(self):
        core = core_stream(self.lanes, self.types)
        memory = memory_stream(self.lanes, self.types, self.s2fp8, self.bias_port)
        return {
            "s_core": In(written_stream(self.lanes, self.types, self.bias_port)),
            "m_mem": Out(memory),
            "s_mem": In(memory),
            "m_core": Out(core),
            "axil": self._registers.signature.members["axil"],
        }

    def build(self, m):
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
        for register in self.registers:
            if register.name in CONSTANTS:
                members = getattr(registers, register.name.lower())
                m.d.comb += [getattr(members, field.name).eq(field.reset) for field in register.fields]
        self._end_passes(m, write)
        self._read_statistics(m)
        working = [Cat(*((unit.busy[t], unit.working) for unit in self._units.values())) for t in range(self.types)]
        if self.s2fp8:
            keeper = self._keep_parameters(m, write)
            working = [Cat(bits, keeper.busy[t]) for t, bits in enumerate(working)]
        for t in range(self.types):
            self._control_type(m, write, t)
            m.d.comb += registers.status[t].busy.eq(working[t].any())

    def _end_passes(self, m, write):
        """Ends by tensor come with their beat, those by epoch wait for a cycle without."""
        on_epoch = Cat(control.end_on_epoch for control in self._registers.control)
        waiting = Signal(self.types)
        end = Signal(data.StructLayout({"valid": 1, "type": type_bits(self.types)}))
        by_tensor = wire(m, 1, write.tensor_end.valid & ~pick(on_epoch, write.tensor_end.type))
        served = Signal(self.types)
        with m.If(by_tensor):
            m.d.comb += [end.valid.eq(1), end.type.eq(write.tensor_end.type)]
        with m.Else():
            for t in reversed(range(self.types)):
                with m.If(waiting[t]):
                    m.d.comb += [end.valid.eq(1), end.type.eq(t), served.eq(1 << t)]
        m.d.sync += waiting.eq(waiting & ~served | self._registers.epoch.types & on_epoch)
        for unit in self._units.values():
            m.d.comb += [unit.end.valid.eq(end.valid), unit.end.type.eq(end.type)]

    def _read_statistics(self, m):
        index, answer = self._registers.stat_index, self._registers.stat_data
        m.d.comb += answer.word_done.eq(1)
        for name, unit in self._units.items():
            chosen = index.estimator == list(ESTIMATORS).index(name)
            is_there = (index.index < len(unit.statistics)) & (index.type < self.types)
            reads = wire(m, 1, chosen & is_there, f"reads_{name}")
            m.d.comb += [unit.read.type.eq(index.type), unit.read.index.eq(index.index)]
            with m.If(reads):
                m.d.comb += [
                    unit.read.enable.eq(answer.word_enable),
                    answer.word.eq(unit.read.data),
                    answer.word_done.eq(unit.read.done),
                ]

    def _keep_parameters(self, m, write):
        """S2FP8's parameters, from the estimator's moments or the registers to tensors that start."""
        m.submodules.keeper = keeper = ParameterKeeper(self.types)
        registers, moments = self._registers, self._units["moments"]
        was_busy = Signal(self.types)
        m.d.sync += was_busy.eq(moments.busy)
        m.d.comb += [
            keeper.mean.eq(moments.mean),
            keeper.max.eq(moments.max),
            keeper.ends.eq(was_busy & ~moments.busy),
            keeper.load.eq(registers.load.types),
            keeper.given.mean.eq(Cat(registers.moments.mean_fraction, registers.moments.mean_whole)),
            keeper.given.max.eq(Cat(registers.moments.max_fraction, registers.moments.max_whole)),
            write.next_parameters.eq(keeper.parameters),
        ]
        for found, encode, decode in zip(write.parameters, registers.s2_encode, registers.s2_decode):
            m.d.comb += [
                Cat(encode.alpha_fraction, encode.alpha_exponent).eq(found.alpha),
                encode.mean.eq(found.mean),
                decode.inverse.eq(found.inverse),
            ]
        return keeper

    def _control_type(self, m, write, t):
        registers = self._registers
        control, force, biases = registers.control[t], registers.force[t], registers.bias[t]
        bias, settled = Signal(BIAS_BITS, name=f"estimated{t}"), Signal(name=f"settled{t}")
        m.d.comb += bias.eq(self._first_bias)
        chosen = {
            list(ESTIMATORS).index(name): [bias.eq(unit.bias[t]), settled.eq(unit.settled[t])]
            for name, unit in self._units.items()
        }
        switch(m, control.estimator, chosen)
        m.d.comb += [
            write.next_mode[t].eq(control.mode),
            write.next_bias[t].eq(Mux(force.enable, force.bias, bias)),
            biases.current.eq(write.bias[t]),
            biases.next.eq(write.next_bias[t]),
            registers.status[t].settled.eq(settled),
            registers.status[t].open.eq(write.open[t]),
            registers.status[t].mode.eq(write.mode[t]),
        ]
        flags, raised = registers.flags[t], write.raised[t]
        m.d.comb += [
            flags.overflow.eq(raised.overflow),
            flags.underflow.eq(raised.underflow),
            flags.inexact.eq(raised.inexact),
            flags.invalid.eq(raised.invalid),
            flags.partial.eq(raised.partial),
        ]
