"""A network that trains through the emitted memory port, bit for bit as it does through the golden one.

A 196-32-16-10 network with ReLU learns MNIST-5k, its images halved in size, by gradient descent with momentum in NumPy float32.
Every tensor goes to memory through the write side of the port and is read back through its read side before it is used: images
and activations, errors, gradients and weights as the four types, and beside them, with bypass, the FP32 weights and velocities
that the updates are made to. Calibration epochs in FP32, in which the port observes, come first, then FP8 or S2FP8. Modes,
estimators, forced biases and ends of epochs are written to the port's registers.

The same training runs twice in step, with the emitted Verilog, compiled by Verilator, and with `golden.memory`. What goes
to the port, what lies in memory, what comes back, the bias or squeeze before every tensor, and flags and raw statistics after every epoch
must be the same to the last bit, and so must the weights at the end.

The golden model has no clock. Therefore a tensor is not written before STATUS says that no estimator of its type is busy, and
two cycles pass after a register is written: then the hardware's biases, too, depend on nothing but the order of the tensors,
and its estimators miss no beat.
"""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from narrowfloat.cosim.native_port import NativePort
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.memory import ESTIMATORS, MODES, CoreBeats, MemoryPort
from narrowfloat.golden.reference.network import MOMENTUM, WEIGHT_DECAY, load_mnist
from narrowfloat.golden.reference.spelling import spell_code, spell_float32
from narrowfloat.golden.s2fp8 import ALPHA_FRACTION_BITS, INVERSE_FRACTION_BITS, MEAN_FRACTION_BITS, Parameters
from narrowfloat.golden.statistics import readout

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
    """How the port is set: an estimator that chooses the biases, or S2FP8's parameters, or a forced bias, or nothing, which is
    FP32 to the end."""

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
        """With which the port is emitted: by default as it is shipped."""
        return ("estimators=moments", "s2fp8=1") if self.s2fp8 else ()

    @property
    def modes(self):
        """Those in which tensors are encoded in training and in evaluation."""
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
    """Asks for a tensor to be written to memory; with bypass, if it has no type."""

    name: str
    type: int | None
    values: np.ndarray


def _store(name, type, values):
    yield Store(name, type, values)


@dataclass(frozen=True)
class Load:
    """Asks for a tensor that has been written: float32, in the shape it had."""

    name: str


@dataclass(frozen=True)
class Ask:
    """Asks the port for what its method `name` does."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Training:
    """A training that knows no port: `run` yields what it asks for, and is sent the answers.

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
        For each tensor of a step, except for the evaluations, its name, type and bias, and when it is written: in steps from
        the start. In FP32 it is the bias that it would have in FP8. In S2FP8 there are alpha and the mean logarithm in place of
        the bias.
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
    shares = np.exp(shifted)
    sums = shares.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(sums[:, 0]) - shifted[np.arange(len(labels)), labels]))
    error = shares / sums
    error[np.arange(len(labels)), labels] -= 1
    return loss, error / np.float32(len(labels))


def small_images():
    """MNIST-5k with each 2 x 2 pixels made one: float32 [5000, 196] from 0 to 1, and labels [5000]."""
    images, labels = load_mnist()
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196), labels


def _spelled(parameters):
    """S2FP8's parameters as they are recorded."""
    mean = parameters.mean / 2**MEAN_FRACTION_BITS - 127
    return {"alpha": parameters.squeeze, "mean": mean, "inverse": parameters.inverse / 2**INVERSE_FRACTION_BITS}


class Hardware:
    """The emitted port, as a training asks for it."""

    def __init__(self, manifest):
        self.port = NativePort(manifest)
        self.lanes, self.types = self.port.lanes, range(self.port.types)
        self._control = {}

    def write(self, beats, type):
        if type is not None:
            self.port.settle(type)
        return self.port.write(beats)

    def read(self, beats):
        return self.port.read(beats)

    def choose(self, estimator, end_on_epoch, force):
        self._control["end_on_epoch"] = int(end_on_epoch)
        if estimator is not None:
            self._control["estimator"] = list(ESTIMATORS).index(estimator)
        for t in self.types:
            self.port.poke(f"FORCE{t}", bias=force or 0, enable=int(force is not None))

    def set_mode(self, mode):
        for t in self.types:
            self.port.poke(f"CONTROL{t}", **self._control, mode=MODES.index(mode))

    def bias(self, type):
        self.port.settle(type)
        return {"bias": self.port.peek(f"BIAS{type}")["next"]}

    def squeeze(self, type):
        self.port.settle(type)
        found, expand = self.port.peek(f"SQUEEZE{type}"), self.port.peek(f"EXPAND{type}")
        alpha = (found["alpha_exponent"] ^ 8) - 8 << ALPHA_FRACTION_BITS | found["alpha_fraction"]
        return _spelled(Parameters(alpha, found["mean"], expand["inverse"]))

    def end_epoch(self):
        self.port.poke("EPOCH", types=2 ** len(self.types) - 1)

    def statistics(self):
        """By name: flags and all raw statistics of every type, each as a 32-bit word."""
        found = {}
        for t in self.types:
            self.port.settle(t)
            found[f"{TYPES[t]} flags"] = sum(bit << n for n, bit in enumerate(self.port.peek(f"FLAGS{t}").values()))
            for estimator, names in self.port.manifest["statistics"].items():
                for index, name in enumerate(names):
                    self.port.poke("STAT_INDEX", index=index, type=t, estimator=list(ESTIMATORS).index(estimator))
                    found[f"{TYPES[t]} {estimator} {name}"] = self.port.peek("STAT_DATA")["word"]
        return found


