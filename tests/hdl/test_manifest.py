"""Manifests: each is as the schema says, and says of each bit of a port what it is."""

import json
import random
import re
from copy import deepcopy
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from narrowfloat.golden.reference.streams import Port
from narrowfloat.hdl import manifest
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.statistics.base import Estimator

from tests.hdl.small import SMALL

SCHEMA = manifest.schema()
VALIDATOR = Draft202012Validator(SCHEMA)
DRAWS = 25


def described(name, values):
    """The manifest of a design with these parameters, as a reader gets it, but for the Verilog."""
    design = find(name)
    return json.loads(
        json.dumps(manifest.sealed(manifest.of(design, values, design.module(values), design.top(values)), "", {}, {}))
    )


@cache
def drawn(name):
    design, rng = DESIGNS[name], random.Random(f"manifest {name}")
    return [described(name, design.draw(rng, **SMALL.get(name, {}))) for _ in range(DRAWS)]


def set_in(document, path, value):
    """A copy of `document` in which the place at `path` holds `value`, or is not there if that is None."""
    changed = deepcopy(document)
    *parents, last = path
    place = changed
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


def test_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == SCHEMA["$id"]


@pytest.mark.parametrize(("name", "settings"), SHIPPED, ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_shipped_manifests_follow_the_schema(name, settings, emitted):
    emission = emitted(name, settings)
    VALIDATOR.validate(json.loads(emission.files[f"{emission.module}.json"]))


@pytest.mark.parametrize("name", DESIGNS)
def test_random_manifests_follow_the_schema(name):
    for found in drawn(name):
        VALIDATOR.validate(found)
        for port in found["ports"]:
            check_bits(port.get("fields", []), port["width"] - port.get("padding", 0), whole=True)
        for register in found.get("registers", ()):
            check_bits(register["fields"], 32, whole=False)


def check_bits(fields, width, whole):
    """Fields rise, do not overlap and lie within `width`, if `whole` without a gap; what they hold fits."""
    for below, field in pairwise(fields):
        assert field["lsb"] == below["msb"] + 1 if whole else field["lsb"] > below["msb"]
    assert not whole or not fields or (fields[0]["lsb"], fields[-1]["msb"]) == (0, width - 1)
    for field in fields:
        bits = field["msb"] - field["lsb"] + 1
        assert 1 <= bits <= width and field["msb"] < width
        assert max(field.get("values", {"": 0}).values()) < 2**bits
        assert len(set(field.get("values", {}).values())) == len(field.get("values", {}))
        assert sum(field.get("parts", {"": bits}).values()) == bits
        assert field.get("reset", 0) < 2**bits


@pytest.mark.parametrize("name", DESIGNS)
def test_latency_leads_to_outputs(name):
    for found in drawn(name):
        outputs = {port["name"] for port in found["ports"] if port["direction"] == "output"}
        assert {f"{place}_tvalid" if f"{place}_tvalid" in outputs else place for place in found["latency"]} <= outputs


@pytest.mark.parametrize("name", DESIGNS)
def test_declaration_says_what_is_legal(name):
    design = DESIGNS[name]
    declared = manifest.declaration(design)
    rng = random.Random(name)
    for parameter, said in zip(design.parameters, declared["parameters"], strict=True):
        assert said["name"] == parameter.name and said["default"] == parameter.to_json(parameter.default)
        if said["kind"] == "integer":
            for value in (said["minimum"], said["maximum"]):
                assert parameter.parse(str(value)) == value
            for value in (said["minimum"] - 1, said["maximum"] + 1):
                with pytest.raises(ValueError, match=f"{parameter.name} must be"):
                    parameter.parse(str(value))
        elif said["kind"] == "choice":
            assert [parameter.parse(str(value)) for value in said["choices"]] == said["choices"]
        elif said["kind"] == "several":
            assert said["each"]["kind"] == parameter.each.kind
        for _ in range(20):
            VALIDATOR.evolve(schema={"$ref": "#/$defs/value", "$defs": SCHEMA["$defs"]}).validate(
                parameter.to_json(parameter.draw(rng))
            )
    known = {parameter.name for parameter in design.parameters}
    for relation in declared["relations"]:
        assert set(relation["parameters"]) <= known
    for effect in declared["effects"]:
        assert set(effect["names"]) | set(effect["parameters"]) <= known and " an effect only " in effect["text"]


def test_reset_has_an_effect_only_where_there_are_registers():
    """As parsing has it."""
    for name, design in DESIGNS.items():
        texts = [effect["text"] for effect in manifest.declaration(design)["effects"] if "reset" in effect["names"]]
        rng = random.Random(name)
        may_have_none = not all(design.clocked(design.draw(rng)) for _ in range(100))
        assert texts == ["reset has an effect only in modules with registers"] * may_have_none


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), None),
        (("schema",), "urn:narrowfloat:manifest:0"),
        (("latency",), 1),
        (("latency", "m_mem"), -1),
        (("initiation_interval",), 0),
        (("parameters", "lanes"), []),
        (("declaration", "parameters", 0, "kind"), "number"),
        (("declaration", "parameters", 1, "maximum"), None),
        (("declaration", "parameters", 1, "unit"), "lanes"),
        (("declaration", "parameters", 3, "each", "choices"), None),
        (("declaration", "effects"), None),
        (("ports",), []),
        (("ports", 0, "width"), 0),
        (("ports", 0, "fields"), []),
        (("ports", 6, "padding"), 8),
        (("ports", 6, "fields", 0, "msb"), -1),
        (("ports", 6, "fields", 0, "signed"), None),
        (("ports", 6, "fields", 0, "colour"), "red"),
        (("ports", 6, "fields", 0, "values"), {}),
        (("registers", 0, "address"), 2),
        (("registers", 0, "fields", 0, "msb"), 32),
        (("registers", 0, "fields", 0, "access"), "wo"),
        (("registers", 0, "fields", 0, "parts"), {"word": 32}),
        (("statistics", "median"), []),
        (("versions", "yosys"), None),
        (("sha256",), "0"),
        (("colour",), "red"),
    ],
    ids=repr,
)  # fmt: skip
def test_schema_refuses_what_is_none(path, value):
    good = described("memory_port", find("memory_port").parse([]))
    VALIDATOR.validate(good)
    assert not VALIDATOR.is_valid(set_in(good, path, value))


