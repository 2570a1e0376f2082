"""The figures and tables of area and speed, from committed JSON."""

import json
from functools import wraps
from pathlib import Path

from narrowfloat.hdl.catalog import DESIGNS, SHIPPED
from narrowfloat.synth.results import KINDS, Results

ROOT = Path(__file__).resolve().parents[2]
ONE_LANE = {"lanes": 1, "stages": 0}
CODECS = ("float_encoder", "float_decoder")
SHIPPED_FLOATS = ("ab_e5m2", "float8_e4m3fn", "float8_e5m2")


def evidence(name):
    return json.loads((ROOT / "evidence" / f"{name}.json").read_text())


# What `make synth` is held to.
MEASURED = json.loads((ROOT / "synth/baseline.json").read_text())
_RESULTS = Results(MEASURED, [])


def table(headings, rows):
    """A Markdown table whose first column is left-aligned and whose other columns are right-aligned."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def row(design, target, recipe, **parameters):
    """The row of the one measured unit that has these parameters; all others that it has are at their default.

    Raises
    ------
    LookupError
        No unit has them on that target, or several units have.
    """
    wanted = {each.name: each.to_json(each.default) for each in KINDS[design].parameters} | parameters
    found = [
        each
        for each in MEASURED
        if (each["design"], each["target"], each["recipe"]) == (design, target, recipe) and each["parameters"] == wanted
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} results of {design} on {target} by {recipe} with {parameters}, not 1")
    return found[0]


def metrics(design, target, recipe, **parameters):
    """The metrics of the `row` with these arguments."""
    return row(design, target, recipe, **parameters)["metrics"]


def or_dash(figure):
    """`figure`, which is called for a unit, but a dash where that was not measured."""

    @wraps(figure)
    def shown(*arguments, **parameters):
        try:
            return figure(*arguments, **parameters)
        except LookupError:
            return "-"

    return shown


@or_dash
def ratio(design, target, recipe, metric, **parameters):
    """A metric over that of the best alternative, a dash where there is none."""
    found = _RESULTS.ratio(row(design, target, recipe, **parameters), metric)
    return "-" if found is None else f"{found:.2f}"


@or_dash
def area(design, recipe="area", **parameters):
    """Gate equivalents in OSU 0.18 um."""
    return f"{metrics(design, 'osu018', recipe, **parameters)['gate_equivalents']:.0f}"


@or_dash
def delay(design, recipe="area", **parameters):
    """Nanoseconds in OSU 0.18 um."""
    return f"{metrics(design, 'osu018', recipe, **parameters)['delay_ns']:.1f}"


def area_and_delay(design, recipe="area", **parameters):
    return f"{area(design, recipe, **parameters)}, {delay(design, recipe, **parameters)}"


@or_dash
def energy(design, **parameters):
    """Picojoules per operation of the small form in OSU 0.18 um, with glitches."""
    return f"{metrics(design, 'osu018', 'area', **parameters)['energy_pj_per_op']:.2f}"


@or_dash
def luts(design, target="ice40", **parameters):
    found = metrics(design, target, "luts", **parameters)
    return found["lut6" if target.startswith("xc") else "lut4"]


@or_dash
def flip_flops(design, target="ice40", **parameters):
    return metrics(design, target, "luts", **parameters)["ff"]


@or_dash
def frequency(design, target="ice40-hx8k", **parameters):
    """MHz after place and route."""
    return f"{metrics(design, target, 'placed', **parameters)['fmax_mhz']:.0f}"


def codec_lane():
    """One lane of every codec without registers, beside plain converters."""
    units = [
        *((f"encoder, `{fmt}`", "float_encoder", ONE_LANE | {"formats": [fmt]}) for fmt in SHIPPED_FLOATS),
        (
            "encoder, all three, chosen per beat",
            "float_encoder",
            ONE_LANE | {"formats": list(SHIPPED_FLOATS), "roundings": ["rne"]},
        ),
        ("*plain encoder, E4M3, bias fixed*", "fp32_to_e4m3", {}),
        ("*plain converter, bfloat16*", "fp32_to_bfloat16", {}),
        *((f"decoder, `{fmt}`", "float_decoder", ONE_LANE | {"formats": [fmt]}) for fmt in SHIPPED_FLOATS),
        ("decoder, all three, chosen per beat", "float_decoder", ONE_LANE | {"formats": list(SHIPPED_FLOATS)}),
        ("*plain decoder, E4M3, bias fixed*", "e4m3_to_fp32", {}),
    ]
    return table(
        [
            "block and format",
            "iCE40 LUT4",
            "ECP5 LUT4",
            "Xilinx LUT6",
            "Gowin LUT4",
            "HX8K, MHz",
            "small: GE, ns",
            "fast: GE, ns",
            "pJ",
        ],
        [
            [
                label,
                *(luts(design, target, **unit) for target in ("ice40", "ecp5", "xcup", "gowin")),
                frequency(design, **unit),
                area_and_delay(design, **unit),
                area_and_delay(design, "delay", **unit),
                energy(design, **unit),
            ]
            for label, design, unit in units
        ],
    )


def codec_shipped():
    """Codecs as they are shipped, with one register stage, of 4 and 16 lanes."""
    rows = []
    for design in CODECS:
        for fmt in SHIPPED_FLOATS:
            four, sixteen = ({"stages": 1, "formats": [fmt], "lanes": lanes} for lanes in (4, 16))
            of_both = (f"{measure(design, **four)}, {measure(design, **sixteen)}" for measure in (luts, area, frequency))
            rows.append([f"`{design}`, `{fmt}`", *of_both])
    return table(["4 and 16 lanes, one stage", "iCE40 LUT4", "GE", "HX8K, MHz"], rows)


def best(metric, design, target, recipe, **parameters):
    """The metrics of that one of a kind's measured units which is best in `metric`."""
    found = [
        row["metrics"]
        for row in MEASURED
        if (row["design"], row["target"], row["recipe"]) == (design, target, recipe)
        and parameters.items() <= row["parameters"].items()
    ]
    if not found:
        raise LookupError(f"no results of {design} on {target} by {recipe} with {parameters}")
    return min(found, key=lambda metrics: metrics[metric])


