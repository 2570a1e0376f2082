"""The project's own shape: one-way imports, a lock that pins all it must, a thin Makefile, a setup that fails in one line."""

import ast
import graphlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import narrowfloat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("golden", "hdl", "cosim", "synth")
LEAVES = ("shell", "tools", "places", "cache", "freshness")
OURS = {"narrowfloat", *LAYERS, "evidence"}
# Of each layer what it may import of ours, beside itself; modules of the front door that need nothing of ours are leaves.
ALLOWED = {
    "golden": (),
    "leaves": (),
    "hdl": ("golden", "leaves"),
    "cosim": ("golden", "leaves", "narrowfloat.hdl.emit", "narrowfloat.hdl.catalog"),
    # baselines declare their parameters as blocks do
    "synth": ("golden", "leaves", "narrowfloat.hdl.emit", "narrowfloat.hdl.catalog", "narrowfloat.hdl.block"),
    "evidence": ("golden", "leaves"),
    "narrowfloat": ("golden", "leaves", "hdl", "cosim", "synth"),
}
# What of other people's packages they may import; of the layers that are not named, anything.
THEIRS = {"golden": {"numpy"}, "leaves": {"rich"}, "hdl": {"numpy", "amaranth", "pyslang"}}  # the last only where it lints


def imports(path):
    """The absolute names of all that the file imports, of a `from a import b` both `a` and `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = ".".join(path.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (parents, node.module)))
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def packages(path):
    """The packages that the file imports from; of `narrowfloat` its layers, by the names of their folders."""
    return {name.removeprefix("narrowfloat.").partition(".")[0] for name in imports(path)}


def module(name):
    """The file of a module of ours."""
    return ROOT / (name.removeprefix("narrowfloat.").replace(".", "/") + ".py")


def sources(package):
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path):
    """The name that a file of ours is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] in ("narrowfloat", "evidence") else ("narrowfloat", *parts))


@pytest.fixture(scope="module")
def modules():
    """Of each module of ours the names of those of ours that it imports. A package counts only where nothing in it is named."""
    files = {name_of(path): path for package in OURS for path in sources(package)}
    found = {}
    for name, path in files.items():
        named = {each for each in imports(path) if each in files}
        found[name] = {each for each in named if not any(other.startswith(f"{each}.") for other in named)} - {name}
    return found


def layer(name):
    """Where a module belongs: "golden" to "synth", "evidence", "leaves" or "narrowfloat", the front door."""
    first, _, rest = name.partition(".")
    second = rest.partition(".")[0]
    return first if first == "evidence" else "leaves" if second in LEAVES else second if second in LAYERS else "narrowfloat"


@pytest.mark.parametrize("place", sorted(ALLOWED))
def test_imports_run_one_way(place, modules):
    allowed = {place, *ALLOWED[place]}
    for name, found in modules.items():
        if layer(name) == place:
            wrong = {each for each in found if not {layer(each), each} & allowed}
            assert not wrong, f"{name} imports {', '.join(wrong)}"


def test_no_imports_in_a_circle(modules):
    """As `graphlib` says, which raises CycleError with the circle."""
    assert len(list(graphlib.TopologicalSorter(modules).static_order())) == len(modules)


@pytest.mark.parametrize("place", sorted(THEIRS))
def test_layers_need_little_of_others(place, modules):
    files = {name_of(path): path for package in OURS for path in sources(package)}
    for name in modules:
        if layer(name) == place:
            theirs = {each.partition(".")[0] for each in imports(files[name])} - set(sys.stdlib_module_names) - OURS
            assert theirs <= THEIRS[place], name


def test_examples_import_what_users_may():
    """The names that `narrowfloat` exports, the models, and the templates."""
    front = {"narrowfloat", *(f"narrowfloat.{name}" for name in narrowfloat.__all__)}
    for path in sorted((ROOT / "examples").rglob("*.py")):
        ours = {name for name in imports(path) if name.partition(".")[0] in OURS} - front
        wrong = {name for name in ours if not name.startswith(("narrowfloat.golden", "narrowfloat.hdl.files.templates"))}
        assert not wrong, f"{path} imports {', '.join(wrong)}"


def test_benches_read_only_what_was_emitted():
    """No bench, nor a module of ours that one imports at whatever distance, knows hdl or Amaranth."""
    todo = {ROOT / "cosim" / "generic.py", *(ROOT / "cosim").glob("bench*.py"), *(ROOT / "cosim" / "special").glob("*.py")}
    seen = set()
    while todo:
        path = todo.pop()
        seen.add(path)
        assert not packages(path) & {"hdl", "amaranth"}, path
        todo |= {file for name in imports(path) if (file := module(name)).is_file()} - seen


