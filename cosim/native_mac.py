"""Groups through the emitted fMAC at native speed against the golden model: corners in every pair of precisions, and random ones."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.scoreboard import Mismatch
from narrowfloat.golden.bfp import accumulate_fixed, accumulate_fp32
from narrowfloat.golden.formats import BLOCK_MAN_BITS

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
        """Every style of x with every one of y, in every pair of precisions and at all `_EXPONENTS`, each group a result; and infinities less 2**128."""
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
        """Send all passes, of each pair from the highest weight down, and compare the results."""
        chunks = groups.bits // 2
        number = chunks.prod(axis=0)
        pair = np.repeat(np.arange(len(number)), number)
        place = np.arange(len(pair)) - np.repeat(np.cumsum(number) - number, number)
        which = np.zeros((2, len(pair)), np.int64)
        for sizes in product(range(1, 5), repeat=2):
            order = np.array(sorted(np.ndindex(sizes), key=sum)).T
            of_these = (chunks[:, pair] == np.array(sizes)[:, None]).all(axis=0)
            which[:, of_these] = order[:, place[of_these]]
        integers = groups.integers[:, pair]
        magnitudes = np.abs(integers) >> (groups.bits[:, pair] - 2 * (which + 1))[..., None] & 3
        negative = integers < 0
        exponents = groups.exponents[:, pair] - 2 * which
        complete = place == number[pair] - 1
        weight = which.sum(axis=0)
        user = dict(zip(("x_exponent", "y_exponent"), exponents - np.array([[WINDOW if self._fixed else 0], [0]]), strict=True))
        user = {name: values % 2**10 for name, values in user.items()}
        if not self._fixed:
            user |= {"lower": (np.diff(weight, prepend=0) > 0) & (place > 0), "complete": complete}
            user |= {name: user[name].astype(np.int64) for name in ("lower", "complete")}
        last = complete & groups.last[pair]
        data = dict(zip("xy", magnitudes | negative * 4, strict=True))
        got, flags = self._model.gather(data, last, **user)
        if self._fixed:
            sums = np.where(negative, -magnitudes, magnitudes).prod(axis=0).sum(axis=1)
            want, saturated = self._fixed_sums(sums, exponents.sum(axis=0), last)
            want, saturated = want % 2**self._width, saturated == flags["saturated"].ravel()
        else:
            weights = groups.exponents.sum(axis=0) - 256 - (groups.bits - 2).sum(axis=0)
            want = self._fp32_sums(groups.integers.prod(axis=0).sum(axis=1), weights, groups.last)
            saturated = np.ones(len(want), bool)
        same = (got["sum"].ravel() == want.astype(np.uint64)) & saturated
        if not same.all():
            index = int(np.argmin(same))
            module = self._model.manifest["module"]
            raise Mismatch(
                f"{module}: result {index}: got {got['sum'].flat[index]:#x}, want {want[index]:#x}; {(~same).sum()} differ"
            )
        self.groups += len(number)
        self.passes += len(pair)

    def _fixed_sums(self, sums, exponents, last):
        total, saturated = np.zeros(int(last.sum()), np.int64), np.zeros(int(last.sum()), bool)
        for these, of in _steps(last):
            total[these], flag = accumulate_fixed(
                total[these], sums[of], exponents[of] - 256, width=self._width, base=WINDOW - 256
            )
            saturated[these] |= flag
        return total, saturated

    def _fp32_sums(self, sums, weights, last):
        total = np.zeros(int(last.sum()), np.float32)
        for these, of in _steps(last):
            total[these] = accumulate_fp32(total[these], sums[of], weights[of])
        return total.view(np.uint32)


def _steps(last):
    """For what comes first, second and so on of each result: the results that have so much, and where in the stream it is."""
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    for step in range(int((ends - starts).max()) + 1):
        these = np.flatnonzero(starts + step <= ends)
        yield these, starts[these] + step
