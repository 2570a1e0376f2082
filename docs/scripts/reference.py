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

from docs.scripts import tables

ROOT = Path(__file__).resolve().parents[2]
_BORDER = re.compile(r"=+( +=+)*")
_ITEM = re.compile(r"\S.*")


def module_page(path, name):
    """The page of the module at `path` that is imported as `name`: its docstring and those of its public names."""
    tree = ast.parse(path.read_text())
    parts = [f"# `{name}`", markdown(ast.get_docstring(tree) or "")]
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
    return [f"{level} `{name}`", *([signature] if signature else []), markdown(ast.get_docstring(node))]


def markdown(docstring):
    """A numpydoc docstring as Markdown: sections become bold words, items definition lists, tables tables."""
    lines = docstring.splitlines()
    out, index, in_items = [], 0, False
    while index < len(lines):
        line = lines[index]
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if line and re.fullmatch("-{3,}", following):
            out += ["", f"**{line}**", ""]
            in_items = True
            index += 2
        elif _BORDER.fullmatch(line.strip()) and "=" in line:
            end = _table_end(lines, index)
            indent = "    " if in_items else ""
            out += ["", *(indent + row for row in _table(lines[index : end + 1])), ""]
            index = end + 1
        elif line.lstrip().startswith(">>>"):
            end = next((place for place in range(index, len(lines)) if not lines[place].strip()), len(lines))
            out += ["```pycon", *(each.strip() for each in lines[index:end]), "```"]
            index = end
        elif in_items and _ITEM.fullmatch(line):
            out += ["", f"`{line}`"]
            index += 1
            if following.startswith("    "):
                out.append(f":   {_escaped(following.strip())}")
                index += 1
        else:
            is_code = line.startswith("    ") and not in_items
            out.append(line if is_code else _escaped(line))
            index += 1
    return re.sub(r"``(.+?)``", r"`\1`", "\n".join(out))


def _escaped(text):
    """`text` whose stars and angle brackets outside of code mean themselves."""
    parts = re.split(r"(`+[^`]+`+)", text)
    return "".join(part if part.startswith("`") else part.replace("*", r"\*").replace("<", "&lt;") for part in parts)


def _table_end(lines, start):
    """The last border of the table whose first border is `lines[start]`."""
    end = start
    for index in range(start + 1, len(lines)):
        if _BORDER.fullmatch(lines[index].strip()) and "=" in lines[index]:
            end = index
        elif not lines[index].strip():
            break
    return end


def _table(lines):
    """A simple table of reStructuredText as Markdown; rows without a first cell go on with the row before."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    columns = [(match.start() - indent, match.end() - indent) for match in re.finditer("=+", lines[0])]
    groups, rows = [], []
    for line in lines[1:]:
        if _BORDER.fullmatch(line.strip()) and "=" in line:
            groups.append(rows)
            rows = []
            continue
        line = line[indent:]
        cells = [line[start : None if last else end].strip() for last, (start, end) in _marked_last(columns)]
        if rows and not cells[0]:
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    head = groups[0][0] if len(groups) > 1 else [" "] * len(columns)
    body = groups[-1]
    return tables.left_table(head, [[_escaped(cell).replace("|", "\\|") for cell in row] for row in body]).splitlines()


def _marked_last(columns):
    return [(index == len(columns) - 1, column) for index, column in enumerate(columns)]


@cache
def designs():
    """What `narrowfloat list --json` prints."""
    command = [sys.executable, "-m", "narrowfloat", "list", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def designs_page():
    """The page that lists all designs."""
    rows = [[f"[`{design['design']}`](designs/{design['design']}.md)", _sentence(design["summary"])] for design in designs()]
    words = "`narrowfloat list` prints the same as these pages. Any parameter is set by `--set NAME=VALUE`."
    return "\n\n".join(["# Designs", words, tables.left_table(["design", "what it does"], rows)]) + "\n"


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
        markdown(re.sub(r"\n\nParameters\n-+\n.*?(?=\n\n\S+\n-+\n|$)", "", docstring, flags=re.DOTALL)),
        "## Parameters",
        tables.left_table(["parameter", "default", "allowed", "meaning"], rows),
        *_bullets("What must hold between parameters:", relations),
        *_bullets("What counts only beside others, and otherwise stays at its default:", effects),
        *_bullets("Shipped builds:", shipped),
    ]
    return "\n\n".join(parts) + "\n"


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
    for path, name in sorted(modules(), key=lambda module: module[1]):
        yield f"reference/{name}.md", name.removeprefix("narrowfloat."), module_page(path, name)
