"""The parameters of the block floating-point units, and their manifests. What they do is for co-simulation to show."""

import pytest
from narrowfloat.command import main
from narrowfloat.golden.formats import CATALOG, BlockFormat
from narrowfloat.hdl.bfp import BfpConverter, PrecisionPolicy, SystolicArray
from narrowfloat.hdl.bfp.systolic import MAX_SIDE
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit


def ports(emission):
    return {port["name"]: port for port in emission.manifest["ports"]}


def fields(port):
    return [(field["name"], field["lsb"], field["msb"]) for field in port["fields"]]


def test_ports_of_the_default_converter():
    emission = emit(find("bfp_converter"))
    found = ports(emission)
    assert emission.module == "bfp_converter_x16"
    assert emission.manifest["latency"] == {"m_axis": 2, "m_sums": 3}
    assert (found["s_axis_tdata"]["width"], found["m_axis_tdata"]["width"], found["m_sums_tdata"]["width"]) == (512, 80, 80)
    assert fields(found["s_axis_tuser"]) == [("rounding", 0, 1), ("reference", 2, 9)]
    assert fields(found["m_axis_tuser"]) == [("exponent", 0, 7), ("saturated", 8, 8), ("invalid", 9, 9), ("group_last", 10, 10)]
    assert fields(found["m_sums_tdata"]) == [("numerator", 0, 39), ("denominator", 40, 79)]
    assert fields(found["m_sums_tuser"]) == [("saturated", 0, 0)]


def test_ports_of_a_streamed_converter_with_everything():
    settings = ["fmt=m8e4g32", "lanes=4", "roundings=rtz,rne,sr", "precisions=8,7,4", "user_bits=5"]
    emission = emit(find("bfp_converter"), settings)
    found = ports(emission)
    assert emission.module == "bfp_converter_x4_fmt_m8e4g32_roundings_rtz_rne_sr_precisions_8_7_4_user_bits_5"
    assert emission.manifest["latency"] == {"m_axis": 9, "m_sums": 10}
    assert fields(found["s_axis_tuser"]) == [
        ("rounding", 0, 1), ("precision", 2, 3), ("offset", 4, 11), ("reference", 12, 19), ("user", 20, 24),
    ]  # fmt: skip
    assert (found["m_axis_tdata"]["width"], found["m_axis_tdata"]["padding"]) == (40, 4)
    assert fields(found["m_sums_tuser"]) == [("saturated", 0, 0), ("user", 1, 5)]


def test_what_is_not_built_has_no_ports():
    found = ports(emit(find("bfp_converter"), ["lanes=1", "fmt=m2g4", "sums=0", "roundings=rtz"]))
    assert "s_axis_tuser" not in found and not any(name.startswith("m_sums") for name in found)


def test_manifest_of_the_policy():
    emission = emit(find("precision_policy"))
    assert emission.module == "precision_policy"
    assert emission.manifest["latency"] == {"m_axis": 77} and emission.manifest["initiation_interval"] == 77
    assert fields(ports(emission)["s_axis_tuser"]) == [("iteration", 0, 15), ("layer", 16, 23)]
    registers = {register["name"]: register for register in emission.manifest["registers"]}
    assert list(registers) == ["ALPHA", "BETA", "ITERATIONS", "LAYERS"]
    resets = [sum(field["reset"] << field["lsb"] for field in register["fields"]) for register in registers.values()]
    assert resets == [39322, 19661, 1, 1]


def test_encodings_have_values():
    converter = emit(find("bfp_converter"), ["lanes=4", "roundings=sr,rtz", "precisions=2,4"])
    values = {field["name"]: field.get("values") for field in ports(converter)["s_axis_tuser"]["fields"]}
    assert values["rounding"] == {"sr": 3, "rtz": 2} and values["precision"] == {"2": 0, "4": 1} and values["reference"] is None
    (precision,) = ports(emit(find("precision_policy")))["m_axis_tdata"]["fields"]
    assert precision["values"] == {"2": 0, "4": 1}


