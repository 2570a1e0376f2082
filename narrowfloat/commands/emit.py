"""Write a design as Verilog, with its manifest and what tools need beside it."""

from narrowfloat import shell
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit


def add_arguments(parser):
    parser.add_argument("design", nargs="?", metavar="DESIGN", help=f"one of {', '.join(DESIGNS)}")
    parser.add_argument("--all", action="store_true", help="every shipped design instead")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; see narrowfloat list")
    parser.add_argument("--name", help="name of the module; default the design with its parameters")
    parser.add_argument("--systemverilog", action="store_true", help="SystemVerilog, in MODULE.sv, in place of Verilog-2005")
    parser.add_argument("--out", type=shell.output_folder, required=True, metavar="DIR", help="the folder to write into")


def run(options):
    if options.all == bool(options.design):
        raise ValueError("name one design, or give --all")
    if options.all and options.set:
        raise ValueError("--set goes with one design, not with --all")
    if options.all and options.name is not None:
        raise ValueError("--name goes with one design, not with --all")
    chosen = SHIPPED if options.all else [(options.design, options.set)]
    with shell.Progress("narrowfloat emit", "emitting", len(chosen)) as progress:
        for name, settings in chosen:
            for path in emit(find(name), settings, options.name, options.systemverilog).write(options.out):
                print(path)
            progress.advance()
