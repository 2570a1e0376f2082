"""The register map of the memory port."""

import re

from narrowfloat.golden.formats import BIAS_BITS
from narrowfloat.golden.s2fp8 import (
    ALPHA_BITS,
    ALPHA_FRACTION_BITS,
    INVERSE_BITS,
    INVERSE_FRACTION_BITS,
    MEAN_BITS,
    MEAN_FRACTION_BITS,
)
from narrowfloat.hdl.memory.streams import mode_bits
from narrowfloat.hdl.parts.registers import Register, repeated, ro, rw, strobe, w1c
from narrowfloat.hdl.s2fp8 import NEUTRAL
from narrowfloat.hdl.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker

IDENTIFICATION = 0x4E464D50  # "NFMP"
# In the order of their codes in register fields.
ESTIMATORS = {
    "median": MedianEstimator,
    "histogram": ExponentHistogram,
    "tracker": MedianTracker,
    "moments": LogMoments,
}
MODES = ("fp32", "calibrate", "fp8", "frozen", "s2fp8", "s2fp8_frozen")
TYPE_REGISTERS, TYPE_STRIDE = 0x40, 0x20
CONSTANTS = ("ID", "VERSION", "CONFIG")  # registers that always have the values that they have after reset

_ENDS = {"tensor": 0, "epoch": 1}
_CODES = {name: code for code, name in enumerate(ESTIMATORS)}
_NOT_BUILT = "An estimator{} that is not listed is refused: the write changes nothing and answers SLVERR."
_STATISTIC = Register(
    "STAT_DATA",
    0x14,
    "The raw statistic that STAT_INDEX names, 0 where there is none. Counts have two words: read them while "
    "no data of that type passes, or the upper one before and after the lower one.",
    (ro("word", 0, 32, "32 bits of it", slow=True),),
)
_MOMENTS = Register(
    "MOMENTS",
    0x18,
    "Statistics for LOAD, in units of 2**-8: mean and largest of 127 + log2 of the magnitudes.",
    (
        rw("mean_fraction", 0, 8, "the mean, below the point", fraction_bits=MEAN_FRACTION_BITS),
        rw("mean_whole", 8, 8, "the mean, above the point"),
        rw("max_fraction", 16, 8, "the largest, below the point", fraction_bits=MEAN_FRACTION_BITS),
        rw("max_whole", 24, 8, "the largest, above the point"),
    ),
)
_OPEN = "of the open tensor; if none is, of one that starts now"
_TYPE_PARAMETERS = (
    Register(
        "S2_ENCODE",
        TYPE_REGISTERS + 0x14,
        f"With what S2FP8 codes of type {{}} are written, {_OPEN}.",
        (
            ro(
                "alpha_fraction",
                0,
                ALPHA_FRACTION_BITS,
                "of alpha = 2**exponent * (1 + fraction / 128)",
                reset=NEUTRAL["alpha"] % 2**ALPHA_FRACTION_BITS,
                fraction_bits=ALPHA_FRACTION_BITS,
            ),
            ro(
                "alpha_exponent",
                ALPHA_FRACTION_BITS,
                ALPHA_BITS - ALPHA_FRACTION_BITS,
                "two's complement, -8 to 7",
                reset=NEUTRAL["alpha"] % 2**ALPHA_BITS >> ALPHA_FRACTION_BITS,
                signed=True,
            ),
            ro(
                "mean",
                16,
                MEAN_BITS,
                "127 + the mean logarithm, in units of 2**-8",
                reset=NEUTRAL["mean"],
                fraction_bits=MEAN_FRACTION_BITS,
            ),
        ),
    ),
    Register(
        "S2_DECODE",
        TYPE_REGISTERS + 0x18,
        f"With what, besides the mean, S2FP8 codes of type {{}} are read, {_OPEN}.",
        (
            ro(
                "inverse",
                0,
                INVERSE_BITS,
                "1 / alpha in units of 2**-17",
                reset=NEUTRAL["inverse"],
                fraction_bits=INVERSE_FRACTION_BITS,
            ),
        ),
    ),
)


def _codes(estimators):
    """The codes of these estimators, and the same in words."""
    codes = {name: code for name, code in _CODES.items() if name in estimators}
    return codes, ", ".join(f"{code} {name}" for name, code in codes.items())


