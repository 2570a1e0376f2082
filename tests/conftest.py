"""What all tests share."""

import fcntl
import functools
import hashlib
import os
import pickle
import shutil
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: workers and simulators are processes enough

import pytest
from hypothesis import settings
from narrowfloat.hdl import emit as emission
from narrowfloat.hdl.catalog import DESIGNS, find

# The same examples every time, however slow the machine: a red run is then the change's own doing.
settings.register_profile("narrowfloat", derandomize=True, deadline=None)
settings.load_profile("narrowfloat")


@pytest.fixture(scope="session")
def require_tool():
    """A function that returns the path of a program: ``require_tool("iverilog")``.

    Where the program is missing the test is skipped, or with CI=true in the environment it fails. `package` is the Debian
    package that brings it, if that has another name.
    """

    def require(program, package=None):
        path = shutil.which(program)
        if path is None:
            report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            report(f"{program} is not installed: sudo apt-get install {package or program}")
        return path

    return require


@pytest.fixture(scope="session", autouse=True)
def emissions(tmp_path_factory):
    """The folder in which a whole run, of however many workers, keeps what it has emitted."""
    base = tmp_path_factory.getbasetemp()
    folder = Path(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "emitted"
    folder.mkdir(exist_ok=True)
    _kept.append(folder)
    yield
    _kept.clear()


_kept = []
_emit = emission.emit


@functools.wraps(_emit)
def _emit_once(design, settings=(), name=None, systemverilog=False):
    if not _kept or DESIGNS.get(design.name) is not design:
        return _emit(design, settings, name, systemverilog)
    # A test may hide Yosys.
    key = repr((design.name, name, systemverilog, *settings, os.environ.get("YOSYS"), os.environ.get("PATH")))
    file = _kept[0] / hashlib.sha256(key.encode()).hexdigest()
    with open(file.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at the same design
        if not file.exists():
            file.write_bytes(pickle.dumps(_emit(design, settings, name, systemverilog)))
        return pickle.loads(file.read_bytes())


emission.emit = _emit_once  # before any test, and with it what it tests, has imported it


@pytest.fixture(scope="session")
def emitted():
    """A function like `hdl.emit.emit`, of a design's name and its settings."""
    return lambda name, settings=(): _emit_once(find(name), settings)
