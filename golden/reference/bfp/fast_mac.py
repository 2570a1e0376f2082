"""The fMAC at the level of its streams."""

from itertools import product

import numpy as np
from narrowfloat.golden.bfp import NAN_EXPONENT, Passes, accumulate_passes, convert, to_passes
from narrowfloat.golden.formats import BLOCK_MAN_BITS, FP32_BIAS, BlockFormat
from narrowfloat.golden.reference.base import Reference
from narrowfloat.golden.reference.stimulus import PRODUCTS, RESULT_BEATS, operands, real_tensors
from narrowfloat.golden.reference.streams import Stream

WINDOW = 256
STYLES = ("random", "largest", "alternating", "one large", "zero")
# Of x and y: zeros' own, the lowest and highest, and sums around both ends of a window of 32 bits.
EXPONENTS = (0, 254), (1, 1), (254, 254), (1, 254), (254, 2), (3, 124), (120, 126), (127, 129), (127, 145), (130, 150)
_SETTINGS = ("x_exponent", "y_exponent", "lower", "complete", "nan")  # of a pass, in TUSER
_ENDS = 0.4  # share of pairs that end a result
_NAN = 0.02  # share of random pairs of which one is NaN
_RESULTS = 300, 60, 60  # that make a thorough random test, one of each mix of pauses, one between resets
_MOVING = 250  # segmented sums that move
_REAL_GROUPS = 96  # of each tensor


