"""Entropy calibration of INT8 (Migacz 2017), on the histograms that LBFP is calibrated with: the same values are outliers."""

import numpy as np
from narrowfloat.golden.lbfp.calibration import divergence

INT8_LEVELS = 128


def entropy_threshold(histogram):
    """The clipping threshold of integers of 8 bits with the least Kullback-Leibler divergence; 0 for an empty histogram."""
    if histogram.largest == 0:
        return 0.0
    counts, exponent = histogram.linear()
    used = int(np.flatnonzero(counts)[-1]) + 1
    kept = range(min(INT8_LEVELS, used), used + 1)
    best = min(kept, key=lambda n: divergence(counts, np.arange(n) * INT8_LEVELS // n))
    return float(np.ldexp((best + 0.5) / counts.size, exponent))
