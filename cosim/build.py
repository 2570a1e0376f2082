"""Emitted Verilog, compiled by Verilator or Icarus; what was compiled is kept under the build folder.

A simulation is short beside its build: what all builds have in common is compiled once, C++ in one piece, and with -O1, as what
Verilator has optimized runs no faster with more.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from threading import Lock

from cocotb_tools import config
from narrowfloat.cache import folder as kept_folder
from narrowfloat.tools import GXX, ICARUS, VERILATOR, ToolError

_C = ("-std=c++20", "-pthread")
# What the linter has to say of a library's source is for `hdl.lint`.
_LIBRARY = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal", "--prefix", "Top")
# Each library has a class Top of its own, of which the dynamic linker must not make one.
_SHARED = ("-shared", "-fno-gnu-unique", "-Wl,-Bsymbolic", "-Wl,-z,defs")
# By default Verilator makes the code of every instance anew, and fits it to the signals around it. Without the optimizations
# that these switch off instances share their code, so that large arrays of cells can be compiled at all.
_SHARED_CODE = ("-fno-inline", "-fno-gate", "-fno-dfg")
_SIMULATION = ("--cc", "-Wall", "-O3", *_SHARED_CODE, "--assert", "--vpi", "--prefix", "Vtop", "--timescale", "1ns/1ps")
_ICARUS = ("-g2012", "-Wall")
_DUMP = """module narrowfloat_dump;
  initial begin
    $dumpfile("dump.fst");
    $dumpvars(0, {top});
  end
endmodule
"""


class BuildError(ToolError):
    """A simulator or compiler does not take a design; the message is one line, `log` all that it said."""

    def __init__(self, message, log=""):
        super().__init__(message)
        self.log = log


_one_at_a_time = Lock()


@dataclass(frozen=True)
class _Runtime:
    """Verilator's runtime, compiled with `options`: `headers` in one, which is precompiled, and an object file of `parts`."""

    options: tuple
    headers: tuple
    parts: tuple

    def versions(self):
        return [VERILATOR.version(), GXX.version(), *self.options]

    def include(self):
        root = VERILATOR.include()
        return ["-I", root, "-I", root / "vltstd"]

    def folder(self):
        with _one_at_a_time:  # the other threads need the same
            return kept_folder("runtime", [*self.versions(), *self.headers, *self.parts], self._compile)

    def _compile(self, folder):
        options = [*self.options, *self.include()]
        # GCC takes headers.h.gch for headers.h, which is for a compiler that finds the compiled header not to its liking.
        (folder / "headers.h").write_text("".join(f'#include "{name}"\n' for name in self.headers))
        _compile([*options, "-x", "c++-header", "headers.h", "-o", "headers.h.gch"], folder, "Verilator's headers")
        sources = [VERILATOR.include() / f"{part}.cpp" for part in self.parts]
        _compile([*options, "-r", *sources, "-o", "runtime.o"], folder, "Verilator's runtime")


_LIBRARY_RUNTIME = _Runtime((*_C, "-O1", "-fPIC"), ("verilated.h",), ("verilated", "verilated_threads"))


@cache
def _simulation_runtime(waves):
    headers = ("verilated.h", "verilated_dpi.h", "verilated_vpi.h", "verilated_sym_props.h")
    parts = ("verilated", "verilated_dpi", "verilated_threads", "verilated_vpi")
    if not waves:
        return _Runtime((*_C, "-O1"), headers, parts)
    options = (*_C, "-O1", "-DVM_TRACE=1", "-DVM_TRACE_VCD=1")
    return _Runtime(options, (*headers, "verilated_vcd_c.h"), (*parts, "verilated_vcd_c"))


def library(source, driver="native.cpp"):
    """The shared library of the emitted Verilog file `source` and of `driver`, a file in this folder.

    Raises
    ------
    narrowfloat.tools.ToolError
        Verilator or the C++ compiler is missing or fails.
    """
    folder = files("narrowfloat.cosim")
    driver, header = folder.joinpath(driver), folder.joinpath("native.h")
    content = [source.read_text(), driver.read_text(), header.read_text(), *_LIBRARY_RUNTIME.versions(), *_LIBRARY, *_SHARED]

    def make(folder):
        _verilate([*_LIBRARY, source.absolute()], folder, source.name)
        _link(_LIBRARY_RUNTIME, "Top", [driver], [*_SHARED, "-o", "library.so"], folder, source.name)

    return kept_folder("native", content, make) / "library.so"


