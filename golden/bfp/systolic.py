"""Cycles of a systolic array of fMACs: how long products of matrices take, and how much of the array they keep busy.

The counts are those of the emitted array without idle cycles and back-pressure: see `hdl.bfp.SystolicArray`. Its sums are those
of `golden.bfp.matmul`.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from narrowfloat.golden.checks import check_choice, check_fields, check_int
from narrowfloat.golden.formats import BLOCK_MAN_BITS

Number = TypeVar("Number", int, float)


def passes(x_bits: int, y_bits: int) -> int:
    """Cycles per pair of groups of 2, 4, 6 or 8 mantissa bits each: 2 by 2 bits in each cycle."""
    x_bits, y_bits = (check_choice(name, bits, BLOCK_MAN_BITS) for name, bits in (("x_bits", x_bits), ("y_bits", y_bits)))
    return x_bits // 2 * (y_bits // 2)


@dataclass(frozen=True)
class Array:
    """`rows` by `columns` cells, each for groups of `group` numbers; all three are from 1 to 65536.

    Sizes of matrices are integers of at least 1; passes of a pair of groups, and cycles, may also be means of several, and then
    so are the results. ValueError says what is not in its range.
    """

    rows: int
    columns: int
    group: int

    def __post_init__(self) -> None:
        check_fields(self, rows=(1, 2**16), columns=(1, 2**16), group=(1, 2**16))

    @property
    def latency(self) -> int:
        """Cycles from the last pass of a beat to its result."""
        return self.rows + self.columns - 1

    def stationary(self, results: int, reduced: int, outputs: int, passes_each: Number) -> Number:
        """Cycles for a product of [results, reduced] and [reduced, outputs], the second one held in the array.

        A tile is loaded while the one before it is in use, but not before all cells have taken that into use.
        """
        tiles = _parts("reduced", reduced, self.group * self.rows) * _parts("outputs", outputs, self.columns)
        busy = check_int("results", results, 1, None) * _mean("passes_each", passes_each)
        period = max(1 + busy, 2 * self.rows + self.columns - 1)
        return self.rows + (tiles - 1) * period + 1 + busy + self.latency

    def in_place(self, reduced: int, left: int, top: int, passes_each: Number) -> Number:
        """Cycles for a product of [reduced, left] transposed and [reduced, top]; the array keeps its sums to the end."""
        tiles = _parts("left", left, self.rows) * _parts("top", top, self.columns)
        busy = _parts("reduced", reduced, self.group) * _mean("passes_each", passes_each)
        return tiles * (busy + self.rows - 1) + self.latency

    def utilization(self, products: int, passes_each: float, cycles: float) -> float:
        """Share of the array's lanes and cycles in which a number is multiplied that is no filling."""
        busy = check_int("products", products, 0, None) * _mean("passes_each", passes_each)
        return busy / (_mean("cycles", cycles) * self.rows * self.columns * self.group)


def _mean(name: str, value: Any) -> Any:
    return value if isinstance(value, float) and value >= 1 else check_int(name, value, 1, None)


def _parts(name: str, number: int, size: int) -> int:
    return -(-check_int(name, number, 1, None) // size)


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
