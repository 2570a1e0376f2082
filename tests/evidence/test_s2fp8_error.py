"""The committed errors are what the golden model gives, and hold what the README says of them."""

import numpy as np
import pytest

from evidence.claims.s2fp8_error import EXPERIMENT, FORMATS, SYNTHETIC, exact, flushed, hardware, plain, scaled, with_bias
from evidence.harness.report import sqnr

COMMITTED = EXPERIMENT.read()


@pytest.fixture(scope="module")
def measured():
    return EXPERIMENT.measure()


def test_committed_results_are_the_models(measured):
    """Those of random tensors, to the last digit. The tensors of a training network differ between machines, as float32 matrix
    products do, and all that follows from them.
    """
    assert [row["tensor"] for row in measured["tensors"]] == [row["tensor"] for row in COMMITTED["tensors"]]
    for row, committed in zip(measured["tensors"], COMMITTED["tensors"], strict=True):
        if row["tensor"] in SYNTHETIC:
            assert {name: value for name, value in row.items() if name != "sqnr"} == {
                name: value for name, value in committed.items() if name != "sqnr"
            }
            for title in FORMATS:
                assert row["sqnr"][title] == pytest.approx(committed["sqnr"][title], abs=0.011)


@pytest.mark.parametrize("source", ["measured", "committed"])
def test_one_code_in_1000_differs_at_most_and_by_one_and_none_saturates(source, measured):
    for row in {"measured": measured, "committed": COMMITTED}[source]["tensors"]:
        assert row["differ"]["full"] <= 1 and row["differ"]["short"] <= 60 and max(row["largest_difference"].values()) <= 1
        assert row["saturated"]["S2FP8"] == row["saturated"]["S2FP8, full precision"] == 0
        assert row["saturated"]["S2FP8"] == row["saturated"]["S2FP8, Eq. 5"] == row["saturated"]["E4M3, scaled"] == 0


@pytest.mark.parametrize("source", ["measured", "committed"])
def test_short_precision_loses_a_tenth_of_a_decibel(source, measured):
    lost = [
        row["sqnr"]["S2FP8, full precision"] - row["sqnr"]["S2FP8"]
        for row in {"measured": measured, "committed": COMMITTED}[source]["tensors"]
    ]
    assert np.mean(lost) <= 0.05 and max(lost) <= 0.12


def test_what_the_readme_says_of_the_committed_results():
    for row in COMMITTED["tensors"]:
        sqnr, flushed = row["sqnr"], row["flushed"]
        # Of wide tensors the few largest numbers are most of the power, and which codes are next to them depends on alpha.
        assert abs(sqnr["S2FP8"] - sqnr["S2FP8, Eq. 5"]) < (0.7 if row["alpha"] > 1.5 else 1.5)
        assert abs(flushed["S2FP8"] - flushed["S2FP8, Eq. 5"]) < 0.5
        # narrow tensors gain from the squeeze, at the price of small numbers
        if row["alpha"] > 1.5 and row["tensor"] != "uniform":
            assert sqnr["S2FP8"] > sqnr["E5M2, adaptive bias"] + 3 and flushed["S2FP8"] < 10
        assert sqnr["E4M3, scaled"] == pytest.approx(31.7, abs=0.5) or row["tensor"] == "lognormal, sigma 3"


def test_scaled_to_the_largest_number():
    x = np.array([-3, 1.5, 0, 3 / 448], np.float32)
    values, saturated = scaled(x)
    assert np.allclose(values, x, rtol=1e-6) and saturated == 0


def test_saturated_are_counted():
    """Of its own statistics S2FP8 saturates nothing, as Eq. 2 makes the largest 2**15; a bias of the median may."""
    x = np.r_[np.full(9, 1, np.float32), np.float32(1e30), np.float32(-1e30)]
    assert with_bias(x)[1] == plain(x)[1] == 2 and hardware(x)[1] == exact(x)[1] == 0


def test_noise_and_flushed_by_hand():
    x = np.array([1, 2, 0, 0.001], np.float32)
    found = np.array([1.1, 2, 0, 0])
    assert flushed(x, found) == 33.333
    assert sqnr(x, found) == pytest.approx(10 * np.log10(5.000001 / 0.010001), abs=0.01)


def test_table_and_plot_show_every_format(measured):
    (table,) = EXPERIMENT.tables(measured)
    assert table.row_count == len(measured["tensors"])
    page = EXPERIMENT.plot(measured).to_html(include_plotlyjs=False)
    assert all(title in page for title in FORMATS)
