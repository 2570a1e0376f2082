"""The example of an FPGA top: it simulates, becomes a bitstream for every board, and its page has the figures of all boards."""

import os
import re

import pytest
from narrowfloat.tools import NEXTPNR_ECP5, NEXTPNR_ICE40

PREAMBLE_OF_ICE40 = bytes.fromhex("7eaa997e")


@pytest.fixture(scope="module")
def make(copy, require_tool):
    for program in ("make", "iverilog"):
        require_tool(program)
    return copy("fpga_top")


@pytest.fixture(scope="module")
def place_and_route():
    for tool in (NEXTPNR_ICE40, NEXTPNR_ECP5):
        if missing := tool.missing():
            report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            report(missing)


def test_design_does_what_models_do(make):
    assert re.search(r"^[1-9]\d* tests, 0 failed$", make("sim"), re.MULTILINE)


def test_bitstream_of_the_small_board_is_made(make, place_and_route):
    make("icebreaker")
    assert PREAMBLE_OF_ICE40 in (make.folder / "build" / "icebreaker.bit").read_bytes()[:64]


@pytest.mark.long
def test_page_has_the_figures_of_all_boards(make, place_and_route):
    printed = make("--silent", "table")
    table = "".join(line for line in printed.splitlines(keepends=True) if line.startswith("|"))
    assert table.count("MHz") == 4
    assert table in (make.folder / "README.md").read_text(), f"examples/fpga_top/README.md is out of date:\n{table}"
