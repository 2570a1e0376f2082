"""Markdown: tables, and docstrings in the form of numpydoc."""

import re
from itertools import pairwise

_BORDER = re.compile(r"=+( +=+)*")
_ITEM = re.compile(r"\S.*")
_SECTION = re.compile(r"\n\n(\w+)\n-{3,}\n")


def left_table(headings, rows):
    """A table whose columns are left-aligned."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [headings, ["---"] * len(headings), *rows])


def cell(text):
    """`text` within a table: a bar in it means itself, and so does a star."""
    return inline(text).replace("|", "\\|")


def sections(docstring):
    """The text of a docstring before its first section, and the texts of its sections by their headings."""
    text, *parts = _SECTION.split(docstring)
    return text, dict(zip(parts[::2], parts[1::2], strict=True))


def items(section):
    """The items of a section by their names, without their types: the texts of their paragraphs."""
    found, names = {}, ()
    for line in section.splitlines():
        if _ITEM.match(line):
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
            found |= dict.fromkeys(names, "")
        else:
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def docstring(text):
    """A numpydoc docstring as Markdown: sections become bold words, items definition lists, tables tables."""
    lines = text.splitlines()
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
    return _plain_code("\n".join(out))


def inline(text):
    """A sentence of a docstring."""
    return _plain_code(_escaped(text))


def _plain_code(text):
    """`text` whose code is marked as Markdown has it."""
    return re.sub(r"``(.+?)``", r"`\1`", text)


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
    """A simple table of reStructuredText as Markdown."""
    head, body = _head_and_body(lines)
    return left_table(head, [[cell(each) for each in row] for row in body]).splitlines()


def rows(text):
    """The rows of all tables of a docstring, without their heads."""
    lines, index, found = text.splitlines(), 0, []
    while index < len(lines):
        if _BORDER.fullmatch(lines[index].strip()):
            end = _table_end(lines, index)
            found += _head_and_body(lines[index : end + 1])[1]
            index = end
        index += 1
    return found


def _head_and_body(lines):
    """The cells of a simple table: those of its head, and its rows; a row without a first cell goes on with the one before."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    columns = [(match.start() - indent, match.end() - indent) for match in re.finditer("=+", lines[0])]
    groups, rows = [], []
    for line in lines[1:]:
        if _BORDER.fullmatch(line.strip()) and "=" in line:
            groups.append(rows)
            rows = []
            continue
        line = line[indent:]
        between = [line[end:start] for (_, end), (start, _) in pairwise(columns)]
        assert not "".join(between).strip(), f"a cell is wider than its column: {line}"
        cells = [line[start : None if last else end].strip() for last, (start, end) in _marked_last(columns)]
        if rows and not cells[0]:
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    head = groups[0][0] if len(groups) > 1 else [" "] * len(columns)
    return head, groups[-1]


def _marked_last(columns):
    return [(index == len(columns) - 1, column) for index, column in enumerate(columns)]
