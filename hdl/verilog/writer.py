"""The text of a module: ports, declarations where they are first needed, instances, registers."""

import re
import textwrap
from dataclasses import dataclass, field

from narrowfloat.hdl.verilog.expressions import Expressions, number
from narrowfloat.hdl.verilog.keywords import KEYWORDS
from narrowfloat.hdl.verilog.netlist import BITWISE, Word
from narrowfloat.hdl.verilog.nets import Nets

WIDTH = 118
# What nothing or not every bit of is used: Verilator takes a comment for either, slang an attribute for the former.
_LINT = "/* verilator lint_{} UNUSEDSIGNAL */"
_UNUSED = "(* maybe_unused *)"


@dataclass(frozen=True)
class Source:
    """What is said of a module beside its netlist.

    Attributes
    ----------
    heading : sequence of str
        Lines of a comment above it.
    parameters : sequence of str
        The declarations of its Verilog parameters.
    body : str
        What comes before its declarations.
    start : str
        The register that reset sets to the constant START, where `body` declares that.
    modules : dict of tuple of str
        By the types of its instances, the names and parameters of their modules.
    ports : sequence of str
        Its ports in order, those that it has not among them.
    attributes : dict of list of str
        Of ports.
    asynchronous : bool
        Whether resets are.
    """

    heading: tuple = ()
    parameters: tuple = ()
    body: str = ""
    start: str = ""
    modules: dict = field(default_factory=dict)
    ports: tuple = ()
    attributes: dict = field(default_factory=dict)
    asynchronous: bool = False


@dataclass(eq=False)
class _Item:
    """Something to be written, its texts, after the nets that it `needs`; `comment` is the place that it comes from."""

    lines: list
    needs: dict
    comment: str = ""


def write(module, name, source):
    """The text of a `netlist.Module` under a `name`."""
    whole = set()
    while True:
        nets = Nets(module, whole)
        expressions = Expressions(module, nets)
        expressions.name_what_must_be()
        writer = _Writer(module, name, source, nets, expressions)
        if not (loop := writer.loops()):
            return writer.text()
        parts = {net.signal for net in loop if net.kind == "parts"}
        if parts - whole:
            whole |= parts
        else:
            _split(module, loop)


def _split(module, loop):
    """Tell bits of operators apart that depend on one another."""
    words = {word for net in loop for word in net.words if word.cell and word.cell.type in BITWISE and len(word.bits) > 1}
    assert words, f"{module.name} has a loop through {', '.join(net.name for net in loop)}"
    module.words = [
        each
        for word in module.words
        for each in (
            [Word(word.cell, word.port, (bit,), word.first + place) for place, bit in enumerate(word.bits)]
            if word in words
            else [word]
        )
    ]


