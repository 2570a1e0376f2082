"""What all tests share."""

import fcntl
import hashlib
import os
import pickle
import shutil
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: workers and simulators are processes enough

import pytest
from hypothesis import settings
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit

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


@pytest.fixture(scope="session")
def emitted(tmp_path_factory):
    """A function like `hdl.emit.emit`, of a design's name and its settings, which emits each design once in a whole run."""
    base = tmp_path_factory.getbasetemp()
    folder = Path(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "emitted"
    folder.mkdir(exist_ok=True)

    def emit_once(name, settings=()):
        key = hashlib.sha256(repr((name, *settings)).encode()).hexdigest()
        with open(folder / f"{key}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at the same design
            kept = folder / key
            if not kept.exists():
                kept.write_bytes(pickle.dumps(emit(find(name), settings)))
            return pickle.loads(kept.read_bytes())

    return emit_once
