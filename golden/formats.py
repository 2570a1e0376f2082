"""Number formats as frozen, validated objects, and the catalogue of named ones.

A format is shared by the model (`golden`) and the hardware (`hdl`): both take every constant they need from here, and nothing
else is shared between them.
"""

import re
from dataclasses import dataclass
from types import MappingProxyType

from narrowfloat.golden.checks import check_choice, check_int

SPECIALS = ("ieee", "fn", "fnuz", "none", "fnu")
UNDERFLOWS = ("gradual", "zero_code", "paper")
LOG_BITS = 4, 8  # the narrowest and the widest logarithmic code
BLOCK_MAN_BITS = (2, 4, 6, 8)
BLOCK_EXP_BITS = (3, 4, 8)
MIN_GROUP, MAX_GROUP = 4, 64

# Run-time biases fit in six bits. With at most 7 exponent bits every code at every such bias is then exactly an FP32 number;
# 8 exponent bits fill the range of FP32, so that only FP32's own bias is left.
BIAS_BITS = 6
BIAS_MAX = 2**BIAS_BITS - 1

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SPELLED = re.compile(
    rf"e(?P<exp_bits>\d+)m(?P<man_bits>\d+)(?:b(?P<bias>\d+))?"
    rf"(?:_(?P<specials>{'|'.join(SPECIALS)}))?(?:_(?P<underflow>{'|'.join(UNDERFLOWS)}))?"
)
_SPELLED_LOG = re.compile(r"i(?P<int_bits>\d+)f(?P<frac_bits>\d+)(?:e(?P<exp_bits>\d+))?(?:b(?P<block>\d+))?")


def _check_name(name):
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise ValueError(f"name must be a lower-case identifier, not {name!r}")


def _given(match):
    """The groups of a spelling that are there, numbers as int."""
    return {key: int(value) if value.isdigit() else value for key, value in match.groupdict().items() if value}


@dataclass(frozen=True, kw_only=True)
class FloatFormat:
    """A binary float: sign, `exp_bits` of exponent E, `man_bits` of mantissa M, packed {sign, E, M}.

    A normal code means ``(-1)**sign * 1.M * 2**(E - bias)``.

    Parameters
    ----------
    name : str
        Lower-case identifier; becomes part of module names.
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
        fnu       unsigned: no sign bit, no zero, all ones is NaN (needs man_bits = 0, underflow "paper")
        ========  ==========================================================================
    underflow : str
        What E = 0 means and what becomes of values too small:

        =========  ========================================================================
        gradual    E = 0 means ``0.M * 2**(1 - bias)``: zero and subnormals, as IEEE 754
        zero_code  E = 0 is a normal exponent, except that {E, M} = 0 means zero; a value that rounds to that code takes the
                   code above it, a smaller one becomes zero
        paper      every code is normal, there is no zero: out of range only E is clamped and M stays, at both ends, as
                   Algorithm 1 of Sadi et al. 2024 has it (needs specials "none" or "fnu")
        =========  ========================================================================

    Raises
    ------
    ValueError
        A parameter is out of its range, or two of them exclude each other.
    """

    name: str
    exp_bits: int
    man_bits: int
    bias: int | None = None
    specials: str = "none"
    underflow: str = "gradual"

    def __post_init__(self):
        _check_name(self.name)
        check_int("exp_bits", self.exp_bits, 2, 8)
        check_int("man_bits", self.man_bits, 0, 7)
        check_choice("specials", self.specials, SPECIALS)
        check_choice("underflow", self.underflow, UNDERFLOWS)
        if self.bias is None:
            object.__setattr__(self, "bias", 2 ** (self.exp_bits - 1) - 1)
        self.check_bias(self.bias)
        if self.specials == "ieee" and self.man_bits == 0:
            raise ValueError("specials 'ieee' needs man_bits of at least 1, to tell NaN from infinity")
        if self.specials == "fnu" and (self.man_bits, self.underflow) != (0, "paper"):
            raise ValueError("specials 'fnu' needs man_bits=0 and underflow='paper'")
        if self.underflow == "paper" and self.specials not in ("none", "fnu"):
            raise ValueError(f"underflow 'paper' needs specials 'none' or 'fnu', not {self.specials!r}")
        if self.exp_bits == 8 and self.specials != "fnu" and (self.specials, self.underflow) != ("ieee", "gradual"):
            raise ValueError("exp_bits=8 needs specials='ieee' and underflow='gradual', FP32's own rules, or specials='fnu'")

    def check_bias(self, bias):
        """Raise ValueError unless the integer `bias` lies in `bias_range`."""
        low, high = self.bias_range
        if not isinstance(bias, int) or isinstance(bias, bool) or not low <= bias <= high:
            allowed = f"{low}" if low == high else f"an integer from {low} to {high}"
            raise ValueError(f"bias of {self.name} must be {allowed}, not {bias!r}")

    @property
    def bias_range(self):
        """Smallest and largest bias, inclusive."""
        return (127, 127) if self.exp_bits == 8 else (0, BIAS_MAX)

    @property
    def signed(self):
        """Whether codes have a sign bit."""
        return self.specials != "fnu"

    @property
    def magnitude_bits(self):
        """Width of {E, M}."""
        return self.exp_bits + self.man_bits

    @property
    def bits(self):
        """Width of a code."""
        return self.signed + self.magnitude_bits

    @property
    def max_finite(self):
        """{E, M} of the largest finite number."""
        all_ones = 2**self.magnitude_bits - 1
        if self.specials == "ieee":
            return all_ones - 2**self.man_bits
        return all_ones - (self.specials in ("fn", "fnu"))

    @property
    def infinity(self):
        """{E, M} of infinity, or None."""
        return self.max_finite + 1 if self.specials == "ieee" else None

    @property
    def nan(self):
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

    @classmethod
    def parse(cls, text):
        """The format that `text` names.

        `text` is a name of `CATALOG`, or spells a format: ``e4m3``, then optionally ``b`` and the bias, a word of `SPECIALS` and
        one of `UNDERFLOWS`, each after an underscore: ``e3m4_ieee``, ``e2m5b9_none_zero_code``. That is then the format's name.

        Raises
        ------
        ValueError
            `text` is neither, or spells a format that cannot be.
        """
        if text in FLOATS:
            return FLOATS[text]
        match = _SPELLED.fullmatch(text)
        if match is None:
            raise ValueError(
                f"unknown format {text!r}: use one of {', '.join(FLOATS)}, or spell one like e4m3b7_fn_gradual "
                f"(bias, specials {', '.join(SPECIALS)} and underflow {', '.join(UNDERFLOWS)} may be left out)"
            )
        return cls(name=text, **_given(match))


