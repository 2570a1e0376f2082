"""The synthesis command: its figures, its JSON, its comparison with the committed ones, its errors."""

import json

import pytest
from narrowfloat.command import main
from narrowfloat.commands import synth as command
from narrowfloat.synth import fpga

LANE = ["--set", "lanes=1", "--set", "stages=0"]


def rows_of(tmp_path, design, *arguments):
    """The rows of a design, without those of the baseline that is measured beside it."""
    path = tmp_path / "rows.json"
    assert main(["synth", design, *arguments, "--json", str(path)]) == 0
    return [row for row in json.loads(path.read_text()) if row["design"] == design]


def test_rows_of_a_block(tmp_path):
    rows = rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40", "--target", "ecp5", "--target", "generic")
    assert all(row.keys() == {"design", "parameters", "role", "target", "recipe", "metrics"} for row in rows)
    assert {(row["role"], row["parameters"]["lanes"]) for row in rows} == {("block", 1)}
    metrics = {row["target"]: row["metrics"] for row in rows}
    assert {"lut4", "ff", "carry"} <= metrics["ice40"].keys() and {"lut4", "ff", "carry"} <= metrics["ecp5"].keys()
    assert "gate_equivalents" in metrics["generic"]
    assert metrics["ice40"]["ff"] == 0 and metrics["ice40"]["lut4"] > 0


def test_figures_are_relative_to_a_baseline_of_the_same_run(tmp_path, capsys):
    path = tmp_path / "rows.json"
    assert main(["synth", "float_decoder", *LANE, "--target", "ice40", "--json", str(path)]) == 0
    block, baseline = json.loads(path.read_text())
    assert (block["design"], baseline["design"], baseline["role"]) == ("float_decoder", "e4m3_to_fp32", "baseline")
    shown = capsys.readouterr().out
    assert "relative to e4m3_to_fp32" in shown
    luts = block["metrics"]["lut4"]
    assert f"{luts} {luts / baseline['metrics']['lut4']:.2f}" in shown


def test_same_figures_without_the_cache(tmp_path, monkeypatch):
    arguments = ["float_encoder", *LANE, "--target", "ice40", "--target", "generic"]
    rows = rows_of(tmp_path, *arguments)
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path / "build"))
    assert rows_of(tmp_path, *arguments) == rows


@pytest.mark.parametrize("name, most", [("ab_e5m2", 36), ("float8_e4m3fn", 62)])
def test_encoder_fits_its_lut4s_per_lane(tmp_path, name, most):
    (row,) = rows_of(tmp_path, "float_encoder", "--set", f"formats={name}", *LANE, "--target", "ice40")
    assert row["metrics"]["lut4"] <= most


def test_what_is_not_built_costs_nothing(tmp_path):
    def luts(*settings):
        words = [word for setting in settings for word in ("--set", setting)]
        (row,) = rows_of(tmp_path, "float_encoder", *LANE, *words, "--target", "ice40")
        return row["metrics"]["lut4"] + row["metrics"]["carry"]

    smallest = luts("roundings=rtz", "bias_port=0")
    assert (
        smallest < luts("roundings=rtz") < luts() < luts("flags=1") < luts("flags=1", "roundings=rne,rna,rtz,sr", "random=port")
    )


def test_growth_against_the_baseline_is_shown(tmp_path, monkeypatch, capsys):
    (row,) = rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40")
    row["metrics"]["lut4"] -= 5
    monkeypatch.setattr(command, "BASELINE", tmp_path / "baseline.json")
    command.BASELINE.write_text(json.dumps([row]))
    capsys.readouterr()
    rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40")
    assert f"{row['metrics']['lut4'] + 5} +5" in capsys.readouterr().out


@pytest.mark.parametrize("less, status", [(0, 0), (5, 1)])
def test_check_fails_on_growth(less, status, tmp_path, monkeypatch, capsys):
    (row,) = rows_of(tmp_path, "float_decoder", *LANE, "--target", "ice40")
    luts = row["metrics"]["lut4"]
    row["metrics"]["lut4"] -= less
    monkeypatch.setattr(command, "BASELINE", tmp_path / "baseline.json")
    command.BASELINE.write_text(json.dumps([row]))
    capsys.readouterr()
    assert main(["synth", "float_decoder", *LANE, "--target", "ice40", "--check"]) == status
    worse = "narrowfloat synth: worse by more than 2 %: float_decoder ab_e5m2 (1 lanes, 0 stages) on ice40 (luts): lut4"
    assert (f"{worse} {luts - less} -> {luts}" in capsys.readouterr().err) is bool(status)


def test_updated_baseline_keeps_what_was_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "BASELINE", tmp_path / "baseline.json")
    for target in ("ice40", "xc7"):
        assert main(["synth", "float_decoder", *LANE, "--target", target, "--update-baseline"]) == 0
    assert {row["target"] for row in json.loads(command.BASELINE.read_text())} == {"ice40", "xc7"}


def test_without_a_tool_the_rest_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fpga.PlaceAndRoute, "missing", lambda self: "nextpnr is missing")
    rows = rows_of(
        tmp_path, "float_decoder", *LANE, *(word for name in ("ice40", "ice40-hx8k", "osu018") for word in ("--target", name))
    )
    assert {row["target"] for row in rows} == {"ice40"}
    shown = capsys.readouterr().out
    assert "not measured: ice40-hx8k: nextpnr is missing" in shown
    assert "not measured: osu018: " in shown and "sudo apt-get install" in shown


def test_liberty_file_is_a_target(tmp_path, cells):
    path = tmp_path / "mine.lib"
    path.write_text(cells.text)
    smallest = ("float_decoder", "--set", "lanes=1", "--set", "formats=e2m0")
    rows = rows_of(tmp_path, *smallest, "--liberty", str(path))
    theirs = rows_of(tmp_path, *smallest, "--target", "osu018")
    assert {row["target"] for row in rows} == {"mine"}
    assert [row["metrics"] for row in rows] == [row["metrics"] for row in theirs]


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "there is no Liberty file"),
        ("module top; endmodule", "bad.lib: not a Liberty file: it must be one library (NAME) { ... }"),
        ("library (tiny) { }", "bad.lib has no 2-input NAND"),
    ],
)
def test_bad_liberty_file_gets_one_line(text, message, tmp_path, capsys):
    path = tmp_path / "bad.lib"
    if text:
        path.write_text(text)
    assert main(["synth", "float_decoder", "--liberty", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


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
    assert main(["synth", *arguments]) == 2
    error = capsys.readouterr().err
    assert f"narrowfloat synth: {message}" in error and "Traceback" not in error
