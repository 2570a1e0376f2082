"""The example of a scoreboard: it passes, for other designs as well, and reports a fault."""

import re

import pytest
from narrowfloat.tools import ICARUS


@pytest.fixture(scope="module")
def make(copy, need):
    need(ICARUS, "cocotb", "cocotbext")
    return copy("scoreboard")


def test_designs_pass(make):
    assert re.findall(r"^(\w+) of (\w+): 4 tests, 0 failed$", make("sim"), re.MULTILINE) == [
        ("test_arrays", "encoder"),
        ("test_reference", "encoder"),
        ("test_reference", "dot_product"),
        ("test_reference", "converter"),
    ]


@pytest.mark.parametrize(
    "design, settings",
    [
        ("float_encoder", "lanes=3 stages=2 flags=1 roundings=sr,rne user_bits=7 formats=ab_e5m2,float8_e4m3fn"),
        ("fast_mac", "accumulator=fp32"),
        ("s2_decoder", "lanes=3"),
    ],
)
def test_other_design_passes(make, design, settings):
    assert "test_reference of dut: 4 tests, 0 failed" in make("design", f"DESIGN={design}", f"SET={settings}")


def test_fault_is_reported_in_words(make):
    make("build/rtl/encoder.v")
    path = make.folder / "build" / "rtl" / "encoder.v"
    text = path.read_text()
    faulty = re.sub(r"(assign m_axis_tdata = .+?);", r"\1 ^ 32'h100;", text)
    assert faulty != text
    path.write_text(faulty)
    printed = make("reference", fails=True)
    path.write_text(text)
    pattern = r"m_axis, beat \d+, lane 1: ab_e5m2 bias \d+ rne of 0x[0-9a-f]{8} \(.+\): got 0x[0-9a-f]{2} \(.+\), want 0x"
    assert re.search(pattern, printed)
