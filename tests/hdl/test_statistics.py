"""The statistics units: parameters that are refused, and what their manifest says. What they do, the co-simulation compares."""

import re

import pytest
from narrowfloat.command import main
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker

UNITS = ("median_estimator", "exponent_histogram", "median_tracker", "log_moments")
CORNERS = (
    ("median_estimator", "types=1", "lanes=1", "bins=2", "passes=1", "cnt_width=1"),
    ("median_estimator", "types=3", "lanes=2", "bins=31", "cnt_width=64", "continuous=1"),
    ("median_estimator", "types=1", "bins=32", "initial_bias=0", "bias_min=0", "bias_max=63", "reset=async_low"),
    ("exponent_histogram", "types=1", "lanes=1", "first=127", "last=127"),
    ("exponent_histogram", "types=2", "lanes=2", "first=1", "last=60", "cnt_width=3"),
    ("median_tracker", "types=1", "lanes=1", "fraction=1", "run=2", "bias_min=0", "bias_max=63"),
    ("median_tracker", "types=7", "lanes=13", "fraction=15"),
    ("median_tracker", "types=3", "lanes=3", "stages=1", "bias_max=55"),
    ("median_tracker", "types=1", "lanes=2", "stages=3"),
    ("log_moments", "types=1", "lanes=1", "history=1", "log=mitchell", "cnt_width=1"),
    ("log_moments", "types=3", "lanes=3", "history=64", "fmt=e2m0", "cnt_width=33"),
)


@pytest.mark.parametrize("name, settings", [(name, settings) for name, *settings in CORNERS], ids=lambda v: "".join(v)[:40])
def test_linter_is_silent_at_the_corners_of_the_parameters(name, settings):
    lint.check(emit(find(name), settings))


@pytest.mark.parametrize("name", UNITS)
def test_manifest_holds_what_a_reader_needs(name):
    manifest = emit(find(name)).manifest
    ports = {port["name"]: port for port in manifest["ports"]}
    assert (ports["tap_tdata"]["width"], ports["tap_tkeep"]["width"], ports["tap_tuser"]["width"]) == (128, 4, 2)
    assert [(f["name"], f["lsb"], f["msb"]) for f in ports["bias"]["fields"]] == [
        (f"type{t}", 6 * t, 6 * t + 5) for t in range(4)
    ]
    assert not any(name.endswith("ready") for name in ports)
    tables = (readout.median_estimator(20), readout.exponent_histogram(103, 133), readout.MEDIAN_TRACKER, readout.LOG_MOMENTS)
    assert tuple(manifest["statistics"]) == tables[UNITS.index(name)]
    # the paper's 40 cycles
    assert manifest["latency"]["bias"] <= 40


def test_unit_with_one_type_has_no_ports_for_types():
    ports = {port["name"] for port in emit(find("log_moments"), ["types=1"]).manifest["ports"]}
    assert not ports & {"tap_tuser", "end_type", "read_type"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MedianEstimator(17), "types must be an integer from 1 to 16, not 17"),
        (lambda: MedianTracker(4, 0), "lanes must be an integer from 1 to 16, not 0"),
        (lambda: MedianEstimator(bins=1), "bins must be an integer from 2 to 32, not 1"),
        (lambda: MedianEstimator(passes=7), "passes must be an integer from 1 to 6, not 7"),
        (lambda: MedianEstimator(cnt_width=0), "cnt_width must be an integer from 1 to 64, not 0"),
        (
            lambda: MedianEstimator(bias_min=41),
            "bias_min must not be above bias_max, unlike bias_min=41 bias_max=40",
        ),
        (lambda: ExponentHistogram(last=255), "last must be an integer from 1 to 254, not 255"),
        (lambda: ExponentHistogram(first=134), "first must not be above last, unlike first=134 last=133"),
        (lambda: MedianTracker(fraction=16), "fraction must be an integer from 1 to 15, not 16"),
        (lambda: MedianTracker(stages=4), "stages must be an integer from 1 to 3, not 4"),
        (lambda: MedianTracker(run=5), "run must be one of 2, 4, 8, 16, 32, 64, not 5"),
        (lambda: LogMoments(log="exact"), "log must be one of mitchell, table, not 'exact'"),
        (lambda: LogMoments(history=0), "history must be an integer from 1 to 64, not 0"),
        (
            lambda: LogMoments(fmt=CATALOG["float8_e8m0fnu"]),
            "fmt must have at most 7 exponent bits, unlike fmt=float8_e8m0fnu",
        ),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_wrong_setting_gets_one_line(tmp_path, capsys):
    assert main(["emit", "median_tracker", "--set", "run=3", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "narrowfloat emit: run must be one of 2, 4, 8, 16, 32, 64, not '3'\n"