class Model:
    """The golden port with the parameters of the emitted one, as a training asks for it."""

    def __init__(self, manifest):
        self._manifest = manifest
        own = manifest["parameters"]
        counters = {name: {} if name == "tracker" else {"cnt_width": own["cnt_width"]} for name in own["estimators"]}
        self.port = MemoryPort(
            lanes=own["lanes"],
            types=own["types"],
            fmt=FloatFormat.parse(own["fmt"]),
            estimators=counters,
            bias_min=own["bias_min"],
            bias_max=own["bias_max"],
            s2fp8=own["s2fp8"],
        )
        self.lanes, self.types = own["lanes"], range(own["types"])

    def write(self, beats, type):
        return self.port.write(beats)

    def read(self, beats):
        return self.port.read(beats)

    def choose(self, estimator, end_on_epoch, force):
        for t in self.types:
            self.port.estimator[t] = estimator or self.port.estimator[t]
            self.port.end_on_epoch[t], self.port.force[t] = end_on_epoch, force

    def set_mode(self, mode):
        self.port.mode = [mode for _ in self.types]

    def bias(self, type):
        return {"bias": self.port.next_bias(type)}

    def squeeze(self, type):
        return _spelled(self.port.next_parameters[type])

    def end_epoch(self):
        self.port.epoch(self.types)

    def statistics(self):
        """As that of `Hardware`."""
        found = {}
        for t in self.types:
            found[f"{TYPES[t]} flags"] = int(self.port.flags[t])
            for estimator, names in self._manifest["statistics"].items():
                words = readout.words(self.port.estimators[estimator].raw(t), names)
                found |= {f"{TYPES[t]} {estimator} {name}": int(word) for name, word in zip(names, words, strict=True)}
        return found


class _Side:
    """A training with its port and what lies in memory."""

    def __init__(self, training, port):
        self.training, self.port = training, port
        self._requests = training.run()
        self._answer = None
        self._memory = {}
        self.weights = None

    def ask(self):
        """The training's next request, None when it has ended."""
        try:
            return self._requests.send(self._answer)
        except StopIteration as end:
            self.weights = end.value
            return None

    def serve(self, request):
        """Do what is asked for; what the port gave."""
        if isinstance(request, Ask):
            self._answer = getattr(self.port, request.name)(**request.arguments)
            return self._answer
        if isinstance(request, Store):
            beats = CoreBeats.of_tensor(request.values, request.type or 0, lanes=self.port.lanes)
            beats.bypass[:] = request.type is None
            stored = self.port.write(beats, request.type)
            self._memory[request.name] = stored, request.values.shape
            self._answer = None
            return stored
        stored, shape = self._memory[request.name]
        loaded = self.port.read(stored)
        words = loaded.kept_words()
        # what is wrong in number the comparison tells
        self._answer = words.view(np.float32).reshape(shape) if words.size == np.prod(shape) else None
        return loaded

    def bias(self, name):
        """That with which the tensor `name` was stored; 0 if it is not encoded."""
        return int(self._memory[name][0].bias[0])


def lockstep(hardware, model, advance=lambda: None):
    """Run two trainings, each with its port, and compare all that passes.

    Parameters
    ----------
    hardware, model : tuple
        Of a `Training` and a `Hardware` or `Model`.
    advance : callable
        Is called after every step.

    Returns
    -------
    words : int
        How many have been written and read.

    Raises
    ------
    narrowfloat.cosim.report.Mismatch
        With the step, the tensor, the index of its first value that differs, and what was got and wanted.
    """
    ours, theirs = _Side(*hardware), _Side(*model)
    fmt = theirs.port.port.fmt
    words, step = 0, 0
    while True:
        request, wanted = ours.ask(), theirs.ask()
        try:
            if request is None and wanted is None:
                for layer, (got, want) in enumerate(zip(ours.weights, theirs.weights, strict=True), start=1):
                    _compare_words(f"fc{layer}.state", "at the end", got.view(np.uint32), want.view(np.uint32), "0")
                return words
            if isinstance(request, Store):
                computed = (request.values.view(np.uint32), wanted.values.view(np.uint32))
                _compare_words(request.name, "computed", *computed, "none yet")
            got, want = ours.serve(request), theirs.serve(wanted)
            if isinstance(request, Store):
                _compare_stored(request, got, want, fmt)
                words += request.values.size
            elif isinstance(request, Load):
                _compare_loaded(request.name, got, want, ours.bias(request.name))
                words += got.words.size
            elif got != want:
                raise Mismatch(_difference(request, got, want))
        except Mismatch as mismatch:
            raise Mismatch(f"step {theirs.training.step}: {mismatch}") from None
        if theirs.training.step > step:
            step = theirs.training.step
            advance()


