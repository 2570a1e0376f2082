"""The VHDL component: GHDL takes it and its instantiation, and what GHDL makes of a wrapper fits the Verilog."""

import re
import subprocess

import pytest
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.files import vhdl

from tests.hdl.files.manifests import described, of_design

STANDARDS = ("93", "08")


@pytest.fixture
def ghdl(require_tool, tmp_path):
    """A function that runs GHDL in a folder of its own, and returns what it prints."""
    program = require_tool("ghdl", "ghdl-mcode")

    def run(*arguments):
        done = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def kind(width):
    """The type of a port."""
    return "std_logic" if width == 1 else f"std_logic_vector({width - 1} downto 0)"


def write(folder, manifest):
    """The component's file, and a wrapper around its instance: file names in the order in which they are analysed."""
    package, instance = f"{manifest['module']}_component", vhdl.instance(manifest)
    modes = {"input": "in", "output": "out"}
    ports = [f"{port['name']} : {modes[port['direction']]} {kind(port['width'])}" for port in manifest["ports"]]
    signals, statement = instance.split("\n\n")
    clocks = [port for port in ports if re.match(r"(clk|rst|rst_n) ", port)] or ["unused : in bit"]
    head = f"library ieee;\nuse ieee.std_logic_1164.all;\nuse work.{vhdl.name(package)}.all;\n"
    (folder / "wrapper.vhd").write_text(
        f"{head}entity wrapper is port ({'; '.join(ports)}); end entity;\n"
        f"architecture rtl of wrapper is begin\n{statement}end architecture;\n"
        f"{head}entity template is port ({'; '.join(clocks)}); end entity;\n"
        f"architecture rtl of template is\n{signals}\nbegin\n{statement}end architecture;\n"
    )
    for name, text in vhdl.files(manifest).items():
        (folder / name).write_text(text)
    return [f"{package}.vhd", "wrapper.vhd"]


@pytest.mark.parametrize("name", DESIGNS)
def test_ghdl_takes_component_and_instance(name, ghdl, tmp_path):
    for manifest in of_design(name):
        files = write(tmp_path, manifest)
        for standard in STANDARDS:
            ghdl("-a", f"--std={standard}", *files)
            ghdl("-e", f"--std={standard}", "wrapper")


@pytest.mark.parametrize("module", ["signal", "Entity", "_a", "a_", "a__b", "A1"])
def test_names_that_vhdl_does_not_have_are_extended(module, ghdl, tmp_path):
    files = write(tmp_path, described("float_decoder", "lanes=1", module=module))
    for standard in STANDARDS:
        ghdl("-a", f"--std={standard}", *files)


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1])
def test_seed_has_its_32_bits(seed, ghdl, tmp_path):
    files = write(tmp_path, described("float_encoder", "lanes=1", "roundings=sr", f"seed={seed}"))
    ghdl("-a", *files)
    assert f".SEED(32'b{seed:032b})" in ghdl("--synth", "--out=verilog", "wrapper")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("float_encoder", ("roundings=sr", "reset=async_low")),
        ("float_decoder", ("stages=0",)),
        ("log_moments", ()),
        ("precision_policy", ()),
    ],
)
def test_wrapper_fits_the_verilog(name, settings, ghdl, require_tool, emitted, tmp_path):
    """As Verilog that GHDL makes of it."""
    emission = emitted(name, settings)
    ghdl("-a", *write(tmp_path, emission.manifest))
    made = ghdl("--synth", "--out=verilog", "wrapper")
    (tmp_path / "wrapper.v").write_text(re.search(r"^module wrapper$.*?^endmodule$", made, re.MULTILINE | re.DOTALL)[0])
    (tmp_path / "module.v").write_text(emission.text)
    command = [require_tool("iverilog"), "-g2005", "-Wall", "-s", "wrapper", "-o", "wrapper", "wrapper.v", "module.v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "wrapper.v" not in done.stderr, done.stderr
