"""Faulty netlists, to show that a proof can fail."""

import re

from narrowfloat.tools import yosys


def mutants(verilog, module, count, folder):
    """`verilog` flattened to `module`, as `count` texts with one fault each: a bit is stuck, inverted or mixed with another."""
    (folder / "sound.sv").write_text(verilog)
    read = f"read_verilog -sv sound.sv; hierarchy -top {module}; proc; flatten; opt_clean"
    yosys(f"{read}; mutate -list {count} -seed 1 -o mutations.txt", folder)
    mutations = (folder / "mutations.txt").read_text().splitlines()
    each = (f"design -load sound; {line}; write_verilog -noattr mutant{i}.v" for i, line in enumerate(mutations))
    yosys("; ".join([read, "design -save sound", *each]), folder)
    return [(folder / f"mutant{i}.v").read_text() for i in range(len(mutations))]


def faulty(pattern, replacement):
    """What changes a text in the one place that there is for it."""

    def change(text):
        changed, number = re.subn(pattern, replacement, text)
        assert number == 1
        return changed

    return change
