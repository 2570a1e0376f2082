"""The page of plots, opened in a browser."""

import re
import subprocess

import pytest
from narrowfloat.command import main

TARGETS = ("ice40", "xc7", "osu018")


@pytest.fixture(scope="module")
def browse(require_tool):
    """A function that opens a file in headless Chromium and returns what it printed and logged."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    command = [require_tool("chromium"), *options]

    def open_file(path, *options):
        done = subprocess.run([*command, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, done.stderr

    return open_file


@pytest.fixture(scope="module")
def page(tmp_path_factory, cells, browse):
    path = tmp_path_factory.mktemp("page") / "report.html"
    arguments = ["float_decoder", "--set", "lanes=1", "--set", "stages=0", "--html", str(path)]
    assert main(["synth", *arguments] + [word for target in TARGETS for word in ("--target", target)]) == 0
    return path


def test_page_has_its_plots_and_no_error_in_the_console(page, browse):
    dom, log = browse(page, "--dump-dom")
    assert "CONSOLE" not in log, log
    # plotly.js has drawn: area, speed, area against delay, energy; bars of three targets and two recipes among them
    assert dom.count('<svg class="main-svg"') >= 4
    assert dom.count('class="point"') >= 8
    for title in ("Area", "Speed", "Area against delay: narrow to FP32", "Energy per operation"):
        assert f"<h2>{title}</h2>" in dom
    assert "narrowfloat synth float_decoder --set lanes=1 --set stages=0 --target ice40 --target xc7 --target osu018" in dom


def test_broken_script_would_be_noticed(tmp_path, browse):
    path = tmp_path / "broken.html"
    path.write_text("<script>no_such_function()</script>")
    assert "CONSOLE" in browse(path, "--dump-dom")[1]


def test_page_needs_nothing_but_itself(page):
    markup = re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert not re.search(r"(src|href)=.?(https?:)?//", markup) and "<script src" not in page.read_text()
