"""`golden.lfsr` against a register that moves one bit at a time, its polynomial, its promises and its statistics."""

import itertools
import math
import time

import numpy as np
import pytest
from narrowfloat.golden.float_codec import encode
from narrowfloat.golden.lfsr import MASK, ORIGIN, REGISTERS, SPACING_BITS, WIDTH, lane_bits, start, words

from tests.golden.chance import distance_from_normal, z

SEEDS = [0, 1, 2**31, 2**32 - 1, 0xDEADBEEF]
POLYNOMIAL = 1 << 89 | 1 << 11 | 1 << 8 | 1 << 3 | 1
ONE_TO_64 = range(1, 65)
BEATS = 64  # the first after reset


def step(state):
    new = (state ^ state >> 3 ^ state >> 8 ^ state >> 11) & 1
    return state >> 1 | new << 88


def beats_bit_by_bit(state, beats, width):
    """What a register that holds `state` gives, lists of bits."""
    result = []
    for _ in range(beats):
        plain = state ^ MASK
        given = []
        for n in range(width):
            given.append(plain & 1 ^ (MASK >> n & 1))
            plain = step(plain)
        result.append(given)
        state = plain ^ MASK
    return result


@pytest.mark.parametrize("width", [1, 5, 32, 89, 90, 128])
@pytest.mark.parametrize("seed", SEEDS)
def test_words_equal_a_register_that_moves_bit_by_bit(seed, width):
    for register in (0, 7):
        got = words(seed, register, 40, width)
        assert got.dtype == np.uint8 and got.tolist() == beats_bit_by_bit(start(seed, register), 40, width)


def test_words_far_away_obey_the_step():
    """Five bits of the sequence in their places, wherever they are."""
    bits = (words(7, 2, 10**5, 64) ^ np.array([MASK >> n & 1 for n in range(64)], np.uint8)).ravel()
    assert (bits[89:] == bits[:-89] ^ bits[3:-86] ^ bits[8:-81] ^ bits[11:-78]).all()


def test_polynomial_is_primitive():
    """2**89 - 1 is a prime, so an irreducible polynomial of that degree is: it has no factor of degree 1, and x^(2^89) is x."""
    square = 4
    for _ in range(87):  # Lucas and Lehmer
        square = (square * square - 2) % (2**89 - 1)
    assert square == 0
    assert POLYNOMIAL & 1 and POLYNOMIAL.bit_count() % 2 == 1
    x = 2
    for _ in range(89):
        x = product(x, x)
    assert x == 2


def product(a, b):
    result = 0
    for bit in range(88, -1, -1):
        result <<= 1
        if result >> 89:
            result ^= POLYNOMIAL
        if b >> bit & 1:
            result ^= a
    return result


def distance_from(origin, state):
    """The polynomial p(x) by which the sequence from `state` is that from `origin`, advanced: state = p(T) origin."""
    # bits [n, j] of u[n + j] from `origin`, and u[n] from `state`: a system of linear equations
    bits = sequence_from(origin, 178)
    return solved([sum(bits[n + j] << j for j in range(89)) | (state >> n & 1) << 89 for n in range(89)])


def solved(rows):
    """The unknowns, as bits, of 89 linear equations, whose right sides are their bits 89."""
    rows = list(rows)
    for column in range(89):
        pivot = next(row for row in range(column, 89) if rows[row] >> column & 1)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(89):
            if row != column and rows[row] >> column & 1:
                rows[row] ^= rows[column]
    return sum((rows[column] >> 89 & 1) << column for column in range(89))


def sequence_from(state, count):
    """Its next bits."""
    bits = []
    for _ in range(count):
        bits.append(state & 1)
        state = step(state)
    return bits


def test_registers_start_so_far_apart_that_they_never_meet():
    """Each as many bits after the one before as all of 2**40 beats take, and more."""
    jump = 2
    for _ in range(SPACING_BITS):
        jump = product(jump, jump)
    pairs = [((1, 3), (1, 4)), ((5, 7), (6, 0)), ((2**32 - 2, 7), (2**32 - 1, 0))]
    for before, after in pairs:
        assert distance_from(start(*before) ^ MASK, start(*after) ^ MASK) == jump
    assert 2**SPACING_BITS >= 2 * 2**40 * 128
    assert 2**32 * REGISTERS * 2**SPACING_BITS < 2**89 - 1


