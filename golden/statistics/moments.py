"""Mean and maximum of logarithms, and the largest magnitude of a window of tensors."""

import numpy as np
from narrowfloat.golden.checks import check_choice, check_int, integers_for
from narrowfloat.golden.formats import FP32_BIAS, FP32_INFINITY, FP32_MAN_BITS, FP32_SMALLEST_NORMAL, FloatFormat
from narrowfloat.golden.statistics.estimator import REFERENCE_EXPONENT, Counting
from numpy.typing import ArrayLike, NDArray

LOGS = ("mitchell", "table")


def log_table(log: str = "table") -> NDArray[np.int64]:
    """The logarithms ``256 * log2(1 + f)`` of fractions of a significand, f in units of 2**-8.

    Parameters
    ----------
    log : str
        "mitchell": f itself; "table": rounded to the nearest integer.

    Returns
    -------
    numpy.ndarray
        int64 [256], from 0 to 255.

    Raises
    ------
    ValueError
        `log` is not one of `LOGS`.
    """
    check_choice("log", log, LOGS)
    fraction = np.arange(256)
    return fraction if log == "mitchell" else np.rint(256 * np.log2(1 + fraction / 256)).astype(np.int64)


def fit_bias(fmt: FloatFormat | str, magnitudes: ArrayLike) -> NDArray[np.int64]:
    """The largest bias at which the largest finite number of `fmt` is not below a magnitude.

    >>> fit_bias("ab_e5m2", np.float32([14, 14.4]).view(np.uint32))
    array([28, 27])

    Then no rounding saturates, or goes to infinity. With a bias larger by one, what is above the largest number by less than
    half a step still rounds to it: 14.4 to 14 at bias 28. That is not counted on, since stochastic rounding at times takes it
    up to 16, which overflows.

    Parameters
    ----------
    fmt : FloatFormat or str
        One with a bias, or its name.
    magnitudes : numpy.ndarray
        Integers, any shape: the 31 bits of normal FP32 numbers without their signs.

    Returns
    -------
    numpy.ndarray
        int64 in the shape of `magnitudes`; within no range.

    Raises
    ------
    TypeError
        `fmt` is neither a FloatFormat nor a name; `magnitudes` are not integers.
    ValueError
        One is not that of a normal FP32 number.
    """
    fmt = FloatFormat.of(fmt)
    shape = np.shape(magnitudes)
    magnitudes = (
        integers_for("magnitudes", magnitudes, FP32_SMALLEST_NORMAL, FP32_INFINITY - 1, shape).reshape(shape).astype(np.int64)
    )
    top, fraction = divmod(fmt.max_finite, 2**fmt.man_bits)
    # one exponent more where the fraction is above that of the largest number
    magnitudes += 2**FP32_MAN_BITS - 1 - (fraction << FP32_MAN_BITS - fmt.man_bits)
    magnitudes >>= FP32_MAN_BITS
    np.subtract(top + FP32_BIAS, magnitudes, out=magnitudes)
    return magnitudes[()]


class LogMoments(Counting):
    """Mean and maximum of log2|x| of a tensor, which S2FP8 needs (Cambier et al. 2020, arXiv 2001.05674), and the largest
    magnitude in a window of tensors, from which delayed scaling chooses a scale.

    Logarithms are U = log2|x| + 127 in units of 2**-8, 16 bits and positive: the word's bits 30 to 15, whose lower eight are
    the fraction f of the significand ("mitchell", 0.086 too small at most), or these replaced with ``round(256 log2(1 + f))``
    ("table"). ``mean = floor(sum / total)``. The bias is that of the nearest integer to the mean,
    ``143 - ((mean + 128) >> 8)``. A tensor without a value that counts changes nothing.

    Raw statistics: the counts "total", "zeros", "specials", the sum "log_sum" and the largest magnitude "amax" of this tensor,
    "missed" since reset; of the last finished tensor "mean" and "max" of U; and "amax_window", the largest of the last
    `history` tensors' amax, with its `fit_bias`, kept in range.

    Parameters
    ----------
    types, cnt_width, initial_bias, bias_min, bias_max
        As for `MedianEstimator`. The sum saturates at ``cnt_width + 16`` bits.
    log : str
        "mitchell" or "table".
    history : int
        Tensors in the window, 1 to 64; with 1 it is the most recent one alone.
    fmt : FloatFormat or str
        One with at most 7 exponent bits, or its name, for "fit_bias".

    Raises
    ------
    TypeError
        `fmt` is neither a FloatFormat nor a name.
    ValueError
        A parameter is out of its range.
    """

    def __init__(
        self,
        types: int = 4,
        *,
        log: str = "table",
        history: int = 16,
        fmt: FloatFormat | str = "ab_e5m2",
        cnt_width: int = 40,
        initial_bias: int | None = None,
        bias_min: int = 10,
        bias_max: int = 40,
    ) -> None:
        fmt = FloatFormat.of(fmt)
        if fmt.exp_bits > 7:
            raise ValueError(f"fmt must have at most 7 exponent bits, unlike {fmt.name}")
        table = log_table(log)
        history = check_int("history", history, 1, 64)
        names = ("total", "zeros", "specials", "missed")
        super().__init__(names, cnt_width, types, initial_bias, bias_min, bias_max)
        self._history = history
        self._sum_limit = (self._limit + 1 << 16) - 1
        self._table = table.astype(np.uint8)
        self._is_table = log == "table"
        self._fmt = fmt
        self._log_sum, self._amax = [0] * self.types, [0] * self.types
        self._amaxes: list[list[int]] = [[] for _ in range(self.types)]
        self._last = [{"mean": 0, "max": 0, "amax_window": 0, "fit_bias": int(bias)} for bias in self._bias]

    def _raw(self, type_):
        return self._counts[type_] | {"log_sum": self._log_sum[type_], "amax": self._amax[type_]} | self._last[type_]

    def _logs(self, magnitudes):
        logs = magnitudes >> np.uint32(15)
        if self._is_table:
            logs = (logs & np.uint32(0xFF00)) + self._table[logs & np.uint32(0xFF)]
        return logs

    def _count_values(self, type_, offsets):
        offsets += np.uint32(FP32_SMALLEST_NORMAL)
        self._amax[type_] = max(self._amax[type_], int(offsets.max()))
        # a part's sum is below 2**16 * 2**16
        more = int(self._logs(offsets).sum(dtype=np.uint32 if len(offsets) < 2**16 else np.uint64))
        self._log_sum[type_] = min(self._log_sum[type_] + more, self._sum_limit)

    def _conclude(self, type_, counts):
        log_sum, amax = self._log_sum[type_], self._amax[type_]
        self._log_sum[type_] = self._amax[type_] = 0
        self._amaxes[type_] = [*self._amaxes[type_], amax][-self._history :]
        window = max(self._amaxes[type_])
        mean = min(log_sum // counts["total"], 0xFFFF)
        self._last[type_] = {
            "mean": mean,
            "max": int(self._logs(np.array([amax], np.uint32))[0]),
            "amax_window": window,
            "fit_bias": self._clamped(int(fit_bias(self._fmt, window))),
        }
        self._bias[type_] = self._clamped(REFERENCE_EXPONENT - (mean + 128 >> 8))
        self._settled[type_] = True
