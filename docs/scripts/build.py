"""Builds the documentation: draws, fills figures in, and makes the site under build/site/, where a warning is an error."""

import os
import subprocess
import sys

from docs.scripts import drawings, figures


def build(folder):
    """Make the site in `folder`; the finished process, whose output is empty unless something is wrong."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    # Material for MkDocs prints news of its successor unless told not to.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=figures.ROOT, env=environment, capture_output=True, text=True, check=False)


def main():
    drawings.main([])
    figures.main([])
    done = build(figures.ROOT / "build" / "site")
    print(done.stdout + done.stderr or "build/site/index.html", end="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
