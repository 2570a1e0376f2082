"""Co-simulate the emitted designs against the golden model, with corner cases, random words and real tensors."""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from narrowfloat.cosim.runner import SIMULATORS, Job, check_simulator, run
from narrowfloat.cosim.tensor_report import tensor_table
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.yosys import ToolError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

RTL = Path("build", "rtl")
DEFAULT_SEED = 1


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m narrowfloat.cosim", description=__doc__)
    parser.add_argument(
        "designs", nargs="*", metavar="DESIGN", help="a design or one of its modules; default all that are shipped"
    )
    parser.add_argument("--sim", choices=SIMULATORS, default="verilator", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the random vectors, from 0; default %(default)s")
    parser.add_argument("--waves", action="store_true", help="record waves (a failed run is repeated with them in any case)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the runs as JSON, too")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        if options.seed < 0:
            raise ValueError(f"--seed must be 0 or more, not {options.seed}")
        check_simulator(options.sim)
        modules = _emit(console, options.designs)
        jobs = [Job(RTL, module, options.sim, options.seed, options.waves) for module in modules]
        results = _run_all(console, jobs)
        if options.json:
            options.json.write_text(json.dumps([result.to_json() for result in results], indent=2) + "\n")
    except (ValueError, ToolError) as error:
        print(f"cosim: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cosim: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    if table := tensor_table(results):
        console.print(table)
    console.print(_summary(results))
    for result in results:
        if result.failure:
            console.print(f"{result.job.module}: {result.failure}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(result.failure for result in results) else 0


def _emit(console, wanted):
    """Emit what is `wanted`, by design or module, and return the modules."""
    chosen = []
    for name, settings in SHIPPED:
        design = find(name)
        module = design.module(design.parse(settings))
        if not wanted or name in wanted or module in wanted:
            chosen.append((design, settings, {name, module}))
    unknown = [word for word in wanted if word not in DESIGNS and not any(word in names for _, _, names in chosen)]
    if unknown:
        raise ValueError(
            f"unknown design {unknown[0]!r}: use one of {', '.join(DESIGNS)}, or a module that `make verilog` lists"
        )
    modules = []
    with console.status("emitting Verilog (the first call of Yosys compiles it, which takes about a minute)"):
        for design, settings, _ in chosen:
            emission = emit(design, settings)
            emission.write(RTL)
            modules.append(emission.module)
    return modules


def _run_all(console, jobs):
    """Results of all `jobs`, in their order, run as many at a time as there are cores."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(os.cpu_count()) as pool:
        task = progress.add_task(f"simulating on {jobs[0].simulator}", total=len(jobs), now="")
        started = time.time()
        pending = [pool.submit(run, job) for job in jobs]
        while not all(future.done() for future in pending):
            time.sleep(0.25)
            at_work = [
                f"{job.module[:40]}: {job.progress // 1000}k beats"
                if job.started_since(started)
                else f"{job.module[:40]}: building"
                for job, future in zip(jobs, pending)
                if future.running() and not future.done()
            ][: os.cpu_count()]
            progress.update(task, completed=sum(future.done() for future in pending), now="; ".join(at_work))
        progress.update(task, completed=len(jobs), now="")
        return [future.result() for future in pending]


def _summary(results):
    table = Table("block", "formats", "simulator", title="Co-simulation against the golden model")
    for name in ("vectors", "cycles", "vectors/s"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for result in results:
        table.add_row(
            result.design,
            ", ".join(result.parameters.get("formats") or [result.parameters.get("fmt", "")]),
            result.job.simulator,
            f"{result.vectors:,}",
            f"{result.cycles:,}",
            f"{result.vectors / result.seconds:,.0f}" if result.seconds else "",
            "[red]failed[/]" if result.failure else "[green]bit-exact[/]",
        )
    table.caption = f"seed {results[0].job.seed}"
    return table


if __name__ == "__main__":
    sys.exit(main())
