"""The example of a tile engine: layers of a network are the model's to the last bit, and its page has the figures."""

import re

import pytest
from narrowfloat.tools import GXX, ICARUS, VERILATOR

ROW = re.compile(r"^\| \d+ \| \d+% \| (\d+ to \d+) \| .+ \| (.+) \|$", re.MULTILINE)
LAYERS = [("784 to 128", "512 equal"), ("128 to 64", "256 equal"), ("64 to 10", "40 equal")]


@pytest.fixture(scope="module")
def make(copy, need):
    need(VERILATOR, GXX, "mlxtend")
    return copy("tile_engine")


def test_layers_are_those_of_the_models_with_and_without_pauses(make):
    assert ROW.findall(make("sim")) == LAYERS * 2


@pytest.mark.long
def test_page_has_the_figures(make):
    table = "".join(line for line in make("--silent", "table").splitlines(keepends=True) if line.startswith("| "))
    assert table.count("equal |") == 18
    assert table in (make.folder / "README.md").read_text(), f"examples/tile_engine/README.md is out of date:\n{table}"


@pytest.mark.long
@pytest.mark.parametrize(
    "file, right, wrong",
    [
        ("tile_engine.v", "from_b ? b_data : kept", "b_data"),
        ("tile_engine.v", "x_swap <= x_row == 16'd0", "x_swap <= 1'b0"),
        ("gather.v", "{group_user[7:0], exponents[31:8]}", "{exponents[23:0], group_user[7:0]}"),
    ],
)
def test_fault_is_reported(make, need, file, right, wrong):
    need(ICARUS)
    path = make.folder / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    try:
        assert "differ |" in make("sim", "SIMULATOR=icarus", "IMAGES=1", "PAUSES=0", fails=True)
    finally:
        path.write_text(text)
