"""What all estimators of a bias have in common."""

from amaranth.hdl import Const, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.formats import BIAS_BITS, BIAS_MAX
from narrowfloat.hdl.parts.arith import pick

MAX_LANES = 16
MAX_TYPES = 16
MAGNITUDE_BITS = 31
# Bias 143 - e has 2**(e - 127) as its reference median.
REFERENCE = 143


class Estimator(wiring.Component):
    def __init__(self, types, lanes, statistics, initial_bias, bias_min, bias_max, members=()):
        check_int("types", types, 1, MAX_TYPES)
        check_int("lanes", lanes, 1, MAX_LANES)
        check_int("bias_max", bias_max, 0, BIAS_MAX)
        check_int("bias_min", bias_min, 0, bias_max)
        check_int("initial_bias", initial_bias, bias_min, bias_max)
        self.types, self.lanes, self.statistics = types, lanes, statistics
        self._initial_bias, self._bias_min, self._bias_max = initial_bias, bias_min, bias_max
        type_bits = (types - 1).bit_length()
        words = data.ArrayLayout(32, lanes)
        super().__init__(
            {
                "observe": In(
                    wiring.Signature({"valid": Out(1), "type": Out(type_bits), "keep": Out(lanes), "words": Out(words)})
                ),
                "end": In(wiring.Signature({"valid": Out(1), "type": Out(type_bits)})),
                "bias": Out(data.ArrayLayout(BIAS_BITS, types), init=[initial_bias] * types),
                "settled": Out(types),
                "busy": Out(types),
                "working": Out(1),
                "read": In(
                    wiring.Signature(
                        {
                            "enable": Out(1),
                            "type": Out(type_bits),
                            "index": Out(range(len(statistics))),
                            "data": In(32),
                            "done": In(1),
                        }
                    )
                ),
                **dict(members),
            }
        )

    def _registers(self, m, shape, name, init=0):
        """One register per type."""
        return [Signal(shape, name=f"{name}{t}", init=init) for t in range(self.types)]

    def _clamped_bias(self, exponent, reference=REFERENCE):
        """The bias ``reference - exponent`` for an unsigned `exponent`, kept in range."""
        low, high = max(reference - self._bias_max, 0), reference - self._bias_min
        inside = (Const(reference, 8) - exponent)[:BIAS_BITS]
        return Mux(exponent < low, self._bias_max, Mux(exponent > high, self._bias_min, inside))[:BIAS_BITS]


def is_type(type_, number):
    return type_ == number if len(type_) else Const(1, 1)


def count(bits):
    """How many of `bits` are set, by halves, which takes fewer adders than one after the other."""
    if len(bits) == 1:
        return bits[0]
    middle = len(bits) // 2
    return count(bits[:middle]) + count(bits[middle:])


class Lanes:
    """What counts of a beat, lane by lane and in numbers; `missed` are those that come while the type is busy."""

    def __init__(self, m, observe, busy):
        offered = [observe.valid & keep for keep in observe.keep]
        late = Signal(name="late")
        m.d.comb += late.eq(pick(busy, observe.type))
        self.magnitudes = [word[:MAGNITUDE_BITS] for word in observe.words]
        exponents = [word[23:MAGNITUDE_BITS] for word in observe.words]
        zeros = [lane & ~late & ~exponent.any() for lane, exponent in zip(offered, exponents)]
        specials = [lane & ~late & exponent.all() for lane, exponent in zip(offered, exponents)]
        self.counted = [Signal(name=f"counted{i}") for i in range(len(offered))]
        for counted, lane, exponent in zip(self.counted, offered, exponents):
            m.d.comb += counted.eq(lane & ~late & exponent.any() & ~exponent.all())
        bits = range(len(offered) + 1)
        self.numbers = {}
        for name, lanes in (("total", self.counted), ("zeros", zeros), ("specials", specials)):
            self.numbers[name] = Signal(bits, name=f"number_of_{name}")
            m.d.comb += self.numbers[name].eq(count(lanes))
        self.numbers["missed"] = Signal(bits, name="number_of_missed")
        m.d.comb += self.numbers["missed"].eq(Mux(late, count(offered), 0))


def tree(m, values, name, better):
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    a, b = tree(m, values[:middle], f"{name}_l", better), tree(m, values[middle:], f"{name}_r", better)
    winner = Signal(MAGNITUDE_BITS, name=name)
    m.d.comb += winner.eq(Mux(better(a, b), a, b))
    return winner
