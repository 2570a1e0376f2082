"""List the designs and their parameters."""

import json

from narrowfloat import shell
from narrowfloat.hdl.catalog import DESIGNS, find
from narrowfloat.hdl.manifest import declaration


def add_arguments(parser):
    parser.add_argument("design", nargs="*", metavar="DESIGN", help=f"default all: {', '.join(DESIGNS)}")
    parser.add_argument("--json", action="store_true", help="as JSON instead of tables")


def run(options):
    designs = [find(name) for name in options.design] or DESIGNS.values()
    if options.json:
        print(json.dumps([_as_json(design) for design in designs], indent=2))
        return
    from rich.table import Table

    console = shell.console()
    for design in designs:
        heading = f"{design.name}: {design.summary}"
        table = Table("parameter", "default", "allowed", "meaning", title=heading, title_justify="left")
        for parameter in design.parameters:
            table.add_row(parameter.name, parameter.to_text(parameter.default), parameter.allowed, parameter.meaning)
        console.print(table)
        declared = declaration(design)
        for line in (*declared["relations"], *declared["effects"]):
            console.print(f"  {line['text']}", highlight=False)


def _as_json(design):
    shipped = [list(settings) for settings in design.shipped]
    return {"design": design.name, "summary": design.summary, **declaration(design), "shipped": shipped}
