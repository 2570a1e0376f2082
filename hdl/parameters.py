"""What designs are built with: values that are declared once, with what each may be, and how text and JSON say it."""

import re
from types import MappingProxyType

import numpy as np
from narrowfloat.golden.formats import BlockFormat, FloatFormat, LogBlockFormat

DERIVED = "derived"  # how texts say None


class Parameter:
    """A value that a design is built with, declared as a class attribute of its `Block`.

    A subclass has ``_checked(value)`` and ``_drawn(rng)``, which `checked` and `draw` call, and may override `_read` and
    `_text`, which `parse` and `to_text` call for what is not None.

    Attributes
    ----------
    name : str
        That of the class attribute.
    default
        The value where none is given. None, where it is the default, means that the block derives the value from others; texts
        say "derived".
    allowed : str
        What the value may be, in words that follow "must be".
    meaning : str
        One line for lists and docs.
    place : int
        Parameters are listed by place, those of one place as they are declared, those of a base class first.
    kind : str
        What it is, in one word, for readers of JSON.
    """

    name = kind = ""

    def __init__(self, default, allowed, meaning="", place=2):
        self.default, self.allowed, self.meaning, self.place = default, allowed, meaning, place

    def __set_name__(self, owner, name):
        self.name = name

    def named(self, name):
        """The parameter itself, with a name, for what is no class attribute."""
        self.name = name
        return self

    def checked(self, value):
        """`value` in the form in which blocks keep it.

        Raises
        ------
        ValueError
            The value is not allowed; the message is one line.
        """
        return None if value is None and self.default is None else self._checked(value)

    def parse(self, text):
        """The value that `text` says; raises like `checked`."""
        return None if self.default is None and text == DERIVED else self._checked(self._read(text))

    def to_json(self, value):
        """`value` as manifests show it."""
        return value

    def legal(self):
        """What values it takes, as lists and manifests show it: its kind, and what else there is to say of that kind."""
        return {"kind": self.kind}

    def as_json(self):
        """The parameter itself, as lists and manifests show it."""
        default = self.to_json(self.default)
        return {"name": self.name, **self.legal(), "default": default, "allowed": self.allowed, "meaning": self.meaning}

    def to_text(self, value):
        """A text that `parse` reads as `value`."""
        return DERIVED if value is None else self._text(value)

    def draw(self, rng):
        """A random value, from `rng`, a `random.Random`: often an end of the range or the default."""
        return self.default if self.default is None and rng.random() < 0.5 else self._drawn(rng)

    def corners(self):
        """Values at the ends of what is allowed, or all of them: a list."""
        return [self.default]

    def _read(self, text):
        return text

    def _text(self, value):
        return str(value)

    def _refuse(self, value):
        raise ValueError(f"{self.name} must be {self.allowed}, not {value!r}") from None


class Integer(Parameter):
    """An integer from `low` to `high`."""

    kind = "integer"

    def __init__(self, default, low, high, meaning="", **more):
        super().__init__(default, f"an integer from {low} to {high}", meaning, **more)
        self.low, self.high = low, high

    def legal(self):
        return super().legal() | {"minimum": self.low, "maximum": self.high}

    def corners(self):
        return [self.low, self.high]

    def _checked(self, value):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not self.low <= value <= self.high:
            self._refuse(value)
        return int(value)

    def _read(self, text):
        return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,98}", text) else text

    def _drawn(self, rng):
        span = self.high - self.low
        between = self.low + min(int((span + 1) ** rng.random()) - 1, span)  # small ones more often: they simulate faster
        return rng.choice([self.low, between, between, self.high])


class Choice(Parameter):
    """One of the words or integers `values`."""

    kind = "choice"

    def __init__(self, default, values, meaning="", **more):
        self.values = tuple(values)
        super().__init__(default, f"one of {', '.join(map(str, self.values))}", meaning, **more)

    def legal(self):
        return super().legal() | {"choices": list(self.values)}

    def corners(self):
        return list(self.values)

    def _checked(self, value):
        if not isinstance(value, (str, int, np.integer)) or isinstance(value, bool) or value not in self.values:
            self._refuse(value)
        return self.values[self.values.index(value)]

    def _read(self, text):
        return {str(value): value for value in self.values}.get(text, text)

    def _drawn(self, rng):
        return rng.choice(self.values)


