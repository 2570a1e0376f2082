"""`golden.bfp.matmul`, against matrix products of the values."""

import numpy as np
import pytest
from narrowfloat.golden.bfp import (
    Blocks,
    convert,
    decode,
    matmul,
)
from narrowfloat.golden.formats import BLOCKS, BlockFormat


def matrices(rng, shape_a, shape_b, fmt):
    return [convert(rng.standard_normal(shape, np.float32), fmt, rounding="rne") for shape in (shape_a, shape_b)]


def test_matmul_is_exact_where_nothing_is_rounded():
    """Integers that FP32 holds: the product of the values themselves."""
    rng = np.random.default_rng(11)
    fmt = BlockFormat(name="m", man_bits=4, group=4)
    a, b = (convert(rng.integers(-15, 16, shape).astype(np.float32), fmt) for shape in ((3, 10), (5, 10)))
    want = decode(a).astype(np.float64) @ decode(b).astype(np.float64).T
    assert np.array_equal(matmul(a, b), want)
    assert np.array_equal(matmul(a, b, accumulator="segmented"), want)
    total, saturated = matmul(a, b, accumulator="fixed", width=32, window=250)
    assert np.array_equal(total * 2.0 ** (250 - 256), want) and not saturated.any()


@pytest.mark.parametrize("accumulator", ["fp32", "fixed", "segmented"])
def test_matmul_goes_on_from_a_part(accumulator):
    rng = np.random.default_rng(12)
    fmt = BlockFormat(name="m", man_bits=6, group=8)
    a, b = matrices(rng, (4, 40), (3, 40), fmt)
    whole = matmul(a, b, accumulator=accumulator, window=240)

    def part(blocks, groups):
        pieces = (blocks.codes[:, groups], 0, blocks.signs[:, groups], blocks.magnitudes[:, groups])
        return Blocks(fmt, pieces[0].shape[1] * fmt.group, *pieces)

    first, second = slice(0, 2), slice(2, 5)
    start = matmul(part(a, first), part(b, first), accumulator=accumulator, window=240)
    assert np.array_equal(matmul(part(a, second), part(b, second), accumulator=accumulator, window=240, start=start), whole)


def test_matmul_says_what_does_not_fit():
    a, b = matrices(np.random.default_rng(13), (2, 16), (2, 32), BLOCKS["bfp4"])
    with pytest.raises(ValueError, match=r"rows of the same length, not \(2, 16\) and \(2, 32\)"):
        matmul(a, b)
    with pytest.raises(ValueError, match="accumulator must be one of fixed, fp32, segmented, not 'int'"):
        matmul(a, a, accumulator="int")
