"""The figures and tables of experiments, from committed JSON."""

import json
from statistics import mean

from narrowfloat.hdl.files.markdown import left_table

from docs.scripts.tables import ROOT, evidence, table


def _span(row, digits):
    """The score of FP32, of all else the difference to it, with the 95 % interval."""
    if row["difference"] is None:
        return f"{row.get('score', row.get('accuracy')):.{digits}f}"
    difference, low, high = (round(row[key], digits) + 0.0 for key in ("difference", "low", "high"))
    return f"{difference:{'+' if difference else ''}.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def training(name, heading, *arms, more=()):
    """Scores of FP32, and differences to FP32 with their 95 % interval, for each task of a training experiment.

    Parameters
    ----------
    name : str
        The experiment, a module of `evidence`.
    heading : str
        Of the first column.
    arms : str
        The rows; all if none is given.
    more : sequence of str
        Keys of each result that get a column of their own after that of the score.
    """
    found = evidence(name)
    digits = {task: described["digits"] for task, described in found["tasks"].items()}
    rows = []
    for arm in arms or found["arms"]:
        cells = []
        for task in found["tasks"]:
            result = next(row for row in found["summary"] if (row["task"], row["arm"]) == (task, arm))
            cells += [_span(result, digits[task]), *("" if result[key] is None else f"{result[key]:.2f}" for key in more)]
        rows.append([found["arms"][arm], *cells])
    headings = [heading]
    for described in found["tasks"].values():
        headings += [f"{described['title']}: {described['score']}", *more]
    return table(headings, rows)


def loss(name, task, arm):
    """The difference of an arm to FP32, with its 95 % interval."""
    found = evidence(name)
    result = next(row for row in found["summary"] if (row["task"], row["arm"]) == (task, arm))
    return _span(result, found["tasks"][task]["digits"])


def summary_of_experiments():
    """What a few networks keep, for the first page."""
    points, nats = "points of accuracy", "nats of loss"
    trained = [
        ("CNN on MNIST-5k, tensors stored in `ab_e5m2`, median tracker", "fp8_training", "mnist", "tracker-frozen", points),
        ("Transformer on Shakespeare, likewise", "fp8_training", "shakespeare", "tracker-frozen", nats),
        ("the same, stored in E5M2 with bias 15", "fp8_training", "shakespeare", "e5m2", nats),
        ("Transformer on Shakespeare, operands in S2FP8", "s2fp8_training", "shakespeare", "s2fp8", nats),
        ("the same, operands in E5M2", "s2fp8_training", "shakespeare", "e5m2", nats),
        ("CNN on MNIST-5k, products in BFP, FAST's policy", "fast_training", "mnist", "fast-sr", points),
    ]
    rows = [[label, f"{loss(*which)} {unit}"] for label, *which, unit in trained]
    rows.append(["pretrained MiniLM on Reuters R8, run in LBFP8", f"{inference_of('minilm', 'lbfp8-lut')} {points}"])
    return left_table(["experiment", "difference to FP32"], rows)


def relative_loss(name, task, arm):
    """The difference of an arm to FP32 in percent of FP32's score."""
    scores = {row["arm"]: row["score"] for row in evidence(name)["summary"] if row["task"] == task}
    return f"{100 * (scores[arm] / scores['fp32'] - 1):.1f}"


def inference():
    """Accuracy of FP32, and differences to FP32 in points, by network."""
    found = evidence("lbfp_inference")
    rows = []
    for arm, title in found["arms"].items():
        results = {row["network"]: row for row in found["summary"] if row["arm"] == arm}
        if set(results) == set(found["networks"]):
            rows.append([title, *(_span(results[network], 2) for network in found["networks"])])
    return table(["computed in", *found["networks"].values()], rows)


def inference_of(network, arm):
    rows = evidence("lbfp_inference")["summary"]
    return _span(next(row for row in rows if (row["network"], row["arm"]) == (network, arm)), 2)


