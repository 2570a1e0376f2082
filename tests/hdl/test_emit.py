"""The emitted files: their bytes, their names, what linters and users find in them."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from narrowfloat.command import main
from narrowfloat.commands import lint as command
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.manifest import declaration
from narrowfloat.hdl.parts.axi import RESETS
from narrowfloat.tools import ToolError

from tests.hdl import pins

CORNERS_OF_THE_PARAMETERS = (
    ("float_encoder", "lanes=1", "stages=0"),
    ("float_encoder", "lanes=64"),
    ("float_encoder", "stages=3", "user_bits=64", "roundings=sr", "sr_bits=16"),
    ("float_encoder", "roundings=sr", "random=port", "stages=0", "sr_bits=1"),
    ("float_encoder", "roundings=rne,sr", "random=port", "stages=7", "formats=float8_e4m3fn,ab_e5m2", "flags=1"),
    ("float_encoder", "roundings=rne,sr", "seed_port=1", "stages=5", "tininess=after", "formats=e8m7_ieee", "flags=1"),
    ("float_encoder", "roundings=rtz"),
    ("float_encoder", "roundings=rna,rtz", "bias_port=0", "overflow=format", "formats=float8_e4m3fnuz", "flags=1"),
    ("float_encoder", "formats=e2m0", "flags=1"),
    ("float_encoder", "formats=e7m7_ieee", "flags=1"),
    ("float_encoder", "formats=e8m7_ieee", "flags=1"),
    ("float_encoder", "formats=e4m0_fn_zero_code", "roundings=sr", "flags=1"),
    ("float_encoder", "formats=e3m1_none_paper", "roundings=rne,sr", "flags=1"),
    ("float_encoder", "formats=float8_e8m0fnu", "overflow=format", "flags=1"),
    ("float_encoder", "formats=e2m0,e7m7_fnuz,ab_e5m2_paper", "roundings=rna,sr"),
    ("float_encoder", "flags=1", "reset=async_low"),
    ("float_decoder", "lanes=1", "stages=0"),
    ("float_decoder", "formats=e2m0"),
    ("float_decoder", "formats=e8m7_ieee", "stages=3"),
    ("float_decoder", "formats=float8_e8m0fnu"),
    ("float_decoder", "formats=e2m0,e7m7_fnuz,ab_e5m2_paper", "user_bits=3"),
    ("float_decoder", "formats=float4_e2m1fn", "bias_port=0", "reset=sync_low"),
    ("fast_mac", "lanes=4", "stages=5", "user_bits=2"),
    ("fast_mac", "lanes=4", "stages=9", "accumulator=segmented", "user_bits=2"),
    ("fast_mac", "lanes=4", "stages=3", "accumulator=fp32"),
    ("fast_mac", "lanes=4", "stages=1", "accumulator=fp32", "max_bits=2"),
    ("memory_port", "lanes=1", "types=1", "estimators=tracker"),
    ("bfp_converter", "fmt=m2e3g4", "lanes=1", "roundings=rne", "sums=0"),
    ("bfp_converter", "fmt=m8e4g64", "lanes=32", "roundings=rtz,rne,sr", "precisions=8,7,1", "sum_bits=64", "user_bits=64"),
    ("precision_policy", "sum_bits=16", "user_bits=64", "reset=async_low"),
    ("lbfp_decoder", "fmt=lbfp7", "stages=0"),
    ("lbfp_decoder", "fmt=lbfp5", "stages=0", "lanes=1", "user_bits=3"),
    ("lbfp_decoder", "fmt=i1f3", "stages=0", "lanes=3"),
    ("memory_port", "lanes=3", "types=2", "estimators=tracker,moments", "reset=async_low", "fmt=float8_e5m2"),
)
ALL = [*((name, *settings) for name, settings in SHIPPED), *CORNERS_OF_THE_PARAMETERS]


@pytest.mark.parametrize(
    "name, settings",
    [(name, settings) for name, *settings in ALL],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_linters_are_silent(name, settings, require_tool, emitted):
    require_tool("iverilog")
    lint.check(emitted(name, settings))


@pytest.mark.parametrize("text", ["wire b;\n  assign b = ;", "wire b;\n  assign b = 2'h3;", "wire b;"])
def test_what_linters_find_is_told(text, require_tool, emitted):
    require_tool("iverilog")
    emission = emitted("lbfp_decoder", ["lanes=1"])
    wrong = replace(emission, text=emission.text.replace("endmodule", f"  {text}\nendmodule", 1))
    with pytest.raises(ToolError, match=f"^Verilator on {emission.module}: %(Warning|Error)"):
        lint.check(wrong)


def test_what_icarus_finds_is_told(require_tool, emitted, monkeypatch):
    require_tool("iverilog")
    monkeypatch.setattr(lint, "VERILATOR", replace(lint.ICARUS, programs=("true",)))
    emission = emitted("lbfp_decoder", ["lanes=1"])
    text = emission.text.replace("endmodule", "  lbfp_decoder missing();\nendmodule", 1)
    with pytest.raises(ToolError, match=f"^Icarus Verilog on {emission.module}: .*error: Unknown module type: lbfp_decoder"):
        lint.check(replace(emission, text=text))


EVERY_SHIPPED = pytest.mark.parametrize(
    "name, settings", SHIPPED, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)


@EVERY_SHIPPED
def test_names_are_plain(name, settings, emitted):
    text = emitted(name, settings).text
    assert "\\" not in text
    assert "/home" not in text and "Yosys" not in text
    assert "initial" not in text


@pytest.fixture(scope="module")
def pinned():
    """What `tests.hdl.pins` makes of each shipped module's Verilog, by file name, as it lists them."""
    lines = pins.LIST.read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


