"""What the tests of examples share: each is copied out of the checkout, and run there as its page says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """A function that copies the example of a name, and returns a function that runs make in the copy and gives its output."""

    def copied(name):
        folder = tmp_path_factory.mktemp("examples") / name
        shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("build", "__pycache__"))
        # Nothing of pytest's own reaches what users start by hand.
        own = {each: value for each, value in os.environ.items() if not each.startswith(("PYTHON", "PYTEST", "COCOTB"))}
        environment = own | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

        def make(*targets):
            done = subprocess.run(["make", *targets], cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        make.folder = folder
        return make

    return copied
