"""One training of one task computed in one way: a run of `evidence.fast_training`."""

import numpy as np
import torch

from evidence.block_layers import MAX_BITS, Arithmetic
from evidence.tasks import TASKS
from evidence.training_run import Training

QUICK_EPOCHS = 2
SPANS = 20  # equal parts of a training, over each of which precisions are averaged


def run(task_name, arm, seed, quick=False):
    """Train.

    Returns
    -------
    dict
        "scores" after each epoch. In block floating point also "passes", of all products, relative to 4 bits throughout; where the
        policy chooses "layers", their names, and "bits" of each `SPANS`-th of the training, of each layer: the mean mantissa bits
        of its activations, weights and gradients.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = TASKS[task_name](seed, quick)
    model = task.model(lambda tensor: tensor)
    epochs = QUICK_EPOCHS if quick else task.epochs
    training = Training(task, model, epochs)
    arithmetic = None if arm.fp32 else Arithmetic(arm, training.steps, seed)
    if arithmetic:
        arithmetic.take_over(model)

    result = {"scores": []}
    for _ in range(epochs):
        for batch in task.batches():
            if arithmetic:
                arithmetic.begin()
            training.step(*batch)
        result["scores"].append(training.score())
    if arithmetic:
        result["passes"] = round(arithmetic.passes / (arithmetic.macs * (MAX_BITS // 2) ** 2), 6)
    if arithmetic and arm.bits is None:
        result["layers"] = list(arithmetic.layers)
        spans = np.array_split(np.array(arithmetic.history, np.float64), min(SPANS, training.steps))
        result["bits"] = [span.mean(axis=0).round(2).tolist() for span in spans]
    return result
