"""Train a network through the emitted memory port, bit for bit as through the golden one: see `cosim.training_loop`."""

import json
import os
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import plotly.graph_objects as go
from narrowfloat import shell
from narrowfloat.cosim.native_port import NativePort
from narrowfloat.cosim.training_loop import SCHEMES, SEED, TYPES, Plan, small_images
from narrowfloat.cosim.training_loop import run as train
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import kept
from narrowfloat.places import build_folder
from rich import box
from rich.table import Table

_NAME = "narrowfloat training-loop"
_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
_DASHES = {"tracker": "solid", "median": "dash"}


def add_arguments(parser):
    parser.add_argument("--seed", type=int, default=SEED, help="of weights and order, from 0; default %(default)s")
    parser.add_argument("--json", type=shell.output_file, metavar="FILE", help="write the runs as JSON, too")


def run(options, plan=None):
    plan = plan or Plan()
    if options.seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {options.seed}")
    with TemporaryDirectory() as folder:
        results, seconds = _run_all(Path(folder), plan, options.seed)
    if options.json:
        shell.write(options.json, json.dumps([result.to_json(options.seed) for result in results], indent=2) + "\n")
    plot = build_folder("training_loop", "biases.html")
    write_plot(results, plan, plot)
    console = shell.console()
    console.print(summary(results, plan, options.seed))
    beats = sum(result.beats for result in results)
    console.print(
        f"{beats:,} beats in {seconds:.0f} s: {beats / seconds:,.0f} beats/s; biases over time: {plot}",
        markup=False,
        soft_wrap=True,
    )
    for result in results:
        if result.failure:
            console.print(result.failure, markup=False, highlight=False, soft_wrap=True)
    return 1 if any(result.failure for result in results) else 0


def emit_port(folder, settings=()):
    """The manifest's path of a memory port, emitted into `folder` as for a user, once it is compiled."""
    emission = kept(find("memory_port"), settings)
    emission.write(folder)
    manifest = folder / f"{emission.module}.json"
    NativePort(manifest)
    return manifest


def _run_all(folder, plan, seed):
    """A `Result` for each of `SCHEMES`, on all cores, and the seconds they took together."""
    with shell.Progress(_NAME, "building the memory port", len(SCHEMES) * plan.steps) as progress:
        data = small_images()
        manifests = {scheme.settings: emit_port(folder, scheme.settings) for scheme in SCHEMES}
        progress.tell("training")
        stop = Event()

        def advance():
            if stop.is_set():
                raise KeyboardInterrupt
            progress.advance()

        started = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                futures = [
                    pool.submit(train, manifests[scheme.settings], plan, scheme, data, seed, advance) for scheme in SCHEMES
                ]
                results = [future.result() for future in futures]
            finally:
                stop.set()
        return results, time.perf_counter() - started


def summary(results, plan, seed):
    """A rich table of `results`."""
    title = "Training through the emitted memory port, against the golden one"
    table = Table("memory", title=title, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    biases = (f"{kind}\nbias" for kind in TYPES)
    for name in ("loss", "held-out loss", "accuracy %", *biases, "tensor words", "stalls", "beats/s"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("result", overflow="fold")
    for result in results:
        last = defaultdict(lambda: float("nan"), result.training.history[-1] if result.training.history else {})
        table.add_row(
            result.scheme.name,
            f"{last['loss']:.4f}",
            f"{last['held_out_loss']:.4f}",
            f"{100 * last['accuracy']:.1f}",
            *("" if result.scheme.is_fp32 else _range(result, plan, kind) for kind in TYPES),
            f"{result.words:,}",
            str(result.stalls),
            f"{result.beats / result.seconds:,.0f}",
            "[red]failed[/]" if result.failure else "[green]bit-exact[/]",
        )
    widths = "-".join(map(str, plan.widths))
    table.caption = (
        f"MNIST-5k, {widths}, {plan.trained} images, {plan.held_out} held out; {plan.calibration} epochs in FP32, then FP8 to "
        f"epoch {plan.epochs}; biases in FP8, alphas in S2FP8; seed {seed}"
    )
    return table


def _range(result, plan, kind):
    """The biases of tensors of a type that are in FP8, or the alphas of those in S2FP8."""
    start = plan.calibration * plan.steps // plan.epochs
    name = "alpha" if result.scheme.s2fp8 else "bias"
    found = [row[name] for row in result.training.biases if row["type"] == kind and row["when"] >= start]
    if not found:
        return ""
    return "alpha " * result.scheme.s2fp8 + " to ".join(f"{value:.3g}" for value in sorted({min(found), max(found)}))


def write_plot(results, plan, path):
    """An HTML page at `path` that shows the biases of the adaptive runs step by step."""
    per_epoch = plan.steps / plan.epochs
    figure = go.Figure()
    for result in results:
        if result.scheme.estimator is None or result.scheme.s2fp8:
            continue
        for kind, color in zip(TYPES, _COLORS, strict=True):
            rows = [row for row in result.training.biases if row["type"] == kind]
            epochs = [row["when"] / per_epoch for row in rows]
            line = {"color": color, "dash": _DASHES[result.scheme.estimator], "shape": "hv", "width": 1.5}
            name = f"{kind}, {result.scheme.estimator}"
            texts = {"text": [row["name"] for row in rows], "hovertemplate": "%{text}, epoch %{x:.2f}: bias %{y}"}
            figure.add_trace(go.Scatter(x=epochs, y=[row["bias"] for row in rows], mode="lines", name=name, line=line, **texts))
    figure.add_vline(plan.calibration, line_dash="dot", annotation_text="FP8 from here on")
    figure.update_layout(
        title="Biases of the tensors of a network that trains through the emitted memory port",
        xaxis_title="epoch",
        yaxis_title="bias",
        template="plotly_white",
        height=560,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    shell.write(path, figure.to_html())
