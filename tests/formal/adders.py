"""Sums of many bits as linear forms: a netlist of adders is followed back from its result to its inputs, over integers.

Every named wire is a polynomial of the named wires that it is made of, from its truth table. What is a product in a sum, as
``a ^ b = a + b - 2 * a * b``, the carry has as well, and if both count by their weights it cancels. Where all products do, the
result is a sum of bits, whatever these are. Names do no more than to say where to cut.
"""

import json
from functools import cache
from itertools import chain, combinations

from narrowfloat.tools import yosys

MAX_INPUTS = 4  # of what drives a wire: full adders have 3

_GATES = {
    "$_NOT_": ("A", lambda a: 1 - a),
    "$_AND_": ("AB", lambda a, b: a & b),
    "$_OR_": ("AB", lambda a, b: a | b),
    "$_XOR_": ("AB", lambda a, b: a ^ b),
    "$_MUX_": ("ABS", lambda a, b, s: b if s else a),
}


class NotLinear(Exception):
    """A result is not a sum of bits by their weights, or cannot be seen to be; the message says where."""


class Netlist:
    """A module as gates and registers; what other cells drive is as good as an input.

    Bits are numbers, or the texts "0" and "1". What is in an instance has its name and a dot before its own.

    Parameters
    ----------
    verilog : str
        As emitted.
    module : str
    folder : pathlib.Path
        For the files that Yosys reads and writes.

    Attributes
    ----------
    bits : dict
        Bits by the name of their wire: lists, lowest first.
    names : dict
        Of bits, the names of their wires, where these have one of their own.
    registers : dict
        Of the bits of registers those that they take over with the clock edge, where they are enabled.
    support : callable
        The inputs and registers that a bit depends on, a frozenset.
    """

    def __init__(self, verilog, module, folder):
        (folder / "netlist.sv").write_text(verilog)
        script = f"read_verilog -sv netlist.sv; hierarchy -top {module}; proc; flatten; opt_dff; simplemap"
        yosys(f"{script}; write_json netlist.json", folder)
        netlist = json.loads((folder / "netlist.json").read_text())["modules"][module]
        self.bits = {name: net["bits"] for name, net in netlist["netnames"].items()}
        # Yosys makes up the names that begin with $.
        self.names = {bit: name for name, bits in self.bits.items() for bit in bits if not name.startswith("$")}
        self.names |= {"0": "0", "1": "1"}
        self._drivers, self.registers = {}, {}
        for cell in netlist["cells"].values():
            ports = {name: bits[0] for name, bits in cell["connections"].items()}
            if "DFF" in cell["type"]:
                self.registers[ports["Q"]] = ports["D"]
            elif cell["type"] in _GATES:
                names, function = _GATES[cell["type"]]
                self._drivers[ports["Y"]] = function, tuple(ports[name] for name in names)
        self.support, self._depth = cache(self._support), cache(self._levels)

    def inputs(self, bit):
        """What the gate that drives `bit` is given, the one that selects last; nothing for inputs and registers."""
        return self._drivers[bit][1] if bit in self._drivers else ()

    def evaluate(self, bit, values):
        """0 or 1, where bits have these `values`."""
        if bit in values:
            return values[bit]
        if isinstance(bit, str):
            return int(bit)
        function, inputs = self._drivers[bit]
        return function(*(self.evaluate(each, values) for each in inputs))

    def linear(self, total, is_leaf):
        """`total`, bits lowest first, as a sum modulo ``2**len(total)`` of bits for which ``is_leaf(bit)`` holds.

        Returns
        -------
        coefficients : dict
            From 1 to ``2**len(total) - 1``, by bit.
        constant : int

        Raises
        ------
        NotLinear
        """
        modulus = 2 ** len(total)
        pending = {bit: 2**place for place, bit in enumerate(total)}
        assert len(pending) == len(total)
        leaves, products = {}, {}
        while pending:
            # None that is left depends on the deepest, so that its coefficient is final.
            bit = max(pending, key=self._depth)
            coefficient = pending.pop(bit)
            if is_leaf(bit):
                leaves[bit] = coefficient
                continue
            for factors, count in self._polynomial(bit).items():
                to, key = (pending, factors[0]) if len(factors) == 1 else (products, factors)
                to[key] = (to.get(key, 0) + count * coefficient) % modulus
        constant = products.pop((), 0)
        for factors, count in products.items():
            if count:
                raise NotLinear(f"the product of {', '.join(map(self.names.get, factors))} counts {count}")
        return {bit: coefficient for bit, coefficient in leaves.items() if coefficient}, constant

    def _polynomial(self, bit):
        """Coefficients by factors, tuples of bits: the wires with names, inputs and registers that drive this one."""
        if bit not in self._drivers:
            raise NotLinear(f"{self.names[bit]} is an input")
        cut, unnamed = set(), [*self.inputs(bit)]
        while unnamed:
            one = unnamed.pop()
            if one in self.names:
                cut.add(one)
            else:
                unnamed += self.inputs(one)
        cut -= {"0", "1"}
        if len(cut) > MAX_INPUTS:
            raise NotLinear(f"{self.names[bit]} comes from {len(cut)} wires")
        terms = {}
        for factors in chain.from_iterable(combinations(sorted(cut), number) for number in range(len(cut) + 1)):
            values = {each: int(each in factors) for each in cut}
            # less what its parts count
            parts = (count for part, count in terms.items() if set(part) < set(factors))
            terms[factors] = self.evaluate(bit, values) - sum(parts)
        return {factors: count for factors, count in terms.items() if count}

    def _support(self, bit):
        if isinstance(bit, str):
            return frozenset()
        return frozenset().union(*map(self.support, self.inputs(bit))) if bit in self._drivers else frozenset([bit])

    def _levels(self, bit):
        return 1 + max(map(self._depth, self.inputs(bit)), default=0)
