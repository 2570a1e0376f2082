"""Verify random legal configurations: emit, lint and simulate each. A run that was interrupted goes on where it was."""

import shlex

from narrowfloat import shell
from narrowfloat.cosim.runner import SIMULATORS, check_simulator
from narrowfloat.hdl import lint
from narrowfloat.sweep import Record, sweep

DEFAULT_COUNT, DEFAULT_SEED = 100, 1


def add_arguments(parser):
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, metavar="N", help="how many; default %(default)s")
    parser.add_argument("--sim", choices=SIMULATORS, default="icarus", help="default %(default)s")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="of the draw and the vectors, from 0; default %(default)s"
    )


def run(options):
    for name, low in (("count", 1), ("seed", 0)):
        if getattr(options, name) < low:
            raise ValueError(f"--{name} must be {low} or more, not {getattr(options, name)}")
    check_simulator(options.sim)
    lint.check_tools()
    record = Record(options.sim, options.seed)
    numbers = [number for number in range(options.count) if number not in record.done]
    if len(numbers) < options.count:
        print(f"{options.count - len(numbers)} of {options.count} were done before, with the same sources")
    with shell.Progress("narrowfloat sweep", f"verifying on {options.sim}", len(numbers)) as progress:
        sweep(record, options.sim, options.seed, numbers, progress)
    done = [record.done[number] for number in range(options.count)]
    failed = [entry for entry in done if entry["failure"]]
    for entry in failed:
        words = [word for each in entry["settings"] for word in ("--set", each)]
        again = shlex.join(["narrowfloat", "sim", entry["design"], *words, "--sim", options.sim, "--seed", str(options.seed)])
        print(f"{entry['number']}: {entry['failure'].splitlines()[0]}\n  {again}")
    designs = len({entry["design"] for entry in done})
    held = f"{len(done) - len(failed)} of {len(done)} random configurations of {designs} designs hold"
    print(f"{held} on {options.sim}, seed {options.seed}")
    return 1 if failed else 0
