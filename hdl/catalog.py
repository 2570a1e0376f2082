"""The one list of what is shipped, tested and synthesized."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from narrowfloat.golden import bfp as bfp_model
from narrowfloat.golden.checks import check_choice
from narrowfloat.golden.formats import (
    BIAS_MAX,
    BLOCK_MAN_BITS,
    BLOCKS,
    CATALOG,
    MAX_GROUP,
    MIN_GROUP,
    BlockFormat,
    FloatFormat,
    LogBlockFormat,
)
from narrowfloat.hdl import bfp, float_codec, lbfp, memory, s2fp8, statistics
from narrowfloat.hdl.parts.axi import RESETS, AxiStreamTop, TapTop
from narrowfloat.hdl.shapes import ROUNDINGS


@dataclass(frozen=True)
class Parameter:
    """A parameter of a design, as text on the command line and as JSON in the manifest.

    `parse` turns text into the value that the component takes, `to_json` that value into JSON; `allowed` says in words what text
    may be.
    """

    name: str
    default: Any
    allowed: str
    parse: Callable[[str], Any]
    to_json: Callable[[Any], Any] = lambda value: value


def _integer(name, default, low, high):
    return Parameter(name, default, f"{low} to {high}", int)


def _one_of(name, default, allowed):
    return Parameter(name, default, " | ".join(map(str, allowed)), int)


def _optional(name, low, high, otherwise):
    """An integer that is found from other parameters unless it is given."""
    return Parameter(name, None, f"{low} to {high}; default {otherwise}", int)


def _choice(name, default, allowed):
    def parse(text):
        check_choice(name, text, allowed)
        return text

    return Parameter(name, default, " | ".join(allowed), parse)


def _switch(name, default):
    words = {"0": False, "1": True, "false": False, "true": True}

    def parse(text):
        check_choice(name, text.lower(), words)
        return words[text.lower()]

    return Parameter(name, default, "0 | 1", parse)


def _subset(name, default, allowed):
    return Parameter(name, default, f"one or more of {', '.join(allowed)}", lambda text: tuple(text.split(",")), list)


_FORMATS = Parameter(
    "formats",
    (CATALOG["ab_e5m2"],),
    "one or more names or spellings of formats",
    lambda text: tuple(FloatFormat.parse(name) for name in text.split(",")),
    lambda formats: [fmt.name for fmt in formats],
)
_FORMAT = Parameter("fmt", CATALOG["ab_e5m2"], "the name or spelling of a format", FloatFormat.parse, lambda fmt: fmt.name)
_SHELL = (
    _FORMATS,
    _integer("lanes", 4, 1, float_codec.MAX_LANES),
    _integer("stages", 1, 0, float_codec.MAX_STAGES),
    _switch("bias_port", True),
    _integer("user_bits", 0, 0, float_codec.MAX_USER_BITS),
)
_RESET = _choice("reset", "sync_high", RESETS)
_TAP = (_integer("types", 4, 1, statistics.MAX_TYPES), _integer("lanes", 4, 1, statistics.MAX_LANES))
_BIASES = tuple(
    _integer(name, default, 0, BIAS_MAX) for name, default in (("initial_bias", 15), ("bias_min", 10), ("bias_max", 40))
)
_RUN = _one_of("run", 64, statistics.RUNS)
_COUNTER = _integer("cnt_width", 40, 1, 64)
_LOG_FORMAT = Parameter(
    "fmt", CATALOG["lbfp8"], "the name or spelling of a logarithmic format", LogBlockFormat.parse, lambda fmt: fmt.name
)
_ANTILOG = (
    _choice("antilog", "lut", lbfp.ANTILOGS),
    _optional("guard_bits", 4, lbfp.MAX_GUARD_BITS, "5, or as many as there are fraction bits"),
)

_BLOCK_FORMAT = Parameter(
    "fmt", BLOCKS["bfp4"], "the name or spelling of a block format", BlockFormat.parse, lambda fmt: fmt.name
)


def _parse_precisions(text):
    if not all(bits.isdecimal() for bits in text.split(",")):
        raise ValueError(f"precisions must be one or more numbers of bits, like 2,4, not {text!r}")
    return tuple(int(bits) for bits in text.split(","))


_PRECISIONS = Parameter(
    "precisions",
    None,
    "one or more numbers of bits; default those of fmt",
    _parse_precisions,
    lambda precisions: precisions and list(precisions),
)
_MAX_BITS = _one_of("max_bits", 4, BLOCK_MAN_BITS)
_SUM_BITS = _integer("sum_bits", bfp_model.SUM_BITS, bfp.MIN_SUM_BITS, bfp.MAX_SUM_BITS)


def _codec_top(component):
    return lambda formats, reset, **own: AxiStreamTop(component(formats, **own), reset)


def _tap_top(component):
    return lambda reset, **own: TapTop(component(**own), reset)


@dataclass(frozen=True)
class Design:
    """A kind of block that can be emitted: what makes its flat top from its parameters, `reset` among them."""

    name: str
    summary: str
    make_top: Callable[..., Any]
    parameters: tuple[Parameter, ...]

    def parse(self, settings):
        """Values of all parameters from NAME=VALUE texts.

        Raises
        ------
        ValueError
            A setting is not NAME=VALUE, names no parameter, or its value cannot be read.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        values = {parameter.name: parameter.default for parameter in self.parameters}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals or name not in known:
                raise ValueError(f"{self.name} has no parameter {setting!r}: use NAME=VALUE with one of {', '.join(known)}")
            try:
                values[name] = known[name].parse(text)
            except ValueError:
                if known[name].parse is int:
                    raise ValueError(f"{name} must be an integer, {known[name].allowed}, not {text!r}") from None
                raise
        return values

    def top(self, values):
        """The flat top of the block with the parameters `values`."""
        return self.make_top(**values)

    def to_json(self, values):
        """`values` as the manifest shows them."""
        return {parameter.name: parameter.to_json(values[parameter.name]) for parameter in self.parameters}

    def module(self, values):
        """The module's name: the design, its formats and lanes if it has any, and every parameter that is not at its default."""
        words = [self.name, *(fmt.name for fmt in values.get("formats", ()))]
        if "lanes" in values:
            words.append(f"x{values['lanes']}")
        for parameter in self.parameters:
            value = values[parameter.name]
            if parameter.name not in ("formats", "lanes") and value != parameter.default:
                words += [parameter.name, *_words(parameter.to_json(value))]
        return "_".join(words)


