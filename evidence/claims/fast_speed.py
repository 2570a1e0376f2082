"""How fast a training step is on systolic arrays of equal area, by the number format of their cells.

The claim, as reported by the authors of FAST (Zhang et al., HPCA 2022, arXiv 2110.15456): 2 to 6 times as fast as other mixed
precision, and more than 2 times as fast as MSFP-12. Here: cycles of the three products of each layer by `golden.bfp.systolic`,
which the emitted array takes to the cycle, on the largest array of each kind that fits the area of a given one of fMACs; areas
are those of `narrowfloat synth`, all from one flow.

All arrays run at one clock and have the same dataflows. Cells of block floating point have the segmented accumulator, the
smallest whose sums are at least as exact as those in FP32. A cell is a dot product of 16 with an accumulator, or one
multiply-add. Left out on all sides: registers between cells, which are wider the wider the numbers are, converters, memories
and their bandwidth, and what is no matrix product. Attention's products are of activations, so that the held operand changes
with every head.
"""

import json
import math
from dataclasses import dataclass
from itertools import product

from narrowfloat.golden.bfp.systolic import Array, training_step

from evidence.claims import fast_training
from evidence.harness.experiment import Experiment
from evidence.harness.report import new_table

POLICY = "fast-sr"  # the arm of `fast_training` whose passes count
SIDE = 32  # of the array of fMACs whose area every array has
BATCH = 32
TOKENS = 128  # of a sequence
MEASURED = "narrowfloat synth fast_mac dot_product multiply_add --target osu018 --json FILE"


@dataclass(frozen=True)
class Cell:
    """What an array is made of: a row of the synthesis, the numbers of a group, and cycles for a pair of groups."""

    name: str
    design: str
    parameters: dict
    group: int
    passes: float


# The smallest accumulator whose results are at least as exact as sums in FP32.
_ACCUMULATOR = {"accumulator": "segmented"}
_FAST = {**_ACCUMULATOR, "chunk_bits": 2, "max_bits": 4}
CELLS = (
    Cell("FAST, 2 bits", "fast_mac", _FAST, 16, 1),
    Cell("FAST, 4 bits", "fast_mac", _FAST, 16, 4),
    Cell("BFP, 4 bits in one pass", "fast_mac", {**_ACCUMULATOR, "chunk_bits": 4, "max_bits": 4}, 16, 1),
    Cell("MSFP-12", "fast_mac", {**_ACCUMULATOR, "chunk_bits": 3, "max_bits": 3}, 16, 1),
    Cell("INT8", "dot_product", {"width": 8}, 16, 1),
    Cell("bfloat16", "multiply_add", {"format": "bfloat16"}, 1, 1),
    Cell("FP32", "multiply_add", {"format": "fp32"}, 1, 1),
)
REFERENCES = ("MSFP-12", "INT8", "bfloat16", "FP32", "BFP, 4 bits in one pass")


# Networks


