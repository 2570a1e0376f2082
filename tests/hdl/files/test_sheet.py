"""Data sheets: each says all of its module, and what it says of time is what a simulator does."""

import json
import os
import random
import re
import shlex
import sys
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby

import pytest
from markdown import markdown
from narrowfloat import sweep
from narrowfloat.commands import synth
from narrowfloat.hdl.catalog import DESIGNS, SHIPPED, find
from narrowfloat.hdl.files.interfaces import buses, reset
from narrowfloat.shell import Parser
from narrowfloat.tools import ICARUS, VVP

from tests.hdl.paths import paths
from tests.hdl.small import SMALL


def _drawn(name):
    """Settings of a random configuration of a design."""
    rng, design = random.Random(f"sheet {name}"), DESIGNS[name]
    values = design.draw(rng, **SMALL[name]) if name in SMALL else sweep.small_draw(design, rng)
    return tuple(design.settings(values))


MORE = (
    ("float_encoder", ("stages=0", "roundings=rne,sr", "flags=1")),
    ("float_encoder", ("stages=0", "ready=registered")),
    ("lbfp_encoder", ("exponent=max", "fmt=i3f4b32")),
    *((name, ("ready=registered",)) for name in ("precision_policy", "memory_port", "bfp_converter", "fast_mac")),
    ("systolic_array", ("rows=3", "columns=1", "lanes=4", "ready=registered")),
)
USUAL = ("Data.", "What goes with the beat.", "Which of it counts.", "")  # what is said of a port in any design
CASES = (*SHIPPED, *((name, _drawn(name)) for name in DESIGNS), *MORE)
EVERY = pytest.mark.parametrize(
    ("name", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else " ".join(value) or "default"
)


def blocks(page):
    """The tables of a page: lists of rows of cells, without the line below the head."""
    for is_row, lines in groupby(page.splitlines(), lambda line: line.startswith("|")):
        if is_row:
            rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
            yield [rows[0], *rows[2:]]


def table(page, *head):
    """All rows of the tables with that head."""
    return [row for rows in blocks(page) if rows[0] == list(head) for row in rows[1:]]


def fenced(page, language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return found


def bits(text):
    """The bits of [3], or [7:0]: low and high."""
    high, _, low = text.strip("[]").partition(":")
    return int(low or high), int(high)


@EVERY
def test_every_port_and_parameter_is_there(name, settings, emitted):
    emission = emitted(name, settings)
    ports = table(emission.page, "port", "direction", "bits", "meaning")
    wanted = [[f"`{port['name']}`", port["direction"], str(port["width"])] for port in emission.manifest["ports"]]
    assert sorted(row[:3] for row in ports) == sorted(wanted)
    assert all(row[3] for row in ports)
    parameters = table(emission.page, "parameter", "value", "meaning", "may be")
    values = find(name).parse(settings)
    assert [row[:2] for row in parameters] == [
        [f"`{each.name}`", f"`{each.to_text(values[each.name])}`"] for each in find(name).parameters
    ]


@EVERY
def test_every_field_is_there_and_means_something(name, settings, emitted):
    emission = emitted(name, settings)
    said = {}
    meanings = {row[0]: row[3] for row in table(emission.page, "port", "direction", "bits", "meaning")}
    for port, place, field, kind, meaning in table(emission.page, "port", "bits", "field", "kind", "meaning"):
        low, high = bits(place)
        first, _, rest = field.partition(" to ")
        number = 1 if not rest else int(re.search(r"(\d+)`, ", rest)[1]) + 1
        width = (high - low + 1) // number
        for index in range(number):
            label = re.sub(r"\d+$", str(index), first.strip("`")) if number > 1 else first.strip("`")
            said[port.strip("`"), label] = low + width * index, low + width * (index + 1) - 1, kind
        assert meaning or meanings[port] not in USUAL, f"{port} {field}"
    for port in emission.manifest["ports"]:
        if padding := port.get("padding"):
            assert said.pop((port["name"], "padding"))[:2] == (port["width"] - padding, port["width"] - 1)
        for field in port.get("fields", ()):
            low, high, kind = said.pop((port["name"], field["name"]))
            assert (low, high) == (field["lsb"], field["msb"])
            assert ("signed" in kind) == field["signed"]
            assert all(f"{value} {word}" in kind for word, value in field.get("values", {}).items())
            assert all(f" {part}" in kind for part in field.get("parts", {}))
            assert "fraction_bits" not in field or f"{field['fraction_bits']} fraction bits" in kind
    assert not said


@EVERY
def test_registers_statistics_and_files_are_there(name, settings, emitted):
    emission = emitted(name, settings)
    page, manifest = emission.page, emission.manifest
    registers = manifest.get("registers", ())
    rows = table(page, "bits", "field", "access", "after reset", "kind", "meaning")
    fields = [field for register in registers for field in register["fields"]]
    assert [(bits(row[0]), row[1], row[2]) for row in rows] == [
        ((field["lsb"], field["msb"]), f"`{field['name']}`", field["access"]) for field in fields
    ]
    assert [row[1] for row in table(page, "address", "register", "meaning")] == [register["name"] for register in registers]
    statistics = manifest.get("statistics", ())
    for found in statistics.values() if isinstance(statistics, dict) else [statistics]:
        assert all(f"| {index} | `{each}` |" in page for index, each in enumerate(found))
    assert {row[0].strip("`") for row in table(page, "file", "content")} == set(emission.files)


@EVERY
def test_command_that_measures_is_understood(name, settings, emitted):
    page = emitted(name, settings).page
    (words,) = (shlex.split(line) for line in page.splitlines() if line.startswith("narrowfloat synth "))
    parser = Parser()
    synth.add_arguments(parser)
    options = parser.parse_args(words[2:])
    assert options.designs == [name]
    assert find(name).parse(options.set or ()) == find(name).parse(settings)


@EVERY
def test_markdown_is_well_formed(name, settings, emitted):
    page = emitted(name, settings).page
    tables = list(blocks(page))
    assert all(len(row) == len(rows[0]) for rows in tables for row in rows)
    html = markdown(page, extensions=["tables", "fenced_code"])
    assert html.count("<table>") == len(tables)
    assert html.count("<td>") == sum(len(row) for rows in tables for row in rows[1:])
    assert html.count("<code class=") == len(re.findall("^```[a-z]+$", page, re.MULTILINE))
    assert "``" not in page.replace("```", "") and not re.search(r"`[A-Z]\w*[a-z](?<!Format)`", page)
    assert "\n\n\n" not in re.sub("^```.*?^```$", "code", page, flags=re.DOTALL | re.MULTILINE)


def described(page):
    """The designs whose texts a page has beside that of its own."""
    texts = page.partition("## What the designs named above compute\n")[2].partition("\n## ")[0]
    return set(re.findall("^### `(.*)`$", texts, re.MULTILINE))


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ((), ("median_estimator", "exponent_histogram", "median_tracker")),
        (("estimators=tracker", "bias_port=1"), ("median_tracker",)),
        (("estimators=moments", "s2fp8=1"), ("log_moments", "s2_encoder", "s2_decoder")),
    ],
    ids=" ".join,
)
def test_memory_port_says_what_it_has(settings, more, emitted):
    page = emitted("memory_port", settings).page
    assert described(page) == {"float_encoder", "float_decoder", *more}
    assert ("| S2FP8 |" in page) == ("s2fp8=1" in settings)
    assert ("| own bias |" in page) == ("- Parts of what was written: " in page) == ("bias_port=1" in settings)