def simulation(source, manifest, simulator, waves=False):
    """The folder with ``simulation``, a program for `vvp` or of its own, of the emitted Verilog file `source`, for cocotb.

    Of what Verilator compiles cocotb sees the ports alone, or all signals where waves are recorded.

    Raises
    ------
    narrowfloat.tools.ToolError
        The simulator or the C++ compiler is missing.
    BuildError
        One of them fails.
    """
    make = {"icarus": _icarus, "verilator": _verilator}[simulator]
    versions = [ICARUS.version()] if simulator == "icarus" else [*_simulation_runtime(waves).versions(), *_SIMULATION]
    content = [source.read_text(), manifest["module"], simulator, waves, *versions]
    return kept_folder("simulations", content, lambda folder: make(source.absolute(), manifest, waves, folder))


def _icarus(source, manifest, waves, folder):
    # Icarus quotes no path.
    (folder / "design.v").write_bytes(source.read_bytes())
    (folder / "scale.f").write_text("+timescale+1ns/1ps\n")
    (folder / "dump.sv").write_text(_DUMP.format(top=manifest["module"]))
    dump = ["-s", "narrowfloat_dump", "dump.sv"] if waves else []
    arguments = [*_ICARUS, "-o", "simulation", "-s", manifest["module"], "-f", "scale.f", *dump, "design.v"]
    done = ICARUS.start(arguments, folder)
    if done.returncode:
        raise BuildError(f"{ICARUS.name} on {source.name}: {ICARUS.complaint(done)}", done.stderr + done.stdout)


def _verilator(source, manifest, waves, folder):
    # Signals that VPI sees are not optimised away. A model of which it sees all takes far longer to compile and to run.
    names = ["*"] if waves else [port["name"] for port in manifest["ports"]]
    module = manifest["module"]
    rules = [f'public_flat_rw -module "{module}" -var "{name}"' for name in names]
    rules.append('public_flat_rw -module "*_skid_buffer*" -var "o_*"')  # of interest where registers are written
    (folder / "visible.vlt").write_text("\n".join(["`verilator_config", *rules]) + "\n")
    trace = ["--trace"] if waves else []
    _verilate([*_SIMULATION, *trace, "--top-module", module, "visible.vlt", source], folder, source.name)
    main = config.share_dir / "lib" / "verilator" / "verilator.cpp"
    libraries = ["-L", config.libs_dir, "-Xlinker", "-rpath", "-Xlinker", config.libs_dir, "-lcocotbvpi_verilator"]
    _link(_simulation_runtime(waves), "Vtop", [main], [*libraries, "-o", "simulation"], folder, source.name)


def _verilate(arguments, folder, name):
    done = VERILATOR.start(["--Mdir", ".", "--output-split", "0", *arguments], folder)
    if done.returncode:
        raise BuildError(f"{VERILATOR.name} on {name}: {VERILATOR.complaint(done)}", done.stderr + done.stdout)


def _link(runtime, prefix, sources, options, folder, name):
    """Compile all that Verilator has made, as one unit that the optimizer sees through, and link it with its runtime."""
    shared = runtime.folder()
    made = sorted(path.name for path in folder.glob("*.cpp"))
    included = [word for part in (shared / "headers.h", *made) for word in ("-include", part)]
    _compile(
        [*runtime.options, "-I", ".", *runtime.include(), *included, *sources, shared / "runtime.o", *options], folder, name
    )
    for path in folder.glob(f"{prefix}*"):
        path.unlink()


def _compile(arguments, folder, name):
    done = GXX.start(arguments, folder)
    if done.returncode:
        raise BuildError(f"g++ on {name}: {GXX.complaint(done)}", done.stderr + done.stdout)
