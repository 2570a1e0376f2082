"""`golden.bfp`: what NaN and infinity become of groups, sums and MXINT8, against exact rationals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrowfloat.golden.bfp import Blocks, convert, decode, from_mxint8, matmul, relative_improvement, to_mxint8
from narrowfloat.golden.formats import BlockFormat

from tests.golden.test_bfp import BFP4, array, counted, power, rational, words


@pytest.mark.parametrize("special", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("overflow", ["saturate", "format"])
@pytest.mark.parametrize("name", ["m2", "m4e8g32", "m8", "m4e4g32", "m4e3g32"])
def test_what_is_no_number_spoils_no_other_unless_all_of_the_group_is_nan(name, overflow, special):
    fmt, offset = BlockFormat.parse(name), 0 if "e4" not in name and "e3" not in name else 120
    x = np.ones(2 * fmt.group, np.float32)
    alone = decode(convert(x, fmt, offset=offset))
    x[3] = special
    blocks, _, invalid = convert(x, fmt, offset=offset, overflow=overflow, flags=True)
    values = decode(blocks)
    assert np.flatnonzero(invalid).tolist() == [3]
    if fmt.exp_bits == 8 and (np.isnan(special) or overflow == "format"):
        assert blocks.is_nan.tolist() == [True, False]
        assert np.isnan(values[: fmt.group]).all() and np.array_equal(values[fmt.group :], alone[fmt.group :])
    else:
        assert not blocks.is_nan.any()
        assert np.array_equal(np.delete(values, 3), np.delete(alone, 3))
        largest = (2 - 2.0 ** (1 - fmt.man_bits)) * 2.0 ** (blocks.exponents[0] - 127)
        assert values[3] == math.copysign(largest, special)


@pytest.mark.parametrize(
    ("fmt", "special"), [(BFP4, math.inf), (BlockFormat.parse("m4e3"), -math.inf), (BlockFormat.parse("m4e4"), math.nan)]
)
def test_special_values_alone_in_a_group_are_as_large_as_there_is(fmt, special):
    offset = 120 if fmt.exp_bits < 8 else 0
    x = np.float32([0, special, 1e-40, -0.0])
    blocks = convert(x, fmt, offset=offset)
    assert blocks.exponents.tolist() == [min(254, offset + fmt.max_exponent)]
    largest = float((2**fmt.man_bits - 1) * 2.0 ** blocks.weights.ravel()[0])
    assert decode(blocks).tolist() == [0, math.copysign(largest, special), 0, 0]
    assert relative_improvement(x, fmt, 100, offset=offset) == (0, 0, False)


def test_sums_of_products_with_nan_are_nan_or_out_of_range():
    x = np.ones((2, 3, 32), np.float32)
    x[0, 1, 20] = np.nan
    a, b = convert(x[0], BFP4), convert(x[1], BFP4)
    assert np.array_equal(np.isnan(matmul(a, b)), [[False] * 3, [True] * 3, [False] * 3])
    _, saturated = matmul(a, b, accumulator="fixed")
    assert np.array_equal(saturated, [[False] * 3, [True] * 3, [False] * 3])


def test_a_group_that_is_nan_adds_nothing_to_the_sums_of_relative_improvement():
    x = np.random.default_rng(9).standard_normal(64, np.float32)
    with_nan = x.copy()
    with_nan[20] = np.nan
    assert relative_improvement(with_nan, BFP4, 120) == relative_improvement(np.delete(x, range(16, 32)), BFP4, 120)


def test_mxint8_numbers_are_those_of_the_blocks():
    rng = np.random.default_rng(6)
    scales = rng.integers(0, 254, (20, 3), np.uint8)
    scales[3] = 253, 254, 255
    elements = rng.integers(-128, 128, (20, 3, 32), np.int8)
    elements[0, 0, 0] = elements[3, 1, 5] = -128
    blocks = from_mxint8(scales, elements)
    assert isinstance(blocks, Blocks)
    want = np.ldexp(elements.astype(np.float64), scales[..., None].astype(int) - 127 - 6)
    want[3, 1] = np.maximum(want[3, 1], -255 * 2.0**120)  # -2 * 2**127 is not among the numbers of FP32
    want[3, 2] = np.nan
    assert np.array_equal(decode(blocks), want.reshape(20, 96), equal_nan=True)


@given(scales=st.lists(st.integers(8, 255), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_mxint8_blocks_come_back_from_their_values(scales, seed):
    elements = np.random.default_rng(seed).integers(-127, 128, (len(scales), 32), np.int8)
    elements[:, 7] = 127  # so that the scale is the block's largest exponent
    back = to_mxint8(decode(from_mxint8(np.array(scales, np.uint8), elements)))
    is_nan = np.array(scales) == 255
    assert np.array_equal(back[0].ravel(), scales)
    assert np.array_equal(back[1].reshape(-1, 32), np.where(is_nan[:, None], 0, elements))


@given(values=words, overflow=st.sampled_from(["saturate", "format"]))
def test_mxint8_is_rounded_to_nearest(values, overflow):
    scales, elements, invalid = to_mxint8(array(values), overflow=overflow, flags=True)
    padded = values + [0] * (-len(values) % 32)
    for block, (scale, numbers) in enumerate(zip(scales.tolist(), elements.tolist())):
        these = padded[32 * block : 32 * block + 32]
        exact = [rational(word) for word in these]
        known = [e for word, (_, e) in zip(these, exact) if e is not None and counted(word, BFP4, overflow)]
        assert scale == max(known, default=254 if any(word >> 23 & 255 == 255 for word in these) else 0)
        nearest = [max(-127, min(127, round(value / power(scale - 127 - 6)))) for value, _ in exact]
        assert numbers == ([0] * 32 if scale == 255 else nearest)
        assert invalid[block].tolist() == [word >> 23 & 255 == 255 for word in these]
