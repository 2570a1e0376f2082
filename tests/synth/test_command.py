"""The synthesis command: its figures, its JSON, its comparison with the committed ones, its errors."""

import json

import pytest

from synth import __main__ as command
from synth import cache

LANE = ["--set", "lanes=1", "--set", "stages=0"]


def rows_of(tmp_path, *arguments):
    path = tmp_path / "rows.json"
    assert command.main([*arguments, "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_rows_of_a_block(tmp_path):
    rows = rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40", "--target", "ecp5", "--target", "generic")
    assert all(row.keys() == {"design", "parameters", "role", "target", "recipe", "metrics"} for row in rows)
    assert {(row["design"], row["role"], row["parameters"]["lanes"]) for row in rows} == {("float_decoder", "block", 1)}
    metrics = {row["target"]: row["metrics"] for row in rows}
    assert {"lut4", "ff", "carry"} <= metrics["ice40"].keys() and {"lut4", "ff", "carry"} <= metrics["ecp5"].keys()
    assert "gate_equivalents" in metrics["generic"]
    assert metrics["ice40"]["ff"] == 0 and metrics["ice40"]["lut4"] > 0


def test_same_figures_without_the_cache(tmp_path, monkeypatch):
    arguments = ["float_encoder", *LANE, "--target", "ice40", "--target", "generic"]
    rows = rows_of(tmp_path, *arguments)
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    assert rows_of(tmp_path, *arguments) == rows


@pytest.mark.parametrize("name, most", [("ab_e5m2", 36), ("float8_e4m3fn", 85)])
def test_encoder_fits_its_lut4s_per_lane(tmp_path, name, most):
    (row,) = rows_of(tmp_path, "float_encoder", "--set", f"formats={name}", *LANE, "--target", "ice40")
    assert row["metrics"]["lut4"] <= most


def test_what_is_not_built_costs_nothing(tmp_path):
    def luts(*settings):
        words = [word for setting in settings for word in ("--set", setting)]
        (row,) = rows_of(tmp_path, "float_encoder", *LANE, *words, "--target", "ice40")
        return row["metrics"]["lut4"]

    smallest = luts("roundings=rtz", "bias_port=0")
    assert (
        smallest < luts("roundings=rtz") < luts() < luts("flags=1") < luts("flags=1", "roundings=rne,rna,rtz,sr", "random=port")
    )
    assert luts("overflow=format") == luts()


def test_growth_against_the_baseline_is_shown(tmp_path, monkeypatch, capsys):
    (row,) = rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40")
    row["metrics"]["lut4"] -= 5
    monkeypatch.setattr(command, "BASELINE", tmp_path / "baseline.json")
    command.BASELINE.write_text(json.dumps([row]))
    capsys.readouterr()
    rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40")
    assert f"{row['metrics']['lut4'] + 5} +5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["float_codec"], "design must be one of float_encoder, float_decoder"),
        (["--target", "ice50"], "target must be one of ice40, ecp5,"),
        (["--set", "lanes=1"], "--set goes with exactly one design"),
        (["float_encoder", "--set", "lanes=99", "--target", "ice40"], "lanes must be an integer from 1 to 64, not 99"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, message, capsys):
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert f"synth: {message}" in error and "Traceback" not in error
