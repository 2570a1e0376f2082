"""The statistics units beyond what is shipped: one lane and sixteen, one type, odd bins, counters that saturate, all resets."""

import re

import pytest
from narrowfloat.cosim.runner import Job, run
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

QUICK = "random_values|one_value|reset|reads"
# A test that is named runs where it would be skipped.
OWN = {"median_tracker": "every_beat"}
BUILDS = (
    ("median_estimator", "lanes=1", "types=1", "cnt_width=3", "passes=1", "bins=2"),
    ("median_estimator", "lanes=3", "types=3", "cnt_width=9", "bins=31", "continuous=1", "reset=async_low"),
    ("median_estimator", "lanes=16", "types=2", "bins=32", "passes=2", "cnt_width=64", "bias_max=31"),
    ("exponent_histogram", "lanes=1", "types=1", "cnt_width=2"),
    ("exponent_histogram", "lanes=5", "types=3", "first=1", "last=50", "cnt_width=6", "reset=sync_low"),
    ("exponent_histogram", "lanes=2", "types=2", "first=127", "last=127"),
    ("log_moments", "lanes=1", "types=1", "cnt_width=1", "log=mitchell", "history=1"),
    ("log_moments", "lanes=16", "types=3", "history=5", "cnt_width=7", "fmt=float8_e4m3fn", "bias_min=0", "bias_max=63"),
    ("median_tracker", "lanes=1", "types=1", "fraction=1", "run=2", "stages=1", "bias_min=0", "bias_max=63", "initial_bias=63"),
    ("median_tracker", "lanes=1", "types=1", "run=4"),
    ("median_tracker", "lanes=2", "types=4", "stages=1", "bias_min=8", "bias_max=55"),
    ("median_tracker", "lanes=1", "types=2", "stages=3"),
    ("median_tracker", "lanes=13", "types=5", "fraction=15", "run=8", "bias_min=20", "bias_max=22", "initial_bias=21"),
)


# those that Icarus simulates for more than ten seconds
LONG = ("lanes=16", "lanes=5", "lanes=3")


def _case(name, *settings):
    return pytest.param(name, settings, marks=[pytest.mark.long] if settings[0] in LONG else [])


@pytest.mark.parametrize("name, settings", [_case(*build) for build in BUILDS], ids=lambda v: "".join(v)[:40])
def test_build_on_icarus(name, settings, tmp_path, require_tool):
    require_tool("iverilog")
    emission = emit(find(name), settings)
    emission.write(tmp_path)
    tests = f"{QUICK}|{OWN.get(name, 'latency')}"
    result = run(Job(tmp_path, emission.module, "icarus", seed=3, tests=tests, runs=tmp_path))
    assert result.failure is None
    assert result.vectors > 5000


def test_wrong_direction_is_caught_and_shown(tmp_path, require_tool):
    require_tool("iverilog")
    emission = emit(find("median_tracker"))
    emission.write(tmp_path)
    source = tmp_path / f"{emission.module}.v"
    text = source.read_text()
    assert " == now_rising" in text
    source.write_text(text.replace(" == now_rising", " != now_rising", 1))
    result = run(Job(tmp_path, emission.module, "icarus", seed=3, tests="one_value", runs=tmp_path))
    assert re.match(
        r"tensors_of_one_value: type \d: got bias, settled \(\d+, \w+\), want \(\d+, \w+\); "
        r"rerun: make sim DESIGN=median_tracker_x4 SIM=icarus SEED=3",
        result.failure,
    )
