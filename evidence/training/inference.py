"""Networks that are trained in FP32 or pretrained, and what formats of eight bits make of them: runs of `lbfp_inference`."""

from dataclasses import dataclass

import numpy as np
import torch
from narrowfloat.golden.formats import LOGARITHMS
from torch import nn
from torch.nn import functional

from evidence.training import data, minilm, tasks
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
        layers = []
        for before, after in ((784, 128), (128, 64), (64, 10)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *layers[:-1])


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
class InferenceArm:
    """A way to compute: `arithmetic` is None for FP32, else an `Int8` or `Lbfp`. Without `large` it is left out for the
    Transformer, where products as the hardware forms them take many minutes."""

    name: str
    title: str
    arithmetic: Int8 | Lbfp | None = None
    large: bool = True


def _arms():
    """What is compared, FP32 first."""
    yield InferenceArm(name="fp32", title="FP32")
    for method, words in (("max", "no clipping"), ("entropy", "entropy calibration")):
        yield InferenceArm(name=f"int8-{method}", title=f"INT8, {words}", arithmetic=Int8(method=method))
    for method, words in (("kl", "Kullback-Leibler"), ("mse", "mean squared error"), ("max", "no clipping")):
        arithmetic = Lbfp(fmt=LOGARITHMS["lbfp8"], method=method)
        yield InferenceArm(name=f"lbfp8-{method}", title=f"LBFP8, {words}, exact products", arithmetic=arithmetic)
    for name in ("lbfp7", "lbfp6", "lbfp5"):
        arithmetic = Lbfp(fmt=LOGARITHMS[name], method="kl")
        title = f"{name.upper()}, Kullback-Leibler, exact products"
        yield InferenceArm(name=f"{name}-kl", title=title, arithmetic=arithmetic)
    lut = {"antilog": "lut", "guard_bits": 5}
    for name in LOGARITHMS:
        arithmetic = Lbfp(fmt=LOGARITHMS[name], method="kl", product=lut)
        title = f"{name.upper()}, Kullback-Leibler, antilog with 5 guard bits"
        yield InferenceArm(name=f"{name}-lut", title=title, arithmetic=arithmetic, large=name == "lbfp8")
    for name, words, product in (
        ("mitchell", "Mitchell's antilog", {"antilog": "mitchell"}),
        ("lut-16", "5 guard bits, product of 16 bits", lut | {"out_bits": 16}),
        ("lut-16-sm", "the same, sign and magnitude", lut | {"out_bits": 16, "output": "sign_magnitude"}),
    ):
        arithmetic = Lbfp(fmt=LOGARITHMS["lbfp8"], method="kl", product=product)
        title = f"LBFP8, Kullback-Leibler, {words}"
        yield InferenceArm(name=f"lbfp8-{name}", title=title, arithmetic=arithmetic, large=False)


ARMS = tuple(_arms())


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
