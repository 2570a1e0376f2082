"""A network whose every product is LBFP: a batch of real images for the dot product, and what the whole network makes of them.

The network of `golden.reference.network`, trained in FP32, with exponents from `golden.lbfp.calibration`: one per output of
each layer for its weights, one per layer for its inputs. Everything after the images are encoded is integer: dot products,
offsets on the accumulator's grid, ReLU, re-encoding. NumPy only.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.lbfp import encode, encode_fixed, lsb_exponent, matmul
from narrowfloat.golden.lbfp.calibration import calibrate
from narrowfloat.golden.reference.network import epochs, load_mnist, propagate, split

CALIBRATION_IMAGES = 512  # of those trained on


@dataclass(frozen=True)
class Layer:
    """A layer in LBFP.

    Attributes
    ----------
    weights : numpy.ndarray
        uint8 codes [outputs, inputs].
    exponents : numpy.ndarray
        int32 [outputs], of the weights.
    input_exponent : int
        Of all inputs.
    offsets : numpy.ndarray
        float32 [outputs], added to the dot products.
    """

    weights: np.ndarray
    exponents: np.ndarray
    input_exponent: int
    offsets: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Dot products of real data: each row of `a` with each row of `b`.

    Attributes
    ----------
    a, b : numpy.ndarray
        uint8 codes: images [count, 784] and the first layer's weights [128, 784].
    exponent_a : int
        Of all of `a`.
    exponents_b : numpy.ndarray
        int32 [128], of each row of `b`.
    """

    a: np.ndarray
    b: np.ndarray
    exponent_a: int
    exponents_b: np.ndarray


def mlp_batch(count=64, fmt=CATALOG["lbfp8"]):
    """The first layer of the network for the first `count` images that were held out, as a `Batch`."""
    first = mlp(fmt)[0]
    return Batch(encode(mlp_images(count), fmt, first.input_exponent), first.weights, first.input_exponent, first.exponents)


def mlp_images(count):
    """The first `count` images that were held out: float32 [count, 784]."""
    images, labels = load_mnist()
    return images[split(labels)[1][:count]]


@cache
def mlp(fmt=CATALOG["lbfp8"], method="kl"):
    """The layers of the network in `fmt`, their exponents calibrated by `method` on images that were trained on."""
    images, labels = load_mnist()
    parameters = _trained()
    some = split(labels)[0][:CALIBRATION_IMAGES]
    inputs, _, _ = propagate(parameters, images[some], labels[some])
    depth = len(parameters) // 2
    layers = []
    for weights, offsets, x in zip(parameters[:depth], parameters[depth:], inputs[:depth], strict=True):
        exponents = calibrate(weights, fmt, method, axis=0)
        layers.append(Layer(encode(weights, fmt, exponents[:, None]), exponents, calibrate(x, fmt, method), offsets))
    return layers


def infer(layers, images, fmt=CATALOG["lbfp8"], **product):
    """The scores of images.

    Parameters
    ----------
    layers : list of Layer
    images : numpy.ndarray
        float32 [count, inputs].
    fmt : LogBlockFormat
    **product
        How products are formed: as for `golden.lbfp.multiply`.

    Returns
    -------
    numpy.ndarray
        float64 [count, outputs]: the last layer's accumulators with their weight, exact.
    """
    scale = {name: value for name, value in product.items() if name != "output"}
    codes = encode(images, fmt, layers[0].input_exponent)
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        lsb = lsb_exponent(fmt, layer.exponents + layer.input_exponent, **scale)
        sums = matmul(codes, layer.weights, fmt, **product) + np.rint(np.ldexp(layer.offsets, -lsb)).astype(np.int64)
        if following is None:
            return np.ldexp(sums.astype(np.float64), lsb)
        codes = encode_fixed(np.maximum(sums, 0), fmt, following.input_exponent, lsb)
    raise ValueError("layers must not be empty")


def accuracies(fmt=CATALOG["lbfp8"], method="kl", **product):
    """The shares of the held-out images that FP32 and that LBFP, with products formed as `product` says, classify correctly."""
    images, labels = load_mnist()
    held_out = split(labels)[1]
    images, labels = images[held_out], labels[held_out]
    wide = propagate(_trained(), images, labels)[0][-1]
    narrow = infer(mlp(fmt, method), images, fmt, **product)
    return tuple(float(np.mean(scores.argmax(axis=1) == labels)) for scores in (wide, narrow))


@cache
def _trained():
    return list(epochs(*load_mnist()))[-1][1]
