"""Timing constraints: OpenSTA takes them, they name every port, and have only commands that Vivado reads from an XDC."""

import re

import pytest
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files import constraints
from narrowfloat.synth import asic, sta
from narrowfloat.tools import yosys

from tests.hdl.files.manifests import of_design


def bits(port):
    return [port["name"]] if port["width"] == 1 else [f"{port['name']}[{bit}]" for bit in range(port["width"])]


def netlist(manifest):
    """A module with the ports and nothing in it."""
    declared = [f"{port['direction']} [{port['width'] - 1}:0] {port['name']};" for port in manifest["ports"]]
    declared = [line.replace(" [0:0]", "") for line in declared]
    names = ", ".join(port["name"] for port in manifest["ports"])
    return "\n".join([f"module {manifest['module']}({names});", *declared, "endmodule"]) + "\n"


def loaded(manifest, suffix, folder):
    """All constraints, a line each, as OpenSTA has them after it has read a file."""
    (folder / "ports.v").write_text(netlist(manifest))
    (folder / "constraints").write_text(constraints.files(manifest)[f"{manifest['module']}.{suffix}"])
    script = f"read_verilog ports.v\nlink_design {manifest['module']}\nread_sdc constraints\nwrite_sdc loaded.sdc\n"
    printed = sta.run(script, folder)
    assert "Warning" not in printed, printed
    return (folder / "loaded.sdc").read_text().replace("\\\n", "").splitlines()


@pytest.mark.parametrize("suffix", ["sdc", "xdc"])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_port_is_constrained(name, suffix, require_tool, tmp_path):
    require_tool("sta", "opensta")
    for manifest in of_design(name):
        lines = loaded(manifest, suffix, tmp_path)
        has_clock = any(port["name"] == "clk" for port in manifest["ports"])
        (clock,) = [line for line in lines if line.startswith("create_clock")]
        assert "-period 10.0000" in clock and ("[get_ports {clk}]" in clock) == has_clock
        kind = manifest["parameters"]["reset"]
        ignored = ["rst_n" if kind.endswith("low") else "rst"] if has_clock and kind.startswith("async") else []
        assert re.findall(r"^set_false_path .*\{(\w+)\}", "\n".join(lines), re.MULTILINE) == ignored
        for direction in ("input", "output"):
            delayed = [
                re.search(r"_delay 3.0000 .*\{(.*?)\}\]$", line)[1] for line in lines if line.startswith(f"set_{direction}_")
            ]
            wanted = [bit for port in manifest["ports"] if port["direction"] == direction for bit in bits(port)]
            assert sorted(delayed) == sorted(set(wanted) - {"clk"})


@pytest.mark.parametrize("name", DESIGNS)
def test_commands_are_those_of_an_xdc(name):
    """Vivado reads no other Tcl from an XDC; braces keep the brackets of bits from being commands."""
    allowed = {"set", "create_clock", "set_input_delay", "set_output_delay", "set_false_path", "get_ports", "expr"}
    for manifest in of_design(name):
        for text in constraints.files(manifest).values():
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            commands = {word for line in lines for word in re.findall(r"(?:^|\[)([a-z]\w*)", line)}
            assert commands <= allowed and not [line for line in lines if "#" in line]


@pytest.mark.parametrize("reset", ["sync_high", "async_low"])
def test_synthesized_module_has_no_path_without_constraint(reset, require_tool, emitted, tmp_path):
    require_tool("sta", "opensta")
    library = asic.MEASUREMENTS[0].library
    if not library.path.exists():
        require_tool("osu018_stdcells.lib", "qflow-tech-osu018")
    emission = emitted("lbfp_multiplier", ["lanes=1", f"reset={reset}"])
    (tmp_path / "module.v").write_text(emission.text)
    (tmp_path / "module.sdc").write_text(emission.files[f"{emission.module}.sdc"])
    (tmp_path / "cells.lib").write_text(library.text)
    yosys(
        "read_verilog module.v; synth -flatten; dfflibmap -liberty cells.lib; abc -liberty cells.lib; clean; "
        "write_verilog -noattr mapped.v",
        tmp_path,
    )
    load = f"read_liberty cells.lib\nread_verilog mapped.v\nlink_design {emission.module}\nread_sdc module.sdc\n"
    printed = sta.run(load + "check_setup -verbose\nputs checked\nreport_checks -path_delay max\n", tmp_path)
    warnings, report = printed.split("checked\n")
    assert "Warning" not in warnings
    assert "Path Group: clk" in report and re.search("(MET|VIOLATED)", report)
