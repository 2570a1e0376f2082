"""A digest of modules changes with every module that is imported at any distance, and with nothing else."""

import importlib
import importlib.metadata
import sys

import pytest
from narrowfloat.freshness import fingerprint

PACKAGE = {
    "__init__.py": "",
    "first.py": "import numpy\nfrom trial.folder import second\n",
    "folder/__init__.py": "",
    "folder/second.py": "def late():\n    from ..third import value\n    from narrowfloat.golden.lfsr import lane_bits\n",
    "third.py": 'value = 1\nTABLE = "table.txt"\n',
    "table.txt": "1 2 3\n",
    "unused.py": "raise RuntimeError\n",
}


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """The folder of a package `trial`."""
    for name, text in PACKAGE.items():
        path = tmp_path / "trial" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path / "trial"
    for name in [name for name in sys.modules if name.partition(".")[0] == "trial"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", [name for name in PACKAGE if name != "unused.py"])
def test_every_module_and_file_that_has_a_part_counts(name, trial):
    before = fingerprint("trial.first")
    assert fingerprint("trial.first") == before
    (trial / name).write_text(PACKAGE[name] + "# changed\n")
    changed = fingerprint("trial.first")
    assert changed != before
    (trial / name).write_text(PACKAGE[name])
    assert fingerprint("trial.first") == before


def test_what_is_not_imported_does_not_count(trial):
    before = fingerprint("trial.first")
    (trial / "unused.py").write_text("changed = 1\n")
    assert fingerprint("trial.first") == before
    assert fingerprint("trial.first", "trial.unused") != before


def test_versions_of_other_packages_count(trial, monkeypatch):
    before, version = fingerprint("trial.first"), importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version(name) + ".1" * (name == "numpy"))
    assert fingerprint("trial.first") != before


def test_modules_are_not_run(trial):
    (trial / "third.py").write_text("raise RuntimeError\n")
    fingerprint("trial.first", "trial.unused")


def test_a_module_that_is_not_there_is_named(trial):
    with pytest.raises(ModuleNotFoundError, match=r"^there is no module trial\.fourth$"):
        fingerprint("trial.fourth")
