"""Logarithmic block floating point, and the catalogue of named formats."""

import re
from dataclasses import dataclass
from typing import ClassVar, SupportsIndex

from narrowfloat.golden.checks import check_fields, check_int
from narrowfloat.golden.formats.base import NUMBER, Format

LOG_BITS = 4, 8  # the narrowest and the widest logarithmic code


@dataclass(frozen=True, kw_only=True)
class LogBlockFormat(Format):
    """Logarithmic block floating point (LBFP): numbers that share an exponent E, each a sign and a logarithm to base 2.

    A code is packed {sign, c}. c = 0 is zero; any other c, read as a fixed-point number of I integer and F fraction bits,
    `int_bits` and `frac_bits`, means ``(-1)**sign * 2**(E - 2**I + c / 2**F)``. All magnitudes are below 2**E, and neighbours
    differ by the factor ``2**(1 / 2**F)``.

    The idea is that of LBFP, APCCAS 2020: products are additions and shifts, the shared exponent is calibrated before
    inference. The encoding is ours, the paper's is not public.

    Parameters
    ----------
    name : str
        As for `Format`.
    int_bits : int
        1 to 4.
    frac_bits : int
        0 to 6. With sign and `int_bits` a code has 4 to 8 bits.
    exp_bits : int
        2 to 8: width of E, in two's complement.
    block : int or None
        How many numbers share an exponent that is found from the largest of them, 1 to 65536. None: exponents are known before
        (weights per output channel, activations per tensor).

    Raises
    ------
    ValueError
        A parameter is out of its range, or a code would have fewer than 4 or more than 8 bits.
    """

    int_bits: int = 3
    frac_bits: int = 4
    exp_bits: int = 8
    block: int | None = None

    _spelling: ClassVar = re.compile(
        rf"i(?P<int_bits>{NUMBER})f(?P<frac_bits>{NUMBER})(?:e(?P<exp_bits>{NUMBER}))?(?:b(?P<block>{NUMBER}))?"
    )
    _letters: ClassVar = {"int_bits": "i", "frac_bits": "f", "exp_bits": "e", "block": "b"}
    _always_spelled: ClassVar = "int_bits", "frac_bits"
    _example: ClassVar = "i3f4e8b32 (exponent bits and block may be left out)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, int_bits=(1, 4), frac_bits=(0, 6), exp_bits=(2, 8))
        if self.block is not None:
            check_fields(self, block=(1, 2**16))
        low, high = LOG_BITS
        if not low <= self.bits <= high:
            raise ValueError(f"1 + int_bits + frac_bits must be from {low} to {high}, not {self.bits}")

    @property
    def magnitude_bits(self) -> int:
        """Width of c."""
        return self.int_bits + self.frac_bits

    @property
    def bits(self) -> int:
        """Width of a code."""
        return 1 + self.magnitude_bits

    @property
    def max_magnitude(self) -> int:
        """c of the largest number."""
        return 2**self.magnitude_bits - 1

    @property
    def exponent_range(self) -> tuple[int, int]:
        """Smallest and largest E, inclusive."""
        return -(2 ** (self.exp_bits - 1)), 2 ** (self.exp_bits - 1) - 1

    def check_exponent(self, exponent: SupportsIndex) -> int:
        """`exponent` as an int; raise ValueError unless it lies in `exponent_range`."""
        return check_int(f"exponent of {self.name}", exponent, *self.exponent_range)


# Three integer bits at every width: they span the numbers of a tensor (256 to 1), the fraction bits give precision.
LOGARITHMS = LogBlockFormat.catalogued(
    *(LogBlockFormat(name=f"lbfp{4 + frac_bits}", frac_bits=frac_bits) for frac_bits in (4, 3, 2, 1))
)
