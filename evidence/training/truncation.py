"""Tensors and layers truncated as S2FP8 and plain FP8 do it, in PyTorch: `golden.s2fp8` in full precision by tables, for
speed.

A layer's input, weights and output are truncated, and in the backward pass the gradients of all three: every tensor before and
after each of the three matrix products. Products, sums and the layer's bias are FP32.
"""

from functools import lru_cache, partial

import numpy as np
import torch
from narrowfloat.golden import s2fp8
from narrowfloat.golden.s2fp8 import full
from narrowfloat.golden.statistics import MedianTracker
from torch import nn

from evidence.training.arms import TRUNCATION_ARMS, TYPES
from evidence.training.emulation import MULTIPLYING, replace, with_weights
from evidence.training.loop import Hook, train
from evidence.training.storage import ACTIVATION, ERROR, GRADIENT, WEIGHT, Pass, Storage
from evidence.training.tasks import Attention, AttentionBy

PLAIN = s2fp8.Parameters.of_bias(s2fp8.FORMAT.bias)

_INFINITY = 0x7F800000
_SMALLEST_NORMAL = 0x00800000
# As int32 the word of -0. From there words rise as magnitudes do, up to -NaN, then come +0 and the positive ones.
_LOWEST = -(2**31)
_SEGMENT_BITS = 16
_SEGMENTS = 2**_SEGMENT_BITS
_LARGEST = s2fp8.FORMAT.max_finite
_CODES = np.append(np.arange(_LARGEST + 1), s2fp8.FORMAT.nan)
_CODES = np.concatenate([_CODES | 0x80, _CODES]).astype(np.uint8)
_THRESHOLDS = full.thresholds()[:_LARGEST]
_FRACTIONS = full.log2_fraction(np.arange(2**full.LOG_BITS))


def _logarithms():
    """log2|x| + 127 in units of 2**-8 by the upper 16 bits of a magnitude; 0 is what does not count."""
    upper = np.arange(2**16)
    fractions = np.rint(256 * np.log2(1 + (upper & 255) / 256)).astype(np.int32)
    counts = (upper >= _SMALLEST_NORMAL >> 15) & (upper < _INFINITY >> 15)
    return torch.from_numpy(np.where(counts, (upper & 0xFF00) + fractions, 0).astype(np.int32))


_LOGS = _logarithms()