def seeded_by_itself(seed, register):
    """The state of a register that begins at ORIGIN, and for each bit of seed and number squares and moves, then squares on.

    The square is found by its definition: bits of the sequence at every second place, from a register that is so far unknown.
    """
    # what each bit of a state makes of the bits at even places of its square: a linear system, solved for the state
    columns = [sequence_from(1 << n, 178)[0:178:2] for n in range(89)]
    even = [sum(columns[n][place] << n for n in range(89)) for place in range(89)]

    def squared(state):
        wanted = sequence_from(state, 89)
        return solved([row | wanted[place] << 89 for place, row in enumerate(even)])

    state, bits = ORIGIN, seed << 3 | register
    for bit in reversed(range(35)):
        state = squared(state)
        state = step(state) if bits >> bit & 1 else state
    for _ in range(48):
        state = squared(state)
    return state ^ MASK


def test_registers_can_seed_themselves():
    for seed, register in ((0, 0), (1, 3), (0xDEADBEEF, 7)):
        assert start(seed, register) == seeded_by_itself(seed, register)


def test_every_start_is_dense():
    ones = np.array([start(seed, register).bit_count() for seed in (*ONE_TO_64, 0, 2**32 - 1) for register in range(8)])
    assert ones.min() > 20 and ones.max() < 69
    assert abs(ones.mean() - 44.5) < 4 * math.sqrt(89 / 4 / ones.size)


@pytest.mark.parametrize("state", [0, 2**89 - 1])
def test_state_that_no_reset_has_set_is_left(state):
    """A flip-flop without a reset may hold 0 or 1, and the bits are random at once."""
    bits = np.array(beats_bit_by_bit(state, BEATS, 32))
    assert abs(z(bits.sum(), bits.size)) < 4


@pytest.mark.parametrize("lanes", [1, 4, 16, 64])
@pytest.mark.parametrize("sr_bits", [1, 8, 16])
def test_first_beats_after_reset_of_every_seed(lanes, sr_bits):
    """Half ways are rounded up half of the time: over all, in each lane, of two instances, and of lanes beside lanes."""
    top = np.array([lane_bits(seed, BEATS, lanes, sr_bits) >> sr_bits - 1 for seed in ONE_TO_64])
    assert abs(z(top.sum(), top.size)) < 4
    per_seed, per_lane = top.sum(axis=(1, 2)), top.sum(axis=1)
    assert max(abs(z(count, BEATS * lanes)) for count in per_seed) < 4
    # of as many lanes as there are some are farther off by chance
    assert max(abs(z(count, BEATS)) for count in per_lane.ravel()) < 4 + math.log10(lanes) / 2
    beside = [top[a] == top[a + 1] for a in range(63)]
    assert max(abs(z(same.sum(), same.size)) for same in beside) < 4
    for a, b in itertools.islice(itertools.combinations(range(lanes), 2), 100):
        assert abs(z((top[..., a] == top[..., b]).sum(), top[..., a].size)) < 4.5


def test_z_values_of_ten_thousand_seeds_are_normal():
    """By the test of Kolmogorov and Smirnov, of half ways in the first 64 beats of 4 lanes, at one of a thousand."""
    seeds = np.random.default_rng(20261130).integers(2**32, size=10_000).tolist()
    counts = np.array([(lane_bits(seed, BEATS, 4) >= 128).sum() for seed in seeds])
    assert distance_from_normal(counts, 4 * BEATS) < 1.95


def test_million_beats_take_well_below_a_second():
    start_ = time.perf_counter()
    lane_bits(1, 10**6, 4)
    assert time.perf_counter() - start_ < 0.7