@EVERY_SHIPPED
def test_verilog_is_unchanged(name, settings, emitted, pinned):
    """Whoever means to change the Verilog renews the list: ``python -m tests.hdl.pins``."""
    emission = emitted(name, settings)
    assert pins.digest(emission.text) == pinned[f"{emission.module}.v"]


def test_list_of_verilog_names_what_is_shipped(pinned):
    modules = [find(name).module(find(name).parse(settings)) for name, settings in SHIPPED]
    assert sorted(pinned) == sorted(f"{module}.v" for module in modules)


def test_same_bytes_in_another_process_and_folder(tmp_path):
    settings = ["formats=ab_e5m2,float8_e4m3fn", "flags=1", "stages=2"]
    here = emit(find("float_encoder"), settings).files
    command = [sys.executable, "-m", "narrowfloat", "emit", "float_encoder", "--out", str(tmp_path / "out")]
    command += [word for setting in settings for word in ("--set", setting)]
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == here


def test_manifest_of_the_default_encoder():
    manifest = emit(find("float_encoder")).manifest
    assert manifest.pop("versions").keys() == {"narrowfloat", "amaranth", "yosys"}
    assert re.fullmatch("[0-9a-f]{64}", manifest.pop("sha256"))

    def stream(prefix, outward, lane_bits, user, **parts):
        inward = "output" if outward == "input" else "input"
        return [
            {"name": f"{prefix}_tvalid", "direction": outward, "width": 1},
            {"name": f"{prefix}_tready", "direction": inward, "width": 1},
            {"name": f"{prefix}_tlast", "direction": outward, "width": 1},
            {
                "name": f"{prefix}_tdata",
                "direction": outward,
                "width": 4 * lane_bits,
                "fields": [
                    {"name": f"lane{i}", "lsb": lane_bits * i, "msb": lane_bits * (i + 1) - 1, "signed": False, **parts}
                    for i in range(4)
                ],
            },
            *user,
        ]

    field = {"name": "bias", "lsb": 0, "msb": 5, "signed": False}
    bias = {"name": "s_axis_tuser", "direction": "input", "width": 6, "fields": [field]}
    assert manifest.pop("declaration") == declaration(find("float_encoder"))
    assert manifest == {
        "schema": "urn:narrowfloat:manifest:1",
        "design": "float_encoder",
        "module": "float_encoder_ab_e5m2_x4",
        "source": "float_encoder_ab_e5m2_x4.v",
        "reference": "narrowfloat.golden.reference.float_codec:FloatEncoder",
        "parameters": {
            "formats": ["ab_e5m2"],
            "lanes": 4,
            "stages": 1,
            "bias_port": True,
            "user_bits": 0,
            "roundings": ["rne"],
            "overflow": "saturate",
            "flags": False,
            "tininess": "before",
            "sr_bits": 8,
            "random": "lfsr",
            "seed": 1,
            "seed_port": False,
            "ready": "combinational",
            "reset": "sync_high",
        },
        "ports": [
            {"name": "clk", "direction": "input", "width": 1},
            {"name": "rst", "direction": "input", "width": 1},
            *stream("s_axis", "input", 32, [bias], parts={"fraction": 23, "exponent": 8, "sign": 1}),
            *stream("m_axis", "output", 8, []),
        ],
        "latency": {"m_axis": 1},
        "initiation_interval": 1,
        "paths": {"s_axis_tready": ["m_axis_tready"]},
        "in_reset": {"s_axis_tready": 1, "m_axis_tvalid": 0},
    }