@pytest.mark.parametrize("accumulator", ["fixed", "fp32", "segmented"])
@pytest.mark.parametrize("name", ["fast_mac", "systolic_array"])
def test_table_of_a_choice_has_what_was_chosen(name, accumulator, emitted):
    page = emitted(name, (f"accumulator={accumulator}",)).page
    assert [row[0] for row in table(page, "accumulator", "what is added")] == [accumulator]
    assert described(page) == {"fast_mac"} - {name}


@EVERY
def test_models_are_named_as_they_are_imported(name, settings, emitted):
    page = emitted(name, settings).page
    assert not re.search(r"`(golden|hdl)\.", page)
    for module, member in re.findall(r"`(narrowfloat(?:\.[a-z]\w*)+)(?:\.([A-Z]\w*))?`", page):
        try:
            found = import_module(module)
        except ModuleNotFoundError:
            found, member = import_module(module.rpartition(".")[0]), module.rpartition(".")[2]
        assert not member or hasattr(found, member), module


def test_only_verilog_is_not_folded(emitted):
    page = emitted("memory_port", ()).page
    unfolded = re.sub("<details>.*?</details>", "", page, flags=re.DOTALL)
    assert [f"```{each}\n" in unfolded for each in ("verilog", "vhdl", "python")] == [True, False, False]
    assert re.findall("<summary>(.*)</summary>", page) == ["VHDL", "Amaranth", "LiteX"]