def test_ports_of_an_array():
    found = ports(emission := emit(find("systolic_array"), ["rows=2", "columns=3", "lanes=4"]))
    assert emission.module == "systolic_array_x4_rows_2_columns_3"
    assert emission.manifest["latency"] == {"m_axis": 4}
    widths = {name: found[f"{name}_tdata"]["width"] for name in ("s_axis", "s_columns", "s_sums", "m_axis")}
    assert widths == {"s_axis": 2 * (4 * 5 + 8), "s_columns": 3 * (4 * 5 + 8) + 4, "s_sums": 96, "m_axis": 96}
    assert fields(found["s_axis_tuser"]) == [
        ("in_place", 0, 0), ("swap", 1, 1), ("resume", 2, 2), ("chunks", 3, 3), ("window", 4, 12),
    ]  # fmt: skip
    assert fields(found["s_columns_tuser"]) == [("in_place", 0, 0), ("chunks", 1, 1)]
    assert fields(found["m_axis_tuser"]) == [("saturated0", 0, 0), ("saturated1", 1, 1), ("saturated2", 2, 2)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SystolicArray(rows=33), r"rows must be an integer from 1 to 32, not 33"),
        (lambda: SystolicArray(columns=0), r"columns must be an integer from 1 to 32, not 0"),
        (lambda: SystolicArray(max_bits=3), r"max_bits must be one of 2, 4, 6, 8, not 3"),
        (lambda: SystolicArray(accumulator="int"), r"accumulator must be one of fixed, fp32, segmented, not 'int'"),
        (lambda: BfpConverter(lanes=3), r"lanes must divide the group of fmt, unlike fmt=bfp4 lanes=3"),
        (lambda: BfpConverter(lanes=32), r"lanes must divide the group of fmt, unlike fmt=bfp4 lanes=32"),
        (lambda: BfpConverter(roundings=("rna",)), r"roundings must be one of rtz, rne, sr, not 'rna'"),
        (
            lambda: BfpConverter(roundings=()),
            r"roundings must be one or more different values, each one of rtz, rne, sr, not ''",
        ),
        (
            lambda: BfpConverter(precisions=(2, 2)),
            r"precisions must be one or more different values, each an integer from 1 to 8, not '2,2'",
        ),
        (
            lambda: BfpConverter(precisions=(2, 6)),
            r"precisions must not be above the mantissa bits of fmt, unlike fmt=bfp4 precisions=2,6",
        ),
        (lambda: BfpConverter(sum_bits=15), r"sum_bits must be an integer from 16 to 64, not 15"),
        (lambda: BfpConverter(seed=-1), r"seed must be an integer from 0 to 4294967295, not -1"),
        (lambda: BfpConverter(user_bits=65), r"user_bits must be an integer from 0 to 64, not 65"),
        (lambda: PrecisionPolicy(sum_bits=65), r"sum_bits must be an integer from 16 to 64, not 65"),
        (lambda: PrecisionPolicy(user_bits=-1), r"user_bits must be an integer from 0 to 64, not -1"),
    ],
)
def test_wrong_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_float_format_is_refused():
    with pytest.raises(ValueError, match=r"fmt must be the name or spelling of a block format, not FloatFormat\("):
        BfpConverter(CATALOG["ab_e5m2"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("fmt=bfp3", "unknown format 'bfp3': use one of bfp2, bfp4, or spell one like m4e8g16"),
        ("lanes=3", "lanes must divide the group of fmt, unlike fmt=bfp4 lanes=3"),
        ("precisions=2,x", "precisions must be an integer from 1 to 8, not 'x'"),
    ],
)
def test_wrong_settings_get_one_line(setting, message, tmp_path, capsys):
    assert main(["emit", "bfp_converter", "--set", setting, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"narrowfloat emit: {message}") and error.count("\n") == 1


def test_parse_keeps_a_format():
    fmt = BlockFormat.parse("m8e3g32")
    assert [BfpConverter(fmt, lanes=lanes).latency["m_axis"] for lanes in (32, 4)] == [2, 9]


@pytest.mark.long
def test_largest_array_is_less_than_a_megabyte():
    assert len(emit(find("systolic_array"), [f"rows={MAX_SIDE}", f"columns={MAX_SIDE}"]).text) < 1_000_000
