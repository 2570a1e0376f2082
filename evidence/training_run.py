"""One training of one task; `run` stores it in one way. The same arguments give the same numbers on the same machine."""

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
    epochs = CALIBRATION + 1 if quick else task.epochs
    training = Training(task, model, epochs)
    traffic = task.traffic(model) if hasattr(task, "traffic") else None

    result = {"scores": [], "biases": []}
    for epoch in range(epochs):
        calibrates = arm.schedule == "frozen" and epoch < CALIBRATION
        store.narrow = arm.schedule != "fp32" and not calibrates
        is_watched = calibrates or arm.schedule == "throughout"
        for batch in task.batches():
            store.observing = is_watched
            training.step(*batch)
            store.observing = False
            if arm.schedule == "throughout":
                store.end()
            if store.narrow and not arm.master:
                for parameter in model.parameters():
                    parameter.data = quantise(parameter, store.biases[WEIGHT])
        if calibrates:
            store.end()
        if traffic:
            result["traffic"] = traffic.take()
        result["scores"].append(training.score())
        result["biases"].append(store.biases if store.narrow else None)
    return result


class Training:
    """The optimizer's part: steps of a task's model, `epochs` of them, at a rate that falls to zero, and the score.

    So the last epoch's score does not hang on its last batches. Backward the loss is `scale` times as large; gradients are divided
    by that in FP32 before the optimizer sees them.
    """

    def __init__(self, task, model, epochs, scale=1.0):
        self.steps = epochs * task.steps
        self._task, self._model, self._scale = task, model, scale
        self._optimizer = task.optimizer(model.parameters())
        self._decay = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: 1 - step / self.steps)

    def step(self, inputs, wanted):
        self._optimizer.zero_grad()
        loss = self._task.loss(self._model(inputs), wanted)
        if self._scale == 1:
            loss.backward()
        else:
            (loss * self._scale).backward()
            for parameter in self._model.parameters():
                parameter.grad /= self._scale
        self._optimizer.step()
        self._decay.step()

    def score(self):
        self._model.eval()
        with torch.no_grad():
            score = self._task.score(self._model)
        self._model.train()
        return score
