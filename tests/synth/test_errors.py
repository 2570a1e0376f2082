"""The error of products: by hand, by brute force, and in the order that formats have."""

import numpy as np
import pytest
from narrowfloat.synth import units
from narrowfloat.synth.errors import ProductError, sqnr_db


def test_noise_by_hand():
    exact = np.array([4.0, 3.0, 1.0, 0.0])
    # Twice too large but exact, and a group of 1 and 1 for 1 and 0, of which a half each is nearest: noise of 1/4 + 1/4.
    assert sqnr_db(exact, np.array([8.0, 6.0, 1.0, 1.0]), np.array([0, 0, 1, 1])) == pytest.approx(10 * np.log10(26 / 0.5))


def test_group_of_zeros():
    assert sqnr_db(np.array([3.0, 1.0]), np.array([0.0, 1.0]), np.array([0, 1])) == pytest.approx(10 * np.log10(10 / 9))


def sqnr(name, *settings, tmp_path=None):
    return ProductError().measure(units.unit(name, settings), tmp_path)["error"]["sqnr_db"]


def test_a_bit_more_is_six_decibels():
    found = [sqnr("multiplier", f"width={width}") for width in (6, 7, 8, 9)]
    assert np.diff(found) == pytest.approx([6, 6, 6], abs=0.7)


def test_forms_of_a_product_have_the_same_error():
    bare = ("lanes=1", "stages=0")
    two = sqnr("lbfp_multiplier", *bare, "output=twos_complement")
    assert two == pytest.approx(sqnr("lbfp_multiplier", *bare, "output=sign_magnitude"), abs=0.1)
    assert sqnr("multiplier", "numbers=signed") == sqnr("multiplier", "numbers=sign_magnitude")
    sign, complement = (sqnr("minifloat_multiplier", f"output={output}") for output in ("sign_magnitude", "twos_complement"))
    assert sign == complement


def test_mantissas_and_approximations():
    e4m3, e3m4, e2m1 = (sqnr("minifloat_multiplier", f"format={name}") for name in ("e4m3", "e3m4", "e2m1"))
    assert e2m1 < e4m3 < e3m4 < sqnr("multiplier")
    drum = [sqnr("approximate_multiplier", f"approximation=drum{kept}") for kept in (3, 4, 6)]
    assert sorted(drum) == drum and drum[-1] < sqnr("multiplier", "numbers=sign_magnitude")
    # A fraction of 3 bits around 1, fewer far from it.
    assert 24 < sqnr("posit_multiplier") < e3m4


def test_what_is_no_single_product_has_none(tmp_path):
    for name, settings in (("dot_product", ()), ("lbfp_multiplier", ("lanes=2", "stages=0")), ("float_decoder", ())):
        assert ProductError().measure(units.unit(name, settings), tmp_path) == {}
