"""The block floating-point converter against the golden model."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from narrowfloat.cosim.drivers import AxiStream
from narrowfloat.cosim.report import Mismatch, ProtocolError, compare, manifest, rerun
from narrowfloat.golden.bfp import convert, relative_improvement
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference.spelling import spell_float32
from narrowfloat.golden.reference.stimulus import real_tensors, special_words
from narrowfloat.golden.reference.streams import Port

ROUNDING_CODES = {"rne": 0, "rtz": 2, "sr": 3}
RANDOM_GROUPS = 2**14
REAL_GROUPS = 1024  # of each tensor


@dataclass
class Tensor:
    """FP32 words, whole beats of them, and what is set for all its groups."""

    words: np.ndarray
    rounding: str
    bits: int
    offset: int
    reference: int


class SumsSink:
    """Takes the tensors' sums, which leave at a port of their own, as ready as it is told."""

    def __init__(self, dut, manifest):
        self.dut = dut
        self.data, self.user = Port(manifest, "m_sums_tdata"), Port(manifest, "m_sums_tuser")
        self.taken = []
        self.stall = np.zeros(1, bool)

    async def run(self):
        """Never ends."""
        dut, edge, cycle, held = self.dut, RisingEdge(self.dut.clk), 0, None
        while True:
            ready = not self.stall[cycle % len(self.stall)]
            dut.m_sums_tready.value = ready
            await edge
            cycle += 1
            if dut.m_sums_tvalid.value != 1:
                held = None
                continue
            sums = (int(dut.m_sums_tdata.value), int(dut.m_sums_tuser.value))
            if held not in (None, sums):
                raise ProtocolError(f"sums changed while they waited; {rerun()}")
            held = None if ready else sums
            if ready:
                self.taken.append(sums)

    def take(self, count):
        """The first `count` sums: numerators, denominators, user fields by name."""
        rows, self.taken = self.taken[:count], self.taken[count:]
        columns = []
        for port, values in zip((self.data, self.user), zip(*rows)):
            packed = b"".join(value.to_bytes(4 * port.words, "little") for value in values)
            columns.append(port.unpack(np.frombuffer(packed, "<u4").reshape(count, port.words)))
        return columns


