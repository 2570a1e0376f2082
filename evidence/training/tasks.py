"""The networks and data of the trainings: a task makes a model, its batches and its score, all from one seed."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from evidence.training import data
from evidence.training.traffic import Traffic


class Cnn(nn.Module):
    """Convolutions of 3x3 with ReLU, each of as many channels and with the stride as said, and a linear layer for 10 classes of
    images of 28x28; initialized as He et al. 2015, arXiv 1502.01852."""

    def __init__(self, store, channels, strides):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride, padding=1)
            for before, after, stride in zip((1, *channels), channels, strides, strict=False)
        )
        side = -(-28 // math.prod(strides))
        self.head = nn.Linear(channels[-1] * side**2, 10)
        self.layers = [*self.convolutions, self.head]
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self._store = store

    def forward(self, images):
        x = self._store(images)
        for convolution in self.convolutions:
            x = self._store(functional.relu(convolution(x)))
        return self._store(self.head(x.flatten(1)))


def perceptron(widths):
    """Linear layers from each width to the next, each with ReLU behind it."""
    return nn.Sequential(*(layer for ends in pairwise(widths) for layer in (nn.Linear(*ends), nn.ReLU())))


class NeuralFactors(nn.Module):
    """Neural collaborative filtering: vectors of users and films, two hidden layers, and beside them the vectors' products."""

    WIDTH, HIDDEN = 16, (32, 16)

    def __init__(self, users, films):
        super().__init__()
        self.users, self.films = nn.Embedding(users, 2 * self.WIDTH), nn.Embedding(films, 2 * self.WIDTH)
        for embedding in (self.users, self.films):
            nn.init.normal_(embedding.weight, std=0.1)
        self.hidden = perceptron((2 * self.WIDTH, *self.HIDDEN))
        self.head = nn.Linear(self.WIDTH + self.HIDDEN[-1], 1)

    def forward(self, pairs):
        user, film = (part.chunk(2, -1) for part in (self.users(pairs[:, 0]), self.films(pairs[:, 1])))
        hidden = self.hidden(torch.cat([user[0], film[0]], 1))
        return self.head(torch.cat([user[1] * film[1], hidden], 1)).squeeze(1)


class TextCnn(nn.Module):
    """Embedded words, a convolution over three of them with ReLU, the maximum over the text, a linear layer."""

    WIDTH = 64

    def __init__(self, store, words):
        super().__init__()
        self.embedding = nn.Embedding(words, self.WIDTH)
        nn.init.normal_(self.embedding.weight, std=self.WIDTH**-0.5)
        self.convolution = nn.Conv1d(self.WIDTH, self.WIDTH, 3, padding=1)
        self.head = nn.Linear(self.WIDTH, 8)
        self._store = store

    def forward(self, words):
        x = self._store(self.embedding(words).transpose(1, 2))
        x = self._store(functional.relu(self.convolution(x)))
        x = self._store(x.amax(2))
        return self._store(self.head(x))


