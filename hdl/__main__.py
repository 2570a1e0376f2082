"""List the designs, emit them as Verilog, and lint what was emitted."""

import argparse
import json
import sys
from pathlib import Path

from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.yosys import ToolError
from rich.console import Console
from rich.table import Table


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m narrowfloat.hdl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | emit | lint")
    command = commands.add_parser("list", help="the designs and their parameters")
    command.add_argument("--json", action="store_true", help="as JSON instead of tables")
    command.set_defaults(run=list_designs)
    command = commands.add_parser("emit", help="write a design as Verilog with its manifest, filelist and FuseSoC core file")
    command.add_argument("design", nargs="?", metavar="DESIGN", help=f"one of {', '.join(DESIGNS)}")
    command.add_argument("--all", action="store_true", help="every shipped design instead")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; see list")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write into")
    command.set_defaults(run=emit_designs)
    command = commands.add_parser("lint", help="run Verilator's linter, all warnings on, over every shipped design")
    command.set_defaults(run=lint_designs)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, ToolError) as error:
        message = error
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    print(f"hdl: {message}", file=sys.stderr)
    return 2


def list_designs(options):
    if options.json:
        print(json.dumps([_as_json(design) for design in DESIGNS.values()], indent=2))
        return 0
    console = Console()
    for design in DESIGNS.values():
        heading = f"{design.name}: {design.summary}"
        table = Table("parameter", "default", "allowed", "meaning", title=heading, title_justify="left")
        for parameter in design.parameters:
            default = "" if parameter.default is None else parameter.to_text(parameter.default)
            table.add_row(parameter.name, default, parameter.allowed, parameter.meaning)
        console.print(table)
        for relation in design.component.relations:
            console.print(f"  {relation.text}", highlight=False)
    return 0


def _as_json(design):
    return {
        "design": design.name,
        "summary": design.summary,
        "parameters": [
            {
                "name": parameter.name,
                "default": parameter.to_json(parameter.default),
                "allowed": parameter.allowed,
                "meaning": parameter.meaning,
            }
            for parameter in design.parameters
        ],
        "relations": [
            {"text": relation.text, "parameters": list(relation.parameters)} for relation in design.component.relations
        ],
        "shipped": [list(settings) for settings in design.shipped],
    }


def emit_designs(options):
    if options.all == bool(options.design):
        raise ValueError("name one design, or give --all")
    if options.all and options.set:
        raise ValueError("--set goes with one design, not with --all")
    chosen = SHIPPED if options.all else [(options.design, options.set)]
    for name, settings in chosen:
        for path in emit(find(name), settings).write(options.out):
            print(path)
    return 0


def lint_designs(options):
    for name, settings in SHIPPED:
        emission = emit(find(name), settings)
        lint.verilator(emission)
        print(f"{emission.module}: no warnings")
    return 0


if __name__ == "__main__":
    sys.exit(main())
