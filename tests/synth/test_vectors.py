"""Designs as they are emitted do what their workloads expect of mapped netlists."""

import pytest
from narrowfloat.synth import gates, units

BUILDS = (
    ("fast_mac", ("lanes=4", "chunk_bits=3", "max_bits=3")),
    ("fast_mac", ("lanes=4", "accumulator=fp32", "reset=async_low")),
    # several roundings, and beats to a group; tags
    ("bfp_converter", ("lanes=4", "roundings=rtz,rne,sr", "precisions=2,4", "user_bits=4")),
)


@pytest.mark.parametrize("name, settings", BUILDS, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_design_on_its_workload(name, settings, tmp_path, require_tool):
    require_tool("iverilog")
    unit = units.unit(name, settings)
    vectors = unit.vectors()
    assert len(vectors) >= 360
    (tmp_path / "unit.v").write_text(unit.verilog)
    gates.check(unit, vectors, gates.simulate(unit, vectors, ["unit.v"], tmp_path))
