"""Blocks that declare their parameters once, and how these depend on one another."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.parameters import Choice, Format, Integer, Parameter, Several, Switch
from narrowfloat.hdl.parts.logic import Circuit
from narrowfloat.hdl.parts.pipeline import Phase, Stages, pipeline
from narrowfloat.hdl.parts.stream import beats

__all__ = [
    "Block",
    "Choice",
    "Effect",
    "Format",
    "Integer",
    "Lanewise",
    "Parameter",
    "Relation",
    "Several",
    "Stages",
    "Switch",
]


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

    Fields
    ------
    user
        The tag. It passes through unchanged, and changes nothing.
    seed_in
        The seed that is loaded.
    seed_load
        The seed at `seed_in` is loaded. No beat is rounded while it is 1 and until the registers of random bits have seeded
        themselves.

    Protocol
    --------
    wrong input
        There is no input that stops it: every code of every field does what the text and the table of fields say.
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
                    if name in found and found[name].place != value.place:
                        del found[name]
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

    @classmethod
    def absent(cls, values):
        """Blocks that the docstring names and that one with these parameters does not have: their texts are left out of its
        data sheet."""
        return ()

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
    def legal(cls, values):
        """`values` of all parameters, each of which may have its own, as a dict, in which what has no effect is at its default.

        None if a relation does not hold.
        """
        values = values | {parameter.name: parameter.default for _, parameter in cls._idle(values)}
        return values if all(relation.of(values) for relation in cls.relations) else None

    @classmethod
    def settings(cls, values, names=None):
        """`values` as texts NAME=VALUE, in the order of the parameters: those of `names`, or those not at their default."""
        all_values = {parameter: values.get(parameter.name, parameter.default) for parameter in cls.parameters}
        return [
            f"{parameter.name}={parameter.to_text(value)}"
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
            values = cls.legal({parameter.name: parameter.draw(rng) for parameter in cls.parameters} | fixed)
            if values and values.items() >= fixed.items():
                return values
        raise ValueError(f"no legal {cls.__name__} with {' '.join(cls.settings(fixed))} was found")


def _section(parameters):
    """The section of a docstring that describes `parameters`."""
    lines = ["Parameters", "----------"]
    for parameter in parameters:
        default = parameter.to_text(parameter.default)
        lines += [f"{parameter.name} : {parameter.allowed}; default {default}", f"    {parameter.meaning}"]
    return "\n".join(lines)


class Lanewise(Block):
    """`lanes` values per beat and a beat per clock, through phases with pipeline registers between them.

    `last` and the tag pass through.

    A subclass has these methods:

    input_shapes(), output_shapes()
        Shape of a lane at the input and output, and the fields of `user` beside the tag.
    phases()
        Its phases, made by `phase`, of which the last is "output". The names of those before are boundaries at which registers
        may be. One that does not say has two halves, and also has these methods:
    middle_shapes()
        Shape of a lane between the halves, and fields that all lanes share there.
    first_half(m, source, sink)
        Adds the logic from the payload of `source`, a stream like `i`, to that of `sink`: `lanes` and the shared fields.
    second_half(m, source, sink)
        Adds the logic from the payload of `source`, `lanes` and the shared fields, to that of `sink`, a stream like `o`.

    Protocol
    --------
    TLAST
        Passes through with its beat, and changes nothing.
    order
        Every beat stands for itself, and TUSER may change from beat to beat.
    """

    lanes = Integer(4, 1, 64, "Values per beat.", place=1)
    stages = Stages(1, output="at the output", middle="between the halves", input="at the input")
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
        """The stream that the first phase takes: `i`, or what a subclass makes of it."""
        return self.i

    def members(self):
        (lane, user), (result, raised) = self.input_shapes(), self.output_shapes()
        return {"i": In(beats(lane, self.lanes, user | self.tag)), "o": Out(beats(result, self.lanes, raised | self.tag))}

    def phase(self, name, shapes, logic, waits=False):
        """A phase behind which there are lanes of a shape and fields that all lanes share, `shapes`, or where these are None
        what leaves. ``logic(m, source, sink)`` is as of the halves; for `waits` see `Phase`."""
        if shapes is None:
            shape = self.o.payload.shape()
        else:
            lane, shared = shapes
            fields = {"lanes": data.ArrayLayout(lane, self.lanes), **shared}
            shape = data.StructLayout({**fields, "last": 1, "user": data.StructLayout(self.tag)})

        def passing(m, source, sink):
            m.d.comb += sink.p.last.eq(source.p.last)
            m.d.comb += [sink.p.user[name].eq(source.p.user[name]) for name in self.tag]
            logic(m, source, sink)

        return Phase(name, shape, passing, waits)

    def phases(self):
        return [
            self.phase("middle", self.middle_shapes(), self.first_half),
            self.phase("output", None, self.second_half),
        ]

    def build(self, m):
        result = pipeline(m, self.incoming(m), self.phases(), type(self).stages.cuts[: self.stages])
        m.d.comb += [self.o.valid.eq(result.valid), result.ready.eq(self.o.ready), self.o.payload.eq(result.payload)]