def lbfp_products():
    """Relative errors of products by antilog, in percent."""
    return table(
        ["antilog", "largest error, %", "mean error, %", "bias, %"],
        [
            [row["mode"], *(f"{row[key]:.2f}" for key in ("max", "mean"))] + [f"{row['bias']:+.2f}"]
            for row in evidence("lbfp_error")["products"]
        ],
    )


def lbfp_dot_products():
    """SQNR of dot products of 256 pairs, in dB."""
    rows = evidence("lbfp_error")["dot_products"]
    return table(
        ["arithmetic", *rows[0]["sqnr"]], [[row["mode"], *(f"{value:.1f}" for value in row["sqnr"].values())] for row in rows]
    )


def lbfp_largest_error(mode="LBFP8, LUT, G = 5"):
    return f"{next(row['max'] for row in evidence('lbfp_error')['products'] if row['mode'] == mode):.2f}"


_STORED = {
    "S2FP8": "S2FP8, short precision",
    "S2FP8, full precision": "full precision",
    "E5M2, adaptive bias": "`ab_e5m2`, bias of the median",
    "E5M2": "`float8_e5m2`",
    "E4M3, scaled": "`float8_e4m3fn`, scaled",
}


def s2fp8_tensors():
    """SQNR of tensors in dB, and the share of numbers that become zero."""
    rows = []
    for row in evidence("s2fp8_error")["tensors"]:
        cells = [
            f"{row['sqnr'][name]:.1f}" + (f", {row['flushed'][name]:.1f} %" if row["flushed"][name] >= 0.1 else "")
            for name in _STORED
        ]
        rows.append([row["tensor"], f"{row['alpha']:.2f}", f"{row['beta']:.1f}", *cells])
    return table(["tensor", "alpha", "beta", *_STORED.values()], rows)


def s2fp8_differ(precision):
    """The range of the share of codes that differ from the exact ones, per thousand."""
    shares = [row["differ"][precision] for row in evidence("s2fp8_error")["tensors"]]
    return f"{min(shares):.2f} to {max(shares):.2f}"


def s2fp8_most():
    """The largest difference of a code from the exact one, in either precision."""
    return max(max(row["largest_difference"].values()) for row in evidence("s2fp8_error")["tensors"])


def s2fp8_loss():
    """The mean and the largest loss of short precision against full in dB."""
    losses = [row["sqnr"]["S2FP8, full precision"] - row["sqnr"]["S2FP8"] for row in evidence("s2fp8_error")["tensors"]]
    return f"{mean(losses):.2f} in the mean and {max(losses):.2f} at most"


def bias_distances():
    """By condition, the largest distance of each estimator's bias over all tensors, and the paper's claim."""
    names = {"median": "`median_estimator`", "histogram": "`exponent_histogram`", "tracker": "`median_tracker`"}
    words = {
        "all": "all samples, four epochs",
        "30 %": "30 % of the samples, to the bias with all",
        "outliers": "outliers of 1e-38 and 1e10",
        "epoch 12": "frozen after epoch 4, at epoch 12",
    }
    rows = []
    for condition, label in words.items():
        found = [row for row in evidence("estimators") if row["condition"] == condition]
        rows.append([label, found[0]["claimed"], *(max(row["away"][name] for row in found) for name in names)])
    return table(["condition", "claimed", *names.values()], rows)


def dram_rows():
    """DRAM energy saved by device and utilization, tensors alone, banks open between transfers."""
    rows = [
        [
            row["dram"],
            f"{row['utilization']:.0%}",
            f"{row['pj_per_bit']:.2f}",
            f"{row['same_time']:.2f}",
            f"{row['memory_bound']:.2f}",
        ]
        for row in evidence("dram_energy")["rows"]
        if not row["optimizer_state"] and row["idle"] == "standby"
    ]
    return table(
        ["DRAM", "utilization", "pJ per bit in FP32", "saving at the same run time", "saving if memory sets the pace"], rows
    )


