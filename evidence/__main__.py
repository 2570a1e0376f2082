"""All experiments, one after the other; what is computed from the figures of others comes after them."""

import sys

from evidence import (
    dram_energy,
    estimators,
    fast_speed,
    fast_training,
    fp8_training,
    lbfp_error,
    lbfp_inference,
    s2fp8_error,
    s2fp8_training,
)

EXPERIMENTS = (
    estimators,
    fp8_training,
    dram_energy,
    lbfp_error,
    lbfp_inference,
    fast_training,
    fast_speed,
    s2fp8_error,
    s2fp8_training,
)

sys.exit(next((failed for experiment in EXPERIMENTS if (failed := experiment.main([]))), 0))
