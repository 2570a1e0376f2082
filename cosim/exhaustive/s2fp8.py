"""Every FP32 word through the emitted S2FP8 encoder, and every code at every mean through the decoder.

The model looks at 15 bits of a significand's fraction and whether there are any below, in short precision at 8 bits alone: it
is asked once for each class of words that differ in these.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, Sweep, integer, sweep_of
from narrowfloat.golden.checks import check_choice
from narrowfloat.golden.reference.base import spell_float32
from narrowfloat.golden.s2fp8 import ALPHA_RANGE, MEAN_RANGE, PRECISIONS, Parameters, decode, encode, full, inverse

DESIGNS = ("s2_decoder", "s2_encoder")
OPTIONS = ("parameters", "precision", "first", "stride", "count")
# alpha = 1 and beta = 16; those of a Gaussian tensor; alpha = 120, that of a tensor of equal numbers.
PARAMETERS = "0:28416,275:32283,880:32512"
_BOTH = ",".join(PRECISIONS)
_LANES = 4
_CUT = 23 - full.LOG_BITS


@dataclass(frozen=True)
class S2Check(Check):
    """A design of one precision with a tensor's parameters, an encoder with the words of `sweep`."""

    design: str
    parameters: Parameters
    precision: str
    sweep: Sweep | None = None

    @property
    def settings(self):
        return f"lanes={_LANES}", "stages=0", f"precision={self.precision}"

    @property
    def inputs(self):
        found = self.parameters
        return {"alpha": found.alpha, "mean": found.mean} if self.sweep else {"inverse": found.inverse}

    @property
    def vectors(self):
        return self.sweep.count if self.sweep else 256 * (MEAN_RANGE[1] + 1)

    def compare(self, manifest, advance=lambda count: None):
        if self.sweep:
            _classes(self.parameters, self.precision)  # before several threads ask for them
        super().compare(manifest, advance)

    def part(self, manifest, start, count):
        if self.sweep:
            words = self.sweep.words(start, count)
            key = words >> _CUT
            key |= words & 2**_CUT - 1 != 0
            return {"lane": words}, self.inputs, _classes(self.parameters, self.precision)[key]
        mean, codes = np.divmod(np.arange(start, start + count), 256)
        codes = codes.astype(np.uint8)
        values = decode(codes, self.parameters.inverse, mean, precision=self.precision)
        return {"lane": codes}, self.inputs | {"mean": mean}, values.view(np.uint32)

    def describe(self, lane, mean, **_):
        return spell_float32(lane) if self.sweep else f"{lane:#04x} at mean {mean}"


@lru_cache(maxsize=1)
def _classes(parameters, precision):
    """The model's code of every class of words: uint8 [2**24]."""
    representatives = np.arange(2 ** (32 - _CUT), dtype=np.uint32) << _CUT
    return encode(representatives.view(np.float32), parameters.alpha, parameters.mean, precision=precision)


def checks(design, parameters=PARAMETERS, precision=_BOTH, **sweep):
    """The checks of `design` that options ask for: parameters as the ports have them, ALPHA:MEAN, in each precision."""
    precisions = [check_choice("--precision", each, PRECISIONS) for each in precision.split(",")]
    words = sweep_of(_LANES, **sweep) if design == "s2_encoder" else None
    found = []
    for text in parameters.split(","):
        alpha, _, mean = text.partition(":")
        alpha = integer("alpha in --parameters", alpha, *ALPHA_RANGE)
        mean = integer("mean in --parameters", mean, *MEAN_RANGE)
        found += [S2Check(design, Parameters(alpha, mean, inverse(alpha)), each, words) for each in precisions]
    return found
