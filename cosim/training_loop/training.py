"""A network that trains with every tensor in memory, as requests to a port that it does not know."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from narrowfloat.golden.memory import MODES
from narrowfloat.golden.reference.network import MOMENTUM, WEIGHT_DECAY, load_mnist, output_error

TYPES = ("activation", "error", "gradient", "weight")
ACTIVATION, ERROR, GRADIENT, WEIGHT = range(len(TYPES))
SEED = 1
LEARNING_RATE = np.float32(0.05)


@dataclass(frozen=True)
class Plan:
    """Sizes of a training: `calibration` of the `epochs` are in FP32, the rest in FP8."""

    widths: tuple[int, ...] = (196, 32, 16, 10)
    epochs: int = 12
    calibration: int = 4
    trained: int = 2000
    held_out: int = 1000
    batch: int = 100

    @property
    def steps(self):
        """In all epochs together."""
        return self.epochs * (self.trained // self.batch)


@dataclass(frozen=True)
class Scheme:
    """How the port is set: by an estimator that chooses biases or S2FP8's parameters, or with a forced bias; without both
    everything is FP32 to the end."""

    name: str
    estimator: str | None = None
    end_on_epoch: bool = False
    force: int | None = None
    s2fp8: bool = False

    @property
    def is_fp32(self):
        return self.estimator is None and self.force is None

    @property
    def settings(self):
        """Settings with which the port is emitted; by default as it is shipped."""
        return ("estimators=moments", "s2fp8=1") if self.s2fp8 else ()

    @property
    def modes(self):
        """The modes of training and of evaluation in which tensors are encoded."""
        return MODES[4:] if self.s2fp8 else MODES[2:4]


SCHEMES = (
    Scheme("FP32"),
    Scheme("E5M2, bias 15", force=15),
    Scheme("adaptive, tracker", "tracker"),
    Scheme("adaptive, median", "median", end_on_epoch=True),
    Scheme("S2FP8", "moments", end_on_epoch=True, s2fp8=True),
)


@dataclass(frozen=True)
class Store:
    """A request to write a tensor to memory; with bypass, if it has no type."""

    name: str
    type: int | None
    values: np.ndarray


def _store(name, type, values):
    yield Store(name, type, values)


@dataclass(frozen=True)
class Load:
    """A request to read a tensor that was written: float32, in its shape."""

    name: str


@dataclass(frozen=True)
class Ask:
    """A request to call the method `name` of the port."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Training:
    """A training that knows no port: `run` yields requests, and is sent their results.

    Parameters
    ----------
    plan : Plan
    scheme : Scheme
    images, labels
        As from `small_images`.
    seed : int
        Of the first weights and of the order of the images.

    Attributes
    ----------
    step : int
        How many steps are done.
    biases : list of dict
        For each tensor of a step, evaluations apart, its name, its type, its bias, and in steps from the start when it is
        written. In FP32 the bias is the one that the tensor would have in FP8. In S2FP8 there are alpha and the mean logarithm
        in place of the bias.
    history : list of dict
        For each epoch its number, the mean loss of its steps, and the loss and accuracy with the images that are held out.
    """

    def __init__(self, plan, scheme, images, labels, seed):
        self._plan, self._scheme = plan, scheme
        self._images, self._labels = images, labels
        self._rng = np.random.default_rng(seed)
        self.step = 0
        self._written = 0  # tensors of this step
        self.biases = []
        self.history = []

    def run(self):
        """Generator of `Store`, `Load` and `Ask`; its value are the FP32 weights of each layer with their velocities."""
        plan, scheme = self._plan, self._scheme
        order = self._rng.permutation(len(self._labels))
        trained, held_out = order[: plan.trained], order[plan.trained :][: plan.held_out]
        yield Ask("choose", {"estimator": scheme.estimator, "end_on_epoch": scheme.end_on_epoch, "force": scheme.force})
        for epoch in range(plan.epochs):
            observes, evaluates = ("calibrate", "fp32") if epoch < plan.calibration else scheme.modes
            yield Ask("set_mode", {"mode": "fp32" if scheme.is_fp32 else observes})
            if epoch == 0:
                yield from self._begin()
            losses = []
            for batch in np.split(self._rng.permutation(trained), range(plan.batch, plan.trained, plan.batch)):
                losses.append((yield from self._train(self._images[batch], self._labels[batch])))
                self.step += 1
            yield Ask("end_epoch")
            yield Ask("statistics")
            yield Ask("set_mode", {"mode": "fp32" if scheme.is_fp32 else evaluates})
            scores = yield from self._forward(self._images[held_out])
            loss, _ = _loss(scores, self._labels[held_out])
            accuracy = float(np.mean(scores.argmax(axis=1) == self._labels[held_out]))
            self.history.append(
                {"epoch": epoch + 1, "loss": float(np.mean(losses)), "held_out_loss": loss, "accuracy": accuracy}
            )
        states = []
        for layer in self._layers:
            states.append((yield Load(f"fc{layer}.state")))
        return states

    @property
    def _layers(self):
        return range(1, len(self._plan.widths))

    def _begin(self):
        for layer, fan_in, fan_out in zip(self._layers, self._plan.widths, self._plan.widths[1:], strict=False):
            # He et al. 2015, arXiv 1502.01852; the last column is what is added to the products
            weight = np.zeros((fan_out, fan_in + 1), np.float32)
            weight[:, :-1] = self._rng.standard_normal((fan_out, fan_in), np.float32) * np.float32((2 / fan_in) ** 0.5)
            yield Store(f"fc{layer}.state", None, np.stack([weight, np.zeros_like(weight)]))
            yield Store(f"fc{layer}.weight", WEIGHT, weight)

    def _forward(self, images, store=_store):
        """The scores, as they come from memory; `store` is how tensors go there."""
        yield from store("fc0.activation", ACTIVATION, images)
        for layer in self._layers:
            inputs = yield Load(f"fc{layer - 1}.activation")
            weight = yield Load(f"fc{layer}.weight")
            output = inputs @ weight[:, :-1].T + weight[:, -1]
            output = np.maximum(output, 0) if layer < self._layers[-1] else output
            yield from store(f"fc{layer}.activation", ACTIVATION, output)
        return (yield Load(f"fc{self._layers[-1]}.activation"))

    def _train(self, images, labels):
        """One step; its loss."""
        self._written = 0
        scores = yield from self._forward(images, self._store)
        loss, error = _loss(scores, labels)
        for layer in reversed(self._layers):
            yield from self._store(f"fc{layer}.error", ERROR, error)
            error = yield Load(f"fc{layer}.error")
            inputs = yield Load(f"fc{layer - 1}.activation")
            gradient = np.concatenate([error.T @ inputs, error.sum(axis=0)[:, None]], axis=1)
            yield from self._store(f"fc{layer}.gradient", GRADIENT, gradient)
            if layer > 1:
                weight = yield Load(f"fc{layer}.weight")
                error = error @ weight[:, :-1] * (inputs > 0)
        for layer in self._layers:
            weight, velocity = yield Load(f"fc{layer}.state")
            gradient = yield Load(f"fc{layer}.gradient")
            velocity = MOMENTUM * velocity - LEARNING_RATE * (gradient + WEIGHT_DECAY * weight)
            weight = weight + velocity
            yield Store(f"fc{layer}.state", None, np.stack([weight, velocity]))
            yield from self._store(f"fc{layer}.weight", WEIGHT, weight)
        return loss

    def _store(self, name, type, values):
        """Have a tensor written, and its bias or squeeze recorded."""
        found = yield Ask("squeeze" if self._scheme.s2fp8 else "bias", {"type": type})
        # in a step each layer has one of each type, and the images are activations besides
        when = self.step + self._written / (len(TYPES) * len(self._layers) + 1)
        self.biases.append({"name": name, "type": TYPES[type], **found, "when": round(when, 3)})
        self._written += 1
        yield Store(name, type, values)


def _loss(scores, labels):
    """Mean cross-entropy, and its gradient with respect to the scores."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    loss = np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels])
    return float(loss), output_error(scores, labels)


def small_images():
    """MNIST-5k with each 2 x 2 pixels made one: float32 [5000, 196] from 0 to 1, and labels [5000]."""
    images, labels = load_mnist()
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196), labels
