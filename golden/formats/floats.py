"""Binary floats, and the catalogue of named ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, SupportsIndex

from narrowfloat.golden.checks import check_choice, check_fields, check_int
from narrowfloat.golden.formats.base import NUMBER, Format

SPECIALS = ("ieee", "fn", "fnuz", "none", "fnu")
UNDERFLOWS = ("gradual", "zero_code", "clamp_exponent")
_OLD_UNDERFLOWS = {"paper": "clamp_exponent"}  # in spellings, which are names of emitted modules

# Run-time biases fit in six bits. With at most 7 exponent bits every code at every such bias is then exactly an FP32 number;
# 8 exponent bits fill the range of FP32, so that only FP32's own bias is left.
BIAS_BITS = 6
BIAS_MAX = 2**BIAS_BITS - 1


@dataclass(frozen=True, kw_only=True)
class FloatFormat(Format):
    """A binary float: sign, `exp_bits` of exponent E, `man_bits` of mantissa M, packed {sign, E, M}.

    A normal code means ``(-1)**sign * 1.M * 2**(E - bias)``.

    Parameters
    ----------
    name : str
        As for `Format`.
    exp_bits : int
        2 to 8.
    man_bits : int
        0 to 7.
    bias : int or None
        Default exponent bias, 0 to 63 (127 only if `exp_bits` is 8). None means ``2**(exp_bits - 1) - 1``. Where a function or
        a port takes a bias, it overrides this one.
    specials : str
        Which codes are not finite numbers, in the suffixes of ml_dtypes:

        ========  ==========================================================================
        ieee      top exponent is reserved: M = 0 infinity, otherwise NaN (needs man_bits >= 1)
        fn        all ones is NaN, no infinity
        fnuz      negative zero is NaN, no infinity, no negative zero
        none      every code is a finite number
        fnu       unsigned: no sign bit, no zero, all ones is NaN (needs man_bits = 0 and underflow
                  "clamp_exponent")
        ========  ==========================================================================
    underflow : str
        What E = 0 means and what becomes of values too small:

        ==============  ========================================================================
        gradual         E = 0 means ``0.M * 2**(1 - bias)``: zero and subnormals, as IEEE 754
        zero_code       E = 0 is a normal exponent, except that {E, M} = 0 means zero: the smallest normal number is {E, M} = 1,
                        ``(1 + 2**-man_bits) * 2**-bias``; a value that rounds to ``2**-bias``, from above or below, becomes
                        that number, one that rounds to less becomes zero
        clamp_exponent  every code is normal, there is no zero: out of range only E is clamped and M stays, at both ends, as
                        Algorithm 1 of Sadi et al. 2024 has it (needs specials "none" or "fnu")
        ==============  ========================================================================

    Raises
    ------
    ValueError
        A parameter is out of its range, or two of them exclude each other.
    """

    exp_bits: int
    man_bits: int
    bias: int = None  # type: ignore[assignment]  # always an int once the format is made
    specials: str = "none"
    underflow: str = "gradual"

    _spelling: ClassVar = re.compile(
        rf"e(?P<exp_bits>{NUMBER})m(?P<man_bits>{NUMBER})(?:b(?P<bias>{NUMBER}))?"
        rf"(?:_(?P<specials>{'|'.join(SPECIALS)}))?(?:_(?P<underflow>{'|'.join((*UNDERFLOWS, *_OLD_UNDERFLOWS))}))?"
    )
    _letters: ClassVar = {"exp_bits": "e", "man_bits": "m", "bias": "b", "specials": "_", "underflow": "_"}
    _always_spelled: ClassVar = "exp_bits", "man_bits"
    _example: ClassVar = (
        f"e4m3b7_fn_gradual (bias, specials {', '.join(SPECIALS)} and underflow {', '.join(UNDERFLOWS)} may be left out)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, exp_bits=(2, 8), man_bits=(0, 7))
        check_choice("specials", self.specials, SPECIALS)
        check_choice("underflow", self.underflow, UNDERFLOWS)
        if self.bias is None:
            object.__setattr__(self, "bias", 2 ** (self.exp_bits - 1) - 1)
        object.__setattr__(self, "bias", self.check_bias(self.bias))
        if self.specials == "ieee" and self.man_bits == 0:
            raise ValueError("specials 'ieee' needs man_bits of at least 1, to tell NaN from infinity")
        if self.specials == "fnu" and (self.man_bits, self.underflow) != (0, "clamp_exponent"):
            raise ValueError("specials 'fnu' needs man_bits=0 and underflow='clamp_exponent'")
        if self.underflow == "clamp_exponent" and self.specials not in ("none", "fnu"):
            raise ValueError(f"underflow 'clamp_exponent' needs specials 'none' or 'fnu', not {self.specials!r}")
        if self.exp_bits == 8 and self.specials != "fnu" and (self.specials, self.underflow) != ("ieee", "gradual"):
            raise ValueError("exp_bits=8 needs specials='ieee' and underflow='gradual', FP32's own rules, or specials='fnu'")

    @classmethod
    def _spelled(cls, name: str, fields: dict[str, str]) -> Self:
        given: dict[str, Any] = fields | {key: int(value) for key, value in fields.items() if value.isdigit()}
        if "underflow" in given:
            given["underflow"] = _OLD_UNDERFLOWS.get(given["underflow"], given["underflow"])
        return cls(name=name, **given)

    def _default(self, key: str) -> Any:
        return 2 ** (self.exp_bits - 1) - 1 if key == "bias" else super()._default(key)

    def check_bias(self, bias: SupportsIndex) -> int:
        """`bias` as an int; raise ValueError unless it lies in `bias_range`."""
        return check_int(f"bias of {self.name}", bias, *self.bias_range)

    @property
    def bias_range(self) -> tuple[int, int]:
        """Smallest and largest bias, inclusive."""
        return (127, 127) if self.exp_bits == 8 else (0, BIAS_MAX)

    @property
    def signed(self) -> bool:
        """Whether codes have a sign bit."""
        return self.specials != "fnu"

    @property
    def magnitude_bits(self) -> int:
        """Width of {E, M}."""
        return self.exp_bits + self.man_bits

    @property
    def bits(self) -> int:
        """Width of a code."""
        return self.signed + self.magnitude_bits

    @property
    def max_finite(self) -> int:
        """{E, M} of the largest finite number."""
        all_ones = 2**self.magnitude_bits - 1
        if self.specials == "ieee":
            return all_ones - 2**self.man_bits
        return all_ones - (self.specials in ("fn", "fnu"))

    @property
    def infinity(self) -> int | None:
        """{E, M} of infinity, or None."""
        return self.max_finite + 1 if self.specials == "ieee" else None

    @property
    def nan(self) -> int | None:
        """The NaN that conversions produce, as {E, M} to which the sign is joined; None without NaN.

        For "fnuz" it is 0: there the only NaN is the code of negative zero, whatever the sign of what was converted.
        """
        return {
            "ieee": self.max_finite + 1 + 2 ** max(self.man_bits - 1, 0),
            "fn": 2**self.magnitude_bits - 1,
            "fnu": 2**self.magnitude_bits - 1,
            "fnuz": 0,
            "none": None,
        }[self.specials]


def _floats(*rows: tuple[str, int, int, int, str, str]) -> Mapping[str, FloatFormat]:
    return FloatFormat.catalogued(
        *(
            FloatFormat(name=name, exp_bits=exp_bits, man_bits=man_bits, bias=bias, specials=specials, underflow=underflow)
            for name, exp_bits, man_bits, bias, specials, underflow in rows
        )
    )


FLOATS = _floats(
    # Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: one layout for all tensors, bias set at run time. The paper defines
    # neither a zero nor subnormals; the three variants are the three readings of that.
    ("ab_e5m2", 5, 2, 15, "none", "zero_code"),
    ("ab_e5m2_gradual", 5, 2, 15, "none", "gradual"),
    ("ab_e5m2_paper", 5, 2, 15, "none", "clamp_exponent"),
    # OCP OFP8 1.0
    ("float8_e4m3fn", 4, 3, 7, "fn", "gradual"),
    ("float8_e5m2", 5, 2, 15, "ieee", "gradual"),
    # Noune et al. 2022, arXiv 2206.02915 (FNUZ), and its variant with bias 11
    ("float8_e4m3fnuz", 4, 3, 8, "fnuz", "gradual"),
    ("float8_e4m3b11fnuz", 4, 3, 11, "fnuz", "gradual"),
    ("float8_e5m2fnuz", 5, 2, 16, "fnuz", "gradual"),
    # IEEE 754 rules at eight bits
    ("float8_e4m3", 4, 3, 7, "ieee", "gradual"),
    ("float8_e3m4", 3, 4, 3, "ieee", "gradual"),
    # OCP MX 1.0: elements and the block scale
    ("float6_e2m3fn", 2, 3, 1, "none", "gradual"),
    ("float6_e3m2fn", 3, 2, 3, "none", "gradual"),
    ("float4_e2m1fn", 2, 1, 1, "none", "gradual"),
    ("float8_e8m0fnu", 8, 0, 127, "fnu", "clamp_exponent"),
)
