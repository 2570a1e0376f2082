"""Emitted hardware at native speed against the golden model, in every option; and the command that exhausts it."""

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
from narrowfloat.command import main
from narrowfloat.cosim import build
from narrowfloat.cosim.exhaustive import checks
from narrowfloat.cosim.exhaustive.checks import Sweep
from narrowfloat.cosim.exhaustive.float_codec import DecoderCheck, EncoderCheck
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import CATALOG, FLOATS, FloatFormat
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference.stimulus import encoder_corners, random_words_in_range, special_words
from narrowfloat.golden.rounding import ROUNDINGS
from narrowfloat.hdl.catalog import SHIPPED, find
from narrowfloat.hdl.emit import emit
from narrowfloat.tools import ToolError

EVERY_OPTION = {"roundings": ",".join(ROUNDINGS), "random": "port", "flags": 1, "lanes": 1, "stages": 0}
BY_HAND = (
    "e2m0", "e2m0_none_zero_code", "e7m0_fn", "e3m0b3_none_paper", "e4m3_fn_zero_code", "e5m2b0_ieee_zero_code",
    "e4m3_fnuz_zero_code", "e6m5_none_paper", "e2m7_ieee", "e7m7", "e8m7_ieee",
)  # fmt: skip
SETS = (
    "ab_e5m2,float8_e4m3fn,float8_e5m2",
    "ab_e5m2_paper,float4_e2m1fn,float8_e5m2fnuz,float8_e3m4,e6m0_fn",
    "e3m2_none_paper,e5m1_none_zero_code,e4m3_ieee_zero_code",
)


@pytest.fixture(autouse=True)
def compiler(require_tool):
    require_tool("g++")


@pytest.fixture
def emitted(tmp_path):
    """A function that emits a design with its settings and returns the manifest's path; `edit` changes the Verilog."""

    def make(design, edit=lambda text: text, **settings):
        emission = edited(emit(find(design), [f"{name}={value}" for name, value in settings.items()]), edit)
        emission.write(tmp_path)
        return tmp_path / f"{emission.module}.json"

    return make


def edited(emission, edit):
    return replace(emission, text=edit(emission.text))


def corners(fmt, rng):
    """Words and biases where the encoder's result changes, and random ones, fewer of them for wide formats."""
    low, high = fmt.bias_range
    if fmt.bits <= 8:
        words, biases = encoder_corners(fmt)
    else:
        words, biases = encoder_corners(fmt, sorted({low, fmt.bias, high}), swept=0)
    random_biases = rng.integers(low, high + 1, 10**5, dtype=np.int32)
    return np.concatenate([words, random_words_in_range(rng, fmt, random_biases)]), np.concatenate([biases, random_biases])


def random_user(parameters, rng, beats):
    """Fields to go with beats in any of the roundings and formats that are built; all there can be."""
    sr_bits, tag_bits = parameters["sr_bits"], parameters["user_bits"]
    return {
        "rounding": rng.choice([ROUNDINGS.index(name) for name in parameters["roundings"]], beats),
        "format": rng.integers(len(parameters["formats"]), size=beats),
        "random": rng.integers(2**sr_bits, size=(beats, parameters["lanes"])),
        "user": rng.integers(2**tag_bits, size=beats, dtype=np.uint64),
    }


def built(model, user):
    return {name: values for name, values in user.items() if name in model.user_fields}