def test_tuser_fields_of_an_encoder_with_everything():
    settings = ["formats=ab_e5m2,float8_e5m2", "roundings=rne,sr", "random=port", "lanes=2", "flags=1", "user_bits=5"]
    ports = {port["name"]: port for port in emit(find("float_encoder"), settings).manifest["ports"]}
    fields = [(field["name"], field["lsb"], field["msb"]) for field in ports["s_axis_tuser"]["fields"]]
    assert fields == [
        ("bias", 0, 5),
        ("rounding", 6, 7),
        ("format", 8, 8),
        ("random0", 9, 16),
        ("random1", 17, 24),
        ("user", 25, 29),
    ]
    values = {field["name"]: field["values"] for field in ports["s_axis_tuser"]["fields"] if "values" in field}
    assert values == {"rounding": {"rne": 0, "sr": 3}, "format": {"ab_e5m2": 0, "float8_e5m2": 1}}
    fields = [(field["name"], field["lsb"], field["msb"]) for field in ports["m_axis_tuser"]["fields"]]
    assert fields == [("flags0", 0, 3), ("flags1", 4, 7), ("user", 8, 12)]


@EVERY_SHIPPED
def test_manifest_describes_the_verilog(name, settings, emitted):
    emission = emitted(name, settings)
    text = emission.text
    assert emission.manifest["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    ports = [(port["direction"], port["width"], port["name"]) for port in emission.manifest["ports"]]
    heading = text[text.index(f"module {emission.module} ") : text.index(");")]
    declared = re.findall(r"^  (input|output) +(?:wire|reg) +(?:\[(\d+):0\] +)?(\w+),?$", heading, re.MULTILINE)
    assert [(direction, int(high or 0) + 1, port) for direction, high, port in declared] == ports
    endings = [".v", ".md", ".json", ".f", ".core", ".sdc", ".xdc", ".component.xml", "_component.vhd", "_tb.v", "_tb.hex"]
    endings += [".h", ".rdl"] * ("registers" in emission.manifest)
    assert set(emission.files) == {f"{emission.module}{ending}" for ending in endings}
    assert f"files: [{emission.module}.v]" in emission.files[f"{emission.module}.core"]
    assert emission.files[f"{emission.module}.f"] == f"{emission.module}.v\n"


def test_module_names_differ():
    names = [find(name).module(find(name).parse(settings)) for name, *settings in ALL]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in names)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["emit", "float_encodr"], "unknown design 'float_encodr': use one of float_encoder, float_decoder"),
        (
            ["emit", "fast_mac", "--set", "stages=6"],
            (
                "stages must be at most 5 with a fixed accumulator, 3 with fp32, 9 with segmented, "
                "unlike accumulator=fixed stages=6"
            ),
        ),
        (["emit", "float_encoder", "--set", "lanes=0"], "lanes must be an integer from 1 to 64, not 0"),
        (["emit", "float_encoder", "--set", "lanes=four"], "lanes must be an integer from 1 to 64, not 'four'"),
        (["emit", "float_encoder", "--set", "stages=8"], "stages must be an integer from 0 to 7, not 8"),
        (
            ["emit", "float_encoder", "--set", "lanes"],
            "float_encoder has no parameter 'lanes': use NAME=VALUE with one of formats,",
        ),
        (["emit", "float_decoder", "--set", "flags=1"], "float_decoder has no parameter 'flags=1': use NAME=VALUE with one of"),
        (["emit", "float_encoder", "--set", "formats=e4m3x"], "unknown format 'e4m3x': use one of ab_e5m2,"),
        (["emit", "float_encoder", "--set", "formats=e9m3"], "exp_bits must be an integer from 2 to 8, not 9"),
        (
            ["emit", "float_encoder", "--set", "formats=ab_e5m2,ab_e5m2"],
            "formats must be one or more different values, each the name or spelling of a float format, not 'ab_e5m2,ab_e5m2'",
        ),
        (["emit", "float_encoder", "--set", "formats=ab_e5m2,e8m7_ieee"], "a format of 8 exponent bits must be the only one"),
        (
            ["emit", "float_encoder", "--set", "roundings=rne,up"],
            "roundings must be one of rne, rna, rtz, sr, rdn, rup, rto, n",
        ),
        (
            ["emit", "float_encoder", "--set", "roundings=rne,rne"],
            "roundings must be one or more different values, each one of rne, rna, rtz, sr, rdn, rup, rto, not 'rne,rne'",
        ),
        (["emit", "float_encoder", "--set", "overflow=wrap"], "overflow must be one of saturate, format, not 'wrap'"),
        (["emit", "float_encoder", "--set", "flags=yes"], "flags must be one of 0, 1, false, true, not 'yes'"),
        (["emit", "float_encoder", "--set", "seed=4294967296"], "seed must be an integer from 0 to 4294967295, not 4294967296"),
        (
            ["emit", "float_encoder", "--set", "reset=none"],
            "reset must be one of sync_high, sync_low, async_high, async_low, not",
        ),
        (["emit"], "name one design, or give --all"),
        (["emit", "float_encoder", "--all"], "name one design, or give --all"),
        (["emit", "--all", "--set", "lanes=1"], "--set goes with one design, not with --all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_arguments_get_one_line(arguments, message, tmp_path, capsys):
    out = [] if arguments == ["list"] else ["--out", str(tmp_path / "out")]
    assert main([*arguments, *out]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"narrowfloat emit: {message}") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_unwritable_folder_gets_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["emit", "float_decoder", "--out", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"narrowfloat emit: argument --out: cannot write into .*file' is no folder; .*\n", error)


def test_missing_yosys_gets_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    assert main(["emit", "float_decoder", "--out", str(tmp_path)]) == 2
    line = "narrowfloat emit: YOSYS=no-such-yosys cannot be started: set it to a Yosys, or unset it\n"
    assert capsys.readouterr().err == line
    assert not list(tmp_path.iterdir())


def test_list_as_json_holds_every_parameter(capsys):
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["design"] for entry in listed] == list(DESIGNS)
    for entry in listed:
        assert [parameter["name"] for parameter in entry["parameters"]] == [p.name for p in DESIGNS[entry["design"]].parameters]
        assert {key: entry[key] for key in ("parameters", "relations", "effects")} == declaration(DESIGNS[entry["design"]])


