"""What goes through a mapped netlist, cycle by cycle, and what must come out: workload and model of a design's reference."""

import os
from dataclasses import dataclass
from threading import Lock

import numpy as np
from narrowfloat.cache import folder
from narrowfloat.freshness import fingerprint
from narrowfloat.golden.bfp import accumulate_passes, convert, to_passes
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference import Interface, load, stimulus
from narrowfloat.golden.reference.stimulus import KEPT_TENSORS, keep_real_tensors
from narrowfloat.golden.reference.workload import PRODUCTS, RESULT_BEATS, RUN_BEATS, operands, runs
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
        kept = folder("tensors", [fingerprint(stimulus.__name__)], keep_real_tensors)
    except FileNotFoundError as error:
        raise ToolError(f"no real tensors: {error.strerror}") from None
    return keep_real_tensors(kept)


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
    """The `Vectors` of the design with this manifest: a beat in every cycle, nothing in the way; None without a workload.

    Of several streams that leave only the first is expected: the others do not keep its pace.
    """
    real_tensors()
    reference = load(manifest)
    if reference.workload is None:
        return None
    traffic = reference.workload()
    wanted = reference.model(traffic)
    streams = traffic if isinstance(traffic, dict) else {"s_axis": traffic}
    leaving = wanted["m_axis"] if isinstance(wanted, dict) else wanted
    cycles = len(next(iter(streams.values())))
    columns = {}
    for name, stream in streams.items():
        columns |= _columns(manifest, name, stream, range(cycles), cycles) | {f"{name}_tready": [1] * cycles}
    columns |= _columns(manifest, "m_axis", leaving, leaving.origin.tolist(), cycles)
    inputs, outputs = {}, {}
    for port in manifest["ports"]:
        name = port["name"]
        if port["direction"] == "output" and name in columns:
            outputs[name] = columns[name]
        elif port["direction"] == "input" and name not in ("clk", "rst", "rst_n"):
            inputs[name] = columns.get(name, [int(name.endswith("_tready"))] * cycles)
    return Vectors(inputs, outputs, manifest["latency"])


def _columns(manifest, name, stream, places, cycles):
    """The ports of a stream by name, of which each beat is in the cycle that `places` says; None in others, but for TVALID."""
    beats = dict(zip(places, Interface(manifest, name).pack(stream), strict=True))
    rows = [beats.get(cycle) for cycle in range(cycles)]
    parts = {part: [row and int(row[index]) for row in rows] for index, part in enumerate(("tdata", "tuser", "tlast"))}
    return {f"{name}_{part}": column for part, column in parts.items()} | {
        f"{name}_tvalid": [int(row is not None) for row in rows]
    }


def median_tracker(manifest):
    """The `Vectors` of a median tracker with this manifest, a beat in every cycle."""
    real_tensors()
    reference = load(manifest)
    cycles = reference.workload()
    count = len(cycles)
    inputs = {
        "tap_tdata": [int.from_bytes(row.tobytes(), "little") for row in cycles.words],
        "tap_tvalid": [1] * count,
        "tap_tkeep": (cycles.keep @ (1 << np.arange(reference.lanes))).tolist(),
        "tap_tuser": cycles.types.tolist(),
    }
    names = [port["name"] for port in manifest["ports"] if port["direction"] == "input"]
    inputs = {name: inputs.get(name, [0] * count) for name in names if name not in ("clk", "rst", "rst_n")}
    bias, settled = reference.follow(cycles)
    return Vectors(inputs, {"bias": bias, "settled": settled}, latency=1)


