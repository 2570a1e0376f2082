"""What the benches of the float encoder and decoder share: beats of corner, random and real vectors, sent and counted."""

import os
from dataclasses import dataclass

import cocotb
import numpy as np
from narrowfloat.cosim.drivers import AxiStream, manifest
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.reference.stimulus import real_tensors
from narrowfloat.golden.rounding import ROUNDINGS
from narrowfloat.golden.statistics import exact_median_bias


@dataclass
class Beats:
    """Vectors for a float codec: lanes of FP32 words or codes, and what each beat sets for all its lanes.

    `lanes` is unsigned [beats, lanes]; `bias`, `format` and `rounding`, both indices, are integer [beats].
    """

    lanes: np.ndarray
    bias: np.ndarray
    format: np.ndarray
    rounding: np.ndarray

    def __len__(self):
        return len(self.lanes)

    def __getitem__(self, rows):
        return Beats(self.lanes[rows], self.bias[rows], self.format[rows], self.rounding[rows])

    @classmethod
    def join(cls, parts):
        """All the beats of `parts`, in their order."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("lanes", "bias", "format", "rounding"))
        )


class FloatBench:
    """A float codec under test: makes beats for it, sends them and keeps count.

    A subclass's ``check(beats, got, sent)`` compares what came out with the model.
    """

    def __init__(self, dut):
        self.manifest = manifest()
        self.parameters = self.manifest["parameters"]
        self.formats = [FloatFormat.parse(name) for name in self.parameters["formats"]]
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.stream = AxiStream(dut, self.manifest)
        self.lanes = self.stream.lanes
        self._rounding_codes = [ROUNDINGS.index(name) for name in self.parameters.get("roundings", ["rne"])]

    async def start(self):
        """Reset the block, which then has seen no beat."""
        await self.stream.start()
        self.since_reset = 0

    async def restart(self):
        """Reset the block in the middle of whatever it does."""
        await self.stream.reset()
        self.since_reset = 0

    def biases(self, fmt):
        """The biases at which `fmt` can run: all where the port is built, otherwise its own."""
        low, high = fmt.bias_range
        return range(low, high + 1) if self.parameters["bias_port"] else [fmt.bias]

    def tensor_bias(self, fmt, tensor):
        """The bias for `tensor`: that of its median in the formats meant for that, otherwise the format's own."""
        return exact_median_bias(tensor) if fmt.name.startswith("ab_") and self.parameters["bias_port"] else fmt.bias

    def beats(self, vectors, bias, index):
        """Beats of `vectors`, any number of them, in one format at one bias; the last is filled up with some of them."""
        vectors = np.concatenate([vectors, self.rng.choice(vectors, -len(vectors) % self.lanes)])
        count = len(vectors) // self.lanes
        rounding = self.rng.choice(self._rounding_codes, count)
        return Beats(vectors.reshape(count, self.lanes), np.full(count, bias), np.full(count, index), rounding)

    def shuffled(self, vectors, biases, index):
        """Beats of `vectors`, each with its own of `biases`, in an order in which lanes and beats differ."""
        return self.shuffle(
            [self.beats(self.rng.permutation(vectors[biases == bias]), bias, index) for bias in np.unique(biases)]
        )

    def shuffle(self, parts):
        """All the beats of `parts` in random order."""
        beats = Beats.join(parts)
        return beats[self.rng.permutation(len(beats))]

    def random_beats(self, count, make_lanes):
        """`count` beats of random formats, biases and lanes; ``make_lanes(fmt, biases)`` gives lanes for [beats, lanes] biases."""
        parts = []
        for index, fmt in enumerate(self.formats):
            share = -(-count // len(self.formats))
            biases = self.rng.choice(np.array(self.biases(fmt)), share)
            lanes = make_lanes(fmt, np.broadcast_to(biases[:, None], (share, self.lanes)))
            parts.append(Beats(lanes, biases, np.full(share, index), self.rng.choice(self._rounding_codes, share)))
        return self.shuffle(parts)[:count]

    async def run(self, beats, idle=None, stall=None):
        """Send `beats`, compare what comes out with the model, and return it, [beats, lanes].

        With neither idle cycles nor back-pressure a beat must leave every cycle, the first after the block's latency.
        """
        sent = self._tagged(beats)
        packed = self.stream.pack(beats.lanes, sent, sent["last"])
        before = self.stream.cycles
        lanes, user, last = await self.stream.send(packed, idle, stall)
        cycles = self.stream.cycles - before
        if idle is None and stall is None:
            expected = len(beats) + self.manifest["latency"]
            assert cycles == expected, f"{len(beats)} beats took {cycles} cycles, not {expected}: latency or throughput is off"
        self.check(beats, lanes, user, sent)
        assert np.array_equal(last, sent["last"]), f"tlast of beat {np.argmax(last != sent['last'])} is wrong"
        if "user" in user:
            wrong = user["user"][:, 0] != sent["user"]
            assert not wrong.any(), f"the tag of beat {np.argmax(wrong)} is wrong: beats were lost, repeated or reordered"
        self.since_reset += len(beats)
        self.stream.report(self.lanes)
        return lanes

    async def interrupt(self, beats, idle, stall):
        """Send `beats`, and reset the block after half of them were accepted."""
        sent = self._tagged(beats)
        await self.stream.send(self.stream.pack(beats.lanes, sent, sent["last"]), idle, stall, until_accepted=len(beats) // 2)
        await self.restart()

    async def run_every_mix(self, make_beats):
        """Run ``make_beats()`` with every mix of few to many idle cycles and of little to much back-pressure."""
        for idle_share in (0, 0.1, 0.5, 0.9):
            for stall_share in (0, 0.1, 0.5, 0.9):
                await self.run(make_beats(), self.rng.random(997) < idle_share, self.rng.random(1009) < stall_share)

    async def run_with_resets(self, make_beats, times=8):
        """Break off, reset and start over; after each reset everything must be as if nothing had been before."""
        for _ in range(times):
            await self.interrupt(make_beats(), self.rng.random(97) < 0.3, self.rng.random(101) < 0.3)
            await self.run(make_beats())

    async def run_real_tensors(self, make_vectors):
        """Run ``make_vectors(tensor, fmt, bias)`` of every real tensor, and keep what came out for the report."""
        results = {}
        for number, (name, tensor) in enumerate(real_tensors()[0].items()):
            index = number % len(self.formats)
            fmt = self.formats[index]
            bias = self.tensor_bias(fmt, tensor)
            lanes = await self.run(self.beats(make_vectors(tensor, fmt, bias).ravel(), bias, index))
            results[name] = lanes.reshape(-1)[: tensor.size].reshape(tensor.shape)
        np.savez(os.environ["NARROWFLOAT_TENSORS"], **results)

    def _tagged(self, beats):
        count = len(beats)
        return {
            "bias": beats.bias,
            "format": beats.format,
            "rounding": beats.rounding,
            "last": self.rng.random(count) < 0.1,
            "user": self.rng.integers(2 ** self.parameters["user_bits"], size=count),
            "random": self.rng.integers(2 ** self.parameters.get("sr_bits", 0), size=(count, self.lanes)),
        }
