"""Every FP32 word through the emitted encoder, and every code at every bias through the decoder."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, Sweep, integer, run_sweep, sweep_of
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.spelling import spell_code, spell_float32

DESIGNS = ("float_decoder", "float_encoder")
OPTIONS = ("formats", "biases", "first", "stride", "count")
# At 32 lanes g++ makes vector instructions of the encoder.
LANES = {"float_encoder": 32, "float_decoder": 4}
# The encoder takes minutes for a format, the decoder no time.
FORMATS = {"float_encoder": "ab_e5m2", "float_decoder": "ab_e5m2,float8_e4m3fn,float8_e5m2"}
BIASES = "10,15,40"
_RERUN = "rerun: narrowfloat exhaustive"


@dataclass(frozen=True)
class EncoderCheck(Check):
    """The words of `sweep`, of whole beats, at one bias, rounded to nearest even and saturated."""

    fmt: FloatFormat
    bias: int
    sweep: Sweep
    design: str = "float_encoder"

    @property
    def settings(self):
        return _settings(self.design, self.fmt)

    @property
    def inputs(self):
        return {"bias": self.bias}

    @property
    def vectors(self):
        return self.sweep.count

    def compare(self, manifest, advance=lambda count: None):
        run_sweep(manifest, self.sweep, self.compare_words, advance)

    def compare_words(self, model, start, count):
        """Compare part of the sweep."""
        words = self.sweep.words(start, count)
        got = model.run(words.reshape(-1, model.lanes), **_only_built(model, bias=self.bias))[0].reshape(-1)
        want = encode(words.view(np.float32), self.fmt, bias=self.bias)
        if np.array_equal(got, want):
            return
        vector = int(np.argmax(got != want))
        lane = vector % model.lanes
        fmt, bias = self.fmt, self.bias
        raise Mismatch(
            f"lane {lane}, vector {start + vector}: {fmt.name} bias {bias}: {spell_float32(words[vector])}: "
            f"got {spell_code(got[vector], fmt, bias)}, want {spell_code(want[vector], fmt, bias)}; "
            f"{_RERUN} float_encoder --formats {fmt.name} --biases {bias} "
            f"--first {words[vector - lane]:#010x} --stride {self.sweep.stride} --count {model.lanes}"
        )


@dataclass(frozen=True)
class DecoderCheck(Check):
    """Every code at every bias."""

    fmt: FloatFormat
    design: str = "float_decoder"
    inputs: ClassVar[dict] = {}

    @property
    def settings(self):
        return _settings(self.design, self.fmt)

    @property
    def vectors(self):
        low, high = self.fmt.bias_range
        return (high + 1 - low) * 2**self.fmt.bits

    def compare(self, manifest, advance=lambda count: None):
        model, fmt = Model(manifest), self.fmt
        low, high = fmt.bias_range
        codes = np.tile(np.arange(2**fmt.bits, dtype=code_dtype(fmt)), high + 1 - low).reshape(-1, model.lanes)
        bias = np.arange(low, high + 1).repeat(2**fmt.bits // model.lanes)
        got, _ = model.run(codes, **_only_built(model, bias=bias))
        want = decode(codes, fmt, bias=bias[:, None]).view(np.uint32)
        if not np.array_equal(got, want):
            beat, lane = np.argwhere(got != want)[0]
            raise Mismatch(
                f"lane {lane}, vector {beat * model.lanes + lane}: {fmt.name} bias {bias[beat]}: {codes[beat, lane]:#04x}: "
                f"got {spell_float32(got[beat, lane])}, want {spell_float32(want[beat, lane])}; "
                f"{_RERUN} float_decoder --formats {fmt.name}"
            )
        advance(self.vectors)


def _settings(design, fmt):
    return [f"formats={fmt.name}", f"lanes={LANES[design]}", "stages=0"]


def _only_built(model, **user):
    return {name: value for name, value in user.items() if name in model.user_fields}


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
