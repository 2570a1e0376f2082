"""The systolic array against the golden model: the three products of training, of shapes that do not divide the array."""

from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from narrowfloat.cosim.drivers import RESET_CYCLES
from narrowfloat.cosim.report import ProtocolError, add_to_report, compare, manifest
from narrowfloat.golden.bfp import Blocks, convert, decode, from_mxint8, matmul, to_mxint8
from narrowfloat.golden.bfp.systolic import Array, passes
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.reference.network import load_mnist, split
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.reference.streams import Port

KINDS = ("forward", "backward", "gradient")
RANDOM_PRODUCTS = 24
MIXED_PRODUCTS = 3
STEP_IMAGES, STEP_PIXELS, HIDDEN, STEP_SEED = 12, 3, 20, 7  # every third pixel
HANGS_AFTER = 20_000  # cycles without a transfer


@dataclass
class Beats:
    """What enters and leaves, beat by beat: rows of integers by field name.

    `sums_from` are the results that `s_sums` repeats, `places` the row and the first column that each result has in the product,
    None for parts of sums and for what is filled up. A fixed accumulator's last bit means ``2**(window - 256)``.
    """

    left: list = field(default_factory=list)
    top: list = field(default_factory=list)
    sums_from: list = field(default_factory=list)
    results: list = field(default_factory=list)
    places: list = field(default_factory=list)
    cycles: int = 0
    window: int = 0

    def extend(self, other):
        """Append those of another product."""
        before = len(self.results)
        self.left += other.left
        self.top += other.top
        self.sums_from += [before + number for number in other.sums_from]
        self.results += other.results
        self.places += other.places


class Face:
    """A stream of the array: packs beats into its ports, or takes them apart."""

    def __init__(self, dut, manifest, name):
        self.valid, self.ready, self.last = (getattr(dut, f"{name}_t{part}") for part in ("valid", "ready", "last"))
        self.parts = {part: Port(manifest, f"{name}_t{part}") for part in ("data", "user")}
        self.handles = {part: getattr(dut, f"{name}_t{part}") for part, port in self.parts.items() if port.words}

    def pack(self, beats):
        """Integers for the ports, of each beat."""
        rows = []
        for part, port in self.parts.items():
            columns = {name: np.array([beat[name] for beat in beats], np.int64) for name in port.fields}
            words = port.pack(len(beats), columns)
            rows.append([int.from_bytes(row.tobytes(), "little") for row in words])
        return list(zip(*rows, [int(beat.get("last", 0)) for beat in beats], strict=True))

    def offer(self, beat):
        """Drive a packed beat."""
        for part, value in zip(self.parts, beat, strict=False):
            if part in self.handles:
                self.handles[part].value = value
        self.last.value = beat[-1]
        self.valid.value = 1

    def seen(self):
        """What the ports show, as a packed beat."""
        values = (int(self.handles[part].value) if part in self.handles else 0 for part in self.parts)
        return (*values, int(self.last.value))

    def unpack(self, beats):
        """Arrays by field name, and `last`."""
        columns = {}
        for (_, port), values in zip(self.parts.items(), zip(*beats), strict=False):
            packed = b"".join(value.to_bytes(4 * port.words, "little") for value in values)
            columns |= port.unpack(np.frombuffer(packed, "<u4").reshape(len(beats), port.words)) if port.words else {}
        return columns | {"last": np.array([beat[-1] for beat in beats])}


