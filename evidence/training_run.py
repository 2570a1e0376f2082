"""One training of one task stored in one way. Deterministic: the same arguments give the same numbers on the same machine."""

import torch

from evidence.arms import CALIBRATION
from evidence.store import WEIGHT, Store, quantise
from evidence.tasks import TASKS

FIXED_BIAS = 15


def run(task_name, arm, seed, quick=False):
    """Train.

    Returns
    -------
    dict
        "scores" after each epoch; "biases" then, of each type, or None where tensors were stored in FP32; for a task that counts
        it also "traffic", what an epoch moves (see `evidence.store.Traffic`).
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = TASKS[task_name](seed, quick)
    store = Store(arm.new_estimator(), FIXED_BIAS if arm.schedule in ("fp32", "fixed") else None)
    model = task.model(store)
    store.hold_parameters(model)
    optimizer = task.optimizer(model.parameters())
    epochs = CALIBRATION + 1 if quick else task.epochs
    total = epochs * task.steps
    # to zero, so that the last epoch's score does not hang on its last batches
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
    traffic = task.traffic(model) if hasattr(task, "traffic") else None

    result = {"scores": [], "biases": []}
    for epoch in range(epochs):
        calibrates = arm.schedule == "frozen" and epoch < CALIBRATION
        store.narrow = arm.schedule != "fp32" and not calibrates
        is_watched = calibrates or arm.schedule == "throughout"
        for inputs, wanted in task.batches():
            store.observing = is_watched
            optimizer.zero_grad()
            task.loss(model(inputs), wanted).backward()
            store.observing = False
            optimizer.step()
            decay.step()
            if arm.schedule == "throughout":
                store.end()
            if store.narrow and not arm.master:
                for parameter in model.parameters():
                    parameter.data = quantise(parameter, store.biases[WEIGHT])
        if calibrates:
            store.end()
        if traffic:
            result["traffic"] = traffic.take()
        model.eval()
        with torch.no_grad():
            result["scores"].append(task.score(model))
        model.train()
        result["biases"].append(store.biases if store.narrow else None)
    return result
