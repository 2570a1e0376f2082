"""The one list of what is shipped, tested and synthesized."""

from collections.abc import Callable
from dataclasses import dataclass

from narrowfloat.hdl import bfp, float_codec, lbfp, memory, s2fp8, statistics
from narrowfloat.hdl.block import Block, Choice
from narrowfloat.hdl.names import shortened
from narrowfloat.hdl.parts.axi import READIES, RESETS, AxiStreamTop, TapTop

# The parameters of a top. Those of a block that has no streams are without READY.
READY = Choice(
    "combinational",
    READIES,
    "Where TREADY comes from: through logic from the other streams, or from a register, as AMBA asks for. Then each stream "
    "enters through a buffer of two beats, a cycle later.",
).named("ready")
RESET = Choice("sync_high", RESETS, "Polarity of the reset, and whether it is synchronous.").named("reset")
RESET_EFFECT = "in modules with registers"  # where the reset has an effect


@dataclass(frozen=True)
class Relative:
    """What the figures of a unit are relative to: a design or baseline, and its settings.

    `settings` are texts NAME=VALUE, or a function that makes them from the parameters of the unit that was built, as JSON. The
    parameters in `best_of` may have any value: of the units that were measured, that is the one whose figure is best, which may
    be another one for each figure.
    """

    unit: str
    settings: tuple[str, ...] | Callable[[dict], tuple[str, ...]] = ()
    words: str | None = None
    best_of: tuple[str, ...] = ()

    def to(self, parameters):
        """Name and settings for a unit that was built with `parameters`."""
        return self.unit, self.settings(parameters) if callable(self.settings) else self.settings

    def in_words(self):
        """The same for headings."""
        return self.words or " ".join([self.unit, *self.settings])


@dataclass(frozen=True)
class Measured:
    """How a design is measured.

    `shapes` are settings that each shipped configuration is built with; `more` are whole configurations that take longer, for
    those who ask for the design, as the shipped ones are. `operations` is how many there are per cycle, or the parameter that
    says so. Designs of the same `curve` are in one plot of area against delay; of those with the same `purpose`, lone lanes
    without registers, tables name the best.
    """

    shapes: tuple[tuple[str, ...], ...] = ((),)
    more: tuple[tuple[str, ...], ...] = ()
    relative_to: Relative | None = None
    operations: int | str = "lanes"
    curve: str | None = None
    purpose: str | None = None


def given(kind, settings):
    """Values by name that the texts NAME=VALUE in `settings` give to parameters of `kind`, a design or baseline.

    Raises
    ------
    ValueError
        A setting is not NAME=VALUE, names no parameter or one that was named before, or its value is not allowed.
    """
    known = {parameter.name: parameter for parameter in kind.parameters}
    values = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known:
            allowed = f"use NAME=VALUE with one of {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{kind.name} has no parameter {setting!r}: {allowed}")
        if name in values:
            raise ValueError(f"{kind.name}: {name} is given more than once: give it once")
        values[name] = known[name].parse(text)
    return values


