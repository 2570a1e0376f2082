"""Which wires and registers a module declares, under what names, and how bits are spelled with them."""

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace

from narrowfloat.hdl.verilog.keywords import KEYWORDS
from narrowfloat.hdl.verilog.netlist import Word


@dataclass(eq=False)
class Net:
    """A declared name: `bits` by place from `low` on, and the words that drive it, or none where it is made of other nets."""

    name: str
    bits: tuple
    low: int
    source: str
    kind: str  # input, output, register, wire (of one word), parts (of several) or alias (of what has another name, too)
    words: list = field(default_factory=list)
    signal: str = ""  # that of the source
    attributes: dict = field(default_factory=dict)

    @property
    def is_vector(self):
        return len(self.bits) > 1 or self.low > 0

    def spelled(self, first, last):
        """The text of its bits from place `first` to `last`."""
        if first == self.low and last == self.low + len(self.bits) - 1:
            return self.name
        return f"{self.name}[{first}]" if first == last else f"{self.name}[{last}:{first}]"


class Nets:
    """The nets of a module.

    Every word gets a net of its own name where the source has one for just these bits, else a part of one that has it among
    others; operators' results with no name at all stay anonymous, until something asks for a name (`name_anonymous`).

    Parameters
    ----------
    module : Module
    whole : set of str
        Names of signals that must not be declared as one vector, since a bit of them depends on another.
    """

    def __init__(self, module, whole):
        self._module = module
        labels = [*(cell.name for cell in module.instances), *module.memories]
        self._taken = {re.sub(r"\W+", "_", label).strip("_"): label for label in labels}
        self._taken |= dict.fromkeys(("SEED", "REGISTER", "START", "lfsr_start"), "")  # what `design` declares
        self.by_word = {}
        self.all = []
        self.views = defaultdict(list)
        self._outputs = {bits: name for name, (way, bits) in module.ports.items() if way == "output"}
        for name in module.ports:
            self._taken[name] = name
        for word in module.words:
            if word.cell is None:
                self._add(Net(word.port, word.bits, 0, self._source(word.port), "input", [word]))
        candidates = self._candidates()
        self._split_registers(candidates)
        self._name_exact(candidates)
        self._name_parts(candidates, whole)
        self._add_aliases(candidates)

    def _source(self, name):
        return self._module.signals[name].source if name in self._module.signals else ""

    def unique(self, name):
        """A legal name of Verilog, not taken yet, from one of the source."""
        name = re.sub(r"\$\d+", "", name)
        name = re.sub(r"\W+", "_", re.sub(r"\[(\d+)\]", r"\1", name)).strip("_")
        name = re.sub(r"__+", "_", name) or "unnamed"
        if name[0].isdigit() or name in KEYWORDS:
            name = f"{name}_" if name in KEYWORDS else f"n{name}"
        number, found = 1, name
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken[found] = name
        return found

    def _add(self, net):
        self.all.append(net)
        for word in net.words:
            self.by_word[word] = net
        for place, bit in enumerate(net.bits, net.low):
            if not isinstance(bit, str):
                self.views[bit].append((net, place))

    def _candidates(self):
        """Signals of the source, each cut to the bits that are used: triples of it, the place of the first, and the bits."""
        instance_of = {}  # what the source calls as a port of an instance is named after that instance
        for cell in self._module.instances:
            for port, bits in (*cell.inputs.items(), *cell.outputs.items()):
                instance_of.setdefault((port, bits), cell.name)
        found = []
        for signal in self._module.signals.values():
            root, _, field = signal.name.partition(".")
            whole = self._module.signals.get(root, signal)
            port = re.sub(r"__+", "_", re.sub(r"\$\d+", "", root))
            if signal.name in self._module.ports:
                continue
            if instance := instance_of.get((port, whole.bits)):
                if not field:
                    continue
                signal = replace(signal, name=f"{instance}_{port}.{field}")
            places = [place for place, bit in enumerate(signal.bits) if bit in self._module.used]
            if places:
                found.append((signal, places[0], signal.bits[places[0] : places[-1] + 1]))
        return sorted(found, key=lambda each: ("." in each[0].name, "$" in each[0].name, len(each[0].name), each[0].name))

    def _split_registers(self, candidates):
        """Tell bits of a register apart that are no neighbours in what the source calls it: those between them are constant."""
        signals_of = defaultdict(list)
        for _, _, bits in sorted(candidates, key=lambda each: len(each[2])):
            for bit in bits:
                signals_of[bit].append(bits)
        split = []
        for word in self._module.words:
            signals = signals_of[word.bits[0]] if word.is_register else []
            whole = next((bits for bits in signals if set(word.bits) <= set(bits)), signals[-1] if signals else ())
            places = {bit: place for place, bit in enumerate(whole)}
            ends = [
                index
                for index in range(1, len(word.bits))
                if places and places.get(word.bits[index], -1) != places.get(word.bits[index - 1], -2) + 1
            ]
            if not ends:
                split.append(word)
            for first, end in zip((0, *ends), (*ends, len(word.bits))) if ends else ():
                split.append(Word(word.cell, word.port, word.bits[first:end], word.first + first))
        self._module.words = split

    def _name_exact(self, candidates):
        by_bits = {}
        for signal, low, bits in candidates:
            by_bits.setdefault(bits, (signal, low))
            by_bits.setdefault(signal.bits[: low + len(bits)], (signal, 0))  # a sum whose lowest bits only carry
        word_of = {}
        outputs = dict(self._outputs)
        for word in self._module.words:
            word_of.setdefault(word.bits, word)
            if word.cell is None:
                continue
            kind = "register" if word.is_register else "wire"
            if word.bits in outputs:
                name = outputs.pop(word.bits)
                self._add(Net(name, word.bits, 0, self._source(name), "output", [word]))
            elif word.cell and not word.cell.type.startswith("$"):
                name = self.unique(f"{word.cell.name}_{word.port}")
                self._add(Net(name, word.bits, 0, word.cell.source, kind, [word]))
            elif word.bits in by_bits:
                signal, low = by_bits[word.bits]
                self._add(self._net(signal, low, word.bits, kind, [word]))
        for cell in self._module.instances:
            for port, bits in cell.inputs.items():
                word = word_of.get(bits)
                if word is not None and word not in self.by_word:
                    kind = "register" if word.is_register else "wire"
                    self._add(Net(self.unique(f"{cell.name}_{port}"), bits, 0, cell.source, kind, [word]))

    def _net(self, signal, low, bits, kind, words):
        if len(bits) == 1 and low > 0:
            name, low = f"{signal.name}_{low}", 0
        else:
            name = signal.name
        return Net(self.unique(name), bits, low, signal.source, kind, words, signal.name, signal.attributes)

    def _name_parts(self, candidates, whole):
        """Name words by the smallest signals of which they are a part."""
        word_of = {bit: word for word in self._module.words for bit in word.bits}
        nameless_bits = {bit for word in self._module.words if word not in self.by_word for bit in word.bits}
        for signal, low, bits in sorted(candidates, key=lambda each: len(each[2])):
            if nameless_bits.isdisjoint(bits):
                continue
            words = list(dict.fromkeys(word_of[bit] for bit in bits if bit in word_of))
            nameless = [word for word in words if word not in self.by_word and _is_in(word.bits, bits)]
            if not nameless:
                continue
            nameless_bits.difference_update(*(word.bits for word in nameless))
            registers = [word for word in words if word.is_register]
            splits = signal.name in whole or registers and len(registers) < len(words)
            splits = splits or any(word.is_register and word in self.by_word for word in words)
            splits = splits or registers and any(isinstance(bit, str) for bit in bits)
            if splits:
                for word in nameless:
                    first = signal.bits.index(word.bits[0])
                    last = first + len(word.bits) - 1
                    name = self.unique(f"{signal.name}_{first}" if first == last else f"{signal.name}_{last}_{first}")
                    kind = "register" if word.is_register else "wire"
                    self._add(Net(name, word.bits, 0, signal.source, kind, [word]))
            elif registers:
                self._add(self._net(signal, low, bits, "register", words))
            else:
                self._add(self._net(signal, low, bits, "parts", nameless))
        for word in self._module.words:
            if word not in self.by_word and not word.is_logic:
                name = self.unique(f"{word.cell.name}_{word.port}".lower())
                self._add(Net(name, word.bits, 0, word.cell.source, "register" if word.is_register else "wire", [word]))

    def _add_aliases(self, candidates):
        """Signals that are a slice of one net: fields of payloads, mostly."""
        for signal, low, bits in candidates:
            if any(isinstance(bit, str) for bit in bits) or bits[0] not in self.views:
                continue
            for net, place in self.views[bits[0]]:
                start = place - net.low
                if net.kind != "alias" and len(bits) < len(net.bits) and net.bits[start : start + len(bits)] == bits:
                    is_bit = len(bits) == 1 and low > 0
                    name, first = (f"{signal.name}_{low}", 0) if is_bit else (signal.name, low)
                    alias = Net(name, bits, first, signal.source, "alias")
                    for index, bit in enumerate(bits):
                        self.views[bit].append((alias, alias.low + index))
                    break

    def name_anonymous(self, word, name):
        """Declare a wire for a word that the source has no name for, or that is only a part of what it has one for."""
        self._add(Net(self.unique(name), word.bits, 0, word.cell.source, "wire", [word]))

    def declare_alias(self, net):
        """Give an alias that is used its name, once."""
        if net.kind == "alias" and net not in self.all:
            net.name = self.unique(net.name)
            self.all.append(net)

    def run(self, bits, without=None):
        """The longest run of `bits` from their first on that are one net's neighbours: the net, its place, and the length."""
        best = None
        for net, place in self.views.get(bits[0], ()):
            if net is without or without is not None and net.kind == "alias" and without.kind == "alias":
                continue
            start = place - net.low
            length = 1
            while length < len(bits) and start + length < len(net.bits) and net.bits[start + length] == bits[length]:
                length += 1
            key = (-length, len(net.bits), net.kind == "alias", len(net.name), net.name)
            if best is None or key < best[0]:
                best = key, net, place, length
        return best and best[1:]


def _is_in(word, bits):
    """Whether the bits of a word are neighbours in `bits`."""
    if word[0] not in bits:
        return False
    first = bits.index(word[0])
    return bits[first : first + len(word)] == word
