"""Groups through the emitted fMAC: corners in every pair of precisions, and random ones."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from narrowfloat.cosim.exhaustive.checks import Check, integer
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.bfp import accumulate_passes, to_passes
from narrowfloat.golden.formats import BLOCK_MAN_BITS

DESIGNS = ("fast_mac",)
OPTIONS = ("count", "seed")
ACCUMULATORS = ("fixed", "fp32")
WINDOW = 256
_CHUNK = 2**14  # groups that are in memory at once
_STYLES = ("random", "largest", "alternating", "one large", "zero")
# Of x and y: zeros' own, the lowest and highest, and sums around both ends of a window of 32 bits.
_EXPONENTS = (0, 254), (1, 1), (254, 254), (1, 254), (254, 2), (3, 124), (120, 126), (127, 129), (127, 145), (130, 150)


@dataclass
class Groups:
    """Pairs of groups: integers [2, pairs, lanes], exponents and mantissa bits [2, pairs], and which pairs end a result."""

    integers: np.ndarray
    exponents: np.ndarray
    bits: np.ndarray
    last: np.ndarray


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
        parameters = self._model.manifest["parameters"]
        self._lanes, self._width = parameters["lanes"], parameters["width"]
        self._fixed = parameters["accumulator"] == "fixed"
        most = BLOCK_MAN_BITS[-1] if self._fixed else parameters["max_bits"]
        self._sizes = [bits for bits in BLOCK_MAN_BITS if bits <= most]
        self._rng = np.random.default_rng(seed)
        self.groups = self.passes = 0

    def corners(self):
        """Every style of x with every one of y, in every pair of precisions and at all `_EXPONENTS`, each group a result; and
        infinities less 2**128."""
        rows = product(range(len(_STYLES)), range(len(_STYLES)), self._sizes, self._sizes, _EXPONENTS)
        x_style, y_style, x_bits, y_bits, exponents = (np.array(column) for column in zip(*rows, strict=True))
        bits = np.array([x_bits, y_bits])
        self._run(Groups(self._integers(np.array([x_style, y_style]), bits), exponents.T, bits, np.ones(bits.shape[1], bool)))
        infinities = np.zeros((2, 4, self._lanes), np.int64)
        infinities[:, :, 0] = (3, -1, -3, 1), (1, 1, 1, 1)
        exponents = np.array([[254] * 4, [254, 130] * 2])
        self._run(Groups(infinities, exponents, np.full((2, 4), 2), np.array([False, True] * 2)))

    def random(self, groups):
        """At least so many groups, a few to each result, of random precisions and styles, exponents near one another or not."""
        while groups > 0:
            count = min(groups, _CHUNK)
            bits = self._rng.choice(self._sizes, (2, count))
            style = np.where(self._rng.random((2, count)) < 0.6, 0, self._rng.integers(len(_STYLES), size=(2, count)))
            last = self._rng.random(count) < 0.4
            last[-1] = True
            middle = np.repeat(self._rng.integers(1, 255, -(-count // 8)), 8)[:count]
            spread = self._rng.choice([0, 2, 13, 40], count)
            x_exponent = np.clip(middle + self._rng.integers(-1, 2, count) * spread, 1, 254)
            if self._fixed:
                near = WINDOW + self._rng.integers(-20, self._width, count) - x_exponent
            else:
                near = 127 + self._rng.integers(-1, 2, count) * spread
            anywhere = self._rng.integers(1, 255, count)
            y_exponent = np.where(self._rng.random(count) < 0.1, anywhere, np.clip(near, 1, 254))
            self._run(Groups(self._integers(style, bits), np.array([x_exponent, y_exponent]), bits, last))
            groups -= count

    def _integers(self, style, bits):
        largest = (2**bits - 1)[..., None]
        shape = *bits.shape, self._lanes
        tiny = self._rng.integers(-1, 2, shape)
        one = np.arange(self._lanes) == self._rng.integers(self._lanes, size=bits.shape)[..., None]
        signs = self._rng.choice([-1, 1], (*bits.shape, 1))
        random = self._rng.integers(-largest, largest + 1, shape)
        alternating = largest * (-1) ** np.arange(self._lanes)
        choices = [random, signs * largest, signs * alternating, np.where(one, signs * largest, tiny), 0 * tiny]
        return np.select([style[..., None] == number for number in range(len(_STYLES))], choices)

    def _run(self, groups):
        """Send all passes and compare the results."""
        passes = to_passes(groups.integers, groups.exponents, groups.bits, groups.last, window=WINDOW if self._fixed else 0)
        user = {name: getattr(passes, name) % 2**10 for name in ("x_exponent", "y_exponent")}
        if not self._fixed:
            user |= {name: getattr(passes, name).astype(np.int64) for name in ("lower", "complete")}
        got, flags = self._model.gather({"x": passes.x, "y": passes.y}, passes.last, **user)
        accumulator = "fixed" if self._fixed else "fp32"
        want, saturated = accumulate_passes(passes, accumulator=accumulator, width=self._width)
        if self._fixed:
            want, saturated = want % 2**self._width, saturated == flags["saturated"].ravel()
        else:
            want, saturated = want.view(np.uint32), ~saturated
        same = (got["sum"].ravel() == want.astype(np.uint64)) & saturated
        if not same.all():
            index = int(np.argmin(same))
            module = self._model.manifest["module"]
            raise Mismatch(
                f"{module}: result {index}: got {got['sum'].flat[index]:#x}, want {want[index]:#x}; {(~same).sum()} differ"
            )
        self.groups += len(groups.last)
        self.passes += len(passes)


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
    """The checks of `design` that options ask for: so many random groups into either accumulator."""
    groups, seed = integer("--count", count, 1, 2**32), integer("--seed", seed, 0, 2**32 - 1)
    return [FastMacCheck(accumulator, groups, seed) for accumulator in ACCUMULATORS]