class ConverterBench:
    """A converter under test: makes tensors for it, sends them, and compares what comes out."""

    def __init__(self, dut):
        self.dut = dut
        self.manifest = manifest()
        self.parameters = self.manifest["parameters"]
        self.fmt = BlockFormat.parse(self.parameters["fmt"])
        self.precisions = self.parameters["precisions"] or [self.fmt.man_bits]
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.stream = AxiStream(dut, self.manifest)
        self.lanes = self.stream.lanes
        self.sums = SumsSink(dut, self.manifest) if self.parameters["sums"] else None

    async def start(self):
        """Reset the converter, which then has seen no beat."""
        if self.sums:
            cocotb.start_soon(self.sums.run())
        await self.stream.start()
        self.since_reset = 0

    async def restart(self):
        """Reset it in the middle of whatever it does."""
        await self.stream.reset()
        self.since_reset = 0
        if self.sums:
            self.sums.taken = []

    # Tensors

    def tensor(self, words, rounding=None, bits=None, whole=True):
        """A tensor of `words`, filled up with zeros to whole beats, or to `whole` groups; what is not given is chosen at random.

        Offset and reference are near the words' largest exponent more often than not.
        """
        words = np.asarray(words, np.uint32).ravel()
        words = np.concatenate([words, np.zeros(-len(words) % (self.fmt.group if whole else self.lanes), np.uint32)])
        largest = int((words >> 23 & 255).max())
        near = [int(np.clip(largest + self.rng.integers(-24, 3), 0, 255)), int(self.rng.integers(256))]
        return Tensor(
            words,
            rounding or str(self.rng.choice(self.parameters["roundings"])),
            bits or int(self.rng.choice(self.precisions)),
            near[self.rng.random() < 0.1] if self.fmt.exp_bits < 8 else 0,
            near[self.rng.random() < 0.1],
        )

    def random_tensors(self, count, groups, whole=True):
        """`count` tensors of up to so many groups: exponents close together, or any words at all."""
        return [
            self.tensor(self.random_words(self.rng.integers(1, groups * self.fmt.group + 1)), whole=whole) for _ in range(count)
        ]

    def random_words(self, count):
        words = self.rng.integers(2**32, size=count, dtype=np.uint32)
        if self.rng.random() < 0.2:
            return words
        top = self.rng.integers(1, 256)
        exponents = np.clip(top - self.rng.geometric(0.2, count) + 1, 0, 255).astype(np.uint32)
        words = words & np.uint32(0x807FFFFF) | exponents << np.uint32(23)
        return np.where(self.rng.random(count) < 0.05, self.rng.choice(special_words(), count), words)

    def corners(self):
        """Groups in which one number has the largest exponent and the others are where rounding changes or nearly does.

        At several exponents, the ends among them, at each distance to beyond what is kept: all bits of k, what follows zeros, ones,
        or one bit set, as a tie and its neighbours have it.
        """
        tails = np.concatenate([[0, 2**19 - 1], 1 << np.arange(19), (1 << 18) + (1 << np.arange(18)), [2**18 - 1]])
        fractions = np.unique((np.arange(16)[:, None] << 19 | tails).ravel())
        words = []
        for largest in (1, 2, 9, 127, 253, 254):
            for distance in range(min(largest, self.fmt.man_bits + 11)):
                rest = self.rng.permutation((largest - distance) << 23 | fractions)
                rest = rest.astype(np.uint32) | self.rng.integers(2, size=len(rest), dtype=np.uint32) << np.uint32(31)
                rest = np.resize(rest, (-(-len(rest) // (self.fmt.group - 1)), self.fmt.group - 1))
                top = np.uint32(largest << 23) | self.rng.integers(2**23, size=(len(rest), 1), dtype=np.uint32)
                words.append(self.rng.permuted(np.concatenate([top, rest], axis=1), axis=1))
        words = np.concatenate(words)
        return words[self.rng.permutation(len(words))]

    def odd_groups(self):
        """One huge number and tiny ones, at every place; zeros, subnormals, infinities and NaN, alone and beside numbers."""
        group = self.fmt.group
        tiny = np.full((group, group), 0x00800001, np.uint32)
        huge = tiny.copy()
        np.fill_diagonal(huge, 0xFF7FFFFF)
        lonely = np.zeros((group, group), np.uint32)
        np.fill_diagonal(lonely, 0x3F800000)
        special = special_words()
        special = np.resize(special, (-(-len(special) // group), group))
        equal = np.broadcast_to(
            np.array([0, 0x80000000, 1, 0x7FFFFF, 0x7F800000, 0xFFC00000, 0x7FFFFFFF], np.uint32)[:, None], (7, group)
        )
        return np.concatenate(
            [
                tiny,
                huge,
                lonely,
                special,
                equal,
                np.sort(special_words())[: len(special_words()) // group * group].reshape(-1, group),
            ]
        )

    # Runs

    async def run(self, tensors, idle=None, stall=None, sums_stall=None):
        """Send `tensors`, compare numbers and sums with the model's.

        With nothing in the way a beat must leave every cycle, the first after the block's latency.
        """
        beats, user, last = self._beats(tensors)
        if self.sums:
            self.sums.stall = np.zeros(1, bool) if sums_stall is None else sums_stall
        before = self.stream.cycles
        lanes, got, got_last = await self.stream.send(self.stream.pack(beats, user, last), idle, stall)
        cycles = self.stream.cycles - before
        if idle is None and stall is None and all(tensor.words.size % self.fmt.group == 0 for tensor in tensors):
            expected = len(beats) + self.manifest["latency"]
            assert cycles == expected, f"{len(beats)} beats took {cycles} cycles, not {expected}: latency or throughput is off"
        self._check(tensors, beats, lanes, got, got_last, user, last)
        if self.sums:
            await self._check_sums(tensors, user, last)
        self.stream.report(self.lanes)

    async def interrupt(self, tensors, idle, stall):
        """Send `tensors`, and reset the converter after half of the beats were accepted."""
        beats, user, last = self._beats(tensors)
        packed = self.stream.pack(beats, user, last)
        await self.stream.send(packed, idle, stall, until_accepted=len(beats) // 2)
        await self.restart()

    def _beats(self, tensors):
        """Words [beats, lanes], user fields and `last`; what a group's other beats set does not count, so it is anything."""
        per_group = self.fmt.group // self.lanes
        fields, lasts = [], []
        for tensor in tensors:
            count = tensor.words.size // self.lanes
            counts = np.arange(count) % per_group == per_group - 1
            counts[-1] = True
            values = {
                "rounding": (ROUNDING_CODES[tensor.rounding], [ROUNDING_CODES[name] for name in self.parameters["roundings"]]),
                "precision": (self.precisions.index(tensor.bits), range(len(self.precisions))),
                "offset": (tensor.offset, range(256)),
                "reference": (tensor.reference, range(256)),
            }
            fields.append(
                {name: np.where(counts, value, self.rng.choice(any_, count)) for name, (value, any_) in values.items()}
            )
            lasts.append(np.arange(count) == count - 1)
        user = {name: np.concatenate([field[name] for field in fields]) for name in fields[0]}
        last = np.concatenate(lasts)
        user["user"] = self.rng.integers(2 ** self.parameters["user_bits"], size=len(last), dtype=np.uint64)
        return np.concatenate([tensor.words for tensor in tensors]).reshape(-1, self.lanes), user, last

    def _check(self, tensors, beats, lanes, got, got_last, user, last):
        want = self._model(tensors, len(beats))
        self.since_reset += len(beats)
        man_bits = self.fmt.man_bits

        def spell(code):
            return f"{'-' if code >> man_bits else '+'}{int(code) % 2**man_bits:0{man_bits}b}"

        tensor_of = np.repeat(np.arange(len(tensors)), [tensor.words.size // self.lanes for tensor in tensors])

        def describe(vector, lane):
            tensor = tensors[tensor_of[vector]]
            what = f"{self.fmt.name} {tensor.bits} bits {tensor.rounding} offset {tensor.offset} of {spell_float32(beats[vector, lane])}"
            outcome = f"got {spell(lanes[vector, lane])}, want {spell(want['codes'][vector, lane])}"
            return f"{what} with exponent {want['exponent'][vector]}: {outcome}"

        compare(lanes.astype(np.int64), want["codes"], describe)
        for name in ("exponent", "saturated", "invalid", "group_last"):
            compare(
                got[name].astype(np.int64),
                want[name][:, None],
                lambda vector, _, name=name: f"{name}: got {got[name][vector, 0]}, want {want[name][vector]}",
            )
        if "user" in got:
            compare(
                got["user"].astype(np.uint64),
                user["user"][:, None],
                lambda vector, _: "tags differ: beats were lost or reordered",
            )
        assert np.array_equal(got_last, last), f"tlast of beat {np.argmax(got_last != last)} is wrong; {rerun()}"

    def _model(self, tensors, count):
        """What each beat should be: integers [beats] by field, and codes [beats, lanes]."""
        per_group = self.fmt.group // self.lanes
        noise = lane_bits(self.parameters["seed"], self.since_reset + count, self.lanes)[self.since_reset :]
        parts = {name: [] for name in ("codes", "exponent", "saturated", "invalid", "group_last")}
        start = 0
        for tensor in tensors:
            number = tensor.words.size // self.lanes
            groups = -(-number // per_group)
            random = np.zeros((groups * per_group, self.lanes), np.uint8)
            random[:number] = noise[start : start + number]
            start += number
            blocks, saturated, invalid = convert(
                tensor.words.view(np.float32),
                self.fmt,
                rounding=tensor.rounding,
                bits=tensor.bits,
                random_bits=random.reshape(groups, self.fmt.group),
                offset=tensor.offset,
                flags=True,
            )
            codes = blocks.magnitudes.astype(np.int64) | blocks.signs.astype(np.int64) << self.fmt.man_bits
            group_last = np.arange(number) % per_group == per_group - 1
            group_last[-1] = True
            found = {
                "codes": codes.reshape(-1, self.lanes),
                "exponent": np.repeat(blocks.codes.astype(np.int64), per_group),
                "saturated": saturated.reshape(-1, self.lanes).any(axis=1).astype(np.int64),
                "invalid": invalid.reshape(-1, self.lanes).any(axis=1).astype(np.int64),
                "group_last": group_last.astype(np.int64),
            }
            for name, values in found.items():
                parts[name].append(values[:number])
        return {name: np.concatenate(values) for name, values in parts.items()}

    async def _check_sums(self, tensors, user, last):
        for _ in range(20 * (len(tensors) + 1) * len(self.sums.stall)):
            if len(self.sums.taken) >= len(tensors):
                break
            await RisingEdge(self.dut.clk)
        if len(self.sums.taken) != len(tensors):
            raise Mismatch(f"{len(self.sums.taken)} sums for {len(tensors)} tensors; {rerun()}")
        data, fields = self.sums.take(len(tensors))
        for index, tensor in enumerate(tensors):
            width = self.parameters["sum_bits"]
            want = relative_improvement(
                tensor.words.view(np.float32), self.fmt, tensor.reference, offset=tensor.offset, width=width
            )
            got = tuple(int(column[index, 0]) for column in (data["numerator"], data["denominator"], fields["saturated"]))
            if got != want:
                raise Mismatch(f"sums of tensor {index}, reference {tensor.reference}: got {got}, want {want}; {rerun()}")
        if "user" in fields:
            compare(fields["user"].astype(np.uint64), user["user"][last][:, None], lambda vector, _: f"tag of sums {vector}")


async def _started(dut):
    bench = ConverterBench(dut)
    await bench.start()
    return bench


@cocotb.test
async def convert_every_boundary_and_midpoint(dut):
    bench = await _started(dut)
    for rounding in bench.parameters["roundings"]:
        for bits in bench.precisions:
            await bench.run([bench.tensor(bench.corners(), rounding, bits)])


@cocotb.test
async def convert_groups_of_extremes(dut):
    bench = await _started(dut)
    groups = bench.odd_groups()
    for rounding in bench.parameters["roundings"]:
        for bits in bench.precisions:
            order = bench.rng.permutation(len(groups))
            await bench.run([bench.tensor(part, rounding, bits) for part in np.array_split(groups[order], 40)])


@cocotb.test
async def convert_random_groups(dut):
    bench = await _started(dut)
    sent = 0
    while sent < RANDOM_GROUPS:
        tensors = bench.random_tensors(20, 400)
        await bench.run(tensors)
        sent += sum(tensor.words.size // bench.fmt.group for tensor in tensors)


@cocotb.test
async def convert_real_tensors(dut):
    bench = await _started(dut)
    for tensor in real_tensors()[0].values():
        await bench.run([bench.tensor(tensor.view(np.uint32).ravel()[: REAL_GROUPS * bench.fmt.group])])


@cocotb.test
async def every_mix_of_idle_cycles_and_back_pressure(dut):
    bench = await _started(dut)
    shares = (0, 0.1, 0.5, 0.9)
    for idle_share in shares:
        for stall_share in shares:
            idle, stall = bench.rng.random(997) < idle_share, bench.rng.random(1009) < stall_share
            tensors = bench.random_tensors(30, 4, whole=False)
            await bench.run(tensors, idle, stall, bench.rng.random(1013) < bench.rng.choice(shares))


@cocotb.test
async def sums_that_are_not_taken_stop_no_tensor_but_the_next(dut):
    bench = await _started(dut)
    if bench.sums:
        never = np.zeros(400, bool)
        await bench.run(bench.random_tensors(6, 3, whole=False), never, never, np.arange(200) < 199)


@cocotb.test
async def reset_in_mid_stream(dut):
    bench = await _started(dut)
    for _ in range(8):
        tensors = bench.random_tensors(6, 6, whole=False)
        await bench.interrupt(tensors, bench.rng.random(97) < 0.3, bench.rng.random(101) < 0.3)
        await bench.run(bench.random_tensors(6, 6, whole=False), np.zeros(1, bool), np.zeros(1, bool))
