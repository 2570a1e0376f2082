"""The command `narrowfloat`, the same as ``python -m narrowfloat``."""

import importlib
import sys
import warnings
from importlib.metadata import version

from narrowfloat import shell
from narrowfloat.tools import ToolError

# Of each sub-command, a module of its name in narrowfloat.commands, the extra of the package that brings all it needs.
COMMANDS = {
    "list": "rtl",
    "emit": "rtl",
    "lint": "sim",
    "sim": "sim",
    "sweep": "sim",
    "exhaustive": "sim",
    "training-loop": "sim",
    "synth": "synth",
}
_HELP = """usage: narrowfloat COMMAND ...

Verified hardware for number formats of eight bits and fewer.

  list            the designs and their parameters
  emit            write a design as Verilog, with all that a tool flow takes
  lint            run Verilator's linter over designs
  sim             co-simulate designs against the golden model
  sweep           verify random legal configurations
  exhaustive      run every input there is through designs at native speed
  training-loop   train a network through the emitted memory port
  synth           measure area, delay and power of designs

narrowfloat COMMAND --help says more; --version tells the version."""


def main(arguments=None):
    """Run the command with `arguments`, by default those of the process; its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in COMMANDS:
        return shell.run(f"narrowfloat {words[0]}", lambda: _start(words[0], words[1:]))
    return shell.run("narrowfloat", lambda: _answer(words))


def _start(name, arguments):
    """Import what the sub-command needs, no more, and run it."""
    # What Amaranth remarks on when a design is given up, which the one line has said.
    warnings.filterwarnings("ignore", message=".* created but never used")
    try:
        module = importlib.import_module(f"narrowfloat.commands.{name.replace('-', '_')}")
        parser = shell.Parser(prog=f"narrowfloat {name}", description=module.__doc__.partition("\n\n")[0])
        module.add_arguments(parser)
        try:
            options = parser.parse_args(arguments)
        except SystemExit as helped:  # --help, which has been printed
            return helped.code
        return module.run(options)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] == "narrowfloat":
            raise
        raise ToolError(f'{error.name} is missing: pip install "narrowfloat[{COMMANDS[name]}]"') from None


def _answer(words):
    if words == ["--version"]:
        print(version("narrowfloat"))
    elif not words or words[0] in ("-h", "--help"):
        print(_HELP)
    else:
        raise ValueError(f"unknown command {words[0]!r}: use one of {', '.join(COMMANDS)}")