# Time


def rows_of(page):
    """The diagram: its rows by name, values by cycle, in which a row that is not drawn in a cycle has what it had before."""
    rows = {row["name"]: row for row in json.loads(fenced(page, "wavedrom"))["signal"]}
    numbers = iter(rows["cycle"]["data"])
    cycles = [int(next(numbers)) if letter == "=" else None for letter in rows.pop("cycle")["wave"]]
    rows.pop("clk", None)
    found = {}
    for name, row in rows.items():
        data, value, values = iter(row.get("data", ())), None, {}
        assert len(row["wave"]) == len(cycles)
        for letter, cycle in zip(row["wave"], cycles, strict=True):
            value = next(data) if letter == "=" else {"0": 0, "1": 1, "x": None}.get(letter, value)
            if cycle is not None:
                values |= {between: values[max(values)] for between in range(max(values, default=-1) + 1, cycle)}
                values[cycle] = value
        assert not list(data)
        found[name] = list(values.values())
    return found


@EVERY
def test_diagram_is_drawn(name, settings, emitted):
    if find_spec("yowasp_wavedrom") is None:
        if sys.version_info >= (3, 13):
            pytest.skip("its interpreter of JavaScript has no wheel for this Python")
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report("WaveDrom is not installed: python -m pip install 'narrowfloat[docs]'")
    found = json.loads(fenced(emitted(name, settings).page, "wavedrom"))
    drawn = import_module("yowasp_wavedrom").render(found)
    assert drawn.startswith("<svg") and all(f">{row['name']}<" in drawn for row in found["signal"])


@EVERY
def test_diagram_has_the_latency_of_the_manifest(name, settings, emitted):
    emission = emitted(name, settings)
    rows = rows_of(emission.page)
    for place, latency in emission.manifest["latency"].items():
        if f"{place}_tvalid" not in rows:
            changes = [c for c, value in enumerate(rows["bias.type0"]) if value in ("after", "b2")]
            assert changes[0] - rows["end_valid"].index(1) == latency
            continue
        source = {"m_mem": "s_core", "m_core": "s_mem"}.get(place, "s_axis")
        moves = [
            [
                c
                for c, (valid, ready) in enumerate(zip(rows[f"{each}_tvalid"], rows[f"{each}_tready"], strict=True))
                if valid and ready
            ]
            for each in (source, place)
        ]
        if emission.manifest["initiation_interval"] == 1:
            assert moves[1][-1] - moves[0][-1] == latency
        else:
            assert moves[1][0] == latency  # after it was offered in cycle 0