@dataclass(frozen=True)
class Design:
    """A kind of block that can be emitted.

    Attributes
    ----------
    component : type
        A `Block`.
    name, summary : str
    reference : str
        Module and class of its reference object, MODULE:CLASS, which is imported by whoever needs it.
    shipped : tuple of tuples of str
        Settings, texts NAME=VALUE, of each configuration that is emitted by `make verilog`, co-simulated by `make sim` and
        measured by `make synth` for who asks for the design.
    measured : Measured
    """

    component: type[Block]
    name: str
    summary: str
    reference: str
    shipped: tuple[tuple[str, ...], ...] = ((),)
    measured: Measured = Measured()

    @property
    def parameters(self):
        """Those of the block and of its top."""
        return (*self.component.parameters, *self._of_top)

    @property
    def _of_top(self):
        return (RESET,) if self.component.statistics else (READY, RESET)

    def of_block(self, values):
        """Those of `values` that are the block's own, as a dict."""
        own = {parameter.name for parameter in self.component.parameters}
        return {name: value for name, value in values.items() if name in own}

    def clocked(self, values):
        """Whether a module with these parameters has registers of any kind, and so a clock."""
        return values.get(READY.name) == "registered" or self.component.clocked(values)

    def parse(self, settings):
        """Values of all parameters from NAME=VALUE texts.

        Raises
        ------
        ValueError
            A setting is not NAME=VALUE, names no parameter, or its value is not allowed.
        """
        values = given(self, settings)
        top = {parameter.name: values.pop(parameter.name, parameter.default) for parameter in self._of_top}
        values = self.component.checked(values) | top
        if self.legal(values) != values:  # a block's own values are as they are checked
            raise ValueError(f"{RESET.name} has an effect only {RESET_EFFECT}: leave it out")
        return values

    def legal(self, values):
        """`values` of all parameters as `hdl.block.Block.legal` has them, and without registers the reset at its default."""
        found = self.component.legal(self.of_block(values))
        if not found:
            return found
        found |= {parameter.name: values[parameter.name] for parameter in self._of_top}
        return found if self.clocked(found) else found | {RESET.name: RESET.default}

    def draw(self, rng, **given):
        """Random legal values of all parameters but those `given`, as a dict, from `rng`, a `random.Random`."""
        top = {parameter.name: given.pop(parameter.name, None) or parameter.draw(rng) for parameter in self._of_top}
        return self.legal(self.component.draw(rng, **given) | top)

    def settings(self, values):
        """NAME=VALUE of each of `values` that is not at its default."""
        top = [f"{each.name}={values[each.name]}" for each in self._of_top if values[each.name] != each.default]
        return [*self.component.settings(values), *top]

    def top(self, values):
        """The flat top of the block with the parameters `values`."""
        kind = TapTop if self.component.statistics else AxiStreamTop
        return kind(self.component(**self.of_block(values)), *(values[each.name] for each in reversed(self._of_top)))

    def to_json(self, values):
        """`values` as the manifest shows them."""
        return {parameter.name: parameter.to_json(values[parameter.name]) for parameter in self.parameters}

    def module(self, values):
        """The module's name: the design, its formats and lanes if it has any, and each parameter that is not at its default.

        One that is too long is cut, see `hdl.names`.
        """
        words = [self.name, *(fmt.name for fmt in values.get("formats", ()))]
        if "lanes" in values:
            words.append(f"x{values['lanes']}")
        for parameter in self.parameters:
            value = values[parameter.name]
            if parameter.name not in ("formats", "lanes") and value != parameter.default:
                words += [parameter.name, *parameter.to_text(value).split(",")]
        return shortened("_".join(words))


_SINGLE_FORMATS = tuple((f"formats={name}",) for name in ("ab_e5m2", "float8_e4m3fn", "float8_e5m2"))
_CHOSEN_AT_RUN_TIME = ("formats=ab_e5m2,float8_e4m3fn,float8_e5m2",)
_EVERY_OPTION = ("roundings=rne,rna,rtz,sr", "overflow=format", "flags=1", "stages=3", "user_bits=4")
# One lane without registers, the form in which structures are compared.
_BARE = ("lanes=1", "stages=0")
_WIDE_CODECS = tuple((*fmt, "lanes=16") for fmt in _SINGLE_FORMATS)
# As many pipeline registers as there may be.
_FASTEST_MACS = tuple((f"accumulator={kind}", f"stages={most}") for kind, most in (("fixed", 5), ("segmented", 9), ("fp32", 3)))
# Estimators for one type and four.
_ESTIMATORS = ((), *((f"types={types}", f"lanes={lanes}") for types in (1, 4) for lanes in (1, 16)))
_LIKE_THE_MEDIAN = Relative(
    "median_estimator",
    lambda parameters: tuple(f"{name}={parameters[name]}" for name in ("types", "lanes")),
    "median_estimator of the same shape",
)


def _same_product(parameters):
    """The numbers whose product has the same form as that of a unit with `parameters`."""
    forms = {"twos_complement": "signed", "sign_magnitude": "sign_magnitude"}
    return (f"numbers={forms[parameters['output']] if 'output' in parameters else parameters['numbers']}",)


# For each figure the best of our baselines: multipliers with the same form of product, dot products of either form.
BEST_MULTIPLIER = Relative(
    "multiplier",
    _same_product,
    "the best multiplier of 8 bits with the same form of product, per lane, which may be another one for each figure",
    ("method",),
)
BEST_DOT_PRODUCT = Relative(
    "dot_product",
    words="the best dot_product of 8 bits, per lane, which may be another one for each figure",
    best_of=("numbers", "method"),
)
_ACCUMULATORS = tuple((f"accumulator={accumulator}",) for accumulator in bfp.ACCUMULATORS)


def _like_plain(codec):
    return Relative(
        codec,
        # The plain one has no use for more stages.
        lambda parameters: ("formats=ab_e5m2", f"lanes={parameters['lanes']}", f"stages={min(parameters['stages'], 3)}"),
        f"{codec} ab_e5m2 of the same shape",
    )


