"""Beats on both sides of a memory port, as arrays."""

from dataclasses import dataclass, fields

import numpy as np

SLOTS = 4
WORD_BYTES = 4


@dataclass
class _Table:
    """Arrays of as many rows as there are beats, which can be indexed and joined as a whole."""

    def __len__(self):
        return len(self.last)

    def __getitem__(self, rows):
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, parts):
        """All the rows of `parts`, one or more, in their order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass
class CoreBeats(_Table):
    """Beats on the core's side.

    Attributes
    ----------
    words : uint32 [beats, lanes]
    keep : bool [beats, 4 * lanes]
        For each byte of the words, lowest first.
    type : uint8 [beats]
    bypass, last : bool [beats]
    """

    words: np.ndarray
    keep: np.ndarray
    type: np.ndarray
    bypass: np.ndarray
    last: np.ndarray

    @classmethod
    def of_tensor(cls, x, type, *, lanes=4):
        """The beats of one tensor: float32 or uint32 of any shape and not empty, the last beat filled up with what is not kept."""
        words = np.ascontiguousarray(x).reshape(-1)
        if words.dtype not in (np.float32, np.uint32):
            raise TypeError(f"x must be float32 or uint32, not {words.dtype}: convert with .astype(np.float32)")
        if not words.size:
            raise ValueError("x must not be empty: without a beat a tensor has no end")
        beats = -(-words.size // lanes)
        padded = np.zeros((beats, lanes), np.uint32)
        padded.reshape(-1)[: words.size] = words.view(np.uint32)
        keep = np.ones((beats, WORD_BYTES * lanes), bool)
        keep[-1, WORD_BYTES * (words.size - lanes * (beats - 1)) :] = False
        last = np.arange(beats) == beats - 1
        return cls(padded, keep, np.full(beats, type, np.uint8), np.zeros(beats, bool), last)

    def kept_words(self):
        """The words of which all four bytes are kept, uint32 [n], in order."""
        return self.words[kept_words(self.keep)]


@dataclass
class MemoryBeats(_Table):
    """Beats on the memory's side.

    Attributes
    ----------
    bytes : uint8 [beats, 4 * lanes]
        Codes, lane by lane and slot by slot, or the bytes of words, lowest first.
    keep : bool [beats, 4 * lanes]
    type : uint8 [beats]
    bypass, packed : bool [beats]
    bias : uint8 [beats]
        That of the codes; 0 where there are none, or none with a bias.
    last : bool [beats]
    squeezed : bool [beats], optional
        Whether codes are those of S2FP8; by default none are.
    mean, inverse : uint16 and uint32 [beats], optional
        What these are read with, as of `golden.s2fp8.Parameters`; 0 for all others.
    """

    bytes: np.ndarray
    keep: np.ndarray
    type: np.ndarray
    bypass: np.ndarray
    packed: np.ndarray
    bias: np.ndarray
    last: np.ndarray
    squeezed: np.ndarray | None = None
    mean: np.ndarray | None = None
    inverse: np.ndarray | None = None

    def __post_init__(self):
        for name, dtype in (("squeezed", bool), ("mean", np.uint16), ("inverse", np.uint32)):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(len(self), dtype))


def kept_words(keep):
    """bool [beats, lanes]: which words have all their bytes."""
    return keep.reshape(len(keep), keep.shape[1] // WORD_BYTES, WORD_BYTES).all(axis=2)
