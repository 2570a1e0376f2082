"""The data sheet of an emitted module: all that is needed to drive it, from its manifest and the docstrings of its block."""

import inspect
import re

from narrowfloat.golden.formats import BlockFormat, FloatFormat, LogBlockFormat
from narrowfloat.hdl.files import fields, interfaces, markdown
from narrowfloat.hdl.files.diagram import diagram
from narrowfloat.hdl.files.markdown import cell, left_table
from narrowfloat.hdl.files.prose import Prose, flag_meanings
from narrowfloat.hdl.files.templates import templates
from narrowfloat.hdl.manifest import schema
from narrowfloat.hdl.parts.registers import ACCESSES
from narrowfloat.hdl.verilog import language_of

_LANGUAGES = {"verilog": "Verilog", "vhdl": "VHDL", "amaranth": "Amaranth", "litex": "LiteX"}
# What there is to say of a port by the end of its name, unless the block has more to say.
_MEANINGS = {
    "_tvalid": "A beat is offered.",
    "_tready": "The beat that is offered is taken.",
    "_tlast": "The beat is the last one of a packet: see TLAST in the protocol.",
    "_tkeep": "Which of it counts.",
    "_tdata": "Data.",
    "_tuser": "What goes with the beat.",
}
_FILES = {
    ".md": "this sheet",
    ".json": "the manifest: what this sheet says of ports, registers and latency, for programs",
    ".f": "a filelist for simulators",
    ".core": "a FuseSoC core, whose target `sim` runs the testbench",
    "_tb.v": "a testbench that checks itself, Verilog-2005",
    "_tb.hex": "its vectors",
    "_component.vhd": "a VHDL package with the component declaration",
    ".sdc": "timing constraints for standard cells",
    ".xdc": "timing constraints for Vivado",
    ".component.xml": "a packaged core, IP-XACT",
    ".h": "the registers as a C header",
    ".rdl": "the registers as SystemRDL",
}
_WITH_REGISTERS = (".h", ".rdl")
_FACTS = {name: schema()["properties"][name]["description"] for name in ("guard_bits", "product_bits", "sum_bits")}
_HANDSHAKE = (
    "A beat moves at a rising edge at which TVALID and TREADY are high. What is offered must not change, and not be taken "
    "back, until it moves, and the module keeps to that, too. Idle cycles and back-pressure lose, repeat and reorder nothing."
)


def page(design, values, manifest):
    """The sheet as Markdown.

    Parameters
    ----------
    design : hdl.catalog.Design
    values : dict
        All parameters that the module was built with.
    manifest : dict
    """
    prose = Prose(design.component, values)
    settings = design.settings(values)
    built = " ".join(f"`{setting}`" for setting in settings) or "all parameters at their defaults"
    synth = " ".join(["narrowfloat synth", design.name, *(f"--set {setting}" for setting in settings)])
    parts = [
        f"# {manifest['module']}",
        f"{_sentence(design.summary)} Narrowfloat {manifest['versions']['narrowfloat']}: `{design.name}`, {built}.",
        "## What it computes",
        prose.text,
        *_formats(values, prose),
        "## Parameters",
        *_parameters(design, values, manifest),
        "## Ports",
        *_ports(manifest, prose),
        "## Protocol",
        *_protocol(manifest, prose),
        "## Latency and throughput",
        *_timing(manifest),
        *_registers(manifest),
        *_statistics(manifest),
        *_flags(manifest, prose),
        *_others(prose),
        "## Area and frequency",
        f"This measures LUTs, cells, delay and energy on several targets:\n\n```sh\n{synth}\n```",
        "## Instantiation",
        *_templates(manifest),
        "## Files",
        *_files(manifest),
    ]
    text = "\n\n".join(parts) + "\n"
    return re.sub("`(golden|hdl)[.]", r"`narrowfloat.\1.", text)  # where readers can import it from


def _sentence(text):
    return f"{text[:1].upper()}{text[1:]}."


# Encodings


