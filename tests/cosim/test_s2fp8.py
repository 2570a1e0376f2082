"""The S2FP8 blocks beyond what is shipped: natively on all kinds of words, on a simulator in every handshake, with faults."""

import re

import numpy as np
import pytest
from narrowfloat.command import main
from narrowfloat.cosim.exhaustive import s2fp8
from narrowfloat.cosim.exhaustive.s2fp8 import S2Check, checks
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.cosim.runner import Job, run
from narrowfloat.golden.reference.stimulus import random_words, s2_corners, special_words
from narrowfloat.golden.s2fp8 import PRECISIONS, Parameters, encode, inverse
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

GAUSSIAN = Parameters(275, 32283, inverse(275))
BUILDS = (
    ("s2_encoder", "lanes=3", "stages=8", "flags=1", "user_bits=5", "reset=async_low"),
    ("s2_encoder", "lanes=2", "stages=7", "precision=full"),
    ("s2_decoder", "lanes=3", "stages=3", "reset=sync_low", "precision=full"),
    ("s2_decoder", "lanes=5", "stages=2", "user_bits=64"),
    ("s2_parameters", "user_bits=7", "reset=async_high"),
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.mark.parametrize("parameters", [GAUSSIAN, Parameters.of_bias(31), Parameters(-640, 30000, inverse(-640))], ids=str)
def test_every_code_and_words_natively(parameters, require_tool):
    require_tool("g++")
    spelled = f"{parameters.alpha}:{parameters.mean}"
    for check in (*checks("s2_decoder", spelled), *checks("s2_encoder", spelled, stride="997")):
        check.run()


@pytest.mark.long
@pytest.mark.parametrize("alpha", range(-1000, 1024, 253))
def test_other_parameters_natively(alpha, require_tool):
    require_tool("g++")
    for mean in (0, 20000, 65535):
        for check in checks("s2_encoder", f"{alpha}:{mean}", stride="251"):
            check.run()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_codes_and_flags_at_random_parameters_natively(precision, folder, require_tool):
    """Beats of corners and random words, each beat with its own alpha and mean."""
    require_tool("g++")
    rng = np.random.default_rng(9)
    emission = emit(find("s2_encoder"), ["lanes=4", "stages=0", "flags=1", f"precision={precision}"])
    emission.write(folder)
    words, alpha, mean = [], [], []
    for _ in range(60):
        a, mu = int(rng.integers(-1024, 1024)), int(rng.integers(2**16))
        corners = s2_corners(a, mu, (0, int(rng.integers(23))), precision)
        part = np.concatenate([corners, special_words(), random_words(rng, 2000)])
        part = rng.permutation(part[: len(part) // 4 * 4]).reshape(-1, 4)
        words.append(part)
        alpha += [a] * len(part)
        mean += [mu] * len(part)
    words, alpha, mean = np.concatenate(words), np.array(alpha), np.array(mean)
    codes, user = Model(folder / f"{emission.module}.json").run(words, alpha=alpha % 2**11, mean=mean)
    want, flags = encode(words.view(np.float32), alpha[:, None], mean[:, None], precision=precision, flags=True)
    assert np.array_equal(codes, want) and np.array_equal(user["flags"], flags)
    assert {0, 1, 2, 4} == set(np.unique(flags).tolist())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_classes_of_words_have_the_models_codes(precision):
    corners = s2_corners(GAUSSIAN.alpha, GAUSSIAN.mean, precision=precision)
    words = np.concatenate([random_words(np.random.default_rng(2), 10**6), corners])
    key = words >> 8
    key |= words & 255 != 0
    want = encode(words.view(np.float32), GAUSSIAN.alpha, GAUSSIAN.mean, precision=precision)
    assert np.array_equal(s2fp8._classes(GAUSSIAN, precision)[key], want)


def test_wrong_code_is_caught_and_shown(monkeypatch, require_tool):
    require_tool("g++")
    monkeypatch.setattr(s2fp8, "decode", lambda codes, *_, precision: np.zeros(codes.shape, np.float32))
    with pytest.raises(
        Mismatch,
        match=r"s2_decoder lanes=4 stages=0 precision=full inverse=\d+: 0x\w\w at mean \d+: got 0x\w+, want 0x0; \d+ differ",
    ):
        S2Check("s2_decoder", GAUSSIAN, "full").run()


@pytest.mark.parametrize("build", [pytest.param(build, id=" ".join(build)) for build in BUILDS])
def test_builds_on_icarus(build, folder, require_tool):
    require_tool("iverilog")
    name, *settings = build
    emission = emit(find(name), settings)
    emission.write(folder)
    tests = "mix|reset|corners|latency" if name == "s2_parameters" else "mix|reset|latency"
    assert run(Job(folder, emission.module, "icarus", seed=7, tests=tests, runs=folder)).failure is None


@pytest.mark.parametrize("precision, bits", [("short", 8), ("full", 13)])
def test_wrong_threshold_is_caught(precision, bits, folder, require_tool):
    """One threshold, which is a constant of that many bits, a unit higher."""
    require_tool("iverilog")
    emission = emit(find("s2_encoder"), ["lanes=1", f"precision={precision}"])
    emission.write(folder)
    source = folder / f"{emission.module}.v"
    text, count = re.subn(
        rf"(>=? {bits}'h)(\w+)", lambda match: f"{match[1]}{int(match[2], 16) + 1:x}", source.read_text(), count=1
    )
    assert count == 1
    source.write_text(text)
    failure = run(Job(folder, emission.module, "icarus", seed=7, tests="corners", runs=folder)).failure
    assert re.match(r"corners: lane 0, vector \d+: s2fp8 alpha 0 mean \d+ of 0x\w+ .*: got 0x", failure)


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["s2_adder"], "unknown design 's2_adder': use one of .*s2_decoder, s2_encoder, .*"),
        (["s2_decoder", "--parameters", "5000:0"], "alpha in --parameters must be an integer from -1024 to 1023, not '5000'"),
        (["s2_decoder", "--parameters", "5"], "mean in --parameters must be an integer from 0 to 65535, not ''"),
        (["s2_encoder", "--precision", "long"], "--precision must be one of short, full, not 'long'"),
        (["s2_encoder", "--stride", "0"], "--stride must be an integer from 1 to 4294967295, not '0'"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments, line, capsys):
    assert main(["exhaustive", *arguments]) == 2
    assert re.fullmatch(f"narrowfloat exhaustive: {line}\n", capsys.readouterr().err)
