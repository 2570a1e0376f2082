"""DRAM as a network in training sees it through the adaptive-bias port: what is written comes back with eight bits.

PyTorch twins of what the memory port does, for speed: `quantise` gives bit for bit what `golden.float_codec.encode` and `decode`
give one after the other.
"""

import numpy as np
import torch
from torch.nn.utils import parametrize

from evidence.arms import TYPES

ACTIVATION, ERROR, GRADIENT, WEIGHT = range(len(TYPES))

LANES = 16
# The estimator sees one beat in three of every tensor: the experiment takes less time, and the paper finds 30 % of the values enough.
STRIDE = 3

_MAGNITUDE = 0x7FFFFFFF
_SIGN = -(2**31)
_INFINITY = 0x7F800000
_ULP = 1 << 21  # a mantissa of 2 bits in FP32's 23
_LARGEST_CODE = 127


def quantise(x, bias):
    """What is left of `x` (float32) after it was stored as ab_e5m2 of `bias`: nearest even, saturating, with a code for zero."""
    words = x.detach().contiguous().view(torch.int32)
    magnitude = (words & _MAGNITUDE).clamp_(max=_INFINITY)
    rounded = (magnitude >> 21 & 1).add_(magnitude).add_(_ULP // 2 - 1).bitwise_and_(-_ULP)
    zero = 127 - bias << 23
    is_kept = rounded >= zero
    rounded.clamp_(zero + _ULP, zero + _LARGEST_CODE * _ULP).mul_(is_kept)
    return rounded.bitwise_or_(words & _SIGN).view(torch.float32)


class Store:
    """The port's behaviour, one bias per tensor type.

    Called with an activation it returns what the next layer reads; on the way back the error of that activation passes in the
    same manner.

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
        Whether tensors pass the estimator. A tensor's bias is that from before it: it is stored first, then observed.
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
        y = quantise(x, self._bias(type)) if self.narrow else x.detach().clone()
        if self.observing:
            self._observe(x, type)
        return y

    def end(self):
        """An epoch, or a step that counts as one, ends for all types."""
        for type in range(len(TYPES)):
            self._estimator.end(type)

    def _bias(self, type):
        return self._fixed if self._fixed is not None else int(self._estimator.bias[type])

    def _observe(self, x, type):
        values = x.detach().contiguous().numpy().reshape(-1)
        if values.size % LANES:
            values = np.append(values, np.zeros(-values.size % LANES, np.float32))  # zeros do not count
        self._tensors += 1
        self._estimator.observe(values.reshape(-1, LANES)[self._tensors % STRIDE :: STRIDE], type)


class Pass(torch.autograd.Function):
    """What comes back of a tensor, and going back of its gradient, by ``through(tensor, type)`` of a store."""

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


class Traffic:
    """Counts the numbers that training a chain of layers moves to and from DRAM.

    In every training step, of a layer with n inputs, m outputs and k parameters:

    ==========  ====================  ==============================================================
    type        written               read
    ==========  ====================  ==============================================================
    activation  m                     n going forward, n for the gradient; of the last layer m for the loss
    error       m, by what follows    m for the gradient; m for the error below, if there is one
    weight      k, by the optimizer   k going forward; k for the error below, if there is one
    gradient    k                     k, by the optimizer
    ==========  ====================  ==============================================================

    What works on each element alone (ReLU) is done on the way out. The optimizer's own numbers come on top.
    """

    def __init__(self, model, layers):
        self._moved = {type: {"written": 0, "read": 0} for type in TYPES}
        self.parameters = 0  # times steps
        self._last = layers[-1]
        for layer in layers:
            layer.register_forward_hook(self._count)

    def _count(self, layer, inputs, output):
        if not layer.training:
            return
        (x,), m = inputs, output.numel()
        k = sum(parameter.numel() for parameter in layer.parameters())
        passes_error = int(x.requires_grad)
        self._add("activation", m, 2 * x.numel() + (m if layer is self._last else 0))
        self._add("error", m, m * (1 + passes_error))
        self._add("weight", k, k * (1 + passes_error))
        self._add("gradient", k, k)
        self.parameters += k

    def _add(self, type, written, read):
        self._moved[type]["written"] += written
        self._moved[type]["read"] += read

    def take(self):
        """The counts since the last call: by type, and `parameters`, the number of parameters that were updated."""
        taken = self._moved | {"parameters": self.parameters}
        self._moved = {type: {"written": 0, "read": 0} for type in TYPES}
        self.parameters = 0
        return taken
