"""List the designs and their parameters."""

import json

from narrowfloat import shell
from narrowfloat.hdl.catalog import DESIGNS


def add_arguments(parser):
    parser.add_argument("--json", action="store_true", help="as JSON instead of tables")


def run(options):
    if options.json:
        print(json.dumps([_as_json(design) for design in DESIGNS.values()], indent=2))
        return
    from rich.table import Table

    console = shell.console()
    for design in DESIGNS.values():
        heading = f"{design.name}: {design.summary}"
        table = Table("parameter", "default", "allowed", "meaning", title=heading, title_justify="left")
        for parameter in design.parameters:
            default = "" if parameter.default is None else parameter.to_text(parameter.default)
            table.add_row(parameter.name, default, parameter.allowed, parameter.meaning)
        console.print(table)
        for relation in design.component.relations:
            console.print(f"  {relation.text}", highlight=False)


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
