"""What FAST keeps of a training: networks whose matrix products multiply block floating point of 2 and 4 mantissa bits.

The claim, as reported by the authors of Zhang et al., HPCA 2022, arXiv 2110.15456: with the precision of each tensor chosen as
training goes on, the accuracy of FP32. Here: a CNN on MNIST-5k and a character Transformer on Shakespeare, each with five
seeds, forward and backward in groups of 16 with an exponent of 8 bits (see `evidence.training.block_layers`), at 2 bits, at 4,
and with FAST's policy, which has a tensor's sums only from the step before. Master weights and the optimizer are FP32.

Weights and activations are rounded to nearest: what is known of the paper leaves the rounding open, and truncation, which
needs no adder, makes the numbers of a normal distribution smaller by 42 % at 2 bits where rounding to nearest makes them
smaller by 4 %. Gradients are rounded to nearest or stochastically, with independent uniform bits in place of the hardware's
LFSR.
"""

import numpy as np

from evidence.training.arms import BLOCK_ARMS, OPERANDS
from evidence.training.report import TrainingReport, curves

TASKS = ("mnist", "shakespeare")
SHOWN = "fast-sr"  # the arm whose precisions are plotted by layer


def precisions(runs):
    """Of the runs of an arm "passes", relative to 4 bits throughout, and "bits", the mean mantissa bits by operand; None in
    FP32."""
    if "passes" not in runs[0]:
        return {"passes": None, "bits": None}
    fixed = BLOCK_ARMS[runs[0]["arm"]].bits
    bits = [fixed] * len(OPERANDS) if fixed else np.mean([run["bits"] for run in runs], axis=(0, 1, 2)).round(2).tolist()
    return {"passes": round(float(np.mean([run["passes"] for run in runs])), 4), "bits": bits}


def plot(found):
    """Scores over the epochs; precision over the steps, by operand and by layer."""
    from plotly.colors import qualitative

    columns = ["mean mantissa bits", *(f"bits of {operand}s" for operand in OPERANDS)]
    figure, rows = curves(found, columns, f"Mean over seeds; by layer: {found['arms'][SHOWN]}")
    for row, name, runs, _ in rows:
        bits = {arm: np.mean([run["bits"] for run in these], axis=0) for arm, these in runs.items() if "bits" in these[0]}
        steps = found["tasks"][name]["epochs"] * found["tasks"][name]["steps"]
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
        for column in range(2, 3 + len(OPERANDS)):
            figure.update_xaxes(title="step", range=[0, steps], row=row, col=column)
    return figure


REPORT = TrainingReport(
    arms=BLOCK_ARMS,
    about=precisions,
    of_tasks={"layers": "layers"},
    facts={"operands": OPERANDS},
    heading="computed in",
    columns=("passes", *OPERANDS),
    cells=lambda row: [f"{row['passes']:.3f}", *(f"{bits:.2f}" for bits in row["bits"])] if row["bits"] else [],
    note="passes of 2 x 2 bits relative to 4 x 4; mean mantissa bits over layers and steps",
)
EXPERIMENT = REPORT.experiment("fast_training", __doc__, TASKS, "evidence.training.block_layers:run", plot)
