"""Block floating point (BFP), bit-exact to the hardware: conversion, chunks, dot products, accumulators, choice of precision.

A group of numbers shares an exponent E, each number is a sign and an integer k: see `golden.formats.BlockFormat`. So a dot
product of two groups is one of integers, and their exponents are added once. After FAST, HPCA 2022, arXiv 2110.15456; what is
known of the paper leaves open how conversion rounds, what the sums of the precision policy are relative to, and the
accumulators' widths: those are ours.
"""

from narrowfloat.golden.bfp.accumulate import (
    ACCUMULATORS,
    MAX_FIXED_BITS,
    MIN_FIXED_BITS,
    accumulate_fixed,
    accumulate_fp32,
    dot,
    matmul,
    pass_bits,
)
from narrowfloat.golden.bfp.blocks import NAN_EXPONENT, ROUNDINGS, SR_BITS, Blocks, chunks, convert, decode
from narrowfloat.golden.bfp.mac import CHUNKS, Passes, accumulate_passes, to_passes
from narrowfloat.golden.bfp.mxint8 import from_mxint8, to_mxint8
from narrowfloat.golden.bfp.policy import EPSILON_BITS, MAX_SUM_BITS, MIN_SUM_BITS, SUM_BITS, precision, relative_improvement
from narrowfloat.golden.bfp.segments import (
    ABOVE,
    BELOW,
    LOWEST_WEIGHT,
    STEP,
    SegmentedSums,
    accumulate_segmented,
    segmented_width,
)

__all__ = [
    "ABOVE",
    "ACCUMULATORS",
    "BELOW",
    "CHUNKS",
    "EPSILON_BITS",
    "LOWEST_WEIGHT",
    "MAX_FIXED_BITS",
    "MAX_SUM_BITS",
    "MIN_FIXED_BITS",
    "MIN_SUM_BITS",
    "NAN_EXPONENT",
    "ROUNDINGS",
    "SR_BITS",
    "STEP",
    "SUM_BITS",
    "Blocks",
    "Passes",
    "SegmentedSums",
    "accumulate_fixed",
    "accumulate_fp32",
    "accumulate_passes",
    "accumulate_segmented",
    "chunks",
    "convert",
    "decode",
    "dot",
    "from_mxint8",
    "matmul",
    "pass_bits",
    "precision",
    "relative_improvement",
    "segmented_width",
    "to_mxint8",
    "to_passes",
]