def _formats(values, prose):
    """The formats that are parameters or that the text names: how codes are read, and which are special."""
    chosen = [fmt for value in values.values() for fmt in (value if isinstance(value, tuple) else (value,))]
    for kind, row in ((FloatFormat, _float), (LogBlockFormat, _sizes), (BlockFormat, _sizes)):
        rows = [row(fmt) for fmt in chosen if isinstance(fmt, kind)]
        if rows or any(f"`{kind.__name__}`" in text for text in (prose.text, *prose.others.values())):
            yield f"### Encoding of a `{kind.__name__}`"
            yield markdown.docstring(markdown.sections(inspect.cleandoc(kind.__doc__))[0])
        if rows:
            yield left_table(list(rows[0]), [each.values() for each in rows])


def _float(fmt):
    """A row on a float: codes without their sign."""
    rules = {name: text for name, text in markdown.rows(inspect.cleandoc(FloatFormat.__doc__))}
    codes = {"largest": fmt.max_finite, "infinity": fmt.infinity, "NaN": fmt.nan}
    nan_sign = 2**fmt.magnitude_bits if fmt.specials == "fnuz" else 0
    return {
        "format": f"`{fmt.name}`",
        "bits of sign, E, M": f"{int(fmt.signed)}, {fmt.exp_bits}, {fmt.man_bits}",
        "its own bias": fmt.bias,
        "special codes": cell(f"{fmt.specials}: {rules[fmt.specials]}"),
        "underflow": cell(f"{fmt.underflow}: {rules[fmt.underflow]}"),
        **{name: "none" if code is None else f"{code | nan_sign * (name == 'NaN'):#x}" for name, code in codes.items()},
    }


def _sizes(fmt):
    """A row on a format that is said by its sizes."""
    return {"format": f"`{fmt.name}`"} | {
        f"`{name}`": "none" if value is None else value for name, value in vars(fmt).items() if name != "name"
    }


# Parameters and ports


def _parameters(design, values, manifest):
    rows = [
        [f"`{each.name}`", f"`{each.to_text(values[each.name])}`", cell(each.meaning), cell(each.allowed)]
        for each in design.parameters
    ]
    yield "With these it was built:"
    yield left_table(["parameter", "value", "meaning", "may be"], rows)
    if facts := [[f"`{name}`", manifest[name], cell(meaning)] for name, meaning in _FACTS.items() if name in manifest]:
        yield "What follows from them:"
        yield left_table(["", "value", "meaning"], facts)
    if seeds := manifest.get("verilog_parameters"):
        rows = [[f"`{each['name']}`", each["width"], each["default"], each["meaning"]] for each in seeds]
        yield "Parameters of the Verilog module, for its instances:"
        yield left_table(["parameter", "bits", "default", "meaning"], rows)


def _ports(manifest, prose):
    yield (
        "Bit 0 is the lowest; of several alike that with the number 0 lies lowest. What is not said to be signed or an "
        "encoding is an unsigned integer, or a bit that is 1 where what it says holds."
    )
    for title, ports in _groups(manifest):
        yield f"### {title}"
        yield left_table(
            ["port", "direction", "bits", "meaning"],
            [[f"`{port['name']}`", port["direction"], port["width"], cell(_meaning(port, manifest, prose))] for port in ports],
        )
        rows = [row for port in ports for row in _rows(port, prose)]
        if rows:
            yield left_table(["port", "bits", "field", "kind", "meaning"], rows)


def _groups(manifest):
    """The ports by interface: pairs of a title and ports."""
    clocks = [port for port in manifest["ports"] if port["name"] in ("clk", "rst", "rst_n")]
    if clocks:
        yield "Clock and reset", clocks
    grouped = {port["name"] for port in clocks}
    for bus in interfaces.buses(manifest):
        kind, side = "AXI4-Lite" if bus.lite else "AXI4-Stream", "output" if bus.master else "input"
        yield f"`{bus.name}`: {kind}{'' if bus.lite else f', {side}'}", list(bus.ports.values())
        grouped |= {port["name"] for port in bus.ports.values()}
    if others := [port for port in manifest["ports"] if port["name"] not in grouped]:
        yield "Other ports", others