def assert_encodes(model, words, user, random=None):
    """Run beats through an encoder and compare codes, flags and tags; `random` is what its own generator makes."""
    parameters = model.manifest["parameters"]
    got, got_user = model.run(words, **built(model, user))
    random = user["random"] if random is None else random
    want, flags = np.zeros_like(got), np.zeros(got.shape, np.uint8)
    for index, fmt in enumerate(map(FloatFormat.parse, parameters["formats"])):
        for rounding in parameters["roundings"]:
            rows = (user["format"] == index) & (user["rounding"] == ROUNDINGS.index(rounding))
            bias = user["bias"][rows, None] if parameters["bias_port"] else None
            options = {"rounding": rounding, "overflow": parameters["overflow"], "sr_bits": parameters["sr_bits"]}
            x = words[rows].view(np.float32)
            want[rows], flags[rows] = encode(x, fmt, bias=bias, random_bits=random[rows], flags=True, **options)
    got_flags = got_user.get("flags", flags)
    differs = (got != want) | (got_flags != flags)
    examples = [
        f"lane {lane}: {parameters['formats'][user['format'][beat]]} bias {user['bias'][beat]} "
        f"{ROUNDINGS[user['rounding'][beat]]} random {random[beat, lane]}: {words[beat, lane]:#010x}: "
        f"got {got[beat, lane]:#x} flags {got_flags[beat, lane]:04b}, want {want[beat, lane]:#x} flags {flags[beat, lane]:04b}"
        for beat, lane in np.argwhere(differs)[:5]
    ]
    assert not examples, f"{np.count_nonzero(differs)} of {differs.size} differ:\n" + "\n".join(examples)
    if "user" in got_user:
        assert (got_user["user"][:, 0] == user["user"]).all()


def check_every_option(emitted, formats, **settings):
    model = Model(emitted("float_encoder", formats=formats, **EVERY_OPTION, **settings))
    rng = np.random.default_rng(1)
    for index, name in enumerate(formats.split(",")):
        words, biases = corners(FloatFormat.parse(name), rng)
        user = random_user(model.manifest["parameters"], rng, len(words))
        assert_encodes(model, words[:, None], {**user, "format": np.full(len(words), index), "bias": biases})


@pytest.mark.parametrize("name", [*FLOATS, *BY_HAND])
def test_encoder_in_every_rounding_with_flags_at_all_corners(emitted, name):
    overflow = "saturate" if FloatFormat.of(name).specials == "none" else "format"
    check_every_option(emitted, name, overflow=overflow, sr_bits=1 + len(name) % 16)


@pytest.mark.long
@pytest.mark.parametrize("name", [*FLOATS, *BY_HAND])
def test_saturating_encoder_in_every_rounding_with_flags_at_all_corners(emitted, name):
    check_every_option(emitted, name, overflow="saturate")


@pytest.mark.parametrize("names", SETS)
def test_encoder_of_several_formats_in_every_rounding_with_flags_at_all_corners(emitted, names):
    check_every_option(emitted, names, overflow="format", user_bits=3)


