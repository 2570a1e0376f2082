"""Reference pages as Markdown: of Python modules from their docstrings, and of designs from `narrowfloat list --json`."""

import ast
import inspect
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.emit import kept
from narrowfloat.hdl.files import markdown

ROOT = Path(__file__).resolve().parents[2]


def module_page(path, name):
    """The page of the module at `path` that is imported as `name`: its docstring and those of its public names."""
    tree = ast.parse(path.read_text())
    parts = [f"# `{name}`", markdown.docstring(ast.get_docstring(tree) or "")]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and ast.get_docstring(node):
            parts += _entry(node, "##", node.name)
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and not member.name.startswith("_") and ast.get_docstring(member):
                        parts += _entry(member, "###", f"{node.name}.{member.name}")
    return "\n\n".join(parts) + "\n"


def _entry(node, level, name):
    signature = ""
    if isinstance(node, ast.FunctionDef):
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if not {"property", "cached_property"} & set(decorators):
            arguments = ast.unparse(node.args)
            signature = f"```text\n{name.rpartition('.')[2]}({arguments.removeprefix('self, ').removeprefix('cls, ')})\n```"
            if arguments in ("self", "cls"):
                signature = f"```text\n{node.name}()\n```"
    return [f"{level} `{name}`", *([signature] if signature else []), markdown.docstring(ast.get_docstring(node))]


@cache
def designs():
    """What `narrowfloat list --json` prints."""
    command = [sys.executable, "-m", "narrowfloat", "list", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def designs_page():
    """The page that lists all designs."""
    rows = [[f"[`{design['design']}`](designs/{design['design']}.md)", _sentence(design["summary"])] for design in designs()]
    words = "`narrowfloat list` prints the same as these pages. Any parameter is set by `--set NAME=VALUE`."
    return "\n\n".join(["# Designs", words, markdown.left_table(["design", "what it does"], rows)]) + "\n"


def design_page(design):
    """The page of one design: its parameters, and the docstring of its block without them."""
    rows = [
        [f"`{parameter['name']}`", _default(parameter["default"]), parameter["allowed"], parameter["meaning"]]
        for parameter in design["parameters"]
    ]
    relations, effects = ([_sentence(each["text"]) for each in design[kind]] for kind in ("relations", "effects"))
    shipped = [
        " ".join(f"`{setting}`" for setting in settings) or "all parameters at their defaults" for settings in design["shipped"]
    ]
    docstring = inspect.cleandoc(DESIGNS[design["design"]].component.__doc__)
    parts = [
        f"# `{design['design']}`",
        markdown.docstring(re.sub(r"\n\nParameters\n-+\n.*?(?=\n\n\S+\n-+\n|$)", "", docstring, flags=re.DOTALL)),
        "## Parameters",
        markdown.left_table(["parameter", "default", "allowed", "meaning"], rows),
        *_bullets("What must hold between parameters:", relations),
        *_bullets("What counts only beside others, and otherwise stays at its default:", effects),
        *_bullets("Shipped builds:", shipped),
        f"The [data sheet](../sheets/{design['design']}.md) of the first one is what `narrowfloat emit` writes beside it.",
    ]
    return "\n\n".join(parts) + "\n"


def sheet(design):
    """The data sheet of the first shipped build of a design, given as `designs` has it."""
    return kept(DESIGNS[design["design"]], design["shipped"][0]).page


def _bullets(heading, lines):
    return [heading, "\n".join(f"- {line}" for line in lines)] if lines else []


def _default(value):
    if value is None:
        return "derived"
    return f"`{','.join(map(str, value)) if isinstance(value, list) else int(value) if isinstance(value, bool) else value}`"


def _sentence(text):
    return text[:1].upper() + text[1:] + "."


def modules():
    """Paths of the modules that need NumPy alone, and what they are imported as."""
    yield ROOT / "narrowfloat" / "__init__.py", "narrowfloat"
    for path in (ROOT / "golden").rglob("*.py"):
        if ast.get_docstring(ast.parse(path.read_text())):
            names = path.relative_to(ROOT).with_suffix("").parts
            yield path, ".".join(("narrowfloat", *names)).removesuffix(".__init__")


def pages():
    """Every reference page: its path in the site, its title, and its text."""
    yield "reference/designs.md", "All designs", designs_page()
    for design in designs():
        yield f"reference/designs/{design['design']}.md", design["design"], design_page(design)
    for design in designs():
        yield f"reference/sheets/{design['design']}.md", design["design"], sheet(design)
    for path, name in sorted(modules(), key=lambda module: module[1]):
        yield f"reference/{name}.md", name.removeprefix("narrowfloat."), module_page(path, name)
