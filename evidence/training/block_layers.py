"""Layers whose matrix products multiply block floating point, forward and backward: `golden.bfp` in PyTorch, for training.

A layer's product O = A W has two more in the backward pass, dA = dO W^T and dW = A^T dO. Each operand is converted in groups
of 16 along the dimension that its product sums over; every tensor is in two products and has other groups in each, so it is
converted twice, from FP32. A convolution is the product of the rows that `evidence.training.emulation.rows_of` makes, a row's
numbers in the order channel, line, column; dA's rows are added up to the error of the image in FP32. Attention's two products
are layers as well: its keys and its values take the place of weights.

Operands are bit for bit those that `golden.bfp.convert` and `decode` give. Products of such numbers are exact in FP32. PyTorch
sums them in FP32: the accumulators of the hardware are not emulated. Everything else, from biases to the softmax, is FP32.
"""

import numpy as np
import torch
from narrowfloat.golden.bfp import EPSILON_BITS, SR_BITS, SUM_BITS, precision
from torch import nn
from torch.nn import functional

from evidence.training.arms import BLOCK_ARMS, OPERANDS
from evidence.training.emulation import MULTIPLYING, replace, rows_of, shaped
from evidence.training.loop import Hook, train
from evidence.training.tasks import Attention, AttentionBy

ACTIVATION, WEIGHT, GRADIENT = range(len(OPERANDS))
GROUP = 16
MAX_BITS = 4
SPANS = 20  # equal parts of a training, over each of which precisions are averaged
# As far as is known of the paper, arXiv 2110.15456.
ALPHA, BETA = (round(value * 2**EPSILON_BITS) for value in (0.6, 0.3))
# A tensor's sums are relative to an exponent so far below its largest of the step before; see
# `golden.bfp.relative_improvement`.
HEADROOM = 14
FIRST_EXPONENT = 127

_LARGEST_WORD = 0x7F7FFFFF
_EXPONENT = 0x7F800000
_MAN_BITS = 23
_SIGN = -(2**31)
# With numbers between these, conversion rounds nothing in FP32 and leaves no range.
_LEAST, _MOST = 2.0**-90, 2.0**90
_POWERS = torch.from_numpy(np.ldexp(1.0, np.arange(-255, 256)))


