"""Writes the LiteX modules of the emitted blocks: `python instances.py MANIFEST...`, beside each manifest a file of Python."""

import json
import sys
from pathlib import Path

from narrowfloat.hdl.files.templates import templates

for name in sys.argv[1:]:
    manifest = Path(name)
    manifest.with_suffix(".py").write_text(templates(json.loads(manifest.read_text()))["litex"])