def arithmetic():
    """Integer and float arithmetic that formats compete with: of each kind, for each column, the best that we know."""
    units = [
        ("8 x 8, two's complement", "multiplier", {"numbers": "signed", "width": 8}),
        ("8 x 8, sign and magnitude", "multiplier", {"numbers": "sign_magnitude", "width": 8}),
        *(
            (f"{name} product in fixed point", "minifloat_multiplier", {"format": name.lower(), "output": "sign_magnitude"})
            for name in ("E4M3", "E3M4", "E2M1")
        ),
        ("posit8 product, not rounded", "posit_multiplier", {}),
        *(
            (f"{label}, 8 bits", "approximate_multiplier", {"approximation": name, "numbers": "sign_magnitude"})
            for label, name in (("Mitchell", "mitchell"), ("DRUM, 3 bits kept", "drum3"), ("DRUM, 6 bits kept", "drum6"))
        ),
        ("INT8 dot product of 16, 32-bit accumulator", "dot_product", {"width": 8}),
        ("INT4 dot product of 16, 32-bit accumulator", "dot_product", {"width": 4}),
        *(
            (f"{name} dot product of 16, exact", "minifloat_dot_product", {"format": name.lower(), "align": "exact"})
            for name in ("E4M3", "E3M4", "E2M1")
        ),
        ("E4M3 dot product of 16, aligned", "minifloat_dot_product", {"format": "e4m3", "align": "largest"}),
        ("MSFP-12 dot product of 16, no accumulator", "block_dot_product", {"man_bits": 3}),
        ("bfloat16 multiply-add", "multiply_add", {"format": "bfloat16"}),
        ("FP32 multiply-add", "multiply_add", {"format": "fp32"}),
    ]

    @or_dash
    def count(metric, design, target, **unit):
        return best(metric, design, target, "luts", **unit)[metric]

    @or_dash
    def in_cells(metric, design, recipe, **unit):
        found = best(metric, design, "osu018", recipe, **unit)
        return f"{found['gate_equivalents']:.0f}, {found['delay_ns']:.1f}"

    @or_dash
    def least_energy(design, **unit):
        return f"{best('energy_pj_per_op', design, 'osu018', 'area', **unit)['energy_pj_per_op']:.2f}"

    def cells(design, unit):
        yield count("lut4", design, "ice40", **unit)
        yield count("lut6", design, "xcup", **unit)
        yield in_cells("gate_equivalents", design, "area", **unit)
        yield in_cells("delay_ns", design, "delay", **unit)
        yield least_energy(design, **unit)

    return table(
        ["design", "iCE40 LUT4", "Xilinx LUT6", "small: GE, ns", "fast: GE, ns", "pJ"],
        [[label, *cells(design, unit)] for label, design, unit in units],
    )


