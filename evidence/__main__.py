"""All experiments, one after the other; the energy is that of the traffic that the training traces."""

import sys

from evidence import dram_energy, estimators, fast_training, fp8_training, lbfp_error, lbfp_inference

EXPERIMENTS = estimators, fp8_training, dram_energy, lbfp_error, lbfp_inference, fast_training

sys.exit(next((failed for experiment in EXPERIMENTS if (failed := experiment.main([]))), 0))
