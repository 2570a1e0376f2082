"""Block floating point, and the catalogue of named formats."""

import re
from dataclasses import dataclass
from typing import ClassVar

from narrowfloat.golden.checks import check_choice, check_fields
from narrowfloat.golden.formats.base import NUMBER, Format

BLOCK_MAN_BITS = (2, 4, 6, 8)
BLOCK_EXP_BITS = (3, 4, 8)
MIN_GROUP, MAX_GROUP = 4, 64


@dataclass(frozen=True, kw_only=True)
class BlockFormat(Format):
    """Block floating point: a group of numbers, each a sign and a magnitude k, that share an exponent E.

    A number means ``(-1)**sign * k * 2**(E - 127 - (man_bits - 1))``, k from 0 to ``2**man_bits - 1``, without a hidden one: E
    is the largest exponent of the group, as FP32 has it, bias and all. Zero has no sign.

    Read two bits at a time, highest first, k is ``sum(h_j * 4**(man_bits / 2 - 1 - j))``, and chunk j with E - 2 j is itself a
    group of 2 mantissa bits. That is what lets one multiplier of 2 by 2 bits serve every precision: FAST, HPCA 2022,
    arXiv 2110.15456, whose groups these are.

    Parameters
    ----------
    name : str
        As for `Format`.
    man_bits : int
        2, 4, 6 or 8.
    exp_bits : int
        Width of the code of E: 8 holds E itself; 3 or 4 hold E less an offset that a tensor has, and what is beyond either end
        takes the code there.
    group : int
        How many numbers share E, 4 to 64.

    Raises
    ------
    ValueError
        A parameter is out of its range.
    """

    man_bits: int
    exp_bits: int = 8
    group: int = 16

    _spelling: ClassVar = re.compile(rf"m(?P<man_bits>{NUMBER})(?:e(?P<exp_bits>{NUMBER}))?(?:g(?P<group>{NUMBER}))?")
    _letters: ClassVar = {"man_bits": "m", "exp_bits": "e", "group": "g"}
    _always_spelled: ClassVar = ("man_bits",)
    _example: ClassVar = "m4e8g16 (exponent bits and group may be left out)"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, allowed in (("man_bits", BLOCK_MAN_BITS), ("exp_bits", BLOCK_EXP_BITS)):
            object.__setattr__(self, name, check_choice(name, getattr(self, name), allowed))
        check_fields(self, group=(MIN_GROUP, MAX_GROUP))

    @property
    def max_magnitude(self) -> int:
        """The largest k."""
        return 2**self.man_bits - 1

    @property
    def max_exponent(self) -> int:
        """The largest code of E."""
        return 2**self.exp_bits - 1

    @property
    def chunks(self) -> int:
        """How many chunks of two bits a magnitude has."""
        return self.man_bits // 2

    @property
    def group_bits(self) -> int:
        """What a group takes in memory where each chunk has a sign bit of its own, as the paper stores it."""
        return self.exp_bits + self.group * self.chunks * 3


BLOCKS = BlockFormat.catalogued(*(BlockFormat(name=f"bfp{bits}", man_bits=bits) for bits in (2, 4)))
