"""One module per experiment: the claim, how it is measured here, and how the results are shown.

An experiment that reads the results of others comes after them.
"""

from evidence.claims import (
    dram_energy,
    estimators,
    fast_speed,
    fast_training,
    fp8_training,
    lbfp_error,
    lbfp_inference,
    s2fp8_error,
    s2fp8_training,
)

EXPERIMENTS = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (
        estimators,
        fp8_training,
        dram_energy,
        lbfp_error,
        lbfp_inference,
        fast_training,
        fast_speed,
        s2fp8_error,
        s2fp8_training,
    )
}
