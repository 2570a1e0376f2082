"""A training through the emitted memory port beside the same one through the golden port, as a `Result`."""

import time
from dataclasses import asdict, dataclass

from narrowfloat.cosim.report import Mismatch
from narrowfloat.cosim.training_loop.lockstep import lockstep
from narrowfloat.cosim.training_loop.ports import Hardware, Model
from narrowfloat.cosim.training_loop.training import Scheme, Training


@dataclass(frozen=True)
class Result:
    """What a training with both ports came to; `training` is that with the model."""

    scheme: Scheme
    training: Training
    parameters: dict
    words: int
    beats: int
    cycles: int
    stalls: int
    seconds: float
    failure: str | None

    def to_json(self, seed):
        """As the rows of `narrowfloat sim --json`, and loss, accuracy and biases."""
        return {
            "design": "memory_port",
            "parameters": self.parameters,
            "scheme": asdict(self.scheme),
            "simulator": "verilator",
            "seed": seed,
            "vectors": self.words,
            "beats": self.beats,
            "cycles": self.cycles,
            "stalls": self.stalls,
            "seconds": round(self.seconds, 3),
            "passed": self.failure is None,
            "history": self.training.history,
            "biases": self.training.biases,
        }


def run(manifest, plan, scheme, data, seed, advance=lambda: None):
    """Train with `scheme` through the port of `manifest`, a path, and through the model, as a `Result`."""
    started = time.perf_counter()
    hardware = Hardware(manifest)
    trainings = [Training(plan, scheme, *data, seed) for _ in range(2)]
    words, failure = 0, None
    try:
        words = lockstep((trainings[0], hardware), (trainings[1], Model(hardware.manifest)), advance)
    except Mismatch as mismatch:
        failure = f"{scheme.name}: {mismatch}; rerun: narrowfloat training-loop --seed {seed}"
    counts = hardware.beats, hardware.cycles, hardware.stalls
    seconds = time.perf_counter() - started
    return Result(scheme, trainings[1], hardware.manifest["parameters"], words, *counts, seconds, failure)
