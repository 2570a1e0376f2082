"""Linters on emitted designs, and the configurations that they look at."""

import os
import random
import tempfile
from importlib.util import find_spec
from pathlib import Path

from narrowfloat.hdl.verilog import language_of
from narrowfloat.tools import ICARUS, VERIBLE, VERILATOR, YOSYS, ToolError

# Parameters that stand for size are small, as long as no other value is asked for, and some never larger than this: more of the
# same would take minutes.
_SMALL = {"lanes": 1, "types": 1, "rows": 1, "columns": 1}
_LARGEST = {"lanes": 16}
_TRIES = 200
# Verible's rules are a style of SystemVerilog: these of them ask for what Verilog does not have.
_VERIBLE = (
    "line-length=length:120",
    "-explicit-parameter-storage-type",
    "-explicit-function-task-parameter-type",
    "-unpacked-dimensions-range-ordering",
)


def check_tools():
    """Raise ToolError, which says how to get it, if a linter or what emits is not installed."""
    for tool in (YOSYS, VERILATOR, ICARUS, VERIBLE):
        tool.find()
    if find_spec("pyslang") is None:
        raise ToolError('slang is missing: pip install "narrowfloat[sim]"')


def check(emission):
    """Lint an `hdl.emit.Emission` with all warnings on, by Verilator, Icarus Verilog, slang and Verible.

    Raises
    ------
    narrowfloat.tools.ToolError
        One of them is missing, or has something to say.
    """
    source = emission.manifest["source"]
    language = language_of(source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / source
        path.write_text(emission.text)
        for tool, arguments in (
            (VERILATOR, ["--lint-only", "-Wall", "--language", language.standard]),
            (ICARUS, [language.icarus, "-Wall", "-o", os.devnull]),
            (VERIBLE, [f"--rules={','.join(_VERIBLE)}"]),
        ):
            done = tool.start([*arguments, path.name], folder)
            if done.returncode or done.stderr.strip():
                raise ToolError(f"{tool.name} on {emission.module}: {tool.complaint(done)}")
        if found := _slang(path, language.standard):
            raise ToolError(f"slang on {emission.module}: {found}")


def _slang(path, standard):
    """The first complaint of slang about a file in the language of a standard, or nothing."""
    # Only who lints needs it.
    from pyslang import driver

    slang = driver.Driver()
    slang.addStandardArgs()
    slang.parseCommandLine(f'slang --std {standard} -Weverything --threads 1 "{path}"')
    slang.processOptions()
    slang.parseAllSources()
    compilation = slang.createCompilation()
    analysis = slang.runAnalysis(compilation)
    for each in (*compilation.getAllDiagnostics(), *analysis.getDiagnostics()):
        slang.diagEngine.issue(each)
    return next((line for line in slang.textDiagClient.getString().splitlines() if "warning:" in line or "error:" in line), "")


def corners(design):
    """Configurations of a design in which one parameter is at an end of its range, or has one of its values: lists of settings.

    The others are at small values, or at the nearest to these that are legal. Of lanes there are 16 at the most. Where no legal
    configuration has a value, there is none for it.
    """
    found = {}
    for parameter in design.parameters:
        for value in parameter.corners():
            value = min(value, _LARGEST[parameter.name]) if parameter.name in _LARGEST else value
            if values := _near(design, parameter.name, value):
                found[tuple(design.settings(values))] = None
    return [list(settings) for settings in found]


def _near(design, name, value):
    """Legal values of all parameters with this one of the parameter `name`, as small as can be, or None."""
    small = {each.name: each.default for each in design.parameters}
    for each in design.parameters:
        if each.name in _SMALL:
            small[each.name] = max(_SMALL[each.name], getattr(each, "low", 0))
    if found := _legal(design, small | {name: value}, name):
        return found
    rng = random.Random(f"{design.name} {name} {value}")
    for _ in range(_TRIES):
        drawn = {each.name: each.draw(rng) for each in design.parameters} | {name: value}
        if found := _legal(design, drawn, name):
            break
    else:
        return None
    for other, smallest in [*small.items()] * 2:  # twice, as some may only be small once others are
        if other != name:
            found = _legal(design, found | {other: smallest}, name) or found
    return found


def _legal(design, values, kept):
    """`values`, if they are legal together, with what has no effect at its default; None if not, or if that is `kept`."""
    found = design.legal(values)
    return found if found and found[kept] == values[kept] else None
