"""Blocks that declare their parameters once: what each may be, how text and JSON say it, and how they depend on one another."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BlockFormat, FloatFormat, LogBlockFormat
from narrowfloat.hdl.parts.logic import Circuit
from narrowfloat.hdl.parts.stream import beats, registered


class Parameter:
    """A value that a design is built with, declared as a class attribute of its `Block`.

    A subclass has ``_checked(value)`` and ``_drawn(rng)``, which `checked` and `draw` call, and may override `_read`.

    Attributes
    ----------
    name : str
        That of the class attribute.
    default
        The value where none is given. None, where it is the default, means that the block derives the value from others.
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
        return self._checked(self._read(text))

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
        return str(value)

    def draw(self, rng):
        """A random value, from `rng`, a `random.Random`: often an end of the range or the default."""
        return self.default if self.default is None and rng.random() < 0.5 else self._drawn(rng)

    def _read(self, text):
        return text

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

    def _checked(self, value):
        if not isinstance(value, (bool, int, np.bool_, np.integer)) or value not in (0, 1):
            self._refuse(value)
        return bool(value)

    def _read(self, text):
        return self._WORDS.get(text.lower(), text)

    def to_text(self, value):
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

    def _checked(self, value):
        if isinstance(value, str):
            value = self.of.parse(value)
        if not isinstance(value, self.of):
            self._refuse(value)
        return value

    def to_json(self, value):
        return value.name

    to_text = to_json

    def _drawn(self, rng):
        while rng.random() < 0.75:
            try:
                return self.of.parse(_SPELLINGS[self.of](rng))
            except ValueError:
                pass  # not every spelling is a format
        return self.default


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

    def to_text(self, value):
        return ",".join(map(self.each.to_text, value))

    def _drawn(self, rng):
        return tuple(dict.fromkeys(self.each.draw(rng) for _ in range(rng.randint(1, 3))))


@dataclass(frozen=True)
class Relation:
    """What must hold between parameters, beyond the range of each.

    `holds` is a function whose arguments are the parameters' names; `text` says the same in words.
    """

    text: str
    holds: Callable[..., Any]

    @property
    def parameters(self):
        """Names of the parameters that it relates."""
        return tuple(inspect.signature(self.holds).parameters)

    def of(self, values):
        """Whether it holds for `values`, a dict of all parameters."""
        return bool(self.holds(*(values[name] for name in self.parameters)))


@dataclass(frozen=True)
class Effect(Relation):
    """Where the parameters `names` have an effect: elsewhere they stay at their defaults. `text` follows "an effect only"."""

    names: tuple[str, ...] = ()


class Block(Circuit):
    """A component that can be a design: its parameters are class attributes, and a top is made for it from its attributes.

    A subclass declares each `Parameter` as a class attribute. Its method ``members()`` returns the members of the signature:
    streams of beats `i` and `o`, and whatever else there is. ``build(m)`` adds its logic to a module. An instance has the
    parameters' values as attributes of the same names; they are given by position or by name.

    Attributes
    ----------
    parameters : tuple of Parameter
        All, of base classes too, in the order of lists, manifests and module names.
    relations : tuple of Relation
        A subclass adds to those of its base class.
    effects : tuple of Effect
        As `relations`.
    latency : int or dict
        Clock cycles from input to output, or those to each output by the name of its port or ports; a subclass says.
    initiation_interval : int
        Clock cycles from one beat to the next.
    facts : dict
        What its manifest says besides.
    registers : tuple of hdl.parts.registers.Register
        Those behind its interface `axil`.
    seeded : bool
        Whether it has registers of random bits, so that its top has the Verilog parameter SEED.
    statistics : tuple of str
        Of an estimator, which listens to a stream, the names of what can be read.
    encodings : dict of dict
        For each field of a stream that holds an encoding, its words with their values, for the manifest.
    fraction_bits : dict of int
        For each field of a stream that is in fixed point, and by its name for each port that is an array of such numbers, how
        many bits lie below the binary point, for the manifest.

    Raises
    ------
    ValueError
        A parameter is out of its range or has no effect beside the others, or a relation does not hold.
    """

    parameters = ()
    relations = ()
    effects = ()
    user_bits = 0
    initiation_interval = 1
    statistics = ()
    facts = MappingProxyType({})
    registers = ()
    seeded = False
    encodings = MappingProxyType({})
    fraction_bits = MappingProxyType({})

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        found, related, effective = {}, {}, {}
        for base in reversed(cls.__mro__):
            for name, value in vars(base).items():
                if isinstance(value, Parameter):
                    found.pop(name, None)
                    found[name] = value
            related |= dict.fromkeys(vars(base).get("relations", ()))
            effective |= dict.fromkeys(vars(base).get("effects", ()))
        cls.parameters = tuple(sorted(found.values(), key=lambda parameter: parameter.place))
        cls.relations, cls.effects = tuple(related), tuple(effective)
        if cls.__doc__ and cls.parameters:
            cls.__doc__ = f"{inspect.cleandoc(cls.__doc__)}\n\n{_section(cls.parameters)}"

    def __init__(self, *values, **named):
        given = dict(zip([parameter.name for parameter in self.parameters], values))
        if len(values) > len(given) or given.keys() & named.keys():
            raise TypeError(f"{type(self).__name__} takes {len(self.parameters)} parameters, each once")
        for name, value in self.checked(given | named).items():
            setattr(self, name, value)
        self.prepare()
        super().__init__(self.members())

    @classmethod
    def clocked(cls, values):
        """Whether a block with these parameters has registers of any kind: without, its top has no clock and no reset."""
        return True

    @property
    def tag(self):
        """The field of `user` for a tag that passes through, if the block has one."""
        return {"user": self.user_bits} if self.user_bits else {}

    def prepare(self):
        """Derive from the parameters what `members` and `build` share."""

    @classmethod
    def checked(cls, given):
        """Values of all parameters, checked, as a dict, from those `given`."""
        if unknown := given.keys() - {parameter.name for parameter in cls.parameters}:
            raise TypeError(f"{cls.__name__} has no parameter {', '.join(sorted(unknown))}")
        values = {each.name: each.checked(given.get(each.name, each.default)) for each in cls.parameters}
        for relation in cls.relations:
            if not relation.of(values):
                raise ValueError(f"{relation.text}, unlike {' '.join(cls.settings(values, relation.parameters))}")
        for effect, parameter in cls._idle(values):
            if values[parameter.name] != parameter.default:
                beside = " ".join(cls.settings(values, effect.parameters))
                raise ValueError(f"{parameter.name} has an effect only {effect.text}: leave it out beside {beside}")
        return values

    @classmethod
    def _idle(cls, values):
        """The parameters that have no effect in `values`, each with its `Effect`."""
        idle = [effect for effect in cls.effects if not effect.of(values)]
        return [(effect, parameter) for effect in idle for parameter in cls.parameters if parameter.name in effect.names]

    @classmethod
    def settings(cls, values, names=None):
        """`values` as texts NAME=VALUE, in the order of the parameters: those of `names`, or those not at their default."""
        all_values = {parameter: values.get(parameter.name, parameter.default) for parameter in cls.parameters}
        return [
            f"{parameter.name}={'(not given)' if value is None else parameter.to_text(value)}"
            for parameter, value in all_values.items()
            if (value != parameter.default if names is None else parameter.name in names)
        ]

    @classmethod
    def draw(cls, rng, **given):
        """Random legal values of all parameters but those `given`, as a dict, from `rng`, a `random.Random`."""
        fixed = {
            parameter.name: parameter.checked(given[parameter.name]) for parameter in cls.parameters if parameter.name in given
        }
        for _ in range(10_000):
            values = {parameter.name: parameter.draw(rng) for parameter in cls.parameters} | fixed
            values |= {parameter.name: parameter.default for _, parameter in cls._idle(values)} | fixed
            if all(relation.of(values) for relation in cls.relations):
                return values
        raise ValueError(f"no legal {cls.__name__} with {' '.join(cls.settings(fixed))} was found")


