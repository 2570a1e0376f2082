"""Results by the content of what they were made from, under build/synth/."""

import hashlib
import json
import os
import threading
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "build" / "synth"


def cached(parts, make):
    """What ``make()`` returned when it was last called for the same `parts` (a list of texts); calls it if it never was.

    The result must be what JSON can hold.
    """
    path = FOLDER / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        value = make()
    unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps(value))
    unfinished.rename(path)
    return value
