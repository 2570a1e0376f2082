"""What goes through a mapped netlist, cycle by cycle, and what the golden model says must come out: real tensors."""

from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np
from narrowfloat.cache import folder
from narrowfloat.freshness import fingerprint
from narrowfloat.golden import lbfp, s2fp8
from narrowfloat.golden.bfp import accumulate_passes, convert, to_passes
from narrowfloat.golden.float_codec import decode, encode
from narrowfloat.golden.formats import BIAS_BITS, BlockFormat, FloatFormat, LogBlockFormat
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference import stimulus
from narrowfloat.golden.rounding import ROUNDINGS
from narrowfloat.golden.statistics import MedianTracker, exact_median_bias
from narrowfloat.tools import ToolError

SEED = 1
# Beats of each of the real tensors, in a row, so that neighbours in memory are neighbours in time.
BEATS = 96
PRODUCTS = 1440  # of each lane of a multiplier; shares evenly among the tensors of either kind
RESULT_BEATS = 64  # of one result of a dot product


@dataclass(frozen=True)
class Vectors:
    """One integer per cycle for each input port, and for each output port what it must be `latency` cycles later."""

    inputs: dict
    outputs: dict
    latency: int = 0

    def __len__(self):
        return len(next(iter(self.inputs.values())))


_one_at_a_time = Lock()


def real_tensors():
    """The tensors of `golden.reference.stimulus.real_tensors`, float32 by name; made once, however many threads ask for them.

    Raises
    ------
    ToolError
        They cannot be made.
    """
    with _one_at_a_time:
        return _real_tensors()


@cache
def _real_tensors():
    try:
        kept = folder("tensors", [fingerprint(stimulus.__name__)], stimulus.keep_real_tensors)
    except FileNotFoundError as error:
        raise ToolError(f"no real tensors: {error.strerror}") from None
    with np.load(stimulus.keep_real_tensors(kept)) as archive:
        return {name: archive[name] for name in archive if name != "accuracy"}


def runs(tensors, count):
    """From each tensor `count` neighbours, beginning where a fixed random number says: float32 [len(tensors), count]."""
    rng = np.random.default_rng(SEED)
    flat = [tensor.ravel() for tensor in tensors.values()]
    return np.stack([np.resize(values[rng.integers(max(1, len(values) - count)) :], count) for values in flat])