def test_list_as_json_says_what_each_parameter_may_be(capsys):
    assert main(["list", "bfp_converter", "fast_mac", "--json"]) == 0
    converter, mac = json.loads(capsys.readouterr().out)
    parameters = {parameter["name"]: parameter for parameter in converter["parameters"]}
    assert parameters["lanes"] == {
        "name": "lanes",
        "kind": "integer",
        "minimum": 1,
        "maximum": 64,
        "default": 16,
        "allowed": "an integer from 1 to 64",
        "meaning": "Numbers per beat.",
    }
    assert (parameters["fmt"]["kind"], parameters["fmt"]["of"], parameters["fmt"]["default"]) == ("format", "block", "bfp4")
    assert (parameters["sums"]["kind"], parameters["sums"]["default"]) == ("switch", True)
    assert parameters["roundings"]["default"] == ["rtz", "sr"]
    assert parameters["roundings"]["each"] == {"kind": "choice", "choices": ["rtz", "rne", "sr"]}
    assert parameters["precisions"]["default"] is None
    assert parameters["precisions"]["each"] == {"kind": "integer", "minimum": 1, "maximum": 8}
    assert converter["relations"][0] == {"text": "lanes must divide the group of fmt", "parameters": ["fmt", "lanes"]}
    assert converter["effects"][1] == {
        "text": "seed and seed_port have an effect only where sr is among roundings",
        "names": ["seed", "seed_port"],
        "parameters": ["roundings"],
    }
    assert mac["design"] == "fast_mac" and mac["shipped"] == [
        [f"accumulator={name}"] for name in ("fixed", "fp32", "segmented")
    ]


