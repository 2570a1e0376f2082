"""What the tests of examples share: each is copied out of the checkout, and run there as its page says."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def need():
    """A function that skips a test, or with CI=true fails it, unless all that it is given is there.

    That is tools of `narrowfloat.tools`, and names of Python packages.
    """

    def require(*tools):
        for tool in tools:
            if isinstance(tool, str):
                missing = None if find_spec(tool) else f"{tool} is not installed: python -m pip install 'narrowfloat[examples]'"
            else:
                missing = tool.missing()
            if missing:
                report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
                report(missing)

    return require


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """A function that copies the example of a name, and returns a function that runs make in the copy and gives its output."""

    def copied(name):
        folder = tmp_path_factory.mktemp("examples") / name
        shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("build", "__pycache__"))
        # Nothing of pytest's own reaches what users start by hand.
        own = {each: value for each, value in os.environ.items() if not each.startswith(("PYTHON", "PYTEST", "COCOTB", "MAKE"))}
        environment = own | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

        def make(*targets, fails=False):
            done = subprocess.run(["make", *targets], cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert (done.returncode != 0) is fails, done.stdout + done.stderr
            return done.stdout

        make.folder = folder
        return make

    return copied
