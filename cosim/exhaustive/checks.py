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
    a dict of what all of them have in common; ``part(manifest, start, count)`` and ``describe(**given)``.

    A part is what goes in, lanes and fields of TUSER, and what must come out: two dicts and an array, flat, of the vectors
    numbered `start` and up. What all vectors have in common may be a number. `describe` says of one vector what went in.
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

    def compare(self, manifest, advance=lambda count: None):
        """Compare all parts, on all cores, each with a model of its own; `advance` is as for `run`."""
        workers = os.cpu_count()
        models = [Model(manifest) for _ in range(workers)]
        stop = Event()

        def work(index):
            for start in range(index * _CHUNK, self.vectors, workers * _CHUNK):
                if stop.is_set():
                    break
                count = min(_CHUNK, self.vectors - start)
                self.compare_part(models[index], start, count)
                advance(count)

        with ThreadPoolExecutor(workers) as pool:
            try:
                for future in [pool.submit(work, index) for index in range(workers)]:
                    future.result()
            finally:
                stop.set()

    def compare_part(self, model, start, count):
        """Compare a part, of whole beats; raise Mismatch, which names the first difference."""
        lanes, user, want = self.part(model.manifest, start, count)
        fields = {name: user[name][:: model.lanes] if np.ndim(user[name]) else user[name] for name in model.user_fields}
        got, _ = model.run({name: values.reshape(-1, model.lanes) for name, values in lanes.items()}, **fields)
        differs = got.ravel() != want
        if differs.any():
            index = int(np.argmax(differs))
            given = {name: values[index] if np.ndim(values) else values for name, values in (lanes | user).items()}
            raise Mismatch(self.difference(start + index, model.lanes, given, got.flat[index], want[index], differs.sum()))

    def difference(self, vector, lanes, given, got, want, number):
        """In words, how the vector of this number differs, with so many lanes in a beat; `number` vectors do."""
        return f"{self.design} {self}: {self.describe(**given)}: got {got:#x}, want {want:#x}; {number} differ"


@dataclass(frozen=True)
class Sweep:
    """FP32 words: `first`, ``first + stride`` and so on modulo 2**32, `count` of them."""

    first: int = 0
    stride: int = 1
    count: int = WORDS

    def words(self, start, count):
        """uint32 [count]: those numbered `start` and up."""
        offset = np.uint32((self.first + self.stride * start) % WORDS)
        return np.arange(count, dtype=np.uint32) * np.uint32(self.stride) + offset


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
    """The `Sweep` of whole beats that texts of options ask for, of at least `count` words or all there are."""
    first, stride = integer("--first", first, 0, WORDS - 1), integer("--stride", stride, 1, WORDS - 1)
    count = integer("--count", count, 1, WORDS) if count else -(-WORDS // stride)
    return Sweep(first, stride, -(-count // lanes) * lanes)
