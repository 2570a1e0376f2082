"""Where TREADY comes from: with registers at the inputs, no path leads from a port to another."""

import random

import pytest
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit

from tests.hdl.paths import paths
from tests.hdl.small import SMALL

WITH_STREAMS = [(name, settings) for name, settings in SHIPPED if not find(name).component.statistics]


def paths_of(design, settings, folder):
    """Inputs that reach outputs within a cycle, by the output's name; without those that reach none."""
    emission = emit(design, settings)
    return paths(emission.text, emission.module, folder)


@pytest.mark.parametrize(("name", "settings"), WITH_STREAMS)
def test_registered_ready_leaves_no_path_between_ports(name, settings, tmp_path):
    assert not paths_of(find(name), [*settings, "ready=registered"], tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in WITH_STREAMS))
def test_so_in_any_configuration(name, tmp_path):
    design, rng = DESIGNS[name], random.Random(name)
    for _ in range(6):
        settings = design.settings(design.draw(rng, ready="registered", **SMALL.get(name, {})))
        assert not paths_of(design, settings, tmp_path), settings


def test_otherwise_ready_comes_from_the_output(tmp_path):
    """And so it is known that paths are found."""
    assert paths_of(find("float_decoder"), [], tmp_path) == {"s_axis_tready": {"m_axis_tready"}}
    without_registers = paths_of(find("float_decoder"), ["stages=0"], tmp_path)
    assert without_registers["m_axis_tdata"] == {"s_axis_tdata", "s_axis_tuser"}
    assert without_registers["m_axis_tvalid"] == {"s_axis_tvalid"}


def test_blocks_that_listen_have_no_ready():
    with pytest.raises(ValueError, match="has no parameter 'ready=registered'"):
        find("median_tracker").parse(["ready=registered"])