def estimators():
    """The estimators on iCE40."""
    designs = ("median_estimator", "exponent_histogram", "log_moments", "median_tracker")
    rows = [
        [
            f"{types}, {lanes}",
            *(
                f"{luts(design, types=types, lanes=lanes)}, {flip_flops(design, types=types, lanes=lanes)}"
                for design in designs
            ),
        ]
        for types, lanes in ((1, 1), (1, 16), (4, 1), (4, 4), (4, 16))
    ]
    return table(["types, lanes", *(f"`{design}`" for design in designs)], rows)


def estimator_areas():
    """Estimators in cells: gate equivalents, and of these those of memories."""
    designs = ("median_estimator", "exponent_histogram", "log_moments", "median_tracker")

    @or_dash
    def cell(design, types, lanes):
        found = metrics(design, "osu018", "area", types=types, lanes=lanes)
        bits = found.get("memory_bits")
        return f"{found['gate_equivalents']:.0f}" + (f", {bits}" if bits else "")

    rows = [
        [f"{types}, {lanes}", *(cell(design, types, lanes) for design in designs)]
        for types, lanes in ((1, 1), (1, 16), (4, 1), (4, 4), (4, 16))
    ]
    return table(["types, lanes", *(f"`{design}`" for design in designs)], rows)


def estimator_memories(pick):
    """The least or the largest number of block RAMs, of 4 kbit each, that an estimator with memory takes on iCE40."""
    counts = [row["metrics"]["bram"] for row in MEASURED if row["target"] == "ice40" and row["metrics"].get("bram")]
    return pick(counts)


def units(*named):
    """Area, speed and energy of units, each a label, a design and its parameters."""
    return table(
        [
            *("unit", "iCE40 LUT4, FF", "ECP5 LUT4", "Xilinx LUT6", "small: GE, ns", "fast: GE, ns", "pJ"),
            *("HX8K, MHz", "ECP5, MHz"),
        ],
        [
            [
                label,
                f"{luts(design, **unit)}, {flip_flops(design, **unit)}",
                luts(design, "ecp5", **unit),
                luts(design, "xcup", **unit),
                area_and_delay(design, **unit),
                area_and_delay(design, "delay", **unit),
                energy(design, **unit),
                frequency(design, **unit),
                frequency(design, "ecp5-25k", **unit),
            ]
            for label, design, unit in named
        ],
    )


def lbfp_units():
    return units(
        ("`lbfp_encoder`, one lane", "lbfp_encoder", ONE_LANE),
        ("`lbfp_decoder`, one lane", "lbfp_decoder", ONE_LANE),
        *(
            (f"`lbfp_multiplier`, one lane, `output={output}`", "lbfp_multiplier", ONE_LANE | {"output": output})
            for output in ("twos_complement", "sign_magnitude")
        ),
        ("`lbfp_dot_product`, `exponents=0`", "lbfp_dot_product", {"exponents": False}),
        ("`lbfp_dot_product`", "lbfp_dot_product", {}),
    )