DESIGNS = {
    design.name: design
    for design in (
        Design(
            float_codec.FloatEncoder,
            "float_encoder",
            "FP32 to narrow floats, bias at run time",
            "narrowfloat.golden.reference.float_codec:FloatEncoder",
            shipped=(*_SINGLE_FORMATS, _CHOSEN_AT_RUN_TIME, (*_CHOSEN_AT_RUN_TIME, *_EVERY_OPTION)),
            measured=Measured(
                (_BARE,),
                (*_WIDE_CODECS, ("formats=ab_e5m2", "stages=5")),
                Relative("fp32_to_e4m3", words="fp32_to_e4m3, per lane"),
                curve="FP32 to narrow",
                purpose="FP32 to 8 bits",
            ),
        ),
        Design(
            float_codec.FloatDecoder,
            "float_decoder",
            "narrow floats to FP32, bias at run time",
            "narrowfloat.golden.reference.float_codec:FloatDecoder",
            shipped=(*_SINGLE_FORMATS, _CHOSEN_AT_RUN_TIME),
            measured=Measured(
                (_BARE,),
                _WIDE_CODECS,
                Relative("e4m3_to_fp32", words="e4m3_to_fp32, per lane"),
                curve="narrow to FP32",
                purpose="8 bits to FP32",
            ),
        ),
        Design(
            statistics.MedianEstimator,
            "median_estimator",
            "bias from the median, by counting in bins that narrow pass after pass",
            "narrowfloat.golden.reference.statistics:MedianEstimator",
            measured=Measured(more=_ESTIMATORS, relative_to=_LIKE_THE_MEDIAN),
        ),
        Design(
            statistics.ExponentHistogram,
            "exponent_histogram",
            "bias from the median's octave, by a histogram of exponents",
            "narrowfloat.golden.reference.statistics:ExponentHistogram",
            measured=Measured((), _ESTIMATORS, _LIKE_THE_MEDIAN),
        ),
        Design(
            statistics.MedianTracker,
            "median_tracker",
            "bias from a register per type that walks to the median",
            "narrowfloat.golden.reference.statistics:MedianTracker",
            measured=Measured(more=_ESTIMATORS, relative_to=_LIKE_THE_MEDIAN),
        ),
        Design(
            statistics.LogMoments,
            "log_moments",
            "mean and maximum of the logarithm, and the largest magnitude of a window of tensors",
            "narrowfloat.golden.reference.statistics:LogMoments",
            measured=Measured((), _ESTIMATORS, _LIKE_THE_MEDIAN),
        ),
        Design(
            memory.MemoryPort,
            "memory_port",
            "FP32 to packed 8-bit floats and back, with biases that follow the data",
            "narrowfloat.golden.reference.memory:MemoryPort",
            shipped=((), ("estimators=moments,tracker", "s2fp8=1")),
            # With the smallest estimator; then what S2FP8 adds to the estimator that it takes.
            measured=Measured(
                (("estimators=tracker", "s2fp8=0"),), ((), ("estimators=moments",), ("estimators=moments", "s2fp8=1"))
            ),
        ),
        Design(
            bfp.FastMac,
            "fast_mac",
            "dot products of block floating point groups, a pass of 2 by 2 mantissa bits per clock",
            "narrowfloat.golden.reference.bfp.fast_mac:FastMac",
            shipped=_ACCUMULATORS,
            # One pass for groups of 3 bits, as MSFP-12 has them, or of 4.
            measured=Measured(
                more=(
                    *(
                        (*accumulator, *bits)
                        for accumulator in _ACCUMULATORS
                        for bits in (("chunk_bits=3", "max_bits=3"), ("chunk_bits=4",))
                    ),
                    *_FASTEST_MACS,
                ),
                relative_to=BEST_DOT_PRODUCT,
                operations=1,
            ),
        ),
        Design(
            bfp.SystolicArray,
            "systolic_array",
            "matrix products of block floating point, one operand or the results held still",
            "narrowfloat.golden.reference.bfp.systolic_array:SystolicArray",
            # Small ones: all of an array is in one module, and simulators take minutes to build one of 4 by 4 cells.
            shipped=tuple(("rows=2", "columns=3", *accumulator) for accumulator in _ACCUMULATORS),
            measured=Measured((), tuple(("rows=1", "columns=1", *accumulator) for accumulator in _ACCUMULATORS)),
        ),
        Design(
            lbfp.LbfpEncoder,
            "lbfp_encoder",
            "FP32 or sums in fixed point to logarithmic numbers with a shared exponent",
            "narrowfloat.golden.reference.lbfp:LbfpEncoder",
            measured=Measured((_BARE,), ((*_BARE, "source=fixed"),)),
        ),
        Design(
            lbfp.LbfpDecoder,
            "lbfp_decoder",
            "logarithmic numbers with a shared exponent to FP32",
            "narrowfloat.golden.reference.lbfp:LbfpDecoder",
            measured=Measured((_BARE,)),
        ),
        Design(
            lbfp.LbfpMultiplier,
            "lbfp_multiplier",
            "products of logarithmic numbers in fixed point",
            "narrowfloat.golden.reference.lbfp:LbfpMultiplier",
            measured=Measured(
                tuple((*_BARE, f"output={output}") for output in ("twos_complement", "sign_magnitude")),
                (
                    *(
                        (*_BARE, "output=sign_magnitude", setting)
                        for setting in (
                            "antilog=mitchell",
                            "antilog=two_segment",
                            *(f"guard_bits={guard_bits}" for guard_bits in (4, 6, 7, 8)),
                            *(f"fmt={name}" for name in ("lbfp7", "lbfp6", "lbfp5")),
                        )
                    ),
                    (),
                ),
                BEST_MULTIPLIER,
            ),
        ),
        Design(
            lbfp.LbfpDotProduct,
            "lbfp_dot_product",
            "dot products of logarithmic numbers in fixed point",
            "narrowfloat.golden.reference.lbfp:LbfpDotProduct",
            # Without exponents it does what the integer one does.
            measured=Measured(
                (("exponents=0",), ()),
                (
                    *(("exponents=0", f"out_bits={bits}") for bits in (12, 13, 16, 22)),
                    ("exponents=0", "output=twos_complement", "out_bits=16"),
                    ("exponents=0", "stages=5"),
                    *(("exponents=0", f"lanes={lanes}") for lanes in (1, 4, 64)),
                ),
                BEST_DOT_PRODUCT,
                operations=1,
            ),
        ),
        Design(
            bfp.BfpConverter,
            "bfp_converter",
            "FP32 to block floating point, with the sums that its precision is chosen by",
            "narrowfloat.golden.reference.bfp.bfp_converter:BfpConverter",
            shipped=(("precisions=2,4",), ("lanes=4", "roundings=rtz,rne,sr", "precisions=2,4", "user_bits=4")),
            # What of it the sums of relative improvement take, and roundings.
            measured=Measured(
                (),
                (
                    ("precisions=2,4",),
                    ("precisions=2,4", "sums=0"),
                    ("precisions=4", "sums=0"),
                    ("precisions=4", "sums=0", "roundings=rtz"),
                ),
            ),
        ),
        Design(
            bfp.PrecisionPolicy,
            "precision_policy",
            "mantissa bits of a tensor, from its sums, its layer and the iteration",
            "narrowfloat.golden.reference.bfp.precision_policy:PrecisionPolicy",
        ),
        Design(
            s2fp8.S2Encoder,
            "s2_encoder",
            "FP32 to FP8 of a shifted and squeezed tensor",
            "narrowfloat.golden.reference.s2fp8:S2Encoder",
            measured=Measured((_BARE,), ((*_BARE, "precision=full"), ("stages=8",)), _like_plain("float_encoder")),
        ),
        Design(
            s2fp8.S2Decoder,
            "s2_decoder",
            "FP8 of a shifted and squeezed tensor to FP32",
            "narrowfloat.golden.reference.s2fp8:S2Decoder",
            measured=Measured((_BARE,), ((*_BARE, "precision=full"),), _like_plain("float_decoder")),
        ),
        Design(
            s2fp8.S2Parameters,
            "s2_parameters",
            "shift and squeeze of a tensor from its mean and largest logarithm",
            "narrowfloat.golden.reference.s2fp8:S2Parameters",
        ),
    )
}

# Every row is emitted by `make verilog` and co-simulated by `make sim`: a design and its settings.
SHIPPED = tuple((design.name, settings) for design in DESIGNS.values() for settings in design.shipped)


def find(name):
    """The design called `name`.

    Raises
    ------
    ValueError
        There is none.
    """
    if name not in DESIGNS:
        raise ValueError(f"unknown design {name!r}: use one of {', '.join(DESIGNS)}")
    return DESIGNS[name]