class FastMac(Reference):
    """Passes of pairs of groups to dot products (`narrowfloat.golden.bfp.accumulate_passes`).

    A beat is a pass, as in `narrowfloat.golden.bfp.Passes`, and TUSER has a tag besides.
    """

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.fixed = self.parameters["accumulator"] == "fixed"
        self.chunk_bits = self.parameters["chunk_bits"]
        # A fixed accumulator takes groups of any precision.
        most = BLOCK_MAN_BITS[-1] if self.fixed else self.parameters["max_bits"]
        self.sizes = np.arange(self.chunk_bits, most + 1, self.chunk_bits)
        self.passes_each = np.mean(self.sizes // self.chunk_bits) ** 2  # of a random pair, on average
        self.random_beats, self.mixed_beats, self.few_beats = (round(n / _ENDS * self.passes_each) for n in _RESULTS)

    def reset(self):
        self._begun = None

    def passes(self, integers, exponents, bits, last, window=0):
        """The stream of all passes of pairs of groups, which are as for `narrowfloat.golden.bfp.to_passes`."""
        cut = to_passes(integers, exponents, bits, last, chunk_bits=self.chunk_bits, window=window)
        user = {name: getattr(cut, name) for name in _SETTINGS}
        return self.stream({"x": cut.x, "y": cut.y}, cut.last, **user)

    def of_values(self, values, bits, last, room):
        """Passes of float32 [2, pairs, lanes], rounded to `bits`; a fixed window ends `room` bits above the largest pair."""
        fmt = BlockFormat(name="values", man_bits=BLOCK_MAN_BITS[-1], group=self.lanes)
        groups = convert(values, fmt, rounding="rne", bits=int(bits))
        integers = groups.integers[:, :, 0].astype(np.int64) >> fmt.man_bits - bits
        exponents = np.maximum(groups.exponents[:, :, 0].astype(np.int64), 1)
        window = int(exponents.sum(axis=0).max()) - self.parameters["width"] + room if self.fixed else 0
        return self.passes(integers, exponents, np.full(exponents.shape, bits), last, window)

    def corners(self):
        """Every style of x with every one of y, in every pair of precisions and at all `EXPONENTS`, each pair a result.

        And infinities and NaN to which more is added, and segmented sums that move.
        """
        styles = range(len(STYLES))
        rows = product(styles, styles, self.sizes, self.sizes, EXPONENTS)
        x_style, y_style, x_bits, y_bits, exponents = (np.array(column) for column in zip(*rows, strict=True))
        bits = np.array([x_bits, y_bits])
        integers = self._integers(np.array([x_style, y_style]), bits)
        yield self.passes(integers, exponents.T, bits, np.ones(len(x_bits), bool), WINDOW if self.fixed else 0)
        yield self._specials()
        if self.parameters["accumulator"] == "segmented":
            yield self._moving()

    def _moving(self):
        """Long sums of the largest numbers, nearly all of one sign.

        In half of them weights rise and fall, by bytes and by bits, the others go on two bytes above the first weight and grow.
        """
        results, bits = self.rng.integers(2, 24, _MOVING), self.chunk_bits
        ends = np.cumsum(results)
        count, first = int(ends[-1]), np.repeat(ends - results, results)
        number = np.arange(count)
        last = np.zeros(count, bool)
        last[ends - 1] = True
        steps = self.rng.choice([-24, -16, -8, 0, 8, 16, 24, 40], count, p=[0.05, 0.05, 0.1, 0.5, 0.1, 0.1, 0.05, 0.05])
        walk = np.cumsum(steps + self.rng.integers(-1, 2, count))
        above = np.where(number == first, 0, 16 + self.rng.integers(0, 8, count))
        moves = np.where(np.repeat(np.arange(_MOVING) % 2 == 0, results), walk - walk[first], above)
        signs = np.repeat(self.rng.choice([-1, 1], _MOVING), results) * self.rng.choice([1, 1, 1, 1, 1, 1, 0, -1], count)
        largest = np.full((count, self.lanes), 2**bits - 1)
        x_exponent = np.clip(np.repeat(self.rng.integers(20, 200, _MOVING), results) + moves, 1, 254)
        exponents = np.array([x_exponent, np.full(count, 120)])
        return self.passes(np.array([signs[:, None] * largest, largest]), exponents, np.full((2, count), bits), last)

    def _specials(self):
        """Infinities and NaN, and after each a pair with about its exponent, of either sign, which would leave zero of one."""
        bits = self.chunk_bits
        weight = 2 * (FP32_BIAS + bits - 1)
        one = (np.arange(self.lanes) == 0).astype(np.int64)
        largest = np.full(self.lanes, 2**bits - 1)
        second = [(sign * one, weight + 128 + step) for sign in (-1, 1) for step in (-1, 0, 1)]
        first = [(sign, exponents) for sign in (-1, 1) for exponents in ((254, 254), (255, 254), (1, 255), (255, 255))]
        x = np.array([part for group, _ in second for sign, _ in first for part in (sign * largest, group)])
        y = np.resize([largest, one], x.shape)
        exponents = [part for _, total in second for _, each in first for part in (each, (total // 2, total - total // 2))]
        exponents = np.array(exponents).T
        window = WINDOW if self.fixed else 0
        return self.passes(np.array([x, y]), exponents, np.full(exponents.shape, bits), np.arange(len(x)) % 2 == 1, window)

    def random(self, beats):
        """Pairs of all styles and precisions, a few to a result.

        Their exponents are close to one another or far apart, of "fp32" all there are; of "fixed" most sums are inside the
        window, some far below and far above.
        """
        number = self.rng.geometric(_ENDS, max(1, round(beats / self.passes_each * _ENDS)))
        last = np.zeros(number.sum(), bool)
        last[np.cumsum(number) - 1] = True
        count = len(last)
        bits = self.rng.choice(self.sizes, (2, count))
        style = self.rng.integers(len(STYLES), size=(2, count))
        style[1] = np.where(self.rng.random(count) < 0.5, style[0], style[1])
        if self.fixed:
            width = self.parameters["width"]
            inside, anywhere = self.rng.integers(-10, width // 2, count), self.rng.integers(-40, width + 30, count)
            x_exponent = self.rng.integers(100, 160, count)
            y_exponent = WINDOW + np.where(self.rng.random(count) < 0.7, inside, anywhere) - x_exponent
        else:
            spread = self.rng.choice([0, 2, 13, 40], count)
            steps = self.rng.integers(-1, 2, (2, count)) * spread
            middle = np.repeat(self.rng.integers(1, 255, len(number)), number)
            x_exponent = np.clip(middle + steps[0], 1, 254)
            y_exponent = np.where(self.rng.random(count) < 0.1, self.rng.integers(1, 255, count), FP32_BIAS + steps[1])
        window = WINDOW if self.fixed else 0
        exponents = np.where(self.rng.random((2, count)) < _NAN / 2, NAN_EXPONENT, [x_exponent, y_exponent])
        stream = self.passes(self._integers(style, bits), exponents, bits, last, window)
        # A pass that is the last of a result is so of its groups, whether it says that or not.
        stream.user["complete"] = stream.user["complete"] & ~(stream.last & (self.rng.random(len(stream)) < 0.3))
        return stream

    def real(self):
        """Groups of real tensors, in every precision, times others of the same tensor."""
        for name, tensor in real_tensors()[0].items():
            values = np.resize(tensor.ravel(), (2, _REAL_GROUPS, self.lanes))
            for bits in self.sizes:
                # Most of what is added fits a window that ends at the largest pair.
                yield f"{name} in {bits} bits", self.of_values(values, bits, np.arange(_REAL_GROUPS) % 8 == 7, room=16)

    def workload(self):
        """Pairs of 4 mantissa bits, `RESULT_BEATS` passes to a result.

        With chunks of more than 2 bits, or where 4 bits are too many, each pair is one chunk.
        """
        bits = 4 if self.chunk_bits == 2 and self.parameters["max_bits"] >= 4 else self.chunk_bits
        values = np.array([each.reshape(-1, self.lanes)[: PRODUCTS // 4] for each in operands(self.lanes)])
        last = np.arange(1, values.shape[1] + 1) * (bits // self.chunk_bits) ** 2 % RESULT_BEATS == 0
        # The largest pair is added with its sign's place in the window.
        stream = self.of_values(values, bits, last, room=8)
        stream.user["user"] = np.zeros(len(stream), np.int64)
        return stream

    def model(self, stream):
        begun = stream[:0] if self._begun is None else self._begun
        stream = Stream.join([begun, stream])
        ends = np.flatnonzero(stream.last)
        whole = stream[: ends.max(initial=-1) + 1]
        self._begun = stream[len(whole) :]
        user = {name: whole.user[name] for name in _SETTINGS}
        kind = {name: self.parameters[name] for name in ("accumulator", "width", "chunk_bits")}
        totals, saturated = accumulate_passes(Passes(**whole.data, **user, last=whole.last), **kind)
        sums = totals if self.fixed else totals.view(np.uint32)
        tags = {"saturated": saturated, "user": whole.user["user"][ends]}
        return Stream({"sum": sums}, tags, origin=ends - len(begun))

    def describe(self, stream, beat, column):
        exponents = " and ".join(str(stream.user[f"{side}_exponent"][beat]) for side in "xy")
        return f"{self.parameters['accumulator']} accumulator, last pass {beat}, exponents {exponents}"

    def _integers(self, style, bits):
        largest = (2**bits - 1)[..., None]
        shape = *bits.shape, self.lanes
        one = np.arange(self.lanes) == self.rng.integers(self.lanes, size=bits.shape)[..., None]
        signs = self.rng.choice([-1, 1], (*bits.shape, 1))
        random = self.rng.integers(-largest, largest + 1, shape)
        alternating = largest * (-1) ** np.arange(self.lanes)
        tiny = self.rng.integers(-1, 2, shape)
        choices = [random, signs * largest, signs * alternating, np.where(one, signs * largest, tiny), 0 * tiny]
        return np.select([style[..., None] == number for number in range(len(STYLES))], choices)