class Switch(Parameter):
    """Whether something is built."""

    kind = "switch"
    _WORDS = MappingProxyType({"0": False, "1": True, "false": False, "true": True})

    def __init__(self, default, meaning="", **more):
        super().__init__(default, f"one of {', '.join(self._WORDS)}", meaning, **more)

    def corners(self):
        return [False, True]

    def _checked(self, value):
        if not isinstance(value, (bool, int, np.bool_, np.integer)) or value not in (0, 1):
            self._refuse(value)
        return bool(value)

    def _read(self, text):
        return self._WORDS.get(text.lower(), text)

    def _text(self, value):
        return str(int(value))

    def _drawn(self, rng):
        return rng.random() < 0.5


class Format(Parameter):
    """A format of the class `of`, or its name or spelling."""

    kind = "format"
    _WORDS = MappingProxyType({FloatFormat: "float", LogBlockFormat: "logarithmic", BlockFormat: "block"})

    def __init__(self, default, of, meaning="", **more):
        super().__init__(of.parse(default), f"the name or spelling of a {self._WORDS[of]} format", meaning, **more)
        self.of = of

    def legal(self):
        return super().legal() | {"of": self._WORDS[self.of]}

    def corners(self):
        return [self.of.parse(name) for name in _CORNERS[self.of]]

    def _checked(self, value):
        if isinstance(value, str):
            value = self.of.parse(value)
        if not isinstance(value, self.of):
            self._refuse(value)
        return value

    def to_json(self, value):
        return value.name

    _text = to_json

    def _drawn(self, rng):
        while rng.random() < 0.75:
            try:
                return self.of.parse(_SPELLINGS[self.of](rng))
            except ValueError:
                pass  # not every spelling is a format
        return self.default


# Few and many bits of each kind, and every way of special values and underflow.
_CORNERS = {
    FloatFormat: (
        "e2m0", "e2m0_none_zero_code", "e7m7_ieee", "e8m7_ieee", "e3m1_none_clamp_exponent", "float8_e4m3fn", "float8_e5m2fnuz",
        "float8_e8m0fnu", "ab_e5m2", "float8_e5m2",
    ),
    LogBlockFormat: ("i3f0e2b1", "i1f6e2", "i4f3e8b64", "lbfp7", "lbfp8"),
    BlockFormat: ("m2e3g4", "bfp4", "m8e8g64"),
}  # fmt: skip
_SPELLINGS = {
    FloatFormat: lambda rng: (
        f"e{rng.randint(2, 8)}m{rng.randint(0, 10)}"
        + rng.choice(["", "", f"b{rng.randint(0, 63)}"])
        + rng.choice(["", "_ieee", "_fn", "_fnuz", "_none"])
        + rng.choice(["", "_gradual", "_zero_code", "_clamp_exponent"])
    ),
    LogBlockFormat: lambda rng: (
        f"i{rng.randint(1, 4)}f{rng.randint(0, 6)}"
        + rng.choice(["", f"e{rng.randint(2, 8)}"])
        + rng.choice(["", f"b{2 ** rng.randint(0, 6)}"])
    ),
    BlockFormat: lambda rng: (
        f"m{rng.choice([2, 4, 6, 8])}"
        + rng.choice(["", f"e{rng.choice([3, 4, 8])}"])
        + rng.choice(["", f"g{rng.choice([4, 8, 16, 24, 64])}"])
    ),
}


class Several(Parameter):
    """One or more different values, in order, each of which may be what `each` may be."""

    kind = "several"

    def __init__(self, default, each, meaning="", **more):
        super().__init__(None, f"one or more different values, each {each.allowed}", meaning, **more)
        self.each = each
        self.default = None if default is None else self._checked(default)

    def __set_name__(self, owner, name):
        self.name = self.each.name = name

    def legal(self):
        return super().legal() | {"each": self.each.legal()}

    def corners(self):
        each = self.each.corners()
        return [*((value,) for value in each), tuple(each)]

    def _checked(self, value):
        if isinstance(value, str) or not np.iterable(value):
            self._refuse(value)
        values = tuple(self.each.checked(each) for each in value)
        if not values or len(set(values)) != len(values):
            self._refuse(self.to_text(values))
        return values

    def _read(self, text):
        return [self.each.parse(each) for each in text.split(",")]

    def to_json(self, value):
        return None if value is None else [self.each.to_json(each) for each in value]

    def _text(self, value):
        return ",".join(map(self.each.to_text, value))

    def _drawn(self, rng):
        return tuple(dict.fromkeys(self.each.draw(rng) for _ in range(rng.randint(1, 3))))
