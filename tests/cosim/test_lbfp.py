"""The LBFP blocks beyond what is shipped: every pair, code and threshold natively, every handshake on a simulator."""

import re

import pytest
from narrowfloat.command import main
from narrowfloat.cosim.exhaustive import lbfp
from narrowfloat.cosim.exhaustive.lbfp import LbfpCheck, checks
from narrowfloat.cosim.report import Mismatch
from narrowfloat.cosim.runner import Job, run
from narrowfloat.golden.formats import CATALOG, LogBlockFormat
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

FORMATS = [
    *(CATALOG[name] for name in ("lbfp8", "lbfp7", "lbfp6", "lbfp5")),
    *map(LogBlockFormat.parse, ("i1f6", "i4f0", "i2f3e5")),
]
FULL = [
    LbfpCheck("lbfp_multiplier", CATALOG["lbfp8"], ("guard_bits=8", "out_bits=25", "output=sign_magnitude")),
    LbfpCheck("lbfp_multiplier", CATALOG["lbfp8"], ("out_bits=22",)),
    LbfpCheck("lbfp_multiplier", CATALOG["lbfp8"], ("antilog=mitchell", "out_bits=6", "output=sign_magnitude")),
]
QUICK = "mix|reset|latency"
BUILDS = (
    ("lbfp_multiplier", "lanes=3", "stages=3", "user_bits=5", "output=sign_magnitude", "reset=async_low"),
    ("lbfp_decoder", "stages=3", "user_bits=5", "fmt=lbfp6", "lanes=2"),
    ("lbfp_encoder", "stages=2", "user_bits=5", "flags=1", "fmt=i1f6"),
    ("lbfp_encoder", "stages=3", "source=fixed", "fixed_bits=36", "flags=1"),
    ("lbfp_encoder", "exponent=max", "fmt=i3f4b32", "flags=1", "user_bits=3"),
    ("lbfp_encoder", "exponent=max", "fmt=i3f2e6b4", "stages=0"),
    ("lbfp_dot_product", "lanes=1", "max_beats=2000", "user_bits=4", "stages=1"),
    ("lbfp_dot_product", "lanes=3", "max_beats=1000", "output=twos_complement", "out_bits=16", "exponents=0", "reset=sync_low"),
    ("lbfp_dot_product", "lanes=5", "max_beats=1000", "fmt=lbfp5", "antilog=mitchell", "stages=2"),
    ("lbfp_dot_product", "lanes=16", "max_beats=1000", "out_bits=22"),
    ("lbfp_dot_product", "lanes=64", "max_beats=200"),
    ("lbfp_multiplier", "lanes=2", "stages=4"),
    ("lbfp_encoder", "stages=6", "source=fixed", "flags=1", "user_bits=3"),
    ("lbfp_encoder", "stages=4", "exponent=max", "fmt=i3f4b16", "flags=1"),
    *(("lbfp_dot_product", "lanes=5", "max_beats=1000", f"stages={stages}", "user_bits=3") for stages in (3, 4, 5)),
)
# Builds that are left to the long tests: Icarus takes long for many lanes and many tests.
QUICK_BUILDS = (BUILDS[0], BUILDS[4], BUILDS[6], BUILDS[7], BUILDS[-1])


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def _is_long(check):
    return check.fmt.name != "lbfp8" or (check.design == "lbfp_multiplier" and "antilog=lut" in check.parameters)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{check.design} {check}", marks=[pytest.mark.long] if _is_long(check) else [])
        for check in [
            *(
                check
                for design in lbfp.DESIGNS
                for check in checks(design, ",".join(fmt.name for fmt in FORMATS), stride="9973")
            ),
            *FULL,
        ]
    ],
)
def test_every_input_natively(check, require_tool):
    require_tool("g++")
    check.run()


@pytest.mark.long
@pytest.mark.parametrize("exponent", [-128, -120, -1, 127])
def test_encoder_at_other_exponents(exponent, require_tool):
    require_tool("g++")
    for check in checks("lbfp_encoder", "lbfp8", str(exponent), stride="251"):
        check.run()


def test_wrong_product_is_caught_and_shown(monkeypatch, require_tool):
    require_tool("g++")
    monkeypatch.setattr(lbfp, "multiply", lambda a, b, *_, **__: a.astype(int) * 0)
    line = r"lbfp_multiplier fmt=lbfp8 lanes=16 stages=0: 0x01 \* 0x\w\w: got 0x\w+, want 0x0; \d+ differ"
    with pytest.raises(Mismatch, match=line):
        LbfpCheck("lbfp_multiplier", CATALOG["lbfp8"]).run()


@pytest.mark.parametrize(
    "build",
    [pytest.param(build, id=" ".join(build), marks=[] if build in QUICK_BUILDS else [pytest.mark.long]) for build in BUILDS],
)
def test_builds_on_icarus(build, folder, require_tool):
    require_tool("iverilog")
    name, *settings = build
    emission = emit(find(name), settings)
    emission.write(folder)
    result = run(
        Job(
            folder,
            emission.module,
            "icarus",
            seed=7,
            tests=f"{QUICK}|corners" if name == "lbfp_dot_product" else QUICK,
            runs=folder,
        )
    )
    assert result.failure is None


@pytest.mark.long
@pytest.mark.parametrize("settings", [("source=fixed", "flags=1"), ("exponent=max", "fmt=i3f4b16", "flags=1")], ids=" ".join)
def test_encoders_that_are_not_shipped(settings, folder, require_tool):
    """All that the bench has: thresholds, random values, real tensors."""
    require_tool("iverilog")
    emission = emit(find("lbfp_encoder"), settings)
    emission.write(folder)
    assert run(Job(folder, emission.module, "icarus", seed=7, runs=folder)).failure is None


def test_wrong_carry_is_caught(folder, require_tool):
    """Without the carries negative products come out one too small."""
    require_tool("iverilog")
    emission = emit(find("lbfp_dot_product"), ["lanes=2", "max_beats=10"])
    emission.write(folder)
    source = folder / f"{emission.module}.v"
    text, count = re.subn(r"\+ (\{14'h0, shift0_product)", r"- \1", source.read_text())
    assert count == 1
    source.write_text(text)
    failure = run(Job(folder, emission.module, "icarus", seed=7, tests="corners", runs=folder)).failure
    assert re.match(r"corners: lane 0, vector \d+: lbfp8, last beat \d+ of lanes .*got sum 0x\w+, want 0x", failure)


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["lbfp_adder"], "unknown design 'lbfp_adder': use one of .*lbfp_decoder, lbfp_multiplier, lbfp_encoder, .*"),
        (["lbfp_decoder", "--formats", "e4m3"], "unknown format 'e4m3': use one of lbfp8, .*"),
        (["lbfp_encoder", "--exponents", "128"], "--exponents must be an integer from -128 to 127, not '128'"),
        (["lbfp_encoder", "--stride", "0"], "--stride must be an integer from 1 to 4294967295, not '0'"),
    ],
)
def test_wrong_arguments_are_one_clear_line(arguments, line, capsys):
    assert main(["exhaustive", *arguments]) == 2
    assert re.fullmatch(f"narrowfloat exhaustive: {line}\n", capsys.readouterr().err)
