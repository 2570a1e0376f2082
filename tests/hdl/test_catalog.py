"""What the entry of a design is good for: a design of a few lines that was just added is listed, emitted and measured."""

import json

import pytest
from narrowfloat.command import main
from narrowfloat.hdl.block import Lanewise
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, Design, find
from narrowfloat.hdl.files import sheet, testbench
from narrowfloat.synth import results, units


class Negate(Lanewise):
    """FP32 values with their signs inverted."""

    def input_shapes(self):
        return 32, {}

    middle_shapes = output_shapes = input_shapes

    def first_half(self, m, source, sink):
        m.d.comb += [result.eq(word ^ 1 << 31) for result, word in zip(sink.p.lanes, source.p.data)]

    def second_half(self, m, source, sink):
        m.d.comb += sink.p.data.eq(source.p.lanes)


@pytest.fixture
def negate(monkeypatch):
    design = Design(Negate, "negate", "FP32 with inverted signs", "narrowfloat.golden.reference.negate:Negate")
    monkeypatch.setitem(DESIGNS, "negate", design)
    monkeypatch.setitem(results.KINDS, "negate", design)
    # It has no reference.
    monkeypatch.setattr(testbench, "files", lambda manifest, sources: {})
    monkeypatch.setattr(sheet, "diagram", lambda manifest: ("", ""))
    return design


def test_added_design_is_listed(negate, capsys):
    assert main(["list", "--json"]) == 0
    (listed,) = (entry for entry in json.loads(capsys.readouterr().out) if entry["design"] == "negate")
    assert [parameter["name"] for parameter in listed["parameters"]] == ["lanes", "stages", "user_bits", "ready", "reset"]
    assert listed["shipped"] == [[]] and listed["relations"] == []


@pytest.mark.parametrize(
    "settings", [(), ("lanes=1", "stages=0"), ("stages=3", "user_bits=64", "reset=async_low")], ids=" ".join
)
def test_added_design_is_emitted(negate, settings, tmp_path):
    assert main(["emit", "negate", "--out", str(tmp_path), *(word for each in settings for word in ("--set", each))]) == 0
    (manifest,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert manifest["latency"] == {"m_axis": manifest["parameters"]["stages"]}


def test_added_design_is_measured(negate):
    assert units.builds("negate", every_shape=False) == units.builds("negate", every_shape=True) == [()]
    unit = units.unit("negate", ("lanes=2", "stages=0"))
    assert unit.operations == 2 and not unit.clocked
    assert results.reference("negate", unit.parameters) == []


def test_shipped_designs_are_derived_from_the_entries():
    assert SHIPPED == tuple((design.name, settings) for design in DESIGNS.values() for settings in design.shipped)
    for name, settings in SHIPPED:
        find(name).parse(settings)


@pytest.mark.parametrize("name", DESIGNS)
def test_what_is_measured_can_be_built(name):
    design = DESIGNS[name]
    for settings in units.builds(name, every_shape=True):
        parameters = design.to_json(design.parse(settings))
        references = results.reference(name, parameters)
        for other, given in references:
            results.KINDS[other].parse(given)
        assert bool(references) == bool(results.reference_in_words(name))
    assert units.builds(name, every_shape=True)
