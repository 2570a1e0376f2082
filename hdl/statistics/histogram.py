"""The octave of the median, by a histogram of exponents."""

from amaranth.hdl import Const, Signal, signed
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.block import Integer, Relation
from narrowfloat.hdl.parts.logic import count_ones, is_number, wire
from narrowfloat.hdl.statistics.base import Lanes
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed, half_less_one


class ExponentHistogram(CountingEstimator):
    """A count for each exponent, and from these counts the octave of the median, tensor by tensor.

    Equation: the bias is ``143 - e`` for the exponent e that holds the value of rank ``ceil(total / 2)``, as in
    `golden.statistics.ExponentHistogram`, which is bit-exact. `settled` says that one tensor in which something counted has
    ended.

    A beat of 16 lanes touches up to 16 bins, more than a memory has ports, so the low ends of the counters are in registers.
    That is affordable because there is a bin for each possible bias only; `first` = 1 and `last` = 254 build all of them.

    Latency: one bin per cycle is looked at after the end of a tensor; by default the bias is there 39 cycles after the end,
    unless ends of other types are being dealt with, or the end before came less than a round through all counters ago. Until
    then beats of the same type are missed. Throughput: a beat per clock.

    Members
    -------
    observe, end, bias, settled, busy, working, read
        As described in `Estimator`.
    """

    first = Integer(103, 1, 254, "The lowest exponent with a bin of its own, which smaller ones are counted in as well.")
    last = Integer(133, 1, 254, "The highest exponent with a bin of its own, which larger ones are counted in as well.")

    relations = (Relation("first must not be above last", lambda first, last: first <= last),)

    others = ("median_exponent",)
    sorting_cycles = 1

    @property
    def slots(self):
        return readout.histogram_slots(self.first, self.last)

    def build(self, m):
        counts = self._counts(m)
        lanes = Lanes(m, self.observe, self.busy)
        beat = dict(lanes.numbers)
        exponents = [magnitude[23:] for magnitude in lanes.magnitudes]
        for e in range(self.first, self.last + 1):
            if self.first == self.last:
                here = [Const(1, 1)] * self.lanes
            elif e == self.first:
                here = [exponent <= e for exponent in exponents]
            elif e == self.last:
                here = [exponent >= e for exponent in exponents]
            else:
                here = [exponent == e for exponent in exponents]
            beat[f"exponent{e}"] = count_ones([counted & in_bin for counted, in_bin in zip(lanes.counted, here)])
        self._add(m, counts, delayed(m, beat | self._type_and_end(), "sorted"))

        median = self._registers(8, "median")
        self._work(m, counts, median)
        self._reads(m, counts, (median,))

    def _work(self, m, counts, median):
        tick, value = counts.tick, counts.value
        bins = self.last - self.first + 1
        missing = Signal(signed(self.cnt_width + 1))
        rest = Signal(signed(self.cnt_width + 1))
        found = Signal()
        empty = Signal()
        exponent = Signal(8)
        m.d.comb += rest.eq(missing - value)
        half_of_all = half_less_one(m, value)
        looking = wire(m, 1, ~found & (tick >= 2) & (tick < 2 + bins))
        reached = wire(m, 1, rest < 0)
        bias = self._clamped_bias(m, exponent, "bias_of_exponent")
        with m.If(tick == 1):
            m.d.sync += [missing.eq(half_of_all), empty.eq(~value.any()), found.eq(0), exponent.eq(self.first)]
        with m.Elif(looking):
            m.d.sync += [missing.eq(rest), found.eq(reached)]
            with m.If(~reached & (exponent != self.last)):
                m.d.sync += exponent.eq(exponent + 1)
        for t in range(self.types):
            with m.If(wire(m, 1, counts.finished & ~empty & is_number(counts.job_type, t), f"stores_type{t}")):
                m.d.sync += [median[t].eq(exponent), self.bias[t].eq(bias), self.settled[t].eq(1)]
