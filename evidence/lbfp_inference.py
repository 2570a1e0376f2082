"""What LBFP costs in accuracy: networks trained in FP32, run in eight bits and fewer without any retraining.

The claim, as reported by the authors of LBFP, APCCAS 2020: with eight bits comparable to FP32. Their format is not public, this is
ours. Here: an MLP and a CNN on MNIST-5k, a text classifier on Reuters R8, each trained with five seeds, and a pretrained Transformer
whose sentence vectors a linear layer classifies. Weights have an exponent for each output channel, inputs of a layer one, calibrated
on 512 items that were trained on; nothing is retrained. Everything that multiplies is in the format, except attention's two products.
"""

import sys
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table

from evidence import experiment, results
from evidence.experiment import HERE

NAMES = ("mlp", "cnn", "text", "minilm")
RESAMPLES = 100_000


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to compute: `arithmetic` is None for FP32, else what `evidence.emulation` makes layers with; `large`: also for the
    Transformer, where products as the hardware forms them take many minutes."""

    name: str
    title: str
    arithmetic: object = None
    large: bool = True


def arms():
    """What is compared, FP32 first."""
    from narrowfloat.golden.formats import LOGARITHMS

    from evidence.emulation import Int8, Lbfp

    lut, mitchell = {"antilog": "lut", "guard_bits": 5}, {"antilog": "mitchell"}
    found = [Arm(name="fp32", title="FP32")]
    for method, words in (("max", "no clipping"), ("entropy", "entropy calibration")):
        found.append(Arm(name=f"int8-{method}", title=f"INT8, {words}", arithmetic=Int8(method=method)))
    for method, words in (("kl", "Kullback-Leibler"), ("mse", "mean squared error"), ("max", "no clipping")):
        arithmetic = Lbfp(fmt=LOGARITHMS["lbfp8"], method=method)
        found.append(Arm(name=f"lbfp8-{method}", title=f"LBFP8, {words}, exact products", arithmetic=arithmetic))
    for name in ("lbfp7", "lbfp6", "lbfp5"):
        arithmetic = Lbfp(fmt=LOGARITHMS[name], method="kl")
        found.append(Arm(name=f"{name}-kl", title=f"{name.upper()}, Kullback-Leibler, exact products", arithmetic=arithmetic))
    for name in LOGARITHMS:
        arithmetic = Lbfp(fmt=LOGARITHMS[name], method="kl", product=lut)
        title = f"{name.upper()}, Kullback-Leibler, antilog with 5 guard bits"
        found.append(Arm(name=f"{name}-lut", title=title, arithmetic=arithmetic, large=name == "lbfp8"))
    for name, words, product in (
        ("mitchell", "Mitchell's antilog", mitchell),
        ("lut-16", "5 guard bits, product of 16 bits", lut | {"out_bits": 16}),
        ("lut-16-sm", "the same, sign and magnitude", lut | {"out_bits": 16, "output": "sign_magnitude"}),
    ):
        arithmetic = Lbfp(fmt=LOGARITHMS["lbfp8"], method="kl", product=product)
        found.append(Arm(name=f"lbfp8-{name}", title=f"LBFP8, Kullback-Leibler, {words}", arithmetic=arithmetic, large=False))
    return found


def jobs(names, seeds):
    """Every network and seed, the longest first; of the pretrained one there is only one."""
    return [(name, seed) for name in reversed(names) for seed in (seeds[:1] if name == "minilm" else seeds)]


def run(name, seed, quick):
    from evidence import lbfp_networks

    return lbfp_networks.run(name, arms(), seed, quick)


def collect(names, runs, quick):
    """All that goes into the JSON file."""
    from evidence.lbfp_networks import NETWORKS

    runs = sorted(runs, key=lambda run: (names.index(run["network"]), run["seed"]))
    return {
        "networks": {name: NETWORKS[name].title for name in names},
        "arms": {arm.name: arm.title for arm in arms()},
        "summary": summarize(runs),
        "runs": runs,
    }


def summarize(runs):
    """For each network and arm: accuracy in percent and its difference to FP32's in points, with the ends of a 95 % interval.

    With several seeds the interval is that of the mean of the pairs, by Student's t (each seed has a network, and where the split is
    ours a test set, of its own); with one it is a paired bootstrap over the test items.

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
                found = results.paired_interval(accuracies, references) if len(these) > 1 else _bootstrap(these[0], arm)
                difference, low, high = (round(value, 4) for value in found)
            accuracy = round(float(np.mean(accuracies)), 4)
            rows.append({"network": name, "arm": arm, "accuracy": accuracy, "difference": difference, "low": low, "high": high})
    return rows


def _bootstrap(run, arm):
    """Difference in points, and its 2.5 and 97.5 % quantiles when the test items are drawn again (Efron 1979).

    Of a resample only matters how many of its items are won and lost: it is drawn from their shares.
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
        table = Table(title=f"{title}: accuracy, %", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
        table.add_column("computed in")
        for heading in ("accuracy", "to FP32", "95 % interval"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows:
            known = row["difference"] is not None
            table.add_row(
                found["arms"][row["arm"]],
                f"{row['accuracy']:.2f}",
                f"{row['difference']:+.2f}" if known else "",
                f"{row['low']:+.2f} .. {row['high']:+.2f}" if known else "",
            )
        drawn = f"mean of {len(runs)} seeds" if len(runs) > 1 else "one network, bootstrap over its items"
        table.caption = f"{runs[0]['items']} items; {drawn}"
        yield table


EXPERIMENT = experiment.Experiment(
    name="lbfp_inference",
    doc=__doc__,
    choice="network",
    choices=NAMES,
    keys=("network", "seed"),
    jobs=jobs,
    run=run,
    told=lambda result: f"{result['items']} items",
    sources=[
        *(HERE / f"{name}.py" for name in ("data", "emulation", "lbfp_inference", "lbfp_networks", "minilm", "tasks")),
        *(HERE.parent / "golden" / f"{name}.py" for name in ("calibration", "formats", "lbfp")),
        HERE.parent / "golden" / "reference" / "network.py",
    ],
    collect=collect,
    tables=tables,
)
RESULTS = EXPERIMENT.results
main = EXPERIMENT.main

if __name__ == "__main__":
    sys.exit(main())
