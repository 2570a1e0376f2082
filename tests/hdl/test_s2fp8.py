"""The S2FP8 blocks: linters and manifests."""

import re

import pytest
from narrowfloat.command import main
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

CORNERS = (
    ("s2_encoder", "lanes=1", "stages=0"),
    ("s2_encoder", "lanes=3", "stages=8", "flags=1", "user_bits=64", "reset=async_low"),
    ("s2_encoder", "lanes=2", "stages=7", "user_bits=1", "precision=full"),
    ("s2_decoder", "lanes=1", "stages=0"),
    ("s2_decoder", "lanes=3", "stages=3", "user_bits=5", "reset=sync_low"),
    ("s2_decoder", "lanes=2", "stages=2", "precision=full"),
    ("s2_parameters", "user_bits=9", "reset=async_high"),
)


@pytest.mark.parametrize("name, settings", [(name, settings) for name, *settings in CORNERS], ids=lambda v: "".join(v)[:50])
def test_linter_is_silent_at_the_corners_of_the_parameters(name, settings):
    lint.check(emit(find(name), settings))


def test_manifests_hold_what_a_reader_needs():
    ports = {}
    for design in ("s2_encoder", "s2_decoder", "s2_parameters"):
        manifest = emit(find(design)).manifest
        ports[design] = {p["name"]: [(f["name"], f["lsb"], f["msb"]) for f in p.get("fields", ())] for p in manifest["ports"]}
        assert manifest["latency"] == {"m_axis": 35 if design == "s2_parameters" else 1}
        assert manifest["initiation_interval"] == (35 if design == "s2_parameters" else 1)
        for port in manifest["ports"]:
            for field in port.get("fields", ()):
                assert field.get("fraction_bits") == {"mean": 8, "max": 8, "inverse": 17}.get(field["name"])
    assert ports["s2_encoder"]["s_axis_tuser"] == [("alpha", 0, 10), ("mean", 11, 26)]
    assert ports["s2_decoder"]["s_axis_tuser"] == [("inverse", 0, 21), ("mean", 22, 37)]
    assert ports["s2_parameters"]["s_axis_tdata"] == [("mean", 0, 15), ("max", 16, 31)]
    assert ports["s2_parameters"]["m_axis_tdata"] == [("alpha", 0, 10), ("mean", 11, 26), ("inverse", 27, 48)]


def test_only_wires_whose_lower_bits_just_carry_are_kept_from_the_linter():
    """Other designs have none, and inputs that are not used are said to be that."""
    text = emit(find("s2_encoder"), ["lanes=1"]).text
    silenced = re.findall(r"lint_off UNUSEDSIGNAL \*/\n  (\w+)", text)
    assert silenced and set(silenced) <= {"wire", "input"}
    assert "UNUSEDSIGNAL" not in emit(find("float_decoder")).text


def test_wrong_setting_gets_one_line(tmp_path, capsys):
    assert main(["emit", "s2_encoder", "--set", "formats=ab_e5m2", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(
        "narrowfloat emit: s2_encoder has no parameter 'formats=ab_e5m2': use NAME=VALUE with one of lanes"
    )
