"""Mapped netlists: measured the same twice, checked against the model, and their power by hand."""

import itertools
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from narrowfloat.synth import fpga, gates, power, sta, units, yosys
from narrowfloat.synth.asic import StandardCells
from narrowfloat.synth.netlist import Netlist, Port
from narrowfloat.synth.vectors import Vectors

SMALLEST = ("float_encoder", ("formats=e2m0", "lanes=1", "stages=0", "bias_port=0"))
ENCODER = ("float_encoder", ("formats=ab_e5m2", "lanes=1", "stages=0"))
STREAM = ("float_encoder", ("formats=float8_e4m3fn", "lanes=1", "stages=1", "roundings=rne,sr", "flags=1", "user_bits=2"))


@pytest.fixture
def folders(tmp_path):
    """A function that gives empty folders."""
    count = iter(range(100))

    def new():
        folder = tmp_path / str(next(count))
        folder.mkdir()
        return folder

    return new


def test_same_netlist_measured_twice_gives_the_same_figures(cells, folders):
    unit = units.unit(*SMALLEST)
    for measurement in (yosys.MEASUREMENTS[0], fpga.MEASUREMENTS[0], StandardCells(cells)):
        assert measurement.measure(unit, folders()) == measurement.measure(unit, folders())


def test_recipes_stand_in_order(cells, folders):
    results = StandardCells(cells, curve_limit=1000).measure(units.unit(*ENCODER), folders())
    area, delay = results["area"], results["delay"]
    assert area["gate_equivalents"] == min(metrics["gate_equivalents"] for metrics in results.values())
    assert delay["delay_ns"] == min(metrics["delay_ns"] for metrics in results.values())
    curve = [metrics for recipe, metrics in results.items() if recipe.startswith("delay x")]
    assert [point["gate_equivalents"] for point in curve] == sorted((p["gate_equivalents"] for p in curve), reverse=True)


@pytest.mark.parametrize(
    "build", [STREAM, ("float_decoder", ("formats=float8_e5m2", "lanes=2", "stages=3"))], ids=lambda b: b[0]
)
def test_registered_block_passes_the_gate_level_check(build, cells, folders):
    results = StandardCells(cells).measure(units.unit(*build), folders())
    assert results["area"]["ff"] > 0 and results["area"]["energy_pj_per_op"] > 0


def test_broken_emission_is_caught(cells, folders):
    unit = units.unit(*ENCODER)
    broken = replace(unit, verilog=unit.verilog.replace("i_sticky | up_odd", "i_sticky & up_odd"))
    assert broken.verilog != unit.verilog
    with pytest.raises(gates.GateError, match=r"cycle \d+, m_axis_tdata: got 0x\w\w, want 0x\w\w for .*s_axis_tdata 0x"):
        StandardCells(cells).measure(broken, folders())


def test_register_that_reset_does_not_reach_is_caught(cells, folders):
    unit = units.unit(*STREAM)
    broken = replace(unit, verilog=unit.verilog.replace("if (rst)", "if (1'h0)"))
    assert broken.verilog != unit.verilog
    with pytest.raises(gates.GateError, match="got 0x.*x"):
        StandardCells(cells).measure(broken, folders())


def inverter(count=1):
    """A chain of inverters from a to y."""
    nets = range(2, count + 3)
    pins = [("INVX1", {"A": ("input", x), "Y": ("output", y)}) for x, y in itertools.pairwise(nets)]
    return Netlist("chain", [Port("a", "input", (nets[0],)), Port("y", "output", (nets[-1],))], pins)


def unit_of(netlist):
    widths = {direction: {p.name: 1 for p in netlist.ports if p.direction == direction} for direction in ("input", "output")}
    return units.Unit("chain", {}, "block", netlist.module, "", widths["input"], widths["output"], 1)


def test_switching_power_by_hand(cells, tmp_path):
    """Half of C V**2 per toggle on the inner net of two inverters, in a library whose cells dissipate nothing inside."""
    (tmp_path / "power.lib").write_text(re.sub(r"internal_power \(\) \{(?:[^{}]|\{[^{}]*\})*\}", "", cells.power_view))
    one, two = inverter(1), inverter(2)
    alone, leakage = power.measure(one, unit_of(one), "power.lib", {"a": 1, "y": 1}, 10, tmp_path)
    both, more = power.measure(two, unit_of(two), "power.lib", {"a": 1, "n3": 1, "y": 1}, 10, tmp_path)
    assert leakage == pytest.approx(more / 2, rel=1e-6)
    capacitance = 0.00932456e-12  # of an INVX1's input
    assert alone == 0
    assert both == pytest.approx(0.5 * capacitance * 1.8**2 / 10e-9 * 1e6, rel=1e-6)
    assert power.measure(two, unit_of(two), "power.lib", {"a": 2, "n3": 2, "y": 2}, 10, tmp_path)[0] == pytest.approx(2 * both)


