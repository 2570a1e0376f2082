"""Every FP32 word through the emitted encoder, and every code at every bias through the decoder."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, Sweep, integer, sweep_of
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.base import spell_code, spell_float32

DESIGNS = ("float_decoder", "float_encoder")
OPTIONS = ("formats", "biases", "first", "stride", "count")
# At 32 lanes g++ makes vector instructions of the encoder.
LANES = {"float_encoder": 32, "float_decoder": 4}
# The encoder takes minutes for a format, the decoder no time.
FORMATS = {"float_encoder": "ab_e5m2", "float_decoder": "ab_e5m2,float8_e4m3fn,float8_e5m2"}
BIASES = "10,15,40"
_RERUN = "rerun: narrowfloat exhaustive"


class _FloatCheck(Check):
    @property
    def settings(self):
        return [f"formats={self.fmt.name}", f"lanes={LANES[self.design]}", "stages=0"]


@dataclass(frozen=True)
class EncoderCheck(_FloatCheck):
    """The words of `sweep`, of whole beats, at one bias, rounded to nearest even and saturated."""

    fmt: FloatFormat
    bias: int
    sweep: Sweep
    design: str = "float_encoder"

    @property
    def inputs(self):
        return {"bias": self.bias}

    @property
    def vectors(self):
        return self.sweep.count

    def part(self, manifest, start, count):
        words = self.sweep.words(start, count)
        return {"lane": words}, self.inputs, encode(words.view(np.float32), self.fmt, bias=self.bias)

    def difference(self, vector, lanes, given, got, want, number):
        fmt, bias = self.fmt, self.bias
        return (
            f"lane {vector % lanes}, vector {vector}: {fmt.name} bias {bias}: {spell_float32(given['lane'])}: "
            f"got {spell_code(got, fmt, bias)}, want {spell_code(want, fmt, bias)}; "
            f"{_RERUN} float_encoder --formats {fmt.name} --biases {bias} "
            f"--first {self.sweep.words(vector - vector % lanes, 1)[0]:#010x} --stride {self.sweep.stride} --count {lanes}"
        )


@dataclass(frozen=True)
class DecoderCheck(_FloatCheck):
    """Every code at every bias."""

    fmt: FloatFormat
    design: str = "float_decoder"
    inputs: ClassVar[dict] = {}

    @property
    def vectors(self):
        low, high = self.fmt.bias_range
        return (high + 1 - low) * 2**self.fmt.bits

    def part(self, manifest, start, count):
        bias, codes = np.divmod(np.arange(start, start + count), 2**self.fmt.bits)
        bias += self.fmt.bias_range[0]
        codes = codes.astype(code_dtype(self.fmt))
        return {"lane": codes}, {"bias": bias}, decode(codes, self.fmt, bias=bias).view(np.uint32)

    def difference(self, vector, lanes, given, got, want, number):
        return (
            f"lane {vector % lanes}, vector {vector}: {self.fmt.name} bias {given['bias']}: {given['lane']:#04x}: "
            f"got {spell_float32(got)}, want {spell_float32(want)}; {_RERUN} float_decoder --formats {self.fmt.name}"
        )


def checks(design, formats=None, biases=BIASES, **sweep):
    """The checks of `design` that options ask for: names or spellings of formats, biases or all, the words of the encoder."""
    chosen = [FloatFormat.parse(name) for name in (formats or FORMATS[design]).split(",")]
    if design == "float_decoder":
        return [DecoderCheck(fmt) for fmt in chosen]
    words = sweep_of(LANES[design], **sweep)
    return [EncoderCheck(fmt, bias, words) for fmt in chosen for bias in _biases(fmt, biases)]


def _biases(fmt, text):
    low, high = fmt.bias_range
    if text == "all":
        return range(low, high + 1)
    return [integer(f"--biases of {fmt.name}", word, low, high) for word in text.split(",")]
