"""Co-simulate emitted designs against the golden model, with corner cases, random words and real tensors."""

import json
import shlex
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from narrowfloat import shell
from narrowfloat.cosim.runner import SIMULATORS, Job, benches, check_simulator
from narrowfloat.cosim.runner import run as simulate
from narrowfloat.cosim.tensor_report import tensor_table
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import kept
from narrowfloat.places import build_folder
from rich.table import Table

DEFAULT_SEED = 1
_NAME = "narrowfloat sim"


def add_arguments(parser):
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help="a design or one of its modules; default all as shipped")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="simulate DESIGN with this parameter, not as shipped"
    )
    parser.add_argument("--sim", choices=SIMULATORS, default="verilator", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the random vectors, from 0; default %(default)s")
    parser.add_argument("--waves", action="store_true", help="record waves (a failed run is repeated with them in any case)")
    parser.add_argument("--json", type=shell.output_file, metavar="FILE", help="write the runs as JSON, too")


def run(options):
    if options.seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {options.seed}")
    chosen = _chosen(options)
    check_simulator(options.sim)
    with _run_folder() as folder:
        results = _run_all(chosen, folder, options)
        if options.json:
            shell.write(options.json, json.dumps([result.to_json() for result in results], indent=2) + "\n")
        console = shell.console()
        if table := tensor_table(results):
            console.print(table)
        console.print(_summary(results))
        for result in results:
            if result.failure:
                console.print(f"{result.job.module}: {result.failure}", markup=False, highlight=False, soft_wrap=True)
        if not options.waves and not any(result.failure for result in results):
            shutil.rmtree(folder)
            return 0
        console.print(f"logs and waves: {folder}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(result.failure for result in results) else 0


def _chosen(options):
    """(design, settings) of each build that is asked for."""
    wanted = options.designs
    if options.set:
        if len(wanted) != 1:
            raise ValueError("--set goes with exactly one design")
        chosen = [(find(wanted[0]), options.set)]
    else:
        chosen = [(find(name), settings) for name, settings in SHIPPED]
        names = [{design.name, design.module(design.parse(settings))} for design, settings in chosen]
        for word in wanted:
            if not any(word in each for each in names):
                raise ValueError(
                    f"unknown design {word!r}: use one of {', '.join(DESIGNS)}, or a module that `make verilog` lists"
                )
        chosen = [build for build, each in zip(chosen, names, strict=True) if not wanted or each & set(wanted)]
    for design, settings in chosen:
        design.parse(settings)
        benches(design.name, design.reference)
    return chosen


@contextmanager
def _run_folder():
    """A folder of this run's own, which is gone when the run ends early."""
    place = build_folder("sim")
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=place))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run_all(chosen, folder, options):
    """Results of all builds, in their order: while one is emitted, as many as there are cores are compiled and simulated."""
    jobs, futures = [], []
    with shell.Progress(_NAME, f"simulating on {options.sim}", len(chosen)) as progress, shell.Workers() as workers:

        def tell():
            busy = [job for job, future in zip(jobs, futures, strict=True) if future.running()]
            progress.tell(now="; ".join(map(_describe, busy)))

        for design, settings in chosen:
            progress.tell(now=f"emitting {design.name} (Yosys' very first call takes about a minute)")
            emission = kept(design, settings)
            place = folder / emission.module
            emission.write(place)
            rerun = _rerun(design.name, options) if options.set else None
            jobs.append(Job(place, emission.module, options.sim, options.seed, options.waves, rerun=rerun))
            futures.append(workers.submit(simulate, jobs[-1]))
            futures[-1].add_done_callback(lambda future: progress.advance())
            tell()
        while not all(future.done() for future in futures):
            time.sleep(0.2)
            tell()
            for future in futures:
                if future.done():
                    future.result()
        return [future.result() for future in futures]


def _describe(job):
    beats = job.progress
    return f"{job.module[:40]}: " + ("building" if beats is None else f"{beats // 1000}k beats")


def _rerun(name, options):
    words = [*(word for each in options.set for word in ("--set", each)), "--sim", options.sim, "--seed", str(options.seed)]
    return shlex.join(["narrowfloat", "sim", name, *words])


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
