"""What ratios are relative to, and which rows are kept, on rows made by hand."""

from narrowfloat.synth import units
from narrowfloat.synth.baselines.products import SUM_METHODS
from narrowfloat.synth.results import KINDS, Results, merge, reference


def row(design, settings, target="osu018", recipe="area", **metrics):
    kind = KINDS[design]
    values = kind.parse(settings)
    parameters = {parameter.name: parameter.to_json(values[parameter.name]) for parameter in kind.parameters}
    role = "block" if design.startswith("lbfp") else "baseline"
    same = {"design": design, "parameters": parameters, "role": role}
    return same | {"target": target, "recipe": recipe, "metrics": metrics}


def test_ratio_is_to_the_best_multiplier_with_the_same_form_of_product():
    ours = row("lbfp_multiplier", ["lanes=2", "output=twos_complement"], gate_equivalents=400.0, energy_pj_per_op=3.0)
    rows = [
        ours,
        row("multiplier", ["method=booth"], gate_equivalents=320.0, energy_pj_per_op=12.0),
        row("multiplier", ["method=array"], gate_equivalents=350.0, energy_pj_per_op=6.0),
        row("multiplier", ["numbers=sign_magnitude", "method=array"], gate_equivalents=250.0, energy_pj_per_op=4.0),
        row("multiplier", ["method=booth_rows"], "ice40", "luts", gate_equivalents=1.0),
    ]
    results = Results(rows, [])
    assert results.ratio(ours, "gate_equivalents") == 400 / 2 / 320
    assert results.ratio(ours, "energy_pj_per_op") == 3 / 6
    assert results.ratio(rows[1], "energy_pj_per_op") == 2
    assert results.ratio(ours, "delay_ns") is None


def test_ratio_is_to_the_best_dot_product_of_8_bits_in_any_form():
    ours = row("lbfp_dot_product", ["lanes=4"], "ice40-hx8k", "placed", lut4=300, fmax_mhz=50.0)
    theirs = [
        row("dot_product", [f"width={width}", f"numbers={numbers}", "method=booth"], "ice40-hx8k", "placed", **metrics)
        for width, numbers, metrics in (
            (8, "signed", {"lut4": 2000, "fmax_mhz": 40.0}),
            (8, "sign_magnitude", {"lut4": 1600, "fmax_mhz": 30.0}),
            (4, "signed", {"lut4": 500, "fmax_mhz": 60.0}),
        )
    ]
    results = Results([ours, *theirs], [])
    assert results.ratio(ours, "lut4") == (300 / 4) / (1600 / 16)
    assert results.ratio(ours, "fmax_mhz") == 50 / 40


def test_references_are_measured_by_default():
    found = reference("lbfp_multiplier", {"output": "sign_magnitude"})
    assert found and all("numbers=sign_magnitude" in settings for _, settings in found)
    assert {name for name, _ in reference("lbfp_dot_product", {})} == {"dot_product"}
    assert reference("fp32_to_e4m3", {}) == [("fp32_to_e4m3", ())]


def test_merge_leaves_out_baselines_that_no_longer_exist():
    there = row("multiplier", ["method=booth"])
    renamed = there | {"parameters": there["parameters"] | {"method": "wallace"}}
    fewer = there | {"parameters": {"method": "booth"}}
    unknown = there | {"design": "divider"}
    assert merge([there, renamed, fewer, unknown], []) == [there]


def test_dot_products_are_measured_where_their_method_belongs():
    found = {method: units.unit("dot_product", [f"method={method}"]).is_for_fpgas for method in SUM_METHODS}
    assert found == {"star": None, "array": False, "booth": False, "rows": True, "booth_rows": True, "booth_trees": True}
