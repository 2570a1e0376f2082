"""What may enter each design and what must leave it, beat by beat: NumPy only.

>>> reference = load(manifest)                                                              # doctest: +SKIP
>>> stream = reference.random(1000)                                                         # doctest: +SKIP
>>> wanted = reference.model(stream)                                                        # doctest: +SKIP
"""

from importlib import import_module

from narrowfloat.golden.reference.base import Reference
from narrowfloat.golden.reference.streams import Interface, Stream

__all__ = ["Interface", "Reference", "Stream", "load", "reference_class"]


def reference_class(manifest):
    """The subclass of `Reference` that models the design with this manifest, which names it."""
    module, _, name = manifest["reference"].partition(":")
    return getattr(import_module(module), name)


def load(manifest, rng=None):
    """The `Reference` of the emitted design with this manifest; `rng` draws its traffic."""
    return reference_class(manifest)(manifest, rng)
