"""Layers that compute as a number format would: PyTorch modules whose inputs and weights are rounded as the golden model does.

Weights have a scale or a shared exponent for each output channel, inputs one for the whole tensor, calibrated before. LBFP's
products are either exact, or formed as the hardware forms them: `golden.lbfp.matmul`, or for large layers `OneHot`, the same
integers by matrix products of FP32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import antilog_table, decode, encode, lsb_exponent, matmul
from narrowfloat.golden.lbfp.calibration import Histogram, calibrate
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from evidence.training.entropy import INT8_LEVELS, entropy_threshold

MULTIPLYING = nn.Linear, nn.Conv1d, nn.Conv2d
_PART = 512  # rows of a matrix product by OneHot


class Emulated(nn.Module):
    """A Linear, Conv1d or Conv2d layer in the place of which others can compute: `compute` takes its input. At first it does
    itself."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.histogram = Histogram()
        self._exponents = {}
        self.compute = layer.forward

    def forward(self, x):
        return self.compute(x)

    def observe(self, x):
        """Compute in FP32 and count the input in the histogram."""
        self.histogram.observe(x.numpy())
        return self.layer(x)

    def exponents(self, fmt, method):
        """The calibrated exponents of the weights, int32 [outputs], and of the input."""
        if (fmt, method) not in self._exponents:
            weights = calibrate(self.layer.weight.flatten(1).numpy(), fmt, method, axis=0)
            self._exponents[fmt, method] = weights, calibrate(self.histogram, fmt, method)
        return self._exponents[fmt, method]


def emulate(model):
    """Put an `Emulated` in the place of each layer with products; returns them by name."""
    return replace(model, MULTIPLYING, lambda name, layer: Emulated(layer))


def replace(model, kinds, make):
    """Put ``make(name, module)`` in the place of each module of one of `kinds`, a tuple of classes; returns the new ones by
    name."""
    old = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    found = {}
    for name, module in old.items():
        path, _, own = name.rpartition(".")
        found[name] = make(name, module)
        model.get_submodule(path).add_module(own, found[name])
    return found


@dataclass(frozen=True, kw_only=True)
class Int8:
    """Symmetric integers from -127 to 127; scales of weights from the largest, of inputs by `method`: "max" or "entropy"."""

    method: str

    def layer(self, emulated, is_large):
        weights = emulated.layer.weight.flatten(1)
        largest = weights.abs().amax(1, keepdim=True)
        scale = torch.where(largest > 0, largest, 1) / (INT8_LEVELS - 1)
        weights = torch.round(weights / scale) * scale
        histogram = emulated.histogram
        threshold = histogram.largest if self.method == "max" else entropy_threshold(histogram)
        unit = (threshold or 1.0) / (INT8_LEVELS - 1)

        def compute(x):
            rounded = torch.round(x / unit).clamp(1 - INT8_LEVELS, INT8_LEVELS - 1) * unit
            return with_weights(emulated.layer, rounded, weights)

        return compute


@dataclass(frozen=True, kw_only=True)
class Lbfp:
    """LBFP with exponents calibrated by `method`; `product`, where given, says how products are formed (see
    `golden.lbfp.multiply`)."""

    fmt: LogBlockFormat
    method: str
    product: dict | None = None

    def layer(self, emulated, is_large):
        exponents, exponent = emulated.exponents(self.fmt, self.method)
        codes = encode(emulated.layer.weight.flatten(1).numpy(), self.fmt, exponents[:, None])
        if self.product is None:
            weights = torch.from_numpy(decode(codes, self.fmt, exponents[:, None]))
            table = Rounding(self.fmt, exponent)
            return lambda x: with_weights(emulated.layer, table.values(x), weights)
        scale = {name: value for name, value in self.product.items() if name != "output"}
        lsb = torch.from_numpy(lsb_exponent(self.fmt, exponents + exponent, **scale))
        table = Rounding(self.fmt, exponent)
        products = OneHot(codes, self.fmt, **scale) if is_large else None

        def compute(x):
            # 0 is the code of zero, so that padding with zeros is right for codes too
            rows, shape = rows_of(emulated.layer, torch.from_numpy(table.codes(x)).float())
            rows = rows.numpy().astype(np.uint8)
            sums = products(rows) if is_large else torch.from_numpy(matmul(rows, codes, self.fmt, **self.product))
            return shaped(emulated.layer, torch.ldexp(sums.double(), lsb).float(), shape)

        return compute


