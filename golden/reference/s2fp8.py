"""The S2FP8 blocks at the level of their streams."""

from typing import ClassVar

import numpy as np
from narrowfloat.golden.reference.base import Reference, spell_float32
from narrowfloat.golden.reference.stimulus import (
    RUN_BEATS,
    encoder_corners,
    random_words,
    real_tensors,
    runs,
    s2_corners,
    special_words,
)
from narrowfloat.golden.reference.streams import Stream
from narrowfloat.golden.s2fp8 import (
    ALPHA_FRACTION_BITS,
    ALPHA_RANGE,
    FORMAT,
    INVERSE_RANGE,
    MEAN_FRACTION_BITS,
    MEAN_RANGE,
    Parameters,
    decode,
    encode,
    parameters,
    tensor_parameters,
)
from narrowfloat.golden.s2fp8.tensor import tensor_statistics

RANDOM_WORDS = 200_000
RANDOM_CODES = 50_000  # beats
REAL_VALUES = 16_384  # of each tensor
CODES = np.arange(256, dtype=np.uint8)
_ONE = 1 << ALPHA_FRACTION_BITS


class S2Codec(Reference):
    """What both directions share: beats of one tensor's parameters each, `fields` of TUSER."""

    @property
    def precision(self):
        return self.parameters["precision"]

    def of_tensor(self, values, found):
        """Beats of words or codes, any number of them, with some `Parameters`; the last is filled up with zeros."""
        return self.stream({"lane": self.filled(values)}, **{name: getattr(found, name) for name in self.fields})

    def real(self):
        for name, tensor in real_tensors()[0].items():
            found = tensor_parameters(tensor)
            yield name, self.of_tensor(self._vectors(tensor.ravel()[:REAL_VALUES], found), found)

    def workload(self):
        tensors = real_tensors()[0]
        found = [tensor_parameters(tensor) for tensor in tensors.values()]
        parts = [self._vectors(words, each) for words, each in zip(runs(tensors, RUN_BEATS * self.lanes), found, strict=True)]
        lanes = np.concatenate(parts).reshape(-1, self.lanes)
        user = {name: np.repeat([getattr(each, name) for each in found], RUN_BEATS) for name in self.fields}
        return Stream({"lane": lanes}, user | {"user": np.zeros(len(lanes), np.int64)}, np.zeros(len(lanes), bool))

    def _said(self, stream, beat):
        return "s2fp8 " + " ".join(f"{name} {stream.user[name][beat]}" for name in self.fields)


