"""What all checks have in common: FP32 words in a sweep, all cores at work on them, the first difference in one line."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import numpy as np
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import kept

WORDS = 2**32
_CHUNK = 2**20


class Check:
    """One row of the table.

    A kind of check has these: `design` and `settings`, of what is emitted; `vectors`, how many values go through it; `inputs`,
    a dict of what all of them have in common; and ``compare(manifest, advance)``, which sends them and raises Mismatch.
    """

    def __str__(self):
        return " ".join([*self.settings, *(f"{name}={value}" for name, value in self.inputs.items())])

    def run(self, advance=lambda count: None):
        """Emit the design, run all there is through it, and compare; the parameters of what was emitted.

        `advance` is told, by several threads, how many more vectors have been compared.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The first difference.
        """
        with TemporaryDirectory() as folder:
            emission = kept(find(self.design), self.settings)
            emission.write(Path(folder))
            self.compare(Path(folder, f"{emission.module}.json"), advance)

    def expect(self, got, want, describe):
        """Raise Mismatch, which names the first difference, unless both are equal; ``describe(index)`` says what went in."""
        differs = got.reshape(-1) != want.reshape(-1)
        if differs.any():
            index = int(np.argmax(differs))
            raise Mismatch(
                f"{self.design} {self}: {describe(index)}: got {got.flat[index]:#x}, want {want.flat[index]:#x}; "
                f"{differs.sum()} differ"
            )


@dataclass(frozen=True)
class Sweep:
    """FP32 words: `first`, ``first + stride`` and so on modulo 2**32, `count` of them."""

    first: int = 0
    stride: int = 1
    count: int = WORDS

    @classmethod
    def of_beats(cls, lanes, first=0, stride=1, count=None):
        """One of whole beats, at least `count` words or all there are."""
        return cls(first, stride, -(-(count or -(-WORDS // stride)) // lanes) * lanes)

    def words(self, start, count):
        """uint32 [count]: those numbered `start` and up."""
        offset = np.uint32((self.first + self.stride * start) % WORDS)
        return np.arange(count, dtype=np.uint32) * np.uint32(self.stride) + offset


def run_sweep(manifest, sweep, compare, advance=lambda count: None):
    """Call ``compare(model, start, count)`` for all parts of `sweep`, on all cores, each with a model of its own.

    `advance` is as for `Check.run`.
    """
    workers = os.cpu_count()
    models = [Model(manifest) for _ in range(workers)]
    stop = Event()

    def work(index):
        for start in range(index * _CHUNK, sweep.count, workers * _CHUNK):
            if stop.is_set():
                break
            count = min(_CHUNK, sweep.count - start)
            compare(models[index], start, count)
            advance(count)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in [pool.submit(work, index) for index in range(workers)]:
                future.result()
        finally:
            stop.set()


def integer(name, text, low, high):
    """The integer that an option's `text` gives; ValueError unless it is one from `low` to `high`."""
    try:
        value = int(str(text), 0)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}, not {text!r}")
    return value


def sweep_of(lanes, first="0", stride="1", count=None):
    """The `Sweep` that texts of options ask for."""
    count = count and integer("--count", count, 1, WORDS)
    return Sweep.of_beats(lanes, integer("--first", first, 0, WORDS - 1), integer("--stride", stride, 1, WORDS - 1), count)
