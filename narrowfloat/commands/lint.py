"""Run Verilator's linter, with all warnings on, over every shipped design."""

from narrowfloat import shell
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import SHIPPED, find
from narrowfloat.hdl.emit import emit


def add_arguments(parser):
    """It has none."""


def run(options):
    with shell.Progress("narrowfloat lint", "linting", len(SHIPPED)) as progress:
        for name, settings in SHIPPED:
            emission = emit(find(name), settings)
            lint.verilator(emission)
            print(f"{emission.module}: no warnings")
            progress.advance()
