"""Instantiation templates: each, as what its language makes of it, fits a module with the ports of the manifest."""

import re
import subprocess

import pytest
from amaranth.back import rtlil
from migen import Signal
from migen.fhdl.verilog import convert
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files.templates import templates
from narrowfloat.tools import yosys

from tests.hdl.files.manifests import described, of_design

CLOCKS = ("clk", "rst", "rst_n")


def stub(manifest):
    """The module with nothing in it."""
    seeds = [f"parameter [{each['width'] - 1}:0] {each['name']} = 0" for each in manifest.get("verilog_parameters", ())]
    ports = [f"{port['direction']} [{port['width'] - 1}:0] {port['name']}".replace("[0:0] ", "") for port in manifest["ports"]]
    return f"module {manifest['module']} #({', '.join(seeds or ['parameter NONE = 0'])}) ({', '.join(ports)});\nendmodule\n"


@pytest.fixture
def fit(require_tool, tmp_path):
    """A function that elaborates Verilog, given as texts, and fails on any warning."""
    program = require_tool("iverilog")

    def elaborate(*texts):
        (tmp_path / "all.v").write_text("\n".join(texts))
        command = [program, "-g2005", "-Wall", "-Wno-timescale", "-o", "all", "all.v"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    return elaborate


def component(text):
    """The class that a template in Python defines."""
    space = {}
    exec(text, space)  # noqa: S102 - our own
    (found,) = (value for value in space.values() if isinstance(value, type) and value.__module__ == "builtins")
    return found


class Platform:
    """LiteX' platform, as far as it is used."""

    def __init__(self):
        self.sources = []

    def add_source(self, name):
        """Remember it."""
        self.sources.append(name)


def different(name):
    """Manifests of a design, each module once."""
    return {manifest["module"]: manifest for manifest in of_design(name)}.values()


def test_what_does_not_fit_is_seen(fit):
    manifest = described("float_decoder", "stages=0")
    text = f"module wrapper();\n{templates(manifest)['verilog']}endmodule\n"
    fit(stub(manifest), text)
    for old, new in (("[127:0]", "[126:0]"), ("s_axis_tlast", "s_axis_last")):
        with pytest.raises(AssertionError):
            fit(stub(manifest).replace(old, new), text)


@pytest.mark.parametrize("name", DESIGNS)
def test_verilog_fits(name, fit):
    texts = []
    for number, manifest in enumerate(different(name)):
        clocks = [port["name"] for port in manifest["ports"] if port["name"] in CLOCKS]
        texts += [stub(manifest), f"module wrapper{number}({', '.join(f'input {clock}' for clock in clocks)});"]
        texts += [templates(manifest)["verilog"], "endmodule"]
    fit(*texts)


@pytest.mark.parametrize("name", DESIGNS)
def test_litex_fits(name, fit):
    """As migen's Verilog."""
    for manifest in different(name):
        platform = Platform()
        made = component(templates(manifest)["litex"])(platform)
        assert platform.sources == [f"{manifest['module']}.v"]
        signals = {name: value for name, value in vars(made).items() if isinstance(value, Signal)}
        assert list(signals) == [port["name"] for port in manifest["ports"] if port["name"] not in CLOCKS]
        fit(stub(manifest), str(convert(made, ios=set(signals.values()))))


@pytest.mark.parametrize("name", DESIGNS)
def test_amaranth_elaborates(name):
    for manifest in different(name):
        made = component(templates(manifest)["amaranth"])()
        members = {key: (member.flow.name, member.shape) for key, member in made.signature.members.items()}
        flows = {"input": "In", "output": "Out"}
        ports = [port for port in manifest["ports"] if port["name"] not in CLOCKS]
        assert members == {port["name"]: (flows[port["direction"]], port["width"]) for port in ports}
        cell = re.search(rf"^  cell \\{manifest['module']} .*?^  end", rtlil.convert(made), re.MULTILINE | re.DOTALL)[0]
        connected = dict(re.findall(r"connect \\(\w+) (.*)", cell))
        assert set(connected) == {port["name"] for port in manifest["ports"]}
        assert all(connected[port["name"]].split()[0] == f"\\{port['name']}" for port in ports)


@pytest.mark.parametrize("settings", [("roundings=sr", "seed=4294967295"), ("reset=async_low",), ("stages=0",)])
def test_amaranth_fits(settings, fit, tmp_path):
    """As Yosys' Verilog."""
    manifest = described("float_encoder", *settings)
    (tmp_path / "top.il").write_text(rtlil.convert(component(templates(manifest)["amaranth"])()))
    yosys("read_rtlil top.il; write_verilog -noattr top.v", tmp_path)
    made = (tmp_path / "top.v").read_text()
    assert (f".SEED(32'd{2**32 - 1})" in made) == ("roundings=sr" in settings)
    fit(stub(manifest), made)


def test_reset_that_is_low_is_inverted():
    for language, inverted in (("amaranth", "~ResetSignal()"), ("litex", '~ResetSignal("sys")')):
        for reset, value in (("async_low", inverted), ("sync_high", inverted[1:])):
            text = templates(described("float_encoder", f"reset={reset}"))[language]
            assert f"i_rst{'_n' * (reset == 'async_low')}={value}," in text