class Transformer(nn.Module):
    """Two layers of width 128, four heads, normalization first. Attention's weights stay on chip, all else is stored."""

    WIDTH, HEADS, LAYERS = 128, 4, 2

    def __init__(self, store, characters, context):
        super().__init__()
        self.embedding = nn.Embedding(characters, self.WIDTH)
        self.position = nn.Parameter(torch.empty(context, self.WIDTH))
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.position, std=0.02)
        self.blocks = nn.ModuleList(Block(store, self.WIDTH, self.HEADS) for _ in range(self.LAYERS))
        self.norm = nn.LayerNorm(self.WIDTH)
        self.head = nn.Linear(self.WIDTH, characters)
        self._store = store

    def forward(self, text):
        x = self._store(self.embedding(text) + self.position[: text.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self._store(self.head(self._store(self.norm(x))))


class Block(nn.Module):
    def __init__(self, store, width, heads):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mix = nn.Linear(width, 3 * width)
        self.attend = Attention()
        self.merge = nn.Linear(width, width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self._store, self._heads = store, heads

    def forward(self, x):
        batch, length, width = x.shape
        mixed = self._store(self.mix(self._store(self.norms[0](x))))
        heads = mixed.view(batch, length, 3, self._heads, width // self._heads).permute(2, 0, 3, 1, 4)
        seen = self.attend(*heads).transpose(1, 2).reshape(x.shape)
        x = self._store(x + self.merge(self._store(seen)))
        hidden = self._store(functional.gelu(self.widen(self._store(self.norms[1](x)))))
        return self._store(x + self.narrow(hidden))


class Attention(nn.Module):
    """Of each position to those up to it: queries, keys and values are [batch, heads, length, width]."""

    def forward(self, queries, keys, values):
        return functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)


class AttentionBy(nn.Module):
    """What `Attention` computes, by two modules ``scores(x, y)`` and ``values(x, y)`` in place of its two matrix products."""

    def __init__(self, scores, values):
        super().__init__()
        self.scores, self.values = scores, values

    def forward(self, queries, keys, values):
        found = self.scores(queries, keys.mT) * queries.shape[-1] ** -0.5
        is_later = torch.ones(found.shape[-2:], dtype=torch.bool).triu(1)
        return self.values(found.masked_fill(is_later, -torch.inf).softmax(-1), values)


class _Dataset:
    """Items, each with a label, rating or the like, in a training and a test set."""

    def _hold(self, training, test, seed):
        self.training, self.test = ([torch.from_numpy(array) for array in part] for part in (training, test))
        self.steps = -(-len(self.training[1]) // self.batch)
        self._order = np.random.default_rng([seed, 1])

    def batches(self):
        items, wanted = self.training
        order = torch.from_numpy(self._order.permutation(len(wanted)))
        for chosen in order[: self.steps * self.batch].split(self.batch):
            yield items[chosen], wanted[chosen]


class _Classification(_Dataset):
    """The score is the share of the test set that is classified correctly, in %."""

    score_name, better, digits = "accuracy, %", "higher", 2
    loss = staticmethod(functional.cross_entropy)

    def score(self, model):
        items, labels = self.test
        correct = sum(
            int((model(part).argmax(1) == wanted).sum())
            for part, wanted in zip(items.split(256), labels.split(256), strict=True)
        )
        return 100 * correct / len(labels)


class Mnist(_Classification):
    name, title = "mnist", "MNIST-5k, CNN of four convolutions"
    epochs, batch = 10, 25
    channels, strides = (8, 16, 32, 32), (2, 1, 2, 1)
    optimizer = staticmethod(partial(torch.optim.SGD, lr=0.05, momentum=0.9))

    def __init__(self, seed, quick):
        images, labels = data.mnist()
        order = np.random.default_rng([seed, 0]).permutation(len(labels))
        training, test = (order[:150], order[-100:]) if quick else np.split(order, [len(order) * 4 // 5])
        images = images.reshape(-1, 1, 28, 28)
        self._hold((images[training], labels[training]), (images[test], labels[test]), seed)

    def model(self, store):
        return Cnn(store, self.channels, self.strides)

    def traffic(self, model):
        return Traffic(model, model.layers)


class DeepMnist(Mnist):
    name, title = "mnist8", "MNIST-5k, CNN of seven convolutions and a linear layer"
    epochs, batch = 8, 100
    channels, strides = (8, 8, 16, 16, 16, 32, 32), (2, 1, 2, 1, 1, 2, 1)
    optimizer = staticmethod(partial(torch.optim.SGD, lr=0.02, momentum=0.9))


class Reuters(_Classification):
    name, title = "reuters", "Reuters R8, convolution over embedded words"
    epochs, batch, length = 8, 50, 64
    optimizer = staticmethod(partial(torch.optim.Adam, lr=1e-3))

    def __init__(self, seed, quick):
        training, test, self._words = data.reuters(self.length)
        if quick:
            training, test = ([array[::40] for array in part] for part in (training, test))
        self._hold(training, test, seed)

    def model(self, store):
        return TextCnn(store, self._words)


class Shakespeare:
    name, title = "shakespeare", "Shakespeare, character Transformer of two layers, width 128"
    score_name, better, digits = "validation loss, nats per character", "lower", 4
    epochs, context = 10, 64
    optimizer = staticmethod(partial(torch.optim.Adam, lr=2e-3))

    def __init__(self, seed, quick):
        self._training, validation, self._characters = data.shakespeare()
        self._order = np.random.default_rng([seed, 1])
        self.steps, count = (3, 8) if quick else (25, 64)
        self.batch = 4 if quick else 16
        self._validation = self._texts(validation, np.linspace(0, len(validation) - self.context - 1, count).astype(int))

    def _texts(self, characters, starts):
        texts = torch.from_numpy(np.stack([characters[start : start + self.context + 1] for start in starts]))
        return texts[:, :-1], texts[:, 1:]

    def model(self, store):
        return Transformer(store, self._characters, self.context)

    def batches(self):
        """An epoch is a number of batches: the whole text is never seen."""
        for _ in range(self.steps):
            yield self._texts(self._training, self._order.integers(len(self._training) - self.context, size=self.batch))

    def loss(self, scores, wanted):
        return functional.cross_entropy(scores.flatten(0, 1), wanted.flatten())

    def score(self, model):
        texts, wanted = self._validation
        losses = [self.loss(model(part), after) for part, after in zip(texts.split(16), wanted.split(16), strict=True)]
        return float(torch.stack(losses).mean())


class MovieLens(_Dataset):
    """Ratings are learned less their mean; the score is the root of the mean squared error of a tenth of them, in stars."""

    name, title = "movielens", "MovieLens, neural collaborative filtering"
    score_name, better, digits = "RMSE, stars", "lower", 4
    epochs, batch = 4, 1000
    optimizer = staticmethod(partial(torch.optim.Adam, lr=5e-3))
    loss = staticmethod(functional.mse_loss)

    def __init__(self, seed, quick):
        users, films, ratings = data.movielens()
        self._counts = int(users.max()) + 1, int(films.max()) + 1
        order = np.random.default_rng([seed, 0]).permutation(len(ratings))
        training, test = (order[:3000], order[-500:]) if quick else np.split(order, [len(order) * 9 // 10])
        pairs, ratings = np.stack([users, films], 1), ratings - ratings[training].mean()
        self._hold((pairs[training], ratings[training]), (pairs[test], ratings[test]), seed)
        # The last few, which fill no batch, are left out: the statistics of a step would be theirs alone.
        self.steps = len(training) // self.batch

    def model(self, store):
        return NeuralFactors(*self._counts)

    def score(self, model):
        pairs, ratings = self.test
        return float(self.loss(model(pairs), ratings).sqrt())


TASKS = {task.name: task for task in (Mnist, DeepMnist, Reuters, Shakespeare, MovieLens)}
