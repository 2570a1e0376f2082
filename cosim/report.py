"""What benches tell `narrowfloat.cosim.runner` and a reader: differences, progress, counts."""

import json
import os
from pathlib import Path

import numpy as np

PROGRESS_EVERY = 4096  # beats


class Mismatch(AssertionError):
    """The hardware's result is not the model's."""


class ProtocolError(AssertionError):
    """The block broke a rule of AXI4-Stream, or hangs."""


def compare(got, want, describe):
    """Raise `Mismatch` unless the arrays `got` and `want`, [vectors, lanes], are equal.

    ``describe(vector, lane)`` says in words what went in and came out; the message adds the number of differences and the
    command that repeats the run.
    """
    if got.shape != want.shape:
        raise Mismatch(f"got {got.shape[0]} vectors of {got.shape[1]}, want {want.shape[0]} of {want.shape[1]}; {rerun()}")
    differs = got != want
    if differs.any():
        vector, lane = np.argwhere(differs)[0]
        raise Mismatch(f"lane {lane}, vector {vector}: {describe(vector, lane)}; {differs.sum()} differ; {rerun()}")


def rerun():
    """The command that repeats this run."""
    return f"rerun: {os.environ['NARROWFLOAT_RERUN']}"


def manifest():
    """The manifest of the design under test."""
    return json.loads(Path(os.environ["NARROWFLOAT_MANIFEST"]).read_text())


def add_to_report(vectors, cycles):
    """Add to the vectors and cycles that the bench reports to `narrowfloat.cosim.runner`."""
    path = Path(os.environ["NARROWFLOAT_REPORT"])
    report = json.loads(path.read_text()) if path.exists() else {"vectors": 0, "cycles": 0}
    path.write_text(json.dumps({"vectors": report["vectors"] + vectors, "cycles": report["cycles"] + cycles}))
