"""What every reference offers, and words and codes as a reader of a failure wants to see them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import islice
from typing import ClassVar

import numpy as np
from narrowfloat.golden.float_codec import code_dtype, decode
from narrowfloat.golden.reference.streams import Stream

_CORNERS = 4  # that a sample has some beats of
_PACKET = 16  # beats up to which a sample leaves a packet whole


class PortsReference:
    """What a bench of its own drives: the constructor and the attributes that all references have, see `Reference`."""

    real = workload = None

    def __init__(self, manifest, rng=None):
        self.manifest = manifest
        self.parameters = manifest["parameters"]
        self.lanes, self.types = self.parameters.get("lanes", 1), self.parameters.get("types", 1)
        self.rng = np.random.default_rng(0) if rng is None else rng
        self.reset()

    def reset(self):
        """Start over, as the hardware does when it is reset."""

    def filled(self, values, group=None):
        """Values, any number of them, in beats; the last beat, or the last `group`, is filled up with zeros."""
        return np.append(values, np.zeros(-len(values) % (group or self.lanes), values.dtype)).reshape(-1, self.lanes)


class Reference(PortsReference, ABC):
    """What may enter an emitted design and what must leave it, beat by beat: its bit-true model at the level of streams.

    Whoever drives a design asks its reference for traffic and for what must come of it: benches, exhaustive runs, the check of
    mapped netlists, and users with simulators of their own. Traffic is a `Stream` for a design with one stream in, otherwise a
    dict of streams by their names, which are the prefixes of their ports; so is what leaves.

    A design that real tensors can go through has also

    - ``real()``, traffic made from the tensors of a network in training: an iterable of (name, traffic);
    - ``workload()``, the traffic that a mapped netlist is simulated with, for its energy: real tensors, a beat per cycle.

    Parameters
    ----------
    manifest : dict
        MODULE.json of the emitted design.
    rng : numpy.random.Generator, optional
        What all traffic is drawn from; default one with the seed 0.

    Attributes
    ----------
    parameters : dict
        Those of the manifest.
    lanes : int
        Values per beat.
    types : int
        Tensor types, 1 where the design has no such parameter.
    random_beats, mixed_beats, few_beats : int
        How many beats make a thorough random test; one of each mix of pauses; one between resets.
    together : int
        How many beats, from the first one on, nobody may tear apart.
    spelled : dict
        How `spell` spells an integer of a field, by name; others are hexadecimal.
    """

    spelled: ClassVar[dict[str, Callable[[int], str]]] = {}
    random_beats = 4000
    mixed_beats = 100
    few_beats = 60
    together = 1

    @abstractmethod
    def corners(self):
        """Traffic that has every case which decides a result: an iterable."""

    @abstractmethod
    def random(self, beats):
        """Random traffic of about so many beats, typical and extreme."""

    @abstractmethod
    def model(self, traffic):
        """What must leave when `traffic` enters, after all that entered since the last reset."""

    @abstractmethod
    def describe(self, traffic, beat, column):
        """In words, what went in with the beat of that number, in the column (the lane) of that number."""

    def spell(self, name, value, traffic, beat):
        """A value that left in the field `name`, as a reader wants to see it; `beat` is the number of the beat it came from."""
        return self.spelled.get(name, hex)(int(value))

    def sample(self, beats):
        """Short traffic of about so many beats, half of them from the first corners, the others random."""
        parts = [self._packets(corner, beats // (2 * _CORNERS)) for corner in islice(self.corners(), _CORNERS)]
        rest = beats - sum(len(part) for part in parts)
        return Stream.join([*parts, self.random(max(rest, self.together))])

    def _packets(self, stream, beats):
        """Random packets of a stream, so many beats at most, but one packet at least; of that the beginning if it is long."""
        ends = np.flatnonzero(stream.last) + 1 if self.together == 1 else np.arange(0, len(stream), self.together)[1:]
        packets = np.split(np.arange(len(stream)), ends[ends < len(stream)])
        order = [packets[index] for index in self.rng.permutation(len(packets))]
        number = max(1, int(np.searchsorted(np.cumsum([len(packet) for packet in order]), beats, "right")))
        part = stream[np.concatenate(order[:number])[: max(beats, _PACKET, self.together)]]
        part.last[-1] = True
        return part

    def cycles(self, traffic):
        """Cycles from the first beat's arrival to the last one's departure, with nothing in the way; None if that depends."""
        beats = len(next(iter(traffic.values())) if isinstance(traffic, dict) else traffic)
        return (beats - 1) * self.manifest["initiation_interval"] + self.manifest["latency"]["m_axis"] + 1

    def stream(self, data, last=None, **user):
        """Beats with random tags, of packets with random ends unless they are given; `user` are integers or arrays [beats]."""
        beats = len(next(iter(data.values())))
        user = {name: np.broadcast_to(column, beats) for name, column in user.items()} | {"user": self.random_tags(beats)}
        return Stream(data, user, self.random_last(beats) if last is None else last)

    def shuffled(self, parts):
        """All beats of the streams `parts` in a random order."""
        stream = Stream.join(parts)
        return stream[self.rng.permutation(len(stream))]

    def random_last(self, beats):
        """Where packets end, at random: bool [beats]."""
        return self.rng.random(beats) < 0.1

    def random_tags(self, beats):
        """What passes a design beside the data: uint64 [beats], or of more than 64 bits words of 32 [beats, words]."""
        bits = self.parameters.get("user_bits", 0)
        if bits <= 64:
            return self.rng.integers(0, 2**bits - 1, beats, np.uint64, endpoint=True)
        widths = [min(32, bits - first) for first in range(0, bits, 32)]
        return np.stack([self.rng.integers(2**width, size=beats, dtype=np.uint64) for width in widths], axis=1)


def spell_float32(word):
    """An FP32 word in hexadecimal and as the number it is."""
    return f"0x{int(word):08x} ({np.uint32(word).view(np.float32)!s})"


def spell_code(code, fmt, bias):
    """A code in hexadecimal and as the number it is."""
    return f"0x{int(code):02x} ({decode(np.array([code], code_dtype(fmt)), fmt, bias=int(bias))[0]!s})"