def _meaning(port, manifest, prose):
    name = port["name"]
    found = interfaces.reset(manifest)
    if name == "clk":
        return "Clock: everything happens at its rising edge."
    if found and name == found.name:
        return (
            f"Reset, {'asynchronous' if found.asynchronous else 'synchronous'}, active {'low' if found.active_low else 'high'}."
        )
    if name.startswith("s_axil_"):
        return "Not looked at." if name.endswith("prot") else "As AXI4-Lite has it."
    usual = next((text for end, text in _MEANINGS.items() if name.endswith(end)), "")
    stream = name.rpartition("_t")[0]
    return prose.fields.get(name) or name.endswith("_tlast") and prose.fields.get(f"{stream}.last") or usual


def _rows(port, prose):
    """A row for each field of a port, or each array of them, and one for padding."""
    for group in fields.alike(port.get("fields", ())):
        first = group[0]
        name = f"`{first['name']}`" + (f" to `{group[-1]['name']}`, {fields.each(group)}" if len(group) > 1 else "")
        meaning = "" if port["name"] in prose.fields else prose.of(port["name"], first["name"])  # else the port has it
        yield [f"`{port['name']}`", fields.bits(group), name, cell(_kind(first)), cell(meaning)]
    if padding := port.get("padding"):
        bits = {"lsb": port["width"] - padding, "msb": port["width"] - 1}
        said = "zeros" if port["direction"] == "output" else "ignored"
        yield [f"`{port['name']}`", fields.bits([bits]), "padding", "", f"Fills whole bytes: {said}."]


def _kind(field):
    """How the bits of a field are read."""
    words = ["signed"] if field["signed"] else []
    if "fraction_bits" in field:
        words.append(f"{field['fraction_bits']} fraction bits")
    low = 0
    for name, width in field.get("parts", {}).items():
        words.append(f"{fields.bits([{'lsb': low, 'msb': low + width - 1}])} {name}")
        low += width
    words += [f"{value} {word}" for word, value in field.get("values", {}).items()]
    return ", ".join(words)


# Protocol and timing


def _protocol(manifest, prose):
    streams = [bus for bus in interfaces.buses(manifest) if not bus.lite]
    rules = [
        *[_HANDSHAKE] * bool(streams),
        *(f"{_sentence(subject)[:-1]}: {text}" for subject, text in prose.protocol.items()),
        *_in_reset(manifest),
    ]
    yield "\n".join(f"- {markdown.inline(rule)}" for rule in rules)
    yield "### Combinational paths"
    if paths := manifest.get("paths"):
        yield "Within a clock cycle these outputs depend on these inputs. All others come from registers."
        yield left_table(
            ["output", "depends on"],
            [[f"`{output}`", ", ".join(f"`{each}`" for each in inputs)] for output, inputs in paths.items()],
        )
    else:
        yield "None: all outputs come from registers."
    drawn, said = diagram(manifest)
    yield "### Timing diagram"
    yield (
        f"{said} A column is a clock cycle, whose inputs are taken at its end; the row `cycle` numbers those that are drawn."
    )
    yield f"```wavedrom\n{drawn}```"


def _in_reset(manifest):
    """Rules for the reset, if there is one."""
    if not (found := interfaces.reset(manifest)):
        return
    level = "low" if found.active_low else "high"
    when = "at once" if found.asynchronous else "from the first rising edge of `clk` on"
    yield (
        f"Reset: `{found.name}` {level} takes effect {when}, and drops all beats inside. A single rising edge under reset is "
        "enough. Before the first reset outputs may be anything."
    )
    handshakes = [f"{bus.name}_t{'valid' if bus.master else 'ready'}" for bus in interfaces.buses(manifest) if not bus.lite]
    known = manifest.get("in_reset", {})
    words = [f"`{each}` {('is low', 'is high')[known[each]] if each in known else 'follows inputs'}" for each in handshakes]
    if words:
        yield (
            f"In reset {', '.join(words)}. What is taken in reset is lost: keep TVALID of inputs low until it ends. A beat may "
            "be offered in the first cycle after it."
        )


def _timing(manifest):
    rows = [[f"`{place}`", cycles] for place, cycles in manifest["latency"].items()]
    yield left_table(["output", "latency in clock cycles"], rows)
    yield (
        "Latency counts from the beat, or the end of a tensor, that completes a result, if nothing is in the way. The "
        f"initiation interval is {manifest['initiation_interval']}: so many cycles lie between one beat and the next, on the "
        "side with more beats."
    )
    if interfaces.is_buffered(manifest):
        yield (
            "One cycle of each latency is that of the buffers at the inputs. What the text says of beats that move together, "
            "and of cycles, is of the block behind the buffers: at the ports each input may be up to two beats ahead."
        )


