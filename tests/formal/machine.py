"""Verilog modules as relations in z3."""

import json
import re

import z3
from narrowfloat.tools import yosys

NO, YES = z3.BitVecVal(0, 1), z3.BitVecVal(1, 1)
TIMEOUT = 600_000  # milliseconds for z3: then something is wrong, as seconds do
# A register goes by other names outside its module and by wires that hold more, so it is marked where it is declared.
_MARK_REGISTERS = "setattr -set declared_register 1 t:$dff %co:+[Q] w:* %i"


class Machine:
    """A module in Yosys' export to SMT-LIB: states, each of which is registers and inputs in one clock cycle, and their order.

    Parameters
    ----------
    verilog : str
    module : str
    folder : pathlib.Path
        For the files that Yosys reads and writes.

    Attributes
    ----------
    registers : list of str
        Names of registers, one for each; in an instance, that of the instance and a dot come first.
    """

    def __init__(self, verilog, module, folder):
        (folder / "machine.sv").write_text(verilog)
        script = f"read_verilog -sv machine.sv; hierarchy -top {module}; proc; async2sync; dffunmap; {_MARK_REGISTERS}"
        yosys(f"{script}; flatten; opt_clean; write_json machine.json; write_smt2 -stbv machine.smt2", folder)
        text = (folder / "machine.smt2").read_text()
        signals = dict(re.findall(r"^; yosys-smt2-(?:input|output|register) (\S+) (\d+)$", text, re.MULTILINE))
        self.registers = _registers(json.loads((folder / "machine.json").read_text())["modules"][module])
        text += f"(declare-const now |{module}_s|) (declare-const next |{module}_s|)\n(assert (|{module}_t| now next))\n"
        for name, width in signals.items():
            bits = f"(|{module}_n {name}| now)"
            if width == "1":
                bits = f"(ite {bits} #b1 #b0)"
            text += f"(declare-const |signal {name}| (_ BitVec {width})) (assert (= |signal {name}| {bits}))\n"
        self._transition, *equations = z3.parse_smt2_string(text)
        self._signals = {name: equation.arg(1) for name, equation in zip(signals, equations, strict=True)}
        width = int(re.search(rf"\|{module}_s\| \(\) \(_ BitVec (\d+)\)", text)[1])
        self._now, self._next = z3.BitVecs("now next", width)

    def state(self, name):
        """A state about which nothing is known."""
        return z3.BitVec(name, self._now.size())

    def signals(self, state):
        """Ports and registers in `state`: bit vectors by name."""
        return {name: z3.substitute(bits, (self._now, state)) for name, bits in self._signals.items()}

    def follows(self, state, successor):
        """Whether a clock edge leads from one state to the other."""
        return z3.substitute(self._transition, (self._now, state), (self._next, successor))


def _registers(netlist):
    """The names that `_MARK_REGISTERS` marked in a module that Yosys wrote as JSON."""
    marked = {name: net["bits"] for name, net in netlist["netnames"].items() if "declared_register" in net["attributes"]}
    kept = {bit for cell in netlist["cells"].values() if cell["type"] == "$dff" for bit in cell["connections"]["Q"]}
    assert {bit for bits in marked.values() for bit in bits} == kept
    # as the export to SMT-LIB spells the names that Yosys makes up
    return [name.replace("\\", "/") for name in marked]


def broken(facts, promises):
    """Names of promises that are not kept."""
    found = []
    for name, promise in promises.items():
        solver = z3.SolverFor("QF_BV")
        solver.set(timeout=TIMEOUT)
        solver.add(*facts, z3.Not(promise))
        answer = solver.check()
        assert answer != z3.unknown, solver.reason_unknown()
        found += [name] if answer == z3.sat else []
    return found
