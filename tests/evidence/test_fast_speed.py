"""Speed at equal area: the networks have as many products as is known of them, and the committed figures are what is
computed."""

import pytest
from narrowfloat.golden.bfp.systolic import Array

from evidence.claims import fast_speed
from evidence.claims.fast_speed import BATCH, CELLS, EXPERIMENT, NETWORKS, array_of, evaluate, macs, step_cycles
from evidence.harness.command import main


# Multiply-accumulates of one image in units of 10^9, as published: He et al. 2016, Simonyan and Zisserman 2015 (by later
# count), Sandler et al. 2018.
@pytest.mark.parametrize(("network", "forward"), [("ResNet-18", 1.82), ("VGG-16", 15.5), ("MobileNet-v2", 0.30)])
def test_networks_have_as_many_products_as_published(network, forward):
    products = NETWORKS[network]
    total = sum(positions * inputs * outputs * count for positions, inputs, outputs, count in products)
    assert total / BATCH == pytest.approx(forward * 1e9, rel=0.03)
    assert 2 * total < macs(products) < 3 * total


def test_resnet_50_strides_in_the_middle_of_a_block():
    """4.1 instead of the 3.8 of the first publication, whose blocks begin with the stride."""
    total = sum(positions * inputs * outputs * count for positions, inputs, outputs, count in NETWORKS["ResNet-50"])
    assert total / BATCH == pytest.approx(4.09e9, rel=0.01)


def test_transformer_base_has_as_many_weights_as_published():
    """65 million, of which the vocabulary has 19; products of activations are no weights."""
    weights = sum(inputs * outputs for _, inputs, outputs, count in NETWORKS["Transformer base"] if count == 1)
    assert weights == pytest.approx(63.1e6, rel=0.01)


def test_a_step_is_the_sum_of_its_products():
    array = Array(4, 4, 16)
    first, second = (64, 32, 16, 1), (64, 16, 8, 3)
    expected = array.stationary(64, 32, 16, 4) + array.in_place(64, 32, 16, 4)
    expected += 3 * (array.stationary(64, 16, 8, 4) + array.stationary(64, 8, 16, 4) + array.in_place(64, 16, 8, 4))
    assert step_cycles(array, [first, second], 4) == expected


def test_arrays_fit_the_area():
    array = array_of(1000, 9.5, 16)
    assert (array.rows, array.columns) == (10, 10)


def test_committed_figures_are_those_of_the_committed_areas():
    committed = EXPERIMENT.read()
    assert set(committed["cells"]) == {cell.name for cell in CELLS}
    assert evaluate(committed["cells"], fast_speed.adaptive_passes()) == committed["rows"]
    assert fast_speed.utilizations() == committed["utilization"]


def test_bad_files_are_told_in_one_line(tmp_path, capsys):
    path = tmp_path / "areas.json"
    for text, message in (
        ("[]", r"has no figures of FAST, 2 bits on osu018; make it with `narrowfloat synth fast_mac"),
        ("{", r"is not what it should be"),
        ('{"a": 1}', r"is not what it should be"),
    ):
        path.write_text(text)
        assert main(["fast_speed", "--synth", str(path), "--json", str(tmp_path / "out.json")]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert main(["fast_speed", "--synth", str(tmp_path / "none.json")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
