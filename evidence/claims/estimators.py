"""How near the biases of the estimators are to those of exact medians, held against the paper's claims.

As reported by the authors of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: after four epochs, and in later ones, the bias
of the approximate median is within 2 of the exact one's; 30 % of the samples change it by 1 at most; outliers of 1e-40 and
1e10 in the first epoch keep it within 2. 1e-40 is a subnormal, which is not counted here, so 1e-38 takes its place.

Every estimator sees four epochs of each kind of tensor, as four passes; the exact median is that of all of the fourth epoch,
or, for drift, of the twelfth.
"""

import numpy as np
from narrowfloat.golden.reference.network import EPOCHS, load_mnist, train
from narrowfloat.golden.statistics import ExponentHistogram, MedianEstimator, MedianTracker, exact_median_bias

from evidence.harness.experiment import Experiment
from evidence.harness.report import new_table

SEED = 1
LANES = 4
PASSES = 4
SAMPLES = 200_000
OUTLIERS = np.array([1e-38, 1e10], np.float32)
SHARE = 0.3
_EPOCHS = range(1, EPOCHS + 1)
ESTIMATORS = {"median": MedianEstimator, "histogram": ExponentHistogram, "tracker": MedianTracker}
# What the authors report: how far the bias may be from the exact one's, and 30 % of the samples from all of them.
CLAIMS = {"all": 2, "30 %": 1, "outliers": 2, "epoch 12": 2}

SYNTHETIC = {
    "Gaussian": lambda rng, n: rng.normal(0, 0.02, n),
    "Laplace": lambda rng, n: rng.laplace(0, 1e-3, n),
    "ReLU of Gaussian": lambda rng, n: np.maximum(rng.normal(0, 1, n), 0),
    "lognormal": lambda rng, n: np.exp(rng.normal(-12, 3, n)) * rng.choice([-1, 1], n),
    "Student t, 2 degrees": lambda rng, n: rng.standard_t(2, n) * 1e-4,
}


def measure():
    """The rows of the JSON file."""
    return [row for kind, epochs in data(np.random.default_rng(SEED)).items() for row in rows_of(kind, epochs)]


def data(rng):
    """By kind of tensor a list of what passes in each epoch, float32, `EPOCHS` long."""
    tensors, _ = train(*load_mnist(), snapshots=_EPOCHS)
    kinds = {
        f"MNIST {kind}": [
            np.concatenate([tensors[f"epoch{e}/{layer}.{kind}"].ravel() for layer in ("fc1", "fc2")]) for e in _EPOCHS
        ]
        for kind in ("activation", "error", "gradient", "weight")
    }
    return kinds | {name: [draw(rng, SAMPLES).astype(np.float32) for _ in _EPOCHS] for name, draw in SYNTHETIC.items()}


def rows_of(kind, epochs):
    """A row for each condition: the exact bias, and of each estimator the bias and how far that is from what it is held to."""
    rng = np.random.default_rng(SEED)
    streams = {
        "all": epochs[:PASSES],
        "30 %": [rng.choice(values, round(SHARE * len(values)), replace=False) for values in epochs[:PASSES]],
        "outliers": [rng.permutation(np.concatenate([epochs[0], OUTLIERS])), *epochs[1:PASSES]],
    }
    biases = {name: {estimator: bias(estimator, stream) for estimator in ESTIMATORS} for name, stream in streams.items()}
    biases["epoch 12"] = biases["all"]
    exact = {name: exact_median_bias(epochs[EPOCHS - 1 if name == "epoch 12" else PASSES - 1]) for name in biases}
    for name, found in biases.items():
        held_to = {estimator: biases["all"][estimator] if name == "30 %" else exact[name] for estimator in ESTIMATORS}
        yield {
            "kind": kind,
            "condition": name,
            "exact": exact[name],
            "biases": found,
            "away": {estimator: abs(found[estimator] - held_to[estimator]) for estimator in ESTIMATORS},
            "claimed": CLAIMS[name],
        }


def bias(estimator, epochs):
    """The bias after these epochs, each of which ends a pass."""
    model = ESTIMATORS[estimator](types=1)
    for values in epochs:
        padded = np.concatenate([values, np.zeros(-len(values) % LANES, np.float32)])  # zeros do not count
        model.observe(padded.reshape(-1, LANES))
        model.end(0)
    return int(model.bias[0])


def tables(rows):
    """One rich table; what is further away than claimed is red."""

    def cells(row):
        for name in ESTIMATORS:
            cell = f"{row['biases'][name]} ({row['away'][name]})"
            yield f"[red]{cell}[/]" if row["away"][name] > row["claimed"] else cell

    yield new_table(
        "bias by estimator, and how far away: from the exact one's, with 30 % from that of all samples",
        ["tensors", "samples"],
        ["exact", *ESTIMATORS, "claimed"],
        ((row["kind"], row["condition"], str(row["exact"]), *cells(row), f"<= {row['claimed']}") for row in rows),
    )


EXPERIMENT = Experiment(name="estimators", doc=__doc__, measure=measure, tables=tables)