class Rounding:
    """`golden.lbfp.encode` with one exponent, and `decode` after it, by a table of all that can make a difference."""

    def __init__(self, fmt, exponent):
        self._shift = 23 - (fmt.frac_bits + 4)
        words = np.arange(2 ** (32 - self._shift), dtype=np.uint32) << np.uint32(self._shift)
        self._codes = encode(words.view(np.float32), fmt, exponent)
        self._values = decode(self._codes, fmt, exponent)

    def codes(self, x):
        return self._codes.take(self._keys(x))

    def values(self, x):
        return torch.from_numpy(self._values.take(self._keys(x)))

    def _keys(self, x):
        return x.contiguous().numpy().view(np.uint32) >> np.uint32(self._shift)


class OneHot:
    """Products of LBFP as the hardware forms them, by a matrix product in FP32: all integers but the accumulation are exact.

    A product is ``2**(i_a + i_b) * (A[f_a + f_b], shifted once on a carry)``: for each f_a by itself it is the product of one
    number of a and one of b. So an input becomes as many numbers as there are fractions, all but one of them zero.
    """

    def __init__(self, codes, fmt, **product):
        steps = 2**fmt.frac_bits
        fractions = np.add.outer(np.arange(steps), np.arange(steps))
        products = antilog_table(fmt, **product)[fractions % steps] << fractions // steps
        every = np.arange(2**fmt.bits)
        c = every & fmt.max_magnitude
        size = np.where(c == 0, 0, 2.0 ** (c >> fmt.frac_bits)) * np.where(every > fmt.max_magnitude, -1, 1)
        # [code, f_a]
        self._hot = torch.from_numpy((size[:, None] * (c[:, None] % steps == np.arange(steps))).astype(np.float32))
        weights = (size[:, None] * products[c % steps]).astype(np.float32)
        self._weights = torch.from_numpy(weights[codes]).flatten(1).T.contiguous()  # [n * steps, columns]

    def __call__(self, rows):
        parts = (functional.embedding(part.int(), self._hot) for part in torch.from_numpy(rows).split(_PART))
        return torch.cat([part.flatten(1) @ self._weights for part in parts])


def with_weights(layer, x, weights):
    """What the layer computes with other weights, [outputs, everything else]."""
    return functional_call(layer, {"weight": weights.view(layer.weight.shape)}, (x,))


def rows_of(layer, x):
    """The inputs of each output as rows, and the shape of what comes out, without channels."""
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, x.shape[-1]), x.shape[:-1]
    if isinstance(layer, nn.Conv1d):
        x = x[:, :, None]
    before = (1, 1)[: 4 - layer.weight.ndim]
    kernel, stride = (*before, *layer.kernel_size), (*before, *layer.stride)
    padding = (*(0 for _ in before), *layer.padding)
    columns = functional.unfold(x, kernel, padding=padding, stride=stride)
    spatial = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(x.shape[2:], padding, kernel, stride, strict=True)]
    shape = (len(x), *spatial[len(before) :])
    return columns.transpose(1, 2).reshape(-1, columns.shape[1]), shape


def shaped(layer, outputs, shape):
    """Rows of outputs in the layer's shape, its bias added."""
    outputs = (outputs + layer.bias).view(*shape, -1)
    return outputs if isinstance(layer, nn.Linear) else outputs.movedim(-1, 1)