class _Images:
    """Layers of a network for images, as products: positions, inputs, outputs, and how many such products there are.

    A layer that connects all with all is a convolution whose kernel is the image.
    """

    def __init__(self):
        self.size, self.channels, self.products = 224, 3, []

    def convolve(self, outputs, kernel, stride=1, groups=1):
        self.pool(stride)
        self.products.append((BATCH * self.size**2, self.channels // groups * kernel**2, outputs // groups, groups))
        self.channels = outputs

    def pool(self, stride):
        self.size = -(-self.size // stride)


def resnet(blocks, bottleneck):
    """ResNet-18 or -50: He et al. 2016, arXiv 1512.03385, table 1."""
    net = _Images()
    net.convolve(64, 7, 2)
    net.pool(2)
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            channels = net.channels
            plain = (width, 3, stride), (width, 3)
            for layer in ((width, 1), (width, 3, stride), (4 * width, 1)) if bottleneck else plain:
                net.convolve(*layer)
            if channels != net.channels or stride > 1:
                net.products.append((BATCH * net.size**2, channels, net.channels, 1))
    net.pool(net.size)
    net.convolve(1000, 1)
    return net.products


def vgg16():
    """Simonyan and Zisserman 2015, arXiv 1409.1556, configuration D."""
    net = _Images()
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            net.convolve(width, 3)
        net.pool(2)
    for outputs in (4096, 4096, 1000):
        net.convolve(outputs, net.size, net.size)
    return net.products


def mobilenet_v2():
    """Sandler et al. 2018, arXiv 1801.04381, table 2. In its depthwise layers every channel is a product of its own."""
    net = _Images()
    net.convolve(32, 3, 2)
    for expansion, width, count, first_stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for block in range(count):
            if expansion > 1:
                net.convolve(expansion * net.channels, 1)
            net.convolve(net.channels, 3, 1 if block else first_stride, groups=net.channels)
            net.convolve(width, 1)
    net.convolve(1280, 1)
    net.pool(net.size)
    net.convolve(1000, 1)
    return net.products


def transformer():
    """The base model of Vaswani et al. 2017, arXiv 1706.03762: 6 layers each of encoder and decoder, width 512, 8 heads, 2048
    inside, a vocabulary of 37000."""
    width, heads, inner, layers = 512, 8, 2048, 6
    positions = BATCH * TOKENS
    attention = [
        *[(positions, width, width, 1)] * 4,
        (TOKENS, width // heads, TOKENS, BATCH * heads),
        (TOKENS, TOKENS, width // heads, BATCH * heads),
    ]
    inside = [(positions, width, inner, 1), (positions, inner, width, 1)]
    return [*layers * (attention + inside), *layers * (2 * attention + inside), (positions, width, 37000, 1)]


NETWORKS = {
    "ResNet-18": resnet((2, 2, 2, 2), False),
    "ResNet-50": resnet((3, 4, 6, 3), True),
    "VGG-16": vgg16(),
    "MobileNet-v2": mobilenet_v2(),
    "Transformer base": transformer(),
}


# Evaluation


def step_cycles(array, products, passes):
    """Cycles of a step of training: of all layers O = A W and dW = A' dO, and but for the first dA = dO W'."""
    cycles = 0
    for number, (positions, inputs, outputs, count) in enumerate(products):
        each = array.stationary(positions, inputs, outputs, passes) + array.in_place(positions, inputs, outputs, passes)
        if number:
            each += array.stationary(positions, outputs, inputs, passes)
        cycles += count * each
    return cycles


def macs(products):
    """Multiply-accumulates of that step."""
    forward = [positions * inputs * outputs * count for positions, inputs, outputs, count in products]
    return 3 * sum(forward) - forward[0]


def array_of(area, cell_area, group):
    """The largest nearly square array within `area`."""
    cells = int(area / cell_area)
    rows = math.isqrt(cells)
    return Array(rows, cells // rows, group)


def evaluate(areas, adaptive):
    """Rows by network and cell. `adaptive` are mean passes by the policy, by what was trained."""
    budget = SIDE**2 * areas["FAST, 2 bits"]["gate_equivalents"]
    cells = list(CELLS)
    cells[2:2] = [Cell(f"FAST, policy of {name}", "fast_mac", _FAST, 16, passes) for name, passes in adaptive.items()]
    rows = []
    for (network, products), cell in product(NETWORKS.items(), cells):
        area = areas[cell.name if cell.name in areas else "FAST, 2 bits"]["gate_equivalents"]
        array = array_of(budget, area, cell.group)
        cycles = step_cycles(array, products, cell.passes)
        rows.append(
            {
                "network": network,
                "cell": cell.name,
                "rows": array.rows,
                "columns": array.columns,
                "passes": round(cell.passes, 4),
                "cycles": round(cycles),
                "utilization": round(array.utilization(macs(products), cell.passes, cycles), 4),
            }
        )
    return rows


_UTILIZATION = "positions", "inputs", "outputs", "bits", "forward", "backward", "gradient"


def utilizations():
    """Share of an array of 8 by 8 fMACs that multiplies, by dataflow: positions, inputs and outputs of a layer, 2 bits and
    4."""
    array = Array(8, 8, 16)
    layers = (4096, 1152, 128), (4096, 256, 64), (512, 512, 512), (64, 784, 128), (32, 100, 10)
    rows = []
    for layer, (bits, passes) in product(layers, ((2, 1), (4, 4))):
        cycles = training_step(array, *layer, (bits,) * 3)
        shares = [round(array.utilization(math.prod(layer), passes, count), 4) for count in cycles]
        rows.append(dict(zip(_UTILIZATION, (*layer, bits, *shares), strict=True)))
    return rows


def measured(path):
    """Areas, delays and energies of the cells from the file that `narrowfloat synth --json` wrote.

    Raises
    ------
    ValueError
        The file does not have them.
    """
    try:
        found = json.loads(path.read_text())
        return {cell.name: _figures(cell, found) for cell in CELLS}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not what it should be ({error}); make it with `{MEASURED}`") from None
    except LookupError as error:
        raise ValueError(f"{path} has no figures of {error.args[0]} on osu018; make it with `{MEASURED}`") from None


def _figures(cell, found):
    """Those of a cell, the smallest of its kind, from the rows of `narrowfloat synth --json`; a LookupError without them."""
    units = {}
    for row in found:
        if (
            row["design"] == cell.design
            and row["target"] == "osu018"
            and cell.parameters.items() <= row["parameters"].items()
            and row["recipe"] in {"area", "delay"}
            and row["parameters"].get("lanes", 16) == 16
        ):
            units.setdefault(json.dumps(row["parameters"]), {})[row["recipe"]] = row["metrics"]
    whole = [by_recipe for by_recipe in units.values() if len(by_recipe) == 2]
    if not whole:
        raise LookupError(cell.name)
    smallest = min(whole, key=lambda by_recipe: by_recipe["area"]["gate_equivalents"])
    return {
        "gate_equivalents": smallest["area"]["gate_equivalents"],
        "energy_pj_per_op": smallest["area"]["energy_pj_per_op"],
        "fast_gate_equivalents": smallest["delay"]["gate_equivalents"],
        "fast_delay_ns": smallest["delay"]["delay_ns"],
    }


def adaptive_passes():
    """Mean passes of FAST's policy in our own training, by what was trained."""
    trained = fast_training.EXPERIMENT.read()
    titles = {name: task["title"].partition(",")[0] for name, task in trained["tasks"].items()}
    return {titles[row["task"]]: 4 * row["passes"] for row in trained["summary"] if row["arm"] == POLICY}


def tables(found):
    """Rich tables: the cells, per multiply-accumulate, the speeds, and the array by dataflow."""

    def multiply_accumulate(cell):
        area = found["cells"][cell.name]
        cycles = cell.passes / cell.group
        return (
            cell.name,
            f"{area['gate_equivalents'] / cell.group:.0f}",
            f"{area['gate_equivalents'] * cycles:.0f}",
            f"{area['fast_gate_equivalents'] * area['fast_delay_ns'] * cycles:.0f}",
            f"{area['energy_pj_per_op'] * cycles:.2f}",
        )

    headings = ["GE", "GE x cycles", "fast: GE x ns", "pJ"]
    yield new_table("a multiply-accumulate in each kind of cell", ["cell"], headings, map(multiply_accumulate, CELLS))
    rows = {(row["network"], row["cell"]): row for row in found["rows"]}
    fast = list(dict.fromkeys(row["cell"] for row in found["rows"] if row["cell"].startswith("FAST")))

    def speed(network, name):
        row = rows[network, name]
        speeds = (f"{rows[network, other]['cycles'] / row['cycles']:.2f}" for other in REFERENCES)
        return network if name == fast[0] else "", name, f"{row['utilization']:.0%}", *speeds

    headings = ["kept busy", *(f"over {name}" for name in REFERENCES)]
    cells = (speed(*place) for place in product(NETWORKS, fast))
    yield new_table("speed of a training step at equal area", ["network", "array"], headings, cells)
    headings = ["positions", "inputs", "outputs", "bits", "O = A W", "dA = dO W'", "dW = A' dO"]
    values = [list(row.values()) for row in found["utilization"]]
    cells = ((*map(str, row[:4]), *(f"{share:.0%}" for share in row[4:])) for row in values)
    yield new_table("8 x 8 fMACs kept busy", [], headings, cells)


def measure(synth=None):
    """All that goes into the JSON file; areas are from the file `synth`, by default those of the committed results."""
    areas = EXPERIMENT.read()["cells"] if synth is None else measured(synth)
    return {
        "cells_from": MEASURED,
        "side": SIDE,
        "batch": BATCH,
        "cells": areas,
        "rows": evaluate(areas, adaptive_passes()),
        "utilization": utilizations(),
    }


EXPERIMENT = Experiment(
    name="fast_speed",
    doc=__doc__,
    measure=measure,
    tables=tables,
    figures=f"for fast_speed: figures of `{MEASURED}`; default those of the committed results",
)