def _section(parameters):
    """The section of a docstring that describes `parameters`."""
    lines = ["Parameters", "----------"]
    for parameter in parameters:
        default = "derived" if parameter.default is None else parameter.to_text(parameter.default)
        lines += [f"{parameter.name} : {parameter.allowed}; default {default}", f"    {parameter.meaning}"]
    return "\n".join(lines)


class Lanewise(Block):
    """`lanes` values per beat and a beat per clock, through two combinational halves with 0 to 3 pipeline registers.

    `last` and the tag pass through. The first register goes to the output, the second between the halves, the third to the
    input: first cut what is longest.

    A subclass has these methods:

    input_shapes(), output_shapes()
        Shape of a lane at the input and output, and the fields of `user` beside the tag.
    middle_shapes()
        Shape of a lane between the halves, and fields that all lanes share there.
    first_half(m, source, sink)
        Adds the logic from the payload of `source`, a stream like `i`, to that of `sink`: `lanes` and the shared fields.
    second_half(m, source, sink)
        Adds the logic from the payload of `source`, `lanes` and the shared fields, to that of `sink`, a stream like `o`.
    """

    lanes = Integer(4, 1, 64, "Values per beat.", place=1)
    stages = Integer(1, 0, 3, "Pipeline registers: none; at the output; between the halves, too; at the input, too.", place=1)
    user_bits = Integer(0, 0, 64, "Width of a tag that passes through.", place=3)

    @property
    def latency(self):
        return self.stages

    @classmethod
    def clocked(cls, values):
        return values["stages"] > 0

    def in_each_lane(self, m, name, make, connect):
        """Put a component ``make()`` into each lane, and assign what ``connect(lane, component)`` lists."""
        for lane in range(self.lanes):
            m.submodules[f"{name}{lane}"] = component = make()
            m.d.comb += connect(lane, component)

    def incoming(self, m):
        """The stream that the halves take: `i`, or what a subclass makes of it."""
        return self.i

    def members(self):
        (lane, user), (result, raised) = self.input_shapes(), self.output_shapes()
        return {"i": In(beats(lane, self.lanes, user | self.tag)), "o": Out(beats(result, self.lanes, raised | self.tag))}

    def build(self, m):
        lane, shared = self.middle_shapes()
        fields = {"lanes": data.ArrayLayout(lane, self.lanes), **shared, "last": 1, "user": data.StructLayout(self.tag)}
        source = self.incoming(m)
        if self.stages >= 3:
            source = registered(m, "input_register", source)
        halfway = self._between(m, "halfway", source, data.StructLayout(fields), self.first_half)
        if self.stages >= 2:
            halfway = registered(m, "middle_register", halfway)
        result = self._between(m, "result", halfway, self.o.payload.shape(), self.second_half)
        if self.stages >= 1:
            result = registered(m, "output_register", result)
        m.d.comb += [self.o.valid.eq(result.valid), result.ready.eq(self.o.ready), self.o.payload.eq(result.payload)]

    def _between(self, m, name, source, shape, half):
        sink = stream.Signature(shape).create(path=(name,))
        m.d.comb += [sink.valid.eq(source.valid), source.ready.eq(sink.ready), sink.p.last.eq(source.p.last)]
        m.d.comb += [sink.p.user[name].eq(source.p.user[name]) for name in self.tag]
        half(m, source, sink)
        return sink