def lbfp_shapes():
    """One lane of the multiplier with sign and magnitude, by antilog, guard bits and width."""
    lut = ONE_LANE | {"output": "sign_magnitude"}
    shapes = [
        ("LBFP8, Mitchell's antilog", ONE_LANE | {"output": "sign_magnitude", "antilog": "mitchell"}),
        ("LBFP8, two segments", ONE_LANE | {"output": "sign_magnitude", "antilog": "two_segment"}),
        *((f"LBFP8, table, G = {bits or 5}", lut | {"guard_bits": bits}) for bits in (4, None, 6, 7, 8)),
        *((f"{name.upper()}, table, G = 5", lut | {"fmt": name}) for name in ("lbfp7", "lbfp6", "lbfp5")),
    ]
    return table(
        ["sign and magnitude, 16 bits", "iCE40 LUT4", "Xilinx LUT6", "small: GE, ns"],
        [
            [
                label,
                luts("lbfp_multiplier", **unit),
                luts("lbfp_multiplier", "xcup", **unit),
                area_and_delay("lbfp_multiplier", **unit),
            ]
            for label, unit in shapes
        ],
    )


_HEADLINES = [
    *(
        (
            f"LBFP8 multiplier, {words}, over INT8 with the same form of product",
            "lbfp_multiplier",
            ONE_LANE | {"output": output},
        )
        for words, output in (("two's complement", "twos_complement"), ("sign and magnitude", "sign_magnitude"))
    ),
    ("LBFP8 dot product of 16, over INT8 with an accumulator of 32 bits", "lbfp_dot_product", {"exponents": False}),
    *(
        (
            f"`fast_mac` of 16 lanes, a pass, `accumulator={accumulator}`, over the same",
            "fast_mac",
            {"accumulator": accumulator},
        )
        for accumulator in ("fixed", "segmented", "fp32")
    ),
    (
        "`float_encoder` of `ab_e5m2`, bias at run time, over a plain encoder of E4M3",
        "float_encoder",
        ONE_LANE | {"formats": ["ab_e5m2"]},
    ),
    (
        "`float_decoder` of `ab_e5m2`, bias at run time, over a plain decoder of E4M3",
        "float_decoder",
        ONE_LANE | {"formats": ["ab_e5m2"]},
    ),
]


def ratios():
    """What our units take over the best alternative, per lane: below 1 is less."""
    columns = [
        *(("osu018", "area", metric) for metric in ("gate_equivalents", "delay_ns", "energy_pj_per_op")),
        *((target, "luts", "lut6" if target.startswith("xc") else "lut4") for target in ("ice40", "ecp5", "xcup")),
    ]
    return table(
        ["unit", "GE", "ns", "pJ", "iCE40 LUT4", "ECP5 LUT4", "Xilinx LUT6"],
        [[label, *(ratio(design, *column, **unit) for column in columns)] for label, design, unit in _HEADLINES],
    )


# What we published of area and energy until integer products were built as one heap of full adders, over the smallest of five
# recipes of INT8, with energy by a simulation without delays.
_FORMERLY = {
    ("lbfp_multiplier", "twos_complement"): (0.39, 0.75),
    ("lbfp_multiplier", "sign_magnitude"): (0.43, 1.02),
    ("lbfp_dot_product", None): (0.49, 0.79),
}


def yardsticks():
    """Our LBFP units over INT8 by the yardstick that we had and by the one that we have."""
    rows = []
    for label, design, unit in _HEADLINES:
        if former := _FORMERLY.get((design, unit.get("output"))):
            now = [ratio(design, "osu018", "area", metric, **unit) for metric in ("gate_equivalents", "energy_pj_per_op")]
            rows.append([label, *(cell for pair in zip(former, now, strict=True) for cell in pair)])
    return table(["unit", "area, formerly", "area", "energy, formerly", "energy"], rows)


_SMALL_CONVERTER = {"lanes": 4, "roundings": ["rtz", "rne", "sr"], "precisions": [2, 4], "user_bits": 4}


def bfp_units():
    return units(
        *(
            (f"`fast_mac`, `accumulator={accumulator}`", "fast_mac", {"accumulator": accumulator})
            for accumulator in ("fixed", "segmented", "fp32")
        ),
        ("`bfp_converter`, 16 lanes", "bfp_converter", {"precisions": [2, 4]}),
        ("`bfp_converter`, 4 lanes, three roundings", "bfp_converter", _SMALL_CONVERTER),
        ("`precision_policy`", "precision_policy", {}),
    )


