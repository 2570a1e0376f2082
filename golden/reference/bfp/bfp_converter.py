"""The block floating-point converter at the level of its streams."""

from itertools import product

import numpy as np
from narrowfloat.golden.bfp import convert, relative_improvement
from narrowfloat.golden.formats import BlockFormat
from narrowfloat.golden.lfsr import lane_bits
from narrowfloat.golden.reference.base import Reference, spell_float32
from narrowfloat.golden.reference.stimulus import RUN_BEATS, random_words, real_tensors, runs, special_words
from narrowfloat.golden.reference.streams import Stream
from narrowfloat.golden.rounding import ROUNDINGS

_GROUPS = 5 * 2**12, 80, 24  # that make a thorough random test, one of each mix of pauses, one between resets
_REAL_GROUPS = 1024  # of each tensor
_SETTINGS = ("rounding", "precision", "offset", "reference")  # of a group; the others belong to a beat


class BfpConverter(Reference):
    """FP32 to groups of integers (`narrowfloat.golden.bfp.convert`) at m_axis; with sums also `relative_improvement` of each
    tensor at m_sums.

    TUSER has the fields rounding, precision, offset, reference and user, of which a design has those that it was built with. Of
    the first four, those of a group's last beat count.
    """

    def __init__(self, manifest, rng=None):
        super().__init__(manifest, rng)
        self.fmt = BlockFormat.parse(self.parameters["fmt"])
        self.group_beats = self.together = self.fmt.group // self.lanes
        self.precisions = self.parameters["precisions"] or [self.fmt.man_bits]
        self.roundings = [ROUNDINGS.index(name) for name in self.parameters["roundings"]]
        self.random_beats, self.mixed_beats, self.few_beats = (groups * self.group_beats for groups in _GROUPS)

    def reset(self):
        # Of the tensor whose last beat has not come: its beats, how many of them have left, how many beats were before it.
        self._begun, self._left, self._before = None, 0, 0

    def tensor(self, words, rounding=None, precision=None):
        """Beats of a tensor of `words`, filled up with zeros.

        Its rounding and precision, as the fields of TUSER have them, are drawn for each group if they are not given. Offset and
        reference are near the words' largest exponent more often than not.
        """
        words = np.ravel(words).astype(np.uint32)
        lanes = self.filled(words)
        beats = len(lanes)
        largest = int((words >> 23 & 255).max())
        near = np.clip(largest + self.rng.integers(-24, 3, 2), 0, 255)
        offset, reference = np.where(self.rng.random(2) < 0.9, near, self.rng.integers(256, size=2))
        chosen = {
            "rounding": rounding,
            "precision": precision,
            "offset": offset * (self.fmt.exp_bits < 8),
            "reference": reference,
        }
        byte = range(256)
        codes = {
            "rounding": range(4) if len(self.roundings) > 1 else self.roundings,
            "precision": range(2 ** (len(self.precisions) - 1).bit_length()),
        }
        choices = self.roundings, range(len(self.precisions)), byte, byte
        last = np.arange(beats) == beats - 1
        _, closes = self._places(last)
        user = {"user": self.random_tags(beats)}
        for (name, value), options in zip(chosen.items(), choices, strict=True):
            # What the other beats of a group set does not count. Some codes may be none of those built.
            drawn = self.rng.choice(options, beats)
            drawn = np.where(self.rng.random(beats) < 0.05, self.rng.choice(codes.get(name, options), beats), drawn)
            user[name] = drawn if value is None else np.where(closes, value, drawn)
        return Stream({"lane": lanes}, user, last)

    def corners(self):
        """`boundaries` and `extremes`."""
        yield from self.boundaries()
        yield from self.extremes()

    def boundaries(self):
        """In every rounding and precision groups with one number of the largest exponent and others where rounding changes or
        nearly does.

        At several exponents, the ends among them, at each distance to beyond what is kept: all bits of k, what follows zeros,
        ones, or one bit set, as a tie and its neighbours have it.
        """
        tails = np.concatenate([[0, 2**19 - 1], 1 << np.arange(19), (1 << 18) + (1 << np.arange(18)), [2**18 - 1]])
        fractions = np.unique(np.arange(16)[:, None] << 19 | tails)
        others = self.fmt.group - 1
        for settings in self._settings():
            groups = []
            for largest in (1, 2, 9, 127, 253, 254):
                for distance in range(min(largest, self.fmt.man_bits + 11)):
                    rest = self.rng.permutation((largest - distance) << 23 | fractions)
                    rest |= self.rng.integers(2, size=len(rest)) << 31
                    rest = np.resize(rest, (-(-len(rest) // others), others))
                    top = largest << 23 | self.rng.integers(2**23, size=(len(rest), 1))
                    groups.append(self.rng.permuted(np.concatenate([top, rest], axis=1), axis=1))
            yield self.tensor(self.rng.permutation(np.concatenate(groups)), *settings)

    def extremes(self):
        """In every rounding and precision one huge number and tiny ones, at every place; zeros, subnormals, infinities and NaN,
        alone and beside numbers.
        """
        group = self.fmt.group
        tiny, huge, lonely, infinite = (np.full((group, group), word, np.uint32) for word in (0x00800001, 0x00800001, 0, 1))
        np.fill_diagonal(huge, 0xFF7FFFFF)
        np.fill_diagonal(lonely, 0x3F800000)
        np.fill_diagonal(infinite, 0xFF800000)
        special = special_words()
        mixed, like = (np.resize(words, (-(-len(special) // group), group)) for words in (special, np.sort(special)))
        alone = np.array([0, 0x80000000, 1, 0x7FFFFF, 0x7F800000, 0xFFC00000, 0x7FFFFFFF], np.uint32)
        groups = np.concatenate([tiny, huge, lonely, infinite, mixed, like, np.tile(alone[:, None], group)])
        for settings in self._settings():
            parts = np.array_split(self.rng.permutation(groups), 40)
            yield Stream.join([self.tensor(part, *settings) for part in parts])

    def _settings(self):
        return product(self.roundings, range(len(self.precisions)))

    def random(self, beats):
        """Tensors of any length up to many groups, their exponents close together, or of any words at all."""
        longest = self.group_beats * min(400, max(4, beats // (16 * self.group_beats)))
        parts = []
        while beats > 0:
            length = int(self.rng.integers(1, min(beats, longest) + 1))
            parts.append(self.tensor(self._random_words(length * self.lanes)))
            beats -= length
        return Stream.join(parts)

    def _random_words(self, count):
        words = random_words(self.rng, count)
        if self.rng.random() < 0.2:
            return words
        top = self.rng.integers(1, 256)
        exponents = np.clip(top - self.rng.geometric(0.2, count) + 1, 0, 255).astype(np.uint32)
        words = words & np.uint32(0x807FFFFF) | exponents << np.uint32(23)
        return np.where(self.rng.random(count) < 0.05, self.rng.choice(special_words(), count), words)

    def real(self):
        for name, tensor in real_tensors()[0].items():
            yield name, self.tensor(tensor.view(np.uint32).ravel()[: _REAL_GROUPS * self.fmt.group])

    def workload(self):
        """Whole groups; roundings and precisions change with the tensors."""
        beats = -(-RUN_BEATS // self.group_beats) * self.group_beats
        words = runs(real_tensors()[0], beats * self.lanes).view(np.uint32)
        number = np.arange(len(words))
        top = (words >> 23 & 255).max(axis=1).astype(int)
        settings = {
            "rounding": np.array(self.roundings)[number % len(self.roundings)],
            "precision": number // len(self.roundings) % len(self.precisions),
            "offset": np.maximum(top - self.fmt.max_exponent, 0) * (self.fmt.exp_bits < 8),
            "reference": np.maximum(top - 8, 0),
            "user": 0 * number,
        }
        user = {name: np.repeat(values, beats) for name, values in settings.items()}
        return Stream({"lane": words.reshape(-1, self.lanes)}, user, np.arange(words.size // self.lanes) % beats == beats - 1)

    def model(self, stream):
        begun = stream[:0] if self._begun is None else self._begun
        stream = Stream.join([begun, stream])
        place, closes = self._places(stream.last)
        group = np.cumsum(closes) - closes
        user = {name: values[group < closes.sum()] for name, values in stream.user.items()}
        beats, last = np.arange(len(user["user"])), stream.last[: len(user["user"])]
        # Missing beats of a group count as zeros.
        row = (group * self.group_beats + place)[beats]
        noise = lane_bits(self.parameters["seed"], len(beats), self.lanes, first=self._before)
        words, random = (np.zeros((closes.sum() * self.group_beats, self.lanes), dtype) for dtype in (np.uint32, np.uint8))
        words[row], random[row] = stream.data["lane"][beats], noise
        settings = np.transpose([stream.user[name][closes] for name in _SETTINGS])
        words, random = (each.reshape(-1, self.fmt.group) for each in (words, random))
        codes, exponent, saturated, invalid = self._converted(words.view(np.float32), random, settings)
        user = {
            "exponent": exponent[group[beats]],
            "saturated": saturated.reshape(-1, self.lanes).any(axis=1)[row],
            "invalid": invalid.reshape(-1, self.lanes).any(axis=1)[row],
            "group_last": closes[beats],
            "user": user["user"],
        }
        new = beats[self._left :]
        leaves = Stream({"lane": codes.reshape(-1, self.lanes)[row]}, user, last)[new]
        leaves.origin = new - len(begun)
        ends = np.flatnonzero(last)
        if self.parameters["sums"]:
            sums = self._sums(words.view(np.float32), settings, group[ends] + 1)
            sums.user["user"], sums.origin = stream.user["user"][ends], ends - len(begun)
            leaves = {"m_axis": leaves, "m_sums": sums}
        done = ends.max(initial=-1) + 1
        self._begun, self._left, self._before = stream[done:], len(beats) - done, self._before + done
        return leaves

    def _converted(self, groups, random, settings):
        """Codes [groups, group], exponents [groups], and flags of each number [groups, group]."""
        codes, saturated, invalid = (np.zeros(groups.shape, dtype) for dtype in (np.int64, bool, bool))
        exponent = np.zeros(len(groups), np.int64)
        for setting in np.unique(settings[:, :3], axis=0):
            rows = (settings[:, :3] == setting).all(axis=1)
            rounding, precision, offset = setting.tolist()
            is_built = rounding in self.roundings and precision < len(self.precisions)
            rounding = rounding if rounding in self.roundings else self.roundings[-1]
            blocks, *flags = convert(
                groups[rows],
                self.fmt,
                rounding=ROUNDINGS[rounding],
                overflow=self.parameters["overflow"],
                bits=self.precisions[min(precision, len(self.precisions) - 1)],
                random_bits=random[rows, None],
                offset=offset,
                flags=True,
            )
            saturated[rows], invalid[rows] = flags[0][:, 0], flags[1][:, 0] | ~np.bool_(is_built)
            packed = blocks.magnitudes.astype(np.int64) | blocks.signs.astype(np.int64) << self.fmt.man_bits
            codes[rows], exponent[rows] = packed[:, 0], blocks.codes[:, 0]
        return codes, exponent, saturated, invalid

    def _sums(self, groups, settings, ends):
        """The sums of tensors whose last groups are before `ends`."""
        found = []
        for start, end in zip(np.append(0, ends), ends, strict=False):
            totals = np.zeros(3, object)
            for setting in np.unique(settings[start:end, 2:], axis=0):
                rows = start + np.flatnonzero((settings[start:end, 2:] == setting).all(axis=1))
                offset, reference = setting.tolist()
                kind = {"overflow": self.parameters["overflow"], "offset": offset}
                totals += relative_improvement(groups[rows], self.fmt, reference, **kind, width=64)
            found.append(totals)
        largest = 2 ** self.parameters["sum_bits"] - 1
        numerator, denominator, saturated = np.array(found, object).reshape(-1, 3).T
        fields = {
            name: np.minimum(values, largest).astype(np.uint64)
            for name, values in (("numerator", numerator), ("denominator", denominator))
        }
        return Stream(fields, {"saturated": (saturated > 0) | (np.maximum(numerator, denominator) > largest)})

    def cycles(self, stream):
        """A group leaves in as many cycles as it came, while the next one comes, which waits for it if it is shorter."""
        _, closes = self._places(stream.last)
        if not stream.last[-1]:
            return None
        beats = np.diff(np.flatnonzero(closes), prepend=-1)
        # A whole group takes its latency from its first beat.
        rest = max(self.manifest["latency"].values()) - self.group_beats
        return int(beats[0] + np.maximum(beats[:-1], beats[1:]).sum() + beats[-1] + rest)

    def describe(self, stream, beat, lane):
        _, closes = self._places(stream.last)
        end = beat + np.argmax(closes[beat:])
        rounding, precision, offset, reference = (stream.user[name][end] for name in _SETTINGS)
        bits = self.precisions[min(precision, len(self.precisions) - 1)]
        return (
            f"{self.fmt.name} {bits} bits {ROUNDINGS[rounding]} offset {offset} reference {reference} "
            f"of {spell_float32(stream.data['lane'][beat, lane])}"
        )

    def spell(self, name, value, stream, beat):
        if name != "lane":
            return super().spell(name, value, stream, beat)
        bits = self.fmt.man_bits
        return f"{'-' if value >> bits else '+'}{int(value) % 2**bits:0{bits}b}"

    def _places(self, last):
        """Of each beat its place in its group, and whether it closes the group."""
        beat = np.arange(len(last))
        start = np.maximum.accumulate(np.where(np.append(True, last)[:-1], beat, 0))
        place = (beat - start) % self.group_beats
        return place, last | (place == self.group_beats - 1)
