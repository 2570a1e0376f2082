"""Manifests that the files beside a module are made from in tests."""

import json
import random
from functools import cache

from narrowfloat.hdl import manifest
from narrowfloat.hdl.catalog import DESIGNS, find

from tests.hdl.small import SMALL

RANDOM = 5


def described(name, *settings, module=None):
    """The manifest of a design with these settings, as a reader gets it, but for the Verilog."""
    design = find(name)
    return _described(design, design.parse(settings), module)


@cache
def of_design(name):
    """Manifests of all shipped configurations of a design, and of random ones."""
    design, rng = DESIGNS[name], random.Random(f"files {name}")
    values = [design.parse(settings) for settings in design.shipped]
    return [_described(design, each) for each in (*values, *(design.draw(rng, **SMALL.get(name, {})) for _ in range(RANDOM)))]


def _described(design, values, module=None):
    module = module or design.module(values)
    return json.loads(json.dumps(manifest.sealed(manifest.of(design, values, module, design.top(values)), "", {}, {})))
