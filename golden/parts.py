"""Long arrays in parts, whose intermediate results stay in the cache."""

from collections.abc import Iterator

PART = 2**16


def parts(size: int) -> Iterator[slice]:
    """Slices that cover `size` elements."""
    return (slice(start, start + PART) for start in range(0, size, PART))
