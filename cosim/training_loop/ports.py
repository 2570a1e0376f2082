"""The memory port as a training uses it: the emitted one and the golden one, with the same methods."""

from narrowfloat.cosim.native_port import NativePort
from narrowfloat.cosim.training_loop.training import TYPES
from narrowfloat.golden.memory import ESTIMATORS, MODES
from narrowfloat.golden.reference import load
from narrowfloat.golden.s2fp8 import ALPHA_FRACTION_BITS, INVERSE_FRACTION_BITS, MEAN_FRACTION_BITS, Parameters


def _spelled(parameters):
    """S2FP8's parameters as they are recorded."""
    mean = parameters.mean / 2**MEAN_FRACTION_BITS - 127
    return {"alpha": parameters.squeeze, "mean": mean, "inverse": parameters.inverse / 2**INVERSE_FRACTION_BITS}


class Hardware(NativePort):
    """The emitted port with the methods that a training calls."""

    def write(self, beats, type):
        if type is not None:
            self.settle(type)
        return super().write(beats)

    def choose(self, estimator, end_on_epoch, force):
        code = list(ESTIMATORS).index(estimator or self.reference.names[0])
        self._control = {"estimator": code, "end_on_epoch": int(end_on_epoch)}
        for t in range(self.types):
            self.poke(f"FORCE{t}", bias=force or 0, enable=int(force is not None))

    def set_mode(self, mode):
        for t in range(self.types):
            self.poke(f"CONTROL{t}", **self._control, mode=MODES.index(mode))

    def bias(self, type):
        self.settle(type)
        return {"bias": self.peek(f"BIAS{type}")["next"]}

    def squeeze(self, type):
        self.settle(type)
        found, decode = self.peek(f"S2_ENCODE{type}"), self.peek(f"S2_DECODE{type}")
        alpha = (found["alpha_exponent"] ^ 8) - 8 << ALPHA_FRACTION_BITS | found["alpha_fraction"]
        return _spelled(Parameters(alpha, found["mean"], decode["inverse"]))

    def end_epoch(self):
        self.poke("EPOCH", types=2**self.types - 1)

    def statistics(self):
        """By name: biases, flags, state and all raw statistics of every type."""
        return {f"{TYPES[t]} {name}": value for t in range(self.types) for name, value in self._state(t).items()}

    def _state(self, t):
        self.settle(t)
        state = self.reference.read_state(t, {name: self.peek_word(f"{name}{t}") for name in self.reference.state_registers})
        for name, place in self.reference.raw_statistics.items():
            self.poke("STAT_INDEX", **place, type=t)
            state[name] = self.peek_word("STAT_DATA")
        return state


class Model:
    """The golden port with the parameters of the emitted one, and the methods that a training calls."""

    def __init__(self, manifest):
        self._reference = load(manifest)
        self.port = self._reference.port
        self.lanes, self.types = self.port.lanes, range(self.port.types)

    def write(self, beats, type):
        return self.port.write(beats)

    def read(self, beats):
        return self.port.read(beats)

    def choose(self, estimator, end_on_epoch, force):
        for t in self.types:
            self.port.estimator[t] = estimator or self.port.estimator[t]
            self.port.end_on_epoch[t], self.port.force[t] = end_on_epoch, force

    def set_mode(self, mode):
        self.port.mode = [mode for _ in self.types]

    def bias(self, type):
        return {"bias": self.port.next_bias(type)}

    def squeeze(self, type):
        return _spelled(self.port.next_parameters[type])

    def end_epoch(self):
        self.port.epoch(self.types)

    def statistics(self):
        """See `Hardware.statistics`."""
        return {f"{TYPES[t]} {name}": value for t in self.types for name, value in self._reference.state(t).items()}
