"""One training of one task truncated in one way: a run of `evidence.s2fp8_training`."""

import numpy as np
import torch
from narrowfloat.golden.statistics import MedianTracker

from evidence.arms import TYPES
from evidence.store import Store
from evidence.tasks import TASKS
from evidence.training_run import Training
from evidence.truncation import Biased, Plain, Squeezed, take_over

QUICK_EPOCHS = 2
EPOCHS = {"shakespeare": 4}  # instead of the task's own


def run(task_name, arm, seed, quick=False):
    """Train.

    Returns
    -------
    dict
        "scores" after each epoch; of S2FP8 also "alphas" and "betas", after each epoch of each type of tensor (`evidence.arms.TYPES`)
        the medians over the tensors.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = TASKS[task_name](seed, quick)
    model = task.model(lambda tensor: tensor)
    epochs = QUICK_EPOCHS if quick else EPOCHS.get(task_name, task.epochs)
    training = Training(task, model, epochs, arm.scale)
    truncation = new_truncation(arm)
    layers = take_over(model, truncation) if truncation else {}

    result = {"scores": []}
    if arm.kind == "s2fp8":
        result |= {"alphas": [], "betas": []}
    for _ in range(epochs):
        for batch in task.batches():
            if truncation:
                truncation.observing = True
            training.step(*batch)
            if truncation:
                truncation.observing = False
                truncation.end()
        result["scores"].append(training.score())
        if arm.kind == "s2fp8":
            slots = [slot for layer in layers.values() for slot in layer.slots()]
            for name, value in (("alphas", "squeeze"), ("betas", "shift")):
                of_types = [[getattr(slot.parameters, value) for slot in slots if slot.type == i] for i in range(len(TYPES))]
                result[name].append([round(float(np.median(values)), 3) for values in of_types])
    return result


def new_truncation(arm):
    """How an arm truncates, or None."""
    if arm.kind == "fp32":
        return None
    if arm.kind == "adaptive":
        return Biased(Store(MedianTracker()))
    return Squeezed() if arm.kind == "s2fp8" else Plain()