def fields(name, *settings):
    """All fields of ports and registers of a design by place and name."""
    found = described(name, find(name).parse(settings))
    return {
        f"{place['name']}.{field['name']}": field
        for place in (*found["ports"], *found.get("registers", ()))
        for field in place.get("fields", ())
    }


@pytest.mark.parametrize("name", DESIGNS)
def test_every_port_that_holds_data_has_fields(name):
    """All but clocks, resets, handshakes and AXI4-Lite."""
    for found in drawn(name):
        without = {port["name"] for port in found["ports"] if "fields" not in port}
        left = {each for each in without if not each.startswith("s_axil_")} - {"clk", "rst", "rst_n"}
        assert all(re.search("_(tvalid|tready|tlast|valid|enable|done|load)$", each) for each in left), left


def test_ports_of_an_estimator_say_what_they_hold():
    found = {port["name"]: port for port in described("median_estimator", find("median_estimator").parse([]))["ports"]}
    for port, element, bits in (("tap_tdata", "lane", 32), ("tap_tkeep", "lane", 1), ("bias", "type", 6)):
        assert [(field["name"], field["lsb"]) for field in found[port]["fields"]] == [
            (f"{element}{i}", bits * i) for i in range(4)
        ]
    for port in ("settled", "busy"):
        assert [(field["name"], field["lsb"]) for field in found[port]["fields"]] == [(f"type{i}", i) for i in range(4)]
    for port, whole in (
        ("tap_tuser", "type"),
        ("end_type", "type"),
        ("read_type", "type"),
        ("read_data", "data"),
        ("working",) * 2,
    ):
        (field,) = found[port]["fields"]
        assert (field["name"], field["lsb"], field["msb"] + 1) == (whole, 0, found[port]["width"])


@pytest.mark.parametrize("name", [name for name, design in DESIGNS.items() if issubclass(design.component, Estimator)])
def test_index_of_a_statistic_is_its_place(name):
    for found in drawn(name):
        for port in found["ports"]:
            if port["name"] == "read_index":
                assert list(port["fields"][0]["values"].items()) == [(each, i) for i, each in enumerate(found["statistics"])]


def test_nothing_is_said_of_what_has_no_bits():
    assert not [name for name in fields("memory_port", "types=1") if name.endswith("user.type")]
    assert not [name for name in fields("systolic_array", "max_bits=2", "rows=1", "columns=1") if name.endswith("chunks")]
    port = Port(described("memory_port", find("memory_port").parse(["types=1"])), "m_mem_tuser")
    assert list(port.fields) == ["bypass", "packed", "bias"]


