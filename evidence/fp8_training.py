"""What adaptive-bias FP8 costs in accuracy: networks in training whose every tensor in DRAM is stored in eight bits.

The claim, as reported by the authors of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: about 1 % less accuracy than FP32.
Here: a CNN on MNIST-5k, a text classifier on Reuters R8 and a character Transformer on Shakespeare, each with five seeds. Of every
tensor that leaves the chip, activations, errors, weight gradients and weights, what is stored is what is used afterwards; the
bias comes from the golden model of an estimator, and from tensors before. The optimizer works on a master copy in FP32. See
`evidence.arms` for what is compared, `evidence.tasks` for the networks.
"""

import sys

from evidence import experiment, training_report
from evidence.arms import ARMS
from evidence.experiment import HERE

TASKS = ("mnist", "reuters", "shakespeare")


def jobs(names, seeds):
    return [(name, arm, seed) for seed in seeds for name in names for arm in ARMS]


def train(task, arm, seed, quick):
    from evidence import training_run

    return training_run.run(task, ARMS[arm], seed, quick)


def collect(names, runs, quick):
    """All that goes into the JSON file."""
    traffic = {run["task"]: run.pop("traffic") for run in runs if "traffic" in run}
    order = training_report.ordered(runs, names, ARMS)
    return {
        "tasks": training_report.describe(order, quick),
        "arms": {name: arm.title for name, arm in ARMS.items()},
        "traffic_per_epoch": traffic,
        "summary": training_report.summarize(order),
        "runs": order,
    }


EXPERIMENT = experiment.Experiment(
    name="fp8_training",
    doc=__doc__,
    choice="task",
    choices=TASKS,
    keys=("task", "arm", "seed"),
    jobs=jobs,
    run=train,
    told=training_report.last_score,
    sources=[
        *(HERE / f"{name}.py" for name in ("arms", "data", "store", "tasks", "training_run")),
        *HERE.parent.glob("golden/*.py"),
        HERE.parent / "golden" / "reference" / "network.py",
    ],
    collect=collect,
    tables=training_report.tables,
    plot=training_report.write_curves,
)
RESULTS = EXPERIMENT.results
main = EXPERIMENT.main

if __name__ == "__main__":
    sys.exit(main())
