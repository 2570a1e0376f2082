"""The LBFP blocks at the level of their streams."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import block_exponent, decode, dot, encode, encode_fixed, lsb_exponent, multiply
from narrowfloat.golden.reference.base import Reference, spell_float32
from narrowfloat.golden.reference.inference import mlp_batch
from narrowfloat.golden.reference.network import WIDTHS
from narrowfloat.golden.reference.stimulus import RESULT_BEATS, log_corners, operands, random_words, real_tensors, special_words
from narrowfloat.golden.reference.streams import Stream

RANDOM_WORDS = 400_000
IMAGES = 16
LENGTHS = (1, 2, 3, 16, 100, 1000)  # of dot products, in beats


class Lbfp(Reference):
    """A design with a logarithmic format."""

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.fmt = LogBlockFormat.parse(self.parameters["fmt"])

    @property
    def exponents(self):
        """All shared exponents."""
        low, high = self.fmt.exponent_range
        return np.arange(low, high + 1)

    @property
    def whole(self):
        """The format without blocks, so that a whole tensor is one."""
        return replace(self.fmt, block=None)


class LbfpEncoder(Lbfp):
    """FP32 words or integers to codes, with exponents that are given or found (`narrowfloat.golden.lbfp.encode`)."""

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.fixed = self.parameters["source"] == "fixed"
        self.found = self.parameters["exponent"] == "max"
        self.bits = self.parameters["fixed_bits"]
        self.random_beats = -(-RANDOM_WORDS // self.lanes)
        self.together = self.fmt.block // self.lanes if self.found else 1

    def of_values(self, values, exponent=0, **user):
        """Beats, in whole blocks where exponents are found, of FP32 words or integers; all at one `exponent`."""
        return self.stream({"lane": self.filled(values, self.fmt.block if self.found else None)}, exponent=exponent, **user)

    def corners(self):
        """Every threshold, at every exponent or, of integers, at every place of the leading one."""
        if self.fixed:
            yield from self._corners_of_integers()
        elif self.found:
            # the largest of a block is at the upper end of its range
            for exponent in self.exponents[::5]:
                yield self.of_values(self.rng.permutation(np.tile(log_corners(self.fmt, exponent), 2)))
            # infinity and NaN without any other number, at every place of a block
            places = np.eye(self.fmt.block, dtype=np.uint32)
            alone = [places * np.uint32(word) for word in (0x7F800000, 0xFFC00000)]
            yield self.of_values(np.concatenate([*alone, alone[0] + np.uint32(1) - places]).ravel())
        else:
            parts = []
            for exponent in self.exponents:
                words = np.concatenate([log_corners(self.fmt, exponent), special_words()[exponent % 8 :: 8]])
                parts.append(self.of_values(self.rng.permutation(words), exponent))
            yield self.shuffled(parts)

    def _corners_of_integers(self):
        """All fractions that are compared, at every place of the leading one, with all and no bits set below; the extremes."""
        bits = self.fmt.frac_bits + 4
        significands = np.arange(2**bits, 2 ** (bits + 1))
        for place in range(self.bits - 1):
            values = significands << place - bits if place >= bits else significands >> bits - place
            ones = values | 2 ** max(0, place - bits) - 1
            values = np.unique(np.concatenate([values, ones, -values, -ones]))
            for integer in range(-2, 2**self.fmt.int_bits + 1):
                exponent = int(self.rng.integers(*self.fmt.exponent_range))
                lsb = self._weight(exponent - 2**self.fmt.int_bits + integer - place)
                yield self.of_values(self.rng.permutation(values), exponent, lsb_exponent=lsb)
        extremes = np.array([0, -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1, 1, -1])
        for exponent in (self.exponents[0], 0, self.exponents[-1]):
            for lsb in (-np.inf, exponent - self.bits, exponent, np.inf):
                yield self.of_values(extremes, exponent, lsb_exponent=self._weight(lsb))

    def _weight(self, lsb_exponent):
        """The exponent of a last bit, or what of its field's range is nearest."""
        reach = 2 ** (self.fmt.exp_bits + 2)
        return np.clip(lsb_exponent, -reach, reach - 1).astype(int)

    def random(self, beats):
        group = self.together
        beats = -(-beats // group) * group
        exponent = self.rng.choice(self.exponents, beats)
        if self.fixed:
            widths = self.rng.integers(1, self.bits + 1, (beats, self.lanes))
            values = self.rng.integers(-(2**63), 2**63, widths.shape) >> 64 - widths
            # so that the largest of the beat is near the range of the codes
            reach = self.rng.integers(-self.bits, 3, beats)
            return self.stream({"lane": values}, exponent=exponent, lsb_exponent=self._weight(exponent + reach))
        words = random_words(self.rng, (beats, self.lanes))
        # half of them in range, or with found exponents in one another's
        middle = self.rng.integers(0, 256, (beats // group, 1)).repeat(group, axis=0) if self.found else exponent[:, None] + 127
        near = np.clip(middle + self.rng.integers(-(2**self.fmt.int_bits) - 3, 3, words.shape), 0, 255)
        words = np.where(self.rng.random(words.shape) < 0.5, words & 0x807FFFFF | near.astype(np.uint32) << 23, words)
        return self.stream({"lane": words.astype(np.uint32)}, exponent=exponent)

    def real(self):
        for name, tensor in real_tensors()[0].items():
            exponent = int(block_exponent(tensor.reshape(1, -1), self.whole)[0, 0])
            if self.fixed:
                values = np.rint(np.ldexp(tensor.astype(np.float64).ravel(), self.bits - 1 - exponent)).astype(np.int64)
                yield name, self.of_values(values[:4096], exponent, lsb_exponent=self._weight(exponent + 1 - self.bits))
            else:
                yield name, self.of_values(tensor.ravel().view(np.uint32)[:16384], exponent)

    def model(self, stream):
        values, user = stream.data["lane"], {"user": stream.user["user"]}
        if self.fixed:
            exponents = [stream.user[name][:, None] for name in ("exponent", "lsb_exponent")]
            codes, flags = encode_fixed(values, self.fmt, *exponents, flags=True)
        else:
            x = values.view(np.float32)
            exponent = stream.user["exponent"]
            if self.found:
                found = block_exponent(x.reshape(-1, self.fmt.block), self.fmt).ravel()
                exponent = user["exponent"] = found.repeat(self.fmt.block // self.lanes)
            codes, flags = encode(x, self.fmt, exponent[:, None], flags=True)
        return Stream({"lane": codes}, {**user, "flags": flags}, stream.last)

    def describe(self, stream, beat, lane):
        value = stream.data["lane"][beat, lane]
        said = f"{value} at {stream.user['lsb_exponent'][beat]}" if self.fixed else spell_float32(value)
        return f"{self.fmt.name} exponent {'found' if self.found else stream.user['exponent'][beat]} of {said}"


class LbfpDecoder(Lbfp):
    """Codes to FP32 (`narrowfloat.golden.lbfp.decode`)."""

    spelled: ClassVar = {"lane": spell_float32}

    def corners(self):
        """Every code at every exponent, twice, each time with other neighbours."""
        for _ in range(2):
            codes = np.tile(np.arange(2**self.fmt.bits, dtype=np.uint8), (len(self.exponents), 1))
            codes = np.pad(self.rng.permuted(codes, axis=1), ((0, 0), (0, -codes.shape[1] % self.lanes)))
            exponent = self.exponents.repeat(codes.shape[1] // self.lanes)
            yield self.shuffled([self.stream({"lane": codes.reshape(-1, self.lanes)}, exponent=exponent)])

    def random(self, beats):
        codes = self.rng.integers(2**self.fmt.bits, size=(beats, self.lanes), dtype=np.uint8)
        return self.stream({"lane": codes}, exponent=self.rng.choice(self.exponents, beats))

    def real(self):
        for name, tensor in real_tensors()[0].items():
            values = tensor.ravel()[:16384]
            exponent = int(block_exponent(values[None], self.whole)[0, 0])
            yield name, self.stream({"lane": self.filled(encode(values, self.fmt, exponent))}, exponent=exponent)

    def model(self, stream):
        words = decode(stream.data["lane"], self.fmt, stream.user["exponent"][:, None]).view(np.uint32)
        return Stream({"lane": words}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        return f"{self.fmt.name} 0x{int(stream.data['lane'][beat, lane]):02x} exponent {stream.user['exponent'][beat]}"


class _Products(Lbfp):
    """What multiplier and dot product share: pairs of codes."""

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.antilog = {
            "antilog": self.parameters["antilog"],
            "guard_bits": manifest["guard_bits"],
            "out_bits": manifest["product_bits"],
        }

    def random_codes(self, beats):
        """Codes of both operands: uint8 [2, beats, lanes]."""
        return self.rng.integers(2**self.fmt.bits, size=(2, beats, self.lanes), dtype=np.uint8)

    def _operands(self):
        """Codes of real operands, uint8 [beats, lanes], and the exponents of their beats; each run has that of its largest."""
        for values in operands(self.lanes):
            found = block_exponent(values, self.whole)
            exponents = np.broadcast_to(found, values.shape).reshape(-1, self.lanes)[:, 0]
            yield encode(values, self.fmt, found).reshape(-1, self.lanes), exponents.astype(np.int64)


class LbfpMultiplier(_Products):
    """Products of codes, with the antilog and the width that were built (`narrowfloat.golden.lbfp.multiply`)."""

    def pairs(self, a, b):
        """Beats of pairs, the last filled up with zeros."""
        return self.stream({"a": self.filled(a), "b": self.filled(b)})

    def corners(self):
        """Every pair, twice, each time with other neighbours."""
        number = 2**self.fmt.bits
        for _ in range(2):
            a, b = np.divmod(self.rng.permutation(number**2), number)
            yield self.pairs(a.astype(np.uint8), b.astype(np.uint8))

    def random(self, beats):
        return self.stream(dict(zip("ab", self.random_codes(beats), strict=True)))

    def real(self):
        """Tensors times their neighbours."""
        for name, tensor in real_tensors()[0].items():
            values = np.resize(tensor.ravel(), 2048)
            codes = encode(values, self.fmt, int(block_exponent(values[None], self.whole)[0, 0]))
            yield name, self.pairs(codes[:-1], codes[1:])

    def workload(self):
        (a, _), (b, _) = self._operands()
        return Stream({"a": a, "b": b}, {"user": np.zeros(len(a), np.int64)}, np.zeros(len(a), bool))

    def model(self, stream):
        product = multiply(stream.data["a"], stream.data["b"], self.fmt, **self.antilog, output=self.parameters["output"])
        return Stream({"lane": product}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        a, b = (int(stream.data[name][beat, lane]) for name in "ab")
        return f"{self.fmt.name} 0x{a:02x} * 0x{b:02x}"


class LbfpDotProduct(_Products):
    """Dot products of any number of beats, up to TLAST (`narrowfloat.golden.lbfp.dot`)."""

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        # the network's exponents need 8 bits, and all of an image's beats make one result
        if (self.fmt.exp_bits, self.fmt.block) != (8, None) or WIDTHS[0] > self.parameters["max_beats"] * self.lanes:
            self.real = None

    def operands(self, a, b, last, exponent_a=0, exponent_b=0):
        """Beats of codes [beats, lanes]; exponents are integers or arrays [beats]."""
        return self.stream({"a": a, "b": b}, last, exponent_a=exponent_a, exponent_b=exponent_b)

    def of_lengths(self, beats, lengths):
        """About so many beats, in results of lengths drawn from `lengths`, with random exponents; some lanes are zero."""
        ends = np.cumsum(self.rng.choice(lengths, -(-beats // min(lengths))))
        ends = ends[: np.searchsorted(ends, beats) + 1]
        last = np.zeros(int(ends[-1]), bool)
        last[ends - 1] = True
        a, b = self.random_codes(len(last))
        zero = self.rng.random((2, *a.shape)) < 0.1
        exponents = self.rng.choice(self.exponents, (2, len(last)))
        return self.operands(np.where(zero[0], a & 2**self.fmt.magnitude_bits, a), np.where(zero[1], 0, b), last, *exponents)

    @property
    def lengths(self):
        """Of `LENGTHS` those that the design takes."""
        return [length for length in LENGTHS if length <= self.parameters["max_beats"]]

    def corners(self):
        """Results of every length.

        Then as many beats as are allowed, all of the largest product of either sign; and a sum that ends where it began.
        """
        for length in self.lengths:
            yield self.of_lengths(max(1000, 3 * length), [length])
        count = self.parameters["max_beats"]
        a = np.full((count, self.lanes), self.fmt.max_magnitude, np.uint8)
        negative = np.uint8(2**self.fmt.magnitude_bits)
        alternating = np.where(np.arange(count) % 2, negative, np.uint8(0))[:, None]
        for b in (a, a | negative, a | alternating):
            yield self.operands(a, b, np.arange(count) == count - 1)

    def random(self, beats):
        return self.of_lengths(beats, self.lengths[:4])

    def real(self):
        """A batch of images times the first layer of a network, both encoded with calibrated exponents."""
        batch = mlp_batch(IMAGES, self.fmt)
        a, b = (np.pad(codes, ((0, 0), (0, -codes.shape[1] % self.lanes))) for codes in (batch.a, batch.b))
        beats = a.shape[1] // self.lanes
        last = np.tile(np.arange(beats) == beats - 1, len(b))
        for number, image in enumerate(a):
            rows = np.tile(image.reshape(-1, self.lanes), (len(b), 1))
            columns = b.reshape(-1, self.lanes)
            yield f"image{number}", self.operands(rows, columns, last, batch.exponent_a, batch.exponents_b.repeat(beats))

    def workload(self):
        (a, exponent_a), (b, exponent_b) = self._operands()
        user = {"exponent_a": exponent_a, "exponent_b": exponent_b, "user": np.zeros(len(a), np.int64)}
        return Stream({"a": a, "b": b}, user, np.arange(len(a)) % RESULT_BEATS == RESULT_BEATS - 1)

    def model(self, stream):
        ends = np.flatnonzero(stream.last)
        sums = dot(stream.data["a"], stream.data["b"], self.fmt, **self.antilog, output=self.parameters["output"])
        sums = np.diff(np.cumsum(sums)[ends], prepend=0)
        if np.abs(sums).max(initial=0) >= 2 ** (self.manifest["sum_bits"] - 1):
            raise OverflowError(f"a sum does not fit the {self.manifest['sum_bits']} bits that the design has for it")
        exponent = lsb_exponent(self.fmt, stream.user["exponent_a"][ends] + stream.user["exponent_b"][ends], **self.antilog)
        return Stream({"sum": sums}, {"exponent": exponent, "user": stream.user["user"][ends]}, origin=ends)

    def describe(self, stream, beat, column):
        a, b = (stream.data[name][beat].tobytes().hex() for name in "ab")
        return f"{self.fmt.name}, last beat {beat} of lanes 0x{a} * 0x{b}"
