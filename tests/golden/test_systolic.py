"""The cycle model of the systolic array. That the emitted array takes as many is for co-simulation to show."""

import pytest
from narrowfloat.golden.bfp.systolic import Array, passes, training_step


def test_passes():
    assert [passes(x, y) for x, y in ((2, 2), (2, 4), (4, 4), (8, 8))] == [1, 2, 4, 16]


def test_one_cell_takes_a_pass_per_cycle():
    """Loading, taking into use, one latency; then a cycle per pass."""
    cell = Array(1, 1, 16)
    assert cell.stationary(results=10, reduced=16, outputs=1, passes_each=4) == 1 + 1 + 40 + 1
    assert cell.in_place(reduced=160, left=1, top=1, passes_each=4) == 40 + 1


def test_long_products_hide_loading():
    """Of a tile that is in use for long only the cycle remains in which it is taken into use."""
    array = Array(8, 8, 16)
    one, two = (array.stationary(results=1000, reduced=128 * tiles, outputs=8, passes_each=1) for tiles in (1, 2))
    assert two - one == 1001
    assert array.utilization(1000 * 128 * 8, 1, one) == pytest.approx(1000 / (8 + 1 + 1000 + 15))


def test_short_products_wait_for_the_next_tile():
    array = Array(4, 6, 16)
    one, two = (array.stationary(results=1, reduced=64, outputs=6 * tiles, passes_each=1) for tiles in (1, 2))
    assert two - one == 2 * 4 + 6 - 1


def test_a_training_step_is_its_three_products():
    array = Array(4, 4, 16)
    forward, backward, gradient = training_step(array, 256, 64, 32, (4, 4, 2))
    assert forward == array.stationary(256, 64, 32, 4)
    assert backward == array.stationary(256, 32, 64, 2)
    assert gradient == array.in_place(256, 64, 32, 2)


def test_wrong_sizes():
    with pytest.raises(ValueError, match="rows must be an integer from 1 to 65536, not 0"):
        Array(0, 1, 16)