def multiplier_power(cells, folder, operands):
    """(dynamic, leakage) in microwatts of the 8-bit multiplier with these operands, one pair per cycle."""
    unit = units.unit("multiplier", ())
    a, b = operands
    product = [(x * y) & 0xFFFF for x, y in zip(a, b, strict=True)]
    vectors = Vectors({"a": [x & 0xFF for x in a], "b": [y & 0xFF for y in b]}, {"product": product})

    class WithVectors(units.Unit):
        def vectors(self):
            return vectors

    measured = StandardCells(cells).measure(WithVectors(**vars(unit)), folder)["area"]
    # A clock of 20 ns: picojoules of 50 MHz.
    return measured["energy_pj_per_op"] * 50 - measured["leakage_uw"], measured["leakage_uw"]


def test_multiplier_on_constant_operands_only_leaks(cells, folders):
    dynamic, leakage = multiplier_power(cells, folders(), ([-77] * 100, [45] * 100))
    assert dynamic == pytest.approx(0, abs=0.01) and leakage > 0


def test_doubled_activity_doubles_dynamic_power(cells, folders):
    a = [(37 * i * i + 11 * i) % 256 - 128 for i in range(200)]
    b = [(101 * i * i + 29 * i) % 256 - 128 for i in range(200)]
    slow = [[value for value in x for _ in range(2)] for x in (a, b)]
    once, leakage = multiplier_power(cells, folders(), slow)
    twice, same = multiplier_power(cells, folders(), (a, b))
    assert twice == pytest.approx(2 * once, rel=0.05)
    assert leakage == same


def mapped(unit, cells, folder):
    """The smallest netlist of `unit` without output ports, and the nets of each; delays are in delays.sdf."""
    measurement = StandardCells(cells)
    measurement.prepare(unit, folder)
    return measurement.timed(measurement.smallest(unit, folder), unit, folder)


VENDOR = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.v")


@pytest.mark.parametrize(
    "build",
    [
        ("multiplier", ("method=array",)),
        ("lbfp_multiplier", ("lanes=1", "stages=0")),
        STREAM,
        ("fast_mac", ("lanes=4",)),
    ],
    ids=lambda build: build[0],
)
def test_glitches_with_the_cells_of_the_vendor(build, cells, tmp_path):
    """The vendor's Verilog, with the same delays, glitches as much: its paths and primitives are its own."""
    unit = units.unit(*build)
    _, outputs = mapped(unit, cells, tmp_path)
    vectors = unit.vectors()
    ours = gates.simulate(unit, vectors, ["gates.v", "timed.v"], tmp_path, outputs, "delays.sdf")
    theirs = gates.simulate(unit, vectors, ["gates.v", str(VENDOR)], tmp_path, outputs, "delays.sdf")
    gates.check(unit, vectors, theirs)
    assert theirs.settled == ours.settled
    assert sum(theirs.toggles.values()) == pytest.approx(sum(ours.toggles.values()), rel=0.03)
    assert sum(ours.toggles.values()) > 1.1 * sum(ours.settled.values())


def test_delays_change_no_settled_value(cells, tmp_path):
    unit = units.unit(*STREAM)
    _, outputs = mapped(unit, cells, tmp_path)
    vectors = unit.vectors()
    timed = gates.simulate(unit, vectors, ["gates.v", "timed.v"], tmp_path, outputs, "delays.sdf")
    plain = gates.simulate(unit, vectors, ["gates.v", "timed.v"], tmp_path, outputs)
    assert timed.settled == plain.settled and timed.outputs == plain.outputs


