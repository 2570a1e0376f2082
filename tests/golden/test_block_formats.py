"""Formats of block floating point: what they may be, what they are called."""

import re

import pytest
from narrowfloat.golden.formats import BLOCKS, BlockFormat

BFP2, BFP4 = BLOCKS["bfp2"], BLOCKS["bfp4"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "BFP"}, r"name must be a lower-case identifier, not 'BFP'"),
        ({"man_bits": 3}, r"man_bits must be one of 2, 4, 6, 8, not 3"),
        ({"exp_bits": 5}, r"exp_bits must be one of 3, 4, 8, not 5"),
        ({"group": 3}, r"group must be an integer from 4 to 64, not 3"),
        ({"group": 65}, r"group must be an integer from 4 to 64, not 65"),
    ],
)
def test_impossible_formats(fields, message):
    with pytest.raises(ValueError, match=message):
        BlockFormat(**{"name": "made", "man_bits": 4, **fields})


def test_catalogued_formats():
    assert {name: (fmt.name, fmt.man_bits, fmt.exp_bits, fmt.group) for name, fmt in BLOCKS.items()} == {
        "bfp2": ("bfp2", 2, 8, 16),
        "bfp4": ("bfp4", 4, 8, 16),
    }
    assert (BFP2.group_bits, BFP4.group_bits) == (8 + 48, 8 + 96)
    assert (BFP4.max_magnitude, BFP4.max_exponent, BFP4.chunks) == (15, 255, 2)


def test_parse():
    assert BlockFormat.parse("bfp4") is BFP4
    assert BlockFormat.parse("m8e3g32") == BlockFormat(name="m8e3g32", man_bits=8, exp_bits=3, group=32)
    for text in ("bfp8", "m4 ", "e4m3", ""):
        with pytest.raises(
            ValueError, match=rf"unknown format {re.escape(repr(text))}: use one of bfp2, bfp4, or spell one like"
        ):
            BlockFormat.parse(text)
