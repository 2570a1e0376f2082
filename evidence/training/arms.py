"""What the experiments with training compare: ways to store tensors (`fp8_training`), to multiply (`fast_training`), and to
truncate tensors (`s2fp8_training`)."""

from dataclasses import dataclass
from functools import partial

from narrowfloat.golden.statistics import ExponentHistogram, MedianEstimator, MedianTracker

TYPES = ("activation", "error", "gradient", "weight")

# Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2, train so many epochs in FP32 while the estimators observe, then in FP8 with
# constant biases. The median estimator has as many passes.
CALIBRATION = 4


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the ways that an experiment compares."""

    name: str
    title: str


@dataclass(frozen=True, kw_only=True)
class StorageArm(Arm):
    """One way to store tensors.

    `schedule` is "fp32"; "fixed", FP8 with bias 15; "frozen", the paper's; or "throughout", FP8 from the first step with
    biases that follow the data: there every step counts as an epoch for the estimators, and the bias of all types is 15 until
    the first answer. Without `master` the weights exist in FP8 only: the optimizer's result is rounded. No bias is above
    `bias_max`: the paper's table of biases ends at 40, but the biases it reports at 31.
    """

    schedule: str
    estimator: str | None = None
    master: bool = True
    bias_max: int = 40

    def new_estimator(self):
        if self.estimator is None:
            return None
        median = partial(MedianEstimator, continuous=self.schedule == "throughout")
        kinds = {"median": median, "histogram": ExponentHistogram, "tracker": MedianTracker}
        return kinds[self.estimator](bias_max=self.bias_max)


_ESTIMATORS = {"median": "paper's median", "histogram": "exponent histogram", "tracker": "median tracker"}

STORAGE_ARMS = {
    arm.name: arm
    for arm in (
        StorageArm(name="fp32", title="FP32", schedule="fp32"),
        StorageArm(name="e5m2", title="E5M2, bias 15", schedule="fixed"),
        *(
            StorageArm(name=f"{name}-{schedule}", title=f"{title}, {words}", schedule=schedule, estimator=name)
            for schedule, words in (("frozen", "4 epochs FP32, then frozen"), ("throughout", "adapting throughout"))
            for name, title in _ESTIMATORS.items()
        ),
        StorageArm(
            name="median-frozen-narrow",
            title="paper's median, frozen, weights in FP8 only",
            schedule="frozen",
            estimator="median",
            master=False,
        ),
        StorageArm(
            name="median-throughout-31",
            title="paper's median, adapting, bias at most 31",
            schedule="throughout",
            estimator="median",
            bias_max=31,
        ),
    )
}


# What a layer multiplies: O = A W forward; with gradients those of O.
OPERANDS = ("activation", "weight", "gradient")


@dataclass(frozen=True, kw_only=True)
class BlockArm(Arm):
    """One way to compute matrix products: in FP32, or in block floating point of `bits` mantissa bits; None: what the policy
    chooses.

    Gradients are rounded stochastically, or else as weights and activations are.
    """

    fp32: bool = False
    bits: int | None = None
    stochastic: bool = False
    rounding: str = "rne"


BLOCK_ARMS = {
    arm.name: arm
    for arm in (
        BlockArm(name="fp32", title="FP32", fp32=True),
        *(
            BlockArm(name=name + suffix, title=f"{title}, gradients {words}", bits=bits, stochastic=bool(suffix))
            for name, title, bits in (("bfp2", "2 bits", 2), ("bfp4", "4 bits", 4), ("fast", "FAST's policy", None))
            for suffix, words in (("", "to nearest"), ("-sr", "stochastic"))
        ),
        BlockArm(name="bfp2-rtz", title="2 bits, everything truncated", bits=2, rounding="rtz"),
    )
}


@dataclass(frozen=True, kw_only=True)
class TruncationArm(Arm):
    """What is left of every tensor before and after every matrix product.

    `kind` is "fp32", all of it; "e5m2", FP8 with bias 15, subnormals and saturation; "adaptive", FP8 with a bias for each type
    of tensor, from a median tracker; or "s2fp8". Backward the loss is `scale` times as large, and gradients are divided by it
    in FP32.
    """

    kind: str
    scale: float = 1.0


TRUNCATION_ARMS = {
    arm.name: arm
    for arm in (
        TruncationArm(name="fp32", title="FP32", kind="fp32"),
        TruncationArm(name="e5m2", title="E5M2", kind="e5m2"),
        TruncationArm(name="e5m2-scaled", title="E5M2, loss times 1024", kind="e5m2", scale=1024.0),
        TruncationArm(name="adaptive", title="adaptive bias", kind="adaptive"),
        TruncationArm(name="s2fp8", title="S2FP8", kind="s2fp8"),
    )
}
