"""Groups through the emitted fMAC: corners in every pair of precisions, and random ones."""

from dataclasses import dataclass

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, integer
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.bfp import ACCUMULATORS
from narrowfloat.golden.reference import load
from narrowfloat.golden.reference.streams import Interface, bits_of

DESIGNS = ("fast_mac",)
OPTIONS = ("count", "seed")
_CHUNK = 2**14  # groups that are in memory at once


class MacCheck:
    """An emitted fMAC, and the number of groups and passes that went through it so far.

    Parameters
    ----------
    manifest : pathlib.Path
        Of a fast_mac.
    seed : int
    """

    def __init__(self, manifest, seed):
        self._model = Model(manifest)
        self._reference = load(self._model.manifest, np.random.default_rng(seed))
        self._output = Interface(self._model.manifest, "m_axis")
        self.groups = self.passes = 0

    def corners(self):
        """Those of the reference."""
        for stream in self._reference.corners():
            self._run(stream)

    def random(self, groups):
        """At least so many random groups."""
        end = self.groups + groups
        while self.groups < end:
            self._run(self._reference.random(min(end - self.groups, _CHUNK) * self._reference.passes_each))

    def _run(self, stream):
        """Send all passes and compare the results."""
        user = {name: stream.user[name] for name in self._model.user_fields}
        got, flags = self._model.gather(stream.data, stream.last, **user)
        want = self._reference.model(stream)
        sums = bits_of(want.data["sum"], self._output.data.widths["sum"])
        same = got["sum"].ravel() == sums
        for name, values in flags.items():
            same &= values.ravel() == want.user[name]
        if not same.all():
            index = int(np.argmin(same))
            module = self._model.manifest["module"]
            raise Mismatch(
                f"{module}: result {index}: got {got['sum'].flat[index]:#x}, want {sums[index]:#x}; {(~same).sum()} differ"
            )
        self.groups += int(stream.user["complete"].sum())
        self.passes += len(stream)


@dataclass(frozen=True)
class FastMacCheck(Check):
    """All corners and then `vectors` random groups, too many for every input there is."""

    accumulator: str
    vectors: int
    seed: int
    design: str = "fast_mac"

    @property
    def settings(self):
        return [f"accumulator={self.accumulator}", "stages=0"]

    @property
    def inputs(self):
        return {"seed": self.seed}

    def compare(self, manifest, advance=lambda count: None):
        check = MacCheck(manifest, self.seed)
        check.corners()
        for start in range(0, self.vectors, _CHUNK):
            count = min(_CHUNK, self.vectors - start)
            check.random(count)
            advance(count)


def checks(design, count="500000", seed="1"):
    """The checks of `design` that options ask for: so many random groups into each accumulator."""
    groups, seed = integer("--count", count, 1, 2**32), integer("--seed", seed, 0, 2**32 - 1)
    return [FastMacCheck(accumulator, groups, seed) for accumulator in ACCUMULATORS]
