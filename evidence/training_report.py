"""The trainings of `evidence.fp8_training` and `evidence.fast_training` as tables and as curves."""

import numpy as np
from rich import box
from rich.table import Table

from evidence.arms import TYPES
from evidence.results import paired_interval

REFERENCE = "fp32"


def ordered(runs, tasks, arms):
    """`runs` by task, arm and seed, in the order of `tasks` and `arms`."""
    return sorted(runs, key=lambda run: (tasks.index(run["task"]), list(arms).index(run["arm"]), run["seed"]))


def describe(runs, quick):
    """What each task of `runs` is: a dict by its name. Needs PyTorch."""
    from evidence.tasks import TASKS

    described = {}
    for run in runs:
        if run["task"] not in described:
            task = TASKS[run["task"]](0, quick)
            described[run["task"]] = {
                "title": task.title,
                "score": task.score_name,
                "better": task.better,
                "digits": task.digits,
                "epochs": len(run["scores"]),
                "steps": task.steps,
            }
    return described


def last_score(result):
    return f"{result['scores'][-1]:.4f}"


def last_biases(runs):
    """ "biases": of each type the smallest and largest at the end of `runs`, None in FP32."""
    ends = [run["biases"][-1] for run in runs]
    return {"biases": None if None in ends else [[min(biases), max(biases)] for biases in zip(*ends, strict=True)]}


def summarize(runs, about=last_biases):
    """For each task and arm: the score at the end and what it lost or won against FP32 of the same seeds.

    Parameters
    ----------
    runs : list of dict
        With "task", "arm", "seed", "scores".
    about : callable
        Gives what else to say, a dict, of the runs of one task and arm.

    Returns
    -------
    list of dict
        "task", "arm", "score" (mean), "difference", "low", "high" (to FP32: mean and the ends of the 95 % interval; None for
        FP32 itself or less than two seeds), and what `about` gives.
    """
    rows = []
    for task, arm in dict.fromkeys((run["task"], run["arm"]) for run in runs):
        reference, these = (
            {run["seed"]: run for run in runs if (run["task"], run["arm"]) == (task, name)} for name in (REFERENCE, arm)
        )
        seeds = [seed for seed in these if seed in reference]
        difference = low = high = None
        if arm != REFERENCE and len(seeds) > 1:
            pairs = [[part[seed]["scores"][-1] for seed in seeds] for part in (these, reference)]
            difference, low, high = (round(value, 6) for value in paired_interval(*pairs))
        score = round(float(np.mean([run["scores"][-1] for run in these.values()])), 6)
        row = {"task": task, "arm": arm, "score": score, "difference": difference, "low": low, "high": high}
        rows.append(row | about(list(these.values())))
    return rows


def tables(results):
    """A rich table for each task of `evidence.fp8_training`."""
    cells = lambda row: [_span(*biases) for biases in row["biases"] or ()]
    return tables_with(results, "stored as", TYPES, cells, "on the right the last biases by type")


def tables_with(results, heading, more, cells, words):
    """A rich table for each task: an arm's score beside FP32's, and on the right `cells(row)` under the headings `more`."""
    for name, task in results["tasks"].items():
        rows = [row for row in results["summary"] if row["task"] == name]
        digits = task["digits"]
        seeds = sorted({run["seed"] for run in results["runs"] if run["task"] == name})
        table = Table(title=f"{task['title']}: {task['score']}", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
        table.add_column(heading)
        for right in ("score", "to FP32", "95 % interval", *more):
            table.add_column(right, justify="right", no_wrap=True)
        for row in rows:
            known = row["difference"] is not None
            table.add_row(
                results["arms"][row["arm"]],
                f"{row['score']:.{digits}f}",
                f"{row['difference']:+.{digits}f}" if known else "",
                f"{row['low']:+.{digits}f} .. {row['high']:+.{digits}f}" if known else "",
                *cells(row),
            )
        table.caption = (
            f"{task['epochs']} epochs of {task['steps']} steps; mean of seeds {', '.join(map(str, seeds))}; "
            f"{task['better']} is better; {words}"
        )
        yield table


def _span(low, high):
    return str(low) if low == high else f"{low}-{high}"


def write_curves(results, path):
    """Scores and biases over the epochs as an HTML page. Needs plotly."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    names = list(results["tasks"])
    titles = [f"{name}: {what}" for name in names for what in ("score", *(f"bias, {type}" for type in TYPES))]
    figure = make_subplots(rows=len(names), cols=1 + len(TYPES), subplot_titles=titles)
    for row, name in enumerate(names, 1):
        for (arm, title), color in zip(results["arms"].items(), qualitative.Dark24, strict=False):
            runs = [run for run in results["runs"] if (run["task"], run["arm"]) == (name, arm)]
            if not runs:
                continue
            style = {"name": title, "legendgroup": arm, "line": {"color": color}, "mode": "lines"}
            epochs = list(range(1, 1 + len(runs[0]["scores"])))
            scores = np.mean([run["scores"] for run in runs], axis=0)
            figure.add_scatter(x=epochs, y=scores, showlegend=row == 1, row=row, col=1, **style)
            for type in range(len(TYPES)):
                biases = [run and run[type] for run in runs[0]["biases"]]
                if any(biases):
                    figure.add_scatter(x=epochs, y=biases, showlegend=False, row=row, col=2 + type, **style)
    figure.update_layout(height=420 * len(names), title="Mean over seeds; biases of the first seed")
    figure.write_html(path, include_plotlyjs="directory")
