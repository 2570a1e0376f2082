"""Runs a test module on an emitted design in Icarus Verilog: `python simulate.py TEST MODULE`."""

import sys
from pathlib import Path

from cocotb_tools.runner import get_results, get_runner

HERE = Path(__file__).resolve().parent


def main(test, module):
    runner = get_runner("icarus")
    folder = HERE / "build" / f"{test}.{module}"
    runner.build(
        sources=[HERE / "build" / "rtl" / f"{module}.v"],
        hdl_toplevel=module,
        build_args=["-g2005"],
        build_dir=folder,
        timescale=("1ns", "1ps"),
        always=True,
    )
    results = runner.test(
        test_module=test,
        hdl_toplevel=module,
        test_dir=folder,
        build_dir=folder,
        results_xml=folder / "results.xml",
        extra_env={"MANIFEST": str(HERE / "build" / "rtl" / f"{module}.json")},
        seed=1,
    )
    count, failed = get_results(results)
    print(f"{test} of {module}: {count} tests, {failed} failed")
    return failed or not count


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