class ArrayBench:
    """An array under test."""

    def __init__(self, dut):
        self.dut = dut
        self.manifest = manifest()
        self.parameters = self.manifest["parameters"]
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.rows, self.columns, self.lanes = (self.parameters[name] for name in ("rows", "columns", "lanes"))
        self.max_bits = self.parameters["max_bits"]
        self.fixed = self.parameters["accumulator"] == "fixed"
        self.width = self.parameters["width"]
        self.array = Array(self.rows, self.columns, self.lanes)
        self.sources = [Face(dut, self.manifest, name) for name in ("s_axis", "s_columns", "s_sums")]
        self.sink = Face(dut, self.manifest, "m_axis")
        self.bits = [bits for bits in (2, 4, 6, 8) if bits <= self.max_bits]
        low = any(port["name"] == "rst_n" for port in self.manifest["ports"])
        self._reset, self._in_reset = (dut.rst_n, 0) if low else (dut.rst, 1)

    async def start(self):
        """Start the clock and reset the array."""
        Clock(self.dut.clk, 10, unit="ns").start()
        await self.reset()

    async def reset(self):
        """Hold reset for some cycles, whatever the array is doing."""
        for source in self.sources:
            source.valid.value = 0
        self.sink.ready.value = 0
        self._reset.value = self._in_reset
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self._reset.value = 1 - self._in_reset
        await RisingEdge(self.dut.clk)

    # Products

    def random_matrix(self, rows, length, bits):
        """Groups with random numbers and exponents close together; some are zero, some have the largest numbers."""
        fmt = BlockFormat(name="matrix", man_bits=bits, group=self.lanes)
        groups = -(-length // self.lanes)
        shape = rows, groups, self.lanes
        largest = 2**bits - 1
        magnitudes = self.rng.integers(0, largest + 1, shape)
        style = self.rng.random((rows, groups, 1))
        magnitudes = np.where(style < 0.05, 0, np.where(style < 0.15, largest, magnitudes)).astype(np.uint8)
        magnitudes[..., -1, length - (groups - 1) * self.lanes :] = 0
        exponents = np.clip(self.rng.integers(1, 255) + self.rng.integers(-3, 4, (rows, groups)), 0, 255).astype(np.uint8)
        return Blocks(fmt, length, exponents, 0, (self.rng.random(shape) < 0.5) & (magnitudes > 0), magnitudes)

    def window(self, a, b):
        """Of a fixed accumulator one in which most sums fit."""
        if not self.fixed:
            return 0
        return int(np.clip(int(a.exponents.max()) + int(b.exponents.max()) - self.width + 16, 0, 511))

    def product(self, kind, a, b, window=None):
        """The beats of a product of the rows of `a` with those of `b`, in one of `KINDS`, and what it must give."""
        window = self.window(a, b) if window is None else window
        options = {"accumulator": self.parameters["accumulator"], "width": self.width, "window": window}
        beats = self._in_place(a, b, window, options) if kind == "gradient" else self._stationary(a, b, window, options)
        passes_each = passes(a.fmt.man_bits, b.fmt.man_bits)
        groups = a.codes.shape[1] * self.lanes
        shape = (len(a.codes), groups, len(b.codes)) if kind != "gradient" else (groups, len(a.codes), len(b.codes))
        count = self.array.in_place if kind == "gradient" else self.array.stationary
        beats.cycles, beats.window = count(*shape, passes_each), window
        return beats

    def _stationary(self, a, b, window, options):
        beats = Beats()
        x, x_exponents, x_chunks = self._codes(a)
        y, y_exponents, y_chunks = self._codes(b)
        for first_column in range(0, len(b.codes), self.columns):
            columns = slice(first_column, first_column + self.columns)
            total = None
            for first_group in range(0, a.codes.shape[1], self.rows):
                groups = slice(first_group, first_group + self.rows)
                for row in reversed(range(self.rows)):
                    at = first_group + row
                    there = at < a.codes.shape[1]
                    numbers = y[columns, at] if there else np.zeros((0, self.lanes), int)
                    found = y_exponents[columns, at] if there else np.zeros(0, int)
                    beats.top.append(
                        {
                            "y": _filled(numbers, self.columns).ravel(),
                            "exponent": _filled(found, self.columns),
                            "in_place": 0,
                            "chunks": y_chunks,
                        }
                    )
                total = matmul(_part(a, slice(None), groups), _part(b, columns, groups), start=total, **options)
                for number in range(len(a.codes)):
                    beats.left.append(
                        {
                            "x": _filled(x[number, groups], self.rows).ravel(),
                            "exponent": _filled(x_exponents[number, groups], self.rows),
                            "in_place": 0,
                            "swap": number == 0,
                            "resume": first_group > 0,
                            "chunks": x_chunks,
                            "window": window,
                            "last": number == len(a.codes) - 1,
                        }
                    )
                    if first_group:
                        beats.sums_from.append(len(beats.results) - len(a.codes))
                    beats.results.append(self._result(total, number, number == len(a.codes) - 1))
                    whole = first_group + self.rows >= a.codes.shape[1]
                    beats.places.append((number, first_column) if whole else None)
        return beats

    def _in_place(self, a, b, window, options):
        beats = Beats()
        x, x_exponents, x_chunks = self._codes(a)
        y, y_exponents, y_chunks = self._codes(b)
        groups = a.codes.shape[1]
        for first_row in range(0, len(a.codes), self.rows):
            rows = slice(first_row, first_row + self.rows)
            for first_column in range(0, len(b.codes), self.columns):
                columns = slice(first_column, first_column + self.columns)
                for group in range(groups):
                    beats.left.append(
                        {
                            "x": _filled(x[rows, group], self.rows).ravel(),
                            "exponent": _filled(x_exponents[rows, group], self.rows),
                            "in_place": 1,
                            "swap": self.rng.integers(2),
                            "resume": self.rng.integers(2),
                            "chunks": x_chunks,
                            "window": window,
                            "last": group == groups - 1,
                        }
                    )
                    beats.top.append(
                        {
                            "y": _filled(y[columns, group], self.columns).ravel(),
                            "exponent": _filled(y_exponents[columns, group], self.columns),
                            "in_place": 1,
                            "chunks": y_chunks,
                        }
                    )
                total = matmul(_part(a, rows), _part(b, columns), **options)
                count = len(_part(a, rows).codes)
                for row in reversed(range(self.rows)):
                    beats.results.append(self._result(total, row if row < count else None, row == 0))
                    beats.places.append((first_row + row, first_column) if row < count else None)
        return beats

    def _codes(self, blocks):
        """Numbers as the array takes them, [rows, groups, lanes], exponents, and the number of chunks less 1."""
        bits = blocks.fmt.man_bits
        magnitudes = blocks.magnitudes.astype(np.int64) << self.max_bits - bits
        return magnitudes | blocks.signs.astype(np.int64) << self.max_bits, blocks.codes.astype(np.int64), bits // 2 - 1

    def _result(self, total, row, last):
        """A beat of results; with no `row` one of rows that the array has and the matrix does not."""
        if self.fixed:
            sums, saturated = total if row is None else (total[0][row], total[1][row])
            if row is None:
                sums, saturated = np.zeros(0, np.int64), np.zeros(0, bool)
            return {
                "sum": _filled(sums, self.columns) & 2**self.width - 1,
                "saturated": _filled(saturated, self.columns).astype(int),
                "last": int(last),
            }
        sums = np.zeros(0, np.float32) if row is None else total[row]
        return {"sum": _filled(sums.astype(np.float32), self.columns).view(np.uint32).astype(np.int64), "last": int(last)}

    def random_product(self, kind=None):
        """A product of random shapes, up to somewhat more than two tiles in each direction."""
        kind = kind or str(self.rng.choice(KINDS))
        sides = (self.rows, self.columns) if kind == "gradient" else (1, self.columns)
        deep = 1 if kind == "gradient" else self.rows
        m, n = (int(self.rng.integers(1, 2 * side + 6)) for side in sides)
        length = int(self.rng.integers(1, (2 * deep + 2) * self.lanes))
        x_bits, y_bits = (int(bits) for bits in self.rng.choice(self.bits, 2))
        a, b = self.random_matrix(m, length, x_bits), self.random_matrix(n, length, y_bits)
        window = int(np.clip(self.window(a, b) + self.rng.integers(-12, 9), 0, 511))
        return self.product(kind, a, b, window if self.fixed else 0)

    # Training

    async def training_step(self, multiply, images, labels):
        """A step of gradient descent on a network of two layers, all products by ``multiply(kind, a, b)``; its new weights.

        Activations and weights are truncated, gradients rounded stochastically, as FAST has it; every tensor is cut into groups
        along what is summed over.
        """
        rng = np.random.default_rng(STEP_SEED)
        sizes = (images.shape[1], HIDDEN, 10)
        weights = [
            rng.standard_normal((n, k), np.float32) * np.float32((2 / k) ** 0.5)
            for k, n in zip(sizes[:-1], sizes[1:], strict=True)
        ]

        def groups(x, bits, rounding="rtz"):
            fmt = BlockFormat(name="step", man_bits=min(bits, self.max_bits), group=self.lanes)
            shape = len(x), -(-x.shape[1] // self.lanes), self.lanes
            random_bits = rng.integers(256, size=shape) if rounding == "sr" else None
            return convert(np.ascontiguousarray(x), fmt, rounding=rounding, random_bits=random_bits)

        hidden = await multiply("forward", groups(images, 2), groups(weights[0], 4))
        active = np.maximum(hidden, 0)
        scores = await multiply("forward", groups(active, 4), groups(weights[1], 4))
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = shares / shares.sum(axis=1, keepdims=True)
        error[np.arange(len(labels)), labels] -= 1
        error /= np.float32(len(labels))
        back = await multiply("backward", groups(error, 4, "sr"), groups(weights[1].T, 4)) * (hidden > 0)
        new = []
        for weight, gradient, inputs in ((weights[0], back, images), (weights[1], error, active)):
            change = await multiply("gradient", groups(inputs.T, 4), groups(gradient.T, 4, "sr"))
            new.append(weight - np.float32(0.1) * change.T)
        return new

    # Transfers

    async def run(self, beats, idle=None, stall=None, until=None):
        """Send `beats` and compare what leaves; without idle cycles and stalls also the number of cycles, where `beats` has it.

        `idle` and `stall`, bool arrays, are the cycles in which nothing is offered (that of the second source starts elsewhere)
        or taken. With `until` break off after so many beats at the left. Returns what left, arrays by field name.
        """
        packed = [self.sources[0].pack(beats.left), self.sources[1].pack(beats.top)]
        idle = np.zeros(1, bool) if idle is None else idle
        stall_in = np.zeros(1, bool) if stall is None else stall
        sums = []
        done, offered = [0, 0, 0], [False] * 3
        received, held, ready = [], None, False
        cycle = quiet = 0
        while until is None and len(received) < len(beats.results) or until is not None and done[0] < until:
            for number, source in enumerate(self.sources):
                queue = packed[number] if number < 2 else sums
                if not offered[number] and done[number] < len(queue) and not idle[(cycle + 311 * number) % len(idle)]:
                    source.offer(queue[done[number]])
                    offered[number] = True
                elif not offered[number]:
                    source.valid.value = 0
            ready = not stall_in[cycle % len(stall_in)]
            self.sink.ready.value = int(ready)
            await RisingEdge(self.dut.clk)
            cycle += 1
            quiet += 1
            for number, source in enumerate(self.sources):
                if offered[number] and int(source.ready.value):
                    offered[number] = False
                    done[number] += 1
                    quiet = 0
            if int(self.sink.valid.value):
                beat = self.sink.seen()
                if held not in (None, beat):
                    raise ProtocolError(f"result {len(received)} changed while it waited")
                held = None if ready else beat
                if ready:
                    received.append(beat)
                    quiet = 0
                    while len(sums) < len(beats.sums_from) and beats.sums_from[len(sums)] < len(received):
                        sums.append(received[beats.sums_from[len(sums)]])
            elif held is not None:
                raise ProtocolError(f"result {len(received)} was taken back while it waited")
            if quiet > HANGS_AFTER:
                raise ProtocolError(f"nothing moves: {done} beats were taken, {len(received)} of {len(beats.results)} came out")
        for source in self.sources:
            source.valid.value = 0
        add_to_report(done[0] * self.rows * self.lanes, cycle)
        if until is not None:
            return None
        got = self.sink.unpack(received)
        self._compare(beats, got)
        assert done[:2] == [len(beats.left), len(beats.top)], f"{done[:2]} beats were taken"
        if len(idle) == 1 and stall is None and beats.cycles:
            taken, expected = cycle, beats.cycles
            assert taken == expected, f"it took {taken} cycles, not {expected}"
        return got

    def _compare(self, beats, got):
        for name in beats.results[0]:
            want = np.array([beat[name] for beat in beats.results]).reshape(got[name].shape)

            def describe(beat, column, name=name, want=want):
                return f"{name} of result {beat}: got 0x{int(got[name][beat, column]):x}, want 0x{int(want[beat, column]):x}"

            if name == "last":
                assert np.array_equal(got[name], want), f"tlast of result {np.argmax(got[name] != want)} is wrong"
            else:
                compare(got[name].astype(np.uint64), want.astype(np.uint64), describe)

    async def multiply(self, kind, a, b):
        """The product of the rows of `a` with those of `b`, from the array: float32 [len(a), len(b)]."""
        beats = self.product(kind, a, b)
        sums = (await self.run(beats))["sum"]
        product = np.zeros((len(a.codes), len(b.codes) + self.columns), sums.dtype)
        for place, row in zip(beats.places, sums, strict=True):
            if place:
                product[place[0], place[1] : place[1] + self.columns] = row
        return self._values(product[:, : len(b.codes)], beats.window)

    async def model(self, kind, a, b):
        """That of the model."""
        window = self.window(a, b)
        options = {"accumulator": self.parameters["accumulator"], "width": self.width, "window": window}
        product = matmul(a, b, **options)
        return product if not self.fixed else self._values(product[0], window)

    def _values(self, sums, window):
        """Words that left the array, or sums of the model, as float32."""
        if not self.fixed:
            return sums.view(np.float32)
        sums = sums.astype(np.int64) << 64 - self.width >> 64 - self.width
        return np.ldexp(sums.astype(np.float64), window - 256).astype(np.float32)


def _filled(values, count):
    """`values` and as many zeros as make `count` of them."""
    return np.concatenate([values, np.zeros((count - len(values), *values.shape[1:]), values.dtype)])


def _part(blocks, rows, groups=slice(None)):
    """Some rows and groups of a matrix."""
    codes = blocks.codes[rows, groups]
    signs, magnitudes = blocks.signs[rows, groups], blocks.magnitudes[rows, groups]
    return Blocks(blocks.fmt, codes.shape[1] * blocks.fmt.group, codes, blocks.offset, signs, magnitudes)


async def _started(dut):
    bench = ArrayBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def each_dataflow_in_the_cycles_it_should_take(dut):
    bench = await _started(dut)
    for kind in KINDS:
        for _ in range(RANDOM_PRODUCTS // 3):
            await bench.run(bench.random_product(kind))
            await bench.reset()


@cocotb.test
async def products_one_after_the_other(dut):
    """All dataflows in any order, and nothing between them."""
    bench = await _started(dut)
    beats = Beats()
    for _ in range(RANDOM_PRODUCTS):
        beats.extend(bench.random_product())
    await bench.run(beats)


@cocotb.test
async def real_tensors_in_products(dut):
    """Weights and activations of a network, in every pair of precisions."""
    bench = await _started(dut)
    tensors = list(real_tensors()[0].values())
    for number, bits in enumerate((x, y) for x in bench.bits for y in bench.bits):
        a, b = (
            convert(
                np.resize(tensors[(number + side) % len(tensors)].ravel(), (7, 3 * bench.lanes)),
                BlockFormat(name="real", man_bits=width, group=bench.lanes),
                rounding="rne",
            )
            for side, width in enumerate(bits)
        )
        beats = Beats()
        for kind in KINDS:
            beats.extend(bench.product(kind, a, b))
        await bench.run(beats)


@cocotb.test
async def mxint8_blocks(dut):
    """Blocks of OCP MXINT8, if groups are of 32 numbers with 8 bits: the dot product of one with another is exact but for rounding."""
    bench = await _started(dut)
    if (bench.lanes, bench.max_bits, bench.fixed) != (32, 8, False):
        return
    words = np.concatenate([tensor.ravel()[:640] for tensor in real_tensors()[0].values()]).reshape(-1, 32)
    a, b = (from_mxint8(*to_mxint8(part)) for part in (words[::7][:11], words[3::7][:9]))
    for kind in KINDS:
        got = await bench.multiply(kind, a, b)
        exact = decode(a).astype(np.float64) @ decode(b).astype(np.float64).T
        assert np.array_equal(got, exact.astype(np.float32)), f"{kind}: not what the blocks mean"


@cocotb.test
async def a_training_step(dut):
    """All products of a step in the array; its weights are those of the model to the last bit."""
    bench = await _started(dut)
    images, labels = load_mnist()
    chosen = split(labels)[0][:STEP_IMAGES]
    images, labels = images[chosen][:, ::STEP_PIXELS], labels[chosen]
    got = await bench.training_step(bench.multiply, images, labels)
    want = await bench.training_step(bench.model, images, labels)
    for layer, (ours, models) in enumerate(zip(got, want, strict=True)):
        assert np.array_equal(ours.view(np.uint32), models.view(np.uint32)), f"weights of layer {layer} differ"


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    for idle_share in (0, 0.1, 0.5, 0.9):
        for stall_share in (0, 0.1, 0.5, 0.9):
            beats = Beats()
            for _ in range(MIXED_PRODUCTS):
                beats.extend(bench.random_product())
            await bench.run(beats, bench.rng.random(997) < idle_share, bench.rng.random(1009) < stall_share)


@cocotb.test
async def reset_in_mid_stream(dut):
    """After a reset everything is as if nothing had been before."""
    bench = await _started(dut)
    for _ in range(8):
        beats = Beats()
        for _ in range(MIXED_PRODUCTS):
            beats.extend(bench.random_product())
        idle, stall = bench.rng.random(97) < 0.3, bench.rng.random(101) < 0.3
        await bench.run(beats, idle, stall, until=len(beats.left) // 2)
        await bench.reset()
        await bench.run(bench.random_product())
