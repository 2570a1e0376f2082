"""Random bits for stochastic rounding, bit-exact to `hdl.parts.lfsr`.

All bits come from one sequence of maximal length, ``u[n] = u[n-89] ^ u[n-86] ^ u[n-81] ^ u[n-78]``, whose period 2**89 - 1 is a
prime. A register holds 89 bits of it and moves by as many bits per beat as it gives, at most 128, so that no bit is used twice.

Register r of the seed s starts ``(8 * s + r) * 2**48`` bits after register 0 of the seed 0. In 2**40 beats it passes at most
2**47 bits: no two registers, of whatever seeds, pass the same ones. Nor do two lanes ever pass the same words within 2**40
beats of each other: with w bits per beat that would ask for a distance ``t * w = d * 2**48 + l`` in the sequence, where t is
below 2**40 and l, the distance of the lanes in their registers, is below w.

Where a register is in the sequence is an element of GF(2**89): ``u[n] = trace(element * x**n)``. A jump by k bits multiplies it
by x**k. So a register can seed itself: from `ORIGIN`, for each of the 32 bits of the seed and the 3 of r, from the highest on,
it is squared, and moves by a bit if that is set; then it is squared 48 times.

What a register holds is the sequence XOR `MASK`, so that a register that starts from zero, as a flip-flop without reset does,
is in the midst of the sequence, and the one state that it could not leave is MASK.
"""

from functools import cache
from typing import Any

import numpy as np
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.rounding import MAX_SR_BITS
from numpy.typing import NDArray

WIDTH = 89  # bits of a register
DISTANCES = (89, 86, 81, 78)  # how many bits ago those were that make the next one
REGISTER_BITS = 128  # the most that a register gives per beat
SEED_BITS = 32
REGISTER_NUMBER_BITS = 3
REGISTERS = 2**REGISTER_NUMBER_BITS  # that a seed has
SPACING_BITS = 48  # log2 of the bits from one register's start to the next one's
MASK = 0x16A09E667F3BCC908B2FB13  # the root of 2, times 2**88
ORIGIN = 0x19E3779B97F4A7C15F39CC0  # u[0] and on, lowest bit first, from which registers seed themselves: the golden ratio
_POLYNOMIAL = 1 << WIDTH | sum(1 << WIDTH - distance for distance in DISTANCES)
_MAX_BEATS, _MAX_FIRST = 2**32 - 1, 2**41


def start(seed: int, register: int) -> int:
    """What a register holds after reset.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.
    register : int
        0 to 7.

    Returns
    -------
    int
        WIDTH bits, the oldest the lowest.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """
    seed, register = check_int("seed", seed, 0, 2**32 - 1), check_int("register", register, 0, REGISTERS - 1)
    return _sequence(seed, register, 0) ^ MASK


def _sequence(seed, register, passed):
    """WIDTH bits of the sequence, the oldest the lowest, from `passed` bits after a register's start."""
    element = _product(_unseeded(), _product(_power(_spacing(), REGISTERS * seed + register), _power(2, passed)))
    return _bits_at(element)


def _bits_at(element):
    """WIDTH bits of the sequence from an element on, the oldest the lowest."""
    traces = _traces()
    return sum(((traces >> n & element).bit_count() & 1) << n for n in range(WIDTH))


@cache
def _spacing():
    """The polynomial of a jump from one register's start to the next one's."""
    return _power(2, 2**SPACING_BITS)


@cache
def _unseeded():
    """The element where register 0 of the seed 0 starts: that of `ORIGIN`, squared once for each bit of a seed and a register's
    number and of their distance."""
    rows = [_traces() >> n & 2**WIDTH - 1 | (ORIGIN >> n & 1) << WIDTH for n in range(WIDTH)]
    for column in range(WIDTH):  # by Gauss and Jordan, of what combination of traces its bits are
        pivot = next(row for row in range(column, WIDTH) if rows[row] >> column & 1)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows = [row ^ rows[column] if n != column and row >> column & 1 else row for n, row in enumerate(rows)]
    origin = sum((row >> WIDTH) << n for n, row in enumerate(rows))
    return _power(origin, 2 ** (SEED_BITS + REGISTER_NUMBER_BITS + SPACING_BITS))


@cache
def _traces():
    """The traces of x**0 to x**(2 * WIDTH), lowest bit first: below x**WIDTH, by Newton's identities, x**0 and x**81 have 1."""
    bits = _continue(_bits(1 | 1 << 81, WIDTH), 2 * WIDTH)
    return sum(int(bit) << n for n, bit in enumerate(bits))


