"""References by themselves: in parts they say what they say at once, and after a reset what they said before."""

import numpy as np
import pytest
from narrowfloat.golden import float_codec
from narrowfloat.golden.reference import Interface, Stream, load
from narrowfloat.golden.reference.s2fp8 import S2Decoder, S2Encoder
from narrowfloat.golden.rounding import ROUNDINGS, Flag
from narrowfloat.golden.s2fp8 import FORMAT

PLAIN = {
    "parameters": {"lanes": 4, "user_bits": 3, "overflow": "saturate"},
    "latency": {"m_axis": 1},
    "initiation_interval": 1,
}


@pytest.mark.parametrize("precision, rounding", [("full", "rne"), ("short", "rna")])
@pytest.mark.parametrize("bias", range(64))
def test_alpha_1_is_the_plain_codec(bias, precision, rounding):
    manifest = PLAIN | {"parameters": PLAIN["parameters"] | {"precision": precision}}
    encoder, decoder = S2Encoder(manifest), S2Decoder(manifest)
    words = encoder.plain(bias)
    codes = float_codec.encode(words.data["lane"].view(np.float32), FORMAT, bias=bias, rounding=rounding)
    assert np.array_equal(encoder.model(words).data["lane"], codes)
    given = decoder.plain(bias)
    values = float_codec.decode(given.data["lane"], FORMAT, bias=bias)
    assert np.array_equal(decoder.model(given).data["lane"], values.view(np.uint32))


@pytest.mark.parametrize(
    "settings",
    [
        ("float_encoder", "roundings=rne,sr", "flags=1", "user_bits=64"),
        ("float_decoder", "stages=0"),
        ("lbfp_encoder", "exponent=max", "fmt=i3f4b16"),
        ("lbfp_decoder", "user_bits=7"),
        ("lbfp_multiplier", "output=sign_magnitude"),
        ("lbfp_dot_product", "lanes=3", "max_beats=20"),
        ("s2_encoder", "user_bits=100", "flags=1"),
        ("s2_decoder",),
        ("s2_parameters",),
    ],
    ids=" ".join,
)
def test_model_depends_on_nothing_but_what_entered_since_reset(settings, emitted):
    name, *settings = settings
    reference = load(emitted(name, settings).manifest, np.random.default_rng(5))
    stream = reference.random(40)
    sent, left = (Interface(reference.manifest, port) for port in ("s_axis", "m_axis"))
    again = sent.unpack(sent.pack(stream))
    assert sent.pack(again) == sent.pack(stream)
    wanted = reference.model(stream)
    assert len(left.pack(wanted)) == len(wanted)
    assert all(reference.describe(stream, int(wanted.origin[beat]), 0) for beat in range(len(wanted)))
    reference.reset()
    ends = [*(np.flatnonzero(stream.last) + 1), len(stream)] if "dot" in name else range(8, len(stream) + 8, 8)
    parts = [reference.model(stream[first:end]) for first, end in zip([0, *ends], ends, strict=False) if end > first]
    assert left.pack(Stream.join(parts)) == left.pack(wanted)


def test_codes_that_were_not_built_count_as_the_last_ones_and_are_flagged(emitted):
    """And they are part of the random traffic that every simulation sends."""
    formats = "formats=ab_e5m2,float8_e4m3fn,float8_e5m2"
    encoder = load(emitted("float_encoder", [formats, "roundings=rne,rtz", "flags=1"]).manifest, np.random.default_rng(5))
    stream = encoder.random(3000)
    raised = encoder.model(stream).user["flags"]
    rounding = stream.user["rounding"]
    is_not_built = (stream.user["format"] == 3) | (rounding == ROUNDINGS.index("rna")) | (rounding == ROUNDINGS.index("sr"))
    assert 0.02 < is_not_built.mean() < 0.1 and (raised[is_not_built] & np.uint64(Flag.INVALID) != 0).all()
    built = stream[:]
    built.user["format"] = np.minimum(stream.user["format"], 2)
    built.user["rounding"] = np.where(is_not_built & (rounding % 2 == 1), ROUNDINGS.index("rtz"), rounding)
    assert np.array_equal(encoder.model(built).data["lane"], encoder.model(stream).data["lane"])
    decoder = load(emitted("float_decoder", [formats]).manifest, np.random.default_rng(5))
    stream = decoder.random(3000)
    words = decoder.model(stream).data["lane"]
    assert (stream.user["format"] == 3).any() and (words[stream.user["format"] == 3] == 0x7FC00000).all()
    converter = load(emitted("bfp_converter", ["lanes=16", "precisions=2,3,4", "roundings=rne,sr"]).manifest)
    stream = converter.random(3000)
    leaves = converter.model(stream)["m_axis"]
    is_not_built = (stream.user["precision"] == 3) | ~np.isin(stream.user["rounding"], (0, 3))
    assert is_not_built.any() and leaves.user["invalid"][is_not_built[: len(leaves)]].all()


def test_integers_of_any_width_have_weights_that_their_field_holds(emitted):
    """In formats with few bits of exponent, whose weights end before those that such integers could use."""
    described = emitted("lbfp_encoder", ["fmt=i1f6e2b16", "source=fixed", "fixed_bits=64", "lanes=1"]).manifest
    reference = load(described, np.random.default_rng(1))
    interface = Interface(described, "s_axis")
    for stream in (*reference.corners(), reference.random(200), *(stream for _, stream in reference.real())):
        assert len(interface.pack(stream)) == len(stream)