class BlockTensor:
    """A float32 tensor in groups of 16 along `axis`, -1 or -2, of which the last is filled up with zeros."""

    def __init__(self, x, axis):
        self._length, self._axis = x.shape[axis], axis
        missing = -self._length % GROUP
        if missing:
            x = functional.pad(x, (0, missing) if axis == -1 else (0, 0, 0, missing))
        self._x = x.unflatten(axis, (-1, GROUP))
        self._magnitudes = self._x.abs()
        largest = self._magnitudes.amax(axis, keepdim=True)
        # false for a NaN, too
        is_usual = ((largest <= _MOST) & ((largest >= _LEAST) | (largest == 0))).all()
        if not is_usual:
            self._x = _regular(self._x)
            self._magnitudes = self._x.abs()
            largest = self._magnitudes.amax(axis, keepdim=True).float()
        words = largest.view(torch.int32)
        self._exponents = words >> _MAN_BITS
        # 2**(E - 127), or 0 for a group of zeros
        self._power = (words & _EXPONENT).view(torch.float32).to(self._x.dtype)
        self._digits = -int(np.log2(torch.finfo(self._x.dtype).eps)) + 1

    @property
    def shape(self):
        """[..., groups, 16] for an axis of -1, [..., groups, 16, n] for -2."""
        return self._x.shape

    @property
    def largest_exponent(self):
        return int(self._exponents.max())

    def rounded(self, bits, rounding, random_bits=None):
        """What the tensor is after `golden.bfp.convert` to `bits` mantissa bits and `decode`: float32, in its shape.

        `random_bits` are integers from 0 to 255, of the shape `shape`.
        """
        if rounding == "rne":
            found = self._nearest(bits)
        else:
            scaled = self._scaled(bits + (SR_BITS if rounding == "sr" else 0)).floor_()
            if rounding == "sr":
                scaled.add_(random_bits).mul_(2.0**-SR_BITS).floor_().clamp_(max=2**bits - 1)
            # + 0 as the golden model has no -0
            found = scaled.mul_(self._power * 2.0 ** (1 - bits)).copysign_(self._x).add_(0.0)
        return found.float().flatten(self._axis - 1, self._axis).narrow(self._axis, 0, self._length)

    def sums(self, reference):
        """The numerator and denominator of `golden.bfp.relative_improvement`."""
        whole = self._scaled(MAX_BITS).floor_()
        high = (whole * 0.25).floor_().sum(self._axis, keepdim=True).double()
        low = whole.sum(self._axis, keepdim=True).double() - 4 * high
        weights = _POWERS[(self._exponents - reference + 255).long()]
        # Exact up to 2**53, and from 2**40 on it does not matter.
        return tuple(int(min((part * weights).floor_().sum(), 2**SUM_BITS - 1)) for part in (low, 4 * high))

    def _scaled(self, bits):
        """Magnitudes in units of the last of `bits` bits."""
        scale = torch.where(self._power > 0, 2.0 ** (bits - 1) / self._power, 0.0)
        return self._magnitudes * scale

    def _nearest(self, bits):
        # Where a number's last bit is that unit, addition rounds to it: to the nearest, ties to even.
        unit_is_last = self._power * (1.5 * 2.0 ** (self._digits - bits))
        limit = self._power * (2 - 2.0 ** (1 - bits))
        return (self._x + unit_is_last).sub_(unit_is_last).clamp_(0 - limit, limit)


def _regular(x):
    """Without subnormals, infinities and NaN, as the golden model reads them, and in float64, where nothing is out of range."""
    words = x.contiguous().view(torch.int32)
    magnitudes = (words & ~_SIGN).clamp_(max=_LARGEST_WORD)
    magnitudes = torch.where(magnitudes < 1 << _MAN_BITS, 0, magnitudes)
    return (magnitudes | words & _SIGN).view(torch.float32).double()


