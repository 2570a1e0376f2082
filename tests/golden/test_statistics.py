"""`golden.statistics` against the paper's table and a search over exact rationals."""

from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.golden.float_codec import encode
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.statistics import exact_median_bias, log_table


def f32(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("median", "bias"),
    [(64, 10), (32, 11), (1, 16), (0.5, 17), (0.25, 18), (0.125, 19), (0.0625, 20), (5.960e-8, 40), (4.18e-5, 31)],
)
def test_bias_of_the_papers_reference_medians(median, bias):
    assert exact_median_bias(f32(median)) == bias


def test_bias_of_every_reference_median():
    assert [exact_median_bias(f32(2.0 ** (16 - bias))) for bias in range(10, 41)] == list(range(10, 41))


def nearest_reference_median(x):
    """The bias 10 to 40 whose 2**(16 - bias) is nearest to the lower median; of two as near the smaller bias."""
    sizes = sorted(abs(Fraction(float(v))) for v in x if np.isfinite(v) and abs(v) >= 2.0**-126)
    median = sizes[(len(sizes) - 1) // 2]
    return min(range(10, 41), key=lambda bias: (abs(median - Fraction(2) ** (16 - bias)), bias))


@pytest.mark.parametrize("seed", range(20))
def test_bias_of_random_tensors(seed):
    rng = np.random.default_rng(seed)
    scale = 2.0 ** rng.uniform(-30, 10)
    x = (scale * rng.standard_normal(rng.integers(1, 200))).astype(np.float32)
    assert exact_median_bias(x) == nearest_reference_median(x)


@pytest.mark.parametrize("word_offset", [-1, 0, 1])
def test_bias_changes_at_the_midpoint_of_reference_medians(word_offset):
    for exponent in range(-24, 6):
        x = (f32(1.5 * 2.0**exponent).view(np.int32) + word_offset).view(np.float32)
        assert exact_median_bias(x) == nearest_reference_median(x) == (16 - exponent) - (word_offset >= 0)


@pytest.mark.parametrize("other", [0, -0.0, 1e-40, -1.1e-38, np.inf, -np.inf, np.nan])
def test_zeros_subnormals_and_specials_do_not_count(other):
    assert exact_median_bias(f32([-0.25, other, other], [other, other, 0.25])) == 18


def test_outliers_do_not_move_the_bias():
    x = np.random.default_rng(3).standard_normal(1001).astype(np.float32)
    assert exact_median_bias(np.concatenate([x, f32(1e-38, 1e10)])) == exact_median_bias(x)


def test_lower_median_of_an_even_number():
    assert exact_median_bias(f32(1, 4)) == 16


def test_result_is_clamped():
    assert exact_median_bias(f32(1e30)) == 10
    assert exact_median_bias(f32(1e-30)) == exact_median_bias(f32(2.0**-126)) == 40
    assert exact_median_bias(f32(1e-9), bias_max=31) == 31
    assert exact_median_bias(f32(1e9), bias_min=0) == 0


def test_bias_fits_the_codec():
    x = np.random.default_rng(4).standard_normal(1000).astype(np.float32)
    bias = exact_median_bias(x)
    assert isinstance(bias, int)
    encode(x, CATALOG["ab_e5m2"], bias=bias)


@pytest.mark.parametrize(
    ("x", "keywords", "error", "message"),
    [
        (np.ones(3), {}, TypeError, r"x must be float32, .*, not float64, .*: convert with \.astype\(np\.float32\)"),
        (f32(0, np.nan, 1e-40), {}, ValueError, r"needs a finite normal value, and none of the 3 values is one"),
        (f32(), {}, ValueError, r"none of the 0 values is one"),
        (f32(1), {"bias_min": 5, "bias_max": 4}, ValueError, r"bias_min must be an integer from 0 to 4, not 5"),
        (f32(1), {"bias_max": 64}, ValueError, r"bias_max must be an integer from 0 to 63, not 64"),
    ],
)
def test_wrong_arguments(x, keywords, error, message):
    with pytest.raises(error, match=message):
        exact_median_bias(x, **keywords)


def test_log_table_is_the_nearest_integer():
    """By integers: r is nearest to 256 * log2(1 + i / 256) if (256 + i)**512 lies between 2**(2 r - 1) and 2**(2 r + 1)."""
    for i, log in enumerate(log_table("table").tolist()):
        assert 2 ** max(2 * log - 1, 0) * 256**512 <= (256 + i) ** 512 < 2 ** (2 * log + 1) * 256**512
    assert log_table("mitchell").tolist() == list(range(256))
