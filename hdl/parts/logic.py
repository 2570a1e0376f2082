"""What blocks are made of: circuits, wires, choices, and small combinational parts."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring


class Circuit(wiring.Component):
    """A component whose method ``build(m)`` adds its logic to a module, which is one in Verilog, too."""

    def __new__(cls, *values, **named):
        self = super().__new__(cls)
        self.made_with = values, tuple(named.items())
        return self

    def elaborate(self, platform):
        # `hdl.verilog.hierarchy` elaborates each kind of component once.
        hierarchy = getattr(platform, "module_or_instance", None)
        if hierarchy and (instance := hierarchy(self)):
            return instance
        m = Module()
        self.build(m)
        return m

    def add_to(self, m):
        """Add its logic to the module of another one, of which it then is a part and no submodule."""
        self._MustUse__used = True
        self.build(m)


def wire(m, shape, value, name=None):
    """A signal that always has the `value`, by default named as the variable that it is assigned to."""
    signal = Signal(shape, name=name, src_loc_at=1)
    m.d.comb += signal.eq(value)
    return signal


def named(m, value, name):
    """A signal of the same shape that always has the `value`."""
    signal = Signal(value.shape(), name=name, src_loc_at=1)
    m.d.comb += signal.eq(value)
    return signal


def switch(m, value, cases):
    """Of `cases`, assignments by value, those for `value`."""
    with m.Switch(value):
        for key, assignments in cases.items():
            with m.Case(key):
                m.d.comb += assignments


def pick(values, index):
    """The one of `values` with that `index`, a signal without bits where there is only one; 0 where there is none."""
    values = list(values)
    return values[0] if len(values) == 1 else Array(values)[index]


def pick_or_last(values, index):
    """As `pick`, but the last of `values` where there is none with that `index`."""
    beyond = 2 ** len(Value.cast(index)) - len(values) if len(values) > 1 else 0
    return pick([*values, *[values[-1]] * beyond], index)


def is_number(value, number):
    """Whether `value`, a signal without bits where all are 0, is that `number`."""
    return value == number if len(value) else Const(1, 1)


def decide(m, round_up, control, decisions):
    """Whether to round up: of `decisions`, by rounding mode, that of the mode ``control.rounding``, or if there is none the
    last, which may be the only one."""
    *others, (_, last) = decisions.items()
    m.d.comb += round_up.eq(last)
    if others:
        switch(m, control.rounding, {mode: round_up.eq(decision) for mode, decision in others})


def is_none_of(control, name, codes):
    """Whether the field `name` of `control`, if it has one, has a code that is none of `codes`."""
    if name not in control.shape().members:
        return Const(0, 1)
    field = Value.cast(control[name])
    if len(codes) == 2 ** len(field):
        return Const(0, 1)
    return ~Cat(field == code for code in sorted(codes)).any()


def carries(m, a, b, one, name):
    """Whether the sum of `a` and `b`, both of one width, and of the bit `one` has a bit more than they; `name` is the sum's."""
    return wire(m, len(b) + 1, a + b + one, name)[len(b)]


def count_ones(bits):
    """How many of `bits` are set, added by halves, which takes fewer adders than one after the other."""
    if len(bits) == 1:
        return bits[0]
    middle = len(bits) // 2
    return count_ones(bits[:middle]) + count_ones(bits[middle:])


def extreme(m, values, name, better):
    """The one of `values`, all of one width, that is ``better(a, b)`` than every other, by a tree of comparators."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    a, b = extreme(m, values[:middle], f"{name}_l", better), extreme(m, values[middle:], f"{name}_r", better)
    return wire(m, len(values[0]), Mux(better(a, b), a, b), name)


def division_step(m, trial, bit, rest, divisor):
    """A step of a serial division with the next `bit` of the dividend: the bit of the quotient, and what `rest` becomes.

    `trial` is a signal of the caller, wide enough for ``2 * rest + bit``.
    """
    fits = Signal()
    m.d.comb += [trial.eq(Cat(bit, rest)), fits.eq(trial >= divisor)]
    left = Mux(fits, trial - divisor, trial)
    return fits, named(m, left, f"next_{rest.name}")


def normalised_to_top(m, value, moved, place):
    """`value` with its leading one shifted to the top bit, the longest distance first, and the distance.

    What each stage shifts is a bit of the distance; of zero all stages shift. `moved` and `place` make the names of the signals
    of a stage from its {power} of two or its {distance}.
    """
    places = []
    for power in reversed(range((len(value) - 1).bit_length())):
        words = {"power": power, "distance": 1 << power}
        shifts, result = Signal(name=place.format(**words)), Signal(len(value), name=moved.format(**words))
        m.d.comb += [shifts.eq(~value[-(1 << power) :].any()), result.eq(Mux(shifts, value << (1 << power), value))]
        places.insert(0, shifts)
        value = result
    return value, Cat(places)
