"""The LBFP blocks: parameters that exclude one another, linters and manifests."""

import re

import pytest
from narrowfloat.command import main
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

CORNERS = (
    ("lbfp_encoder", "fmt=i4f0", "flags=1", "stages=0", "lanes=1"),
    ("lbfp_encoder", "fmt=i1f6", "stages=3", "user_bits=64", "lanes=3"),
    ("lbfp_encoder", "fmt=i1f2e2", "flags=1", "reset=async_low"),
    ("lbfp_encoder", "source=fixed", "fixed_bits=4", "fmt=i4f3", "lanes=1"),
    ("lbfp_encoder", "source=fixed", "fixed_bits=64", "flags=1", "stages=2"),
    ("lbfp_encoder", "source=fixed", "stages=6", "user_bits=3"),
    ("lbfp_encoder", "exponent=max", "fmt=i3f4b4"),
    ("lbfp_encoder", "exponent=max", "fmt=i3f3e5b64", "flags=1", "user_bits=3", "stages=0"),
    ("lbfp_decoder", "fmt=i4f0", "lanes=1", "stages=0"),
    ("lbfp_decoder", "fmt=i1f6e3", "stages=3", "user_bits=5"),
    ("lbfp_multiplier", "fmt=i1f2", "lanes=1", "stages=0", "out_bits=7"),
    ("lbfp_multiplier", "fmt=i4f0", "antilog=mitchell", "stages=3"),
    ("lbfp_multiplier", "stages=4", "lanes=1"),
    ("lbfp_multiplier", "fmt=i1f6", "output=sign_magnitude", "user_bits=7"),
    ("lbfp_multiplier", "antilog=two_segment", "guard_bits=8", "out_bits=25"),
    ("lbfp_dot_product", "lanes=1", "max_beats=1", "fmt=i4f0", "exponents=0"),
    ("lbfp_dot_product", "lanes=3", "output=twos_complement", "stages=2", "user_bits=9", "reset=sync_low"),
    ("lbfp_dot_product", "lanes=9", "max_beats=16777216", "stages=1", "out_bits=22"),
    ("lbfp_dot_product", "lanes=1", "stages=5", "output=twos_complement"),
    ("lbfp_dot_product", "lanes=7", "stages=5", "user_bits=2"),
)


@pytest.mark.parametrize("name, settings", [(name, settings) for name, *settings in CORNERS], ids=lambda v: "".join(v)[:50])
def test_linter_is_silent_at_the_corners_of_the_parameters(name, settings):
    lint.check(emit(find(name), settings))


def test_manifest_holds_what_a_reader_needs():
    manifest = emit(find("lbfp_dot_product")).manifest
    fields = {port["name"]: [(f["name"], f["lsb"], f["msb"]) for f in port.get("fields", ())] for port in manifest["ports"]}
    assert manifest["latency"] == {"m_axis": 1}
    assert (manifest["guard_bits"], manifest["product_bits"], manifest["sum_bits"]) == (5, 14, 32)
    assert fields["s_axis_tdata"][0] == ("a0", 0, 7) and fields["s_axis_tdata"][31] == ("b15", 248, 255)
    assert fields["s_axis_tuser"] == [("exponent_a", 0, 7), ("exponent_b", 8, 15)]
    assert fields["m_axis_tdata"] == [("sum", 0, 31)]
    assert fields["m_axis_tuser"] == [("exponent", 0, 9)]


def test_block_latency_covers_a_block():
    manifest = emit(find("lbfp_encoder"), ["exponent=max", "fmt=i3f4b32"]).manifest
    assert manifest["latency"] == {"m_axis": 8 + 1 + 1}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("lbfp_encoder", "exponent=max fmt=i3f4b8 source=fixed", "exponent=max needs source=fp32"),
        ("lbfp_encoder", "stages=5", "stages above 4 need source=fixed"),
        ("lbfp_encoder", "exponent=max", "exponent=max needs a format whose block is a multiple of lanes"),
        ("lbfp_encoder", "exponent=max fmt=i3f4b6", "exponent=max needs a format whose block is a multiple of lanes"),
        ("lbfp_multiplier", "guard_bits=3", "guard_bits must be at least"),
        ("lbfp_multiplier", "fmt=i1f6 guard_bits=4", "guard_bits must be at least"),
        ("lbfp_multiplier", "antilog=mitchell guard_bits=3", "guard_bits must be at least"),
        ("lbfp_dot_product", "out_bits=23", "out_bits must be from guard_bits + 2"),
        ("lbfp_dot_product", "out_bits=6", "out_bits must be from guard_bits + 2"),
    ],
)
def test_what_excludes_one_another_is_refused(name, settings, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}.*, unlike "):
        find(name).parse(settings.split())


@pytest.mark.parametrize(
    "settings", ["fmt=i1f6 guard_bits=5", "antilog=mitchell fmt=i4f0 guard_bits=0", "out_bits=22", "out_bits=7", "guard_bits=4"]
)
def test_ends_of_what_parameters_allow_together(settings):
    find("lbfp_multiplier").parse(settings.split())


def test_wrong_setting_gets_one_line(tmp_path, capsys):
    assert main(["emit", "lbfp_multiplier", "--set", "fmt=e4m3", "--out", str(tmp_path / "out")]) == 2
    line = "narrowfloat emit: unknown format 'e4m3': use one of lbfp8, lbfp7, lbfp6, lbfp5, or spell one"
    assert capsys.readouterr().err.startswith(line)
