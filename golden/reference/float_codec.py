"""The float encoder and decoder at the level of their streams."""

from typing import ClassVar

import numpy as np
from narrowfloat.golden.float_codec import code_dtype, decode, encode
from narrowfloat.golden.formats import FloatFormat
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference.base import Reference, spell_code, spell_float32
from narrowfloat.golden.reference.stimulus import (
    RUN_BEATS,
    WORKLOAD_SEED,
    encoder_corners,
    random_words_in_range,
    real_tensors,
    runs,
)
from narrowfloat.golden.reference.streams import Stream
from narrowfloat.golden.rounding import ROUNDINGS, Flag
from narrowfloat.golden.statistics import exact_median_bias

RANDOM_VALUES = 1_000_000


class FloatCodec(Reference):
    """What both directions share: beats of one format and one bias each, and where they come from.

    Of a beat, TUSER has the fields bias, format (an index), rounding, random and user, of which a design has those that it was
    built with.
    """

    mixed_beats = 250

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.formats = [FloatFormat.parse(name) for name in self.parameters["formats"]]
        self.random_beats = -(-RANDOM_VALUES // self.lanes)
        self._roundings = [ROUNDINGS.index(name) for name in self.parameters.get("roundings", ["rne"])]
        # Codes that the fields of TUSER may have.
        self._codes = {
            "format": 2 ** (len(self.formats) - 1).bit_length(),
            "rounding": 2 ** max(self._roundings).bit_length() if len(self._roundings) > 1 else 1,
        }

    def reset(self):
        self.beats_since_reset = 0

    def biases(self, fmt):
        """The biases at which `fmt` can run: all where the port is built, otherwise its own."""
        low, high = fmt.bias_range
        return np.arange(low, high + 1) if self.parameters["bias_port"] else np.array([fmt.bias])

    def tensor_bias(self, fmt, tensor):
        """The bias for `tensor`: that of its median in the formats meant for that, otherwise the format's own."""
        return exact_median_bias(tensor) if fmt.name.startswith("ab_") and self.parameters["bias_port"] else fmt.bias

    def of_lanes(self, lanes, bias, index):
        """Beats of `lanes` [beats, lanes] in the format of that index at `bias`, a number or one for each beat.

        Roundings, random bits, tags and the ends of packets are drawn.
        """
        rounding = self.rng.choice(self._roundings, len(lanes))
        random = self.rng.integers(2 ** self.parameters.get("sr_bits", 0), size=lanes.shape)
        stream = self.stream({"lane": lanes}, bias=bias, format=index, rounding=rounding)
        stream.user["random"] = random
        return stream

    def of_vectors(self, vectors, bias, index):
        """Beats of `vectors`, any number of them; the last beat is filled up with some of them."""
        vectors = np.concatenate([vectors, self.rng.choice(vectors, -len(vectors) % self.lanes)])
        return self.of_lanes(vectors.reshape(-1, self.lanes), bias, index)

    def mixed(self, vectors, biases, index):
        """Beats of `vectors`, each with its own of `biases`, in an order in which lanes and beats differ."""
        each = np.unique(biases)
        return self.shuffled([self.of_vectors(self.rng.permutation(vectors[biases == bias]), bias, index) for bias in each])

    def random(self, beats):
        share = -(-beats // len(self.formats))
        parts = []
        for index, fmt in enumerate(self.formats):
            bias = self.rng.choice(self.biases(fmt), share)
            lanes = self._random_lanes(fmt, np.broadcast_to(bias[:, None], (share, self.lanes)))
            parts.append(self.of_lanes(lanes, bias, index))
        return self._with_any_codes(self.shuffled(parts)[:beats])

    def _with_any_codes(self, stream):
        """The stream, some of whose beats have any code of format and rounding, built or not."""
        for name, codes in self._codes.items():
            if codes > 1:
                drawn = self.rng.integers(codes, size=len(stream))
                stream.user[name] = np.where(self.rng.random(len(stream)) < 0.05, drawn, stream.user[name])
        if not self.parameters["bias_port"]:
            own = np.array([fmt.bias for fmt in self.formats])
            stream.user["bias"] = own[np.minimum(stream.user["format"], len(own) - 1)]
        return stream

    def real(self):
        for number, (name, tensor) in enumerate(real_tensors()[0].items()):
            index = number % len(self.formats)
            bias = self.tensor_bias(self.formats[index], tensor)
            yield name, self.of_vectors(self._vectors(tensor, self.formats[index], bias).ravel(), bias, index)

    def workload(self):
        tensors = real_tensors()[0]
        rng = np.random.default_rng(WORKLOAD_SEED)
        words = runs(tensors, RUN_BEATS * self.lanes).reshape(-1, self.lanes)
        index = np.arange(len(tensors)) % len(self.formats)
        biases = [self.tensor_bias(self.formats[i], tensor) for i, tensor in zip(index, tensors.values(), strict=True)]
        user = {"bias": np.repeat(biases, RUN_BEATS), "format": np.repeat(index, RUN_BEATS)}
        user["rounding"] = np.array(self._roundings)[rng.integers(len(self._roundings), size=len(words))]
        user["user"] = rng.integers(2 ** self.parameters["user_bits"], size=len(words))
        if self._takes_random or "sr" not in self.parameters.get("roundings", ()):
            user["random"] = rng.integers(2 ** self.parameters.get("sr_bits", 1), size=words.shape)
        lanes = np.empty(words.shape, np.uint32)
        for fmt, bias, rows in self._groups(user):
            lanes[rows] = self._vectors(words[rows], fmt, bias)
        return Stream({"lane": lanes}, user, rng.random(len(words)) < 0.1)

    @property
    def _takes_random(self):
        return self.parameters.get("random") == "port"

    def _groups(self, user):
        """Of each format: it, the biases of its beats [beats, 1], and which beats they are; the last one's are those, too, that
        have the code of none.
        """
        last = len(self.formats) - 1
        for index, fmt in enumerate(self.formats):
            rows = np.flatnonzero(np.minimum(user["format"], last) == index)
            yield fmt, user["bias"][rows, None], rows


class FloatEncoder(FloatCodec):
    """FP32 to codes, with flags where they are built (`narrowfloat.golden.float_codec.encode`)."""

    def corners(self):
        """Every boundary and midpoint of every format at every bias, with its neighbours."""
        for index, fmt in enumerate(self.formats):
            yield self.mixed(*encoder_corners(fmt, self.biases(fmt)), index)

    def sample(self, beats):
        """As that of all, with corners of each format at three biases alone: at all of them there are millions."""
        parts = []
        for index, fmt in enumerate(self.formats):
            biases = self.biases(fmt)
            few = sorted({biases[0], biases[len(biases) // 2], biases[-1]})
            words, biases = encoder_corners(fmt, few, swept=0)
            picked = self.rng.integers(len(words), size=beats * self.lanes // (2 * len(self.formats)))
            parts.append(self.mixed(words[picked], biases[picked], index))
        return Stream.join([*parts, self.random(beats - sum(map(len, parts)))])

    def model(self, stream):
        words, user = stream.data["lane"], stream.user
        codes, flags = (np.empty(words.shape, np.uint64) for _ in range(2))
        random = self._random_bits(stream)
        self.beats_since_reset += len(stream)
        is_built = np.isin(user["rounding"], self._roundings)
        roundings = np.where(is_built, user["rounding"], self._roundings[-1])
        for fmt, bias, beats in self._groups(user):
            for rounding in np.unique(roundings[beats]):
                chosen = roundings[beats] == rounding
                rows = beats[chosen]
                codes[rows], flags[rows] = encode(
                    words[rows].view(np.float32),
                    fmt,
                    bias=bias[chosen],
                    rounding=ROUNDINGS[rounding],
                    overflow=self.parameters["overflow"],
                    random_bits=random[rows] if ROUNDINGS[rounding] == "sr" else None,
                    sr_bits=self.parameters["sr_bits"],
                    tininess=self.parameters["tininess"],
                    flags=True,
                )
        flags[~is_built | (user["format"] >= len(self.formats))] |= np.uint64(Flag.INVALID)
        return Stream({"lane": codes}, {"flags": flags, "user": user["user"]}, stream.last)

    def _random_bits(self, stream):
        """The bits that the block's own registers give since its reset, or those that come with the beats."""
        if self._takes_random:
            return stream.user["random"]
        seed, sr_bits = self.parameters["seed"], self.parameters["sr_bits"]
        return lane_bits(seed, len(stream), self.lanes, sr_bits, first=self.beats_since_reset)

    def describe(self, stream, beat, lane):
        fmt, bias, rounding = _of_beat(self.formats, stream, beat)
        return f"{fmt.name} bias {bias} {ROUNDINGS[rounding]} of {spell_float32(stream.data['lane'][beat, lane])}"

    def spell(self, name, value, stream, beat):
        if name == "lane":
            fmt, bias, _ = _of_beat(self.formats, stream, beat)
            return spell_code(value, fmt, bias)
        return f"{int(value):04b}" if name == "flags" else super().spell(name, value, stream, beat)

    def _random_lanes(self, fmt, biases):
        return random_words_in_range(self.rng, fmt, biases)

    def _vectors(self, values, fmt, bias):
        return np.ascontiguousarray(values).view(np.uint32)


class FloatDecoder(FloatCodec):
    """Codes to FP32 (`narrowfloat.golden.float_codec.decode`)."""

    spelled: ClassVar = {"lane": spell_float32}

    def corners(self):
        """Every code of every format at every bias."""
        for index, fmt in enumerate(self.formats):
            codes, biases = np.meshgrid(np.arange(2**fmt.bits), self.biases(fmt))
            yield self.mixed(codes.ravel(), biases.ravel(), index)

    def model(self, stream):
        words = np.empty(stream.data["lane"].shape, np.uint64)
        for fmt, bias, rows in self._groups(stream.user):
            codes = (stream.data["lane"][rows] & 2**fmt.bits - 1).astype(code_dtype(fmt))  # what is above counts for nothing
            words[rows] = decode(codes, fmt, bias=bias).view(np.uint32)
        words[stream.user["format"] >= len(self.formats)] = np.float32(np.nan).view(np.uint32)
        return Stream({"lane": words}, {"user": stream.user["user"]}, stream.last)

    def describe(self, stream, beat, lane):
        fmt, bias, _ = _of_beat(self.formats, stream, beat)
        return f"{fmt.name} bias {bias} of {spell_code(stream.data['lane'][beat, lane], fmt, bias)}"

    def _random_lanes(self, fmt, biases):
        return self.rng.integers(2**fmt.bits, size=biases.shape)

    def _vectors(self, values, fmt, bias):
        return encode(values, fmt, bias=bias)


def _of_beat(formats, stream, beat):
    """Format, bias and rounding of a beat."""
    index = min(int(stream.user["format"][beat]), len(formats) - 1)
    return formats[index], stream.user["bias"][beat], stream.user["rounding"][beat]
