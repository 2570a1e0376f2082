"""Results by the content of what they were made from, under synth/ in the build folder."""

from narrowfloat import cache


def cached(parts, make):
    """What ``make()`` returned when it was last called for the same `parts`: see `narrowfloat.cache.value`."""
    return cache.value("synth", parts, make)
