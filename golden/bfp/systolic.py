"""Cycles of a systolic array of fMACs: how long products of matrices take, and how much of the array they keep busy.

The counts are those of the emitted array without idle cycles and back-pressure: see `hdl.bfp.SystolicArray`. Its sums are those
of `golden.bfp.matmul`.
"""

from dataclasses import dataclass

from narrowfloat.golden.checks import check_int


def passes(x_bits: int, y_bits: int) -> int:
    """Cycles per pair of groups: 2 by 2 mantissa bits in each."""
    return x_bits // 2 * (y_bits // 2)


@dataclass(frozen=True)
class Array:
    """`rows` by `columns` cells, each for groups of `group` numbers."""

    rows: int
    columns: int
    group: int

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "group"):
            check_int(name, getattr(self, name), 1, 2**16)

    @property
    def latency(self) -> int:
        """Cycles from the last pass of a beat to its result."""
        return self.rows + self.columns - 1

    def stationary(self, results: int, reduced: int, outputs: int, passes_each: int) -> int:
        """Cycles for a product of [results, reduced] and [reduced, outputs], the second one held in the array.

        A tile is loaded while the one before it is in use, but not before all cells have taken that into use.
        """
        tiles = _parts(_parts(reduced, self.group), self.rows) * _parts(outputs, self.columns)
        busy = results * passes_each
        period = max(1 + busy, 2 * self.rows + self.columns - 1)
        return self.rows + (tiles - 1) * period + 1 + busy + self.latency

    def in_place(self, reduced: int, left: int, top: int, passes_each: int) -> int:
        """Cycles for a product of [reduced, left] transposed and [reduced, top]; the array keeps its sums to the end."""
        tiles = _parts(left, self.rows) * _parts(top, self.columns)
        return tiles * (_parts(reduced, self.group) * passes_each + self.rows - 1) + self.latency

    def utilization(self, products: int, passes_each: int, cycles: int) -> float:
        """Share of the array's lanes and cycles in which a number is multiplied that is no filling."""
        return products * passes_each / (cycles * self.rows * self.columns * self.group)


def _parts(number: int, size: int) -> int:
    return -(-number // size)


def training_step(array: Array, positions: int, inputs: int, outputs: int, bits: tuple[int, int, int]) -> tuple[int, int, int]:
    """Cycles of the three products of a layer in a step of training: O = A W, dA = dO W', dW = A' dO.

    Parameters
    ----------
    array : Array
    positions : int
        Rows of A and of dO: samples times places in each.
    inputs, outputs : int
        Columns of A and of dO.
    bits : tuple of int
        Mantissa bits of A, W and dO: 2, 4, 6 or 8.

    Returns
    -------
    tuple of int
        Of each product.
    """
    a, w, gradient = bits
    return (
        array.stationary(positions, inputs, outputs, passes(a, w)),
        array.stationary(positions, outputs, inputs, passes(gradient, w)),
        array.in_place(positions, inputs, outputs, passes(a, gradient)),
    )