def dram(key, pick=max, state=False):
    """The least or the largest value of `key` over the devices and utilizations."""
    return f"{pick(row[key] for row in evidence('dram_energy')['rows'] if row['optimizer_state'] is state):.2f}"


def dram_share():
    """The share of bytes that are left, in percent."""
    return f"{100 * next(row['s'] for row in evidence('dram_energy')['rows'] if not row['optimizer_state']):.0f}"


def array_cycles():
    """Cycles of a training step on an array of 32 by 32 fMACs, by network and precision."""
    found = evidence("fast_speed")
    cells = ("FAST, 2 bits", "FAST, policy of MNIST-5k", "FAST, 4 bits")
    rows = []
    for network in dict.fromkeys(row["network"] for row in found["rows"]):
        by_cell = {row["cell"]: row for row in found["rows"] if row["network"] == network}
        rows.append(
            [network, *(f"{by_cell[cell]['cycles'] / 1e6:.1f}" for cell in cells), f"{by_cell[cells[0]]['utilization']:.0%}"]
        )
    return table(["network", "2 bits", "FAST's policy", "4 bits", "cells busy, 2 bits"], rows)


def array_speeds():
    """Speed of a training step on arrays of equal area, that of fMACs over others, by network and precision."""
    found = evidence("fast_speed")
    rows = {(row["network"], row["cell"]): row for row in found["rows"]}
    cells = ("FAST, 2 bits", "FAST, policy of MNIST-5k", "FAST, 4 bits", "BFP, 4 bits in one pass")
    others = ("MSFP-12", "INT8", "bfloat16", "FP32")

    def speed(network, cell, other):
        return f"{rows[network, other]['cycles'] / rows[network, cell]['cycles']:.2f}"

    return table(
        ["network", "array", *(f"over {other}" for other in others)],
        [
            [network, cell, *(speed(network, cell, other) for other in others)]
            for network in dict.fromkeys(network for network, _ in rows)
            for cell in cells
        ],
    )


def passes_worth():
    """How many passes of the fMAC take as much area and time as one of MSFP-12's cell."""
    cells = evidence("fast_speed")["cells"]
    return f"{cells['MSFP-12']['gate_equivalents'] / cells['FAST, 2 bits']['gate_equivalents']:.2f}"


def policy_passes():
    """The mean number of passes of the policy, from the least to the most."""
    passes = {row["passes"] for row in evidence("fast_speed")["rows"] if "policy" in row["cell"]}
    return f"{min(passes):.1f} to {max(passes):.1f}"


def array_use():
    """The share of an array of 8 by 8 cells that multiplies, by layer, precision and product."""
    rows = [
        [
            f"{row['positions']} positions, {row['inputs']} inputs, {row['outputs']} outputs",
            row["bits"],
            *(f"{row[product]:.0%}" for product in ("forward", "backward", "gradient")),
        ]
        for row in evidence("fast_speed")["utilization"]
    ]
    return table(["layer", "bits", "O = A W", "dA = dO W'", "dW = A' dO"], rows)


def array_sizes():
    """What systolic arrays of several sizes take of a processor, and in an ECP5."""
    rows = json.loads((ROOT / "docs" / "arrays.json").read_text())
    seconds = ("emission_s", "verilator_lint_s", "lint_s", "build_s", "simulation_s", "synthesis_s")

    def taken(row):
        return [
            f"{row['side']} x {row['side']}",
            f"{row['bytes'] / 1000:.0f}",
            *(f"{row[name]:.1f}" if name in row else "" for name in seconds),
            *(f"{row[name]}" if name in row else "" for name in ("lut4", "ff")),
            f"{row['lut4'] / row['side'] ** 2:.0f}" if "lut4" in row else "",
        ]

    headings = ["cells", "Verilog, kB", "emission", "lint by Verilator", "lint by all four", "build by Verilator", "simulation"]
    return table([*headings, "synthesis", "ECP5 LUT4", "FF", "LUT4 per cell"], [taken(row) for row in rows])
