"""Figures and drawings of the pages: they are those of the committed JSON and of the scripts."""

import re
from pathlib import Path

import pytest

from docs.scripts import drawings, figures, tables

ROOT = Path(__file__).resolve().parents[2]
PAGES = {str(page.relative_to(ROOT)): page for page in figures.pages()}
each_page = pytest.mark.parametrize("page", PAGES)


@each_page
def test_figures_are_those_of_the_json(page):
    text = PAGES[page].read_text()
    assert figures.filled(text) == text, "run: python -m docs.scripts.figures"


@each_page
def test_every_marker_is_closed(page):
    text = PAGES[page].read_text()
    assert "<!--" not in figures.without_figures(text)


@each_page
def test_what_is_measured_stands_between_markers(page):
    text = re.sub(r"```.*?```", "", figures.without_figures(PAGES[page].read_text()), flags=re.DOTALL)
    measured = re.search(r"\b\d[\d.,]* ?(?:GE|gate equivalents|pJ|LUTs?\b|LUT4s?|MHz|dB|ns\b)", re.sub(r"at 50 MHz", "", text))
    assert measured is None, measured[0]


def test_wrong_figure_is_noticed(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text('It takes <!-- figure: area("fast_mac", accumulator="fixed") -->1<!-- end --> GE.\n')
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "pages", lambda: [page])
    assert figures.main(["--check"]) == 1
    assert capsys.readouterr().out == "page.md: out of date; run python -m docs.scripts.figures\n"
    assert figures.main([]) == 0
    assert re.search(r"-->\d{3,}<!-- end --> GE", page.read_text())
    assert figures.main(["--check"]) == 0


def test_unit_that_was_not_measured_is_refused():
    with pytest.raises(LookupError, match=r"0 results of fast_mac on osu018 by area with \{'lanes': 5\}, not 1"):
        tables.metrics("fast_mac", "osu018", "area", lanes=5)
    assert tables.area("fast_mac", lanes=5) == "-"


def test_drawings_are_those_of_the_script():
    assert drawings.main(["--check"]) == 0
    drawn = {f"{draw.__name__}.svg" for draw in drawings.DRAWINGS}
    assert {path.name for path in drawings.FOLDER.iterdir()} == drawn


def test_every_drawing_is_shown():
    shown = set(re.findall(r"drawings/(\w+\.svg)", "".join(page.read_text() for page in PAGES.values())))
    assert shown == {path.name for path in drawings.FOLDER.iterdir()}


def test_readme_is_short():
    assert len(PAGES["README.md"].read_text().splitlines()) <= 200
