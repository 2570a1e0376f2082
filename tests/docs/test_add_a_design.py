"""The page that adds a design: what it adds is emitted, and simulated against its reference without a test of its own."""

import dataclasses
import re
import runpy
from pathlib import Path

from narrowfloat.cosim.runner import Job, run
from narrowfloat.hdl.catalog import Design
from narrowfloat.hdl.emit import emit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-design.md"


def test_page_adds_a_verified_design(tmp_path, monkeypatch):
    block, reference, entry = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "negate_of_the_page.py").write_text(reference)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "block.py").write_text(block)
    scope = runpy.run_path(tmp_path / "block.py") | {"Design": Design}
    design = dataclasses.replace(eval(entry, scope), reference="negate_of_the_page:Negate")
    emission = emit(design, ["lanes=2", "user_bits=3"])
    emission.write(tmp_path / "rtl")
    result = run(Job(tmp_path / "rtl", emission.module, "icarus", seed=1, runs=tmp_path / "runs"))
    assert result.failure is None
    assert result.vectors > 1000
