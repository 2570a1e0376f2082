"""Beats on both sides of a memory port, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from narrowfloat.golden.checks import check_dtype, check_int
from numpy.typing import ArrayLike, NDArray

SLOTS = 4
WORD_BYTES = 4
MAX_LANES = 16
TYPES = (1, 2, 4, 8)  # how many tensor types there may be


@dataclass
class _Table:
    """Arrays of as many rows as there are beats, which can be indexed and joined as a whole."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def __getitem__(self, rows: Any) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
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
    flush : bool [beats], optional
        Whether the pack that a beat joins is not to wait for more; by default none.
    own_bias : bool [beats], optional
        Whether a beat is of no tensor, and encoded with its own `bias`, with bypass without effect; by default none.
    bias : uint8 [beats], optional
        That bias; by default 0.
    """

    words: NDArray[Any]
    keep: NDArray[Any]
    type: NDArray[Any]
    bypass: NDArray[Any]
    last: NDArray[Any]
    flush: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given
    own_bias: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given
    bias: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given

    def __post_init__(self) -> None:
        for name, dtype in (("flush", bool), ("own_bias", bool), ("bias", np.uint8)):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(len(self), dtype))

    @property
    def in_tensor(self) -> NDArray[np.bool_]:
        """Which beats are of tensors: neither those with bypass nor those with a bias of their own."""
        return ~self.bypass & ~self.own_bias

    @property
    def encoded_by_itself(self) -> NDArray[np.bool_]:
        """Which beats are encoded with a bias of their own."""
        return self.own_bias & ~self.bypass

    @classmethod
    def of_tensor(cls, x: ArrayLike, type: int, *, lanes: int = 4) -> Self:
        """The beats of one tensor, float32 or uint32 of any shape and not empty; `keep` marks what fills the last beat.

        Raises
        ------
        TypeError
            `x` is neither float32 nor uint32.
        ValueError
            `x` is empty; `type` is not from 0 to 7, or `lanes` not from 1 to 16.
        """
        type, lanes = check_int("type", type, 0, max(TYPES) - 1), check_int("lanes", lanes, 1, MAX_LANES)
        words = np.ascontiguousarray(check_dtype("x", x, np.float32, np.uint32)).reshape(-1)
        if not words.size:
            raise ValueError("x must not be empty: without a beat a tensor has no end")
        beats = -(-words.size // lanes)
        padded = np.zeros((beats, lanes), np.uint32)
        padded.reshape(-1)[: words.size] = words.view(np.uint32)
        keep = np.ones((beats, WORD_BYTES * lanes), bool)
        keep[-1, WORD_BYTES * (words.size - lanes * (beats - 1)) :] = False
        last = np.arange(beats) == beats - 1
        return cls(padded, keep, np.full(beats, type, np.uint8), np.zeros(beats, bool), last)

    def kept_words(self) -> NDArray[np.uint32]:
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
    own_bias : bool [beats], optional
        Whether the codes are of no tensor, but of beats with a bias of their own; by default none are.
    """

    bytes: NDArray[Any]
    keep: NDArray[Any]
    type: NDArray[Any]
    bypass: NDArray[Any]
    packed: NDArray[Any]
    bias: NDArray[Any]
    last: NDArray[Any]
    squeezed: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given
    mean: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given
    inverse: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given
    own_bias: NDArray[Any] = None  # type: ignore[assignment]  # zeros where not given

    def __post_init__(self) -> None:
        for name, dtype in (("squeezed", bool), ("mean", np.uint16), ("inverse", np.uint32), ("own_bias", bool)):
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(len(self), dtype))


def kept_words(keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [beats, lanes]: which words have all their bytes."""
    return np.all(_by_word(keep), axis=2)


def cut_words(keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool [beats, lanes]: which words have some of their bytes, but not all."""
    return np.any(_by_word(keep), axis=2) & ~kept_words(keep)


def _by_word(keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return keep.reshape(len(keep), keep.shape[1] // WORD_BYTES, WORD_BYTES)
