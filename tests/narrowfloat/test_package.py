"""What is distributed: all of the layers in the wheel, all tests in the sdist, NumPy alone in a plain install."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("narrowfloat", "golden", "hdl", "cosim", "synth")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


@pytest.fixture(scope="module")
def tracked():
    """Paths of all files of the project that are in version control."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no Git checkout")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def build(tracked, tmp_path_factory):
    """A function that builds "build_wheel" or "build_sdist" from a copy of the tracked files, and returns the file."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)

    def build(kind):
        made = tmp_path_factory.mktemp(kind)
        command = [sys.executable, "-c", BUILD, kind, str(made)]
        subprocess.run(command, cwd=source, capture_output=True, check=True)
        (path,) = made.iterdir()
        return path

    return build


@pytest.fixture(scope="module")
def wheel(build):
    return build("build_wheel")


def test_wheel_holds_the_layers_and_nothing_else(tracked, wheel):
    suffixes = (".py", ".cpp", ".h", ".json", ".v", ".sv", ".ys", ".smt2", ".typed")
    ours = [Path(name) for name in tracked if name.split("/")[0] in LAYERS and name.endswith(suffixes)]
    wanted = {str(path if path.parts[0] == "narrowfloat" else "narrowfloat" / path) for path in ours}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_sdist_holds_all_that_is_tracked(tracked, build):
    with tarfile.open(build("build_sdist")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    hidden = {name for name in tracked if name.startswith(".git")}
    assert not set(tracked) - hidden - held


def link(site, bin_folder, requirements):
    """Give an environment the packages of this one that `requirements` need, at whatever distance."""
    todo, done = [Requirement(text) for text in requirements], set()
    while todo:
        requirement = todo.pop()
        if (requirement.marker and not requirement.marker.evaluate({"extra": ""})) or requirement.name in done:
            continue
        done.add(requirement.name)
        distribution = metadata.distribution(requirement.name)
        todo += [Requirement(text) for text in distribution.requires or ()]
        for file in distribution.files:
            first = file.parts[0]
            if first == "..":
                if file.parts[-2] == "bin" and not (bin_folder / file.name).exists():
                    (bin_folder / file.name).symlink_to(file.locate().resolve())
            elif not (site / first).exists() and first != "__pycache__":
                (site / first).symlink_to(Path(distribution.locate_file(first)).resolve())


class Installed:
    """An environment of its own with the wheel in it."""

    def __init__(self, folder, wheel):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.bin = folder / "bin"
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "-q", "--no-deps", "--no-index"]
        subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
        (self.site,) = folder.glob("lib/python*/site-packages")

    def run(self, *command, cwd, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables
        command = [str(self.bin / command[0]), *command[1:]]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    def files(self):
        """What lies in the environment's packages, but for what Python itself caches."""
        return {path for path in self.site.rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A plain install of the wheel: with NumPy alone."""
    found = Installed(tmp_path_factory.mktemp("plain") / "venv", wheel)
    link(found.site, found.bin, ["numpy"])
    return found


def test_plain_import_brings_numpy_alone_and_takes_no_time(installed, tmp_path):
    program = (
        "import numpy, sys, time; start = time.process_time(); import narrowfloat; took = time.process_time() - start;"
        "print(took, *sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    seconds = []
    for _ in range(3):
        done = installed.run("python", "-c", program, cwd=tmp_path)
        took, *packages = done.stdout.split()
        assert {name for name in packages if not name.startswith("_")} == {"narrowfloat", "numpy"}, done.stderr
        seconds.append(float(took))
    assert min(seconds) < 0.3


def test_missing_extra_is_one_line(installed, tmp_path):
    for command, package, extra in (
        (["emit", "float_decoder", "--out", "rtl"], "amaranth", "rtl"),
        (["sim"], "find_libpython", "sim"),
        (["synth"], "plotly", "synth"),
    ):
        done = installed.run("narrowfloat", *command, cwd=tmp_path)
        line = f'narrowfloat {command[0]}: {package} is missing: pip install "narrowfloat[{extra}]"\n'
        assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_emission_with_the_extra_rtl_writes_nothing_beside_the_code(wheel, tmp_path):
    installed = Installed(tmp_path / "venv", wheel)
    extra = [text for text in metadata.requires("narrowfloat") if 'extra == "rtl"' in text]
    link(installed.site, installed.bin, ["numpy", *(text.partition(";")[0] for text in extra)])
    before, place = installed.files(), tmp_path / "place"
    place.mkdir()
    cache = os.environ.get("YOWASP_CACHE_DIR") or str(Path("~/.cache/YoWASP").expanduser())
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "YOWASP_CACHE_DIR": cache}
    done = installed.run("narrowfloat", "emit", "float_decoder", "--out", "rtl", cwd=place, **variables)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in place.iterdir()] == ["rtl"]
    assert (place / "rtl" / "float_decoder_ab_e5m2_x4.v").stat().st_size > 1000
    assert installed.files() == before