def _compare_words(name, when, got, want, bias):
    got, want = got.reshape(-1), want.reshape(-1)
    differs = got != want
    if differs.any():
        index = int(np.argmax(differs))
        raise Mismatch(
            f"{name} {when}, value {index}: got {spell_float32(got[index])}, want {spell_float32(want[index])}, "
            f"bias {bias}; {differs.sum()} differ"
        )


def _compare_stored(request, got, want, fmt):
    """Two `MemoryBeats` of the tensor that `request` is about."""
    name, count = request.name, request.values.size
    _compare_lengths(name, "in memory", got, want)
    if np.array_equal(got.packed, want.packed):
        packed = bool(want.packed[0])
        codes = [beats.bytes.view(np.uint8 if packed else np.uint32) for beats in (got, want)]
        differs = codes[0] != codes[1]
        differs |= (got.bias != want.bias)[:, None]
        differs = differs.reshape(-1)[:count]
        if differs.any():
            index = int(np.argmax(differs))
            row = index // codes[0].shape[1]
            spelled = [
                _spell_stored(code.reshape(-1)[index], beats, row, fmt) for code, beats in zip(codes, (got, want), strict=True)
            ]
            word = request.values.reshape(-1).view(np.uint32)[index]
            raise Mismatch(
                f"{name} in memory, value {index}, {spell_float32(word)}: got {spelled[0]}, want {spelled[1]}; "
                f"{differs.sum()} differ"
            )
    _compare_fields(name, "in memory", got, want)


def _spell_stored(code, beats, row, fmt):
    """What is read as a message says it: a word, or a code with what it is read with."""
    if not beats.packed[row]:
        return spell_float32(code)
    if beats.squeezed[row]:
        return f"{code:#04x} in S2FP8 with the mean {beats.mean[row]} and the inverse {beats.inverse[row]}"
    return f"{spell_code(code, fmt, beats.bias[row])} at bias {beats.bias[row]}"


def _compare_loaded(name, got, want, bias):
    """Two `CoreBeats` of the tensor `name`."""
    _compare_lengths(name, "read back", got, want)
    if np.array_equal(got.keep, want.keep):
        _compare_words(name, "read back", got.kept_words(), want.kept_words(), bias)
    _compare_fields(name, "read back", got, want)


def _compare_lengths(name, where, got, want):
    if len(got) != len(want):
        raise Mismatch(f"{name} {where}: got {len(got)} beats, want {len(want)}")


def _compare_fields(name, where, got, want):
    for part, expected in vars(want).items():
        found = getattr(got, part)
        differs = (found != expected).reshape(len(want), -1)
        if differs.any():
            beat = int(np.argmax(differs.any(axis=1)))
            raise Mismatch(f"{name} {where}, beat {beat}: {part}: got {found[beat]}, want {expected[beat]}")


def _difference(request, got, want):
    """Where two answers of the port's registers differ."""
    if request.name in ("bias", "squeeze"):
        got, want = (", ".join(map(str, answer.values())) for answer in (got, want))
        return f"{request.name} of the next {TYPES[request.arguments['type']]}: got {got}, want {want}"
    name = next(name for name in want if got[name] != want[name])
    return f"{name}: got {got[name]}, want {want[name]}"


@dataclass(frozen=True)
class Result:
    """What a training with both ports came to; `training` is that with the model."""

    scheme: Scheme
    training: Training
    parameters: dict
    words: int
    beats: int
    cycles: int
    stalls: int
    seconds: float
    failure: str | None

    def to_json(self, seed):
        """As the rows of `narrowfloat sim --json`, and loss, accuracy and biases."""
        return {
            "design": "memory_port",
            "parameters": self.parameters,
            "scheme": asdict(self.scheme),
            "simulator": "verilator",
            "seed": seed,
            "vectors": self.words,
            "beats": self.beats,
            "cycles": self.cycles,
            "stalls": self.stalls,
            "seconds": round(self.seconds, 3),
            "passed": self.failure is None,
            "history": self.training.history,
            "biases": self.training.biases,
        }


def run(manifest, plan, scheme, data, seed, advance=lambda: None):
    """Train with `scheme` through the port of `manifest`, a path, and through the model, as a `Result`."""
    started = time.perf_counter()
    hardware = Hardware(manifest)
    trainings = [Training(plan, scheme, *data, seed) for _ in range(2)]
    words, failure = 0, None
    try:
        words = lockstep((trainings[0], hardware), (trainings[1], Model(hardware.port.manifest)), advance)
    except Mismatch as mismatch:
        failure = f"{scheme.name}: {mismatch}; rerun: narrowfloat training-loop --seed {seed}"
    port = hardware.port
    seconds = time.perf_counter() - started
    parameters = port.manifest["parameters"]
    return Result(scheme, trainings[1], parameters, words, port.beats, port.cycles, port.stalls, seconds, failure)
