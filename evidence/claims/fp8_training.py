"""What adaptive-bias FP8 costs in accuracy: networks in training whose every tensor in DRAM is stored in eight bits.

The claim, as reported by the authors of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: about 1 % less accuracy than FP32.
Here: a CNN on MNIST-5k, a text classifier on Reuters R8 and a character Transformer on Shakespeare, each with five seeds.
Every tensor that leaves the chip (activations, errors, weight gradients and weights) is stored, and what was stored is used
from then on. The bias comes from the golden model of an estimator, which has seen earlier tensors only. The optimizer works on
a master copy in FP32. See `evidence.training.arms` for what is compared, `evidence.training.tasks` for the networks.
"""

from evidence.training.arms import STORAGE_ARMS, TYPES
from evidence.training.report import TrainingReport, curves, epochs

TASKS = ("mnist", "reuters", "shakespeare")


def last_biases(runs):
    """ "biases": of each type the smallest and largest at the end of `runs`, None in FP32."""
    ends = [run["biases"][-1] for run in runs]
    return {"biases": None if None in ends else [[min(biases), max(biases)] for biases in zip(*ends, strict=True)]}


def plot(found):
    """Scores, and the biases of the first seed, over the epochs."""
    columns = [f"bias, {type}" for type in TYPES]
    figure, rows = curves(found, columns, "Mean over seeds; biases of the first seed")
    for row, _, runs, styles in rows:
        for arm, style in styles.items():
            for type in range(len(TYPES)):
                biases = [biases and biases[type] for biases in runs[arm][0]["biases"]]
                if any(biases):
                    figure.add_scatter(x=epochs(biases), y=biases, showlegend=False, row=row, col=2 + type, **style)
    return figure


REPORT = TrainingReport(
    arms=STORAGE_ARMS,
    about=last_biases,
    of_tasks={"traffic": "traffic_per_epoch"},
    heading="stored as",
    columns=TYPES,
    cells=lambda row: ["-".join(map(str, dict.fromkeys(biases))) for biases in row["biases"] or ()],
    note="on the right the last biases by type",
)
EXPERIMENT = REPORT.experiment("fp8_training", __doc__, TASKS, "evidence.training.storage:run", plot)