def _power(base, exponent):
    """In the field of polynomials over GF(2) modulo that of the sequence."""
    result = 1
    while exponent:
        if exponent & 1:
            result = _product(result, base)
        base = _product(base, base)
        exponent >>= 1
    return result


def _product(a, b):
    result = 0
    while b:
        if b & 1:
            result ^= a
        a <<= 1
        if a >> WIDTH:
            a ^= _POLYNOMIAL
        b >>= 1
    return result


def _continue(first, count):
    """`count` bits of the sequence, of which `first` are WIDTH in a row.

    Over GF(2) the square of a polynomial p(x) is p(x^2), so the rule also holds with all distances doubled, and doubled again;
    and the larger the distances, the more bits follow at once from those already there.
    """
    sequence = np.empty(max(count, WIDTH), np.uint8)
    sequence[:WIDTH] = first
    known = WIDTH
    while known < count:
        scale = 1 << (known // WIDTH).bit_length() - 1
        new = min(min(DISTANCES) * scale, count - known)
        sequence[known : known + new] = np.bitwise_xor.reduce([sequence[known - t * scale :][:new] for t in DISTANCES])
        known += new
    return sequence[:count]


def words(seed: int, register: int, beats: int, width: int = REGISTER_BITS, *, first: int = 0) -> NDArray[np.uint8]:
    """What a register gives, beat after beat.

    Parameters
    ----------
    seed, register : int
        As of `start`.
    beats : int
        0 to 2**32 - 1.
    width : int
        Bits per beat, 1 to 128.
    first : int
        Beats since reset before these, 0 to 2**41.

    Returns
    -------
    numpy.ndarray
        Of 0 and 1: uint8, shape (beats, width); of bits that are numbers the first is the lowest.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """
    beats, width = check_int("beats", beats, 0, _MAX_BEATS), check_int("width", width, 1, REGISTER_BITS)
    seed, register = check_int("seed", seed, 0, 2**32 - 1), check_int("register", register, 0, REGISTERS - 1)
    passed = width * check_int("first", first, 0, _MAX_FIRST)
    known, mask = (_bits(number, REGISTER_BITS) for number in (_sequence(seed, register, passed), MASK))
    return _continue(known[:WIDTH], beats * width).reshape(beats, width) ^ mask[:width]


def _bits(number, count):
    """The lowest bits of an int, from the lowest one up."""
    return np.array([number >> place & 1 for place in range(count)], np.uint8)


def lane_bits(seed: int, beats: int, lanes: int, sr_bits: int = 8, *, first: int = 0) -> NDArray[Any]:
    """The random bits of each lane, beat after beat.

    A register serves ``128 // sr_bits`` lanes, the lowest bits the first of them.

    Parameters
    ----------
    seed : int
        0 to 2**32 - 1.
    beats : int
        0 to 2**32 - 1.
    lanes : int
        1 to 64.
    sr_bits : int
        Random bits per lane, 1 to 16.
    first : int
        Beats since reset before these, 0 to 2**41.

    Returns
    -------
    numpy.ndarray
        uint8, or uint16 if `sr_bits` is above 8; shape (beats, lanes).

    Raises
    ------
    ValueError
        A parameter is out of range.
    """
    widths = register_widths(lanes, sr_bits)
    sr_bits, beats = check_int("sr_bits", sr_bits, 1, MAX_SR_BITS), check_int("beats", beats, 0, _MAX_BEATS)
    dtype = np.uint8 if sr_bits <= 8 else np.uint16
    weights: NDArray[Any] = (1 << np.arange(sr_bits)).astype(dtype)
    parts = []
    for register, width in enumerate(widths):
        bits = words(seed, register, beats, width, first=first).reshape(beats, width // sr_bits, sr_bits)
        parts.append(bits @ weights)
    return np.concatenate(parts, axis=1, dtype=dtype)


def register_widths(lanes: int, sr_bits: int) -> list[int]:
    """How many bits per beat each register gives to `lanes` lanes, 1 to 64, of 1 to 16 bits each."""
    lanes, sr_bits = check_int("lanes", lanes, 1, 64), check_int("sr_bits", sr_bits, 1, MAX_SR_BITS)
    most = REGISTER_BITS // sr_bits
    return [min(most, lanes - first) * sr_bits for first in range(0, lanes, most)]
