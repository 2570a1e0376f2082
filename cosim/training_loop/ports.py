"""The memory port as a training uses it: the emitted one and the golden one, with the same methods."""

from narrowfloat.cosim.native_port import NativePort
from narrowfloat.cosim.training_loop.training import TYPES
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.memory import ESTIMATORS, MODES, MemoryPort
from narrowfloat.golden.s2fp8 import ALPHA_FRACTION_BITS, INVERSE_FRACTION_BITS, MEAN_FRACTION_BITS, Parameters
from narrowfloat.golden.statistics import readout


def _spelled(parameters):
    """S2FP8's parameters as they are recorded."""
    mean = parameters.mean / 2**MEAN_FRACTION_BITS - 127
    return {"alpha": parameters.squeeze, "mean": mean, "inverse": parameters.inverse / 2**INVERSE_FRACTION_BITS}


class Hardware:
    """The emitted port with the methods that a training calls."""

    def __init__(self, manifest):
        self.port = NativePort(manifest)
        self.lanes, self.types = self.port.lanes, range(self.port.types)
        self._control = {}

    def write(self, beats, type):
        if type is not None:
            self.port.settle(type)
        return self.port.write(beats)

    def read(self, beats):
        return self.port.read(beats)

    def choose(self, estimator, end_on_epoch, force):
        self._control["end_on_epoch"] = int(end_on_epoch)
        if estimator is not None:
            self._control["estimator"] = list(ESTIMATORS).index(estimator)
        for t in self.types:
            self.port.poke(f"FORCE{t}", bias=force or 0, enable=int(force is not None))

    def set_mode(self, mode):
        for t in self.types:
            self.port.poke(f"CONTROL{t}", **self._control, mode=MODES.index(mode))

    def bias(self, type):
        self.port.settle(type)
        return {"bias": self.port.peek(f"BIAS{type}")["next"]}

    def squeeze(self, type):
        self.port.settle(type)
        found, expand = self.port.peek(f"SQUEEZE{type}"), self.port.peek(f"EXPAND{type}")
        alpha = (found["alpha_exponent"] ^ 8) - 8 << ALPHA_FRACTION_BITS | found["alpha_fraction"]
        return _spelled(Parameters(alpha, found["mean"], expand["inverse"]))

    def end_epoch(self):
        self.port.poke("EPOCH", types=2 ** len(self.types) - 1)

    def statistics(self):
        """By name: flags and all raw statistics of every type, each as a 32-bit word."""
        found = {}
        for t in self.types:
            self.port.settle(t)
            found[f"{TYPES[t]} flags"] = sum(bit << n for n, bit in enumerate(self.port.peek(f"FLAGS{t}").values()))
            for estimator, names in self.port.manifest["statistics"].items():
                for index, name in enumerate(names):
                    self.port.poke("STAT_INDEX", index=index, type=t, estimator=list(ESTIMATORS).index(estimator))
                    found[f"{TYPES[t]} {estimator} {name}"] = self.port.peek("STAT_DATA")["word"]
        return found


class Model:
    """The golden port with the parameters of the emitted one, and the methods that a training calls."""

    def __init__(self, manifest):
        self._manifest = manifest
        own = manifest["parameters"]
        counters = {name: {} if name == "tracker" else {"cnt_width": own["cnt_width"]} for name in own["estimators"]}
        self.port = MemoryPort(
            lanes=own["lanes"],
            types=own["types"],
            fmt=FloatFormat.parse(own["fmt"]),
            estimators=counters,
            bias_min=own["bias_min"],
            bias_max=own["bias_max"],
            s2fp8=own["s2fp8"],
        )
        self.lanes, self.types = own["lanes"], range(own["types"])

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
        found = {}
        for t in self.types:
            found[f"{TYPES[t]} flags"] = int(self.port.flags[t])
            for estimator, names in self._manifest["statistics"].items():
                words = readout.words(self.port.estimators[estimator].raw(t), names)
                found |= {f"{TYPES[t]} {estimator} {name}": int(word) for name, word in zip(names, words, strict=True)}
        return found
