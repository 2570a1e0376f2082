"""DRAM as a network in training sees it through the adaptive-bias port: what is written comes back with eight bits.

PyTorch twins of what the memory port does, for speed: `quantise` gives bit for bit what `golden.float_codec.encode` and
`decode` give one after the other.
"""

import numpy as np
import torch
from torch.nn.utils import parametrize

from evidence.training.arms import CALIBRATION, STORAGE_ARMS, TYPES
from evidence.training.loop import Hook, train

ACTIVATION, ERROR, GRADIENT, WEIGHT = range(len(TYPES))

FIXED_BIAS = 15
LANES = 16
# The estimator observes one beat in three of every tensor, which saves time; the paper finds 30 % of the values enough.
STRIDE = 3

_MAGNITUDE = 0x7FFFFFFF
_SIGN = -(2**31)
_INFINITY = 0x7F800000
_ULP = 1 << 21  # a mantissa of 2 bits in FP32's 23
_LARGEST_CODE = 127


def quantise(x, bias):
    """What a load of `x` (float32) gives after it was stored as ab_e5m2 of `bias`: nearest even, saturating."""
    words = x.detach().contiguous().view(torch.int32)
    magnitude = (words & _MAGNITUDE).clamp_(max=_INFINITY)
    rounded = (magnitude >> 21 & 1).add_(magnitude).add_(_ULP // 2 - 1).bitwise_and_(-_ULP)
    zero = 127 - bias << 23
    is_kept = rounded >= zero
    rounded.clamp_(zero + _ULP, zero + _LARGEST_CODE * _ULP).mul_(is_kept)
    return rounded.bitwise_or_(words & _SIGN).view(torch.float32)


class Storage:
    """The port's behaviour, one bias per tensor type.

    Called with an activation it returns what the next layer reads; in the backward pass the error of that activation is stored
    in the same manner.

    Parameters
    ----------
    estimator : object or None
        One of `golden.statistics`, for the four types.
    bias : int or None
        Fixed for all types; None means the estimator's.

    Attributes
    ----------
    narrow : bool
        Whether tensors are stored in FP8; otherwise in FP32, bit for bit.
    observing : bool
        Whether the estimator observes tensors. A tensor is stored first and observed then, so that its bias comes from earlier
        ones.
    """

    def __init__(self, estimator=None, bias=None):
        self._estimator = estimator
        self._fixed = bias
        self.narrow = False
        self.observing = False
        self._tensors = 0

    @property
    def biases(self):
        """The bias of each type now, list of int."""
        return [self._fixed] * len(TYPES) if self._fixed is not None else [int(bias) for bias in self._estimator.bias]

    def __call__(self, activation):
        return Pass.apply(activation, self, ACTIVATION, ERROR)

    def hold_parameters(self, module):
        """Make every parameter of `module` pass as a weight whenever it is read, and its gradient on the way back.

        The parameters themselves stay in FP32: they are the optimizer's master copy.
        """
        for part in list(module.modules()):
            for name, _ in list(part.named_parameters(recurse=False)):
                parametrize.register_parametrization(part, name, _Weight(self), unsafe=True)

    def through(self, x, type):
        """What comes back of the tensor `x` of `type`."""
        y = quantise(x, self.biases[type]) if self.narrow else x.detach().clone()
        if self.observing:
            self._observe(x, type)
        return y

    def end(self):
        """An epoch, or a step that counts as one, ends for all types."""
        for type in range(len(TYPES)):
            self._estimator.end(type)

    def _observe(self, x, type):
        values = x.detach().contiguous().numpy().reshape(-1)
        if values.size % LANES:
            values = np.append(values, np.zeros(-values.size % LANES, np.float32))  # zeros do not count
        self._tensors += 1
        self._estimator.observe(values.reshape(-1, LANES)[self._tensors % STRIDE :: STRIDE], type)


class Pass(torch.autograd.Function):
    """What comes back of a tensor, and in the backward pass of its gradient, by ``through(tensor, type)`` of a storage."""

    @staticmethod
    def forward(ctx, x, store, forward_type, backward_type):
        ctx.store, ctx.type = store, backward_type
        return store.through(x, forward_type)

    @staticmethod
    def backward(ctx, error):
        return ctx.store.through(error, ctx.type), None, None, None


class _Weight(torch.nn.Module):
    def __init__(self, store):
        super().__init__()
        self._store = store

    def forward(self, parameter):
        return Pass.apply(parameter, self._store, WEIGHT, GRADIENT)


class StorageHook(Hook):
    """Every tensor of a training is stored as a `evidence.training.arms.StorageArm` says.

    It adds to the results "biases" after each epoch, of each type, or None where tensors are stored in FP32; of a task that
    counts it also "traffic", what an epoch moves (see `evidence.training.traffic.Traffic`).
    """

    def __init__(self, arm):
        self._arm = arm
        self._storage = Storage(arm.new_estimator(), FIXED_BIAS if arm.schedule in ("fp32", "fixed") else None)

    def store(self, tensor):
        return self._storage(tensor)

    def attach(self, task, model, steps):
        self._model = model
        self._storage.hold_parameters(model)
        self._traffic = task.traffic(model) if hasattr(task, "traffic") else None

    def begin_epoch(self, epoch):
        self._calibrates = self._arm.schedule == "frozen" and epoch < CALIBRATION
        self._storage.narrow = self._arm.schedule != "fp32" and not self._calibrates

    def begin_step(self):
        self._storage.observing = self._calibrates or self._arm.schedule == "throughout"

    def end_step(self):
        self._storage.observing = False
        if self._arm.schedule == "throughout":
            self._storage.end()
        if self._storage.narrow and not self._arm.master:
            for parameter in self._model.parameters():
                parameter.data = quantise(parameter, self._storage.biases[WEIGHT])

    def end_epoch(self, result):
        if self._calibrates:
            self._storage.end()
        if self._traffic:
            result["traffic"] = self._traffic.take()
        result.setdefault("biases", []).append(self._storage.biases if self._storage.narrow else None)


def run(task, arm, seed, quick):
    """A run of `evidence.claims.fp8_training`."""
    return train(task, StorageHook(STORAGE_ARMS[arm]), seed, quick, quick_epochs=CALIBRATION + 1)
