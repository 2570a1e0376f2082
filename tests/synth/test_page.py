"""The page of plots, opened in a browser."""

import html
import json
import re
import subprocess

import pytest
from narrowfloat.command import main
from narrowfloat.synth import plots
from narrowfloat.synth.results import Results

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
    # plotly.js has drawn: cost, energy, area against delay, with a mark for each target and recipe.
    assert dom.count('<svg class="main-svg"') >= 3
    assert dom.count('class="point"') >= 8
    for title in (
        "What does it cost beside the best alternative?",
        "How much energy does an operation take?",
        "What does speed cost? narrow to FP32",
    ):
        assert f"<h2>{title}</h2>" in dom
    command = "narrowfloat synth float_decoder --set lanes=1 --set stages=0"
    assert f"{command} --target ice40 --target xc7 --target osu018" in dom and f"<code>{command} --target osu018" in dom


# In the browser: the widest thing on the page, then what a column holds before and after clicks on its heading.
_LOOK = """<script>
window.addEventListener("load", () => {
  document.querySelectorAll("details").forEach(each => each.open = true);
  const found = [];
  for (const plot of document.querySelectorAll(".js-plotly-plot"))
    found.push(plot.getBoundingClientRect().right <= document.documentElement.clientWidth);
  found.push(document.documentElement.scrollWidth <= document.documentElement.clientWidth);
  const heading = [...document.querySelectorAll("th")].find(th => th.textContent.includes("GE"));
  const column = () => [...heading.closest("table").tBodies[0].rows].map(row => row.cells[heading.cellIndex].dataset.value);
  found.push(column()); heading.click(); found.push(column()); heading.click(); found.push(column());
  const told = document.createElement("pre");
  told.id = "told";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
});
</script>"""


@pytest.mark.parametrize("width", [1400, 500])
def test_page_fits_and_its_tables_sort(page, browse, tmp_path, width):
    looked = tmp_path / "looked.html"
    looked.write_text(page.read_text() + _LOOK)
    dom, log = browse(looked, "--dump-dom", f"--window-size={width},2000")
    assert "CONSOLE" not in log, log
    *fits, _, rising, falling = json.loads(html.unescape(re.search(r'<pre id="told">(.*?)</pre>', dom)[1]))
    assert all(fits) and len(fits) >= 4
    values = [float(value) for value in rising]
    assert len(values) == 2 and values == sorted(values) and falling == rising[::-1]


def test_broken_script_would_be_noticed(tmp_path, browse):
    path = tmp_path / "broken.html"
    path.write_text("<script>no_such_function()</script>")
    assert "CONSOLE" in browse(path, "--dump-dom")[1]


def test_page_needs_nothing_but_itself(page):
    markup = re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert not re.search(r"(src|href)=.?(https?:)?//", markup) and "<script src" not in page.read_text()


def test_smallest_of_the_methods_stands_for_a_product():
    def row(method, target, recipe, **metrics):
        parameters = {"width": 8, "numbers": "signed", "method": method}
        return {"design": "multiplier", "parameters": parameters, "role": "baseline", "target": target, "recipe": recipe} | {
            "metrics": metrics
        }

    rows = [row("booth", "cells", "area", gate_equivalents=300), row("array", "cells", "area", gate_equivalents=400)]
    rows += [row(method, "model", "error", sqnr_db=41.0) for method in ("booth", "array", "rows")]
    across, up = ("GE", "cells", "area", "gate_equivalents", 0), ("dB", "model", "error", "sqnr_db", 1)
    (mark,) = plots.scatter(Results(rows, []), across, up).data
    assert (mark.x, mark.y, mark.name) == ((300,), (41.0,), "multiplier signed (baseline)")
    assert plots.scatter(Results(rows[2:], []), across, up) is None


def test_marks_are_told_apart():
    assert len({tuple(plots.marker(index).values()) for index in range(49)}) == 49