def statistics(x):
    """The mean and the largest of log2|x| as ``raw(type)["mean"]`` and ``["max"]`` of
    `golden.statistics.LogMoments`, or None where nothing counts."""
    words = x.detach().contiguous().view(torch.int32).flatten()
    logs = _LOGS.index_select(0, (words >> 15).bitwise_and_(0xFFFF))
    total = int(torch.count_nonzero(logs))
    return (int(logs.sum()) // total, int(logs.max())) if total else None


def truncate(x, parameters):
    """What `golden.s2fp8.encode` and `decode` in full precision leave of `x`, float32, with some `golden.s2fp8.Parameters`."""
    return _step_function(parameters)(x)


class _StepFunction:
    """Truncation is a step function of the word: its steps, and of each segment, words of the same upper half, the first one.

    Where no segment has more than one step, a word's value is found without a search.
    """

    def __init__(self, parameters):
        steps = _steps(parameters.alpha, parameters.mean)
        steps = np.concatenate([steps + _LOWEST, [0], steps])
        self._steps = torch.from_numpy(np.append(steps, 2**31 - 1).astype(np.int32))
        values = s2fp8.decode(_CODES, parameters.inverse, parameters.mean, precision="full")
        self._values = torch.from_numpy(np.append(values, values[-1]))
        inner = steps[steps & _SEGMENTS - 1 != 0] >> _SEGMENT_BITS
        self._first = None
        if (np.diff(inner) > 0).all():
            # the number of steps up to a segment's first word
            ends = -(-(steps - _LOWEST) >> _SEGMENT_BITS)
            counts = np.diff(np.concatenate([[0], ends, [_SEGMENTS]]))
            self._first = torch.from_numpy(np.repeat(np.arange(len(steps) + 1, dtype=np.int32), counts))

    def __call__(self, x):
        words = x.detach().contiguous().view(torch.int32).flatten()
        if self._first is None:
            index = torch.bucketize(words, self._steps[:-1], out_int32=True, right=True)
        else:
            index = self._first.index_select(0, (words >> _SEGMENT_BITS).add_(_SEGMENTS // 2))
            index += words >= self._steps.index_select(0, index)
        return self._values.index_select(0, index).view(x.shape)


_step_function = lru_cache(maxsize=64)(_StepFunction)


def _steps(alpha, mean):
    """The least words, without a sign, of each code from 1 on, then that of NaN: int64 [124].

    `golden.s2fp8.encode` in full precision backwards: a bit that stands for those dropped is odd, so the least that gives an
    odd number is one more than what gives the even one below.
    """
    power = -(
        -(_THRESHOLDS << s2fp8.ALPHA_FRACTION_BITS) // (2**s2fp8.ALPHA_FRACTION_BITS + alpha % 2**s2fp8.ALPHA_FRACTION_BITS)
    )
    most = s2fp8.ALPHA_RANGE[1] >> s2fp8.ALPHA_FRACTION_BITS
    distance = _before_jamming(power, most - (alpha >> s2fp8.ALPHA_FRACTION_BITS))
    distance = -(-distance >> most + full.POWER_BITS - full.LOG_BITS)
    logs = distance + (mean << full.LOG_BITS - s2fp8.MEAN_FRACTION_BITS)
    exponent, fraction = logs >> full.LOG_BITS, logs & 2**full.LOG_BITS - 1
    kept = (exponent << full.LOG_BITS) + np.searchsorted(_FRACTIONS, fraction)
    words = np.clip(_before_jamming(kept, 23 - full.LOG_BITS), _SMALLEST_NORMAL, _INFINITY)
    return np.append(words, _INFINITY + 1)


def _before_jamming(values, places):
    """The least numbers that, shifted right with the last bit set if any that left was, give `values` or more."""
    odd = values & 1 if places else 0
    return (values - odd << places) + odd


class Slot:
    """One of the tensors that every step truncates; `type` is that of `evidence.training.storage`."""

    def __init__(self, type):
        self.type = type
        self.parameters = PLAIN


class Plain:
    """FP8 of 1, 5 and 2 bits with subnormals, saturating: ``float8_e5m2``.

    Attributes
    ----------
    observing : bool
        Whether what passes counts for the statistics, if there are any.
    """

    def __init__(self):
        self.observing = False

    def through(self, x, slot):
        return truncate(x, PLAIN)

    def end(self):
        """A step ends."""


class Squeezed(Plain):
    """S2FP8. A tensor's parameters are from its statistics in the step before, in the first step alpha is 1 and beta 0."""

    def through(self, x, slot):
        y = truncate(x, slot.parameters)
        if self.observing and (found := statistics(x)):
            slot.parameters = s2fp8.parameters(*found)
        return y


class Biased(Plain):
    """Adaptive bias: a `evidence.training.storage.Storage`, with one bias for each type."""

    def __init__(self, storage):
        super().__init__()
        self._storage = storage
        self._storage.narrow = True

    def through(self, x, slot):
        self._storage.observing = self.observing
        return self._storage.through(x, slot.type)

    def end(self):
        self._storage.end()


def take_over(model, truncation):
    """Replace the layers that multiply by truncated ones; returns those by name."""

    def made(name, module):
        if isinstance(module, Attention):
            return AttentionBy(TruncatedProduct(truncation), TruncatedProduct(truncation))
        return TruncatedLayer(module, truncation)

    return replace(model, (*MULTIPLYING, Attention), made)


class TruncatedProduct(nn.Module):
    """Slots of the two operands of a product and of the result; in each, those of its gradient."""

    def __init__(self, truncation, type=ACTIVATION, gradient=ERROR):
        super().__init__()
        self._truncation = truncation
        self.slots = [(Slot(ACTIVATION), Slot(ERROR)), (Slot(type), Slot(gradient)), (Slot(ACTIVATION), Slot(ERROR))]

    def forward(self, x, y, product=torch.matmul):
        """``product(x, y)``."""
        first, second, result = (lambda z, slots=slots: Pass.apply(z, self._truncation, *slots) for slots in self.slots)
        return result(product(first(x), second(y)))


class TruncatedLayer(nn.Module):
    """A linear or convolution layer."""

    def __init__(self, layer, truncation):
        super().__init__()
        self.layer = layer
        self.products = TruncatedProduct(truncation, WEIGHT, GRADIENT)

    def forward(self, x):
        return self.products(x, self.layer.weight, partial(with_weights, self.layer))


EPOCHS = {"shakespeare": 4}  # instead of the task's own


class TruncationHook(Hook):
    """Every tensor before and after every matrix product is truncated as a `evidence.training.arms.TruncationArm` says.

    Of S2FP8 it adds to the results "alphas" and "betas": after each epoch, of each type, the medians over the tensors.
    """

    def __init__(self, arm):
        self.scale = arm.scale
        kinds = {"e5m2": Plain, "adaptive": lambda: Biased(Storage(MedianTracker())), "s2fp8": Squeezed}
        self._truncation = kinds[arm.kind]()

    def attach(self, task, model, steps):
        take_over(model, self._truncation)
        self._products = [module for module in model.modules() if isinstance(module, TruncatedProduct)]

    def begin_step(self):
        self._truncation.observing = True

    def end_step(self):
        self._truncation.observing = False
        self._truncation.end()

    def end_epoch(self, result):
        if not isinstance(self._truncation, Squeezed):
            return
        slots = [slot for product in self._products for pair in product.slots for slot in pair]
        for name, value in (("alphas", "squeeze"), ("betas", "shift")):
            of_types = [[getattr(slot.parameters, value) for slot in slots if slot.type == i] for i in range(len(TYPES))]
            result.setdefault(name, []).append([round(float(np.median(values)), 3) for values in of_types])


def run(task, arm, seed, quick):
    """A run of `evidence.claims.s2fp8_training`."""
    chosen = TRUNCATION_ARMS[arm]
    hook = Hook() if chosen.kind == "fp32" else TruncationHook(chosen)
    return train(task, hook, seed, quick, EPOCHS.get(task))