def test_imports_across_folders_are_absolute():
    for package in OURS:
        for path in sources(package):
            levels = [node.level for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
            assert max(levels, default=0) <= len(path.relative_to(ROOT).parts) - 1, path


@pytest.mark.parametrize("layer", ["golden", "hdl", "cosim", "synth"])
def test_layer_is_no_package_of_its_own(layer):
    """From the checkout's root it would be a second copy, whose formats do not equal the first's."""
    done = subprocess.run([sys.executable, "-c", f"import {layer}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"ImportError: import narrowfloat.{layer}: the folder {layer} is a part of" in done.stderr


@pytest.fixture(scope="module")
def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def lock():
    """Name and version of each pinned package, and how many hashes it has."""
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    pins = [re.match(r"([\w.-]+)==([\w.]+)", entry) for entry in entries]
    assert all(pins), entries
    hashes = [entry.count("--hash=sha256:") for entry in entries]
    return {canonicalize_name(pin[1]): (pin[2], count) for pin, count in zip(pins, hashes, strict=True)}


def test_lock_pins_every_declared_dependency(pyproject, lock):
    project = pyproject["project"]
    extras = list(itertools.chain(*project["optional-dependencies"].values()))
    for requirement in map(Requirement, project["dependencies"] + extras + pyproject["build-system"]["requires"]):
        if requirement.name == "narrowfloat":  # an extra that brings others
            continue
        version, _ = lock[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, requirement


def test_lock_has_hashes_and_no_places(lock):
    assert min(hashes for _, hashes in lock.values()) >= 1
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"[/@\\](?! *\n)|^-", text, re.MULTILINE)


def test_lock_leaves_out_what_the_image_package_would_import(lock):
    assert not {"pandas", "matplotlib", "scikit-learn", "scipy"} & lock.keys()


@pytest.fixture(scope="module")
def rules():
    """Of each phony target of the Makefile its line and the recipe under it."""
    text = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split()
    return {target: re.search(rf"^({target}:.*)\n((?:\t.*\n)*)", text, re.MULTILINE).groups() for target in targets}


def test_makefile_recipes_are_one_line_of_python(rules):
    for target, (_, recipe) in rules.items():
        assert recipe.count("\n") == 1, target
        assert re.match(r"\t@\$\((BIN|PYTHON)\)", recipe), target


def test_makefile_targets_set_up_what_they_need(rules):
    assert {target for target, (head, _) in rules.items() if "$(READY)" not in head} == {"help", "clean"}


def make(*arguments):
    """What `make` prints when called from a shell, not as these tests may be from another `make`."""
    shell = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=shell, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_make_help_names_every_target(rules, arguments):
    assert [line.split()[1] for line in make(*arguments).splitlines()] == list(rules)


def test_makefile_recipes_pass_their_variables():
    def recipe(*arguments):
        # -n prints commands instead of running them; -o takes the environment for ready
        return make("-n", "-o", ".venv/ready", *arguments).split()[1:]

    assert recipe("sim") == ["sim", "--sim", "verilator"]
    given = recipe("sim", "DESIGN=float_encoder float_decoder", "SIM=icarus", "SEED=7", "WAVES=1")
    assert given == ["sim", "float_encoder", "float_decoder", "--sim", "icarus", "--seed", "7", "--waves"]
    assert recipe("sim", "DESIGN=s2_encoder", "SET=lanes=3 stages=0")[1:6] == [
        "s2_encoder",
        "--set",
        "lanes=3",
        "--set",
        "stages=0",
    ]
    assert "--waves" not in recipe("sim", "WAVES=0")
    assert recipe("test", "LONG=1")[-2:] == ["-m", "long"]


def test_setup_failure_is_one_line_and_leaves_no_stamp(tmp_path):
    shutil.copy(ROOT / "bootstrap.py", tmp_path)
    (tmp_path / "requirements.lock").write_text("amaranth==0.0.0 --hash=sha256:" + "0" * 64 + "\n")
    quiet = os.environ | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, "bootstrap.py"], cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    hint = r"\(is the network up\? more in build/setup.log\)"
    assert re.fullmatch(rf"setup: installing the locked Python packages failed: ERROR: .*amaranth.* {hint}\n", done.stderr)
    assert not (tmp_path / ".venv" / "ready").exists()
    assert "amaranth" in (tmp_path / "build" / "setup.log").read_text()


def test_missing_tool_skips_here_and_fails_in_ci(require_tool, monkeypatch):
    assert require_tool("make")
    line = "no-such-program is not installed: sudo apt-get install its-package"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=line):
        require_tool("no-such-program", package="its-package")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=line):
        require_tool("no-such-program", package="its-package")


@pytest.mark.parametrize("path", ["tests/synth/test_page.py", "tests/formal/test_s2fp8.py"])
def test_tests_of_missing_tools_skip_for_a_newcomer(path):
    newcomer = {name: value for name, value in os.environ.items() if name != "CI"} | {"PATH": str(Path(sys.executable).parent)}
    command = [sys.executable, "-m", "pytest", "-q", path]
    done = subprocess.run(command, cwd=ROOT, env=newcomer, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "skipped" in done.stdout, done.stdout


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=" ".join)
def test_linter_is_silent(arguments, require_tool):
    """Whoever sees this fail: ``ruff check --fix && ruff format``."""
    done = subprocess.run(
        [require_tool("ruff", "ruff"), *arguments, "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_no_code_file_is_above_500_lines():
    tracked = subprocess.run(["git", "ls-files", "*.py", "*.cpp"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    long = [path for path in tracked.splitlines() if len((ROOT / path).read_text().splitlines()) > 500]
    assert not long


def functions_that_test(path):
    """The test functions of a file: pytest's by their names, cocotb's by their decorator."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(), filename=str(path))) if is_function(node)]
    of_cocotb = [node for node in nodes if any("cocotb.test" in ast.unparse(each) for each in node.decorator_list)]
    return of_cocotb + [node for node in nodes if node.name.startswith("test_")]


@pytest.mark.parametrize("folder", ["tests", "cosim"])
def test_no_test_passes_by_returning(folder):
    """What a configuration lacks is skipped by name."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for test in functions_that_test(path):
            inner = {id(below) for node in ast.walk(test) if node is not test and is_function(node) for below in ast.walk(node)}
            found += [
                f"{path.name}:{node.lineno}: {test.name}"
                for node in ast.walk(test)
                if isinstance(node, ast.Return) and id(node) not in inner
            ]
    assert not found


def is_function(node):
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def test_tolerances_are_narrow():
    """Where bits cannot match, within 5 %: a figure that may be half as large again says nothing."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg in ("rel", "rtol") and isinstance(node.value, ast.Constant):
                found += [f"{path.name}:{node.value.lineno}"] if node.value.value > 0.05 else []
    assert not found