def _words(value):
    return [str(each) for each in value] if isinstance(value, list) else [str(int(value) if isinstance(value, bool) else value)]


DESIGNS = {
    design.name: design
    for design in (
        Design(
            "float_encoder",
            "FP32 to narrow floats, bias at run time",
            _codec_top(float_codec.FloatEncoder),
            (
                *_SHELL,
                _subset("roundings", ("rne",), ROUNDINGS),
                _choice("overflow", "saturate", float_codec.OVERFLOWS),
                _switch("flags", False),
                _integer("sr_bits", 8, 1, float_codec.MAX_SR_BITS),
                _choice("random", "lfsr", float_codec.RANDOMS),
                _integer("seed", 1, 1, 2**32 - 1),
                _RESET,
            ),
        ),
        Design(
            "float_decoder",
            "narrow floats to FP32, bias at run time",
            _codec_top(float_codec.FloatDecoder),
            (*_SHELL, _RESET),
        ),
        Design(
            "median_estimator",
            "bias from the median, by counting in bins that narrow pass after pass",
            _tap_top(statistics.MedianEstimator),
            (
                *_TAP,
                _integer("bins", 20, 2, 32),
                _integer("passes", 3, 1, 6),
                _COUNTER,
                _switch("continuous", False),
                *_BIASES,
                _RESET,
            ),
        ),
        Design(
            "exponent_histogram",
            "bias from the median's octave, by a histogram of exponents",
            _tap_top(statistics.ExponentHistogram),
            (*_TAP, _integer("first", 103, 1, 254), _integer("last", 133, 1, 254), _COUNTER, *_BIASES, _RESET),
        ),
        Design(
            "median_tracker",
            "bias from a register per type that walks to the median",
            _tap_top(statistics.MedianTracker),
            (*_TAP, _integer("fraction", 7, 1, 15), _RUN, *_BIASES, _RESET),
        ),
        Design(
            "log_moments",
            "mean and maximum of the logarithm, and the largest magnitude of a window of tensors",
            _tap_top(statistics.LogMoments),
            (
                *_TAP,
                _choice("log", "table", statistics.LOGS),
                _integer("history", 16, 1, 64),
                _FORMAT,
                _COUNTER,
                *_BIASES,
                _RESET,
            ),
        ),
        Design(
            "memory_port",
            "FP32 to packed 8-bit floats and back, with biases that follow the data",
            lambda reset, **own: AxiStreamTop(memory.MemoryPort(**own), reset),
            (
                _FORMAT,
                _integer("lanes", 4, 1, statistics.MAX_LANES),
                _one_of("types", 4, memory.TYPES),
                _subset("estimators", ("median", "histogram", "tracker"), memory.ESTIMATORS),
                _COUNTER,
                *_BIASES[1:],
                _switch("s2fp8", False),
                _RESET,
            ),
        ),
        Design(
            "fast_mac",
            "dot products of block floating point groups, a pass of 2 by 2 mantissa bits per clock",
            lambda reset, **own: AxiStreamTop(bfp.FastMac(**own), reset),
            (
                _integer("lanes", 16, MIN_GROUP, MAX_GROUP),
                _choice("accumulator", "fixed", bfp.ACCUMULATORS),
                _integer("width", 32, *bfp.FIXED_WIDTHS),
                _one_of("max_bits", 4, bfp.MAX_BITS),
                _one_of("chunk_bits", 2, bfp.CHUNKS),
                _integer("user_bits", 0, 0, bfp.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "systolic_array",
            "matrix products of block floating point, one operand or the results held still",
            lambda reset, **own: AxiStreamTop(bfp.SystolicArray(**own), reset),
            (
                _integer("rows", 4, 1, bfp.MAX_SIDE),
                _integer("columns", 4, 1, bfp.MAX_SIDE),
                _integer("lanes", 16, MIN_GROUP, MAX_GROUP),
                _MAX_BITS,
                _choice("accumulator", "fixed", bfp.ACCUMULATORS),
                _integer("width", 32, *bfp.FIXED_WIDTHS),
                _RESET,
            ),
        ),
        Design(
            "lbfp_encoder",
            "FP32 or sums in fixed point to logarithmic numbers with a shared exponent",
            lambda reset, **own: AxiStreamTop(lbfp.LbfpEncoder(**own), reset),
            (
                _LOG_FORMAT,
                _integer("lanes", 4, 1, lbfp.MAX_LANES),
                _integer("stages", 1, 0, lbfp.MAX_STAGES),
                _choice("source", "fp32", lbfp.SOURCES),
                _integer("fixed_bits", 32, 4, lbfp.MAX_FIXED_BITS),
                _choice("exponent", "given", lbfp.EXPONENTS),
                _switch("flags", False),
                _integer("user_bits", 0, 0, lbfp.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "lbfp_decoder",
            "logarithmic numbers with a shared exponent to FP32",
            lambda reset, **own: AxiStreamTop(lbfp.LbfpDecoder(**own), reset),
            (
                _LOG_FORMAT,
                _integer("lanes", 4, 1, lbfp.MAX_LANES),
                _integer("stages", 1, 0, lbfp.MAX_STAGES),
                _integer("user_bits", 0, 0, lbfp.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "lbfp_multiplier",
            "products of logarithmic numbers in fixed point",
            lambda reset, **own: AxiStreamTop(lbfp.LbfpMultiplier(**own), reset),
            (
                _LOG_FORMAT,
                _integer("lanes", 4, 1, lbfp.MAX_LANES),
                _integer("stages", 1, 0, lbfp.MAX_STAGES),
                *_ANTILOG,
                _optional("out_bits", "guard_bits + 2", 41, "16, or the full product if that is narrower"),
                _choice("output", "twos_complement", lbfp.OUTPUTS),
                _integer("user_bits", 0, 0, lbfp.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "lbfp_dot_product",
            "dot products of logarithmic numbers in fixed point",
            lambda reset, **own: AxiStreamTop(lbfp.LbfpDotProduct(**own), reset),
            (
                _LOG_FORMAT,
                _integer("lanes", 16, 1, lbfp.MAX_LANES),
                _integer("stages", 0, 0, lbfp.MAX_DOT_STAGES),
                *_ANTILOG,
                _optional("out_bits", "guard_bits + 2", 41, "14, or the full product if that is narrower"),
                _choice("output", "sign_magnitude", lbfp.OUTPUTS),
                _integer("max_beats", 2**14, 1, lbfp.MAX_BEATS),
                _switch("exponents", True),
                _integer("user_bits", 0, 0, lbfp.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "bfp_converter",
            "FP32 to block floating point, with the sums that its precision is chosen by",
            lambda reset, **own: AxiStreamTop(bfp.BfpConverter(**own), reset),
            (
                _BLOCK_FORMAT,
                _integer("lanes", 16, 1, MAX_GROUP),
                _subset("roundings", ("rtz", "sr"), bfp_model.ROUNDINGS),
                _PRECISIONS,
                _switch("sums", True),
                _SUM_BITS,
                _integer("seed", 1, 1, 2**32 - 1),
                _integer("user_bits", 0, 0, bfp.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "precision_policy",
            "mantissa bits of a tensor, from its sums, its layer and the iteration",
            lambda reset, **own: AxiStreamTop(bfp.PrecisionPolicy(**own), reset),
            (_SUM_BITS, _integer("user_bits", 0, 0, bfp.MAX_USER_BITS), _RESET),
        ),
        Design(
            "s2_encoder",
            "FP32 to FP8 of a shifted and squeezed tensor",
            lambda reset, **own: AxiStreamTop(s2fp8.S2Encoder(**own), reset),
            (
                _integer("lanes", 4, 1, s2fp8.MAX_LANES),
                _integer("stages", 1, 0, s2fp8.MAX_STAGES),
                _switch("flags", False),
                _integer("user_bits", 0, 0, s2fp8.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "s2_decoder",
            "FP8 of a shifted and squeezed tensor to FP32",
            lambda reset, **own: AxiStreamTop(s2fp8.S2Decoder(**own), reset),
            (
                _integer("lanes", 4, 1, s2fp8.MAX_LANES),
                _integer("stages", 1, 0, s2fp8.MAX_STAGES),
                _integer("user_bits", 0, 0, s2fp8.MAX_USER_BITS),
                _RESET,
            ),
        ),
        Design(
            "s2_parameters",
            "shift and squeeze of a tensor from its mean and largest logarithm",
            lambda reset, **own: AxiStreamTop(s2fp8.S2Parameters(**own), reset),
            (_integer("user_bits", 0, 0, s2fp8.MAX_USER_BITS), _RESET),
        ),
    )
}

_SINGLE_FORMATS = ("ab_e5m2", "float8_e4m3fn", "float8_e5m2")
_CHOSEN_AT_RUN_TIME = "formats=ab_e5m2,float8_e4m3fn,float8_e5m2"
_EVERY_OPTION = "roundings=rne,rna,rtz,sr", "overflow=format", "flags=1", "stages=3", "user_bits=4"

# Every row is emitted by `make verilog`, co-simulated by `make sim` and measured by `make synth`: a design and its settings.
SHIPPED = tuple(
    chain(
        (("float_encoder", (f"formats={name}",)) for name in _SINGLE_FORMATS),
        (("float_decoder", (f"formats={name}",)) for name in _SINGLE_FORMATS),
        (
            ("float_encoder", (_CHOSEN_AT_RUN_TIME,)),
            ("float_decoder", (_CHOSEN_AT_RUN_TIME,)),
            ("float_encoder", (_CHOSEN_AT_RUN_TIME, *_EVERY_OPTION)),
        ),
        ((name, ()) for name in ("lbfp_encoder", "lbfp_decoder", "lbfp_multiplier", "lbfp_dot_product")),
        (("fast_mac", (f"accumulator={accumulator}",)) for accumulator in bfp.ACCUMULATORS),
        # Small ones: all of an array is in one module, and simulators take minutes to build one of 4 by 4 cells.
        (("systolic_array", ("rows=2", "columns=3", f"accumulator={accumulator}")) for accumulator in bfp.ACCUMULATORS),
        ((name, ()) for name in ("median_estimator", "exponent_histogram", "median_tracker", "log_moments", "memory_port")),
        (("memory_port", ("estimators=moments,tracker", "s2fp8=1")),),
        (
            ("bfp_converter", ("precisions=2,4",)),
            ("bfp_converter", ("lanes=4", "roundings=rtz,rne,sr", "precisions=2,4", "user_bits=4")),
            ("precision_policy", ()),
        ),
        ((name, ()) for name in ("s2_encoder", "s2_decoder", "s2_parameters")),
    )
)


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
