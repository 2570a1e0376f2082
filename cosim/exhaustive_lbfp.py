"""The emitted LBFP blocks on every input against the golden model: pairs of codes, codes at all exponents, FP32 words.

Without cocotb, at native speed: see `cosim.native`.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
from narrowfloat.cosim.exhaustive import RTL, WORDS, Sweep, integer, run_sweep
from narrowfloat.cosim.native import Model
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.formats import LogBlockFormat
from narrowfloat.golden.lbfp import ANTILOGS, OUTPUTS, decode, encode, multiply
from narrowfloat.golden.reference.spelling import spell_float32
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.yosys import ToolError
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

DESIGNS = ("lbfp_decoder", "lbfp_multiplier", "lbfp_encoder")
FORMATS = "lbfp8"
EXPONENTS = "0"
# As many lanes as there are at least codes; the encoder's compile to vector instructions.
_LANES = {"lbfp_encoder": 32, "lbfp_decoder": 4, "lbfp_multiplier": 16}


@dataclass(frozen=True)
class Check:
    """One row of the table: a design with `settings`, an encoder at the shared exponent `exponent` for the words of `sweep`."""

    design: str
    fmt: LogBlockFormat
    settings: tuple = ()
    exponent: int = 0
    sweep: Sweep | None = None

    def __str__(self):
        return " ".join([self.fmt.name, *self.settings, *([f"exponent={self.exponent}"] if self.sweep else [])])

    @property
    def vectors(self):
        low, high = self.fmt.exponent_range
        codes = 2**self.fmt.bits
        return {"lbfp_multiplier": codes**2, "lbfp_decoder": codes * (high - low + 1)}.get(
            self.design, self.sweep.count if self.sweep else 0
        )

    def run(self, advance=lambda count: None):
        """Emit the design, run all there is through it, and compare.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The first difference.
        """
        settings = [f"fmt={self.fmt.name}", f"lanes={_LANES[self.design]}", "stages=0", *self.settings]
        emission = emit(find(self.design), settings)
        emission.write(RTL)
        manifest = RTL / f"{emission.module}.json"
        if self.sweep:
            run_sweep(manifest, self.sweep, self._compare_words, advance)
        elif self.design == "lbfp_decoder":
            self._compare_codes(Model(manifest))
        else:
            self._compare_pairs(Model(manifest))

    def _compare_words(self, model, start, count):
        words = self.sweep.words(start, count)
        got = model.run(words.reshape(-1, model.lanes), exponent=self.exponent % 2**self.fmt.exp_bits)[0].reshape(-1)
        want = encode(words.view(np.float32), self.fmt, self.exponent)
        compare(self, got, want, lambda index: f"{spell_float32(words[index])} at exponent {self.exponent}")

    def _compare_codes(self, model):
        low, high = self.fmt.exponent_range
        codes = np.tile(np.arange(2**self.fmt.bits, dtype=np.uint8), high + 1 - low).reshape(-1, model.lanes)
        exponent = np.arange(low, high + 1).repeat(2**self.fmt.bits // model.lanes)
        got, _ = model.run(codes, exponent=exponent % 2**self.fmt.exp_bits)
        want = decode(codes, self.fmt, exponent[:, None]).view(np.uint32)
        compare(self, got, want, lambda index: f"{codes.flat[index]:#04x} at exponent {exponent[index // model.lanes]}")

    def _compare_pairs(self, model):
        number = 2**self.fmt.bits
        a, b = (x.astype(np.uint8).reshape(-1, model.lanes) for x in np.divmod(np.arange(number**2), number))
        got, _ = model.run({"a": a, "b": b})
        parameters = model.manifest["parameters"]
        bits = model.manifest["product_bits"]
        table = {name: parameters[name] for name in ("antilog", "guard_bits", "output")}
        want = multiply(a, b, self.fmt, **table, out_bits=bits)
        compare(self, got, want & 2**bits - 1, lambda index: f"{a.flat[index]:#04x} * {b.flat[index]:#04x}")


def checks(designs, formats, exponents, stride=1):
    """All `Check`s of these: multipliers with every table and either form of product."""
    found = []
    for design in designs:
        for fmt in formats:
            if design == "lbfp_multiplier":
                # with fewer guard bits a table of 64 entries does not fit its width
                lowest = 5 if fmt.frac_bits == 6 else 4
                tables = [("antilog=lut", f"guard_bits={bits}") for bits in range(lowest, 9)]
                tables += [(f"antilog={name}",) for name in ANTILOGS if name != "lut"]
                found += [Check(design, fmt, (*table, f"output={output}")) for table in tables for output in OUTPUTS]
            elif design == "lbfp_decoder":
                found.append(Check(design, fmt))
            else:
                lanes = _LANES[design]
                sweep = Sweep(stride=stride, count=-(-WORDS // stride // lanes) * lanes)
                found += [Check(design, fmt, (), exponent, sweep) for exponent in exponents]
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m narrowfloat.cosim.exhaustive_lbfp", description=__doc__)
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"some of {', '.join(DESIGNS)}; default all")
    parser.add_argument("--formats", default=FORMATS, metavar="NAME,...", help="names or spellings; default %(default)s")
    parser.add_argument("--exponents", default=EXPONENTS, metavar="E,...", help="the encoder's; default %(default)s")
    parser.add_argument("--stride", default="1", metavar="N", help="from one FP32 word to the next; default %(default)s")
    options = parser.parse_args(arguments)
    return command("exhaustive_lbfp", lambda: _plan(options))


def _plan(options):
    for design in options.designs:
        if design not in DESIGNS:
            raise ValueError(f"unknown design {design!r}: use one of {', '.join(DESIGNS)}")
    formats = [LogBlockFormat.parse(name) for name in options.formats.split(",")]
    low, high = formats[0].exponent_range
    exponents = [integer("--exponents", text, low, high) for text in options.exponents.split(",")]
    return checks(options.designs or DESIGNS, formats, exponents, integer("--stride", options.stride, 1, WORDS - 1))


def compare(check, got, want, describe):
    """Raise Mismatch, which names the first difference, unless both are equal; ``describe(index)`` says what went in."""
    differs = got.reshape(-1) != want.reshape(-1)
    if differs.any():
        index = int(np.argmax(differs))
        raise Mismatch(
            f"{check.design} {check}: {describe(index)}: got {got.flat[index]:#x}, want {want.flat[index]:#x}; "
            f"{differs.sum()} differ"
        )


def command(name, plan):
    """Run the checks that ``plan()`` gives; the exit status of the command `name`."""
    try:
        failed = run_all(Console(), plan())
    except (ValueError, ToolError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 2
    return 1 if failed else 0


def run_all(console, planned):
    """Run them, print the table and what differs; how many failed."""
    table = Table("block", "settings", title="Every input at native speed against the golden model", box=box.SIMPLE_HEAD)
    for name in ("vectors", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("result")
    failures = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(check.vectors for check in planned))
        for check in planned:
            progress.update(task, description=f"{check.design} {check}")
            started, failure = time.perf_counter(), None
            before = progress.tasks[0].completed
            try:
                check.run(lambda count: progress.advance(task, count))
            except Mismatch as mismatch:
                failure = str(mismatch)
                failures.append(failure)
            progress.update(task, completed=before + check.vectors)
            seconds = time.perf_counter() - started
            result = "[red]failed[/]" if failure else "[green]bit-exact[/]"
            table.add_row(check.design, str(check), f"{check.vectors:,}", f"{seconds:.1f}", result)
    console.print(table)
    for failure in failures:
        console.print(failure, markup=False, highlight=False, soft_wrap=True)
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
