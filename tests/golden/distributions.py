"""Distributions to calibrate for, as tests of LBFP and INT8 draw them."""

import numpy as np
from narrowfloat.golden.lbfp.calibration import Histogram

DRAWS = {
    "gaussian": lambda rng, size: rng.normal(size=size),
    "laplace": lambda rng, size: rng.laplace(size=size),
    "relu": lambda rng, size: np.maximum(rng.normal(size=size), 0),
    "student_t4": lambda rng, size: rng.standard_t(4, size),
    "student_t5": lambda rng, size: rng.standard_t(5, size),
    "lognormal": lambda rng, size: np.exp(rng.normal(size=size)),
}


def observed(*tensors):
    """The histogram of the float32 numbers nearest to those of the tensors."""
    histogram = Histogram()
    for x in tensors:
        histogram.observe(np.asarray(x, np.float32))
    return histogram
