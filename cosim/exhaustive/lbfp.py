"""The emitted LBFP blocks on every input: pairs of codes, codes at all exponents, FP32 words."""

from dataclasses import dataclass

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, Sweep, integer, sweep_of
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import ANTILOGS, OUTPUTS, decode, encode, multiply
from narrowfloat.golden.reference.base import spell_float32

DESIGNS = ("lbfp_decoder", "lbfp_multiplier", "lbfp_encoder")
OPTIONS = ("formats", "exponents", "first", "stride", "count")
# As many lanes as there are at least codes; the encoder's compile to vector instructions.
_LANES = {"lbfp_encoder": 32, "lbfp_decoder": 4, "lbfp_multiplier": 16}


@dataclass(frozen=True)
class LbfpCheck(Check):
    """A design with `parameters`, an encoder at the shared exponent `exponent` for the words of `sweep`."""

    design: str
    fmt: LogBlockFormat
    parameters: tuple = ()
    exponent: int = 0
    sweep: Sweep | None = None

    @property
    def settings(self):
        return [f"fmt={self.fmt.name}", f"lanes={_LANES[self.design]}", "stages=0", *self.parameters]

    @property
    def inputs(self):
        return {"exponent": self.exponent} if self.sweep else {}

    @property
    def vectors(self):
        if self.sweep:
            return self.sweep.count
        low, high = self.fmt.exponent_range
        codes = 2**self.fmt.bits
        return codes**2 if self.design == "lbfp_multiplier" else codes * (high - low + 1)

    def part(self, manifest, start, count):
        if self.sweep:
            words = self.sweep.words(start, count)
            return {"lane": words}, self.inputs, encode(words.view(np.float32), self.fmt, self.exponent)
        other, codes = np.divmod(np.arange(start, start + count), 2**self.fmt.bits)
        codes = codes.astype(np.uint8)
        if self.design == "lbfp_decoder":
            exponent = other + self.fmt.exponent_range[0]
            return {"lane": codes}, {"exponent": exponent}, decode(codes, self.fmt, exponent).view(np.uint32)
        pairs = {"a": other.astype(np.uint8), "b": codes}
        table = {name: manifest["parameters"][name] for name in ("antilog", "guard_bits", "output")}
        bits = manifest["product_bits"]
        return pairs, {}, multiply(*pairs.values(), self.fmt, **table, out_bits=bits) & 2**bits - 1

    def describe(self, lane=None, a=None, b=None, exponent=0):
        if self.design == "lbfp_multiplier":
            return f"{a:#04x} * {b:#04x}"
        return f"{spell_float32(lane) if self.sweep else f'{lane:#04x}'} at exponent {exponent}"


def checks(design, formats="lbfp8", exponents="0", **sweep):
    """The checks of `design` that options ask for: of multipliers every table and either form of product."""
    found = []
    for fmt in map(LogBlockFormat.parse, formats.split(",")):
        if design == "lbfp_multiplier":
            # with fewer guard bits a table of 64 entries does not fit its width
            lowest = 5 if fmt.frac_bits == 6 else 4
            tables = [("antilog=lut", f"guard_bits={bits}") for bits in range(lowest, 9)]
            tables += [(f"antilog={name}",) for name in ANTILOGS if name != "lut"]
            found += [LbfpCheck(design, fmt, (*table, f"output={output}")) for table in tables for output in OUTPUTS]
        elif design == "lbfp_decoder":
            found.append(LbfpCheck(design, fmt))
        else:
            words = sweep_of(_LANES[design], **sweep)
            numbers = [integer("--exponents", text, *fmt.exponent_range) for text in exponents.split(",")]
            found += [LbfpCheck(design, fmt, (), exponent, words) for exponent in numbers]
    return found
