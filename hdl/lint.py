"""Verilator's linter on emitted designs."""

import tempfile
from pathlib import Path

from narrowfloat.tools import VERILATOR, ToolError


def verilator(emission):
    """Lint an `hdl.emit.Emission` with all warnings on.

    Raises
    ------
    narrowfloat.tools.ToolError
        Verilator is missing, or has something to say.
    """
    with tempfile.TemporaryDirectory() as folder:
        emission.write(Path(folder))
        done = VERILATOR.start(["--lint-only", "-Wall", "-f", f"{emission.module}.f"], folder)
    if done.returncode or done.stderr.strip():
        raise ToolError(f"Verilator on {emission.module}: {VERILATOR.complaint(done)}")
