"""What FAST keeps of a training: networks whose matrix products multiply block floating point of 2 and 4 mantissa bits.

The claim, as reported by the authors of Zhang et al., HPCA 2022, arXiv 2110.15456: with the precision of each tensor chosen as
training goes on, the accuracy of FP32. Here: a CNN on MNIST-5k and a character Transformer on Shakespeare, each with five seeds,
forward and backward in groups of 16 with an exponent of 8 bits (see `evidence.block_layers`), at 2 bits, at 4, and with FAST's policy,
which has a tensor's sums only from the step before. Master weights and the optimizer are FP32.

Weights and activations are rounded to nearest: what is known of the paper leaves that open, and truncation, which needs no adder, makes
numbers smaller by 42 % at 2 bits where rounding to nearest makes them so by 4 % (of a normal distribution). Gradients are rounded
likewise or stochastically, with independent uniform bits in place of the hardware's LFSR. All of it takes half an hour of one core.
"""

import sys

import numpy as np

from evidence import experiment, training_report
from evidence.arms import BLOCK_ARMS, OPERANDS
from evidence.experiment import HERE

TASKS = ("mnist", "shakespeare")
SHOWN = "fast-sr"  # the arm whose precisions are plotted by layer


def jobs(names, seeds):
    return [(name, arm, seed) for seed in seeds for name in names for arm in BLOCK_ARMS]


def train(task, arm, seed, quick):
    from evidence import block_training

    return block_training.run(task, BLOCK_ARMS[arm], seed, quick)


def collect(names, runs, quick):
    """All that goes into the JSON file."""
    layers = {run["task"]: run.pop("layers") for run in runs if "layers" in run}
    order = training_report.ordered(runs, names, BLOCK_ARMS)
    return {
        "tasks": training_report.describe(order, quick),
        "layers": layers,
        "operands": OPERANDS,
        "arms": {name: arm.title for name, arm in BLOCK_ARMS.items()},
        "summary": training_report.summarize(order, precisions),
        "runs": order,
    }


def precisions(runs):
    """Of the runs of an arm "passes", relative to 4 bits throughout, and "bits", the mean mantissa bits by operand; None in FP32."""
    if "passes" not in runs[0]:
        return {"passes": None, "bits": None}
    fixed = BLOCK_ARMS[runs[0]["arm"]].bits
    bits = [fixed] * len(OPERANDS) if fixed else np.mean([run["bits"] for run in runs], axis=(0, 1, 2)).round(2).tolist()
    return {"passes": round(float(np.mean([run["passes"] for run in runs])), 4), "bits": bits}


def tables(found):
    """A rich table for each task."""

    def cells(row):
        return [f"{row['passes']:.3f}", *(f"{bits:.2f}" for bits in row["bits"])] if row["bits"] else []

    words = "passes of 2 x 2 bits relative to 4 x 4; mean mantissa bits over layers and steps"
    return training_report.tables_with(found, "computed in", ("passes", *OPERANDS), cells, words)


def write_plots(found, path):
    """Scores over the epochs; precision over the steps, by operand and by layer: an HTML page. Needs plotly."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    titles = [
        f"{name}: {what}"
        for name in found["tasks"]
        for what in ("score", "mean mantissa bits", *(f"bits of {operand}s" for operand in OPERANDS))
    ]
    figure = make_subplots(rows=len(found["tasks"]), cols=2 + len(OPERANDS), subplot_titles=titles, horizontal_spacing=0.06)
    for row, (name, task) in enumerate(found["tasks"].items(), 1):
        runs = {arm: [run for run in found["runs"] if (run["task"], run["arm"]) == (name, arm)] for arm in found["arms"]}
        for (arm, title), color in zip(found["arms"].items(), qualitative.Dark24, strict=False):
            scores = np.mean([run["scores"] for run in runs[arm]], axis=0)
            style = {"name": title, "legendgroup": arm, "line": {"color": color}, "mode": "lines"}
            figure.add_scatter(x=np.arange(1, 1 + len(scores)), y=scores, showlegend=row == 1, row=row, col=1, **style)
        bits = {arm: np.mean([run["bits"] for run in these], axis=0) for arm, these in runs.items() if "bits" in these[0]}
        steps = task["epochs"] * task["steps"]
        middles = (np.arange(len(bits[SHOWN])) + 0.5) * steps / len(bits[SHOWN])
        for arm, dash in zip(bits, ("dot", "solid"), strict=True):
            for number, operand in enumerate(OPERANDS):
                style = {"name": f"{operand}s, {found['arms'][arm]}", "line": {"color": qualitative.D3[number], "dash": dash}}
                y = bits[arm][:, :, number].mean(axis=1)
                figure.add_scatter(x=middles, y=y, showlegend=row == 1, row=row, col=2, mode="lines", **style)
        figure.update_yaxes(range=[1.9, 4.1], row=row, col=2)
        for number in range(len(OPERANDS)):
            figure.add_heatmap(
                x=middles,
                y=found["layers"][name],
                z=bits[SHOWN][:, :, number].T,
                zmin=2,
                zmax=4,
                colorscale="Viridis",
                colorbar={"title": "bits", "x": 1, "y": 0.2, "len": 0.4},
                showscale=row == 1 and number == 0,
                row=row,
                col=3 + number,
            )
            figure.update_yaxes(autorange="reversed", showticklabels=number == 0, tickfont={"size": 9}, row=row, col=3 + number)
        for col in range(2, 3 + len(OPERANDS)):
            figure.update_xaxes(title="step", range=[0, steps], row=row, col=col)
        figure.update_xaxes(title="epoch", row=row, col=1)
    title = f"Mean over seeds; by layer: {found['arms'][SHOWN]}"
    figure.update_layout(height=440 * len(found["tasks"]), title=title)
    figure.write_html(path, include_plotlyjs="directory")


EXPERIMENT = experiment.Experiment(
    name="fast_training",
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
            for name in ("arms", "block_layers", "block_training", "data", "emulation", "tasks", "training_run")
        ),
        *(HERE.parent / "golden" / f"{name}.py" for name in ("bfp", "formats")),
        HERE.parent / "golden" / "reference" / "network.py",
    ],
    collect=collect,
    tables=tables,
    plot=write_plots,
)
RESULTS = EXPERIMENT.results
main = EXPERIMENT.main

if __name__ == "__main__":
    sys.exit(main())
