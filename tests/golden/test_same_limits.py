"""The model refuses what the hardware refuses: both are asked for the same values of the parameters that they share."""

import inspect
from itertools import combinations, product

import pytest
from narrowfloat.golden import lbfp, memory, statistics
from narrowfloat.golden.formats import CATALOG
from narrowfloat.hdl.block import Choice, Format, Integer, Several, Switch
from narrowfloat.hdl.lbfp import LbfpMultiplier
from narrowfloat.hdl.memory import MemoryPort
from narrowfloat.hdl.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker

PAIRS = [
    (memory.MemoryPort, MemoryPort),
    (statistics.MedianEstimator, MedianEstimator),
    (statistics.ExponentHistogram, ExponentHistogram),
    (statistics.MedianTracker, MedianTracker),
    (statistics.LogMoments, LogMoments),
]
FORMATS = [*CATALOG, "e8m7_ieee", "e5m2b9_fn", "e5m2b41", "e4m3", "e5m3", "e6m1", "e7m7", "e9m1", "fp8"]


def values(parameter):
    """Values at and beyond the ends of what a parameter may be."""
    if isinstance(parameter, Integer):
        low, high = parameter.low, parameter.high
        return [low - 1, low, (low + high) // 2, parameter.default, high, high + 1, True, float(low + 1), str(high)]
    if isinstance(parameter, Choice):
        return [*parameter.values, "other", 3, True, 2.0]
    if isinstance(parameter, Format):
        return [*FORMATS, *CATALOG.values()]
    if isinstance(parameter, Several):
        one, other, *_ = parameter.each.values
        return [*([each] for each in parameter.each.values), [one, other], [one, one], [other, one, other], [], one, ["other"]]
    assert isinstance(parameter, Switch)
    return [False, True]


def accepts(make, settings):
    try:
        make(settings)
    except (TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize(("model", "block"), PAIRS, ids=lambda each: each.__name__)
def test_both_accept_the_same(model, block):
    shared = [each for each in block.parameters if each.name in inspect.signature(model).parameters]
    assert len(shared) >= 6
    asked = []
    for first, second in combinations(shared, 2):
        for pair in product(values(first), values(second)):
            settings = dict(zip((first.name, second.name), pair, strict=True))
            asked.append(accepts(block.checked, settings))
            assert accepts(lambda given: model(**given), settings) == asked[-1], settings
    assert {True, False} == {*asked}


@pytest.mark.parametrize("antilog", lbfp.ANTILOGS)
def test_tables_of_powers_of_two(antilog):
    """The model also has look-up tables that are too coarse to be built: those alone."""
    for int_bits, frac_bits, guard_bits in product(range(1, 5), range(7), [None, True, 2.0, *range(-1, 10)]):
        settings = {"fmt": f"i{int_bits}f{frac_bits}", "antilog": antilog, "guard_bits": guard_bits}
        built = accepts(LbfpMultiplier.checked, settings)
        modelled = accepts(lambda given: lbfp.product_bits(**given), settings)
        too_coarse = antilog == "lut" and modelled and type(guard_bits) is int and guard_bits < max(4, frac_bits)
        assert modelled == (built or too_coarse), settings
