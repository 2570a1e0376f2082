"""The committed errors are what the golden model gives, and hold what the README says of them."""

import json

import numpy as np
import pytest
from narrowfloat.golden.lbfp import decode, lsb_exponent, multiply

from evidence.claims.lbfp_error import EXPERIMENT, LBFP8, SYNTHETIC, Mode, int8, lbfp, of_products, product_errors

COMMITTED = EXPERIMENT.read()


@pytest.fixture(scope="module")
def measured():
    return EXPERIMENT.measure()


def test_committed_results_are_the_models(measured):
    """Tensors of a training network differ between machines, as float32 matrix products do: their SQNR by a dB or so."""
    assert measured["products"] == COMMITTED["products"]
    assert [row["mode"] for row in measured["dot_products"]] == [row["mode"] for row in COMMITTED["dot_products"]]
    for row, committed in zip(measured["dot_products"], COMMITTED["dot_products"], strict=True):
        for name, found in row["sqnr"].items():
            assert found == pytest.approx(committed["sqnr"][name], abs=0.1 if name in SYNTHETIC else 2), (row["mode"], name)


@pytest.mark.parametrize("product", [{"antilog": "lut", "guard_bits": 5}, {"antilog": "mitchell"}], ids=lambda p: p["antilog"])
def test_product_errors_are_those_of_all_pairs(product):
    codes = np.arange(1, 128, dtype=np.uint8)
    exact = np.multiply.outer(*2 * [decode(codes, LBFP8, 8).astype(np.float64)])
    found = multiply(codes[:, None], codes, LBFP8, **product) * 2.0 ** lsb_exponent(LBFP8, 16, **product)
    errors = 100 * (found / exact - 1)
    row = product_errors(Mode(title="any", product=product))
    wanted = {"max": np.abs(errors).max(), "mean": np.abs(errors).mean(), "bias": errors.mean()}
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=1e-4)


def test_five_guard_bits_are_within_the_bound():
    (row,) = (row for row in COMMITTED["products"] if row["mode"] == "LBFP8, LUT, G = 5")
    assert row["max"] <= 1.3


def test_more_guard_bits_lose_less():
    errors = [row["max"] for row in COMMITTED["products"] if row["mode"].startswith("LBFP8, LUT")]
    assert len(errors) == 5 and errors == sorted(errors, reverse=True)


def test_what_formats_hold_is_not_lost():
    """Powers of two are exact in LBFP, multiples of the largest over 127 in INT8."""
    rng = np.random.default_rng(4)
    powers = np.exp2(rng.integers(-3, 1, (3, 20))).astype(np.float32)
    exact = powers.astype(np.float64) @ powers.T
    for product in (None, {"antilog": "lut", "guard_bits": 5}):
        assert np.array_equal(lbfp(powers, powers, Mode(title="any", product=product, method="max")), exact)
    whole = rng.integers(-127, 128, (3, 20)).astype(np.float32)
    whole[0, 0] = 127
    assert np.allclose(int8(whole, whole, clips=False), whole @ whole.T)


def test_sqnr_by_hand():
    a, b = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)
    assert of_products(a, b, np.array([[10.9]])) == pytest.approx(40.83, abs=0.01)  # 20 * log10(11 / 0.1)


def test_tables_and_plot_show_every_mode(measured):
    assert [table.row_count for table in EXPERIMENT.tables(measured)] == [
        len(measured[name]) for name in ("products", "dot_products")
    ]
    page = EXPERIMENT.plot(measured).to_html(include_plotlyjs=False)
    assert all(json.dumps(row["mode"])[1:-1] in page for row in measured["dot_products"])
