"""What mapped netlists are simulated with: real tensors in the order in which they lie in memory.

Neighbours in memory are neighbours in time, as in use: what toggles, and so the energy, depends on it.
"""

import numpy as np
from narrowfloat.golden.reference.stimulus import real_tensors

WORKLOAD_SEED = 1
RUN_BEATS = 96  # of each tensor
RESULT_BEATS = 64  # of one result of a dot product
PRODUCTS = 1440  # of each lane of a multiplier; shares evenly among the tensors of either kind


def runs(tensors, count):
    """From each tensor `count` neighbours, beginning where a fixed random number says: float32 [len(tensors), count]."""
    rng = np.random.default_rng(WORKLOAD_SEED)
    flat = [tensor.ravel() for tensor in tensors.values()]
    return np.stack([np.resize(values[rng.integers(max(1, len(values) - count)) :], count) for values in flat])


def operands(lanes):
    """What multipliers are simulated with: two lists of runs of real tensors, float32 [runs, values], equally many.

    The first are of activations, errors and gradients, the others of weights.
    """
    tensors = real_tensors()[0]
    weights = {name: tensor for name, tensor in tensors.items() if name.endswith("weight")}
    others = {name: tensor for name, tensor in tensors.items() if name not in weights}
    return [runs(group, PRODUCTS * lanes // len(group)) for group in (others, weights)]
