"""The registers behind AXI4-Lite for software, as a C header, and for other tools, as SystemRDL 2.0."""

from narrowfloat.hdl.files.interfaces import title

# Words of SystemRDL 2.0 that are no names, unless they are escaped.
_RDL_KEYWORDS = frozenset(
    """
    abstract accesstype addressingtype addrmap alias all alternate bit boolean bothedge byte compact component componentwidth
    constraint default encode enum external false field fullalign hw inside int internal level longint mem na negedge nonsticky
    number onreadtype onwritetype posedge precedence property r rclr real ref reg regalign regfile rset ruser rw rw1 shortint
    shortreal signal signed string struct sw this true type unsigned w w1 wclr with within woclr woset wot wr wset wuser wzc wzs
    wzt
    """.split()  # noqa: SIM905
)
# What software and hardware do to a field, by its access.
_RDL_ACCESS = {
    "ro": "sw = r; hw = w;",
    "rw": "sw = rw; hw = r;",
    "w1c": "sw = rw; onwrite = woclr; hw = w; stickybit;",
    "strobe": "sw = w; hw = r; swmod;",
}


def files(manifest):
    """``MODULE.h`` and ``MODULE.rdl`` of a module with registers."""
    if "registers" not in manifest:
        return {}
    return {f"{manifest['module']}.h": _header(manifest), f"{manifest['module']}.rdl": _rdl(manifest)}


def _header(manifest):
    prefix = manifest["module"].upper()
    note = "Registers have 32 bits; offsets are in bytes. A MASK lies in place, other values begin at bit 0."
    head = [*title(manifest, "registers of"), "", note]
    lines = [*_comment(head), f"#ifndef {prefix}_H", f"#define {prefix}_H"]
    for register in manifest["registers"]:
        name = f"{prefix}_{register['name']}"
        lines += ["", *_comment([register["description"]]), f"#define {name}_OFFSET {register['address']:#x}u"]
        for field in register["fields"]:
            lines += _comment([f"{field['name']}, {field['access']}: {field['description']}"])
            lines += [f"#define {name}_{what} {value}" for what, value in _macros(field)]
    for estimator, statistics in manifest.get("statistics", {}).items():
        lines += ["", *_comment([f"Indices of the raw statistics of {estimator}."])]
        names = [f"{prefix}_{estimator}_{each}_INDEX".upper() for each in statistics]
        lines += [f"#define {name} {index}u" for index, name in enumerate(names)]
    return "\n".join([*lines, "", "#endif"]) + "\n"


def _macros(field):
    """What the macros of a field are called after its register, and their values."""
    name = field["name"].upper()
    width = field["msb"] - field["lsb"] + 1
    yield f"{name}_SHIFT", field["lsb"]
    yield f"{name}_MASK", f"{(2**width - 1) << field['lsb']:#010x}u"
    if "reset" in field:
        yield f"{name}_RESET", f"{field['reset']:#x}u"
    if "fraction_bits" in field:
        yield f"{name}_FRACTION_BITS", field["fraction_bits"]
    for word, value in field.get("values", {}).items():
        yield f"{name}_{word.upper()}", f"{value}u"


def _comment(lines):
    first, *others = [line.replace("*/", "* /") for line in lines]
    if not others:
        return [f"/* {first} */"]
    return [f"/* {first}", *(f" * {line}".rstrip() for line in others), " */"]


def _rdl(manifest):
    lines = [
        *(f"// {line}" for line in title(manifest, "SystemRDL 2.0 of the registers of")),
        "",
        f"addrmap {_rdl_name(manifest['module'])} {{",
        f"  name = {_quoted(manifest['module'])};",
        "  default regwidth = 32;",
        "  default accesswidth = 32;",
    ]
    for register in manifest["registers"]:
        lines += ["", "  reg {", f"    desc = {_quoted(register['description'])};"]
        for field in register["fields"]:
            lines += [f"    {line}" for line in _rdl_field(field)]
        lines.append(f"  }} {_rdl_name(register['name'])} @ {register['address']:#x};")
    return "\n".join([*lines, "};"]) + "\n"


def _rdl_field(field):
    bits = field["msb"] - field["lsb"] + 1
    if values := field.get("values"):
        yield f"enum {field['name']}_values {{"
        yield from (f"  {_rdl_name(word)} = {bits}'d{value};" for word, value in values.items())
        yield "};"
    yield "field {"
    yield f"  desc = {_quoted(field['description'])};"
    yield f"  {_RDL_ACCESS[field['access']]}"
    if values:
        yield f"  encode = {field['name']}_values;"
    reset = f" = {bits}'h{field['reset']:x}" if "reset" in field else ""
    yield f"}} {_rdl_name(field['name'])}[{field['msb']}:{field['lsb']}]{reset};"


def _rdl_name(text):
    return f"\\{text}" if text in _RDL_KEYWORDS else text


def _quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
