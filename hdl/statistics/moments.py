"""Mean and maximum of the logarithm, and the largest magnitude of a window of tensors."""

from functools import reduce
from operator import add, or_
from types import MappingProxyType

from amaranth.hdl import Array, Cat, Const, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Out
from narrowfloat.golden.formats import BIAS_BITS, FloatFormat
from narrowfloat.golden.statistics import LOGS, log_table, readout
from narrowfloat.hdl.block import Choice, Format, Integer, Relation
from narrowfloat.hdl.parts.logic import division_step, extreme, is_number, pick, wire
from narrowfloat.hdl.parts.ram import Ram
from narrowfloat.hdl.statistics.base import MAGNITUDE_BITS, Lanes
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed

_LOG_BITS, _FRACTION_BITS = 16, 8


class LogMoments(CountingEstimator):
    """Mean and maximum of log2|x| for S2FP8, and the largest magnitude in a window of tensors for delayed scaling.

    Equation: logarithms have 8 fraction bits; their mean is their sum divided by their number, rounded down; the bias is 143
    less the mean, rounded. `fit_bias` is the largest bias at which the largest finite number of `fmt` is not below the largest
    magnitude of the window, kept in range. All as in `golden.statistics.LogMoments`, which is bit-exact. `settled` says that
    one tensor in which something counted has ended.

    Latency: at the end of a tensor the division for the mean gives a bit per cycle, and meanwhile the window is looked through;
    by default the results are there 24 cycles after the end, unless ends of other types are being dealt with. Until then beats
    of the same type are missed. Throughput: a beat per clock.

    Members
    -------
    observe, end, bias, settled, busy, working, read
        As described in `Estimator`.
    mean, max : Out(ArrayLayout(16, types))
        Those of the last finished tensor of each type, which `hdl.s2fp8.S2Parameters` takes. They change as `busy` falls.

    Fields
    ------
    mean, max
        Of the last finished tensor of each type the mean and the largest of 127 + log2 of the magnitudes. They change as `busy`
        falls.
    """

    log = Choice("table", LOGS, "How logarithms are found: the word itself, or corrected by a table.")
    history = Integer(16, 1, 64, "Tensors in the window.")
    fmt = Format("ab_e5m2", FloatFormat, "The format that is to hold the largest magnitude.")

    relations = (Relation("fmt must have at most 7 exponent bits", lambda fmt: fmt.exp_bits <= 7),)

    slots = ("total", "zeros", "specials", "missed")
    others = readout.LOG_MOMENTS[8:]
    sorting_cycles = 1
    fraction_bits = MappingProxyType({"mean": _FRACTION_BITS, "max": _FRACTION_BITS})

    @property
    def least_job_cycles(self):
        # total, 16 bits of the mean, store; and write, look through, store
        return max(_LOG_BITS + 4, self.history + 5)

    def members(self):
        moments = Out(data.ArrayLayout(_LOG_BITS, self.types))
        return super().members() | {"mean": moments, "max": moments}

    def build(self, m):
        counts = self._counts(m)
        sum_bits = self.cnt_width + _LOG_BITS
        log_sum = self._registers(sum_bits, "log_sum")
        amax = self._registers(MAGNITUDE_BITS, "amax")
        results = {
            "mean": [self.mean[t] for t in range(self.types)],
            "max": [self.max[t] for t in range(self.types)],
            "amax_window": self._registers(MAGNITUDE_BITS, "amax_window"),
            "fit_bias": self._registers(BIAS_BITS, "fit_bias", self.first_bias),
        }
        lanes = Lanes(m, self.observe, self.busy)
        logs = [
            Mux(counted, self._logarithm(m, magnitude, i), 0)
            for i, (magnitude, counted) in enumerate(zip(lanes.magnitudes, lanes.counted))
        ]
        largest = extreme(
            m,
            [magnitude & counted.replicate(MAGNITUDE_BITS) for magnitude, counted in zip(lanes.magnitudes, lanes.counted)],
            "largest",
            lambda a, b: a > b,
        )
        beat = lanes.numbers | {"type": self.observe.type, "largest": largest, "logs": reduce(add, logs)}
        beat = delayed(m, beat | self._type_and_end(), "summed")
        self._add(m, counts, beat)

        # A beat may add more than a sum of few bits can hold.
        more = wire(m, max(sum_bits, len(beat["logs"])) + 1, pick(log_sum, beat["type"]) + beat["logs"])
        larger = wire(m, 1, beat["largest"] > pick(amax, beat["type"]))
        for t in range(self.types):
            with m.If(is_number(beat["type"], t)):
                m.d.sync += log_sum[t].eq(Mux(reduce(or_, more[sum_bits:]), 2**sum_bits - 1, more))
                with m.If(larger):
                    m.d.sync += amax[t].eq(beat["largest"])
            with m.If(counts.finished & is_number(counts.job_type, t)):
                m.d.sync += [log_sum[t].eq(0), amax[t].eq(0)]
        self._work(m, counts, log_sum, amax, results)
        halves = [part[:32] for part in log_sum], [part[32:] for part in log_sum]
        self._reads(m, counts, (*halves, amax, *results.values()))

    def _logarithm(self, m, magnitude, name):
        """log2 + 127 with 8 fraction bits: the word itself, and a correction of at most 22 that the top fraction bits say."""
        fraction = magnitude[15:23]
        correction = 0
        if self.log == "table":
            corrections = [log - i for i, log in enumerate(log_table().tolist())]
            correction = wire(m, 5, Array(Const(c, 5) for c in corrections)[fraction], f"correction_{name}")
        return wire(m, _LOG_BITS, magnitude[15:] + correction, f"logarithm_{name}")

    def _work(self, m, counts, log_sum, amax, results):
        type_, tick, value = counts.job_type, counts.tick, counts.value
        own_sum = Signal.like(log_sum[0])
        own_amax = Signal(MAGNITUDE_BITS)
        m.d.comb += [own_sum.eq(pick(log_sum, type_)), own_amax.eq(pick(amax, type_))]
        empty = Signal()
        total = Signal(self.cnt_width)

        # A saturated sum may be 2**16 times the total or more, but less than one of a total one larger: then all bits are ones.
        # |rest| < total + 2**16
        rest = Signal(max(self.cnt_width, _LOG_BITS) + 1)
        bits = Signal(_LOG_BITS)
        trial = Signal(len(rest) + 1)
        fits, next_rest = division_step(m, trial, bits[-1], rest, total)
        with m.If(tick == 1):
            m.d.sync += [total.eq(value), empty.eq(~value.any()), bits.eq(own_sum), rest.eq(own_sum[_LOG_BITS:])]
        with m.Elif(tick < 2 + _LOG_BITS):
            m.d.sync += [bits.eq(Cat(fits, bits[:-1])), rest.eq(next_rest)]

        window = self._window(m, counts, own_amax, empty)
        # the least exponent at which the largest number is not below the window's
        fraction = self.fmt.max_finite % 2**self.fmt.man_bits << 23 - self.fmt.man_bits
        top = (self.fmt.max_finite >> self.fmt.man_bits) + 127
        fit = wire(m, 9, window[23:] + (window[:23] > fraction if fraction else window[:23].any()))
        rounded = wire(m, 9, bits[8:] + bits[7])
        results_now = {
            "mean": bits,
            "max": self._logarithm(m, own_amax, "max"),
            "amax_window": window,
            "fit_bias": self._clamped_bias(m, fit, "fit_bias_now", top),
        }
        bias = self._clamped_bias(m, rounded, "bias_of_mean")
        for t in range(self.types):
            with m.If(wire(m, 1, counts.finished & ~empty & is_number(type_, t), f"stores_type{t}")):
                m.d.sync += [results[name][t].eq(result) for name, result in results_now.items()]
                m.d.sync += [self.bias[t].eq(bias), self.settled[t].eq(1)]

    def _window(self, m, counts, own_amax, empty):
        """Write the largest magnitude over the oldest one of its type, and find the largest of those that are there."""
        history, tick, type_ = self.history, counts.tick, counts.job_type
        place_bits = max((history - 1).bit_length(), 1)
        oldest = self._registers(place_bits, "oldest")
        filled = self._registers(1, "filled")
        own_oldest = Signal(place_bits)
        own_filled = Signal()
        m.d.comb += [own_oldest.eq(pick(oldest, type_)), own_filled.eq(pick(filled, type_))]
        m.submodules.amaxes = amaxes = Ram(MAGNITUDE_BITS, self.types << place_bits)
        place = Signal(range(history + 3))
        window = Signal(MAGNITUDE_BITS)
        is_there = Signal()
        m.d.comb += [
            place.eq(tick - 3),
            amaxes.write_address.eq(Cat(own_oldest[:place_bits], type_)),
            amaxes.write_data.eq(own_amax),
            amaxes.write_enable.eq(counts.in_job & (tick == 2) & ~empty),
            amaxes.read_address.eq(Cat(place[:place_bits], type_)),
            amaxes.read_enable.eq(1),
        ]
        m.d.sync += is_there.eq((tick >= 3) & (tick < 3 + history) & (own_filled | (place <= own_oldest)))
        with m.If(tick == 0):
            m.d.sync += window.eq(0)
        with m.Elif(is_there & (amaxes.read_data > window)):
            m.d.sync += window.eq(amaxes.read_data)
        for t in range(self.types):
            with m.If(counts.finished & ~empty & is_number(type_, t)):
                m.d.sync += oldest[t].eq(oldest[t] + 1)
                with m.If(own_oldest == history - 1):
                    m.d.sync += [oldest[t].eq(0), filled[t].eq(1)]
        return window
