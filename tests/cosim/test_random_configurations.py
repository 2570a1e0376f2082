"""Random legal configurations of every design, emitted and simulated as a user would who verifies one of their own."""

import random

import pytest
from narrowfloat.cosim.runner import Job, run
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.emit import emit

SEED = 14
# What Icarus simulates in seconds: few lanes, types and cells, and a name that is a file's.
SMALL = {"lanes": 8, "types": 2, "rows": 2, "columns": 2, "max_beats": 2000}
LONGEST_NAME = 127
# Of generic tests and of those for estimators and memory ports the shorter ones.
TESTS = "latency|every_mix|reset|handshakes|one_value|one_beat|every_beat"


def small_draw(design, rng):
    """Random legal values that are small enough."""
    while True:
        values = design.draw(rng)
        is_small = all(values.get(name, 0) <= limit for name, limit in SMALL.items())
        if is_small and len(design.module(values)) <= LONGEST_NAME:
            return values


@pytest.mark.long
@pytest.mark.parametrize("name", DESIGNS)
def test_random_configuration_on_icarus(name, tmp_path, require_tool):
    require_tool("iverilog")
    design = DESIGNS[name]
    settings = design.settings(small_draw(design, random.Random(f"{name} {SEED}")))
    emission = emit(design, settings)
    emission.write(tmp_path)
    result = run(Job(tmp_path, emission.module, "icarus", seed=SEED, tests=TESTS, runs=tmp_path))
    assert result.failure is None, f"{name} {' '.join(settings)}: {result.failure}"