class S2Encoder(S2Codec):
    """FP32 to codes of tensors that are shifted and squeezed (`narrowfloat.golden.s2fp8.encode`)."""

    fields = ("alpha", "mean")

    @property
    def random_beats(self):
        return -(-RANDOM_WORDS // self.lanes)

    def corners(self):
        """With alpha = 1 the corners of the plain codec; then every threshold with neighbours, at many parameters.

        Alphas have both ends of the fraction and one between at each exponent, means go from end to end; all are mixed.
        """
        for bias in range(int(self.rng.integers(8)), 64, 8):
            yield self.plain(bias)
        parts = []
        for exponent in range(-8, 8):
            for fraction in (0, int(self.rng.integers(1, _ONE - 1)), _ONE - 1):
                for mean in (0, 127 << MEAN_FRACTION_BITS, int(self.rng.integers(MEAN_RANGE[1])), MEAN_RANGE[1]):
                    alpha = exponent * _ONE + fraction
                    words = self.rng.permutation(s2_corners(alpha, mean, (0, int(self.rng.integers(1, 23))), self.precision))
                    parts.append(self.of_tensor(words, Parameters(alpha, mean, 0)))
        yield self.shuffled(parts)

    def plain(self, bias):
        """Beats that the plain codec would encode at this bias."""
        words = np.concatenate([encoder_corners(FORMAT, [bias], swept=0)[0], special_words()])
        return self.of_tensor(words, Parameters.of_bias(bias))

    def random(self, beats):
        """Random words and parameters, in three of four lanes words whose codes are numbers."""
        alpha = self.rng.integers(*ALPHA_RANGE, beats, endpoint=True)
        mean = self.rng.integers(*MEAN_RANGE, beats, endpoint=True)
        words = random_words(self.rng, (beats, self.lanes))
        reach = 18 / np.exp2(alpha / _ONE)[:, None]
        middle = mean[:, None] / 2**MEAN_FRACTION_BITS
        near = np.clip((middle + self.rng.uniform(-reach, reach, words.shape)) * 2**23, 0, 2**31 - 1)
        near = near.astype(np.uint32) | words & np.uint32(1 << 31)
        return self.stream({"lane": np.where(self.rng.random(words.shape) < 0.75, near, words)}, alpha=alpha, mean=mean)

    def model(self, stream):
        values = stream.data["lane"].view(np.float32)
        settings = (stream.user[name][:, None] for name in self.fields)
        overflow = self.parameters["overflow"]
        codes, flags = encode(values, *settings, overflow=overflow, precision=self.precision, flags=True)
        return Stream({"lane": codes}, {"user": stream.user["user"], "flags": flags}, stream.last)

    def describe(self, stream, beat, lane):
        return f"{self._said(stream, beat)} of {spell_float32(stream.data['lane'][beat, lane])}"

    def _vectors(self, values, found):
        return values.view(np.uint32)


class S2Decoder(S2Codec):
    """Codes of tensors that are shifted and squeezed to FP32 (`narrowfloat.golden.s2fp8.decode`)."""

    fields = ("inverse", "mean")
    spelled: ClassVar = {"lane": spell_float32}
    random_beats = RANDOM_CODES
    mixed_beats = 250

    def corners(self):
        """Every code at corners and random parameters, and with alpha = 1 at the plain codec's biases."""
        ends = [(inverse, mean) for inverse in (0, 1, 1 << 17, 2**21, 2**22 - 1) for mean in (0, 1, 255, 127 << 8, 2**16 - 1)]
        draw = self.rng.integers
        others = [(int(draw(2**22)) >> int(draw(12)), int(draw(2**16))) for _ in range(400)]
        for inverse, mean in ends + others:
            yield self.of_tensor(self.rng.permutation(CODES), Parameters(0, mean, inverse))
        for bias in range(64):
            yield self.plain(bias)

    def plain(self, bias):
        """All codes, which the plain codec would decode at this bias."""
        return self.of_tensor(CODES, Parameters.of_bias(bias))

    def random(self, beats):
        inverse = self.rng.integers(*INVERSE_RANGE, beats, endpoint=True) >> self.rng.integers(0, 12, beats)
        mean = self.rng.integers(*MEAN_RANGE, beats, endpoint=True)
        codes = self.rng.integers(256, size=(beats, self.lanes), dtype=np.uint8)
        return self.stream({"lane": codes}, inverse=inverse, mean=mean)

    def model(self, stream):
        settings = (stream.user[name][:, None] for name in self.fields)
        words = decode(stream.data["lane"], *settings, precision=self.precision).view(np.uint32)
        return Stream({"lane": words}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        return f"{self._said(stream, beat)} of 0x{int(stream.data['lane'][beat, lane]):02x}"

    def _vectors(self, values, found):
        return encode(values, found.alpha, found.mean, precision=self.precision)


class S2Parameters(Reference):
    """Parameters of tensors from their statistics, one tensor a beat (`narrowfloat.golden.s2fp8.parameters`)."""

    random_beats = 3000
    mixed_beats = 8
    few_beats = 6

    def of_statistics(self, mean, largest):
        """Tensors with these statistics."""
        return self.stream({"mean": np.array(mean), "max": np.array(largest)})

    def corners(self):
        """Spreads up to 40, around every power of two and of 15 / 8 times one, negative ones, and none counted."""
        powers = 2 ** np.arange(16)
        around = [*(powers + i for i in (-1, 0, 1)), *(powers * 15 // 8 + i for i in (-1, 0, 1, 2))]
        spreads = np.concatenate([np.arange(-3, 41), *around])
        mean = self.rng.integers(3, 2**16, spreads.size) % (2**16 - np.maximum(spreads, 0))
        mean = np.maximum(mean, np.maximum(-spreads, 0))
        yield self.of_statistics([*mean, 0, 65535, 17, 0, 65535], [*(mean + spreads), 0, 0, 0, 65535, 65535])

    def random(self, beats):
        """Half of them of tensors as they are: spreads of all magnitudes."""
        mean = self.rng.integers(2**16, size=beats)
        above = np.minimum(mean + (self.rng.integers(2**16, size=beats) >> self.rng.integers(0, 16, beats)), 2**16 - 1)
        return self.of_statistics(mean, np.where(self.rng.random(beats) < 0.5, above, self.rng.integers(2**16, size=beats)))

    def real(self):
        """The statistics of each tensor."""
        for name, tensor in real_tensors()[0].items():
            mean, largest = tensor_statistics(tensor)
            yield name, self.of_statistics([mean], [largest])

    def model(self, stream):
        pairs = zip(stream.data["mean"].tolist(), stream.data["max"].tolist(), strict=True)
        found = [parameters(mean, largest) for mean, largest in pairs]
        data = {name: np.array([getattr(each, name) for each in found]) for name in ("alpha", "mean", "inverse")}
        return Stream(data, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, column):
        return f"s2fp8 mean {stream.data['mean'][beat]} max {stream.data['max'][beat]}"