@pytest.mark.parametrize(
    "settings",
    [
        {"formats": "ab_e5m2", "roundings": "rna"},
        {"formats": "ab_e5m2_paper", "roundings": "rtz", "bias_port": 0},
        {"formats": "float8_e4m3fnuz", "roundings": "rtz", "overflow": "format"},
        {"formats": "float8_e5m2", "roundings": "sr", "random": "port", "sr_bits": 3},
        {"formats": "float8_e8m0fnu", "roundings": "rne"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_encoder_of_one_rounding_without_flags_at_all_corners(emitted, settings):
    model = Model(emitted("float_encoder", lanes=1, stages=0, **settings))
    rng = np.random.default_rng(2)
    fmt = FloatFormat.parse(settings["formats"])
    words, biases = corners(fmt, rng)
    if not model.manifest["parameters"]["bias_port"]:
        words, biases = words[biases == fmt.bias], biases[biases == fmt.bias]
    assert_encodes(model, words[:, None], {**random_user(model.manifest["parameters"], rng, len(words)), "bias": biases})


def random_beats(parameters, rng, beats):
    """Words [beats, lanes], and the fields beside them, at random."""
    user = {**random_user(parameters, rng, beats), "bias": rng.integers(64, size=beats)}
    biases = np.broadcast_to(user["bias"][:, None], (beats, parameters["lanes"]))
    words = np.empty(biases.shape, np.uint32)
    for index, fmt in enumerate(map(FloatFormat.parse, parameters["formats"])):
        rows = user["format"] == index
        words[rows] = random_words_in_range(rng, fmt, biases[rows])
    words[:1000] = rng.choice(special_words(), words[:1000].shape)
    return words, user


def test_encoder_of_many_lanes_takes_each_its_own_bits(emitted):
    """Seven lanes of six-bit codes and five random bits, and a wide tag: fields that lie across words."""
    settings = {**EVERY_OPTION, "lanes": 7, "sr_bits": 5, "user_bits": 61}
    model = Model(emitted("float_encoder", formats="float6_e2m3fn,float4_e2m1fn", **settings))
    rng = np.random.default_rng(3)
    assert_encodes(model, *random_beats(model.manifest["parameters"], rng, 10**5))


@pytest.mark.parametrize("reset", ["sync_high", "async_low"])
def test_encoder_with_pipeline_and_generator_goes_on_from_run_to_run(emitted, reset):
    ((_, settings),) = [row for row in SHIPPED if "stages=3" in row[1]]
    settings = dict(setting.split("=") for setting in settings)
    model = Model(emitted("float_encoder", **settings, reset=reset, lanes=6, sr_bits=10, seed=7))
    parameters = model.manifest["parameters"]
    rng = np.random.default_rng(4)
    words, user = random_beats(parameters, rng, 2 * 10**5)
    random = lane_bits(7, len(words), parameters["lanes"], 10)
    for part in slice(0, 1001), slice(1001, None):
        assert_encodes(model, words[part], {name: values[part] for name, values in user.items()}, random[part])


@pytest.mark.parametrize(
    "name", ["ab_e5m2", "float8_e4m3fn", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "e2m0", "e2m7_ieee", "e7m7"]
)
def test_decoder_of_every_code_at_every_bias(emitted, name):
    DecoderCheck(FloatFormat.parse(name)).compare(emitted("float_decoder", formats=name, stages=0))


@pytest.mark.long
@pytest.mark.parametrize("name", [*FLOATS, *BY_HAND])
def test_pipelined_decoder_of_every_code_at_every_bias(emitted, name):
    DecoderCheck(FloatFormat.parse(name)).compare(emitted("float_decoder", formats=name, stages=3))


@pytest.mark.parametrize("names", SETS)
def test_decoder_of_several_formats_of_every_code_at_every_bias(emitted, names):
    model = Model(emitted("float_decoder", formats=names, lanes=1, stages=1, user_bits=33))
    rng = np.random.default_rng(5)
    for index, fmt in enumerate(map(FloatFormat.parse, names.split(","))):
        codes = np.arange(2**fmt.bits, dtype=code_dtype(fmt)).repeat(64)[:, None]
        bias = np.tile(np.arange(64), 2**fmt.bits)
        tag = rng.integers(2**33, size=len(codes))
        words, user = model.run(codes, bias=bias, format=np.full(len(codes), index), user=tag)
        np.testing.assert_array_equal(words, decode(codes, fmt, bias=bias[:, None]).view(np.uint32), strict=True)
        assert (user["user"][:, 0] == tag).all()


OPERATORS = {"sum": (r" \+ ", " - "), "and": (" & ", " | "), "exclusive or": (r" \^ ", " | "), "inverse": ("= ~", "= ")}
MISMATCH = (
    r"lane \d, vector \d+: ab_e5m2 bias 15: 0x[0-9a-f]{8} \(.+\): got 0x[0-9a-f]{2} \(.+\), want 0x[0-9a-f]{2} \(.+\); "
    r"rerun: narrowfloat exhaustive float_encoder --formats ab_e5m2 --biases 15 --first (0x[0-9a-f]{8}) --stride 4099 "
    r"--count 4"
)


def edit_operator(which):
    """An edit that takes another operator in place of the first one of a kind."""

    def edit(text):
        changed, count = re.subn(rf"(\n  wire .*?){OPERATORS[which][0]}", rf"\1{OPERATORS[which][1]}", text, count=1)
        assert count == 1
        return changed

    return edit


@pytest.mark.parametrize("which", OPERATORS)
def test_encoder_with_one_operator_edited_is_caught(emitted, which):
    fmt = CATALOG["ab_e5m2"]
    manifest = emitted("float_encoder", edit_operator(which), formats=fmt.name, lanes=4, stages=0)
    with pytest.raises(Mismatch) as caught:
        EncoderCheck(fmt, 15, Sweep(stride=4099, count=2**20)).compare(manifest)
    first = int(re.fullmatch(MISMATCH, str(caught.value))[1], 0)
    with pytest.raises(Mismatch):
        EncoderCheck(fmt, 15, Sweep(first, 4099, 4)).compare(manifest)


def test_decoder_with_one_operator_edited_is_caught(emitted):
    fmt = CATALOG["ab_e5m2"]
    manifest = emitted("float_decoder", edit_operator("sum"), formats=fmt.name, stages=0)
    result = r"0x[0-9a-f]{8} \(.+\)"
    rerun = "rerun: narrowfloat exhaustive float_decoder --formats ab_e5m2"
    line = rf"lane \d, vector \d+: ab_e5m2 bias \d+: 0x[0-9a-f]{{2}}: got {result}, want {result}; {rerun}$"
    with pytest.raises(Mismatch, match=line):
        DecoderCheck(fmt).compare(manifest)


@pytest.mark.parametrize(
    "stages, latency, edit",
    [
        (2, 1, ("", "")),
        (0, 0, ("m_axis_tvalid = s_axis_tvalid", "m_axis_tvalid = 1'h0")),
        (0, 0, ("s_axis_tready = m_axis_tready", "s_axis_tready = 1'h0")),
    ],
)
def test_beat_that_does_not_go_or_come_in_time_is_caught(emitted, stages, latency, edit):
    model = Model(emitted("float_encoder", lambda text: text.replace(*edit), formats="ab_e5m2", lanes=1, stages=stages))
    model.manifest["latency"]["m_axis"] = latency
    with pytest.raises(Mismatch, match=r"float_encoder_\w+: beat 0 was not taken at once, or not returned after its latency"):
        model.run(np.zeros((8, 1), np.uint32), bias=15)


def test_sweep_goes_on_from_chunk_to_chunk_and_wraps_round():
    sweep = Sweep(first=5, stride=3)
    assert sweep.words(2**32 - 4, 8).tolist() == [(5 + 3 * number) % 2**32 for number in range(2**32 - 4, 2**32 + 4)]


@pytest.mark.parametrize("count", [2**32, 3 * 2**20 + 4, 4])
def test_threads_together_meet_every_word_of_a_sweep_once(emitted, monkeypatch, count):
    parts = []
    monkeypatch.setattr(EncoderCheck, "compare_part", lambda *arguments: parts.append(arguments[-2:]))
    advanced = []
    manifest = emitted("float_encoder", formats="e2m0", lanes=4, stages=0)
    EncoderCheck(FloatFormat.parse("e2m0"), 1, Sweep(count=count)).compare(manifest, advanced.append)
    parts.sort()
    assert [start for start, _ in parts] == [0, *np.cumsum([size for _, size in parts])[:-1]]
    assert sum(size for _, size in parts) == sum(advanced) == count


@pytest.fixture
def command(capsys):
    """Runs the command with text arguments; its exit status, and what it printed to stdout and stderr."""

    def run(text):
        status = main(["exhaustive", *shlex.split(text)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_command_samples_encoder_and_decoder_of_shipped_formats(command, tmp_path):
    """Two million words across the range at three biases, with a table and JSON."""
    status, out, _ = command(
        f"float_decoder float_encoder --formats ab_e5m2,float8_e4m3fn,float8_e5m2 --stride 2047 --json {tmp_path / 'runs.json'}"
    )
    assert status == 0
    rows = [line.split() for line in out.splitlines() if "bit-exact" in line]
    names = ["ab_e5m2", "float8_e4m3fn", "float8_e5m2"]
    assert [row[:5] for row in rows] == [
        *(["float_decoder", f"formats={name}", "lanes=4", "stages=0", "16,384"] for name in names),
        *(
            ["float_encoder", f"formats={name}", "lanes=32", "stages=0", f"bias={bias}"]
            for name in names
            for bias in ("10", "15", "40")
        ),
    ]
    runs = json.loads((tmp_path / "runs.json").read_text())
    assert len(runs) == len(rows)
    settings = ["formats=float8_e5m2", "lanes=32", "stages=0"]
    assert runs[-1] | {"seconds": 0} == {
        "design": "float_encoder", "settings": settings, "bias": 40, "vectors": 2098208, "seconds": 0, "passed": True,
    }  # fmt: skip


def test_command_prints_what_differs_and_reruns_it(command, monkeypatch):
    monkeypatch.setattr(checks, "kept", lambda *arguments: edited(emit(*arguments), edit_operator("sum")))
    status, out, _ = command("float_encoder --biases 15 --stride 4099 --count 4000000")
    assert status == 1
    assert "failed" in out
    line = out.splitlines()[-1]
    assert line.startswith("lane ")
    program, arguments = "narrowfloat exhaustive", line.partition("; rerun: ")[2]
    assert arguments.startswith(program)
    status, out, _ = command(arguments.removeprefix(program))
    assert status == 1
    assert out.splitlines()[-1].partition("got")[2] == line.partition("got")[2]


@pytest.mark.parametrize(
    "arguments, line",
    [
        ("float_adder", "unknown design 'float_adder': use one of float_decoder, float_encoder, .*"),
        ("float_decoder --formats e5m2,e9m9", "exp_bits must be an integer from 2 to 8, not 9"),
        ("float_decoder --formats half", "unknown format 'half': use one of ab_e5m2, .*"),
        ("float_encoder --biases 10,64", "--biases of ab_e5m2 must be an integer from 0 to 63, not '64'"),
        ("float_encoder --biases ten", "--biases of ab_e5m2 must be an integer from 0 to 63, not 'ten'"),
        ("float_encoder --formats float8_e8m0fnu", "--biases of float8_e8m0fnu must be an integer from 127 to 127, not '10'"),
        ("float_encoder --stride 0", "--stride must be an integer from 1 to 4294967295, not '0'"),
        ("float_encoder --count -1", "--count must be an integer from 1 to 4294967296, not '-1'"),
        ("float_encoder --first 0x100000000", "--first must be an integer from 0 to 4294967295, not '0x100000000'"),
        ("--json nowhere/runs.json", "argument --json: cannot write 'nowhere/runs.json': there is no folder '.*/nowhere'; .*"),
    ],
)
def test_wrong_arguments_are_one_clear_line(command, arguments, line):
    status, out, err = command(arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(f"narrowfloat exhaustive: {line}\n", err)


def test_missing_compiler_is_one_clear_line(command, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = command("float_decoder --formats e2m0")
    assert (status, err) == (2, "narrowfloat exhaustive: g++ is missing: sudo apt-get install g++\n")


def test_library_is_built_once_for_the_same_source(emitted, monkeypatch):
    source = emitted("float_decoder", formats="e2m0", stages=0).with_suffix(".v")
    library = build.library(source)
    monkeypatch.setattr(build, "_verilate", lambda *arguments: pytest.fail("built again"))
    assert build.library(source) == library
    source.write_text(source.read_text() + "// changed\n")
    with pytest.raises(pytest.fail.Exception):
        build.library(source)


def test_broken_verilog_is_one_clear_line(emitted):
    manifest = emitted("float_decoder", lambda text: text.replace("assign", "assign assign", 1), formats="e2m0", stages=0)
    with pytest.raises(ToolError, match=r"^Verilator on float_decoder_e2m0_x4_stages_0.v: %Error: .*syntax error[^\n]*$"):
        Model(manifest)


def test_model_refuses_fields_that_do_not_fit(emitted):
    model = Model(emitted("float_encoder", formats="ab_e5m2", lanes=2, stages=0))
    words = np.zeros((3, 2), np.uint32)
    with pytest.raises(ValueError, match="bias must be from -32 to 63, not 64"):
        model.run(words, bias=np.array([1, 64, 3]))
    with pytest.raises(ValueError, match="user fields must be bias, not none"):
        model.run(words)
    with pytest.raises(ValueError, match="user fields must be bias, not bias, format"):
        model.run(words, bias=1, format=0)
    with pytest.raises(TypeError, match="lane must be integers, not float32"):
        model.run(words.view(np.float32), bias=1)
    with pytest.raises(ValueError, match="could not be broadcast"):
        model.run(words, bias=np.array([1, 2]))


@pytest.mark.long
def test_command_exhausts_the_adaptive_format(command):
    status, out, _ = command("float_encoder")
    assert status == 0
    assert out.count("4,294,967,296") == out.count("bit-exact") == 3
