"""The memory port."""

from importlib.metadata import version

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BIAS_BITS, CATALOG, FloatFormat
from narrowfloat.hdl import statistics
from narrowfloat.hdl.memory.parameters import ParameterKeeper
from narrowfloat.hdl.memory.read import ReadPath
from narrowfloat.hdl.memory.registers import ESTIMATORS, IDENTIFICATION, register_table
from narrowfloat.hdl.memory.streams import (
    CODE_BITS,
    TYPES,
    _type_bits,
    core_face,
    memory_face,
)
from narrowfloat.hdl.memory.write import WritePath
from narrowfloat.hdl.parts.arith import pick
from narrowfloat.hdl.parts.registers import Registers, as_json


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