def _of_all_types(lanes, types, estimators, s2fp8, bias_port, version):
    built = sum(1 << _CODES[name] for name in estimators)
    codes, in_words = _codes(estimators)
    index = Register(
        "STAT_INDEX",
        0x10,
        f"Which raw statistic STAT_DATA shows. {_NOT_BUILT.format('')}",
        (
            rw("index", 0, 8, "which word of the estimator's, as the manifest's `statistics` list them"),
            rw("type", 8, 3, "tensor type"),
            rw("estimator", 16, 2, in_words, reset=min(codes.values()), values=codes),
        ),
    )
    load = Register(
        "LOAD",
        0x1C,
        "S2FP8's parameters come from MOMENTS until the next end of a pass of the type. Leave MOMENTS as it is "
        "while such a type's STATUS is busy.",
        (strobe("types", 0, types, "a bit for each type"),),
    )
    return (
        Register("ID", 0x00, "What this is.", (ro("value", 0, 32, f"{IDENTIFICATION:#x}: NFMP", reset=IDENTIFICATION),)),
        Register(
            "VERSION",
            0x04,
            "Version of the generator.",
            (
                ro("patch", 0, 8, "its last part", reset=version[2]),
                ro("minor", 8, 8, "its second part", reset=version[1]),
                ro("major", 16, 8, "its first part", reset=version[0]),
            ),
        ),
        Register(
            "CONFIG",
            0x08,
            "What was built.",
            (
                ro("lanes", 0, 8, f"words per beat: {lanes}", reset=lanes),
                ro("types", 8, 8, f"tensor types: {types}", reset=types),
                ro(
                    "estimators",
                    16,
                    len(ESTIMATORS),
                    f"a bit for each estimator, {built:#06b}: bits {_codes(ESTIMATORS)[1]}",
                    reset=built,
                ),
                ro("s2fp8", 24, 1, f"S2FP8: {int(s2fp8)}", reset=int(s2fp8)),
                ro("bias_port", 25, 1, f"beats with a bias of their own: {int(bias_port)}", reset=int(bias_port)),
            ),
        ),
        Register(
            "EPOCH",
            0x0C,
            "An epoch ends.",
            (
                strobe(
                    "types",
                    0,
                    types,
                    "a bit for each type; only those with END_ON_EPOCH take note. Taken one by one, from the lowest on, in "
                    "cycles in which no tensor ends its estimators' pass",
                ),
            ),
        ),
        index,
        _STATISTIC,
        *((_MOMENTS, load) if s2fp8 else ()),
    )


def _of_each_type(estimators, s2fp8, bias):
    """Registers of a type whose estimator after reset is the first of `estimators`, and whose bias is `bias`."""

    def also(words):
        return words if s2fp8 else ""

    width = mode_bits(s2fp8)
    modes = {name: code for code, name in enumerate(MODES) if s2fp8 or code < 2**width}
    in_words = "0 FP32; 1 calibrate: FP32, observed; 2 FP8, observed; 3 frozen: FP8, not observed"
    in_words += also("; 4 S2FP8, observed; 5 S2FP8, not observed")
    codes, estimators_in_words = _codes(estimators)
    return (
        Register(
            "CONTROL",
            TYPE_REGISTERS,
            "How tensors of type {} are treated. A tensor keeps the mode that it started with. "
            + _NOT_BUILT.format(" or mode"),
            (
                # three bits, so that what was not built can be told and refused
                rw("mode", 0, mode_bits(True), in_words, values=modes),
                rw(
                    "estimator",
                    8,
                    2,
                    f"which one gives the bias: {estimators_in_words}",
                    reset=_CODES[estimators[0]],
                    values=codes,
                ),
                rw("end_on_epoch", 16, 1, "estimators' passes end 0 with each tensor, 1 with EPOCH", values=_ENDS),
            ),
        ),
        Register(
            "FORCE",
            TYPE_REGISTERS + 0x04,
            "A bias for type {} in place of the estimator's.",
            (rw("bias", 0, BIAS_BITS, "the bias"), rw("enable", 8, 1, "1 to use it")),
        ),
        Register(
            "BIAS",
            TYPE_REGISTERS + 0x08,
            "Biases of type {}.",
            (
                ro("current", 0, BIAS_BITS, _OPEN, reset=bias),
                ro("next", 8, BIAS_BITS, "of one that starts when the open one has ended", reset=bias),
            ),
        ),
        Register(
            "STATUS",
            TYPE_REGISTERS + 0x0C,
            "State of type {}.",
            (
                ro("settled", 0, 1, "the chosen estimator's bias is one from data", reset=0),
                ro(
                    "busy",
                    1,
                    1,
                    "an estimator is at work on the end of a pass: its bias is not known yet, and it may miss data"
                    + also("; or S2FP8's parameters are not known yet"),
                    reset=0,
                ),
                ro("open", 2, 1, "a tensor has begun and not ended", reset=0),
                ro("mode", 8, width, f"mode {_OPEN}", reset=0, values=modes),
            ),
        ),
        Register(
            "FLAGS",
            TYPE_REGISTERS + 0x10,
            "What encoding tensors of type {} has raised.",
            (
                w1c("overflow", 0, 1, "a finite value was too large"),
                w1c(
                    "underflow",
                    1,
                    1,
                    "a value was changed and smaller than the smallest normal number" + also("; in S2FP8 it became zero"),
                ),
                w1c("inexact", 2, 1, "a finite value was changed" + also("; not in S2FP8")),
                w1c("invalid", 3, 1, "infinity or NaN became something else"),
                w1c("partial", 4, 1, "of a word some bytes were kept, but not all: it was not written"),
            ),
        ),
        *(_TYPE_PARAMETERS if s2fp8 else ()),
    )


def register_table(*, lanes, types, estimators, s2fp8=False, bias_port=False, bias=15, version=(0, 0, 0)):
    """The registers of a `MemoryPort`: a list of `hdl.parts.registers.Register`, in the order of their addresses.

    `bias` is that of all types after reset, `version` the generator's: major, minor and patch number.
    """
    return [
        *_of_all_types(lanes, types, estimators, s2fp8, bias_port, version),
        *repeated(types, TYPE_STRIDE, _of_each_type(estimators, s2fp8, bias)),
    ]


def release(version):
    """Major, minor and patch number of a `version` of a Python package: what is behind its release number does not count."""
    numbers = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)", version)[1].split(".")
    return tuple(int(number) for number in [*numbers, "0", "0"][:3])