@dataclass(frozen=True, kw_only=True)
class LogBlockFormat:
    """Logarithmic block floating point (LBFP): numbers that share an exponent E, each a sign and a logarithm to base 2.

    A code is packed {sign, c}. c = 0 is zero; any other c, read as a fixed-point number of `int_bits` integer and `frac_bits`
    fraction bits, means ``(-1)**sign * 2**(E - 2**int_bits + c / 2**frac_bits)``. All magnitudes are below 2**E, and neighbours
    differ by the factor ``2**(1 / 2**frac_bits)``.

    The idea is that of LBFP, APCCAS 2020: products are additions and shifts, the shared exponent is calibrated before inference.
    The encoding is ours, the paper's is not public.

    Parameters
    ----------
    name : str
        Lower-case identifier; becomes part of module names.
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

    name: str
    int_bits: int = 3
    frac_bits: int = 4
    exp_bits: int = 8
    block: int | None = None

    def __post_init__(self):
        _check_name(self.name)
        check_int("int_bits", self.int_bits, 1, 4)
        check_int("frac_bits", self.frac_bits, 0, 6)
        check_int("exp_bits", self.exp_bits, 2, 8)
        if self.block is not None:
            check_int("block", self.block, 1, 2**16)
        low, high = LOG_BITS
        if not low <= self.bits <= high:
            raise ValueError(f"1 + int_bits + frac_bits must be from {low} to {high}, not {self.bits}")

    @property
    def magnitude_bits(self):
        """Width of c."""
        return self.int_bits + self.frac_bits

    @property
    def bits(self):
        """Width of a code."""
        return 1 + self.magnitude_bits

    @property
    def max_magnitude(self):
        """c of the largest number."""
        return 2**self.magnitude_bits - 1

    @property
    def exponent_range(self):
        """Smallest and largest E, inclusive."""
        return -(2 ** (self.exp_bits - 1)), 2 ** (self.exp_bits - 1) - 1

    def check_exponent(self, exponent):
        """Raise ValueError unless the integer `exponent` lies in `exponent_range`."""
        check_int(f"exponent of {self.name}", exponent, *self.exponent_range)

    @classmethod
    def parse(cls, text):
        """The format that `text` names.

        `text` is a name of `CATALOG`, or spells a format: ``i3f4``, then optionally ``e`` and the exponent's width, ``b`` and the
        block: ``i2f3e6b32``. That is then the format's name.

        Raises
        ------
        ValueError
            `text` is neither, or spells a format that cannot be.
        """
        if text in LOGARITHMS:
            return LOGARITHMS[text]
        match = _SPELLED_LOG.fullmatch(text)
        if match is None:
            raise ValueError(
                f"unknown format {text!r}: use one of {', '.join(LOGARITHMS)}, or spell one like i3f4e8b32 "
                f"(exponent bits and block may be left out)"
            )
        return cls(name=text, **_given(match))


_SPELLED_BLOCK = re.compile(r"m(?P<man_bits>\d+)(?:e(?P<exp_bits>\d+))?(?:g(?P<group>\d+))?")


@dataclass(frozen=True, kw_only=True)
class BlockFormat:
    """Block floating point: a group of numbers, each a sign and a magnitude k, that share an exponent E.

    A number means ``(-1)**sign * k * 2**(E - 127 - (man_bits - 1))``, k from 0 to ``2**man_bits - 1``, without a hidden one: E
    is the largest exponent of the group, as FP32 has it, bias and all. Zero has no sign.

    Read two bits at a time, highest first, k is ``sum(h_j * 4**(man_bits / 2 - 1 - j))``, and chunk j with E - 2 j is itself a
    group of 2 mantissa bits. That is what lets one multiplier of 2 by 2 bits serve every precision: FAST, HPCA 2022,
    arXiv 2110.15456, whose groups these are.

    Parameters
    ----------
    name : str
        Lower-case identifier; becomes part of module names.
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

    name: str
    man_bits: int
    exp_bits: int = 8
    group: int = 16

    def __post_init__(self):
        _check_name(self.name)
        check_choice("man_bits", self.man_bits, BLOCK_MAN_BITS)
        check_choice("exp_bits", self.exp_bits, BLOCK_EXP_BITS)
        check_int("group", self.group, MIN_GROUP, MAX_GROUP)

    @property
    def max_magnitude(self):
        """The largest k."""
        return 2**self.man_bits - 1

    @property
    def max_exponent(self):
        """The largest code of E."""
        return 2**self.exp_bits - 1

    @property
    def chunks(self):
        """How many chunks of two bits a magnitude has."""
        return self.man_bits // 2

    @property
    def group_bits(self):
        """What a group takes in memory where each chunk has a sign bit of its own, as the paper stores it."""
        return self.exp_bits + self.group * self.chunks * 3

    @classmethod
    def parse(cls, text):
        """The format that `text` names.

        `text` is a name of `BLOCKS`, or spells a format: ``m4``, then optionally ``e`` and the exponent's width, ``g`` and the
        group: ``m8e4g32``. That is then the format's name.

        Raises
        ------
        ValueError
            `text` is neither, or spells a format that cannot be.
        """
        if text in BLOCKS:
            return BLOCKS[text]
        match = _SPELLED_BLOCK.fullmatch(text)
        if match is None:
            raise ValueError(
                f"unknown format {text!r}: use one of {', '.join(BLOCKS)}, or spell one like m4e8g16 "
                f"(exponent bits and group may be left out)"
            )
        return cls(name=text, **_given(match))


