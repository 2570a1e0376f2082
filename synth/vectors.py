"""What goes through a mapped netlist, cycle by cycle, and what must come out: workload and model of a design's reference."""

import os
from dataclasses import dataclass
from threading import Lock

import numpy as np
from narrowfloat.cache import folder
from narrowfloat.freshness import fingerprint
from narrowfloat.golden.reference import Interface, load, stimulus
from narrowfloat.golden.reference.statistics import Estimator
from narrowfloat.golden.reference.stimulus import KEPT_TENSORS, TENSORS_FILE, keep_real_tensors
from narrowfloat.tools import ToolError

_one_at_a_time = Lock()


def real_tensors():
    """The real tensors, float32 by name; trained once for all runs, however many threads ask for them.

    Raises
    ------
    ToolError
        They cannot be made.
    """
    with _one_at_a_time:
        if KEPT_TENSORS not in os.environ:
            os.environ[KEPT_TENSORS] = str(_kept())
        return stimulus.real_tensors()[0]


def _kept():
    try:
        return folder("tensors", [fingerprint(stimulus.__name__)], keep_real_tensors) / TENSORS_FILE
    except FileNotFoundError as error:
        raise ToolError(f"no real tensors: {error.strerror}") from None


@dataclass(frozen=True)
class Vectors:
    """One integer per cycle for each input port, and for each output port what it must be `latency` cycles later.

    None stands for an output that may be anything.
    """

    inputs: dict
    outputs: dict
    latency: int = 0

    def __len__(self):
        return len(next(iter(self.inputs.values())))


def of_design(manifest):
    """The `Vectors` of the design with this manifest: its workload, nothing in the way; None without one."""
    real_tensors()
    reference = load(manifest)
    if reference.workload is None:
        return None
    columns, latency = _of_estimator(reference) if isinstance(reference, Estimator) else _of_streams(reference)
    cycles = len(next(iter(columns.values())))
    inputs, outputs = {}, {}
    for port in manifest["ports"]:
        name = port["name"]
        if port["direction"] == "output" and name in columns:
            outputs[name] = columns[name]
        elif port["direction"] == "input" and name not in ("clk", "rst", "rst_n"):
            inputs[name] = columns.get(name, [int(name.endswith("_tready"))] * cycles)
    return Vectors(inputs, outputs, latency)


def _of_streams(reference):
    """Columns by port, a beat in every cycle, and the latency.

    Of several streams that leave only the first is expected: the others do not keep its pace.
    """
    manifest, latency = reference.manifest, reference.manifest["latency"]["m_axis"]
    traffic = reference.workload()
    wanted = reference.model(traffic)
    streams = traffic if isinstance(traffic, dict) else {"s_axis": traffic}
    leaving = wanted["m_axis"] if isinstance(wanted, dict) else wanted
    cycles = len(next(iter(streams.values())))
    columns = {}
    for name, stream in streams.items():
        columns |= _columns(manifest, name, stream, range(cycles), cycles)
        # What is seen `latency` cycles later: then the last beat is offered again and again, which need not be taken at once.
        columns[f"{name}_tready"] = ([1] * cycles)[latency:] + [None] * min(latency, cycles)
    return columns | _columns(manifest, "m_axis", leaving, leaving.origin.tolist(), cycles), latency


def _of_estimator(reference):
    """Columns by port, a beat in every cycle, and the latency: what the estimator says follows every beat."""
    cycles = reference.workload()
    bias, settled = reference.follow(cycles)
    columns = {
        "tap_tdata": [int.from_bytes(row.tobytes(), "little") for row in cycles.words],
        "tap_tvalid": [1] * len(cycles),
        "tap_tkeep": (cycles.keep @ (1 << np.arange(reference.lanes))).tolist(),
        "tap_tuser": cycles.types.tolist(),
        "bias": bias,
        "settled": settled,
    }
    return columns, reference.manifest["latency"]["bias"]


def _columns(manifest, name, stream, places, cycles):
    """The ports of a stream by name, of which each beat is in the cycle that `places` says; None in others, but for TVALID."""
    beats = dict(zip(places, Interface(manifest, name).pack(stream), strict=True))
    rows = [beats.get(cycle) for cycle in range(cycles)]
    parts = {part: [row and int(row[index]) for row in rows] for index, part in enumerate(("tdata", "tuser", "tlast"))}
    return {f"{name}_{part}": column for part, column in parts.items()} | {
        f"{name}_tvalid": [int(row is not None) for row in rows]
    }
