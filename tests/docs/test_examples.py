"""Examples in README and docs: Python runs, cheap commands run, and every other command is one that there is."""

import doctest
import importlib
import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from narrowfloat.command import COMMANDS, main
from narrowfloat.hdl.catalog import find
from narrowfloat.shell import Parser

from docs.scripts import examples

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(page.relative_to(ROOT)): page.read_text()
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *examples.files())
}
# The pages whose emissions the quick tests run, before their Python; the long tests run those of all others.
QUICK = ("README.md", "docs/how-to/integrate.md", "docs/start.md", "docs/verification.md")
OUTSIDE = ("git", "yosys", ".ci/run")


def blocks(page, language):
    """The texts of the fenced blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE)


def commands(page):
    """The shell commands of a page, each as a list of words without comments."""
    return [shlex.split(line, comments=True) for block in blocks(page, "sh") for line in block.splitlines()]


def emissions(page):
    return [words for words in commands(page) if words[:2] == ["narrowfloat", "emit"]]


def emit(page, folder):
    """Run the emissions of a page in `folder`."""
    for words in emissions(page):
        assert main(words[1:]) == 0, words
        design = find(words[2])
        assert (folder / "rtl" / f"{design.module(design.parse(settings(words)))}.json").exists()


def run_python(page):
    """Run the Python examples of a page."""
    text = "\n".join(blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(text, {"__name__": page}, page, page, 0)
    failures = []
    doctest.DocTestRunner(verbose=False).run(test, out=failures.append)
    assert not failures, "".join(failures)


def settings(words):
    """What stands after each --set."""
    return [after for word, after in pairwise(words) if word == "--set"]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "pycon")])
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if page in QUICK:
        emit(page, tmp_path)
    run_python(page)


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in PAGES if page not in QUICK and emissions(page)])
def test_emissions_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    emit(page, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")])
def test_commands_are_known(page):
    for words in commands(page):
        check(words)


def check(words):
    """Fail unless the command would be understood."""
    match words:
        case ["narrowfloat", name, *arguments]:
            understood(name, arguments)
        case ["make", "-C", folder, *arguments]:
            made(arguments, ROOT / folder)
        case ["make", *arguments]:
            made(arguments)
        case ["python" | ".venv/bin/python", "-m", "evidence", name]:
            assert (ROOT / "evidence" / f"{name}.json").exists(), words
        case ["python" | ".venv/bin/python", "-m", "pytest", path, *_]:
            assert (ROOT / path).exists(), words
        case ["python" | ".venv/bin/python", "-m", module]:
            assert importlib.util.find_spec(module), words
        case ["pip" | ".venv/bin/pip", "install", *what]:
            installed(what)
        case [word, *_]:
            assert word in OUTSIDE or word.startswith("("), words


def understood(name, arguments):
    """Whether `narrowfloat` takes the words, and the settings in them are legal."""
    assert name in COMMANDS
    parser = Parser(prog=name)
    importlib.import_module(f"narrowfloat.commands.{name.replace('-', '_')}").add_arguments(parser)
    options = parser.parse_args(
        [word for word in arguments if word not in ("--out", "rtl")] + ["--out", "."] * ("--out" in arguments)
    )
    if settings(arguments):
        design = find(options.design if name == "emit" else options.designs[0])
        design.top(design.parse(options.set))


def made(arguments, folder=ROOT):
    """Whether the Makefile has the target, and its recipe the variables."""
    makefile = (folder / "Makefile").read_text()
    for word in arguments:
        variable, equals, _ = word.partition("=")
        target = rf"^{word}:|^BOARDS := .*\b{word}\b"
        assert re.search(rf"\$\({variable}\)" if equals else target, makefile, re.MULTILINE), word


def test_every_extra_is_described():
    described = re.findall(r"^\| `(\w+)` \| ", PAGES["docs/start.md"], re.MULTILINE)
    assert set(described) == set(extras())


def extras():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def installed(what):
    """Whether the extras that are asked for are declared."""
    for requirement in what:
        if match := re.fullmatch(r"narrowfloat\[(\w+)\]", requirement):
            assert match[1] in extras()
