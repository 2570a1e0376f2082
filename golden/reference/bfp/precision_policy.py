"""The precision policy at the level of its streams."""

from itertools import product

import numpy as np
from narrowfloat.golden.bfp import EPSILON_BITS, precision, relative_improvement
from narrowfloat.golden.formats import BLOCKS
from narrowfloat.golden.reference.base import Reference
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.reference.streams import Stream


class PrecisionPolicy(Reference):
    """The sums of a tensor, its layer and the iteration to its mantissa bits (`narrowfloat.golden.bfp.precision`).

    Attributes
    ----------
    settings : dict
        What the registers hold, by their names in lower case: after a reset what the manifest says. `iterations` and `layers`
        must not be 0.
    """

    random_beats = 200
    mixed_beats = 6
    few_beats = 4

    def reset(self):
        self.settings = {
            register["name"].lower(): sum(part["reset"] << part["lsb"] for part in register["fields"])
            for register in self.manifest["registers"]
        }

    def requests(self, rows):
        """A beat for each of `rows`: numerator, denominator, iteration, layer."""
        numerator, denominator, iteration, layer = np.array(rows, np.uint64).T
        data = {"numerator": numerator, "denominator": denominator}
        return self.stream(data, self.rng.random(len(rows)) < 0.5, iteration=iteration, layer=layer)

    def corners(self):
        """The ends of every field, and what is next to the lower end, with one another."""
        sums = 0, 1, 2 ** self.parameters["sum_bits"] - 1
        yield self.requests(
            self.rng.permutation(np.array(list(product(sums, sums, (0, 1, 2**16 - 1), (0, 1, 2**8 - 1))), np.uint64))
        )

    def random(self, beats):
        """Sums of ratios near the threshold, exactly at it, and of any size; iterations and layers up to the end and beyond."""
        return self.requests([self._random_request() for _ in range(beats)])

    def _random_request(self):
        rng, width = self.rng, self.parameters["sum_bits"]
        iteration, layer = (int(rng.integers(self.settings[name] + 1)) for name in ("iterations", "layers"))
        if rng.random() < 0.1:
            iteration, layer = int(rng.integers(2**16)), int(rng.integers(2**8))
        # Of up to so many bits.
        denominator, numerator = (
            int(rng.integers(2**width - 1, dtype=np.uint64)) >> int(rng.integers(width + 1)) for _ in range(2)
        )
        if rng.random() < 0.6:
            epsilon, whole = self._epsilon(iteration, layer)
            at_threshold = -(-epsilon * denominator // (whole << EPSILON_BITS))
            numerator = min(max(at_threshold + int(rng.integers(-2, 3)), 0), 2**width - 1)
        return numerator, denominator, iteration, layer

    def _epsilon(self, iteration, layer):
        """The threshold and what it is in units of: integers."""
        alpha, beta, iterations, layers = (self.settings[name] for name in ("alpha", "beta", "iterations", "layers"))
        whole = iterations * layers
        return max(0, alpha * whole - beta * (iteration * layers + layer * iterations)), whole

    def real(self):
        """Real tensors at the beginning of a training, in its middle and at its end."""
        sums = []
        for tensor in real_tensors()[0].values():
            top = int((tensor.view(np.uint32) >> 23 & 255).max())
            width = self.parameters["sum_bits"]
            sums.append(relative_improvement(tensor.ravel(), BLOCKS["bfp4"], max(0, top - 8), width=width)[:2])
        iterations, layers = self.settings["iterations"], self.settings["layers"]
        for iteration in (0, iterations // 2, iterations):
            rows = [(*pair, iteration, number % (layers + 1)) for number, pair in enumerate(sums)]
            yield f"iteration {iteration} of {iterations}", self.requests(rows)

    def model(self, stream):
        columns = *stream.data.values(), stream.user["iteration"], stream.user["layer"]
        names = *stream.data, "iteration", "layer"
        bits = [
            precision(**dict(zip(names, row, strict=True)), **self.settings)
            for row in zip(*(values.tolist() for values in columns), strict=True)
        ]
        return Stream({"precision": np.array(bits) // 2 - 1}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, column):
        fields = stream.data | stream.user
        given = {name: int(fields[name][beat]) for name in ("numerator", "denominator", "iteration", "layer")} | self.settings
        return ", ".join(f"{name} {value}" for name, value in given.items())

    def spell(self, name, value, stream, beat):
        return f"{2 + 2 * int(value)} bits" if name == "precision" else super().spell(name, value, stream, beat)