def operands(lanes):
    """What multipliers of all kinds are measured with: two lists of runs of real tensors, float32 [runs, values], equally many.

    The first are of activations, errors and gradients, the others of weights.
    """
    tensors = real_tensors()
    weights = {name: tensor for name, tensor in tensors.items() if name.endswith("weight")}
    others = {name: tensor for name, tensor in tensors.items() if name not in weights}
    return [runs(group, PRODUCTS * lanes // len(group)) for group in (others, weights)]


def float_codec(manifest):
    """Vectors for an encoder or a decoder of floats with this manifest, a beat in every cycle."""
    parameters = manifest["parameters"]
    lanes = parameters["lanes"]
    formats = [FloatFormat.parse(name) for name in parameters["formats"]]
    tensors = real_tensors()
    words = runs(tensors, BEATS * lanes).reshape(-1, lanes)
    rng = np.random.default_rng(SEED)
    format_of = np.repeat(np.arange(len(tensors)) % len(formats), BEATS)
    bias = np.repeat([_bias(formats[i % len(formats)], parameters, x) for i, x in enumerate(tensors.values())], BEATS)
    names = parameters.get("roundings", ["rne"])
    rounding = np.array([ROUNDINGS.index(name) for name in names])[rng.integers(len(names), size=len(words))]
    user = {
        "bias": bias,
        "format": format_of,
        "rounding": rounding,
        "user": rng.integers(2 ** parameters["user_bits"], size=len(words)),
    }
    random = _random(parameters, rng, len(words), lanes)
    user |= {f"random{lane}": random[:, lane] for lane in range(lanes)}
    codes, flags = (np.zeros(words.shape, np.int64) for _ in range(2))
    values = np.zeros_like(words)
    for index, fmt in enumerate(formats):
        for code, name in enumerate(ROUNDINGS):
            rows = (format_of == index) & (rounding == code)
            options = {
                "overflow": parameters.get("overflow", "saturate"),
                "rounding": name,
                "sr_bits": parameters.get("sr_bits", 8),
            }
            biases = np.broadcast_to(bias[rows, None], words[rows].shape)
            codes[rows], flags[rows] = encode(words[rows], fmt, bias=biases, random_bits=random[rows], flags=True, **options)
            values[rows] = decode(codes[rows].astype(np.uint8 if fmt.bits <= 8 else np.uint16), fmt, bias=biases)
    user |= {f"flags{lane}": flags[:, lane] for lane in range(lanes)}
    wide, narrow = (_lanes(array) for array in (words.view(np.uint32), codes))
    decoded = _lanes(values.view(np.uint32))
    encoding = manifest["design"] == "float_encoder"
    data = {"s_axis_tdata": wide if encoding else narrow, "m_axis_tdata": narrow if encoding else decoded}
    last = rng.random(len(words)) < 0.1
    always = {"s_axis_tvalid", "m_axis_tvalid", "s_axis_tready", "m_axis_tready"}
    inputs, outputs = {}, {}
    for port in manifest["ports"]:
        name = port["name"]
        if name in ("clk", "rst", "rst_n"):
            continue
        if name.endswith("tlast"):
            column = last.astype(int).tolist()
        elif name in always:
            column = [1] * len(words)
        else:
            column = _pack(port["fields"], data.get(name, user), len(words))
        (inputs if port["direction"] == "input" else outputs)[name] = column
    return Vectors(inputs, outputs, manifest["latency"])


def s2_codec(manifest):
    """Vectors for an S2FP8 encoder or decoder with this manifest, a beat in every cycle, each tensor with its own parameters."""
    parameters = manifest["parameters"]
    lanes = parameters["lanes"]
    tensors = real_tensors()
    words = runs(tensors, BEATS * lanes).reshape(-1, lanes)
    found = [s2fp8.tensor_parameters(tensor) for tensor in tensors.values()]
    alpha, mean, inverse = (np.repeat([getattr(each, name) for each in found], BEATS) for name in ("alpha", "mean", "inverse"))
    codes, flags = s2fp8.encode(words, alpha[:, None], mean[:, None], flags=True)
    encoding = manifest["design"] == "s2_encoder"
    wide = (words if encoding else s2fp8.decode(codes, inverse[:, None], mean[:, None])).view(np.uint32)
    given, result = (wide, codes) if encoding else (codes, wide)
    count = len(words)
    last = np.zeros(count, bool)
    user = {"alpha": alpha % 2**11, "mean": mean, "inverse": inverse, "user": np.zeros(count, np.int64)}
    user |= {f"flags{lane}": flags[:, lane] for lane in range(lanes)}
    outputs = {"m_axis_tvalid": [1] * count, "s_axis_tready": [1] * count, "m_axis_tlast": [0] * count}
    for port in manifest["ports"]:
        if port["direction"] == "output" and "fields" in port:
            outputs[port["name"]] = _pack(port["fields"], _lanes(result) if port["name"] == "m_axis_tdata" else user, count)
    return Vectors(_inputs(manifest, _lanes(given), user, last), outputs, manifest["latency"])


def median_tracker(manifest):
    """Vectors for a median tracker with this manifest, a beat in every cycle, types changing with the tensors."""
    parameters = manifest["parameters"]
    lanes, types = parameters["lanes"], parameters["types"]
    tensors = real_tensors()
    words = runs(tensors, BEATS * lanes).reshape(-1, lanes)
    type_of = np.repeat(np.arange(len(tensors)) % types, BEATS).tolist()
    names = ("types", "fraction", "run", "initial_bias", "bias_min", "bias_max")
    model = MedianTracker(**{name: parameters[name] for name in names})
    outputs = {"bias": [], "settled": []}
    for beat, type_ in zip(words, type_of):
        model.observe(beat[None], type_)
        outputs["bias"].append(sum(bias << BIAS_BITS * i for i, bias in enumerate(model.bias.tolist())))
        outputs["settled"].append(sum(bit << i for i, bit in enumerate(model.settled.tolist())))
    fields = [{"name": f"lane{lane}", "lsb": 32 * lane} for lane in range(lanes)]
    inputs = {
        "tap_tdata": _pack(fields, _lanes(words.view(np.uint32)), len(words)),
        "tap_tvalid": [1] * len(words),
        "tap_tkeep": [2**lanes - 1] * len(words),
        "tap_tuser": type_of,
    }
    ports = [port["name"] for port in manifest["ports"] if port["direction"] == "input"]
    idle = [0] * len(words)
    inputs = {name: inputs.get(name, idle) for name in ports if name not in ("clk", "rst", "rst_n")}
    return Vectors(inputs, outputs, latency=1)


def lbfp_multiplier(manifest):
    """Vectors for a multiplier of logarithmic numbers with this manifest, a beat in every cycle."""
    parameters = manifest["parameters"]
    codes, _ = _log_operands(parameters)
    bits = manifest["product_bits"]
    product = lbfp.multiply(*codes, **_log_products(manifest))
    data = _lanes(codes[0], "a") | _lanes(codes[1], "b")
    last = np.zeros(len(product), bool)
    user = {"user": np.zeros(len(product), np.int64)}
    outputs = {"m_axis_tvalid": [1] * len(product), "s_axis_tready": [1] * len(product)}
    for port in manifest["ports"]:
        if port["name"] == "m_axis_tdata":
            outputs["m_axis_tdata"] = _pack(port["fields"], _lanes(product & 2**bits - 1), len(product))
    return Vectors(_inputs(manifest, data, user, last), outputs, manifest["latency"])


def _log_operands(parameters):
    """The codes of both operands, uint8 [beats, lanes], and for each beat their exponents; each run has that of its largest."""
    fmt = LogBlockFormat.parse(parameters["fmt"])
    whole = LogBlockFormat(name=fmt.name, int_bits=fmt.int_bits, frac_bits=fmt.frac_bits, exp_bits=fmt.exp_bits)
    lanes = parameters["lanes"]
    codes, exponents = [], []
    for values in operands(lanes):
        found = lbfp.block_exponent(values, whole)
        codes.append(lbfp.encode(values, fmt, found).reshape(-1, lanes))
        exponents.append(np.broadcast_to(found, values.shape).reshape(-1, lanes)[:, 0].astype(np.int64))
    return codes, exponents


def _log_products(manifest):
    parameters = manifest["parameters"]
    return {
        "fmt": LogBlockFormat.parse(parameters["fmt"]),
        "antilog": parameters["antilog"],
        "guard_bits": manifest["guard_bits"],
        "out_bits": manifest["product_bits"],
        "output": parameters["output"],
    }


def lbfp_dot_product(manifest):
    """Vectors for a dot product of logarithmic numbers with this manifest, a beat in every cycle."""
    parameters = manifest["parameters"]
    codes, exponents = _log_operands(parameters)
    sums = lbfp.dot(*codes, **_log_products(manifest))
    count = len(sums)
    last = np.arange(count) % RESULT_BEATS == RESULT_BEATS - 1
    ends = np.flatnonzero(last)
    results = np.diff(np.cumsum(sums)[ends], prepend=0)
    fmt = LogBlockFormat.parse(parameters["fmt"])
    lsb = lbfp.lsb_exponent(
        fmt,
        exponents[0][ends] + exponents[1][ends],
        antilog=parameters["antilog"],
        guard_bits=manifest["guard_bits"],
        out_bits=manifest["product_bits"],
    )
    data = _lanes(codes[0], "a") | _lanes(codes[1], "b")
    user = {"user": np.zeros(count, np.int64)}
    user |= {name: e & 2**fmt.exp_bits - 1 for name, e in zip(("exponent_a", "exponent_b"), exponents, strict=True)}
    valid = last.astype(int).tolist()
    outputs = {"s_axis_tready": [1] * count, "m_axis_tvalid": valid, "m_axis_tlast": [1] * count}
    shown = {"sum": results, "exponent": lsb, "user": np.zeros(len(ends), np.int64)}
    for port in manifest["ports"]:
        if port["direction"] == "output" and "fields" in port:
            masked = {f["name"]: shown[f["name"]] & 2 ** (f["msb"] - f["lsb"] + 1) - 1 for f in port["fields"]}
            words = dict(zip(ends.tolist(), _pack(port["fields"], masked, len(ends)), strict=True))
            outputs[port["name"]] = [words.get(beat) for beat in range(count)]
    return Vectors(_inputs(manifest, data, user, last), outputs, manifest["latency"])


def fast_mac(manifest):
    """Vectors for an fMAC with this manifest: a pass in every cycle, `RESULT_BEATS` to a result, of groups of 4 mantissa bits, or of one
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
    beats = -(-BEATS // per_group) * per_group
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


def _bias(fmt, parameters, tensor):
    return exact_median_bias(tensor) if fmt.name.startswith("ab_") and parameters["bias_port"] else fmt.bias


def _random(parameters, rng, beats, lanes):
    if "sr" in parameters.get("roundings", ()) and parameters["random"] == "lfsr":
        return lane_bits(parameters["seed"], beats, lanes, parameters["sr_bits"])
    return rng.integers(2 ** parameters.get("sr_bits", 1), size=(beats, lanes))


def _lanes(array, name="lane"):
    return {f"{name}{lane}": array[:, lane] for lane in range(array.shape[1])}


def _pack(fields, columns, count):
    words = [0] * count
    for field in fields:
        for index, value in enumerate(columns[field["name"]].tolist()):
            words[index] |= value << field["lsb"]
    return words