def fast_mac(manifest):
    """Vectors for an fMAC with this manifest: a pass in every cycle, `RESULT_BEATS` to a result, of 4 mantissa bits, or of one
    chunk where a group of more does not fit or there is no chunk of 2."""
    parameters = manifest["parameters"]
    lanes, width, chunk = parameters["lanes"], parameters["width"], parameters["chunk_bits"]
    fixed = parameters["accumulator"] == "fixed"
    bits = 4 if chunk == 2 and parameters["max_bits"] >= 4 else chunk
    fmt = BlockFormat(name="groups", man_bits=4, group=lanes)
    integers, exponents = [], []
    for values in operands(lanes):
        blocks = convert(values.reshape(-1, lanes)[: PRODUCTS // 4], fmt, rounding="rne", bits=bits)
        integers.append(blocks.integers[:, 0].astype(np.int64) >> 4 - bits)
        exponents.append(np.maximum(blocks.exponents[:, 0], 1).astype(np.int64))
    groups = len(integers[0])
    # The largest group is added with its sign's place in the window.
    window = int((exponents[0] + exponents[1]).max()) - width + 8 if fixed else 0
    last = np.arange(1, groups + 1) * (bits // chunk) ** 2 % RESULT_BEATS == 0
    passes = to_passes(
        np.array(integers), np.array(exponents), np.full((2, groups), bits), last, chunk_bits=chunk, window=window
    )
    count = len(passes)
    ends = np.flatnonzero(passes.last)
    totals, saturated = accumulate_passes(passes, accumulator=parameters["accumulator"], width=width, chunk_bits=chunk)
    shown = {"sum": totals & 2**width - 1 if fixed else totals.view(np.uint32).astype(np.int64)}
    shown |= {"saturated": saturated.astype(np.int64), "user": np.zeros(len(totals), np.int64)}
    user = {name: getattr(passes, name) & 2**10 - 1 for name in ("x_exponent", "y_exponent")}
    user |= {name: getattr(passes, name).astype(np.int64) for name in ("lower", "complete")}
    user |= {"user": np.zeros(count, np.int64)}
    valid = passes.last.astype(int).tolist()
    outputs = {"s_axis_tready": [1] * count, "m_axis_tvalid": valid, "m_axis_tlast": [1] * count}
    for port in manifest["ports"]:
        if port["direction"] == "output" and "fields" in port:
            words = dict(zip(ends.tolist(), _pack(port["fields"], shown, len(ends)), strict=True))
            outputs[port["name"]] = [words.get(beat) for beat in range(count)]
    data = _lanes(passes.x, "x") | _lanes(passes.y, "y")
    return Vectors(_inputs(manifest, data, user, passes.last), outputs, manifest["latency"])


def _inputs(manifest, data, user, last):
    """The input ports of a block with one stream in, a beat in every cycle: `data` and `user` are arrays by field name."""
    inputs = {}
    for port in manifest["ports"]:
        name = port["name"]
        if port["direction"] == "output" or name in ("clk", "rst", "rst_n"):
            continue
        if name.endswith("tlast"):
            inputs[name] = last.astype(int).tolist()
        elif "fields" in port:
            inputs[name] = _pack(port["fields"], data if name.endswith("tdata") else user, len(last))
        else:
            inputs[name] = [1] * len(last)
    return inputs


def bfp_converter(manifest):
    """Vectors for a converter to block floating point with this manifest, a beat in every cycle.

    Roundings and precisions change with the tensors. Of the sums nothing is expected: they leave later than the groups.
    """
    parameters = manifest["parameters"]
    lanes, fmt = parameters["lanes"], BlockFormat.parse(parameters["fmt"])
    per_group = fmt.group // lanes
    beats = -(-RUN_BEATS // per_group) * per_group
    words = runs(real_tensors(), beats * lanes)
    count = len(words) * beats
    noise = lane_bits(parameters["seed"], count, lanes).reshape(len(words), -1, fmt.group)
    roundings = [parameters["roundings"][i % len(parameters["roundings"])] for i in range(len(words))]
    precisions = parameters["precisions"] or [fmt.man_bits]
    chosen = np.arange(len(words)) // len(parameters["roundings"]) % len(precisions)
    top = (words.view(np.uint32) >> 23 & 255).max(axis=1)
    offset = np.maximum(top.astype(int) - fmt.max_exponent, 0) if fmt.exp_bits < 8 else np.zeros(len(words), int)
    last = np.arange(count) % beats == beats - 1
    codes, fields = [], {"exponent": [], "saturated": []}
    for i, values in enumerate(words):
        blocks, saturated, _ = convert(
            values,
            fmt,
            rounding=roundings[i],
            bits=precisions[chosen[i]],
            random_bits=noise[i],
            offset=int(offset[i]),
            flags=True,
        )
        packed = blocks.magnitudes.astype(np.int64) | blocks.signs.astype(np.int64) << fmt.man_bits
        codes.append(packed.reshape(-1, lanes))
        fields["exponent"].append(np.repeat(blocks.codes, per_group))
        fields["saturated"].append(saturated.reshape(-1, lanes).any(axis=1).astype(int))
    fields = {name: np.concatenate(values) for name, values in fields.items()}
    fields |= {"invalid": np.zeros(count, int), "group_last": (np.arange(count) % per_group == per_group - 1).astype(int)}
    per_tensor = {
        "rounding": np.array([{"rne": 0, "rtz": 2, "sr": 3}[name] for name in roundings]),
        "precision": chosen,
        "offset": offset,
        "reference": np.maximum(top.astype(int) - 8, 0),
        "user": np.zeros(len(words), int),
    }
    ports = {port["name"]: port for port in manifest["ports"]}
    columns = {
        "s_axis_tdata": _lanes(words.view(np.uint32).reshape(-1, lanes)),
        "s_axis_tuser": {name: np.repeat(values, beats) for name, values in per_tensor.items()},
        "m_axis_tdata": _lanes(np.concatenate(codes)),
        "m_axis_tuser": fields | {"user": np.zeros(count, int)},
    }
    values = {name: _pack(ports[name]["fields"], data, count) for name, data in columns.items() if name in ports}
    values |= {"s_axis_tlast": last.astype(int).tolist(), "m_axis_tlast": last.astype(int).tolist()}
    values |= {name: [1] * count for name in ("s_axis_tvalid", "m_axis_tvalid", "m_axis_tready", "m_sums_tready")}
    inputs, outputs = (
        {name: values[name] for name, port in ports.items() if port["direction"] == direction and name in values}
        for direction in ("input", "output")
    )
    return Vectors(inputs, outputs, manifest["latency"])


def _lanes(array, name="lane"):
    return {f"{name}{lane}": array[:, lane] for lane in range(array.shape[1])}


def _pack(fields, columns, count):
    words = [0] * count
    for field in fields:
        for index, value in enumerate(columns[field["name"]].tolist()):
            words[index] |= value << field["lsb"]
    return words