# Registers and flags


def _registers(manifest):
    if "registers" not in manifest:
        return
    yield "## Registers"
    yield (
        "32 bits each, little endian, on AXI4-Lite, `s_axil_...`. Addresses are in bytes; the two lowest bits are ignored. "
        "Byte strobes are honoured. An address without a register answers SLVERR to reads and writes, and so does a write of a "
        "value that an encoding does not have, which changes nothing. A write to what is read only answers OKAY and does "
        "nothing. Bits without a field read as 0, and what is written to them is ignored. Write address, write data and read "
        "address may come in any order."
    )
    yield left_table(["access", "meaning"], [[name, meaning] for name, meaning in ACCESSES.items()])
    yield left_table(
        ["address", "register", "meaning"],
        [[f"{each['address']:#05x}", each["name"], cell(each["description"])] for each in manifest["registers"]],
    )
    for register in manifest["registers"]:
        yield f"### {register['name']}, {register['address']:#05x}"
        yield markdown.inline(register["description"])
        rows = [
            [
                fields.bits([field]),
                f"`{field['name']}`",
                field["access"],
                _reset_value(field),
                cell(_kind(field)),
                cell(field["description"]),
            ]
            for field in register["fields"]
        ]
        yield left_table(["bits", "field", "access", "after reset", "kind", "meaning"], rows)


def _reset_value(field):
    return f"{field['reset']:#x}" if "reset" in field else ""


def _statistics(manifest):
    if not (found := manifest.get("statistics")):
        return
    yield "## Raw statistics"
    yield (
        "32 bits each, by the index that they are read with. A name with `_high` stands for the upper 32 bits of the count "
        "that is called so without."
    )
    for estimator, names in found.items() if isinstance(found, dict) else [("", found)]:
        head = ["index", f"statistic of `{estimator}`" if estimator else "statistic"]
        yield left_table(head, [[index, f"`{name}`"] for index, name in enumerate(names)])


def _flags(manifest, prose):
    """What raises the flags that it has: fields, or parts of fields, which are called as they are."""
    places = (*manifest["ports"], *manifest.get("registers", ()))
    found = [field for place in places for field in place.get("fields", ())]
    names = {name.rstrip("0123456789") for field in found for name in (field["name"], *field.get("parts", ()))}
    meanings = {name.lower(): text for name, text in flag_meanings().items()}
    rows = [[f"`{name}`", cell(prose.fields.get(name, text))] for name, text in meanings.items() if name in names]
    yield "## Errors and flags"
    yield left_table(["flag", "raised by"], rows) if rows else "It raises none."


def _others(prose):
    if prose.others:
        yield "## What the designs named above compute"
    for name, text in prose.others.items():
        yield f"### `{name}`"
        yield text


def _templates(manifest):
    """The instance in Verilog, and folded away that in each other language."""
    for name, text in templates(manifest).items():
        code = f"```{'python' if name in ('amaranth', 'litex') else name}\n{text}```"
        folded = f"<details>\n<summary>{_LANGUAGES[name]}</summary>\n\n{code}\n\n</details>"
        yield f"{_LANGUAGES[name]}:\n\n{code}" if name == "verilog" else folded


def _files(manifest):
    module = manifest["module"]
    language = language_of(manifest["source"])
    source = [f"`{manifest['source']}`", f"the module, {language.name}"]
    files = f"{manifest['source']} {module}_tb.v"
    ends = [end for end in _FILES if "registers" in manifest or end not in _WITH_REGISTERS]
    yield left_table(["file", "content"], [source, *([f"`{module}{end}`", _FILES[end]] for end in ends)])
    yield (
        "The testbench needs no Python. Beside the files, either of these prints a line that begins with PASS or FAIL:\n\n"
        "```sh\n"
        f"iverilog {language.icarus} -o tb.vvp {files} && vvp tb.vvp\n"
        f"verilator --binary --timing --top-module {module}_tb {files} && obj_dir/V{module}_tb\n"
        "```"
    )