def test_slowest_of_several_delays_by_the_values_of_other_inputs():
    sdf = """(DELAYFILE (TIMESCALE 1ns)
 (CELL (CELLTYPE "top") (INSTANCE) (DELAY (ABSOLUTE (INTERCONNECT a c0.A (0.1::0.1)))))
 (CELL
  (CELLTYPE "XOR")
  (INSTANCE c0)
  (DELAY
   (ABSOLUTE
    (COND (B == 1'b1)
     (IOPATH A Y (0.0200::0.0300) (0.0100::0.0500)))
    (COND (B == 1'b0)
     (IOPATH A Y (0.0400::0.0400) (0.0100::0.0200)))
    (IOPATH (posedge B) Y (0.0100::0.0100) (0.0100::0.0100))
   )
  )
  (TIMINGCHECK (SETUP (posedge A) (posedge B) (0.1::0.1)))
 )
)"""
    (line,) = [line for line in sta.slowest(sdf).splitlines() if "IOPATH" in line]
    assert "(INSTANCE c0)" in line
    assert re.findall(r"\(IOPATH [^)]*\)?[^)]*\) \([^)]*\)\)", line) == [
        "(IOPATH A Y (0.0400) (0.0500))",
        "(IOPATH (posedge B) Y (0.0100) (0.0100))",
    ]
    models = gates.timed("module XOR(A, B, Y);\nendmodule\nmodule AND(A, Y);\nendmodule\n", sta.slowest(sdf))
    assert "(A => Y) = 0;" in models and "(posedge B => Y) = 0;" in models and models.count("specify\n") == 2


def late_inverse(number):
    """y is a and its inverse, which comes after `number` inverters (odd): 0, but for a pulse after each edge upwards."""
    chain = inverter(number)
    late = chain.cells[-1][1]["Y"][1]
    gate = ("AND2X1", {"A": ("input", 2), "B": ("input", late), "Y": ("output", late + 1)})
    return Netlist("chain", [chain.ports[0], Port("y", "output", (late + 1,))], [*chain.cells, gate])


@pytest.mark.parametrize(("number", "pulses"), [(1, 0), (9, 1)])
def test_pulses_by_hand(number, pulses, cells, tmp_path):
    """A pulse as long as nine inverters passes an AND, one as long as one does not; neither is there without delays."""
    netlist = late_inverse(number)
    unit = unit_of(netlist)
    for name, text in (("cells.lib", cells.text), ("netlist.v", netlist.verilog())):
        (tmp_path / name).write_text(text)
    delays = sta.delays("netlist.v", unit, "cells.lib", tmp_path)
    (tmp_path / "delays.sdf").write_text(delays)
    (tmp_path / "timed.v").write_text(gates.timed(cells.models, delays))
    vectors = Vectors({"a": [0, 1] * 50}, {"y": [0] * 100})
    run = gates.simulate(unit, vectors, ["netlist.v", "timed.v"], tmp_path, delays="delays.sdf")
    gates.check(unit, vectors, run)
    assert run.settled["a"] == run.toggles["a"] == 1
    assert run.settled["y"] == 0
    # Two changes per pulse; 50 of the 99 cycles that count begin with an edge upwards.
    assert run.toggles["y"] == pytest.approx(2 * pulses * 50 / 99)


MEMORY = """module top (
  input clk,
  input [2:0] address,
  input [3:0] data,
  output [3:0] read_data
);
  wire [3:0] stored;
  top_ram first (
    .clk(clk), .address(address), .data(~data), .read_data(stored));
  top_ram second (
    .clk(clk), .address(address), .data(stored), .read_data(read_data));
endmodule

module top_ram (
  input clk,
  input [2:0] address,
  input [3:0] data,
  output reg [3:0] read_data
);
  reg [3:0] words [0:7];
  always @(posedge clk) begin
    words[address] <= data;
    read_data <= words[address];
  end
endmodule
"""


def test_memories_stand_as_bits_beside_the_logic(cells, folders):
    """Two memories of 8 words of 4 bits, and four inverters in front of one of them."""
    unit = units.Unit(
        "top", {}, "block", "top", MEMORY, {"clk": 1, "address": 3, "data": 4}, {"read_data": 4}, 1, manifest={"reference": ":"}
    )
    assert unit.has_memory and unit.memory_bits == 64
    (metrics,) = StandardCells(cells).measure(unit, folders()).values()
    inverter = min(
        cell["area"] for cell in cells.cells.values() if len(cell["inputs"]) == 1 and 0b01 in cell["outputs"].values()
    )
    assert metrics["gate_equivalents"] == pytest.approx(64 + 4 * inverter / cells.nand2_um2, abs=0.01)
    assert metrics["ff"] == 0 and 0 < metrics["delay_ns"] < 0.5


def test_no_net_drives_more_than_24_cells(cells, tmp_path):
    unit = units.unit("bfp_converter", ("lanes=4", "precisions=2,4"))
    netlist, _ = mapped(unit, cells, tmp_path)
    loads = Counter(bit for kind, pins in netlist.cells for pin, (direction, bit) in pins.items() if direction == "input")
    clock = {port.bits[0] for port in netlist.ports if port.name == "clk"}
    assert max(count for bit, count in loads.items() if isinstance(bit, int) and bit not in clock) <= 24
