"""Compares whole arrays, and says of a difference what a reader needs to see it again."""

import os

import numpy as np
from narrowfloat.golden.float_codec import decode


class Mismatch(AssertionError):
    """The hardware's result is not the model's."""


def compare(got, want, describe):
    """Raise `Mismatch` unless the arrays `got` and `want`, [vectors, lanes], are equal.

    ``describe(vector, lane)`` says in words what went in and came out; the message adds the number of differences and the command
    that repeats the run.
    """
    if got.shape != want.shape:
        raise Mismatch(f"got {got.shape[0]} vectors of {got.shape[1]}, want {want.shape[0]} of {want.shape[1]}; {rerun()}")
    differs = got != want
    if differs.any():
        vector, lane = np.argwhere(differs)[0]
        raise Mismatch(f"lane {lane}, vector {vector}: {describe(vector, lane)}; {differs.sum()} differ; {rerun()}")


def rerun():
    """The command that repeats this run."""
    return f"rerun: {os.environ['NARROWFLOAT_RERUN']}"


def spell_float32(word):
    """An FP32 word in hex and as the number it is."""
    return f"0x{int(word):08x} ({np.uint32(word).view(np.float32)!s})"


def spell_code(code, fmt, bias):
    """A code in hex and as the number it is."""
    dtype = np.uint8 if fmt.bits <= 8 else np.uint16
    return f"0x{int(code):02x} ({decode(np.array([code], dtype), fmt, bias=int(bias))[0]!s})"
