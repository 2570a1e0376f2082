"""The register map of the memory port."""

from narrowfloat.golden.formats import BIAS_BITS
from narrowfloat.hdl import statistics
from narrowfloat.hdl.memory.streams import mode_bits
from narrowfloat.hdl.parts.registers import Field, Register
from narrowfloat.hdl.s2fp8 import INVERSE_BITS, MEAN_BITS

IDENTIFICATION = 0x4E464D50  # "NFMP"
# By the codes of the register field; all have the same ports.
ESTIMATORS = {
    "median": statistics.MedianEstimator,
    "histogram": statistics.ExponentHistogram,
    "tracker": statistics.MedianTracker,
    "moments": statistics.LogMoments,
}
TYPE_REGISTERS, TYPE_STRIDE = 0x40, 0x20


def register_table(*, lanes, types, estimators, s2fp8=False):
    """The registers of a `MemoryPort`: a list of `hdl.parts.registers.Register`."""
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
