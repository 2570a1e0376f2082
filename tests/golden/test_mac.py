"""The passes of an fMAC, `golden.bfp.to_passes` and `accumulate_passes`, against exact dot products of whole groups."""

from fractions import Fraction

import numpy as np
import pytest
from narrowfloat.golden.bfp import accumulate_fixed, accumulate_fp32, accumulate_passes, to_passes

LANES = 4


def pairs(rng, count, sizes):
    """Random groups: integers [2, pairs, lanes], exponents and mantissa bits [2, pairs], and which pairs end a result."""
    bits = rng.choice(sizes, (2, count))
    largest = (2**bits - 1)[..., None]
    integers = rng.integers(-largest, largest + 1, (2, count, LANES))
    last = rng.random(count) < 0.4
    last[-1] = True
    return integers, rng.integers(120, 135, (2, count)), bits, last


def signed(chunk, bits):
    return -(chunk % 2**bits) if chunk >> bits else chunk


@pytest.mark.parametrize(("chunk_bits", "sizes"), [(2, (2, 4, 6, 8)), (3, (3, 6)), (4, (4, 8))])
def test_passes_of_a_pair_sum_up_to_its_dot_product(chunk_bits, sizes):
    integers, exponents, bits, last = pairs(np.random.default_rng(1), 200, sizes)
    passes = to_passes(integers, exponents, bits, last, chunk_bits=chunk_bits, window=5)
    rows = iter(range(len(passes)))
    for k in range(200):
        total, weights = Fraction(0), []
        for number in range(count := int((bits[:, k] // chunk_bits).prod())):
            row = next(rows)
            weights.append(int(passes.x_exponent[row] + passes.y_exponent[row]))
            products = (signed(int(x), chunk_bits) * signed(int(y), chunk_bits) for x, y in zip(passes.x[row], passes.y[row]))
            total += sum(products) * Fraction(2) ** weights[-1]
            assert passes.complete[row] == (number == count - 1) and passes.last[row] == (passes.complete[row] and last[k])
            assert passes.lower[row] == (number > 0 and weights[-1] == weights[-2] - chunk_bits)
        assert weights == sorted(weights, reverse=True) and weights[0] - weights[-1] <= chunk_bits * count
        exact = int((integers[0, k] * integers[1, k]).sum())
        assert total == exact * Fraction(2) ** int(exponents[:, k].sum() - 5 - (bits[:, k] - chunk_bits).sum())
    assert next(rows, None) is None


@pytest.mark.parametrize(("chunk_bits", "sizes"), [(2, (2, 4, 6, 8)), (3, (3,)), (4, (4, 8))])
def test_fp32_results_are_sums_of_whole_dot_products(chunk_bits, sizes):
    integers, exponents, bits, last = pairs(np.random.default_rng(2), 500, sizes)
    passes = to_passes(integers, exponents, bits, last, chunk_bits=chunk_bits)
    totals, saturated = accumulate_passes(passes, accumulator="fp32", chunk_bits=chunk_bits)
    sums = integers.prod(axis=0).sum(axis=1)
    weights = (exponents - 127 - (bits - 1)).sum(axis=0)
    want, total = [], np.float32(0)
    for k in range(500):
        total = accumulate_fp32(total, sums[k], weights[k])
        if last[k]:
            want.append(total)
            total = np.float32(0)
    assert totals.dtype == np.float32 and totals.tolist() == want and not saturated.any()


@pytest.mark.parametrize(("chunk_bits", "sizes"), [(2, (2, 4, 6, 8)), (3, (3,)), (4, (4, 8))])
def test_segmented_results_are_sums_of_passes(chunk_bits, sizes):
    rng = np.random.default_rng(4)
    integers, _, bits, last = pairs(rng, 300, sizes)
    exponents = rng.integers(126, 129, bits.shape)  # so that all weights are within 16 of one another
    passes = to_passes(integers, exponents, bits, last, chunk_bits=chunk_bits)
    totals, saturated = accumulate_passes(passes, accumulator="segmented", chunk_bits=chunk_bits)
    exact, want = Fraction(0), []
    for k in range(300):
        weight = int((exponents[:, k] - 127 - (bits[:, k] - 1)).sum())
        exact += int((integers[0, k] * integers[1, k]).sum()) * Fraction(2) ** weight
        if last[k]:
            want.append(np.float32(float(exact)))
            exact = Fraction(0)
    assert totals.dtype == np.float32 and totals.tolist() == want and not saturated.any()


@pytest.mark.parametrize("width", [16, 32])
def test_fixed_results_are_sums_of_passes(width):
    integers, exponents, bits, last = pairs(np.random.default_rng(3), 500, (2, 4, 8))
    window = 245
    passes = to_passes(integers, exponents, bits, last, window=window)
    totals, saturated = accumulate_passes(passes, width=width)
    want, total, flag = [], 0, False
    for row in range(len(passes)):
        x, y = ([signed(int(chunk), 2) for chunk in chunks[row]] for chunks in (passes.x, passes.y))
        weight = int(passes.x_exponent[row] + passes.y_exponent[row])
        total, out = accumulate_fixed(total, np.dot(x, y), weight, width=width, base=0)
        flag |= bool(out)
        if passes.last[row]:
            want.append((int(total), flag))
            total, flag = 0, False
    assert list(zip(totals.tolist(), saturated.tolist())) == want
    assert saturated.any() == (width == 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chunk_bits": 1}, r"chunk_bits must be one of 2, 3, 4, not 1"),
        ({"chunk_bits": 4}, r"bits must be multiples of chunk_bits, which is 4, not 2"),
    ],
)
def test_impossible_passes(arguments, message):
    group = np.ones((2, 1, LANES), np.int64)
    with pytest.raises(ValueError, match=message):
        to_passes(group, group[..., 0], np.full((2, 1), 2), np.ones(1, bool), **arguments)


def test_unknown_accumulator():
    group = np.ones((2, 1, LANES), np.int64)
    passes = to_passes(group, group[..., 0], np.full((2, 1), 2), np.ones(1, bool))
    with pytest.raises(ValueError, match=r"accumulator must be one of fixed, fp32, segmented, not 'fp16'"):
        accumulate_passes(passes, accumulator="fp16")
