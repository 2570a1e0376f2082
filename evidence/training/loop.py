"""The training loop of all experiments, and what an arm can change in it. The same arguments give the same numbers on one
machine."""

import torch

from evidence.training.tasks import TASKS


class Hook:
    """What an arm changes in a training; this one changes nothing: everything is FP32.

    Attributes
    ----------
    scale : float
        Backward the loss is so many times as large; gradients are divided by it in FP32 before the optimizer sees them.
    """

    scale = 1.0

    def store(self, tensor):
        """What the next layer reads of an activation."""
        return tensor

    def attach(self, task, model, steps):
        """A model is going to train for so many steps."""

    def begin_epoch(self, epoch):
        """The epoch of that number, from 0, begins."""

    def begin_step(self):
        """A step begins."""

    def end_step(self):
        """A step ends: the optimizer has changed the parameters."""

    def end_epoch(self, result):
        """An epoch ends; ``result["scores"]`` has its score. Other keys take what else is to be kept."""

    def finish(self, result):
        """The training ends."""


def train(task_name, hook, seed, quick=False, epochs=None, quick_epochs=2):
    """Train a task for `epochs`, by default the task's own number, or for `quick_epochs`.

    Returns
    -------
    dict
        "scores" after each epoch, and what `hook` adds.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = TASKS[task_name](seed, quick)
    model = task.model(hook.store)
    epochs = quick_epochs if quick else epochs or task.epochs
    hook.attach(task, model, epochs * task.steps)
    trainer = Trainer(task, model, epochs, hook.scale)
    result = {"scores": []}
    for epoch in range(epochs):
        hook.begin_epoch(epoch)
        for batch in task.batches():
            hook.begin_step()
            trainer.step(*batch)
            hook.end_step()
        result["scores"].append(trainer.score())
        hook.end_epoch(result)
    hook.finish(result)
    return result


class Trainer:
    """Steps of the optimizer for a task's model and its score.

    The learning rate falls to zero over all `epochs`, so that the score at the end does not depend on the last few batches.
    `scale` is that of `Hook`.
    """

    def __init__(self, task, model, epochs, scale=1.0):
        steps = epochs * task.steps
        self._task, self._model, self._scale = task, model, scale
        self._optimizer = task.optimizer(model.parameters())
        self._decay = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: 1 - step / steps)

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
