"""Every FP32 word through the emitted encoder, and every code at every bias through the decoder, against the golden model.

Without cocotb, at native speed: see `cosim.native`.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np
from narrowfloat.cosim.native import CACHE, Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.spelling import spell_code, spell_float32
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.yosys import ToolError
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

# At 32 lanes g++ makes vector instructions of the encoder: 330 million words per second and core, against 40 at one lane.
LANES = {"float_encoder": 32, "float_decoder": 4}
# At three biases the encoder takes half a minute to a minute for a format, the decoder no time.
FORMATS = {"float_encoder": "ab_e5m2", "float_decoder": "ab_e5m2,float8_e4m3fn,float8_e5m2"}
BIASES = "10,15,40"
WORDS = 2**32
RTL = CACHE / "rtl"
_CHUNK = 2**20


@dataclass(frozen=True)
class Sweep:
    """FP32 words: `first`, ``first + stride`` and so on modulo 2**32, `count` of them."""

    first: int = 0
    stride: int = 1
    count: int = WORDS

    def words(self, start, count):
        """uint32 [count]: those numbered `start` and up."""
        offset = np.uint32((self.first + self.stride * start) % WORDS)
        return np.arange(count, dtype=np.uint32) * np.uint32(self.stride) + offset


def check_encoder(manifest, fmt, bias, sweep, advance=lambda count: None):
    """Run the words of `sweep` through an encoder and compare, on all cores.

    Parameters
    ----------
    manifest : pathlib.Path
        Of a float_encoder for one format that rounds to nearest even and saturates.
    fmt : FloatFormat
    bias : int
    sweep : Sweep
        Of whole beats.
    advance : callable
        Is told, by several threads, how many more words have been compared.

    Raises
    ------
    narrowfloat.cosim.report.Mismatch
    """
    run_sweep(manifest, sweep, lambda *part: _compare_encoder(part[0], fmt, bias, sweep, *part[1:]), advance)


def run_sweep(manifest, sweep, compare, advance=lambda count: None):
    """Call ``compare(model, start, count)`` for all parts of `sweep`, on all cores, each with a model of its own.

    `manifest` and `advance` are as for `check_encoder`.
    """
    workers = os.cpu_count()
    models = [Model(manifest) for _ in range(workers)]
    stop = Event()

    def work(index):
        for start in range(index * _CHUNK, sweep.count, workers * _CHUNK):
            if stop.is_set():
                break
            count = min(_CHUNK, sweep.count - start)
            compare(models[index], start, count)
            advance(count)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in [pool.submit(work, index) for index in range(workers)]:
                future.result()
        finally:
            stop.set()


def _compare_encoder(model, fmt, bias, sweep, start, count):
    words = sweep.words(start, count)
    got = model.run(words.reshape(-1, model.lanes), **_only_built(model, bias=bias))[0].reshape(-1)
    want = encode(words.view(np.float32), fmt, bias=bias)
    if np.array_equal(got, want):
        return
    vector = int(np.argmax(got != want))
    lane = vector % model.lanes
    raise Mismatch(
        f"lane {lane}, vector {start + vector}: {fmt.name} bias {bias}: {spell_float32(words[vector])}: "
        f"got {spell_code(got[vector], fmt, bias)}, want {spell_code(want[vector], fmt, bias)}; "
        f"rerun: python -m narrowfloat.cosim.exhaustive float_encoder --formats {fmt.name} --biases {bias} "
        f"--first {words[vector - lane]:#010x} --stride {sweep.stride} --count {model.lanes}"
    )


def check_decoder(manifest, fmt):
    """Run every code at every bias through a decoder, a float_decoder for one format, and compare.

    Raises
    ------
    narrowfloat.cosim.report.Mismatch
    """
    model = Model(manifest)
    low, high = fmt.bias_range
    codes = np.tile(np.arange(2**fmt.bits, dtype=code_dtype(fmt)), high + 1 - low).reshape(-1, model.lanes)
    bias = np.arange(low, high + 1).repeat(2**fmt.bits // model.lanes)
    got, _ = model.run(codes, **_only_built(model, bias=bias))
    want = decode(codes, fmt, bias=bias[:, None]).view(np.uint32)
    if np.array_equal(got, want):
        return
    beat, lane = np.argwhere(got != want)[0]
    raise Mismatch(
        f"lane {lane}, vector {beat * model.lanes + lane}: {fmt.name} bias {bias[beat]}: {codes[beat, lane]:#04x}: "
        f"got {spell_float32(got[beat, lane])}, want {spell_float32(want[beat, lane])}; "
        f"rerun: python -m narrowfloat.cosim.exhaustive float_decoder --formats {fmt.name}"
    )


def _only_built(model, **user):
    return {name: value for name, value in user.items() if name in model.user_fields}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m narrowfloat.cosim.exhaustive", description=__doc__)
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"{' or '.join(LANES)}; default both")
    defaults = "; ".join(f"{design} {names}" for design, names in FORMATS.items())
    parser.add_argument("--formats", metavar="NAME,...", help=f"names or spellings; default {defaults}")
    parser.add_argument("--biases", default=BIASES, metavar="N,...", help="the encoder's, or all; default %(default)s")
    parser.add_argument("--first", default="0", metavar="WORD", help="the encoder's first input; default %(default)s")
    parser.add_argument("--stride", default="1", metavar="N", help="from one input to the next; default %(default)s")
    parser.add_argument("--count", metavar="N", help="how many inputs, rounded up to whole beats; default up to 2**32")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the runs as JSON, too")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        results = _run_all(console, _plan(options))
        if options.json:
            options.json.write_text(json.dumps([result.to_json() for result in results], indent=2) + "\n")
    except (ValueError, ToolError) as error:
        message = error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    except KeyboardInterrupt:
        message = "interrupted"
    else:
        console.print(_summary(results))
        for result in results:
            if result.failure:
                console.print(result.failure, markup=False, highlight=False, soft_wrap=True)
        return 1 if any(result.failure for result in results) else 0
    print(f"exhaustive: {message}", file=sys.stderr)
    return 2


@dataclass(frozen=True)
class _Run:
    """One row of the table: a design in one format; of the encoder, `sweep` at one bias, of the decoder all there is."""

    design: str
    fmt: FloatFormat
    bias: int | None = None
    sweep: Sweep | None = None

    def __str__(self):
        return f"{self.design} {self.fmt.name}" + (f" bias {self.bias}" if self.sweep else "")

    @property
    def vectors(self):
        low, high = self.fmt.bias_range
        return self.sweep.count if self.sweep else (high + 1 - low) * 2**self.fmt.bits

    def check(self, manifest, advance):
        if self.sweep:
            check_encoder(manifest, self.fmt, self.bias, self.sweep, advance)
        else:
            check_decoder(manifest, self.fmt)
            advance(self.vectors)


@dataclass(frozen=True)
class _Result:
    run: _Run
    parameters: dict
    seconds: float
    failure: str | None

    def to_json(self):
        return {
            "design": self.run.design,
            "parameters": self.parameters,
            "bias": self.run.bias,
            "simulator": "verilator",
            "seed": None,
            "vectors": self.run.vectors,
            "cycles": self.run.vectors // self.parameters["lanes"],
            "seconds": round(self.seconds, 3),
            "passed": self.failure is None,
        }


def _plan(options):
    """All runs that are asked for, once everything that was asked for is found to be allowed."""
    for design in options.designs:
        if design not in LANES:
            raise ValueError(f"unknown design {design!r}: use one of {', '.join(LANES)}")
    if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise ValueError(f"--json must name a file in a folder that is there, not {str(options.json)!r}")
    stride = integer("--stride", options.stride, 1, WORDS - 1)
    count = integer("--count", options.count, 1, WORDS) if options.count else -(-WORDS // stride)
    lanes = LANES["float_encoder"]
    sweep = Sweep(integer("--first", options.first, 0, WORDS - 1), stride, -(-count // lanes) * lanes)
    runs = []
    for design in options.designs or reversed(LANES):
        for fmt in map(FloatFormat.parse, (options.formats or FORMATS[design]).split(",")):
            if design == "float_encoder":
                runs += [_Run(design, fmt, bias, sweep) for bias in _biases(fmt, options.biases)]
            else:
                runs.append(_Run(design, fmt))
    return runs


def _biases(fmt, text):
    low, high = fmt.bias_range
    if text == "all":
        return range(low, high + 1)
    return [integer(f"--biases of {fmt.name}", word, low, high) for word in text.split(",")]


def integer(name, text, low, high):
    """The integer that an option's `text` gives; ValueError unless it is one from `low` to `high`."""
    try:
        value = int(text, 0)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {text!r}")
    return value


