"""Mean and maximum of the logarithm, and the largest magnitude of a window of tensors."""

from functools import reduce
from math import log2
from operator import add

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory
from amaranth.lib.wiring import Out
from narrowfloat.golden.checks import check_choice, check_int
from narrowfloat.golden.formats import BIAS_BITS, CATALOG, FloatFormat
from narrowfloat.golden.statistics import readout
from narrowfloat.hdl.parts.arith import pick
from narrowfloat.hdl.statistics.base import (
    MAGNITUDE_BITS,
    Lanes,
    is_type,
    tree,
)
from narrowfloat.hdl.statistics.counts import CountingEstimator, delayed

LOGS = ("mitchell", "table")
_LOG_BITS = 16


class LogMoments(CountingEstimator):
    """Mean and maximum of log2|x| for S2FP8, and the largest magnitude in a window of tensors for delayed scaling: see
    `golden.statistics.LogMoments`, which is bit-exact.

    At the end of a tensor the division for the mean gives a bit per cycle, and meanwhile the window is looked through: by
    default the results are there 24 cycles after the end (`latency`), unless other types' ends are being dealt with. Until
    then beats of the same type are missed.

    Parameters
    ----------
    types, lanes, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`.
    log : str
        One of `LOGS`.
    history : int
        1 to 64: tensors in the window.
    fmt : golden.formats.FloatFormat
        The format that is to hold the largest magnitude.

    Members
    -------
    mean, max : Out(ArrayLayout(16, types))
        Those of the last finished tensor of each type, which `hdl.s2fp8.S2Parameters` takes. They change as `busy` falls.
    """

    def __init__(
        self,
        types=4,
        lanes=4,
        *,
        log="table",
        history=16,
        fmt=CATALOG["ab_e5m2"],
        cnt_width=40,
        initial_bias=15,
        bias_min=10,
        bias_max=40,
    ):
        check_choice("log", log, LOGS)
        check_int("history", history, 1, 64)
        if not isinstance(fmt, FloatFormat) or fmt.exp_bits == 8:
            raise ValueError(f"fmt must be a FloatFormat of at most 7 exponent bits, not {fmt!r}")
        self._log, self._history, self._fmt = log, history, fmt
        # total, 16 bits of the mean, store; and write, look through, store
        work_cycles = max(_LOG_BITS + 4, history + 5)
        slots, others = ("total", "zeros", "specials", "missed"), readout.LOG_MOMENTS[8:]
        biases, moments = (initial_bias, bias_min, bias_max), Out(data.ArrayLayout(_LOG_BITS, types))
        members = {"mean": moments, "max": moments}
        super().__init__(slots, others, 1, work_cycles, cnt_width, types, lanes, *biases, members=members)

    def elaborate(self, platform):
        m = Module()
        tallies = self._tallies(m)
        sum_bits = self._cnt_width + _LOG_BITS
        log_sum = self._registers(m, sum_bits, "log_sum")
        amax = self._registers(m, MAGNITUDE_BITS, "amax")
        results = {
            "mean": [self.mean[t] for t in range(self.types)],
            "max": [self.max[t] for t in range(self.types)],
            "amax_window": self._registers(m, MAGNITUDE_BITS, "amax_window"),
            "fit_bias": self._registers(m, BIAS_BITS, "fit_bias", self._initial_bias),
        }
        lanes = Lanes(m, self.observe, self.busy)
        logs = [
            Mux(counted, self._logarithm(m, magnitude, i), 0)
            for i, (magnitude, counted) in enumerate(zip(lanes.magnitudes, lanes.counted))
        ]
        largest = tree(
            m,
            [magnitude & counted.replicate(MAGNITUDE_BITS) for magnitude, counted in zip(lanes.magnitudes, lanes.counted)],
            "largest",
            lambda a, b: a > b,
        )
        along = dict(lanes.numbers) | {"type": self.observe.type, "largest": largest, "logs": reduce(add, logs)}
        along |= {"end": self.end.valid & ~pick(self.busy, self.end.type), "end_type": self.end.type}
        along = delayed(m, along, "summed")
        m.d.comb += [tallies.type.eq(along["type"]), tallies.end.eq(along["end"]), tallies.end_type.eq(along["end_type"])]
        m.d.comb += [tallies.add[s].eq(along[name]) for s, name in enumerate(self._slots)]

        more = Signal(sum_bits + 1)
        m.d.comb += more.eq(pick(log_sum, along["type"]) + along["logs"])
        larger = along["largest"] > pick(amax, along["type"])
        for t in range(self.types):
            with m.If(is_type(along["type"], t)):
                m.d.sync += log_sum[t].eq(Mux(more[-1], 2**sum_bits - 1, more))
                with m.If(larger):
                    m.d.sync += amax[t].eq(along["largest"])
            with m.If(tallies.finished & is_type(tallies.work_type, t)):
                m.d.sync += [log_sum[t].eq(0), amax[t].eq(0)]
        self._work(m, tallies, log_sum, amax, results)
        halves = [part[:32] for part in log_sum], [part[32:] for part in log_sum]
        self._reads(m, tallies, (*halves, amax, *results.values()))
        return m

    def _logarithm(self, m, magnitude, name):
        """log2 + 127 with 8 fraction bits: the word itself, and a correction of at most 22 that the top fraction bits say."""
        logarithm = Signal(_LOG_BITS, name=f"logarithm_{name}")
        fraction = magnitude[15:23]
        corrections = [round(256 * log2(1 + i / 256)) - i for i in range(256)]
        correction = Array(Const(c, 5) for c in corrections)[fraction] if self._log == "table" else 0
        m.d.comb += logarithm.eq(magnitude[15:] + correction)
        return logarithm

    def _work(self, m, tallies, log_sum, amax, results):
        type_, tick, value = tallies.work_type, tallies.tick, tallies.value
        own_sum, own_amax = Signal.like(log_sum[0]), Signal(MAGNITUDE_BITS)
        m.d.comb += [own_sum.eq(pick(log_sum, type_)), own_amax.eq(pick(amax, type_))]
        empty, total = Signal(), Signal(self._cnt_width)

        # A saturated sum may be 2**16 times the total or more, but less than one of a total one larger: then all bits are ones.
        # |rest| < total + 2**16
        rest = Signal(max(self._cnt_width, _LOG_BITS) + 1)
        bits = Signal(_LOG_BITS)
        trial = Signal(len(rest) + 1)
        fits = Signal()
        m.d.comb += [trial.eq(Cat(bits[-1], rest)), fits.eq(trial >= total)]
        with m.If(tick == 1):
            m.d.sync += [total.eq(value), empty.eq(~value.any()), bits.eq(own_sum), rest.eq(own_sum[_LOG_BITS:])]
        with m.Elif(tick < 2 + _LOG_BITS):
            m.d.sync += [bits.eq(Cat(fits, bits[:-1])), rest.eq(Mux(fits, trial - total, trial))]

        window = self._window(m, tallies, own_amax, empty)
        # the least exponent at which the largest number is not below the window's
        fraction = self._fmt.max_finite % 2**self._fmt.man_bits << 23 - self._fmt.man_bits
        top = (self._fmt.max_finite >> self._fmt.man_bits) + 127
        fit = Signal(9)
        m.d.comb += fit.eq(window[23:] + (window[:23] > fraction if fraction else window[:23].any()))
        rounded = Signal(9)
        m.d.comb += rounded.eq(bits[8:] + bits[7])
        results_now = {
            "mean": bits,
            "max": self._logarithm(m, own_amax, "max"),
            "amax_window": window,
            "fit_bias": self._clamped_bias(fit, top),
        }
        for t in range(self.types):
            with m.If(tallies.finished & ~empty & is_type(type_, t)):
                m.d.sync += [results[name][t].eq(result) for name, result in results_now.items()]
                m.d.sync += [self.bias[t].eq(self._clamped_bias(rounded)), self.settled[t].eq(1)]

    def _window(self, m, tallies, own_amax, empty):
        """Write the largest magnitude over the oldest one of its type, and find the largest of those that are there."""
        history, tick, type_ = self._history, tallies.tick, tallies.work_type
        place_bits = max((history - 1).bit_length(), 1)
        oldest = self._registers(m, place_bits, "oldest")
        filled = self._registers(m, 1, "filled")
        own_oldest, own_filled = Signal(place_bits), Signal()
        m.d.comb += [own_oldest.eq(pick(oldest, type_)), own_filled.eq(pick(filled, type_))]
        m.submodules.amaxes = amaxes = memory.Memory(shape=MAGNITUDE_BITS, depth=self.types << place_bits, init=[])
        reader, writer = amaxes.read_port(), amaxes.write_port()
        place = Signal(range(history + 3))
        window, is_there = Signal(MAGNITUDE_BITS), Signal()
        m.d.comb += [
            place.eq(tick - 3),
            writer.addr.eq(Cat(own_oldest[:place_bits], type_)),
            writer.data.eq(own_amax),
            writer.en.eq(tallies.at_work & (tick == 2) & ~empty),
            reader.addr.eq(Cat(place[:place_bits], type_)),
        ]
        m.d.sync += is_there.eq((tick >= 3) & (tick < 3 + history) & (own_filled | (place <= own_oldest)))
        with m.If(tick == 0):
            m.d.sync += window.eq(0)
        with m.Elif(is_there & (reader.data > window)):
            m.d.sync += window.eq(reader.data)
        for t in range(self.types):
            with m.If(tallies.finished & ~empty & is_type(type_, t)):
                m.d.sync += oldest[t].eq(oldest[t] + 1)
                with m.If(own_oldest == history - 1):
                    m.d.sync += [oldest[t].eq(0), filled[t].eq(1)]
        return window
