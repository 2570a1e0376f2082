"""The example of a LiteX SoC: LiteX writes it, it simulates, and becomes a bitstream."""

import re

import pytest
from narrowfloat.tools import GXX, NEXTPNR_ECP5, VERILATOR, YOSYS


@pytest.fixture(scope="module")
def make(copy):
    return copy("litex_soc")


def test_soc_does_what_models_do(make, need):
    need(VERILATOR, GXX, "cocotb", "litex")
    assert re.search(r"^[1-9]\d* tests, 0 failed$", make("sim"), re.MULTILINE)


@pytest.mark.long
def test_bitstream_is_made(make, need):
    need(YOSYS, NEXTPNR_ECP5, "litex")
    make("bitstream")  # nextpnr fails where the board's clock is too fast
    assert (make.folder / "build" / "board" / "gateware" / "soc.bit").stat().st_size > 100_000
