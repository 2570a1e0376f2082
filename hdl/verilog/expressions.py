"""The text of what operators compute: every operand has just the width of its operator, so that no context changes a value."""

from collections import defaultdict

from narrowfloat.hdl.verilog.netlist import BITWISE, CARRYING, operand_bits

_BINARY = {"$and": "&", "$or": "|", "$xor": "^", "$add": "+", "$sub": "-", "$mul": "*"}
_COMPARISONS = {"$eq": "==", "$ne": "!=", "$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}
_REDUCTIONS = {"$reduce_or": "|", "$reduce_bool": "|", "$reduce_and": "&", "$reduce_xor": "^", "$reduce_xnor": "~^"}
_SHIFTS = {"$shl": "<<", "$shr": ">>", "$sshr": ">>"}
_CHAINED = ("&", "|", "^")
# How large an expression may be that stands for itself, and one that is repeated wherever it is used, in names and numbers.
LARGEST, LARGEST_REPEATED = 24, 3
_CONDITIONAL, _OPERATION, _UNARY, _PRIMARY = range(4)


class Expressions:
    """The texts of operands of a module.

    Parameters
    ----------
    module : Module
    nets : Nets

    Attributes
    ----------
    used : dict of sets
        The places of each net that texts have named since it was last taken (`take_used`).
    """

    def __init__(self, module, nets):
        self._module, self._nets = module, nets
        self._place = {bit: (word, index) for word in module.words for index, bit in enumerate(word.bits)}
        self.used = defaultdict(set)
        self._known = {}

    def take_used(self):
        """The nets that texts have named, and their places, since the last call."""
        used, self.used = self.used, defaultdict(set)
        return used

    # What operands are made of

    def segments(self, bits, without=None):
        """`bits` from the lowest on as triples: a kind, what it is, and how many bits it stands for."""
        index, found = 0, []
        while index < len(bits):
            bit = bits[index]
            if isinstance(bit, str):
                end = index
                while end < len(bits) and isinstance(bits[end], str):
                    end += 1
                found.append(("constant", bits[index:end], end - index))
                index = end
                continue
            end = index
            while end < len(bits) and bits[end] == bit:
                end += 1
            if end - index > 1:
                found.append(("repeated", bit, end - index))
                index = end
                continue
            if run := self._nets.run(bits[index:], without):
                net, place, length = run
                found.append(("net", (net, place), length))
                index += length
                continue
            word, place = self._place[bit]
            length = 1
            while (
                index + length < len(bits)
                and place + length < len(word.bits)
                and bits[index + length] == word.bits[place + length]
            ):
                length += 1
            found.append(("word", (word, place, place + length - 1), length))
            index += length
        return found

    def operands(self, word, first, last):
        """The operands, tuples of bits, of the part of an operator's result from its bit `first` to `last`."""
        return [bits for _, bits in self._operands(word, first, last)]

    def _operands(self, *part):
        if part not in self._known:
            self._known[part] = tuple(_operands(*part))
        return self._known[part]

    def name_what_must_be(self):
        """Give wires to results that are used as a part of which no operator is, more than once, or are too large."""
        number = 0
        while True:
            uses, sizes = defaultdict(list), {}
            self._count(self.roots(), uses, set())
            must = [word for word in self._module.words if word in uses and self._must_be_named(word, uses[word], sizes)]
            if not must:
                return
            for word in must:
                if net := self._nets.by_word.get(word):
                    name = f"{net.signal}_{net.bits.index(word.bits[0]) + net.low}"
                else:
                    number += 1
                    name = f"expr{number}"
                self._nets.name_anonymous(word, name)

    def roots(self):
        """All operands that are no operand of an anonymous word."""
        module, nets = self._module, self._nets
        for net in nets.all:
            if net.kind == "parts":
                yield net.bits, net
            for word in net.words:
                if word.is_logic and net.kind != "parts":
                    for bits in self.operands(word, 0, len(word.bits) - 1):
                        yield bits, None
        for cell in module.cells:
            if not cell.is_operator:
                for bits in cell.inputs.values():
                    yield bits, None
        named = {(net.name, net.bits) for net in nets.all}
        for name, (direction, bits) in module.ports.items():
            if direction == "output" and (name, bits) not in named:
                yield bits, None

    def _count(self, roots, uses, seen):
        waiting = list(roots)
        while waiting:
            bits, without = waiting.pop()
            for kind, what, _ in self.segments(bits, without):
                if kind == "repeated" and not self._nets.run((what,), without):
                    word, place = self._place[what]
                    kind, what = "word", (word, place, place)
                if kind == "word":
                    uses[what[0]].append(what[1:])
                    if what not in seen:
                        seen.add(what)
                        waiting += [(each, None) for each in self.operands(*what)]

    def _must_be_named(self, word, uses, sizes):
        for first, last in uses:
            whole = first == 0 and last == len(word.bits) - 1
            if not (whole or word.cell.type in BITWISE or word.cell.type in CARRYING and first == 0):
                return True
        largest = LARGEST_REPEATED if len(uses) > 1 else LARGEST
        return any(self._size((word, *use), sizes) > largest for use in uses)

    def _size(self, part, sizes):
        """How many names and numbers are in the expression of a part of a word: the word, its first and its last bit."""
        if part not in sizes:
            sizes[part] = 1  # where a loop of bits comes back to it
            size = 0
            for bits in self.operands(*part):
                for kind, what, _ in self.segments(bits):
                    size += self._size(what, sizes) if kind == "word" else 1
            sizes[part] = size
        return sizes[part]

    # Texts

    def chain(self, bits, held):
        """What a register gets: pairs of a condition and a text, the first whose condition holds counts.

        No condition stands for all other cases, and no text for keeping what it has, `held`.
        """
        while True:
            if bits == held:
                return
            segments = self.segments(bits)
            kind, what, _ = segments[0]
            if len(segments) > 1 or kind != "word" or what[0].cell.type not in ("$mux", "$pmux"):
                yield "", self.text(bits)
                return
            operands = dict(self._operands(*what))
            if what[0].cell.type == "$mux":
                if operands["B"] == held and operands["A"] != held:
                    yield f"!{self.closed(operands['S'])}", self.text(operands["A"])
                    return
                yield self.text(operands["S"]), "" if operands["B"] == held else self.text(operands["B"])
            else:
                for case in range(len(what[0].cell.inputs["S"])):
                    chosen = operands[f"B{case}"]
                    yield self.text(operands[f"S{case}"]), "" if chosen == held else self.text(chosen)
            bits = operands["A"]

    def text(self, bits, without=None):
        """The text of an operand."""
        return self._operand(bits, without)[0]

    def closed(self, bits):
        """The text of an operand, in parentheses if it is more than a name or number."""
        return self._closed(self._operand(bits), _PRIMARY)

    def definition(self, word):
        """The text of an operator's result."""
        return self._logic(word, 0, len(word.bits) - 1)[0]

    def _index_of(self, word):
        """Of a choice by one number, of whose values at least half are told apart: its bits, which are named, and the case of
        each value; None of others."""
        bits, cases = None, {}
        for case, select in enumerate(word.cell.inputs["S"]):
            ((kind, what, _),) = self.segments((select,))
            found = _compared(what[0]) if kind == "word" else None
            if found is None or bits not in (None, found[0]):
                return None
            bits = found[0]
            cases.setdefault(found[1], case)
        if 2 * len(cases) < 2 ** len(bits) or any(isinstance(bit, str) or bit not in self._nets.views for bit in bits):
            return None
        return bits, cases

    def _tree(self, bits, choices):
        """A choice among as many operands as a number of `bits` has values, by its highest bit first."""
        if not bits:
            return self._operand(choices[0])
        half = len(choices) // 2
        low, high = (self._tree(bits[:-1], part) for part in (choices[:half], choices[half:]))
        if low == high:
            return low
        return f"{self._operand(bits[-1:])[0]} ? {self._closed(high)} : {self._closed(low)}", _CONDITIONAL

    def _closed(self, operand, least=_UNARY):
        text, strength = operand[:2]
        return text if strength >= least else f"({text})"

    def _operand(self, bits, without=None):
        texts = []
        for kind, what, length in self.segments(bits, without):
            if kind == "constant":
                texts.append((number(what), _PRIMARY))
            elif kind == "repeated":
                texts.append((f"{{{length}{{{self.text((what,), without)}}}}}", _PRIMARY))
            elif kind == "net":
                net, place = what
                self._nets.declare_alias(net)
                self.used[net].update(range(place, place + length))
                texts.append((net.spelled(place, place + length - 1), _PRIMARY))
            else:
                texts.append(self._logic(*what))
        if len(texts) == 1:
            return texts[0]
        return f"{{{', '.join(text for text, *_ in reversed(texts))}}}", _PRIMARY

    def _logic(self, word, first, last):
        kind = word.cell.type
        if kind == "$pmux" and (index := self._index_of(word)):
            bits, cases = index
            parts = dict(self._operands(word, first, last))
            return self._tree(
                bits, [parts[f"B{cases[code]}"] if code in cases else parts["A"] for code in range(2 ** len(bits))]
            )
        operands = {port: self._operand(bits) for port, bits in self._operands(word, first, last)}
        closed = {port: self._closed(operand) for port, operand in operands.items()}
        if kind in _BINARY:
            symbol = _BINARY[kind]
            sides = [
                self._closed(operands[port], _OPERATION if operands[port][2:] == (symbol,) and symbol in _CHAINED else _UNARY)
                for port in ("A", "B")
            ]
            return f"{sides[0]} {symbol} {sides[1]}", _OPERATION, symbol
        if kind in _COMPARISONS:
            if word.cell.is_signed:
                closed = {port: f"$signed({operand[0]})" for port, operand in operands.items()}
            return f"{closed['A']} {_COMPARISONS[kind]} {closed['B']}", _OPERATION
        if kind in _REDUCTIONS:
            return f"{_REDUCTIONS[kind]}{self._closed(operands['A'], _PRIMARY)}", _UNARY
        if kind == "$not":
            return f"~{self._closed(operands['A'], _PRIMARY)}", _UNARY
        if kind == "$neg":
            return f"-{self._closed(operands['A'], _PRIMARY)}", _UNARY
        if kind == "$pos":
            return operands["A"]
        if kind == "$xnor":
            return f"~({closed['A']} ^ {closed['B']})", _UNARY
        if kind == "$logic_not":
            width = len(word.cell.inputs["A"])
            if width == 1:
                return f"~{self._closed(operands['A'], _PRIMARY)}", _UNARY
            return f"{closed['A']} == {number('0' * width)}", _OPERATION
        if kind in ("$logic_and", "$logic_or"):
            return f"{closed['A']} {'&&' if kind == '$logic_and' else '||'} {closed['B']}", _OPERATION
        if kind in _SHIFTS:
            if kind == "$sshr" and word.cell.number("A_SIGNED"):
                # In braces no other operand makes the shift an unsigned one.
                return f"{{$signed({operands['A'][0]}) >>> {closed['B']}}}", _PRIMARY
            return f"{closed['A']} {_SHIFTS[kind]} {closed['B']}", _OPERATION
        if kind == "$mux":
            return f"{self._closed(operands['S'], _OPERATION)} ? {closed['B']} : {operands['A'][0]}", _CONDITIONAL
        if kind == "$pmux":
            cases = len(word.cell.inputs["S"])
            arms = [f"{self._closed(operands[f'S{n}'], _OPERATION)} ? {closed[f'B{n}']} : " for n in range(cases)]
            return "".join(arms) + operands["A"][0], _CONDITIONAL
        raise NotImplementedError(f"{self._module.name} has a cell {kind}")


def _compared(word):
    """The bits that an operator compares with a constant, and that number; None if it does something else."""
    cell = word.cell
    bits = cell.inputs.get("A", ())
    if cell.type in ("$logic_not", "$not") and len(word.bits) == 1 and (cell.type == "$logic_not" or len(bits) == 1):
        return bits, 0
    if cell.type == "$eq" and all(isinstance(bit, str) for bit in cell.inputs["B"]) and not cell.is_signed:
        value = int("".join(reversed(cell.inputs["B"])), 2)
        return (bits, value) if value < 2 ** len(bits) else None
    return None


def _operands(word, first, last):
    """Pairs of a port and its bits of what makes the bits from `first` to `last` of an operator's result."""
    cell = word.cell
    low, high = word.first + first, word.first + last + 1
    if cell.type == "$pmux":
        width = len(cell.outputs["Y"])
        yield "A", cell.inputs["A"][low:high]
        for case, select in enumerate(cell.inputs["S"]):
            yield f"S{case}", (select,)
            yield f"B{case}", cell.inputs["B"][case * width :][low:high]
    elif cell.type in BITWISE:
        for port in BITWISE[cell.type]:
            yield port, operand_bits(cell, port, high)[low:high]
        if cell.type == "$mux":
            yield "S", cell.inputs["S"]
    elif cell.type in CARRYING or cell.type in _SHIFTS:
        for port in CARRYING.get(cell.type, ("A",)):
            if cell.type not in CARRYING and len(cell.inputs[port]) > high:
                raise NotImplementedError(f"a shift to the right of {len(cell.inputs[port])} bits has {high}")
            yield port, operand_bits(cell, port, high)
        if cell.type in _SHIFTS:
            yield "B", cell.inputs["B"]
    elif cell.type in _COMPARISONS:
        width = max(len(bits) for bits in cell.inputs.values())
        for port in cell.inputs:
            yield port, operand_bits(cell, port, width)
    else:
        yield from cell.inputs.items()


def number(bits):
    """The text of a constant, given its bits from the lowest on."""
    value = int("".join(reversed(bits)), 2)
    return f"{len(bits)}'b{value:b}" if len(bits) <= 1 else f"{len(bits)}'h{value:x}"
