"""Makes `.venv` with everything that `requirements.lock` pins, and the few system packages that pip cannot bring.

`make` calls it before anything that needs it; `python3 bootstrap.py` does the same by hand. It needs Python 3.11 and nothing
else. Its last act is the stamp `.venv/ready`: without the stamp the next call starts over, with an old one it brings the
environment up to date.
"""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
READY = VENV / "ready"
LOG = ROOT / "build" / "setup.log"

# Debian packages: a program or file by which one knows that each is there, and what it is for.
PACKAGES = {
    "iverilog": ("iverilog", "the second simulator"),
    "berkeley-abc": ("berkeley-abc", "formal proofs"),
    "g++": ("g++", "building Verilator's models"),
    "opensta": ("sta", "timing and power of standard cells"),
    "qflow-tech-osu018": ("/usr/share/qflow/tech/osu018/osu018_stdcells.lib", "standard cells"),
}
if os.environ.get("CI"):  # where every test must run; too large, or wanted too seldom, for everyone else
    PACKAGES["chromium"] = ("chromium", "the test of the page of plots")
    PACKAGES["ghdl-mcode"] = ("ghdl", "tests of the VHDL component")
    PACKAGES["yosys"] = ("yosys", "tests of the FuseSoC core, which take a Yosys with Tcl")


class StepError(Exception):
    """A step failed; the message is one line."""


def main():
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts it has any Python
        version = ".".join(map(str, sys.version_info[:3]))
        return f"Python 3.11 or newer is needed, not {version}: name one, as in `make PYTHON=python3.12 sim`"
    update = READY.exists()
    try:
        READY.unlink(missing_ok=True)
        missing = missing_packages()
        if missing:
            install_packages(missing)
        if not update:
            run("creating .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])
        locked = ["--require-hashes", "--only-binary=:all:", "-r", "requirements.lock"]
        pip_install("installing the locked Python packages", *locked)
        pip_install("installing narrowfloat itself", "--no-build-isolation", "--editable", ".")
        # by our own door to it, which knows where its cache goes if the home folder cannot be written
        yosys = "from narrowfloat.tools import YOSYS; YOSYS.version()"
        run(
            "preparing Yosys (its very first call compiles it, which takes about a minute)",
            [str(VENV / "bin" / "python"), "-c", yosys],
        )
        READY.touch()
    except StepError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}; set it right, then repeat the same command"
    except KeyboardInterrupt:
        print(flush=True)
        print("setup: interrupted; the next call starts over", file=sys.stderr)
        sys.exit(130)
    say("ready")
    return None


def missing_packages():
    """Debian packages that this machine lacks, each with what it is for."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    missing = {package: purpose for package, (sign, purpose) in PACKAGES.items() if not is_there(sign)}
    if importlib.util.find_spec("ensurepip") is None:
        missing[f"{version}-venv"] = "creating .venv"
    if not has_shared_python():
        missing[f"lib{version}"] = "Python inside a simulator"
    return missing


def is_there(sign):
    """Whether a program, or a file by its whole path, is on this machine."""
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign) is not None


def has_shared_python():
    """Whether this Python's shared library, which cocotb loads into the simulator, is there to be loaded."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    for path in (name, os.path.join(sysconfig.get_config_var("LIBDIR") or "", name)):
        with suppress(OSError):
            ctypes.CDLL(path)
            return True
    return False


def install_packages(missing):
    """Installs Debian packages if that is possible; says what to do if not, as much works without them."""
    what = ", ".join(f"{package} ({purpose})" for package, purpose in missing.items())
    by_hand = f"sudo apt-get install {' '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        say(f"missing here: {what}. To have all: {by_hand}, or the same from your system's package manager")
        return
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with suppress(StepError):  # lists that are there may do; if not, the installation says so
        run("fetching Debian's package lists", [*apt, "update"], env=environment)
    try:
        run(f"installing {what}", [*apt, "install", "--no-install-recommends", *missing], env=environment)
    except StepError as error:
        say(f"{error}; going on without. To have all: {by_hand}")


def pip_install(what, *arguments):
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input", "--no-deps", *arguments]
    run(what, command, hint="is the network up? ")


def run(what, command, env=None, hint=""):
    """Runs `command` in the project's folder, under one line that says what it does and how long it took."""
    say(what, end=" ... ")
    start = time.monotonic()
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, errors="replace", check=False, **pipes)
    if done.returncode:
        print("failed", flush=True)
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_text(done.stdout)
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        reason = [line for line in lines if line.startswith(("ERROR", "Error", "E:"))] or lines
        raise StepError(f"{what} failed: {reason[-1]} ({hint}more in {LOG.relative_to(ROOT)})")
    print(f"{time.monotonic() - start:.0f} s", flush=True)


def say(text, end="\n"):
    print(f"setup: {text}", end=end, flush=True)


if __name__ == "__main__":
    problem = main()
    if problem:
        sys.exit(f"setup: {problem}")
