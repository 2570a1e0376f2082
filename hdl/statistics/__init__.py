"""Estimators of the bias that suits a tensor type, from statistics of the values that stream by.

All have the same members. They only listen, on a tap that has no ready and takes a beat in every cycle.

observe : In({valid, type, keep, words})
    A beat: the tensor type, the lanes that hold data, and the FP32 words.
end : In({valid, type})
    The tensor or epoch of that type ends; a beat in the same cycle still belongs to it.
bias : Out(ArrayLayout(6, types))
settled : Out(types)
    The bias of that type is one from data.
busy : Out(types)
    The end of that type is still to be dealt with: its beats are left out, and counted as missed, and its ends ignored.
working : Out(1)
    Results of what has ended are not there yet.
read : In({enable, type, index, data, done})
    The raw statistic `index`, one of those in `golden.statistics.readout`: `enable` is held until `done`, when `data` is valid.

Zeros and subnormals count for nothing but ``zeros``, infinities and NaN for nothing but ``specials``.
"""

from narrowfloat.hdl.statistics.base import BIAS_RELATIONS, MAX_LANES, MAX_TYPES, starting_bias
from narrowfloat.hdl.statistics.histogram import ExponentHistogram
from narrowfloat.hdl.statistics.median import MedianEstimator
from narrowfloat.hdl.statistics.moments import LOGS, LogMoments
from narrowfloat.hdl.statistics.tracker import RUNS, MedianTracker

__all__ = [
    "BIAS_RELATIONS",
    "LOGS",
    "MAX_LANES",
    "MAX_TYPES",
    "RUNS",
    "ExponentHistogram",
    "LogMoments",
    "MedianEstimator",
    "MedianTracker",
    "starting_bias",
]
