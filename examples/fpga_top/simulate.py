"""Simulates the board in Icarus Verilog; its tests are in `test_board.py`."""

import sys
from pathlib import Path

from cocotb_tools.runner import get_results, get_runner

HERE = Path(__file__).resolve().parent
# Fewer clock cycles per bit and a smaller storage than on a board, to be quick.
PARAMETERS = {"DIVISOR": 8, "ADDRESS_BITS": 4}
SOURCES = ["fp8_board.v", "uart.v", "storage.v", "build/rtl/fp8_encoder.v", "build/rtl/fp8_decoder.v", "build/rtl/fp8_port.v"]


def main():
    runner = get_runner("icarus")
    runner.build(
        sources=[HERE / name for name in SOURCES],
        hdl_toplevel="fp8_board",
        parameters=PARAMETERS,
        build_args=["-g2005"],
        build_dir=HERE / "build" / "sim",
        timescale=("1ns", "1ps"),
        always=True,
    )
    results = runner.test(
        test_module="test_board",
        hdl_toplevel="fp8_board",
        test_dir=HERE,
        build_dir=HERE / "build" / "sim",
        results_xml=HERE / "build" / "sim" / "results.xml",
        seed=1,
    )
    count, failed = get_results(results)
    print(f"{count} tests, {failed} failed")
    return failed or not count


if __name__ == "__main__":
    sys.exit(main())
