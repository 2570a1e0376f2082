"""Estimators of the bias that suits a tensor type, from statistics of the values that stream by.

All have the members of `Estimator`, and only listen, on a tap that has no ready and takes a beat in every cycle.
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