@pytest.mark.parametrize("names", [[], ["fast_mac"], ["precision_policy", "s2_encoder"]], ids=" ".join)
def test_list_as_table_has_what_the_json_has(names, capsys):
    assert main(["list", *names]) == 0
    printed = capsys.readouterr().out
    assert [name for name in DESIGNS if f"{name}: " in printed] == (names or list(DESIGNS))
    for name in names or DESIGNS:
        declared = declaration(DESIGNS[name])
        for parameter in declared["parameters"]:
            row = rf"│ {parameter['name']} +│ .* │ {re.escape(parameter['allowed'])} +│ {re.escape(parameter['meaning'])} +│"
            assert re.search(row, printed)
        assert all(f"  {each['text']}\n" in printed for each in (*declared["relations"], *declared["effects"]))


def test_list_of_an_unknown_design_gets_one_line(capsys):
    assert main(["list", "float_encodr"]) == 2
    assert capsys.readouterr().err.startswith("narrowfloat list: unknown design 'float_encodr': use one of float_encoder,")


def test_lint_says_of_each_configuration_that_there_is_no_warning(capsys, require_tool):
    require_tool("iverilog")
    assert main(["lint", "precision_policy"]) == 0
    settings = ["sum_bits_16", "sum_bits_64", "user_bits_64", "ready_registered", *(f"reset_{reset}" for reset in RESETS[1:])]
    names = ["", *(f"_{setting}" for setting in settings)]
    assert capsys.readouterr().out == "".join(f"precision_policy{name}: no warnings\n" for name in names)


def test_lint_looks_at_what_is_shipped_and_at_every_corner_once():
    chosen = command.configurations(list(DESIGNS.values()))
    assert [(design.name, settings) for design, settings in chosen[: len(SHIPPED)]] == list(SHIPPED)
    assert len({design.module(design.parse(settings)) for design, settings in chosen}) == len(chosen)


@pytest.mark.parametrize("name", DESIGNS)
def test_every_value_at_a_corner_is_linted(name):
    """Unless no legal configuration has it."""
    design = DESIGNS[name]
    found = [design.parse(settings) for settings in lint.corners(design)]
    for parameter in design.parameters:
        wanted = [min(value, 16) if parameter.name == "lanes" else value for value in parameter.corners()]
        missing = [value for value in wanted if value not in [values[parameter.name] for values in found]]
        # Formats that the design does not take alone, or not together.
        assert not missing or parameter.kind in ("format", "several"), (parameter.name, missing)


def test_module_takes_the_name_that_is_given(tmp_path, capsys):
    words = ["emit", "float_decoder", "--set", "formats=e2m0", "--name", "my_Decoder_2", "--out", str(tmp_path)]
    assert main(words) == 0
    text = (tmp_path / "my_Decoder_2.v").read_text()
    assert "module my_Decoder_2 (" in text
    plain = emit(find("float_decoder"), ["formats=e2m0"])
    assert {path.name for path in tmp_path.iterdir()} == {name.replace(plain.module, "my_Decoder_2") for name in plain.files}
    assert text.replace("my_Decoder_2", plain.module) == plain.text


@pytest.mark.parametrize("name", ["", "2nd", "a-b", "module", "logic", "x" * 101, "größe", "a b"])
def test_names_that_no_module_can_have_are_refused(name, tmp_path, capsys):
    assert main(["emit", "float_decoder", "--name", name, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("narrowfloat emit: a module's name must be 1 to 100 of A to Z,") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((), ("accumulator=fixed",)),
        (("lanes=4", "accumulator=fp32"), ("accumulator=fp32", "lanes=4", "reset=sync_high")),
    ],
)
def test_one_configuration_is_one_text_however_it_is_spelled(one, other):
    assert emit(find("fast_mac"), one).files == emit(find("fast_mac"), other).files