@pytest.mark.parametrize(("lanes", "sr_bits"), [(1, 8), (4, 8), (5, 8), (64, 8), (3, 16), (7, 5), (33, 1), (6, 11), (64, 16)])
def test_lanes_take_their_bits_from_the_registers(lanes, sr_bits):
    seed, beats = 0x12345678, 20
    got = lane_bits(seed, beats, lanes, sr_bits)
    assert got.shape == (beats, lanes) and got.dtype == (np.uint8 if sr_bits <= 8 else np.uint16)
    most = 128 // sr_bits
    for lane in range(lanes):
        register, place = divmod(lane, most)
        width = sr_bits * min(most, lanes - register * most)
        given = beats_bit_by_bit(start(seed, register), beats, width)
        numbers = [sum(bit << n for n, bit in enumerate(bits[sr_bits * place :][:sr_bits])) for bits in given]
        assert got[:, lane].tolist() == numbers


@pytest.mark.parametrize(("lanes", "sr_bits"), [(4, 8), (33, 1), (5, 11)])
def test_lanes_go_on_after_any_number_of_beats(lanes, sr_bits):
    whole = lane_bits(7, 1000, lanes, sr_bits)
    for first in (0, 1, 88, 89, 999, 1000):
        assert np.array_equal(lane_bits(7, 1000 - first, lanes, sr_bits, first=first), whole[first:])


def test_a_register_reaches_the_start_of_the_next():
    assert np.array_equal(words(3, 0, 5, 128, first=2**41), words(3, 1, 5, 128))
    assert np.array_equal(words(3, 7, 5, 64, first=2**41 - 1)[1:, 0], words(3, 7, 4, 64, first=2**41)[:, 0])


def test_bytes_of_lanes_are_uniform():
    counts = np.bincount(lane_bits(1, 2**16, 4).ravel(), minlength=256)
    # 2**18 draws of 256 values: 1024 each, with a standard deviation of 32
    assert abs(counts - 1024).max() < 6 * 32


@pytest.mark.parametrize("sr_bits", range(1, 17))
def test_mean_error_over_all_fractions_and_random_words_is_zero(sr_bits):
    """Exactly: of all FP32 fractions between two neighbours of three mantissa bits, by how many random words round up."""
    cuts = np.arange(2**20, dtype=np.int64)  # the discarded fraction, in units of 2**-20
    words_ = np.uint32(0x3F800000) | cuts.astype(np.uint32)
    # a value goes up with as many random words as it does with the largest ones: find how many by halving
    low, high = np.zeros(cuts.size, np.int64), np.full(cuts.size, 2**sr_bits, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        random_bits = np.minimum(middle, 2**sr_bits - 1)
        codes = encode(words_.view(np.float32), "float8_e4m3fn", rounding="sr", sr_bits=sr_bits, random_bits=random_bits)
        up = (codes & 1 == 1) & (middle < 2**sr_bits)
        low, high = np.where(up | (low >= high), low, middle + 1), np.where(up, middle, high)
    ups = 2**sr_bits - low
    errors = ups * 2**20 - (cuts << sr_bits)  # in units of 2**-(20 + sr_bits) of the last bit
    assert errors.sum() == 0
    assert abs(errors).max() <= 2**20 // 2  # half of 2**-sr_bits
    assert np.array_equal(ups, np.array([round(cut * 2**sr_bits / 2**20) for cut in cuts.tolist()]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: start(-1, 0), r"seed must be an integer from 0 to 4294967295, not -1"),
        (lambda: start(2**32, 0), r"seed must be an integer from 0 to 4294967295, not 4294967296"),
        (lambda: start(1, 8), r"register must be an integer from 0 to 7, not 8"),
        (lambda: words(1, 0, -1), r"beats must be an integer from 0 to 4294967295, not -1"),
        (lambda: words(1, 0, 1, 129), r"width must be an integer from 1 to 128, not 129"),
        (lambda: words(1, 0, 1, first=-1), r"first must be an integer from 0 to 2199023255552, not -1"),
        (lambda: lane_bits(-1, 1, 1), r"seed must be an integer from 0 to 4294967295, not -1"),
        (lambda: lane_bits(1, 1.5, 1), r"beats must be an integer from 0 to 4294967295, not 1\.5"),
        (lambda: lane_bits(1, 1, 0), r"lanes must be an integer from 1 to 64, not 0"),
        (lambda: lane_bits(1, 1, 1, 17), r"sr_bits must be an integer from 1 to 16, not 17"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_width_is_that_of_the_constants():
    assert WIDTH == 89 and MASK.bit_length() == 89
