"""Emitted designs on every input, or a large sample, at native speed against the golden model: a module for each family.

Such a module names its `DESIGNS`, the `OPTIONS` of the command `narrowfloat exhaustive` that they have, and makes their checks:
``checks(design, **options)``.
"""