def _run_all(console, runs):
    results = []
    manifests = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(run.vectors for run in runs))
        for run in runs:
            kind = run.design, run.fmt
            if kind not in manifests:
                progress.update(task, description=f"building {run.design} {run.fmt.name}")
                manifests[kind] = _build(*kind)
            progress.update(task, description=str(run))
            results.append(_run(run, manifests[kind], lambda count: progress.advance(task, count)))
    return results


def _build(design, fmt):
    """The manifest of `design`, without registers, emitted as for a user and compiled."""
    emission = emit(find(design), [f"formats={fmt.name}", f"lanes={LANES[design]}", "stages=0"])
    emission.write(RTL)
    manifest = RTL / f"{emission.module}.json"
    Model(manifest)
    return manifest


def _run(run, manifest, advance):
    failure = None
    started = time.perf_counter()
    try:
        run.check(manifest, advance)
    except Mismatch as mismatch:
        failure = str(mismatch)
    seconds = time.perf_counter() - started
    return _Result(run, json.loads(manifest.read_text())["parameters"], seconds, failure)


def _summary(results):
    title = "Every input at native speed against the golden model"
    table = Table("block", "format", title=title, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in ("bias", "vectors", "million/s", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for result in results:
        run = result.run
        table.add_row(
            run.design.removeprefix("float_"),
            run.fmt.name,
            str(run.bias) if run.sweep else "all",
            f"{run.vectors:,}",
            f"{run.vectors / result.seconds / 1e6:.1f}",
            f"{result.seconds:.1f}",
            "[red]failed[/]" if result.failure else "[green]bit-exact[/]",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
