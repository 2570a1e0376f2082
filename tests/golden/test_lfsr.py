"""`golden.lfsr` against a register that moves one bit at a time, and its polynomial."""

import time

import numpy as np
import pytest
from narrowfloat.golden.lfsr import lane_bits, words

SEEDS = [1, 0x80000000, 0xFFFFFFFF, 0xDEADBEEF]


def step(state):
    new = (state >> 31 ^ state >> 30 ^ state >> 29 ^ state >> 9) & 1
    return (state << 1 | new) & 0xFFFFFFFF


def words_bit_by_bit(seed, count):
    result = []
    for _ in range(count):
        result.append(seed)
        for _ in range(32):
            seed = step(seed)
    return result


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 41, 42, 1000])
@pytest.mark.parametrize("seed", SEEDS)
def test_words_equal_a_register_that_moves_bit_by_bit(seed, count):
    result = words(seed, count)
    assert result.dtype == np.uint32 and result.shape == (count,)
    assert result.tolist() == words_bit_by_bit(seed, count)


def test_words_far_away_obey_the_step():
    sequence = words(0xC0FFEE, 10**6)
    for i in (2**15 - 1, 2**19, 10**6 - 2):
        assert words_bit_by_bit(int(sequence[i]), 2)[1] == sequence[i + 1]


def test_polynomial_is_primitive():
    """x has order 2**32 - 1 = 3 * 5 * 17 * 257 * 65537 modulo x^32 + x^31 + x^30 + x^10 + 1 and modulo its reciprocal."""
    for exponents in ((32, 31, 30, 10, 0), (32, 22, 2, 1, 0)):
        polynomial = sum(1 << e for e in exponents)
        assert power_of_x(2**32 - 1, polynomial) == 1
        assert all(power_of_x((2**32 - 1) // prime, polynomial) != 1 for prime in (3, 5, 17, 257, 65537))


def power_of_x(n, polynomial):
    result, factor = 1, 2
    while n:
        if n & 1:
            result = product(result, factor, polynomial)
        factor = product(factor, factor, polynomial)
        n >>= 1
    return result


def product(a, b, polynomial):
    result = 0
    for bit in range(31, -1, -1):
        result <<= 1
        if result >> 32:
            result ^= polynomial
        if b >> bit & 1:
            result ^= a
    return result


def test_register_obeys_the_polynomial():
    bits, state = [], 1
    for _ in range(200):
        bits.append(state >> 31)
        state = step(state)
    assert all(bits[n + 32] == bits[n] ^ bits[n + 1] ^ bits[n + 2] ^ bits[n + 22] for n in range(168))


def test_million_words_take_well_below_a_second():
    start = time.perf_counter()
    words(1, 10**6)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(("lanes", "sr_bits"), [(1, 8), (4, 8), (5, 8), (64, 8), (3, 16), (7, 5), (33, 1), (6, 11)])
def test_lanes_take_their_bits_from_the_registers(lanes, sr_bits):
    seed, beats = 0x12345678, 20
    got = lane_bits(seed, beats, lanes, sr_bits)
    assert got.shape == (beats, lanes) and got.dtype == (np.uint8 if sr_bits <= 8 else np.uint16)
    per_register = 32 // sr_bits
    for lane in range(lanes):
        register, place = divmod(lane, per_register)
        sequence = words_bit_by_bit((seed + 0x9E3779B9 * register) % 2**32, beats)
        assert got[:, lane].tolist() == [word >> sr_bits * place & 2**sr_bits - 1 for word in sequence]


def test_register_whose_seed_would_be_zero_starts_from_one():
    assert np.array_equal(lane_bits(0, 5, 4), lane_bits(1, 5, 4))
    second = lane_bits(2**32 - 0x9E3779B9, 5, 8)[:, 4:]
    assert np.array_equal(second, lane_bits(1, 5, 4))


def test_bytes_of_lanes_are_uniform():
    counts = np.bincount(lane_bits(1, 2**16, 4).ravel(), minlength=256)
    # 2**18 draws of 256 values: 1024 each, with a standard deviation of 32
    assert abs(counts - 1024).max() < 6 * 32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: words(0, 1), r"seed must be an integer from 1 to 4294967295, not 0"),
        (lambda: words(2**32, 1), r"seed must be an integer from 1 to 4294967295, not 4294967296"),
        (lambda: words(1, -1), r"count must be an integer from 0 to 4294967295, not -1"),
        (lambda: lane_bits(-1, 1, 1), r"seed must be an integer from 0 to 4294967295, not -1"),
        (lambda: lane_bits(1, 1.5, 1), r"beats must be an integer from 0 to 4294967295, not 1\.5"),
        (lambda: lane_bits(1, 1, 0), r"lanes must be an integer from 1 to 64, not 0"),
        (lambda: lane_bits(1, 1, 1, 17), r"sr_bits must be an integer from 1 to 16, not 17"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
