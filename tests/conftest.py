"""What all tests share."""

import os
import shutil

import pytest
from hypothesis import settings

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