def test_what_is_in_twos_complement_says_so():
    """And what is not does not; FP32 words and sign and magnitude are said by their parts."""
    assert fields("s2_encoder")["s_axis_tuser.alpha"]["signed"]
    assert fields("lbfp_decoder")["s_axis_tuser.exponent"]["signed"]
    assert not fields("float_encoder")["s_axis_tuser.bias"]["signed"]
    assert fields("lbfp_encoder", "source=fixed")["s_axis_tdata.lane0"]["signed"]
    product = fields("lbfp_multiplier")["m_axis_tdata.lane0"]
    assert product["signed"] and "parts" not in product
    product = fields("lbfp_multiplier", "output=sign_magnitude")["m_axis_tdata.lane0"]
    assert not product["signed"] and product["parts"] == {"magnitude": 15, "sign": 1}
    assert fields("fast_mac")["m_axis_tdata.sum"]["signed"]
    assert not fields("fast_mac", "accumulator=fp32")["m_axis_tdata.sum"]["signed"]
    squeezed = fields("memory_port", "estimators=moments", "s2fp8=1")
    assert [name for name, field in squeezed.items() if field["signed"]] == [f"S2_ENCODE{t}.alpha_exponent" for t in range(4)]


def test_binary_points_are_said():
    points = {
        (name, field): place["fraction_bits"]
        for name, settings in (
            ("s2_encoder", ()),
            ("s2_parameters", ()),
            ("log_moments", ("types=1",)),
            ("lbfp_multiplier", ("lanes=1",)),
            ("lbfp_dot_product", ("exponents=0",)),
            ("precision_policy", ()),
            ("memory_port", ("types=1", "estimators=moments", "s2fp8=1")),
        )
        for field, place in fields(name, *settings).items()
        if "fraction_bits" in place
    }
    assert points == {
        ("s2_encoder", "s_axis_tuser.mean"): 8,
        ("s2_parameters", "s_axis_tdata.mean"): 8,
        ("s2_parameters", "s_axis_tdata.max"): 8,
        ("s2_parameters", "m_axis_tdata.mean"): 8,
        ("s2_parameters", "m_axis_tdata.inverse"): 17,
        ("log_moments", "mean.type0"): 8,
        ("log_moments", "max.type0"): 8,
        # 2**(3 + 1) + 5, less the 6 and 8 bits that are cut off from a full product of 22
        ("lbfp_multiplier", "m_axis_tdata.lane0"): 21 - 6,
        ("lbfp_dot_product", "m_axis_tdata.sum"): 21 - 8,
        **{("precision_policy", f"{name}.byte{index}"): 16 - 8 * index for name in ("ALPHA", "BETA") for index in (0, 1)},
        **{("memory_port", f"{face}_mem_tuser.{name}"): bits for face in "ms" for name, bits in (("mean", 8), ("inverse", 17))},
        ("memory_port", "MOMENTS.mean_fraction"): 8,
        ("memory_port", "MOMENTS.max_fraction"): 8,
        ("memory_port", "S2_ENCODE0.alpha_fraction"): 7,
        ("memory_port", "S2_ENCODE0.mean"): 8,
        ("memory_port", "S2_DECODE0.inverse"): 17,
    }


def test_every_encoding_has_its_words():
    """Fields of these names hold encodings, wherever they are."""
    for name in DESIGNS:
        for found in drawn(name):
            for place in (*found["ports"], *found.get("registers", ())):
                for field in place.get("fields", ()):
                    if re.fullmatch("rounding|format|precision|mode|estimator|end_on_epoch", field["name"]):
                        assert field["values"], (name, place["name"], field["name"])


@pytest.mark.parametrize("name", DESIGNS)
def test_tdata_has_whole_bytes(name):
    """And no byte of padding alone."""
    for found in drawn(name):
        ports = [port for port in found["ports"] if port["name"].endswith("_tdata")]
        assert ports
        for port in ports:
            used = port["fields"][-1]["msb"] + 1
            assert port["width"] == -(-used // 8) * 8 == used + port.get("padding", 0)


def test_padding_is_packed_as_zeros_and_not_unpacked():
    found = described("float_decoder", find("float_decoder").parse(["formats=float6_e2m3fn", "lanes=3"]))
    port = Port(found, "s_axis_tdata")
    assert (port.width, port.padding) == (24, 0b111111 << 18)
    assert port.pack(1, {"lane": [[63, 63, 63]]}).tolist() == [[2**18 - 1]]
    assert port.unpack(np.array([[2**24 - 1]], np.uint32))["lane"].tolist() == [[63, 63, 63]]
    assert Port(found, "m_axis_tdata").padding == Port(found, "s_axis_tuser").padding == 0
