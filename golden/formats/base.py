"""What every kind of format has: a name, and a spelling for formats that are not in the catalogue."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

NUMBER = "(?:0|[1-9][0-9]*)"  # in spellings: in one way only
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Format:
    """A number format with a name.

    Every kind of format is a subclass, which says how its formats are spelled.

    Parameters
    ----------
    name : str
        Lower-case identifier; becomes part of module names.

    Raises
    ------
    ValueError
        `name` is no lower-case identifier.
    """

    name: str

    _catalogue: ClassVar[dict[str, "Format"]] = {}
    _spelling: ClassVar[re.Pattern[str] | None] = None
    _letters: ClassVar[Mapping[str, str]] = MappingProxyType({})  # what stands before each field of a spelling
    _always_spelled: ClassVar[tuple[str, ...]] = ()
    _example: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ValueError(f"name must be a lower-case identifier, not {self.name!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The format that `text` names: a catalogued one, or one that `text` spells.

        Whatever the spelling, a format has one name: that of the catalogue, or else the shortest spelling.

        >>> from narrowfloat.golden.formats import FloatFormat, Format
        >>> FloatFormat.parse("e5m2b9").bias
        9
        >>> Format.parse("lbfp8").bits
        8
        >>> FloatFormat.parse("e5m2b9_none_gradual").name, FloatFormat.parse("e4m3_fn").name
        ('e5m2b9', 'float8_e4m3fn')

        Parameters
        ----------
        text : str
            A name of `CATALOG`, or a spelling: of a FloatFormat ``e4m3``, then optionally ``b`` and the bias, one of `SPECIALS`
            and one of `UNDERFLOWS`, each after an underscore (``e3m4_ieee``, ``e2m5b9_none_zero_code``); of a LogBlockFormat
            ``i3f4``, then optionally ``e`` and the exponent's width, ``b`` and the block (``i2f3e6b32``); of a BlockFormat
            ``m4``, then optionally ``e`` and the exponent's width, ``g`` and the group (``m8e4g32``).

        Raises
        ------
        ValueError
            `text` is neither, or spells a format that cannot be, or one of another kind than this class.
        """
        found = cls._catalogue.get(text)
        if isinstance(found, cls):
            return found
        kinds = [kind for kind in Format.__subclasses__() if issubclass(kind, cls)]
        for kind in kinds:
            match = kind._spelling.fullmatch(text) if kind._spelling and isinstance(text, str) else None
            if match:
                return kind._spelled(text, {key: value for key, value in match.groupdict().items() if value})._with_one_name()
        names = [name for name, fmt in cls._catalogue.items() if isinstance(fmt, cls)]
        examples = ", or ".join(kind._example for kind in kinds)
        raise ValueError(f"unknown format {text!r}: use one of {', '.join(names)}, or spell one like {examples}")

    @classmethod
    def _spelled(cls, name: str, fields: dict[str, str]) -> Self:
        return cls(name=name, **{key: int(value) for key, value in fields.items()})

    def _with_one_name(self) -> Self:
        for fmt in self._catalogue.values():
            if type(fmt) is type(self) and vars(fmt) == vars(self) | {"name": fmt.name}:
                return fmt
        values = {key: getattr(self, key) for key in self._letters}
        said = [key for key, value in values.items() if key in self._always_spelled or value != self._default(key)]
        return replace(self, name="".join(f"{self._letters[key]}{values[key]}" for key in said))

    def _default(self, key: str) -> Any:
        """What a field is that a spelling leaves out."""
        return next(field.default for field in fields(self) if field.name == key)

    @classmethod
    def of(cls, fmt: "Self | str") -> Self:
        """`fmt`, or the format of that name, as `parse` finds it.

        Raises
        ------
        TypeError
            `fmt` is neither a name nor a format of this kind.
        ValueError
            There is no format of this name.
        """
        if isinstance(fmt, str):
            return cls.parse(fmt)
        if not isinstance(fmt, cls):
            raise TypeError(f"fmt must be a {cls.__name__} or the name of one, not {fmt!r}")
        return fmt

    @classmethod
    def catalogued(cls, *formats: Self) -> Mapping[str, Self]:
        """Enter formats into the catalogue; return them by name."""
        named = {fmt.name: fmt for fmt in formats}
        cls._catalogue.update(named)
        return MappingProxyType(named)
