"""The golden model's speed, that of the codec beside ml_dtypes' casts, in one thread: `python tests/bench.py [--quick]`."""

import argparse
import statistics
import sys
import time

import ml_dtypes
import numpy as np
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import CATALOG
from narrowfloat.golden.statistics import ExponentHistogram, LogMoments, MedianEstimator, MedianTracker
from rich import box
from rich.console import Console
from rich.table import Table

SEED = 1


def seconds(runs, *functions):
    """The median time of each function; they take turns, so that whatever else the machine does disturbs them alike."""
    times = [[] for _ in functions]
    for _ in range(runs):
        for function, past in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            past.append(time.perf_counter() - start)
    return [statistics.median(past) for past in times]


def compare(name, x, runs):
    """For encode and decode: seconds of golden, seconds of ml_dtypes."""
    fmt, dtype = CATALOG[name], getattr(ml_dtypes, name)
    codes = encode(x, fmt)
    with np.errstate(all="ignore"):
        return {
            "encode": seconds(runs, lambda: encode(x, fmt), lambda: x.astype(dtype)),
            "decode": seconds(runs, lambda: decode(codes, fmt), lambda: codes.view(dtype).astype(np.float32)),
        }


def statistics_table(count, runs):
    """Million values per second of each estimator, four lanes of one type."""
    x = np.random.default_rng(SEED).standard_normal(count, np.float32).reshape(-1, 4)
    bins = MedianEstimator()
    bins.observe(x)
    bins.end(0)
    table = Table(
        title=f"{count} values: million per second (medians of {runs} runs)", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1)
    )
    table.add_column("statistics", no_wrap=True)
    table.add_column("values", justify="right")
    rows = (
        ("median estimator, first pass", MedianEstimator(), x),
        ("median estimator, counting pass", bins, x),
        ("exponent histogram", ExponentHistogram(), x),
        ("moments of logarithms, table", LogMoments(), x),
        ("moments of logarithms, Mitchell", LogMoments(log="mitchell"), x),
        ("median tracker", MedianTracker(), x[: 2**18]),
    )
    for name, estimator, values in rows:
        (time_,) = seconds(runs, lambda estimator=estimator, values=values: estimator.observe(values))
        table.add_row(name, f"{values.size / time_ / 1e6:.0f}")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2**20 values instead of 2**24")
    count, runs = (2**20, 31) if parser.parse_args().quick else (2**24, 7)

    rng = np.random.default_rng(SEED)
    inputs = {
        "Gaussian": rng.standard_normal(count, np.float32),
        "bits": rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32),
    }
    title = f"{count} values: million per second, and ratio to ml_dtypes' cast (medians of {runs} runs)"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for heading in ("format", "input"):
        table.add_column(heading, no_wrap=True)
    for heading in ("encode", "cast", "ratio", "decode", "cast", "ratio"):
        table.add_column(heading, justify="right")
    slower = []
    for name in (name for name in CATALOG if hasattr(ml_dtypes, name)):
        for kind, x in inputs.items():
            cells = []
            for what, (ours, theirs) in compare(name, x, runs).items():
                cells += [f"{count / ours / 1e6:.0f}", f"{count / theirs / 1e6:.0f}", f"{theirs / ours:.2f}"]
                if ours > theirs:
                    slower.append(f"{what} {name} ({kind}) {theirs / ours:.2f}")
            table.add_row(name, kind, *cells)
    Console().print(table)
    Console().print(statistics_table(count, runs))
    if slower:
        sys.exit(f"golden is slower than ml_dtypes: {', '.join(slower)}")


if __name__ == "__main__":
    main()
