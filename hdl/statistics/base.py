"""What all estimators of a bias have in common."""

from amaranth.hdl import Const, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import BIAS_BITS, BIAS_MAX
from narrowfloat.golden.statistics import MAX_TYPES, REFERENCE_EXPONENT
from narrowfloat.hdl.block import Block, Integer, Relation
from narrowfloat.hdl.parts.logic import count_ones, pick, wire

MAX_LANES = 16
MAGNITUDE_BITS = 31


USUAL_BIAS = 15
BIAS_RELATIONS = (
    Relation("bias_min must not be above bias_max", lambda bias_min, bias_max: bias_min <= bias_max),
    Relation(
        "initial_bias must be from bias_min to bias_max",
        lambda initial_bias, bias_min, bias_max: initial_bias is None or bias_min <= initial_bias <= bias_max,
    ),
)


def starting_bias(given, usual, bias_min, bias_max):
    """The bias after reset: the one that is `given`, otherwise from `bias_min` to `bias_max` the nearest to the `usual` one."""
    return min(max(usual, bias_min), bias_max) if given is None else given


class Estimator(Block):
    """A block that listens to a stream and estimates a bias for each tensor type; see `hdl.statistics`.

    A subclass says `statistics`, the names of what can be read.

    Members
    -------
    observe : In({valid, type, keep, words})
        The ports tap_tvalid, tap_tuser, tap_tkeep and tap_tdata of a top.
    end : In({valid, type})
    bias : Out(ArrayLayout(6, types))
    settled, busy : Out(types)
    working : Out(1)
    read : In({enable, type, index, data, done})

    Fields
    ------
    tap_tvalid
        A beat passes in this cycle: TVALID and TREADY of the stream that is listened to are both 1. There is no TREADY here.
    tap_tuser
        The tensor type of the beat.
    tap_tkeep
        Which lanes of the beat hold data: one bit for each.
    tap_tdata
        FP32 words.
    end_valid
        The tensor or epoch of the type at `end_type` ends; a beat in the same cycle still belongs to it.
    end_type
        The tensor type that ends.
    bias
        The bias of each type.
    settled
        The bias of that type is one from data, and not the one after reset.
    busy
        The end of that type is still to be dealt with: its beats are left out, and counted as missed, and its ends ignored.
    working
        Results of what has ended are not there yet.
    read_enable
        Raw statistics are asked for: hold it, with type and index, until `read_done`.
    read_type
        The tensor type that is asked for.
    read_index
        The raw statistic that is asked for.
    read_done
        The raw statistic is at `read_data` in this cycle. Take `read_enable` back for a cycle before the next one.
    read_data
        The raw statistic that is asked for, while `read_done` is 1.

    Protocol
    --------
    tap
        It only listens, takes a beat in every cycle, and holds nothing up. Tensors of different types may interleave beat by
        beat.
    wrong input
        There is none but a type that is none of those built, which must not be sent.
    what counts
        Zeros and subnormals count for nothing but `zeros`, infinities and NaN for nothing but `specials`.
    """

    types = Integer(4, 1, MAX_TYPES, "Tensor types.", place=1)
    lanes = Integer(4, 1, MAX_LANES, "FP32 words per beat.", place=1)
    initial_bias = Integer(None, 0, BIAS_MAX, "The bias before anything is known; not given, the nearest to 15.", place=4)
    bias_min = Integer(10, 0, BIAS_MAX, "The smallest bias.", place=4)
    bias_max = Integer(40, 0, BIAS_MAX, "The largest bias.", place=4)

    relations = BIAS_RELATIONS

    @property
    def first_bias(self):
        """The bias of each type after reset."""
        return starting_bias(self.initial_bias, USUAL_BIAS, self.bias_min, self.bias_max)

    @property
    def encodings(self):
        return {"index": {name: index for index, name in enumerate(self.statistics)}}

    def members(self):
        type_bits = (self.types - 1).bit_length()
        tap = {"valid": 1, "type": type_bits, "keep": self.lanes, "words": data.ArrayLayout(32, self.lanes)}
        end = {"valid": 1, "type": type_bits}
        read = {"enable": 1, "type": type_bits, "index": range(len(self.statistics))}
        return {
            "observe": In(wiring.Signature({name: Out(shape) for name, shape in tap.items()})),
            "end": In(wiring.Signature({name: Out(shape) for name, shape in end.items()})),
            "bias": Out(data.ArrayLayout(BIAS_BITS, self.types), init=[self.first_bias] * self.types),
            "settled": Out(self.types),
            "busy": Out(self.types),
            "working": Out(1),
            "read": In(wiring.Signature({name: Out(shape) for name, shape in read.items()} | {"data": In(32), "done": In(1)})),
        }

    def _registers(self, shape, name, init=0):
        """One register per type."""
        return [Signal(shape, name=f"{name}{t}", init=init) for t in range(self.types)]

    def _starting_as(self, m, values, name):
        """Signals of each type that have these `values` unless they are assigned others."""
        signals = [Signal(value.shape(), name=f"{name}{t}") for t, value in enumerate(values)]
        m.d.comb += [signal.eq(value) for signal, value in zip(signals, values)]
        return signals

    def _clamped_bias(self, m, exponent, name, reference=REFERENCE_EXPONENT):
        """The bias ``reference - exponent`` for an unsigned `exponent`, kept in range."""
        low, high = max(reference - self.bias_max, 0), reference - self.bias_min
        inside = (Const(reference, 8) - exponent)[:BIAS_BITS]
        return wire(m, BIAS_BITS, Mux(exponent < low, self.bias_max, Mux(exponent > high, self.bias_min, inside)), name)


class Lanes:
    """What counts of a beat, lane by lane and in numbers; `missed` are those that come while the type is busy."""

    def __init__(self, m, observe, busy):
        offered = [observe.valid & keep for keep in observe.keep]
        while_busy = wire(m, 1, pick(busy, observe.type), "while_busy")
        self.magnitudes = [word[:MAGNITUDE_BITS] for word in observe.words]
        exponents = [word[23:MAGNITUDE_BITS] for word in observe.words]
        zeros = [lane & ~while_busy & ~exponent.any() for lane, exponent in zip(offered, exponents)]
        specials = [lane & ~while_busy & exponent.all() for lane, exponent in zip(offered, exponents)]
        self.counted = [Signal(name=f"counted{i}") for i in range(len(offered))]
        m.d.comb += [
            counted.eq(lane & ~while_busy & exponent.any() & ~exponent.all())
            for counted, lane, exponent in zip(self.counted, offered, exponents)
        ]
        numbers = {
            name: count_ones(lanes) for name, lanes in (("total", self.counted), ("zeros", zeros), ("specials", specials))
        }
        numbers["missed"] = Mux(while_busy, count_ones(offered), 0)
        self.numbers = {name: Signal(range(len(offered) + 1), name=f"number_of_{name}") for name in numbers}
        m.d.comb += [self.numbers[name].eq(number) for name, number in numbers.items()]
