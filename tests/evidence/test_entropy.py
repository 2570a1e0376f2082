"""The entropy calibration of INT8 clips outliers, however large, and nothing else."""

import math

import numpy as np
import pytest
from narrowfloat.golden.lbfp.calibration import Histogram

from evidence.training.entropy import INT8_LEVELS, entropy_threshold
from tests.golden.distributions import DRAWS, observed

COUNT = 10**6


def sqnr(x, threshold):
    """Of integers with the unit threshold / 127, in dB."""
    unit = threshold / (INT8_LEVELS - 1)
    rounded = np.clip(np.rint(x / unit), 1 - INT8_LEVELS, INT8_LEVELS - 1) * unit
    return 10 * math.log10(np.square(x).sum() / np.square(rounded - x).sum())


def test_of_a_gaussian_nearly_nothing_is_clipped():
    histogram = observed(np.random.default_rng(1).standard_normal(COUNT))
    assert 0.7 * histogram.largest < entropy_threshold(histogram) <= 1.01 * histogram.largest


@pytest.mark.parametrize("name", ["gaussian", "laplace", "student_t4", "lognormal"])
def test_outliers_do_not_move_the_threshold(name):
    x = DRAWS[name](np.random.default_rng(2), COUNT)
    alone = entropy_threshold(observed(x))
    for size in (1e3, 1e4, 1e6):
        for count in (1, 5):
            assert entropy_threshold(observed(x, np.full(count, size))) == alone, (size, count)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
@pytest.mark.parametrize("size", [10, 30, 100, 300, 1e3, 1e4, 1e5, 1e6])
def test_sqnr_of_all_but_outliers_is_near_the_best(name, size):
    """Within 1.5 dB: entropy by itself takes a wider threshold than squared error, by 1.4 dB of a Gaussian."""
    x = DRAWS[name](np.random.default_rng(3), COUNT)
    histogram = observed(x, np.full(5, size))
    best = max(sqnr(x[::10], np.abs(x).max() * share) for share in np.geomspace(0.05, 1, 60))
    assert sqnr(x[::10], entropy_threshold(histogram)) > best - 1.5


def test_nothing_to_count():
    assert entropy_threshold(Histogram()) == 0
