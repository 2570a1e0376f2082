"""The systolic array at the level of its streams."""

from collections import deque
from itertools import product

import numpy as np
from narrowfloat.golden.bfp import (
    NAN_EXPONENT,
    Blocks,
    SegmentedSums,
    accumulate_fixed,
    accumulate_fp32,
    accumulate_segmented,
    convert,
    pass_bits,
)
from narrowfloat.golden.formats import BLOCK_MAN_BITS, FP32_BIAS, BlockFormat
from narrowfloat.golden.reference.base import Reference
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.reference.streams import Interface, Stream, bits_of

KINDS = ("forward", "backward", "gradient")  # products of training; the last one is in place
UNIT = 256  # the window in which a fixed accumulator counts ones
_PRODUCTS = 24, 3, 3  # that make a thorough random test, one of each mix of pauses, one between resets
_STREAMS = ("s_axis", "s_columns", "s_sums")
_LAST_WINDOW = 511
_CORNER_EXPONENTS = (0, 1, 126, 129, 254, NAN_EXPONENT)
_NAN = 0.01  # share of random groups that are NaN


class SystolicArray(Reference):
    """Groups from the left (s_axis) and from the top (s_columns), and sums to go on from (s_sums), to products of matrices.

    The fields of TDATA and TUSER are those of `hdl.bfp.SystolicArray`, numbers packed {sign, magnitude}.
    """

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.rows, self.columns, self.max_bits = (self.parameters[name] for name in ("rows", "columns", "max_bits"))
        self.group, self.lanes = self.lanes, self.rows * self.lanes
        self.accumulator = self.parameters["accumulator"]
        self.segmented = self.accumulator == "segmented"
        self.fixed, self.width = self.accumulator == "fixed", self.parameters["width"]
        self.sizes = [bits for bits in BLOCK_MAN_BITS if bits <= self.max_bits]
        each = 16 + 24 // self.columns  # of a random product, about
        self.random_beats, self.mixed_beats, self.few_beats = (products * each for products in _PRODUCTS)

    def reset(self):
        self.discarded = 0  # how often something could not be used
        self._queues = {name: deque() for name in _STREAMS}  # beats that wait
        # The rows of a tile that waits, the tile in use, whether the next beat has taken that into use, and sums in place.
        self._loaded, self._tile, self._swapped, self._in_cells = [], None, False, None
        self._before = 0  # beats of s_axis that were taken

    # What goes in

    def joined(self, parts):
        """Traffic that has that of all `parts`, in their order."""
        return {name: Stream.join([part[name] for part in parts]) for name in _STREAMS}

    def window(self, a, b):
        """Of a fixed accumulator one in which most sums of a product fit."""
        largest = int(a.exponents.max()) + int(b.exponents.max())
        return int(np.clip(largest - self.width + 16, 0, _LAST_WINDOW)) if self.fixed else 0

    def product(self, kind, a, b, window=None):
        """Traffic for the product of the rows of two matrices of `Blocks`, one of `KINDS`, and the places of its results.

        A place is the row and the first column that a result has in the product, None for parts of sums and for rows that only
        the array has. The last bit of a fixed accumulator means ``2**(window - 256)``.
        """
        window = self.window(a, b) if window is None else window
        height, width, depth = self._tile_of(kind)
        x, y = self._padded(a, height, depth), self._padded(b, width, depth)
        parts, places = zip(*(self._in_place if kind == "gradient" else self._stationary)(*x, *y, window), strict=True)
        return self.joined(parts), [place for part in places for place in part]

    def gathered(self, places, results, shape, window):
        """The product, float32 [rows, columns] of `shape`, that `results` with these places make."""
        sums = self._sums_of(results.data["sum"])
        matrix = np.zeros([side + more for side, more in zip(shape, (self.rows, self.columns), strict=True)], sums.dtype)
        for place, row in zip(places, sums, strict=True):
            if place:
                matrix[place[0], place[1] : place[1] + self.columns] = row
        matrix = matrix[: shape[0], : shape[1]]
        return np.ldexp(matrix.astype(np.float64), window - UNIT).astype(np.float32) if self.fixed else matrix

    def _tile_of(self, kind):
        """Rows of the two matrices, and groups of their rows, that the array takes at once; of 1 any number."""
        return (self.rows, self.columns, 1) if kind == "gradient" else (1, self.columns, self.rows)

    def _padded(self, blocks, height, depth):
        """Of a matrix filled to whole tiles packed numbers [rows, groups, lanes], exponents [rows, groups], chunks less 1."""
        bits = blocks.fmt.man_bits
        codes = blocks.magnitudes.astype(np.int64) << self.max_bits - bits | blocks.signs.astype(np.int64) << self.max_bits
        more = [(0, -size % side) for size, side in zip(blocks.codes.shape, (height, depth), strict=True)]
        return np.pad(codes, (*more, (0, 0))), np.pad(blocks.codes.astype(np.int64), more), bits // 2 - 1

    def _stationary(self, x, x_exponents, x_chunks, y, y_exponents, y_chunks, window):
        """Parts of traffic, a tile of y in each, and the places of their results."""
        twin = type(self)(self.manifest)
        row = np.arange(len(x))
        sums = twin.model({})
        for first in range(0, len(y), self.columns):
            columns = slice(first, first + self.columns)
            for group in range(0, y.shape[1], self.rows):
                groups = slice(group, group + self.rows)
                tile, exponents = (each[columns, groups].swapaxes(0, 1)[::-1] for each in (y, y_exponents))
                user = {"in_place": 0, "swap": row == 0, "resume": group > 0, "chunks": x_chunks, "window": window}
                part = {
                    "s_axis": _beats("x", x[:, groups], x_exponents[:, groups], row == len(x) - 1, **user),
                    "s_columns": _beats("y", tile, exponents, in_place=0, chunks=y_chunks),
                    "s_sums": sums if group > 0 else sums[:0],
                }
                sums = twin.model(part)
                is_whole = group + self.rows >= y.shape[1]
                yield part, [(number, first) if is_whole else None for number in row]

    def _in_place(self, x, x_exponents, x_chunks, y, y_exponents, y_chunks, window):
        """The same, a tile of results in each."""
        steps = x.shape[1]
        for row, column in product(range(0, len(x), self.rows), range(0, len(y), self.columns)):
            left, at_left = (each[row : row + self.rows].swapaxes(0, 1) for each in (x, x_exponents))
            top, at_top = (each[column : column + self.columns].swapaxes(0, 1) for each in (y, y_exponents))
            # What does not count in place is anything.
            swap, resume = self.rng.integers(2, size=(2, steps))
            user = {"in_place": 1, "swap": swap, "resume": resume, "chunks": x_chunks, "window": window}
            part = {
                "s_axis": _beats("x", left, at_left, np.arange(steps) == steps - 1, **user),
                "s_columns": _beats("y", top, at_top, in_place=1, chunks=y_chunks),
                "s_sums": self._stream([])[:0],
            }
            yield part, [(row + number, column) for number in reversed(range(self.rows))]

    def random_product(self, kind=None):
        """Traffic for a product of random shapes, up to somewhat more than two tiles in each direction."""
        kind = kind or str(self.rng.choice(KINDS))
        height, width, depth = self._tile_of(kind)
        length = int(self.rng.integers(1, (2 * depth + 2) * self.group))
        a, b = (
            self._random_matrix(int(self.rng.integers(1, 2 * side + 6)), length, int(self.rng.choice(self.sizes)))
            for side in (height, width)
        )
        window = int(np.clip(self.window(a, b) + self.rng.integers(-12, 9), 0, _LAST_WINDOW))
        return self.product(kind, a, b, window)[0]

    def _random_matrix(self, rows, length, bits):
        """Groups with random numbers and exponents close together; some are zero, some have the largest numbers."""
        shape = rows, -(-length // self.group), self.group
        largest = 2**bits - 1
        style = self.rng.random((*shape[:2], 1))
        magnitudes = self.rng.integers(0, largest + 1, shape)
        magnitudes = np.where(style < 0.05, 0, np.where(style < 0.15, largest, magnitudes))
        magnitudes[:, -1, length - shape[1] * self.group + self.group :] = 0
        # Segmented sums move for what is many powers of two larger.
        spread = int(self.rng.choice([3, 20, 60])) if self.segmented else 3
        exponents = np.clip(self.rng.integers(1, 255) + self.rng.integers(-spread, spread + 1, shape[:2]), 0, 254)
        exponents = np.where(self.rng.random(shape[:2]) < _NAN, NAN_EXPONENT, exponents)
        return self._matrix(bits, exponents, self.rng.random(shape) < 0.5, magnitudes)

    def _matrix(self, bits, exponents, signs, magnitudes):
        fmt = BlockFormat(name="matrix", man_bits=bits, group=self.group)
        length = exponents.shape[1] * self.group
        return Blocks(fmt, length, exponents.astype(np.uint8), 0, signs & (magnitudes > 0), magnitudes.astype(np.uint8))

    def corners(self):
        """The largest numbers, of one sign, of signs that alternate, one alone, and none, at the ends of exponents and between.

        In each dataflow and every pair of precisions.
        """
        for kind, *sizes in product(KINDS, self.sizes, self.sizes):
            a, b = (self._corner_matrix(bits) for bits in sizes)
            window = self.rng.choice([0, np.clip(2 * FP32_BIAS - self.width + 16, 0, _LAST_WINDOW), self.window(a, b)])
            yield self.product(kind, a, b, int(window))[0]

    def _corner_matrix(self, bits):
        shape = len(_CORNER_EXPONENTS), self.rows + 1
        exponents = np.broadcast_to(np.array(_CORNER_EXPONENTS)[:, None], shape)
        lane, style = np.arange(self.group), self.rng.integers(4, size=(*shape, 1))
        magnitudes = (2**bits - 1) * np.select([style < 2, style == 2], [1, lane == 0], 0)
        signs = self.rng.integers(2, size=(*shape, 1)) ^ (style == 1) & lane % 2
        return self._matrix(bits, exponents, signs != 0, magnitudes)

    def random(self, beats):
        """Products of all dataflows, one after the other."""
        parts = []
        while not parts or sum(len(part["s_axis"]) for part in parts) < beats:
            parts.append(self.random_product())
        return self.joined(parts)

    def sample(self, beats):
        """A corner of either dataflow, then random products until there are so many beats."""
        bits = self.sizes[-1]
        matrices = [(self._corner_matrix(bits), self._corner_matrix(bits)) for _ in KINDS[1:]]
        corners = [self.product(kind, *pair)[0] for kind, pair in zip(KINDS[1:], matrices, strict=True)]
        return self.joined([*corners, self.random(max(1, beats - sum(len(corner["s_axis"]) for corner in corners)))])

    def stray(self, beats):
        """Traffic after a reset, in whose beats all fields are random. What they need to be taken all the same comes last."""
        twin = type(self)(self.manifest)
        parts = []

        def add(name, count, **user):
            parts.append({each: self._stray_beats(each, count if each == name else 0, user) for each in _STREAMS})
            twin.model(parts[-1])

        for name in _STREAMS:
            add(name, beats)
        left, top, sums = twin._queues.values()
        while left or top or sums:
            if left and left[0]["in_place"]:
                add("s_columns", 1, in_place=1)
            elif left and left[0]["resume"] and not sums and (twin._swapped or not left[0]["swap"] and twin._tile):
                add("s_sums", 1)
            elif left:
                add("s_columns", 1, in_place=0)
            elif top:
                add("s_axis", 1, in_place=int(top[0]["in_place"]), swap=1, resume=0)
            else:
                add("s_axis", 1, in_place=0, swap=0, resume=1)
        return self.joined(parts)

    def _stray_beats(self, name, count, user):
        """Beats with random fields but for those of `user`; exponents are such that sums fit."""
        interface = Interface(self.manifest, name)
        data, drawn = (
            port.unpack(self.rng.integers(2**32, size=(count, port.words), dtype=np.uint32))
            for port in (interface.data, interface.user)
        )
        if "exponent" in data:
            data["exponent"] = self.rng.integers(118, 138, data["exponent"].shape)
        drawn = {field: values if field == "saturated" else values.ravel() for field, values in drawn.items()}
        # What the design does not have is not packed.
        absent = {"chunks": np.zeros(count, int), "saturated": np.zeros((count, self.columns), int)}
        window = {"window": self.rng.integers(UNIT - self.width, UNIT, count)}
        given = {field: np.full(count, value) for field, value in user.items()}
        return Stream(data, absent | drawn | window | given, self.rng.random(count) < 0.5)

    def real(self):
        """Weights and activations of a network in all dataflows, in every pair of precisions."""
        tensors = list(real_tensors()[0].values())
        for number, sizes in enumerate(product(self.sizes, self.sizes)):
            a, b = (
                convert(
                    np.resize(tensors[(number + side) % len(tensors)].ravel(), (7, 3 * self.group)),
                    BlockFormat(name="real", man_bits=bits, group=self.group),
                    rounding="rne",
                )
                for side, bits in enumerate(sizes)
            )
            parts = [self.product(kind, a, b)[0] for kind in KINDS]
            yield f"{sizes[0]} by {sizes[1]} bits", self.joined(parts)

    # What leaves

    def model(self, traffic):
        for name, stream in traffic.items():
            columns = stream.data | stream.user | {"last": stream.last}
            self._queues[name].extend(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        results, origin, before = [], [], self._before
        while (found := self._next()) is not None:
            results += found
            origin += [self._before - before] * len(found)
            self._before += 1
        stream = self._stream(results)
        stream.origin = np.array(origin, int)
        return stream

    def _stream(self, results):
        """A stream of results: sums, whether they are saturated, `last`."""
        sums, saturated, last = zip(*results, strict=True) if results else ((), (), ())
        sums = [total.to_fp32() for total in sums] if self.segmented else sums
        sums = np.array(sums, np.int64 if self.fixed else np.float32).reshape(len(results), self.columns)
        saturated = np.array(saturated, bool).reshape(sums.shape)
        return Stream({"sum": sums if self.fixed else sums.view(np.uint32)}, {"saturated": saturated}, np.array(last, bool))

    def _next(self):
        """The results of the next beat at the left, or None until it and all that it needs have come."""
        left, top, sums = self._queues.values()
        while True:
            while top and not top[0]["in_place"] and len(self._loaded) < self.rows:
                self._loaded.append(top.popleft())
            if not left:
                return None
            beat = left[0]
            needs_tile = not beat["in_place"] and not self._swapped and (bool(beat["swap"]) or self._tile is None)
            if needs_tile and len(self._loaded) == self.rows:
                chunks = self._loaded[-1]["chunks"]
                self._tile = [self._groups(row | {"chunks": chunks}, "y") for row in reversed(self._loaded)]
                self._loaded, self._swapped = [], True
            elif needs_tile and top:
                top.popleft()
                self.discarded += 1
            elif beat["in_place"] and top and not top[0]["in_place"]:
                self._loaded = []
                self.discarded += 1
            else:
                break
        window = int(beat["window"])
        if beat["in_place"]:
            if not top:
                return None
            x, y, self._loaded = self._groups(left.popleft(), "x"), self._groups(top.popleft(), "y"), []
            total = self._in_cells or self._zeros(self.rows, self.columns)
            total = self._in_cells = self._added(total, x[0] @ y[0].T, x[1] + y[1], x[2][:, None], y[2], window)
            if not beat["last"]:
                return []
            self._in_cells = None
            return [(total[0][row], total[1][row], row == 0) for row in reversed(range(self.rows))]
        if needs_tile or beat["resume"] and not sums:
            return None
        if self._in_cells is not None:
            self._in_cells = None
            self.discarded += 1
        self._swapped = False
        total = self._zeros(self.columns)
        if beat["resume"]:
            start = sums.popleft()
            begun = self._sums_of(start["sum"])
            total = SegmentedSums.of_fp32(begun) if self.segmented else begun, start["saturated"] != 0
        numbers, bits, exponents = self._groups(left.popleft(), "x")
        for x, exponent, (y, y_bits, y_exponents) in zip(numbers, exponents, self._tile, strict=True):
            total = self._added(total, y @ x, bits + y_bits, exponent, y_exponents, window)
        return [(*total, beat["last"])]

    def _groups(self, beat, name):
        """Numbers [groups, lanes], their bits, and exponents [groups] of a beat; bits below its chunks are not looked at."""
        codes = beat[name].astype(np.int64).reshape(-1, self.group)
        bits = min(self.max_bits, 2 * (int(beat["chunks"]) + 1))
        magnitudes = codes % 2**self.max_bits >> self.max_bits - bits
        return np.where(codes >> self.max_bits, -magnitudes, magnitudes), bits, beat["exponent"].astype(np.int64)

    def _zeros(self, *shape):
        sums = SegmentedSums.zeros(shape) if self.segmented else np.zeros(shape, np.int64 if self.fixed else np.float32)
        return sums, np.zeros(shape, bool)

    def _added(self, total, sums, bits, x_exponents, y_exponents, window):
        """The total with sums of products of numbers that have so many `bits` together."""
        weights = x_exponents + y_exponents - 2 * (FP32_BIAS - 1) - bits
        is_nan = (x_exponents == NAN_EXPONENT) | (y_exponents == NAN_EXPONENT)
        if self.segmented:
            room = pass_bits(self.group, self.max_bits)
            return accumulate_segmented(total[0], sums, weights, bits=room, nan=is_nan), total[1]
        if not self.fixed:
            return np.where(is_nan, np.float32(np.nan), accumulate_fp32(total[0], sums, weights)), total[1]
        added, saturated = accumulate_fixed(total[0], sums, weights, width=self.width, base=window - UNIT)
        return added, total[1] | saturated | is_nan

    def _sums_of(self, words):
        """Sums as the streams have them, as numbers."""
        if not self.fixed:
            return words.astype(np.uint32).view(np.float32)
        return (bits_of(words, self.width) << np.uint64(64 - self.width)).view(np.int64) >> 64 - self.width

    def cycles(self, traffic):
        """Known where only one dataflow is used: a tile is loaded while the one before it is in use, but not before all cells
        have taken that into use.
        """
        left, top = traffic["s_axis"].user, traffic["s_columns"].user
        latency = self.manifest["latency"]["m_axis"]
        if left["in_place"].all():
            passes = (left["chunks"] + 1) * (top["chunks"] + 1)
            return int(passes.sum()) + int(traffic["s_axis"].last.sum()) * (self.rows - 1) + latency
        if left["in_place"].any():
            return None
        busy = np.add.reduceat(left["chunks"] + 1, np.flatnonzero(left["swap"])) * (top["chunks"][:: self.rows] + 1)
        periods = np.maximum(1 + busy[:-1], 2 * self.rows + self.columns - 1)
        return int(self.rows + periods.sum() + 1 + busy[-1] + latency)

    def describe(self, traffic, beat, column):
        left = traffic["s_axis"].user
        kind = "in place" if left["in_place"][beat] else "stationary"
        window = f", window {left['window'][beat]}" if self.fixed else ""
        return f"{kind}, beat {beat} at the left of {2 * left['chunks'][beat] + 2} bits{window}, column {column}"


def _beats(name, groups, exponents, last=None, **user):
    """Groups [beats, rows or columns, lanes] as a stream."""
    beats = len(groups)
    data = {name: groups.reshape(beats, -1), "exponent": exponents}
    return Stream(data, {field: np.broadcast_to(value, beats) for field, value in user.items()}, last)
