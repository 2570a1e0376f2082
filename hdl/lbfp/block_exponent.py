"""The shared exponent of a block, from its largest number; infinity and NaN count where no other number does."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from narrowfloat.golden.formats import FP32_BIAS, FP32_MAN_BITS
from narrowfloat.hdl.lbfp.logarithm import EXTRA_BITS
from narrowfloat.hdl.parts.logic import Circuit, wire
from narrowfloat.hdl.parts.shapes import Float32
from narrowfloat.hdl.parts.stream import beats

# Cycles from the last beat of a block to its first at the output: through the queue of exponents.
BLOCK_LATENCY = 1


class BlockMaximum(Circuit):
    """Stores blocks of FP32 values until all of one are there, and gives each beat its block's exponent.

    While one block leaves the next one comes, so that a beat per clock goes through.
    """

    def __init__(self, fmt, lanes, flags, tag):
        self._fmt = fmt
        self._beats = fmt.block // lanes
        # Of the fraction all that counts: the bits that are compared, and for flags whether there are any below.
        self._compared = fmt.frac_bits + EXTRA_BITS
        word = {"sign": 1, "exponent": 8, "fraction": self._compared, "rest": int(flags)}
        self._stored = data.StructLayout(
            {"data": data.ArrayLayout(data.StructLayout(word), lanes), "last": 1, "user": data.StructLayout(tag)}
        )
        super().__init__(
            {
                "i": In(beats(Float32, lanes, tag)),
                "o": Out(beats(Float32, lanes, {"exponent": signed(fmt.exp_bits), **tag})),
            }
        )

    def build(self, m):
        kept = Signal(self._stored)
        stored = Signal(self._stored)
        m.d.comb += [kept.last.eq(self.i.p.last), self.o.p.last.eq(stored.last)]
        for name in kept.user.shape().members:
            m.d.comb += [kept.user[name].eq(self.i.p.user[name]), self.o.p.user[name].eq(stored.user[name])]
        cut = FP32_MAN_BITS - self._compared
        for given, lane, lane_out, word in zip(self.i.p.data, kept.data, stored.data, self.o.p.data):
            m.d.comb += [
                lane.sign.eq(given.sign),
                lane.exponent.eq(given.exponent),
                lane.fraction.eq(given.fraction[cut:]),
                lane.rest.eq(given.fraction[:cut].any()),
                word.sign.eq(lane_out.sign),
                word.exponent.eq(lane_out.exponent),
                word.fraction.eq(Cat(lane_out.rest, Const(0, cut - len(lane_out.rest)), lane_out.fraction)),
            ]
        m.submodules.values = values = SyncFIFOBuffered(width=len(kept.as_value()), depth=2 * self._beats + 2)
        m.submodules.exponents = exponents = SyncFIFOBuffered(width=self._fmt.exp_bits, depth=4)
        taken = Signal()
        left = Signal()
        m.d.comb += [
            self.i.ready.eq(values.w_rdy & exponents.w_rdy),
            taken.eq(self.i.valid & self.i.ready),
            values.w_en.eq(taken),
            values.w_data.eq(kept),
        ]

        so_far = Signal(8)
        special_so_far = Signal()
        specials = [word.exponent.all() for word in self.i.p.data]
        exponents_in = [word.exponent & (~special).replicate(8) for word, special in zip(self.i.p.data, specials)]
        counted = wire(m, 8, _largest([so_far, *exponents_in]), "counted")
        special = wire(m, 1, special_so_far | Cat(specials).any(), "special")
        last_in, last_out = self._count(m, "beats_in", taken), self._count(m, "beats_out", left)
        with m.If(taken):
            m.d.sync += [so_far.eq(Mux(last_in, 0, counted)), special_so_far.eq(special & ~last_in)]
        largest = wire(m, 8, Mux(special & ~counted.any(), 254, counted), "largest")
        # E + 126, which is the exponent field of the largest value where E is in its range.
        low, high = (end + FP32_BIAS - 1 for end in self._fmt.exponent_range)
        too_low = largest < low if low > 1 else ~largest.any()
        clamped = Signal(self._fmt.exp_bits)
        mask = 2**self._fmt.exp_bits - 1
        m.d.comb += [
            clamped.eq(Mux(too_low, low & mask, Mux(largest > high, high & mask, largest[: len(clamped)]))),
            exponents.w_data.eq(clamped - (FP32_BIAS - 1)),
        ]
        m.d.comb += exponents.w_en.eq(taken & last_in)

        m.d.comb += [
            stored.eq(values.r_data),
            self.o.p.user.exponent.eq(exponents.r_data),
            self.o.valid.eq(values.r_rdy & exponents.r_rdy),
            left.eq(self.o.valid & self.o.ready),
            values.r_en.eq(left),
            exponents.r_en.eq(left & last_out),
        ]

    def _count(self, m, name, step):
        """Count beats within blocks; whether this one is the last."""
        if self._beats == 1:
            return Const(1, 1)
        count = Signal(range(self._beats), name=name)
        last = wire(m, 1, count == self._beats - 1, f"{name}_last")
        with m.If(step):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        return last


def _largest(values):
    while len(values) > 1:
        pairs = [Mux(left > right, left, right) for left, right in zip(values[::2], values[1::2])]
        values = pairs + values[2 * len(pairs) :]
    return values[0]
