"""Random bits for stochastic rounding, bit-exact to `hdl.parts.lfsr`.

A register is a Fibonacci LFSR of 32 bits and maximal length. A step is ``s = s << 1 | (s[31] ^ s[30] ^ s[29] ^ s[9])``: each
bit that enters is the sum of those that entered 32, 31, 30 and 10 steps before, and the polynomial is
x^32 + x^31 + x^30 + x^10 + 1. Every beat uses the whole word and is 32 steps, so that no bit is used twice.
"""

from typing import Any

import numpy as np
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.rounding import MAX_SR_BITS
from numpy.typing import NDArray

WIDTH = 32  # bits of a register, and steps per word
DISTANCES = (32, 31, 30, 10)  # how many steps ago the bits entered that make the next one
SEED_STEP = 0x9E3779B9  # from a register's seed to the next one's: 2**32 over the golden ratio keeps the sequences apart
_PERIOD = 2**WIDTH - 1


def words(seed: int, count: int) -> NDArray[np.uint32]:
    """What a register holds, beat after beat.

    Parameters
    ----------
    seed : int
        The first word, 1 to 2**32 - 1.
    count : int
        How many words, 0 to 2**32 - 1.

    Returns
    -------
    numpy.ndarray
        uint32, shape (count,).

    Raises
    ------
    ValueError
        `seed` or `count` is out of range.
    """
    check_int("seed", seed, 1, 2**32 - 1)
    check_int("count", count, 0, _PERIOD)
    # oldest bit first
    bits = _continue(np.unpackbits(np.array([seed], ">u4").view(np.uint8)), 32 * 32)
    first = np.packbits(bits).view(">u4").astype(np.uint32)
    return _continue(first, count)


def _continue(first, count):
    """`count` elements of the sequence ``a[n] = a[n-32] ^ a[n-31] ^ a[n-30] ^ a[n-10]``, of which `first` are the first 32.

    Over GF(2) the square of a polynomial p(x) is p(x^2), so the rule also holds with all distances doubled, and doubled again.
    Doubled five times it says that words of 32 bits obey the same rule as bits; and the larger the distances, the more elements
    follow at once from those already there.
    """
    sequence = np.empty(max(count, 32), first.dtype)
    sequence[:32] = first
    known = 32
    while known < count:
        scale = 1 << (known // 32).bit_length() - 1
        new = min(min(DISTANCES) * scale, count - known)
        sequence[known : known + new] = np.bitwise_xor.reduce([sequence[known - t * scale :][:new] for t in DISTANCES])
        known += new
    return sequence[:count]


def lane_bits(seed: int, beats: int, lanes: int, sr_bits: int = 8) -> NDArray[Any]:
    """The random bits of each lane, beat after beat.

    A register serves ``32 // sr_bits`` lanes, the lowest bits the first of them. Register j starts from
    ``(seed + 0x9E3779B9 * j) % 2**32``, or from 1 where that is 0.

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

    Returns
    -------
    numpy.ndarray
        uint8, or uint16 if `sr_bits` is above 8; shape (beats, lanes).

    Raises
    ------
    ValueError
        A parameter is out of range.
    """
    check_int("seed", seed, 0, 2**32 - 1)
    check_int("beats", beats, 0, _PERIOD)
    check_int("lanes", lanes, 1, 64)
    check_int("sr_bits", sr_bits, 1, MAX_SR_BITS)
    per_register = 32 // sr_bits
    lane = np.arange(lanes)
    registers = [words((seed + SEED_STEP * j) % 2**32 or 1, beats) for j in range((lanes + per_register - 1) // per_register)]
    taken = np.stack(registers, axis=1)[:, lane // per_register]
    shift = (sr_bits * (lane % per_register)).astype(np.uint32)
    return (taken >> shift & 2**sr_bits - 1).astype(np.uint8 if sr_bits <= 8 else np.uint16)
