"""What the tests of synthesis share."""

import pytest
from narrowfloat.synth import asic


@pytest.fixture(scope="session")
def cells(require_tool):
    """The OSU 0.18 um library with all that measuring with it needs."""
    require_tool("sta", "opensta")
    require_tool("iverilog")
    library = asic.MEASUREMENTS[0].library
    if not library.path.exists():
        require_tool("osu018_stdcells.lib", "qflow-tech-osu018")
    return library
