"""The networks of `evidence.lbfp_inference`: trained in FP32 or pretrained, then run with the arms' arithmetic. Needs PyTorch."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evidence import data, minilm, tasks
from evidence.emulation import emulate

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
        optimizer = task.optimizer(self.model.parameters())
        decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (epochs * task.steps))
        for _ in range(epochs):
            for items, labels in task.batches():
                optimizer.zero_grad()
                task.loss(self.model(items), labels).backward()
                optimizer.step()
                decay.step()
        self.calibration = _some(task.training[0], QUICK_CALIBRATION if quick else CALIBRATION, seed)
        self.test = task.test

    def network(self, task):
        return task.model(lambda x: x)


class Mlp(_Trained):
    name, title = "mlp", "MNIST-5k, MLP 784-128-64-10"
    task = tasks.Mnist

    def network(self, task):
        layers = []
        for before, after in ((784, 128), (128, 64), (64, 10)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *layers[:-1])


class Cnn(_Trained):
    name, title = "cnn", tasks.Mnist.title
    task = tasks.Mnist


class Text(_Trained):
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


NETWORKS = {network.name: network for network in (Mlp, Cnn, Text, Sentences)}


def run(name, arms, seed, quick):
    """What each arm makes of a network's test set.

    Returns
    -------
    dict
        "items": how many; "correct": by arm's name how many are classified correctly; "won" and "lost": how many of them are only by
        the arm, only by the first one.
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
        for arm in arms:
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
