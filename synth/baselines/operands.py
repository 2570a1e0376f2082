"""Real tensors as the numbers that baselines take."""

import numpy as np
from narrowfloat.golden.reference.stimulus import RESULT_BEATS, operands
from narrowfloat.synth.vectors import real_tensors


def scaled_pair(lanes, largest, signed=True):
    """Real tensors, each scaled so that its largest magnitude is `largest`: two float32 [beats, lanes].

    One runs through activations, errors and gradients, the other through weights. Unsigned ones are magnitudes.
    """
    real_tensors()
    pair = []
    for values in operands(lanes):
        values = values if signed else np.abs(values)
        scale = largest / np.maximum(np.abs(values).max(axis=1, keepdims=True), np.float32(1e-30))
        pair.append((values * scale).reshape(-1, lanes))
    return pair


def integer_pair(width, lanes, signed=True):
    """The same as integers of `width` bits: two int64 [beats, lanes]."""
    return [np.rint(values).astype(np.int64) for values in scaled_pair(lanes, 2 ** (width - signed) - 1, signed)]


def sign_magnitude(values, width):
    """Integers as codes of a sign and a magnitude."""
    return np.abs(values) | (values < 0).astype(np.int64) << width - 1


def joined(lanes, width):
    """Rows of numbers, each as one integer in which every number has `width` bits: a list."""
    return [sum((value & 2**width - 1) << width * lane for lane, value in enumerate(row)) for row in lanes.tolist()]


def clears(beats):
    """In which of `beats` a dot product begins anew: 0 or 1 for each."""
    return (np.arange(beats) % RESULT_BEATS == 0).astype(np.int64)


def running(sums, clear):
    """What an accumulator holds after each beat: the sum of `sums` since the last `clear`, exact integers."""
    total, totals = 0, []
    for value, anew in zip(sums.tolist(), clear.tolist(), strict=True):
        total = value if anew else total + value
        totals.append(total)
    return totals
