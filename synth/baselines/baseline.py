"""What a baseline is: plain Verilog with the parameters that a user would set, and what it must compute."""

from collections.abc import Callable
from dataclasses import dataclass, field

from narrowfloat.hdl.block import Parameter
from narrowfloat.hdl.catalog import Measured, given
from narrowfloat.synth.vectors import Vectors

LANES = 16  # of a dot product


@dataclass(frozen=True)
class Module:
    """A module without its name: widths of its ports by name, its body, and the text of the modules in it."""

    inputs: dict
    outputs: dict
    body: str
    parts: str = ""

    def verilog(self, name):
        """The text of the module `name`."""
        ports = [
            f"{direction} [{width - 1}:0] {port}"
            for direction, widths in (("input", self.inputs), ("output", self.outputs))
            for port, width in widths.items()
        ]
        return "\n".join([self.parts, f"module {name}({', '.join(ports)});", self.body, "endmodule", ""])


@dataclass(frozen=True)
class Baseline:
    """A kind of plain design: how it is built, and what it computes.

    `module` and `vectors` are called with the parameters' values by name; `builds` are the settings, texts NAME=VALUE,
    that are measured by default, `more` those that are measured for who asks for this kind; where `is_for_fpgas` says so of the
    parameters' values, on FPGAs only, or only on what is none. `lanes` is how many values it takes.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    builds: tuple[tuple[str, ...], ...]
    module: Callable[..., Module]
    vectors: Callable[..., Vectors]
    more: tuple[tuple[str, ...], ...] = ()
    measured: Measured = field(default_factory=Measured)
    lanes: int = 1
    is_for_fpgas: Callable[..., bool | None] = lambda **_: None

    def parse(self, settings):
        """Values of all parameters from NAME=VALUE texts.

        Raises
        ------
        ValueError
            A setting names no parameter, or its value is not allowed.
        """
        return {parameter.name: parameter.default for parameter in self.parameters} | given(self, settings)

    def top(self, values):
        """The name of the module for these values."""
        return "_".join(["baseline", self.name, *map(str, values.values())])
