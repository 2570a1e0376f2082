"""Where files go that are made on the way: never beside installed code.

Like `narrowfloat.shell` this is a leaf: it needs the standard library alone, and every layer may import it.
"""

import os
import stat
import tempfile
from pathlib import Path

# By these files a folder is known as a checkout of Narrowfloat.
_CHECKOUT = ("bootstrap.py", "narrowfloat/places.py")


def build_folder(*parts):
    """The folder of all that is generated, or what `parts` name below it.

    It is $NARROWFLOAT_BUILD if that is set; ``build`` in the checkout of Narrowfloat that the current folder lies in; else
    the user's cache folder; and where that cannot be written, one of the user's own in the folder of temporary files.
    """
    return _root().joinpath(*parts)


def _root():
    if chosen := os.environ.get("NARROWFLOAT_BUILD"):
        return Path(chosen).absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / name).is_file() for name in _CHECKOUT):
            return folder / "build"
    cache = user_cache() / "narrowfloat"
    return cache if is_writable(cache) else _temporary()


def user_cache():
    """The user's cache folder, which may not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/", ".cache")).absolute()


def is_writable(folder):
    """Whether files can be made in `folder`, or in the nearest folder above it that exists."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return True
    except OSError:
        return False


def _temporary():
    """A folder that belongs to the user alone; somebody else's is refused, as libraries are loaded from it."""
    folder = Path(tempfile.gettempdir(), f"narrowfloat-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(1, "belongs to somebody else: set NARROWFLOAT_BUILD to a folder of yours", str(folder))
    return folder
