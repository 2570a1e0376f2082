"""Every FP32 word through the emitted S2FP8 encoder, and every code at every mean through the decoder, against the golden
model.

Without cocotb, at native speed: see `cosim.native`. The model looks at 15 bits of a significand's fraction and whether there
are any below: it is asked once for each such class of words.
"""

import argparse
import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from narrowfloat.cosim.exhaustive import RTL, WORDS, Sweep, integer, run_sweep
from narrowfloat.cosim.exhaustive_lbfp import command, compare
from narrowfloat.cosim.native import Model
from narrowfloat.golden.reference.spelling import spell_float32
from narrowfloat.golden.s2fp8 import ALPHA_RANGE, LOG_BITS, MEAN_RANGE, Parameters, decode, encode, inverse
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

DESIGNS = ("s2_decoder", "s2_encoder")
# alpha = 1 and beta = 16; those of a Gaussian tensor; alpha = 120, that of a tensor of equal numbers.
PARAMETERS = "0:28416,275:32283,880:32512"
_LANES = 4
_CUT = 23 - LOG_BITS


@dataclass(frozen=True)
class Check:
    """One row of the table: a design with a tensor's parameters, an encoder with the words of `sweep`."""

    design: str
    parameters: Parameters
    sweep: Sweep | None = None

    def __str__(self):
        found = self.parameters
        return f"alpha={found.alpha} mean={found.mean}" if self.sweep else f"inverse={found.inverse}"

    @property
    def vectors(self):
        return self.sweep.count if self.sweep else 256 * (MEAN_RANGE[1] + 1)

    def run(self, advance=lambda count: None):
        """Emit the design, run all there is through it, and compare.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The first difference.
        """
        emission = emit(find(self.design), [f"lanes={_LANES}", "stages=0"])
        emission.write(RTL)
        manifest = RTL / f"{emission.module}.json"
        if self.sweep:
            _classes(self.parameters)
            run_sweep(manifest, self.sweep, self._compare_words, advance)
        else:
            self._compare_codes(Model(manifest), advance)

    def _compare_words(self, model, start, count):
        words = self.sweep.words(start, count)
        user = {"alpha": self.parameters.alpha % 2**11, "mean": self.parameters.mean}
        got = model.run(words.reshape(-1, model.lanes), **user)[0].reshape(-1)
        key = words >> _CUT
        key |= words & 2**_CUT - 1 != 0
        compare(self, got, _classes(self.parameters)[key], lambda index: spell_float32(words[index]))

    def _compare_codes(self, model, advance):
        part = 2**10
        codes = np.tile(np.arange(256, dtype=np.uint8), part).reshape(-1, model.lanes)
        for first in range(0, MEAN_RANGE[1] + 1, part):
            mean = np.arange(first, first + part).repeat(256 // model.lanes)
            got, _ = model.run(codes, inverse=np.full(len(mean), self.parameters.inverse), mean=mean)
            want = decode(codes, self.parameters.inverse, mean[:, None]).view(np.uint32)
            compare(self, got, want, lambda i, mean=mean: f"{codes.flat[i]:#04x} at mean {mean[i // model.lanes]}")
            advance(codes.size)


@lru_cache(maxsize=1)
def _classes(parameters):
    """The model's code of every class of words: uint8 [2**24]."""
    representatives = np.arange(2 ** (32 - _CUT), dtype=np.uint32) << _CUT
    return encode(representatives.view(np.float32), parameters.alpha, parameters.mean)


def checks(designs, parameters, stride=1):
    """All `Check`s of these."""
    sweep = Sweep(stride=stride, count=-(-WORDS // stride // _LANES) * _LANES)
    return [Check(design, each, sweep if design == "s2_encoder" else None) for design in designs for each in parameters]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m narrowfloat.cosim.exhaustive_s2", description=__doc__.partition("\n\n")[0])
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"some of {', '.join(DESIGNS)}; default both")
    parser.add_argument(
        "--parameters", default=PARAMETERS, metavar="ALPHA:MEAN,...", help="as the ports have them; default %(default)s"
    )
    parser.add_argument("--stride", default="1", metavar="N", help="from one FP32 word to the next; default %(default)s")
    options = parser.parse_args(arguments)
    return command("exhaustive_s2", lambda: _plan(options))


def _plan(options):
    for design in options.designs:
        if design not in DESIGNS:
            raise ValueError(f"unknown design {design!r}: use one of {', '.join(DESIGNS)}")
    parameters = []
    for text in options.parameters.split(","):
        alpha, _, mean = text.partition(":")
        alpha = integer("alpha in --parameters", alpha, *ALPHA_RANGE)
        parameters.append(Parameters(alpha, integer("mean in --parameters", mean, *MEAN_RANGE), inverse(alpha)))
    return checks(options.designs or DESIGNS, parameters, integer("--stride", options.stride, 1, WORDS - 1))


if __name__ == "__main__":
    sys.exit(main())
