"""The documentation as a site: it builds without a warning, and its reference pages say what the code says."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from narrowfloat.hdl.files import markdown

from docs.scripts import build, examples, reference

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if find_spec("mkdocs") is None:
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report("MkDocs is not installed: python -m pip install 'narrowfloat[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = build.build(folder)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def test_site_has_every_page(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    pages |= {Path(path).with_suffix(".html") for path, _, _ in (*reference.pages(), *examples.pages())}
    assert {path.relative_to(site) for path in site.rglob("*.html")} == pages | {Path("404.html")}


@pytest.mark.parametrize("layer", ["golden", "hdl"])
def test_family_has_one_name_everywhere(layer):
    for page in (ROOT / "docs" / "families").glob("*.md"):
        place = ROOT / layer / page.stem
        assert place.is_dir() or place.with_suffix(".py").exists(), place


def test_site_has_no_scripts(site):
    assert not list(site.rglob("*.py"))


def test_pages_and_those_of_examples_link_each_other(site):
    for source, target in (
        ("how-to/integrate", "../examples/index.html"),
        ("examples/index", "fpga_top.html"),
        ("examples/fpga_top", "../how-to/integrate.html"),
    ):
        assert f'href="{target}' in (site / f"{source}.html").read_text().partition("<article")[2], source


def test_reference_lists_every_parameter(site):
    for design in reference.designs():
        page = (site / "reference" / "designs" / f"{design['design']}.html").read_text()
        for parameter in design["parameters"]:
            assert f"<code>{parameter['name']}</code>" in page


def test_docstring_becomes_markdown():
    docstring = """Rounds.

A table:

====  ========
mode  meaning
====  ========
rne   nearest,
      ties even
====  ========

Parameters
----------
x : array
    Values of ``float32``.
"""
    assert markdown.docstring(docstring).split("\n") == [
        "Rounds.",
        "",
        "A table:",
        "",
        "",
        "| mode | meaning |",
        "| --- | --- |",
        "| rne | nearest, ties even |",
        "",
        "",
        "",
        "**Parameters**",
        "",
        "",
        "`x : array`",
        ":   Values of `float32`.",
    ]
