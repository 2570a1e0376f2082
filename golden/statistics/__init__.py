"""The bias that suits a tensor, from the median of its magnitudes, exactly or from statistics of a stream.

After Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: the bias is that whose range is centred on the median. The estimators
are bit-exact to `hdl.statistics`; their state evolves from call to call.
"""

from narrowfloat.golden.statistics.estimator import MAX_TYPES, REFERENCE_EXPONENT
from narrowfloat.golden.statistics.exact import exact_median_bias
from narrowfloat.golden.statistics.histogram import ExponentHistogram
from narrowfloat.golden.statistics.median import MedianEstimator
from narrowfloat.golden.statistics.moments import LOGS, LogMoments, fit_bias, log_table
from narrowfloat.golden.statistics.tracker import RUNS, MedianTracker

__all__ = [
    "LOGS",
    "MAX_TYPES",
    "REFERENCE_EXPONENT",
    "RUNS",
    "ExponentHistogram",
    "LogMoments",
    "MedianEstimator",
    "MedianTracker",
    "exact_median_bias",
    "fit_bias",
    "log_table",
]
