"""Run Verilator's and Icarus' linters, with all warnings on, over every shipped design and the corners of every parameter."""

from narrowfloat import shell
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit


def add_arguments(parser):
    parser.add_argument("design", nargs="*", metavar="DESIGN", help=f"default all: {', '.join(DESIGNS)}")


def run(options):
    lint.check_tools()
    chosen = configurations([find(name) for name in options.design] or DESIGNS.values())
    with shell.Progress("narrowfloat lint", "linting", len(chosen)) as progress, shell.Workers() as workers:
        for done in [workers.submit(_lint, *each) for each in chosen]:
            print(f"{done.result()}: no warnings")
            progress.advance()


def configurations(designs):
    """Designs with settings: those that are shipped, then the corners of each parameter, each once."""
    shipped = [(find(name), settings) for name, settings in SHIPPED]
    every = [each for each in shipped if each[0] in designs]
    every += [(design, tuple(settings)) for design in designs for settings in lint.corners(design)]
    found = {}
    for design, settings in every:
        found.setdefault(design.module(design.parse(settings)), (design, settings))
    return list(found.values())


def _lint(design, settings):
    emission = emit(design, settings)
    lint.check(emission)
    return emission.module
