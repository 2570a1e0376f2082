"""The committed errors are what the golden model gives, and hold what the README says of them."""

import json

import numpy as np
import pytest

from evidence import s2fp8_error
from evidence.s2fp8_error import FORMATS, SYNTHETIC, exact, flushed, hardware, plain, scaled, sqnr, with_bias

COMMITTED = json.loads(s2fp8_error.RESULTS.read_text())


@pytest.fixture(scope="module")
def measured():
    return s2fp8_error.measure()


def test_committed_results_are_the_models(measured):
    """Tensors of a training network differ between machines, as float32 matrix products do."""
    assert [row["tensor"] for row in measured["tensors"]] == [row["tensor"] for row in COMMITTED["tensors"]]
    for row, committed in zip(measured["tensors"], COMMITTED["tensors"], strict=True):
        if row["tensor"] in SYNTHETIC:
            assert row["alpha"] == committed["alpha"] and row["differ"] == pytest.approx(committed["differ"], abs=0.1)
        for title in FORMATS:
            within = 0.1 if row["tensor"] in SYNTHETIC else 2
            assert row["sqnr"][title] == pytest.approx(committed["sqnr"][title], abs=within), (row["tensor"], title)
            if row["tensor"] in SYNTHETIC:
                assert row["saturated"][title] == committed["saturated"][title]
            assert row["flushed"][title] == pytest.approx(committed["flushed"][title], abs=within), (row["tensor"], title)


def test_one_code_in_1000_differs_at_most_and_by_one():
    for row in COMMITTED["tensors"]:
        assert row["differ"] <= 1 and row["largest_difference"] <= 1


def test_the_converter_loses_nothing_beside_the_exact_transform():
    for row in COMMITTED["tensors"]:
        assert abs(row["sqnr"]["S2FP8"] - row["sqnr"]["S2FP8, Eq. 5"]) < 0.7


def test_scaled_to_the_largest_number():
    x = np.array([-3, 1.5, 0, 3 / 448], np.float32)
    values, saturated = scaled(x)
    assert np.allclose(values, x, rtol=1e-6) and saturated == 0


def test_saturated_are_counted():
    """Of its own statistics S2FP8 saturates nothing, as Eq. 2 makes the largest 2**15; a bias of the median may."""
    for row in COMMITTED["tensors"]:
        assert row["saturated"]["S2FP8"] == row["saturated"]["S2FP8, Eq. 5"] == row["saturated"]["E4M3, scaled"] == 0
    x = np.r_[np.full(9, 1, np.float32), np.float32(1e30), np.float32(-1e30)]
    assert with_bias(x)[1] == plain(x)[1] == 2 and hardware(x)[1] == exact(x)[1] == 0


def test_noise_and_flushed_by_hand():
    x = np.array([1, 2, 0, 0.001], np.float32)
    found = np.array([1.1, 2, 0, 0])
    assert flushed(x, found) == 33.333
    assert sqnr(x, found) == pytest.approx(10 * np.log10(5.000001 / 0.010001), abs=0.01)


def test_command_writes_results_and_plots(tmp_path, monkeypatch, capsys, measured):
    monkeypatch.setattr(s2fp8_error, "measure", lambda: measured)
    monkeypatch.setattr(s2fp8_error, "PLOTS", tmp_path / "plots" / "s2fp8_error.html")
    assert s2fp8_error.main(["--json", str(tmp_path / "found.json")]) == 0
    assert json.loads((tmp_path / "found.json").read_text()) == measured
    assert "E4M3, scaled" in (tmp_path / "plots" / "s2fp8_error.html").read_text()
    assert "SQNR, dB; flushed" in capsys.readouterr().out


def test_an_unwritable_file_is_one_line(tmp_path, monkeypatch, capsys, measured):
    monkeypatch.setattr(s2fp8_error, "measure", lambda: measured)
    assert s2fp8_error.main(["--json", str(tmp_path / "no" / "found.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
