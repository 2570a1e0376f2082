"""C++ by Verilator: its runtime and its headers are compiled once and kept, which takes far longer than a small design does."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from cocotb_tools import config
from narrowfloat.hdl.lint import verilator_folder
from narrowfloat.hdl.yosys import ToolError

CACHE = Path("build", "verilated")

# What a simulation that cocotb drives is compiled with. It is short beside a build with more optimisation.
_VERILATE = ("--cc", "--vpi", "--prefix", "Vtop", "-Wall", "-O3", "--assert", "--timescale", "1ns/1ps", "--output-split", "0")
_COMPILE = ("-std=c++17", "-O1")
_HEADERS = ("verilated.h", "verilated_dpi.h", "verilated_vpi.h", "verilated_sym_props.h")
_RUNTIME = ("verilated", "verilated_dpi", "verilated_threads", "verilated_vpi")
OPTIONS = (*_VERILATE, *_COMPILE)


def build(source, module, ports, folder, waves, log):
    """Compile `module`, of which VPI sees nothing but the `ports`, into the program `folder`/`module`, which starts cocotb.

    A program that records waves shows VPI all signals. What Verilator and the compiler say goes into the file `log`.

    Raises
    ------
    hdl.yosys.ToolError
        Verilator or the C++ compiler is missing.
    subprocess.CalledProcessError
        One of them fails.
    """
    flags, headers, runtime = _COMPILE, _HEADERS, _RUNTIME
    if waves:
        flags = (*flags, "-DVM_TRACE=1", "-DVM_TRACE_VCD=1")
        headers, runtime = (*headers, "verilated_vcd_c.h"), (*runtime, "verilated_vcd_c")
    tools = toolchain(flags, headers, runtime)
    folder.mkdir(parents=True, exist_ok=True)
    # Signals that VPI sees are not optimised away. A model of which it sees all takes far longer to compile and to run.
    visible = folder / "visible.vlt"
    names = ["*"] if waves else ports
    lines = ["`verilator_config", *(f'public_flat_rw -module "{module}" -var "{name}"' for name in names)]
    visible.write_text("\n".join(lines) + "\n")
    options = ["--top-module", module, "--Mdir", folder, *(["--trace"] if waves else []), visible]
    main = config.share_dir / "lib" / "verilator" / "verilator.cpp"
    library = ["-L", config.libs_dir, f"-Wl,-rpath,{config.libs_dir}", "-lcocotbvpi_verilator"]
    with open(log, "w") as output:
        _follow([verilator_folder() / "verilator", *_VERILATE, *options, source], output)
        # one translation unit, since reading the headers takes longer than compiling a small design
        parts = [argument for part in [tools.header, *sorted(folder.glob("*.cpp"))] for argument in ("-include", part)]
        _follow(
            ["g++", *flags, *tools.includes, "-I", folder, *parts, main, *tools.runtime, *library, "-o", folder / module],
            output,
        )


def _follow(command, output):
    subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True)


@cache
def toolchain(flags, headers, runtime):
    """Verilator's folders of headers, its `headers` and `runtime` (names of C++ files) compiled with `flags`, and all versions.

    Raises
    ------
    hdl.yosys.ToolError
        Verilator or the C++ compiler is missing or fails.
    """
    verilator = verilator_folder() / "verilator"
    if shutil.which("g++") is None:
        raise ToolError("g++ is missing: sudo apt-get install g++")
    root = Path(start([verilator, "--getenv", "VERILATOR_ROOT"], "Verilator").strip(), "include")
    includes = ("-I", root, "-I", root / "vltstd")
    versions = start([verilator, "--version"], "Verilator") + start(["g++", "--version"], "g++")
    folder = CACHE.absolute() / digest([versions, *flags, *headers])
    folder.mkdir(parents=True, exist_ok=True)
    header = folder / "headers.h"
    # GCC takes headers.h.gch for it. The file itself is for a compiler that finds the compiled header not to its liking.
    text = "".join(f'#include "{name}"\n' for name in headers)
    jobs = {folder / "headers.h.gch": ("-x", "c++-header", header)}
    jobs |= {folder / f"{name}.o": ("-c", root / f"{name}.cpp") for name in runtime}
    with open(folder / "lock", "w") as lock, ThreadPoolExecutor(os.cpu_count()) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
        if not header.exists():
            header.write_text(text)
        list(pool.map(lambda made: _compile(made, [*flags, *includes, *jobs[made]]), jobs))
    return SimpleNamespace(includes=includes, versions=versions, header=header, runtime=list(jobs)[1:])


def _compile(made, arguments):
    """Have the C++ compiler make the file `made` if it is not there."""
    if not made.exists():
        with TemporaryDirectory(dir=made.parent) as folder:
            unfinished = Path(folder, made.name)
            start(["g++", *arguments, "-o", unfinished], "g++")
            unfinished.rename(made)


def digest(texts):
    """A name for what is made from `texts`."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def start(command, name, source=None):
    """What `command` prints.

    Raises
    ------
    hdl.yosys.ToolError
        It fails; the message is its first error, headed by `name` and by the name of the file `source`.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines() or [f"exit status {done.returncode}"]
        first = next((line for line in lines if "rror" in line), lines[-1])
        raise ToolError(f"{name}{f' on {source.name}' if source else ''}: {first}")
    return done.stdout
