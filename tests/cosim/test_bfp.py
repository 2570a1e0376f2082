"""The converter and the policy beyond what is shipped: all widths, short groups, one lane, MXINT8; and that faults are seen."""

import re

import pytest
from narrowfloat.cosim import build
from narrowfloat.cosim.exhaustive.bfp import MacCheck
from narrowfloat.cosim.report import Mismatch
from narrowfloat.cosim.runner import Job, run
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

BUILDS = (
    ("fmt=m2e3g8", "lanes=2", "roundings=rtz", "sums=0"),
    ("fmt=m2e8g4", "lanes=1", "roundings=rne", "sum_bits=16", "reset=sync_low"),
    ("fmt=m4e4g5", "lanes=5", "roundings=sr", "seed=4294967295"),
    ("fmt=m6e4g12", "lanes=3", "roundings=rtz,rne", "precisions=6,4,2", "sum_bits=64", "user_bits=33", "reset=async_low"),
    ("fmt=m8e3g16", "lanes=4", "roundings=sr,rne", "precisions=8,1,5", "user_bits=1"),
    pytest.param(("fmt=m8g32", "lanes=8", "roundings=rne", "precisions=7"), marks=pytest.mark.long),
    pytest.param(("fmt=m8g64", "lanes=64", "roundings=rtz,rne,sr", "precisions=2,4,6,8"), marks=pytest.mark.long),
)
QUICK = "extremes|mix|sums|reset"
MACS = (
    ("lanes=5", "width=40", "user_bits=3", "reset=async_low"),
    ("lanes=4", "accumulator=fp32", "max_bits=2"),
    ("lanes=4", "accumulator=segmented", "user_bits=3", "reset=async_low"),
    ("lanes=5", "accumulator=segmented", "chunk_bits=3", "max_bits=3"),
    pytest.param(("lanes=64", "accumulator=segmented", "chunk_bits=4"), marks=pytest.mark.long),
    pytest.param(("lanes=32", "accumulator=fp32", "max_bits=8", "user_bits=7"), marks=pytest.mark.long),
    pytest.param(("lanes=64", "width=62"), marks=pytest.mark.long),
)

ARRAYS = (
    ("rows=1", "columns=1", "lanes=4", "max_bits=2"),
    ("rows=1", "columns=1", "lanes=4", "max_bits=2", "accumulator=segmented"),
    pytest.param(("rows=5", "columns=1", "lanes=4", "max_bits=6", "width=16"), marks=pytest.mark.long),
    pytest.param(("rows=2", "columns=3", "lanes=5", "max_bits=6", "accumulator=segmented"), marks=pytest.mark.long),
    pytest.param(("rows=3", "columns=1", "lanes=64", "max_bits=8", "accumulator=segmented"), marks=pytest.mark.long),
    pytest.param(
        ("rows=3", "columns=2", "lanes=5", "accumulator=fp32", "max_bits=8", "reset=async_low"), marks=pytest.mark.long
    ),
    pytest.param(("rows=1", "columns=4", "lanes=16", "accumulator=fp32"), marks=pytest.mark.long),
    # MXINT8
    pytest.param(("rows=2", "columns=2", "lanes=32", "accumulator=fp32", "max_bits=8"), marks=pytest.mark.long),
    pytest.param(("rows=4", "columns=4", "lanes=8", "width=48"), marks=pytest.mark.long),
)


def simulate(name, settings, folder, tests, change=lambda text: text):
    emission = emit(find(name), settings)
    emission.write(folder)
    source = folder / f"{emission.module}.v"
    source.write_text(change(source.read_text()))
    return run(Job(folder, emission.module, "icarus", seed=3, tests=tests, runs=folder))


@pytest.mark.parametrize("settings", BUILDS, ids=" ".join)
def test_converter_on_icarus(settings, tmp_path, require_tool):
    require_tool("iverilog")
    result = simulate("bfp_converter", settings, tmp_path, QUICK)
    assert result.failure is None
    assert result.vectors > 5000


@pytest.mark.parametrize("settings", [("sum_bits=16",), ("sum_bits=64", "user_bits=9", "reset=async_low")], ids=" ".join)
def test_policy_on_icarus(settings, tmp_path, require_tool):
    require_tool("iverilog")
    result = simulate("precision_policy", settings, tmp_path, "corners|mix|reset")
    assert result.failure is None
    assert result.vectors > 400


STAGES = {"fixed": 5, "segmented": 9, "fp32": 3}


@pytest.mark.parametrize(
    ("accumulator", "stages"),
    [
        pytest.param(accumulator, stages, marks=[] if stages in (1, most) else pytest.mark.long)
        for accumulator, most in STAGES.items()
        for stages in range(1, most + 1)
    ],
)
def test_fast_mac_with_every_number_of_stages_on_icarus(accumulator, stages, tmp_path, require_tool):
    require_tool("iverilog")
    settings = ("lanes=5", f"accumulator={accumulator}", f"stages={stages}", "user_bits=3")
    assert simulate("fast_mac", settings, tmp_path, "mix|reset|latency").failure is None


@pytest.mark.parametrize("settings", MACS, ids=" ".join)
def test_fast_mac_on_icarus(settings, tmp_path, require_tool):
    require_tool("iverilog")
    result = simulate(
        "fast_mac", settings, tmp_path, "corners|mix|reset" if "accumulator=segmented" in settings else "mix|reset"
    )
    assert result.failure is None
    assert result.vectors > 5000


