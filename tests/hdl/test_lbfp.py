"""The LBFP blocks: tables and thresholds against the model's, parameters that are refused, linters and manifests."""

import re

import pytest
from narrowfloat.golden.formats import CATALOG, LOGARITHMS, LogBlockFormat
from narrowfloat.golden.lbfp import ANTILOGS, antilog_table, product_bits
from narrowfloat.hdl import lint
from narrowfloat.hdl.__main__ import main
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.lbfp import Antilog, LbfpDecoder, LbfpDotProduct, LbfpEncoder, LbfpMultiplier

LBFP8 = CATALOG["lbfp8"]
BLOCKS = LogBlockFormat(name="i3f4b8", block=8)
CORNERS = (
    ("lbfp_encoder", "fmt=i4f0", "flags=1", "stages=0", "lanes=1"),
    ("lbfp_encoder", "fmt=i1f6", "stages=3", "user_bits=64", "lanes=3"),
    ("lbfp_encoder", "fmt=i1f2e2", "flags=1", "reset=async_low"),
    ("lbfp_encoder", "source=fixed", "fixed_bits=4", "fmt=i4f3", "lanes=1"),
    ("lbfp_encoder", "source=fixed", "fixed_bits=64", "flags=1", "stages=2"),
    ("lbfp_encoder", "exponent=max", "fmt=i3f4b4"),
    ("lbfp_encoder", "exponent=max", "fmt=i3f3e5b64", "flags=1", "user_bits=3", "stages=0"),
    ("lbfp_decoder", "fmt=i4f0", "lanes=1", "stages=0"),
    ("lbfp_decoder", "fmt=i1f6e3", "stages=3", "user_bits=5"),
    ("lbfp_multiplier", "fmt=i1f2", "lanes=1", "stages=0", "out_bits=7"),
    ("lbfp_multiplier", "fmt=i4f0", "antilog=mitchell", "stages=3"),
    ("lbfp_multiplier", "fmt=i1f6", "output=sign_magnitude", "user_bits=7"),
    ("lbfp_multiplier", "antilog=two_segment", "guard_bits=8", "out_bits=25"),
    ("lbfp_dot_product", "lanes=1", "max_beats=1", "fmt=i4f0", "exponents=0"),
    ("lbfp_dot_product", "lanes=3", "output=twos_complement", "stages=2", "user_bits=9", "reset=sync_low"),
    ("lbfp_dot_product", "lanes=9", "max_beats=16777216", "stages=1", "out_bits=22"),
)


@pytest.mark.parametrize("name, settings", [(name, settings) for name, *settings in CORNERS], ids=lambda v: "".join(v)[:50])
def test_linter_is_silent_at_the_corners_of_the_parameters(name, settings):
    lint.verilator(emit(find(name), settings))


@pytest.mark.parametrize(
    "fmt", [*LOGARITHMS.values(), *(LogBlockFormat.parse(name) for name in ("i4f0", "i1f6", "i4f3"))], ids=str
)
@pytest.mark.parametrize("antilog", ANTILOGS)
def test_tables_are_the_models(fmt, antilog):
    for guard_bits in (None, *range(max(4, fmt.frac_bits), 9)):
        table = Antilog(fmt, antilog, guard_bits, None, 64)
        assert table.table == antilog_table(fmt, antilog, guard_bits).tolist()
        assert table.full_bits == product_bits(fmt, antilog, guard_bits)


def test_manifest_holds_what_a_reader_needs():
    manifest = emit(find("lbfp_dot_product")).manifest
    fields = {port["name"]: [(f["name"], f["lsb"], f["msb"]) for f in port.get("fields", ())] for port in manifest["ports"]}
    assert manifest["latency"] == 1
    assert (manifest["guard_bits"], manifest["product_bits"], manifest["sum_bits"]) == (5, 14, 32)
    assert fields["s_axis_tdata"][0] == ("a0", 0, 7) and fields["s_axis_tdata"][31] == ("b15", 248, 255)
    assert fields["s_axis_tuser"] == [("exponent_a", 0, 7), ("exponent_b", 8, 15)]
    assert fields["m_axis_tdata"] == [("sum", 0, 31)]
    assert fields["m_axis_tuser"] == [("exponent", 0, 9)]


def test_block_latency_covers_a_block():
    manifest = emit(find("lbfp_encoder"), ["exponent=max", "fmt=i3f4b32"]).manifest
    assert manifest["latency"] == 8 + 1 + 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LbfpEncoder(CATALOG["ab_e5m2"]), TypeError, "fmt must be a LogBlockFormat, not FloatFormat"),
        (lambda: LbfpDecoder(LBFP8, lanes=65), ValueError, "lanes must be an integer from 1 to 64, not 65"),
        (lambda: LbfpEncoder(LBFP8, source="int8"), ValueError, "source must be one of fp32, fixed, not 'int8'"),
        (lambda: LbfpEncoder(LBFP8, fixed_bits=3), ValueError, "fixed_bits must be an integer from 4 to 64, not 3"),
        (lambda: LbfpEncoder(BLOCKS, exponent="max", source="fixed"), ValueError, "exponent 'max' needs source 'fp32'"),
        (
            lambda: LbfpEncoder(LBFP8, exponent="max"),
            ValueError,
            "exponent 'max' needs a format whose block is a multiple of 4 lanes, not None",
        ),
        (
            lambda: LbfpMultiplier(LBFP8, antilog="exact"),
            ValueError,
            "antilog must be one of lut, two_segment, mitchell, not 'exact'",
        ),
        (
            lambda: LbfpMultiplier(LBFP8, guard_bits=9),
            ValueError,
            "guard_bits of antilog 'lut' must be an integer from 4 to 8, not 9",
        ),
        (
            lambda: LbfpMultiplier(LogBlockFormat.parse("i1f6"), guard_bits=4),
            ValueError,
            "guard_bits of antilog 'lut' must be an integer from 5 to 8, not 4",
        ),
        (
            lambda: LbfpMultiplier(LBFP8, antilog="mitchell", guard_bits=3),
            ValueError,
            "guard_bits of antilog 'mitchell' must be an integer from 4 to 8, not 3",
        ),
        (lambda: LbfpMultiplier(LBFP8, out_bits=23), ValueError, "out_bits must be an integer from 7 to 22, not 23"),
        (lambda: LbfpDotProduct(LBFP8, max_beats=0), ValueError, "max_beats must be an integer from 1 to 16777216, not 0"),
        (lambda: LbfpDotProduct(LBFP8, stages=3), ValueError, "stages must be an integer from 0 to 2, not 3"),
    ],
)
def test_wrong_parameters(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_wrong_setting_gets_one_line(tmp_path, capsys):
    assert main(["emit", "lbfp_multiplier", "--set", "fmt=e4m3", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("hdl: unknown format 'e4m3': use one of lbfp8, lbfp7, lbfp6, lbfp5, or spell one")