@pytest.fixture
def simulate(tmp_path, require_tool):
    """A function that runs statements, which drive the ports of an emission, on Icarus; the lines that they print."""
    require_tool("iverilog")

    def run(emission, statements):
        ports = emission.manifest["ports"]
        kinds = {"input": "reg", "output": "wire"}
        declared = [f"{kinds[port['direction']]} [{port['width'] - 1}:0] {port['name']};" for port in ports]
        connected = ", ".join(f".{port['name']}({port['name']})" for port in ports)
        body = [*declared, f"{emission.module} dut({connected});", "initial begin", *statements, "end"]
        (tmp_path / "dut.v").write_text(emission.text)
        (tmp_path / "bench.v").write_text("\n".join(["module bench;", *body, "endmodule", ""]))
        done = ICARUS.start(["-g2005", "-s", "bench", "-o", "bench.vvp", "dut.v", "bench.v"], tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        return VVP.start(["-N", "bench.vvp"], tmp_path, seconds=100).stdout.splitlines()

    return run


EDGE = "#5; clk = 1; #5; clk = 0;"


def inputs(emission):
    """Inputs but clock and reset, by name."""
    clocks = ("clk", "rst", "rst_n")
    return {
        port["name"]: port for port in emission.manifest["ports"] if port["direction"] == "input" and port["name"] not in clocks
    }


def under_reset(emission, value):
    """The statement that sets the reset to active, 1, or inactive, 0."""
    found = reset(emission.manifest)
    return f"{found.name} = {value ^ found.active_low};"


@EVERY
def test_diagram_is_what_a_simulator_does(name, settings, emitted, simulate):
    emission = emitted(name, settings)
    manifest, rows = emission.manifest, rows_of(emission.page)
    ports = {port["name"]: port for port in manifest["ports"]}

    def place(row):
        port, _, label = row.partition(".")
        if not label or ports[port]["width"] == 1:
            return port
        (field,) = (each for each in ports[port]["fields"] if each["name"] == label)
        return f"{port}[{field['lsb']}]"

    statements = [
        f"{each} = {{{port['width']}{{1'b{int('ready' in each or 'keep' in each)}}}}};"
        for each, port in inputs(emission).items()
    ]
    if "clk" in ports:
        statements += ["clk = 0;", under_reset(emission, 1), EDGE, under_reset(emission, 0)]
        # Estimators clear their counters after a reset, and buffers take nothing in the first cycle.
        statements.append(f"repeat ({2000 if 'tap_tvalid' in ports else 1}) begin {EDGE} end")
    compared = 0
    for cycle in range(len(next(iter(rows.values())))):
        known = {row: values[cycle] for row, values in rows.items() if isinstance(values[cycle], int)}
        sides = {way: [row for row in known if ports[row.partition(".")[0]]["direction"] == way] for way in ("input", "output")}
        statements += [f"{place(row)} = {known[row]};" for row in sides["input"]] + ["#5;"]
        for row in sides["output"]:
            if not row.endswith("_tlast") or known[row.replace("_tlast", "_tvalid")]:
                compared += 1
                statements.append(f'if ({place(row)} !== {known[row]}) $display("cycle {cycle}: {row} is %b", {place(row)});')
        statements += ["clk = 1; #5; clk = 0;"] * ("clk" in ports)
    assert simulate(emission, [*statements, '$display("done");']) == ["done"]
    assert compared or "median_tracker" in name


@EVERY
def test_handshakes_in_reset_are_as_said(name, settings, emitted, simulate):
    """After a single edge under reset, with random inputs; and with an asynchronous reset without one."""
    emission = emitted(name, settings)
    found = reset(emission.manifest)
    if not found:
        pytest.skip("it has no reset")
    rule = next((line for line in emission.page.splitlines() if line.startswith("- In reset ")), "")
    said = dict(re.findall(r"`(\w+)` (is low|is high|follows)", rule))
    handshakes = [f"{bus.name}_t{'valid' if bus.master else 'ready'}" for bus in buses(emission.manifest) if not bus.lite]
    assert list(said) == handshakes
    if not handshakes:
        pytest.skip("it has no handshake")
    noise = [f"{each} = {{{', '.join(['$random'] * -(-port['width'] // 32))}}};" for each, port in inputs(emission).items()]
    shown = f'$display("{" ".join(["%b"] * len(handshakes))}", {", ".join(handshakes)});'
    begin = ["clk = 0;", under_reset(emission, 1), *noise, *([EDGE] if not found.asynchronous else [])]
    statements = [*begin, "repeat (100) begin", *noise, "#5;", shown, EDGE, "end"]
    seen = [set(column) for column in zip(*map(str.split, simulate(emission, statements)), strict=True)]
    for handshake, values in zip(handshakes, seen, strict=True):
        allowed = {"is low": {"0"}, "is high": {"1"}, "follows": {"0", "1"}}[said[handshake]]
        assert values <= allowed, handshake


@EVERY
def test_paths_are_those_of_the_gates(name, settings, emitted, tmp_path):
    emission = emitted(name, settings)
    rows = table(emission.page, "output", "depends on")
    said = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows}
    assert said == paths(emission.text, emission.module, tmp_path)
    assert said == {port: set(inputs) for port, inputs in emission.manifest.get("paths", {}).items()}
