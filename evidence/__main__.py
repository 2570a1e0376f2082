"""All experiments, one after the other; the energy is that of the traffic that the training traces."""

import sys

from evidence import dram_energy, estimators, fp8_training

sys.exit(estimators.main([]) or fp8_training.main([]) or dram_energy.main([]))
