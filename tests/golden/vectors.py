"""FP32 inputs on which encoders go wrong, made from real numbers: nothing here knows how `golden` works."""

import numpy as np

# what is like no other word: zeros, infinities, every exponent with the least and the most below it, NaN payloads one-hot
_FRACTIONS = np.array([0, 1, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFF], np.uint32)
_ALL_EXPONENTS = (np.arange(256, dtype=np.uint32)[:, None] << 23 | _FRACTIONS).ravel()
_ONE_HOT = np.uint32(1) << np.arange(23, dtype=np.uint32)
_NANS = 0x7F800000 | _ONE_HOT
_SUBNORMALS = np.concatenate([_ONE_HOT, 0x7FFFFF ^ _ONE_HOT])


def grid(fmt, bias):
    """The magnitudes of the codes of `fmt` and the midpoints between them, as float32, with two more binades at both ends.

    For E = 0 there are the normal and the subnormal ones, whatever the format makes of that exponent.
    """
    steps = 2 ** (fmt.man_bits + 1)
    significands = 1 + np.arange(steps) / steps
    exponents = np.arange(-2, 2**fmt.exp_bits + 2) - bias
    normal = np.ldexp(significands, exponents[:, None]).ravel()
    subnormal = np.ldexp(np.arange(steps) / steps, 1 - bias)
    with np.errstate(over="ignore"):
        values = np.concatenate([normal, subnormal]).astype(np.float32)
    return np.unique(values[np.isfinite(values)])


def structured(fmt, bias):
    """Every code and midpoint, their neighbours 2**k words away for k = 0 to 22, and the words unlike others; of both signs."""
    centres = grid(fmt, bias).view(np.uint32)
    below = centres[:, None] - _ONE_HOT
    above = centres[:, None] + _ONE_HOT
    words = np.concatenate([centres, below.ravel(), above.ravel(), _ALL_EXPONENTS, _NANS, _SUBNORMALS])
    words = np.unique(words & 0x7FFFFFFF)
    return np.concatenate([words, words | 0x80000000]).view(np.float32)


def random_words(count, seed):
    """Uniformly random words, so of all exponents alike, as float32."""
    return np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32).view(np.float32)


def mismatch(x, got, want, where=""):
    """None if two arrays of codes are equal, else a line about the first difference: `assert not mismatch(...)`."""
    different = np.flatnonzero(got != want)
    if different.size == 0:
        return None
    i = different[0]
    word = x.reshape(-1).view(np.uint32)[i]
    return (
        f"{where}: {different.size} of {x.size} differ, first vector {i}: {word:#010x} ({x.reshape(-1)[i]:.9g}): "
        f"got {got.reshape(-1)[i]:#x}, want {want.reshape(-1)[i]:#x}"
    )
