"""What S2FP8 costs in accuracy, untouched, beside plain FP8, FP8 with a scaled loss and adaptive bias: networks in training.

The claim, as reported by the authors of Cambier et al. 2020, arXiv 2001.05674: within a point of FP32 where plain FP8 fails,
without loss scaling. Here: a CNN of eight layers on MNIST-5k, a character Transformer on Shakespeare and neural collaborative
filtering on MovieLens, each with five seeds. As in the paper, every tensor is truncated before and after every convolution and
matrix product, forward and backward, in all layers from the first to the last; the optimizer works on a master copy in FP32,
sums are FP32, nothing is rounded stochastically. As the hardware has it, a tensor's alpha and beta are from its statistics in
the step before, in the first step 1 and 0, and what is then too large saturates at 57344. See `evidence.training.arms` for
what is compared, `evidence.training.tasks` for the networks, `evidence.training.truncation` for how it is computed.
"""

import numpy as np

from evidence.training.arms import TRUNCATION_ARMS, TYPES
from evidence.training.report import TrainingReport, curves, epochs

TASKS = ("mnist8", "shakespeare", "movielens")


def last_parameters(runs):
    """ "alphas" and "betas": of each type the median at the end, the mean over `runs`; None of other arms."""
    if "alphas" not in runs[0]:
        return {"alphas": None, "betas": None}
    return {name: np.mean([run[name][-1] for run in runs], axis=0).round(3).tolist() for name in ("alphas", "betas")}


def _cells(row):
    if row["alphas"] is None:
        return []
    return [f"{alpha:.2f}, {beta:+.0f}" for alpha, beta in zip(row["alphas"], row["betas"], strict=True)]


def plot(found):
    """Scores, and of S2FP8 alpha and beta, over the epochs."""
    from plotly.colors import qualitative

    title = "Mean over seeds; alpha and beta: medians over the tensors of a type"
    figure, rows = curves(found, ["alpha of S2FP8", "beta of S2FP8"], title)
    for row, _, runs, _ in rows:
        for column, name in enumerate(("alphas", "betas"), 2):
            medians = np.mean([run[name] for run in runs["s2fp8"]], axis=0)
            for type, (words, color) in enumerate(zip(TYPES, qualitative.Plotly, strict=False)):
                style = {"name": words, "legendgroup": words, "line": {"color": color, "dash": "dot"}, "mode": "lines"}
                is_first = row == 1 and column == 2
                figure.add_scatter(x=epochs(medians), y=medians[:, type], row=row, col=column, showlegend=is_first, **style)
    return figure


REPORT = TrainingReport(
    arms=TRUNCATION_ARMS,
    about=last_parameters,
    of_tasks={},
    heading="truncated to",
    columns=TYPES,
    cells=_cells,
    note="on the right alpha and beta at the end, medians over the tensors of a type",
)
EXPERIMENT = REPORT.experiment("s2fp8_training", __doc__, TASKS, "evidence.training.truncation:run", plot)