@pytest.mark.parametrize("settings", ARRAYS, ids=" ".join)
def test_systolic_array_on_icarus(settings, tmp_path, require_tool):
    require_tool("iverilog")
    # the training step takes Icarus minutes: Verilator runs it for the shipped arrays
    # a test that is named runs where it would be skipped
    blocks = "|mxint8" if {"lanes=32", "max_bits=8", "accumulator=fp32"} <= set(settings) else ""
    result = simulate("systolic_array", settings, tmp_path, f"corners|random|mix|latency|reset|each|discarded{blocks}")
    assert result.failure is None
    assert result.vectors > 5_000


@pytest.mark.parametrize("accumulator", ["fixed", "fp32", "segmented"])
def test_array_in_place_from_power_up(accumulator, tmp_path, require_tool):
    require_tool("iverilog")
    settings = ("rows=2", "columns=2", "lanes=4", f"accumulator={accumulator}")
    assert simulate("systolic_array", settings, tmp_path, "in_place_from").failure is None


def test_verilator_makes_the_code_of_cells_once(tmp_path, require_tool, monkeypatch):
    require_tool("g++")
    sizes = []

    def measured(runtime, prefix, sources, options, folder, name):
        sizes.append(sum(path.stat().st_size for path in folder.glob("*.cpp")))
        (folder / "simulation").touch()

    monkeypatch.setattr(build, "_link", measured)
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path / "build"))
    for side in (2, 4):
        emission = emit(find("systolic_array"), (f"rows={side}", f"columns={side}", "accumulator=fp32"))
        emission.write(tmp_path)
        build.simulation(tmp_path / f"{emission.module}.v", emission.manifest, "verilator")
    few, four_times_as_many = sizes
    assert four_times_as_many < 2 * few


def test_a_wrong_product_in_the_array_is_caught(tmp_path, require_tool):
    require_tool("iverilog")

    def lose_a_bit(text):
        changed = re.sub(r"wire (bit0_0_0) = [^;]*;", r"wire \1 = 1'h0;", text)
        assert changed != text
        return changed

    result = simulate("systolic_array", ("rows=2", "columns=1", "lanes=4"), tmp_path, "each", lose_a_bit)
    assert re.match(
        r"each_dataflow\w+: lane 0, vector \d+: stationary, beat \d+ at the left of [24] bits, window \d+, column 0: "
        r"got sum 0x\w+, want 0x\w+; \d+ differ",
        result.failure,
    )


def test_wrong_accumulation_is_caught(tmp_path, require_tool):
    require_tool("iverilog")

    def let_it_wrap(text):
        changed = re.sub(r"wire (outside) = [^;]*;", r"wire \1 = 1'h0;", text)
        assert changed != text
        return changed

    result = simulate("fast_mac", ("lanes=4",), tmp_path, "random", let_it_wrap)
    assert re.match(
        r"random_values: lane 0, vector \d+: fixed accumulator, last pass \d+, exponents -?\d+ and -?\d+: "
        r"got \w+ 0x\w+, want 0x\w+; \d+ differ; rerun: make sim DESIGN=fast_mac_x4 SIM=icarus SEED=3",
        result.failure,
    )


def test_wrong_rounding_is_caught_and_shown(tmp_path, require_tool):
    require_tool("iverilog")

    def round_nothing_up(text):
        changed = re.sub(r"wire (up3) = [^;]*;", r"wire \1 = 1'h0;", text)
        assert changed != text
        return changed

    result = simulate("bfp_converter", ("lanes=4", "roundings=rne"), tmp_path, "corners", round_nothing_up)
    assert re.match(
        r"corners: lane 3, vector \d+: bfp4 4 bits rne offset 0 reference \d+ of 0x\w{8} \(\S+\): "
        r"got [+-]\d{4}, want [+-]\d{4}; \d+ differ; "
        r"rerun: make sim DESIGN=bfp_converter_x4_roundings_rne SIM=icarus SEED=3",
        result.failure,
    )


def test_a_segmented_sum_that_does_not_make_room_is_caught(tmp_path, require_tool):
    require_tool("iverilog")

    def stay(text):
        changed = re.sub(r"held_makes_room & ", "1'h0 & ", text)
        assert changed != text
        return changed

    result = simulate("fast_mac", ("lanes=4", "accumulator=segmented"), tmp_path, "corners", stay)
    assert re.match(
        r"corners: lane 0, vector \d+: segmented accumulator, last pass \d+, .*: got sum 0x\w+, want", result.failure
    )


def natively(settings, folder, change=lambda text: text):
    """A MacCheck of an emitted fMAC."""
    emission = emit(find("fast_mac"), settings)
    emission.write(folder)
    source = folder / f"{emission.module}.v"
    source.write_text(change(source.read_text()))
    return MacCheck(folder / f"{emission.module}.json", seed=4)


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [(), ("accumulator=fp32",), ("accumulator=fp32", "max_bits=8", "lanes=32"), ("accumulator=segmented",)],
    ids=" ".join,
)
def test_a_million_groups_through_the_fmac(settings, tmp_path, require_tool):
    require_tool("g++")
    check = natively(settings, tmp_path)
    check.corners()
    check.random(10**6)
    assert check.groups > 10**6
    assert check.passes > 2 * check.groups


@pytest.mark.long
@pytest.mark.parametrize("settings", [(), ("accumulator=fp32",)], ids=" ".join)
def test_a_wrong_carry_in_the_fmac_is_caught(settings, tmp_path, require_tool):
    require_tool("g++")

    def change(text):
        changed, number = re.subn(r"(wire products5_1_carry = [^;|]*)\|", r"\1&", text)
        assert number == 1
        return changed

    with pytest.raises(Mismatch, match=r"fast_mac\w*: result \d+: got 0x\w+, want 0x\w+; \d+ differ"):
        natively(settings, tmp_path, change).corners()