class _Writer:
    def __init__(self, module, name, source, nets, expressions):
        self._module, self._name, self._source, self._nets, self._expressions = module, name, source, nets, expressions
        self._used = {}
        self._items = {}
        self._make_items()

    # What there is to write, and in which order

    def _item(self, lines, comment=""):
        needs = self._expressions.take_used()
        for net, places in needs.items():
            self._used.setdefault(net, set()).update(places)
        return _Item(lines, needs, comment)

    def _make_items(self):
        text = self._expressions
        for net in [each for each in self._nets.all if each.kind in ("wire", "output", "parts")]:
            logic = [word for word in net.words if word.is_logic]
            if net.kind == "parts":
                self._items[net] = self._item([("wire", net, text.text(net.bits, net))], net.source)
            elif logic:
                kind = "assign" if net.kind == "output" else "wire"
                self._items[net] = self._item([(kind, net, text.definition(logic[0]))], net.source)
        self._instances = {cell: self._instance(cell) for cell in self._module.instances}
        self._registers = self._always()
        self._memories = self._memory()
        named = {net.name for net in self._nets.all if net.kind == "output"}
        self._outputs = []
        for port, (direction, bits) in self._module.ports.items():
            if direction == "output" and port not in named:
                self._outputs.append(self._item([f"assign {port} = {text.text(bits)};"]))
        done = set()
        while aliases := [net for net in self._nets.all if net.kind == "alias" and net not in done]:
            for net in aliases:
                done.add(net)
                self._items[net] = self._item([("wire", net, text.text(net.bits, net))], net.source)

    def loops(self):
        """The nets that need themselves, through others or not."""
        needs = {net: [need for need in item.needs if need in self._items] for net, item in self._items.items()}
        # Whatever is no loop loses its last reader or its last need.
        readers = {net: 0 for net in needs}
        for each in needs.values():
            for need in each:
                readers[need] += 1
        waiting = [net for net, count in readers.items() if not count]
        while waiting:
            for need in needs.pop(waiting.pop()):
                readers[need] -= 1
                if not readers[need]:
                    waiting.append(need)
        found = dict(needs)
        while leaves := [net for net, each in found.items() if not any(need in found for need in each)]:
            for net in leaves:
                del found[net]
        return list(found)

    def _in_order(self):
        """Pairs of a net or instance and its item, each behind the nets that it needs; an instance also before what needs its
        outputs, unless it needs that itself."""
        driver = {net: word.cell for net in self._nets.all for word in net.words if word.cell in self._instances}
        items = self._instances | self._items
        done, order = {}, []

        def visit(key, open_, tried):
            """Write a key behind what it needs, unless it needs one that is `open_`; whether it is written."""
            open_.add(key)
            complete = True
            for need in items[key].needs:
                target = driver.get(need, need)
                if target in done or target not in items:
                    continue
                if target in self._instances:
                    if target not in open_ and target not in tried:
                        tried.add(target)
                        visit(target, open_, tried)
                elif target in open_ or not visit(target, open_, tried):
                    complete = False
            open_.discard(key)
            if complete and key not in done:
                done[key] = True
                order.append((key, items[key]))
            return complete

        while waiting := [key for key in items if key not in done]:
            for key in waiting:
                if key not in done:
                    visit(key, set(), set())
        return order

    # Parts of the text

    def _instance(self, cell):
        module, parameters, ports = self._source.modules[cell.type]
        outputs = {word.port: self._nets.by_word[word].name for word in self._module.words if word.cell is cell}
        ports = [port for port in ports if port in cell.inputs or port in cell.outputs]
        longest = max(map(len, ports))
        label = re.sub(r"\W+", "_", cell.name)
        label = f"{label}_" if label in KEYWORDS else label
        lines = [f"  {module}{parameters} {label} ("]
        if len(lines[0]) > WIDTH:
            lines = [f"  {module}", f"   {parameters} {label} ("]
        for port in ports:
            value = self._expressions.text(cell.inputs[port]) if port in cell.inputs else outputs[port]
            lines += _wrapped(f"    .{port:{longest}} ({value}),")
        lines[-1] = lines[-1][:-1]
        return self._item([*lines, "  );"], cell.source)

    def _always(self):
        """The registers, those with the same clock, reset and enable together."""
        text, blocks = self._expressions, {}
        for net in self._nets.all:
            for word in net.words:
                if not word.is_register:
                    continue
                cell = word.cell
                inputs = cell.inputs
                edge = "posedge" if cell.number("CLK_POLARITY") else "negedge"
                event, reset = f"{edge} {text.text(inputs['CLK'])}", ""
                if "ARST" in inputs:
                    active = cell.number("ARST_POLARITY")
                    name = text.closed(inputs["ARST"])
                    reset = name if active else f"!{name}"
                    value = cell.parameters["ARST_VALUE"][::-1]
                    if self._source.asynchronous:
                        event += f" or {'posedge' if active else 'negedge'} {name}"
                place = net.low + net.bits.index(word.bits[0])
                target = net.spelled(place, place + len(word.bits) - 1)
                first, last = word.first, word.first + len(word.bits)
                starts = f"{target} <= {self._start(net, word, value[first:last])};" if reset else ""
                chain = list(text.chain(inputs["D"][first:last], word.bits))
                block = blocks.setdefault((event, reset, tuple(condition for condition, _ in chain)), [])
                block.append((starts, [f"{target} <= {moves};" if moves else "" for _, moves in chain]))
        items = []
        for (event, reset, conditions), registers in blocks.items():
            arms = [(f"if ({reset})", [starts for starts, _ in registers])] if reset else []
            for index, condition in enumerate(conditions):
                arms.append((f"if ({condition})" if condition else "", [moves[index] for _, moves in registers]))
            lines = [f"always @({event})"]
            if len(arms) == 1 and not arms[0][0]:
                lines = _branch(lines[0], arms[0][1], 0)
            else:
                for index, (head, moves) in enumerate(arms):
                    lines += _branch(
                        " ".join(filter(None, ["else" if index else "", head])), [each for each in moves if each], 2
                    )
            items.append(lines)
        item = self._item([])
        item.lines = items
        return item

    def _start(self, net, word, bits):
        if self._source.start and net.signal == self._source.start:
            first = net.low + net.bits.index(word.bits[0])
            return "START" if len(word.bits) == len(net.bits) else f"START[{first + len(word.bits) - 1}:{first}]"
        bits = "".join("0" if bit in "xz" else bit for bit in bits)
        return number(bits)

    def _memory(self):
        text, lines = self._expressions, []
        declared = []
        for name, memory in self._module.memories.items():
            label = re.sub(r"\W+", "_", name).strip("_")
            declared.append(f"reg {_range(memory['width'])}{label} [0:{memory['size'] - 1}];")
            cells = [cell for cell in self._module.cells if cell.parameters.get("MEMID", "").lstrip("\\") == name]
            writes = [cell for cell in cells if cell.type == "$memwr_v2"]
            for cell in writes:
                address, data = text.text(cell.inputs["ADDR"]), cell.inputs["DATA"]
                body = []
                for first, last, enable in _runs(cell.inputs["EN"]):
                    part = "" if last - first + 1 == memory["width"] else f"[{last}:{first}]"
                    body += [f"  if ({text.text((enable,))}) {label}[{address}]{part} <= {text.text(data[first : last + 1])};"]
                lines.append([f"always @(posedge {text.text(cell.inputs['CLK'])})", *body])
            for cell in (each for each in cells if each.type == "$memrd_v2"):
                word = next(each for each in self._module.words if each.cell is cell)
                net, address = self._nets.by_word[word], text.text(cell.inputs["ADDR"])
                if net.kind != "output":
                    net.kind = "register" if cell.number("CLK_ENABLE") else "wire"
                if not cell.number("CLK_ENABLE"):
                    lines.append([f"assign {net.name} = {label}[{address}];"])
                    continue
                lines.append([f"always @(posedge {text.text(cell.inputs['CLK'])})"])
                enable = text.text(cell.inputs["EN"])
                reads = f"{net.name} <= {label}[{address}];"
                lines[-1] += [f"  {reads}" if cell.inputs["EN"] == ("1",) else f"  if ({enable}) {reads}"]
                assert set(cell.parameters["TRANSPARENCY_MASK"]) <= {"0"}, "a memory that reads what is written"
        item = self._item([])
        item.lines = declared, lines
        return item

    # The text

    def text(self):
        """The text of the module, with a line at its end."""
        order = self._in_order()
        in_instances = {net for net in self._nets.all for word in net.words if word.cell in self._instances}
        lines = []
        for line in self._source.heading:
            parts = textwrap.wrap(line, WIDTH - 3, subsequent_indent="    ") or [""]
            lines += [f"// {part}".rstrip() for part in parts]
        lines += self._heading()
        declared, memory_lines = self._memories.lines
        for net in self._nets.all:
            if net.kind == "register":
                lines += self._declared(net, f"  reg {_range_of(net)}{net.name};")
        lines += [f"  {line}" for line in declared]
        for net in self._nets.all:
            is_driven = net in in_instances or any(word.is_memory for word in net.words)
            if is_driven and net.kind == "wire":
                lines += self._declared(net, f"  wire {_range_of(net)}{net.name};")
        lines.append("")
        for key, item in order:
            if key in self._instances:
                source = shortened(item.comment)
                lines += ["", item.lines[0] + (f"  // {source}" if source else ""), *item.lines[1:], ""]
                continue
            ((kind, net, text),) = item.lines
            if net in in_instances:
                continue
            head = f"  wire {_range_of(net)}{net.name}" if kind == "wire" else f"  assign {net.name}"
            lines += self._declared(net, f"{head} = {text};")
        for block in (*memory_lines, *self._registers.lines):
            lines += ["", *(each for line in block for each in _wrapped("  " + line))]
        if self._outputs:
            lines.append("")
        for item in self._outputs:
            lines += _wrapped("  " + item.lines[0])
        lines += ["", "endmodule", ""]
        text = "\n".join(line.rstrip() for line in lines)
        return re.sub(r"\n\n\n+", "\n\n", text)

    def _heading(self):
        ports = [port for port in self._source.ports if port in self._module.ports]
        assert len(ports) == len(self._module.ports), f"the ports of {self._name}"
        outputs = [net for net in self._nets.all if net.kind == "output"]
        registers = {net.name for net in outputs if net.words[0].is_register or net.words[0].is_clocked_read}
        if self._source.parameters:
            parameters = ",\n  ".join(self._source.parameters)
            lines = [f"module {self._name} #(", *f"  {parameters}".split("\n"), ") ("]
        else:
            lines = [f"module {self._name} ("]
        nets = {net.name: net for net in self._nets.all if net.kind == "input"}
        for place, port in enumerate(ports):
            direction, bits = self._module.ports[port]
            kind = "reg " if port in registers else "wire"
            width = f"[{len(bits) - 1}:0]" if len(bits) > 1 else ""
            comma = "," if place < len(ports) - 1 else ""
            lines += [f"  {attribute}" for attribute in self._source.attributes.get(port, ())]
            line = f"  {direction:6} {kind} {width:8} {port}{comma}"
            lines += self._marked([line], nets[port]) if direction == "input" else [line]
        return [*lines, ");", self._source.body, ""]

    def _declared(self, net, line):
        lines = self._commented(line, net.source)
        return lines if net.kind == "output" else self._marked(lines, net)

    def _marked(self, lines, net):
        """The lines of a declaration, which say so if bits of the net are not used."""
        used = len(self._used.get(net, ()))
        if used == len(net.bits):
            return lines
        return [f"  {_LINT.format('off')}", *[f"  {_UNUSED}"] * (not used), *lines, f"  {_LINT.format('on')}"]

    def _commented(self, line, source):
        lines = _wrapped(line)
        if source := shortened(source):
            if len(lines[-1]) + len(source) + 5 <= WIDTH:
                lines[-1] += f"  // {source}"
            else:
                lines.insert(0, f"  // {source}")
        return lines


def shortened(source):
    """A place in the source as the package has it, whatever folder it is in."""
    found = re.fullmatch(r"(?:.*/)?((?:hdl|amaranth)/[^/:]+(?:/[^/:]+)*\.py:\d+).*", source)
    return found[1] if found and not found[1].startswith("hdl/verilog/") else ""


def _range(width):
    return f"[{width - 1}:0] " if width > 1 else ""


def _range_of(net):
    return f"[{net.low + len(net.bits) - 1}:{net.low}] " if net.is_vector else ""


def _branch(head, lines, indent):
    """Lines under an `if`, `else` or event."""
    space = " " * indent
    if len(lines) == 1:
        return [f"{space}{head} {lines[0]}"]
    return [f"{space}{head} begin", *(f"{space}  {line}" for line in lines), f"{space}end"]


def _runs(bits):
    """Neighbours that are the same: places of the first and last, and what they are."""
    first = 0
    for place in range(1, len(bits) + 1):
        if place == len(bits) or bits[place] != bits[first]:
            yield first, place - 1, bits[first]
            first = place


def _wrapped(line):
    """A line in as many as it takes, broken at spaces."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