class Arithmetic(Hook):
    """How all layers of a model convert their operands; `arm` is an `evidence.training.arms.BlockArm`.

    It adds to the results of a training "passes", of all products, relative to 4 bits throughout. Where the policy chooses the
    precision it also adds "layers", their names, and "bits": of each of `SPANS` parts of the training, of each layer, the mean
    mantissa bits of its activations, weights and gradients.

    Attributes
    ----------
    layers : dict of BlockProducts
        By name, in the order in which they are computed.
    history : list
        Of each step, of each layer, the mantissa bits of its activations, weights and gradients.
    passes, macs : int
        Of all products of all steps: passes of 2 by 2 bits, and multiply-accumulates.
    """

    def __init__(self, arm, seed):
        self.arm = arm
        self.layers = {}
        self.history = []
        self.passes = self.macs = 0
        self._random = np.random.default_rng([seed, 2])

    def attach(self, task, model, steps):
        """Replace the layers that multiply by layers that do it in block floating point."""
        self._steps = steps
        replace(model, (*MULTIPLYING, Attention), self._layer)

    def _layer(self, name, module):
        if isinstance(module, Attention):
            return AttentionBy(self._products(f"{name}.scores"), self._products(f"{name}.values"))
        return BlockLayer(module, self._products(name))

    def _products(self, name):
        self.layers[name] = BlockProducts(self)
        return self.layers[name]

    def begin_step(self):
        step = len(self.history)
        if self.arm.bits is None and step:
            for number, layer in enumerate(self.layers.values()):
                layer.choose(iteration=step, iterations=self._steps, layer=number, layers=len(self.layers))
        self.history.append([list(layer.bits) for layer in self.layers.values()])

    def random_bits(self, shape):
        return torch.from_numpy(self._random.integers(0, 2**SR_BITS, shape, np.uint8))

    def finish(self, result):
        result["passes"] = round(self.passes / (self.macs * (MAX_BITS // 2) ** 2), 6)
        if self.arm.bits is None:
            result["layers"] = list(self.layers)
            spans = np.array_split(np.array(self.history, np.float64), min(SPANS, self._steps))
            result["bits"] = [span.mean(axis=0).round(2).tolist() for span in spans]


class BlockProducts(nn.Module):
    """The three products of a layer: `x @ y`, and in the backward pass the two with the gradient of its result.

    The precision of a tensor is that of `golden.bfp.precision` from the tensor's sums in the step before; in the first step
    4 bits. The sums are gathered as A and W are converted for O, and dO for dW.

    Attributes
    ----------
    bits, sums : list
        Of A, W and dO the mantissa bits, and the two sums of `golden.bfp.relative_improvement` of the last step.
    """

    def __init__(self, arithmetic):
        super().__init__()
        self._arithmetic = arithmetic
        self.bits = [arithmetic.arm.bits or MAX_BITS] * len(OPERANDS)
        self.sums = [None] * len(OPERANDS)
        self._references = [FIRST_EXPONENT - HEADROOM] * len(OPERANDS)

    def forward(self, x, y):
        return _Product.apply(x, y, self)

    def choose(self, **position):
        self.bits = [precision(*sums, alpha=ALPHA, beta=BETA, **position) for sums in self.sums]

    def multiply(self, left, right, counted=True, gathered=()):
        """The product of two operands, each a tensor with its kind; sums are taken of the kinds in `gathered`."""
        (a, a_type), (b, b_type) = left, right
        product = self._converted(a, a_type, -1, gathered) @ self._converted(b, b_type, -2, gathered)
        if counted:
            macs = product.numel() * a.shape[-1]
            self._arithmetic.macs += macs
            self._arithmetic.passes += macs * (self.bits[a_type] // 2) * (self.bits[b_type] // 2)
        return product

    def _converted(self, x, type, axis, gathered):
        arm, groups = self._arithmetic.arm, BlockTensor(x, axis)
        if arm.bits is None and type in gathered:
            self.sums[type] = groups.sums(self._references[type])
            self._references[type] = max(0, groups.largest_exponent - HEADROOM)
        if type == GRADIENT and arm.stochastic:
            return groups.rounded(self.bits[type], "sr", self._arithmetic.random_bits(groups.shape))
        return groups.rounded(self.bits[type], arm.rounding)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y, products):
        ctx.save_for_backward(x, y)
        ctx.products = products
        gathered = (ACTIVATION, WEIGHT) if products.training else ()
        return products.multiply((x, ACTIVATION), (y, WEIGHT), counted=products.training, gathered=gathered)

    @staticmethod
    def backward(ctx, error):
        (x, y), products = ctx.saved_tensors, ctx.products
        to_x = products.multiply((error, GRADIENT), (y.mT, WEIGHT)) if ctx.needs_input_grad[0] else None
        to_y = products.multiply((x.mT, ACTIVATION), (error, GRADIENT), gathered=(GRADIENT,))
        return to_x, to_y, None


class BlockLayer(nn.Module):
    """A linear or convolution layer."""

    def __init__(self, layer, products):
        super().__init__()
        self.layer = layer
        self._products = products

    def forward(self, x):
        rows, shape = rows_of(self.layer, x)
        return shaped(self.layer, self._products(rows, self.layer.weight.flatten(1).T), shape)


def run(task, arm, seed, quick):
    """A run of `evidence.claims.fast_training`."""
    chosen = BLOCK_ARMS[arm]
    return train(task, Hook() if chosen.fp32 else Arithmetic(chosen, seed), seed, quick)
