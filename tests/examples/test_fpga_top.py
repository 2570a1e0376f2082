"""The example of an FPGA top: it simulates, becomes a bitstream for every board, and its page has the figures of all boards."""

import re

import pytest
from narrowfloat.tools import ICARUS, NEXTPNR_ECP5, NEXTPNR_ICE40, YOSYS

PREAMBLE_OF_ICE40 = bytes.fromhex("7eaa997e")


@pytest.fixture(scope="module")
def make(copy):
    return copy("fpga_top")


def test_design_does_what_models_do(make, need):
    need(ICARUS, "cocotb")
    assert re.search(r"^[1-9]\d* tests, 0 failed$", make("sim"), re.MULTILINE)


def test_bitstream_of_the_small_board_is_made(make, need):
    need(YOSYS, NEXTPNR_ICE40)
    make("icebreaker")
    assert PREAMBLE_OF_ICE40 in (make.folder / "build" / "icebreaker.bit").read_bytes()[:64]


@pytest.mark.long
def test_page_has_the_figures_of_all_boards(make, need):
    need(YOSYS, NEXTPNR_ICE40, NEXTPNR_ECP5)
    printed = make("--silent", "table")
    table = "".join(line for line in printed.splitlines(keepends=True) if line.startswith("|"))
    assert table.count("MHz") == 4
    assert table in (make.folder / "README.md").read_text(), f"examples/fpga_top/README.md is out of date:\n{table}"
