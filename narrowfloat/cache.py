"""Results kept under the build folder by the content of what they were made from. A damaged one counts as none.

Like `narrowfloat.shell` this is a leaf: it needs the standard library alone, and every layer may import it.
"""

import hashlib
import json
import tempfile
from contextlib import suppress
from pathlib import Path

from narrowfloat import shell
from narrowfloat.places import build_folder

_STAMP = "stamp.json"


def digest(parts):
    """A digest of texts and numbers, the same in every process."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def value(kind, parts, make):
    """What ``make()`` returned, which JSON can hold, when it was last called for the same `parts`; calls it if it never was.

    Parameters
    ----------
    kind : str
        The folder below the build folder.
    parts : list of str
        All that the result depends on.
    make : callable
    """
    path = build_folder(kind, f"{digest(parts)}.json")
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text())
        if kept["digest"] == digest(kept["value"]):
            return kept["value"]
    made = make()
    shell.write(_in(path.parent) / path.name, json.dumps({"digest": digest(made), "value": made}))
    return made


def folder(kind, parts, make):
    """A folder with the files that ``make(folder)`` has put there when it was last called for the same `parts`.

    Parameters are those of `value`. The files must work wherever the folder is moved to.
    """
    kept = build_folder(kind, digest(parts)[:32])
    if not _is_whole(kept):
        with tempfile.TemporaryDirectory(dir=_in(kept.parent), prefix=".unfinished-") as unfinished:
            made = Path(unfinished, "made")
            made.mkdir()
            make(made)
            (made / _STAMP).write_text(json.dumps(_digests(made)))
            if not _is_whole(kept):  # another process may have made the same meanwhile
                with suppress(FileNotFoundError):
                    kept.rename(Path(unfinished, "damaged"))
                with suppress(OSError):
                    made.rename(kept)
    return kept


def _is_whole(kept):
    with suppress(OSError, ValueError):
        return json.loads((kept / _STAMP).read_text()) == _digests(kept)
    return False


def _digests(kept):
    return {
        path.name: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(kept.iterdir())
        if path.name != _STAMP and path.is_file()
    }


def _in(place):
    """The folder `place`, made if missing. A file that is in its way is damage, too."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        place.unlink()
        place.mkdir(parents=True)
    return place
