"""The octave of the median, by a histogram of exponents."""

from amaranth.hdl import Const, Module, Signal, signed
from narrowfloat.golden.checks import check_int
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.parts.arith import pick
from narrowfloat.hdl.statistics.base import Lanes, count, is_type
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed, half_less_one


class ExponentHistogram(CountingEstimator):
    """A count for each exponent, one pass per tensor, and from it the octave of the median: see
    `golden.statistics.ExponentHistogram`, which is bit-exact.

    A beat of 16 lanes touches up to 16 bins, more than a memory has ports, so the low ends of the counters are in registers. That
    is affordable because there is a bin for each possible bias only; `first` = 1 and `last` = 254 build all of them.

    At the end of a tensor one bin per cycle is looked at: by default the bias is there 39 cycles after the end (`latency`),
    unless other types' ends are being dealt with. Until then beats of the same type are missed.

    Parameters
    ----------
    types, lanes, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    first, last : int
        1 to 254: the exponents with a bin of their own; what is beyond is counted in these two.
    """

    def __init__(self, types=4, lanes=4, *, first=103, last=133, cnt_width=40, initial_bias=15, bias_min=10, bias_max=40):
        check_int("last", last, 1, 254)
        check_int("first", first, 1, last)
        self._first, self._last = first, last
        slots = readout.histogram_slots(first, last)
        biases = initial_bias, bias_min, bias_max
        super().__init__(slots, ("median_exponent",), 1, 0, cnt_width, types, lanes, *biases)

    def elaborate(self, platform):
        m = Module()
        tallies = self._tallies(m)
        lanes = Lanes(m, self.observe, self.busy)
        along = dict(lanes.numbers)
        exponents = [magnitude[23:] for magnitude in lanes.magnitudes]
        for e in range(self._first, self._last + 1):
            conditions = [exponent == e for exponent in exponents]
            if e == self._first:
                conditions = [exponent <= e for exponent in exponents]
            elif e == self._last:
                conditions = [exponent >= e for exponent in exponents]
            if self._first == self._last:
                conditions = [Const(1, 1)] * self.lanes
            along[f"exponent{e}"] = count([counted & here for counted, here in zip(lanes.counted, conditions)])
        along |= {"type": self.observe.type, "end": self.end.valid & ~pick(self.busy, self.end.type), "end_type": self.end.type}
        along = delayed(m, along, "sorted")
        m.d.comb += [tallies.type.eq(along["type"]), tallies.end.eq(along["end"]), tallies.end_type.eq(along["end_type"])]
        m.d.comb += [tallies.add[s].eq(along[name]) for s, name in enumerate(self._slots)]

        median = self._registers(m, 8, "median")
        self._work(m, tallies, median)
        self._reads(m, tallies, (median,))
        return m

    def _work(self, m, tallies, median):
        tick, value = tallies.tick, tallies.value
        bins = self._last - self._first + 1
        missing, rest = Signal(signed(self._cnt_width + 1)), Signal(signed(self._cnt_width + 1))
        found, empty, exponent = Signal(), Signal(), Signal(8)
        m.d.comb += rest.eq(missing - value)
        with m.If(tick == 1):
            m.d.sync += [missing.eq(half_less_one(value)), empty.eq(~value.any()), found.eq(0), exponent.eq(self._first)]
        with m.Elif(~found & (tick >= 2) & (tick < 2 + bins)):
            m.d.sync += [missing.eq(rest), found.eq(rest < 0)]
            with m.If((rest >= 0) & (exponent != self._last)):
                m.d.sync += exponent.eq(exponent + 1)
        for t in range(self.types):
            with m.If(tallies.finished & ~empty & is_type(tallies.work_type, t)):
                m.d.sync += [median[t].eq(exponent), self.bias[t].eq(self._clamped_bias(exponent)), self.settled[t].eq(1)]
