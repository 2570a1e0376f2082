"""The emitted codec is what two unlike specifications say, at every input and every bias."""

import re
from dataclasses import replace

import pytest
from narrowfloat.golden.formats import FLOATS, FloatFormat

from tests.formal import theory, thresholds
from tests.formal.codec import Codec
from tests.formal.mutation import mutants

MAIN = ("ab_e5m2", "float8_e4m3fn", "float8_e5m2")
OTHER_SETS = (
    *((name,) for name in FLOATS if name not in MAIN),
    ("e4m3_fnuz_zero_code",),
    ("e5m2_ieee_zero_code",),
    ("e4m3_fn_zero_code",),
    ("e4m0_fn_zero_code",),
    ("e3m1_paper",),
    ("e2m0",),
    ("e7m2_ieee",),
    ("e8m2_ieee",),
    ("ab_e5m2_paper", "float8_e4m3fnuz", "e4m3_zero_code"),
    ("float6_e2m3fn", "e5m2_fn_zero_code", "e4m1_paper"),
)
EVERY_OPTION = {"design": "float_encoder", "roundings": ("rne", "rna", "rtz", "sr"), "flags": True}


DIRECTED = {"design": "float_encoder", "roundings": ("rtz", "rdn", "rup"), "flags": True, "overflow": "format"}


def codecs(formats):
    """For each of `formats`, of which a beat chooses one if there are several: encoders without and with options, a decoder."""
    for chosen, name in enumerate(formats):
        common = {"formats": ",".join(formats), "chosen": chosen}
        yield Codec(design="float_encoder", **common)
        yield Codec(**EVERY_OPTION, **common)
        if FloatFormat.parse(name).specials != "none":
            yield Codec(design="float_encoder", overflow="format", **common)
            yield Codec(**EVERY_OPTION, overflow="format", **common)
        yield Codec(design="float_decoder", **common)


MAIN_CODECS = [codec for formats in (*((name,) for name in MAIN), MAIN) for codec in codecs(formats)]
DIRECTED_CODECS = [
    Codec(**(DIRECTED if FloatFormat.parse(name).specials != "none" else DIRECTED | {"overflow": "saturate"}), formats=name)
    for name in MAIN
]
OTHER_CODECS = [codec for formats in OTHER_SETS for codec in codecs(formats)]


def parameters(codecs, is_long=lambda codec: False):
    return [pytest.param(codec, id=str(codec), marks=[pytest.mark.long] if is_long(codec) else []) for codec in codecs]


def has_few_codes(codec):
    """Whether there are not too many to write a specification down for each."""
    return codec.fmt.bits <= 8


def has_fractions(codec):
    """Whether floating-point theory has the format."""
    return codec.fmt.man_bits >= theory.MIN_MAN_BITS


def is_variant(codec):
    """Whether it is not an encoder with all options or a decoder, for a format of the catalogue."""
    return codec.formats not in FLOATS or (codec.design == "float_encoder" and not codec.flags)


def check(counterexample, codec, folder):
    verilog = codec.verilog()
    if inputs := counterexample(codec, verilog, folder):
        got, want = codec.evaluate(verilog, inputs, folder), codec.golden(inputs)
        where = "" if got != want else "the golden model agrees, so look at the handshake or at the specification: "
        pytest.fail(where + codec.describe(inputs, got, want))


@pytest.mark.parametrize("codec", parameters(MAIN_CODECS) + parameters(filter(has_few_codes, OTHER_CODECS), lambda codec: True))
def test_thresholds_at_every_input_and_bias(codec, tmp_path, require_tool):
    require_tool("berkeley-abc")
    # every random number has its own thresholds
    check(thresholds.counterexample, replace(codec, sr_bits=2), tmp_path)


@pytest.mark.parametrize(
    "codec", parameters(MAIN_CODECS + DIRECTED_CODECS) + parameters(filter(has_fractions, OTHER_CODECS), is_variant)
)
def test_floating_point_theory_at_every_input_and_bias(codec, tmp_path):
    check(theory.counterexample, codec, tmp_path)


@pytest.mark.parametrize(
    "codec",
    parameters(
        [
            Codec(design="float_encoder", formats="ab_e5m2", flags=True),
            Codec(design="float_decoder", formats="float8_e5m2"),
        ]
    ),
)
def test_mutants_are_refuted_where_golden_differs(codec, tmp_path, require_tool):
    """Both methods judge a mutant alike. Some may do the same as the original."""
    require_tool("berkeley-abc")
    count = 3
    refuted = 0
    for mutant in mutants(codec.verilog(), "implementation", count, tmp_path):
        found = [method.counterexample(codec, mutant, tmp_path) for method in (thresholds, theory)]
        assert (found[0] is None) == (found[1] is None)
        for inputs in filter(None, found):
            got, want = codec.evaluate(mutant, inputs, tmp_path), codec.golden(inputs)
            assert got != want, inputs
            line = codec.describe(inputs, got, want)
            assert re.fullmatch(r".*: (word|code) 0x[0-9a-f]+ \(.*\), bias \d+.*: got \w+ .*, want \w+ .*; rerun: .*", line)
        refuted += found[0] is not None
    assert refuted > count / 2
