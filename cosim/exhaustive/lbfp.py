"""The emitted LBFP blocks on every input: pairs of codes, codes at all exponents, FP32 words."""

from dataclasses import dataclass

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, Sweep, integer, run_sweep, sweep_of
from narrowfloat.cosim.native import Model
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import ANTILOGS, OUTPUTS, decode, encode, multiply
from narrowfloat.golden.reference.spelling import spell_float32

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

    def compare(self, manifest, advance=lambda count: None):
        if self.sweep:
            run_sweep(manifest, self.sweep, self._compare_words, advance)
            return
        compare = self._compare_codes if self.design == "lbfp_decoder" else self._compare_pairs
        compare(Model(manifest))
        advance(self.vectors)

    def _compare_words(self, model, start, count):
        words = self.sweep.words(start, count)
        got = model.run(words.reshape(-1, model.lanes), exponent=self.exponent % 2**self.fmt.exp_bits)[0].reshape(-1)
        want = encode(words.view(np.float32), self.fmt, self.exponent)
        self.expect(got, want, lambda index: f"{spell_float32(words[index])} at exponent {self.exponent}")

    def _compare_codes(self, model):
        low, high = self.fmt.exponent_range
        codes = np.tile(np.arange(2**self.fmt.bits, dtype=np.uint8), high + 1 - low).reshape(-1, model.lanes)
        exponent = np.arange(low, high + 1).repeat(2**self.fmt.bits // model.lanes)
        got, _ = model.run(codes, exponent=exponent % 2**self.fmt.exp_bits)
        want = decode(codes, self.fmt, exponent[:, None]).view(np.uint32)
        self.expect(got, want, lambda index: f"{codes.flat[index]:#04x} at exponent {exponent[index // model.lanes]}")

    def _compare_pairs(self, model):
        number = 2**self.fmt.bits
        a, b = (x.astype(np.uint8).reshape(-1, model.lanes) for x in np.divmod(np.arange(number**2), number))
        got, _ = model.run({"a": a, "b": b})
        parameters = model.manifest["parameters"]
        bits = model.manifest["product_bits"]
        table = {name: parameters[name] for name in ("antilog", "guard_bits", "output")}
        want = multiply(a, b, self.fmt, **table, out_bits=bits)
        self.expect(got, want & 2**bits - 1, lambda index: f"{a.flat[index]:#04x} * {b.flat[index]:#04x}")


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
