"""Networks that are trained in FP32 or pretrained, and what formats of eight bits make of them: runs of `lbfp_inference`."""

from dataclasses import dataclass

import numpy as np
import torch
from narrowfloat.golden.formats import LOGARITHMS
from torch import nn
from torch.nn import functional

from evidence.training import data, minilm, tasks
from evidence.training.arms import Arm
from evidence.training.emulation import Int8, Lbfp, emulate
from evidence.training.loop import Trainer

BATCH = 64
CALIBRATION, QUICK_CALIBRATION = 512, 32  # of the items that were trained on
QUICK_EPOCHS = 3


class _Trained:
    """A network that one seed initialized and trained in FP32, with the data to calibrate and to test it."""

    is_large = False

    def __init__(self, seed, quick):
        torch.manual_seed(seed)
        task = self.task(seed, quick)
        self.model = self.network(task)
        epochs = QUICK_EPOCHS if quick else task.epochs
        trainer = Trainer(task, self.model, epochs)
        for _ in range(epochs):
            for batch in task.batches():
                trainer.step(*batch)
        self.calibration = _some(task.training[0], QUICK_CALIBRATION if quick else CALIBRATION, seed)
        self.test = task.test

    def network(self, task):
        return task.model(lambda x: x)


class TrainedMlp(_Trained):
    name, title = "mlp", "MNIST-5k, MLP 784-128-64-10"
    task = tasks.Mnist

    def network(self, task):
        return nn.Sequential(nn.Flatten(), *tasks.perceptron((784, 128, 64, 10))[:-1])


class TrainedCnn(_Trained):
    name, title = "cnn", tasks.Mnist.title
    task = tasks.Mnist


class TrainedText(_Trained):
    name, title = "text", tasks.Reuters.title
    task = tasks.Reuters


class Sentences:
    """Reuters R8 by the vectors of the pretrained Transformer, and a linear layer trained on those that FP32 gives."""

    name, title = "minilm", "Reuters R8, pretrained MiniLM and a linear layer"
    is_large = True
    LENGTH = 64

    def __init__(self, seed, quick):
        step = 100 if quick else 1
        training, self.test = (self._by_length(texts[::step], labels[::step]) for texts, labels in data.reuters_texts())
        encoder = minilm.pretrained()
        with torch.no_grad():
            vectors = torch.cat([encoder(part) for part in training[0].split(BATCH)])
        torch.manual_seed(seed)
        self.model = nn.Sequential(encoder, _classifier(vectors, training[1]))
        self.calibration = _some(training[0], QUICK_CALIBRATION if quick else CALIBRATION, seed)

    def _by_length(self, texts, labels):
        """Tokens and labels, short texts first, so that few tokens of a batch are padding."""
        tokens = minilm.tokens(texts, self.LENGTH)
        order = np.argsort((tokens > 0).sum(1), kind="stable")
        return torch.from_numpy(tokens[order]), torch.from_numpy(labels[order])


NETWORKS = {network.name: network for network in (TrainedMlp, TrainedCnn, TrainedText, Sentences)}


@dataclass(frozen=True, kw_only=True)
class InferenceArm(Arm):
    """A way to compute: `arithmetic` is None for FP32, else an `Int8` or `Lbfp`. Without `large` it is left out for the
    Transformer, where products as the hardware forms them take many minutes."""

    arithmetic: Int8 | Lbfp | None = None
    large: bool = True


def _lbfp(fmt, name, words, method="kl", product=None, large=True):
    arithmetic = Lbfp(fmt=LOGARITHMS[fmt], method=method, product=product)
    title = f"{fmt.upper()}, {_METHODS[method]}, {words}"
    return InferenceArm(name=f"{fmt}-{name}", title=title, arithmetic=arithmetic, large=large)


_METHODS = {"kl": "Kullback-Leibler", "mse": "mean squared error", "max": "no clipping"}
_LUT = {"antilog": "lut", "guard_bits": 5}
_SIGNED = {"out_bits": 16, "output": "sign_magnitude"}
# What is compared, FP32 first.
ARMS = (
    InferenceArm(name="fp32", title="FP32"),
    InferenceArm(name="int8-max", title="INT8, no clipping", arithmetic=Int8(method="max")),
    InferenceArm(name="int8-entropy", title="INT8, entropy calibration", arithmetic=Int8(method="entropy")),
    *(_lbfp("lbfp8", method, "exact products", method) for method in _METHODS),
    *(_lbfp(fmt, "kl", "exact products") for fmt in ("lbfp7", "lbfp6", "lbfp5")),
    *(_lbfp(fmt, "lut", "antilog with 5 guard bits", product=_LUT, large=fmt == "lbfp8") for fmt in LOGARITHMS),
    _lbfp("lbfp8", "mitchell", "Mitchell's antilog", product={"antilog": "mitchell"}, large=False),
    _lbfp("lbfp8", "lut-16", "5 guard bits, product of 16 bits", product=_LUT | {"out_bits": 16}, large=False),
    _lbfp("lbfp8", "lut-16-sm", "the same, sign and magnitude", product=_LUT | _SIGNED, large=False),
)


def run(name, seed, quick):
    """What each arm makes of a network's test set: a run of `evidence.claims.lbfp_inference`.

    Returns
    -------
    dict
        "items", how many there are. By the arm's name: "correct", how many items it classifies correctly; "won" and "lost", how
        many only the arm classifies correctly, and how many only FP32.
    """
    torch.set_num_threads(1)
    network = NETWORKS[name](seed, quick)
    layers = emulate(network.model.eval())
    items, labels = network.test
    correct = {}
    with torch.no_grad():
        for layer in layers.values():
            layer.compute = layer.observe
        _scores(network.model, network.calibration)
        for arm in ARMS:
            if network.is_large and not arm.large:
                continue
            for layer in layers.values():
                layer.compute = arm.arithmetic.layer(layer, network.is_large) if arm.arithmetic else layer.layer.forward
            correct[arm.name] = (_scores(network.model, items).argmax(1) == labels).numpy()
    reference = next(iter(correct.values()))
    return {
        "items": len(labels),
        "correct": {name: int(right.sum()) for name, right in correct.items()},
        "won": {name: int(np.sum(right & ~reference)) for name, right in correct.items()},
        "lost": {name: int(np.sum(reference & ~right)) for name, right in correct.items()},
    }


def _scores(model, items):
    return torch.cat([model(part) for part in items.split(BATCH)])


def _some(items, count, seed):
    return items[np.random.default_rng([seed, 2]).permutation(len(items))[:count]]


def _classifier(vectors, labels):
    """Multinomial logistic regression with a little weight decay, to convergence."""
    layer = nn.Linear(vectors.shape[1], int(labels.max()) + 1)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = functional.cross_entropy(layer(vectors), labels) + 1e-4 * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return layer.requires_grad_(False)