def s2fp8_units():
    return units(
        ("`s2_encoder`, one lane", "s2_encoder", ONE_LANE),
        ("the same, `precision=full`", "s2_encoder", ONE_LANE | {"precision": "full"}),
        ("`float_encoder` of `ab_e5m2`, one lane", "float_encoder", ONE_LANE | {"formats": ["ab_e5m2"]}),
        ("`s2_decoder`, one lane", "s2_decoder", ONE_LANE),
        ("the same, `precision=full`", "s2_decoder", ONE_LANE | {"precision": "full"}),
        ("`float_decoder` of `ab_e5m2`, one lane", "float_decoder", ONE_LANE | {"formats": ["ab_e5m2"]}),
        ("`s2_parameters`", "s2_parameters", {}),
    )


def port_units():
    return units(
        ("`memory_port`, `estimators=tracker`, 4 lanes, 4 types", "memory_port", {"estimators": ["tracker"], "s2fp8": False}),
        ("`median_tracker` alone, 4 lanes, 4 types", "median_tracker", {}),
    )


def shipped_frequencies():
    """MHz of every shipped build, placed and routed."""
    rows = []
    for name, settings in SHIPPED:
        design = DESIGNS[name]
        values = design.parse(settings)
        unit = {each.name: each.to_json(values[each.name]) for each in design.parameters}
        label = " ".join([f"`{name}`", *(f"`{setting}`" for setting in settings)])
        rows.append([label, *(frequency(name, target, **unit) for target in ("ecp5-25k", "ecp5-85k", "ice40-hx8k"))])
    return table(["build", "ECP5 25k, MHz", "ECP5 85k, MHz", "HX8K, MHz"], rows)


def fastest_builds():
    """MHz with as many pipeline registers as a block can use, and without."""
    found = [
        ("`float_encoder` of `ab_e5m2`, 4 lanes", "float_encoder", {"formats": ["ab_e5m2"]}, 5),
        ("`s2_encoder`, 4 lanes", "s2_encoder", {}, 8),
        ("`lbfp_dot_product`, `exponents=0`", "lbfp_dot_product", {"exponents": False}, 5),
        *(
            (f"`fast_mac`, `accumulator={kind}`", "fast_mac", {"accumulator": kind}, most)
            for kind, most in (("fixed", 5), ("segmented", 9), ("fp32", 3))
        ),
    ]
    return table(
        ["unit", "as shipped: ECP5, HX8K", "stages", "with these: ECP5, HX8K"],
        [
            [
                label,
                ", ".join(frequency(design, target, **unit) for target in ("ecp5-25k", "ice40-hx8k")),
                stages,
                ", ".join(frequency(design, target, **unit, stages=stages) for target in ("ecp5-25k", "ice40-hx8k")),
            ]
            for label, design, unit, stages in found
        ],
    )


def summary_of_units():
    """Area and LUTs of a few units, for the first page."""
    found = [
        *((f"`{design}` of `ab_e5m2`, one lane", design, ONE_LANE | {"formats": ["ab_e5m2"]}) for design in CODECS),
        ("`memory_port` with the median tracker, 4 lanes, 4 types", "memory_port", {"estimators": ["tracker"], "s2fp8": False}),
        ("`lbfp_multiplier` of `lbfp8`, sign and magnitude", "lbfp_multiplier", ONE_LANE | {"output": "sign_magnitude"}),
        ("`lbfp_dot_product` of 16 `lbfp8` products", "lbfp_dot_product", {}),
        ("`fast_mac` of 16 lanes, fixed accumulator", "fast_mac", {"accumulator": "fixed"}),
        ("`fast_mac` of 16 lanes, segmented accumulator", "fast_mac", {"accumulator": "segmented"}),
        ("`fast_mac` of 16 lanes, FP32 accumulator", "fast_mac", {"accumulator": "fp32"}),
        ("`s2_encoder`, one lane", "s2_encoder", ONE_LANE),
    ]
    return table(
        ["unit", "GE, small form", "pJ", "iCE40 LUT4", "ECP5 LUT4"],
        [
            [label, area(design, **unit), energy(design, **unit), luts(design, **unit), luts(design, "ecp5", **unit)]
            for label, design, unit in found
        ],
    )