def _by_name(formats):
    return MappingProxyType({fmt.name: fmt for fmt in formats})


def _floats(*rows):
    return _by_name(
        FloatFormat(name=name, exp_bits=exp_bits, man_bits=man_bits, bias=bias, specials=specials, underflow=underflow)
        for name, exp_bits, man_bits, bias, specials, underflow in rows
    )


FLOATS = _floats(
    # Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: one layout for all tensors, bias set at run time. The paper defines
    # neither a zero nor subnormals; the three variants are the three readings of that.
    ("ab_e5m2", 5, 2, 15, "none", "zero_code"),
    ("ab_e5m2_gradual", 5, 2, 15, "none", "gradual"),
    ("ab_e5m2_paper", 5, 2, 15, "none", "paper"),
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
    ("float8_e8m0fnu", 8, 0, 127, "fnu", "paper"),
)

# Three integer bits at every width: they span the numbers of a tensor (256 to 1), the fraction bits give precision.
LOGARITHMS = _by_name(LogBlockFormat(name=f"lbfp{4 + frac_bits}", frac_bits=frac_bits) for frac_bits in (4, 3, 2, 1))

BLOCKS = _by_name(BlockFormat(name=f"bfp{bits}", man_bits=bits) for bits in (2, 4))

CATALOG = MappingProxyType({**FLOATS, **LOGARITHMS, **BLOCKS})
