"""Random legal configurations, each emitted, linted and simulated as a user would who verifies one of their own.

What has been done is kept, a line of JSON for each configuration, and only by the sources that it was done with: a run that was
interrupted goes on where it was, and one after a change starts over.
"""

import json
import random
import shutil
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path

from narrowfloat import shell
from narrowfloat.cosim import special
from narrowfloat.cosim.runner import Job, run
from narrowfloat.freshness import fingerprint
from narrowfloat.hdl import lint
from narrowfloat.hdl.catalog import DESIGNS, Design
from narrowfloat.hdl.emit import emit
from narrowfloat.places import build_folder
from narrowfloat.tools import ToolError

# What simulators build and run in seconds: few lanes, types and cells.
SMALL = {"lanes": 8, "types": 2, "rows": 2, "columns": 2, "max_beats": 2000}
# Of generic tests and of those for estimators and memory ports the shorter ones.
TESTS = "latency|every_mix|reset|handshakes|one_value|one_beat|every_beat"
_AHEAD = 4  # configurations that are at work or wait for it


@dataclass(frozen=True)
class Configuration:
    """A random legal configuration: that of a number, from 0, and a seed. Designs take turns."""

    number: int
    seed: int

    @property
    def design(self) -> Design:
        return tuple(DESIGNS.values())[self.number % len(DESIGNS)]

    @property
    def settings(self) -> list[str]:
        """NAME=VALUE of what is not at its default."""
        return self.design.settings(small_draw(self.design, random.Random(f"{self.design.name} {self.seed} {self.number}")))


def small_draw(design, rng):
    """Random legal values that are small enough, as a dict, from `rng`, a `random.Random`."""
    while True:
        values = design.draw(rng)
        if all(values.get(name, 0) <= limit for name, limit in SMALL.items()):
            return values


def sources():
    """A digest of all that a result depends on."""
    references = {design.reference.partition(":")[0] for design in DESIGNS.values()}
    benches = {f"narrowfloat.cosim.special.{path.stem}" for path in Path(special.__file__).parent.glob("[a-z]*.py")}
    return fingerprint("narrowfloat.hdl.emit", "narrowfloat.cosim.generic", __name__, *sorted(references | benches))


class Record:
    """What has been done so far, in a file: a dict for each configuration, by number.

    Parameters
    ----------
    simulator : str
    seed : int
    folder : pathlib.Path, optional
        By default below the build folder.
    """

    def __init__(self, simulator, seed, folder=None):
        self._path = (folder or build_folder("sweep")) / f"{simulator}.{seed}.jsonl"
        self._sources = sources()
        self.done = {}
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # of a run that was killed while it wrote
                continue
            if entry["sources"] == self._sources:
                self.done[entry["number"]] = entry

    def add(self, **entry):
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self.done[entry["number"]] = entry | {"sources": self._sources}
        with self._path.open("a") as file:
            file.write(json.dumps(self.done[entry["number"]]) + "\n")


def sweep(record, simulator, seed, numbers, progress):
    """Do what of the configurations `numbers` the record does not have; `progress` is told of each that is done."""
    with tempfile.TemporaryDirectory() as folder, shell.Workers() as workers:
        pending = {}
        for number in numbers:
            configuration = Configuration(number, seed)
            place = Path(folder, str(number))
            name, settings = configuration.design.name, configuration.settings
            progress.tell(now=f"{name} {' '.join(settings)}")
            entry = {"number": number, "design": name, "settings": settings, "simulator": simulator}
            pending[workers.submit(_timed, configuration, place, simulator)] = entry, place
            _collect(record, pending, progress, _AHEAD)
        _collect(record, pending, progress, 0)


def _collect(record, pending, progress, ahead):
    """Wait until no more than `ahead` configurations are at work or wait for it, and put down what came of the others."""
    while len(pending) > ahead:
        for future in wait(pending, timeout=0.2, return_when=FIRST_COMPLETED).done:
            entry, place = pending.pop(future)
            failure, seconds = future.result()
            record.add(**entry, failure=failure, seconds=seconds)
            shutil.rmtree(place, ignore_errors=True)
            progress.advance()


def _timed(configuration, place, simulator):
    """What failed of a configuration, in a line or more, or None, and how many seconds it took."""
    started = time.monotonic()
    try:
        failure = _failure(configuration, place, simulator)
    except OSError:  # a full disk says nothing of the configuration
        raise
    except ToolError as error:
        failure = str(error)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong goes wrong with this configuration alone
        failure = f"{type(error).__name__}: {error}"
    return failure, round(time.monotonic() - started, 1)


def _failure(configuration, place, simulator):
    emission = emit(configuration.design, configuration.settings)
    emission.write(place)
    lint.check(emission)
    return run(Job(place, emission.module, simulator, configuration.seed, tests=TESTS, keeps=False)).failure
