"""What S2FP8 costs in accuracy, untouched, beside plain FP8, FP8 with a scaled loss and adaptive bias: networks in training.

The claim, as reported by the authors of Cambier et al. 2020, arXiv 2001.05674: within a point of FP32 where plain FP8 fails, without
loss scaling. Here: a CNN of eight layers on MNIST-5k, a character Transformer on Shakespeare and neural collaborative filtering on
MovieLens, each with five seeds. As in the paper, every tensor is truncated before and after every convolution and matrix product,
forward and backward, in all layers from the first to the last; the optimizer works on a master copy in FP32, sums are FP32, nothing is
rounded stochastically. As the hardware has it, a tensor's alpha and beta are from its statistics in the step before, in the first
step 1 and 0, and what is then too large saturates at 57344. See `evidence.arms` for what is compared, `evidence.tasks` for the
networks, `evidence.truncation` for how it is computed.
"""

import sys

import numpy as np

from evidence import experiment, training_report
from evidence.arms import TRUNCATED_ARMS, TYPES
from evidence.experiment import HERE

TASKS = ("mnist8", "shakespeare", "movielens")


def jobs(names, seeds):
    return [(name, arm, seed) for seed in seeds for name in names for arm in TRUNCATED_ARMS]


def train(task, arm, seed, quick):
    from evidence import truncated_training

    return truncated_training.run(task, TRUNCATED_ARMS[arm], seed, quick)


def collect(names, runs, quick):
    """All that goes into the JSON file."""
    order = training_report.ordered(runs, names, TRUNCATED_ARMS)
    return {
        "tasks": training_report.describe(order, quick),
        "arms": {name: arm.title for name, arm in TRUNCATED_ARMS.items()},
        "summary": training_report.summarize(order, last_parameters),
        "runs": order,
    }


def last_parameters(runs):
    """ "alphas" and "betas": of each type the median at the end, the mean over `runs`; None of other arms."""
    if "alphas" not in runs[0]:
        return {"alphas": None, "betas": None}
    return {name: np.mean([run[name][-1] for run in runs], axis=0).round(3).tolist() for name in ("alphas", "betas")}


def tables(results):
    """A rich table for each task."""

    def cells(row):
        if row["alphas"] is None:
            return ()
        return [f"{alpha:.2f}, {beta:+.0f}" for alpha, beta in zip(row["alphas"], row["betas"], strict=True)]

    words = "on the right alpha and beta at the end, medians over the tensors of a type"
    yield from training_report.tables_with(results, "truncated to", TYPES, cells, words)


def write_curves(results, path):
    """Scores, and of S2FP8 alpha and beta, over the epochs as an HTML page. Needs plotly."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    names = list(results["tasks"])
    titles = [
        f"{name}: {what}" for name in names for what in (results["tasks"][name]["score"], "alpha of S2FP8", "beta of S2FP8")
    ]
    figure = make_subplots(rows=len(names), cols=3, subplot_titles=titles)
    for row, name in enumerate(names, 1):
        found = {arm: [run for run in results["runs"] if (run["task"], run["arm"]) == (name, arm)] for arm in results["arms"]}
        epochs = list(range(1, 1 + results["tasks"][name]["epochs"]))
        for (arm, title), color in zip(results["arms"].items(), qualitative.Dark24, strict=False):
            scores = np.mean([run["scores"] for run in found[arm]], axis=0)
            style = {"name": title, "legendgroup": arm, "line": {"color": color}, "mode": "lines", "showlegend": row == 1}
            figure.add_scatter(x=epochs, y=scores, row=row, col=1, **style)
        for column, values in enumerate(("alphas", "betas"), 2):
            medians = np.mean([run[values] for run in found["s2fp8"]], axis=0)
            for type, (title, color) in enumerate(zip(TYPES, qualitative.Plotly, strict=False)):
                style = {"name": title, "legendgroup": title, "line": {"color": color, "dash": "dot"}, "mode": "lines"}
                shown = row == 1 and column == 2
                figure.add_scatter(x=epochs, y=medians[:, type], row=row, col=column, showlegend=shown, **style)
    figure.update_layout(height=420 * len(names), title="Mean over seeds; alpha and beta: medians over the tensors of a type")
    figure.write_html(path, include_plotlyjs="directory")


EXPERIMENT = experiment.Experiment(
    name="s2fp8_training",
    doc=__doc__,
    choice="task",
    choices=TASKS,
    keys=("task", "arm", "seed"),
    jobs=jobs,
    run=train,
    told=training_report.last_score,
    sources=[
        *(
            HERE / f"{name}.py"
            for name in ("arms", "data", "emulation", "store", "tasks", "training_run", "truncated_training", "truncation")
        ),
        *HERE.parent.glob("golden/*.py"),
        HERE.parent / "golden" / "reference" / "network.py",
    ],
    collect=collect,
    tables=tables,
    plot=write_curves,
)
RESULTS = EXPERIMENT.results
main = EXPERIMENT.main

if __name__ == "__main__":
    sys.exit(main())
