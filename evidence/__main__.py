"""All experiments, one after the other; the energy is that of the traffic that the training traces."""

import sys

from evidence import dram_energy, estimators, fp8_training, lbfp_error, lbfp_inference, s2fp8_error, s2fp8_training

EXPERIMENTS = estimators, fp8_training, dram_energy, lbfp_error, lbfp_inference, s2fp8_error, s2fp8_training

sys.exit(next((failed for experiment in EXPERIMENTS if (failed := experiment.main([]))), 0))
