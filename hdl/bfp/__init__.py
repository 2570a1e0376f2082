"""Block floating point: conversion from FP32 with the sums from which the precision of a tensor is chosen, that choice, dot
products, and products of matrices.

A group of numbers shares an exponent E, each number is a sign and an integer k of a few bits: see `golden.formats.BlockFormat`.
After FAST, HPCA 2022, arXiv 2110.15456.
"""

from narrowfloat.golden.bfp import MAX_SUM_BITS, MIN_SUM_BITS
from narrowfloat.hdl.bfp.common import element
from narrowfloat.hdl.bfp.converter import BfpConverter
from narrowfloat.hdl.bfp.mac import ACCUMULATORS, CHUNKS, FIXED_WIDTHS, MAX_BITS, FastMac
from narrowfloat.hdl.bfp.policy import PrecisionPolicy
from narrowfloat.hdl.bfp.systolic import MAX_SIDE, SystolicArray

__all__ = [
    "ACCUMULATORS",
    "CHUNKS",
    "FIXED_WIDTHS",
    "MAX_BITS",
    "MAX_SIDE",
    "MAX_SUM_BITS",
    "MIN_SUM_BITS",
    "BfpConverter",
    "FastMac",
    "PrecisionPolicy",
    "SystolicArray",
    "element",
]
