"""What MkDocs calls while it builds the site: it adds the reference pages, which are in no file of the repository, and those of
the examples, and draws timing diagrams."""

import json
from html import escape
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from mkdocs.structure.files import File

from docs.scripts import examples, reference


def on_config(config):
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": [{"name": "wavedrom", "class": "wavedrom", "format": drawn}]}
    config.reference = list(reference.pages())
    config.examples = list(examples.pages())
    config.nav.insert(3, {"Examples": [{title: path} for path, title, _ in config.examples]})
    parts = {"Designs": [], "Data sheets": [], "NumPy models": []}
    for path, title, _ in config.reference:
        kind = {"designs": "Designs", "designs.md": "Designs", "sheets": "Data sheets"}.get(path.split("/")[1], "NumPy models")
        parts[kind].append({title: path})
    config.nav += [{kind: pages} for kind, pages in parts.items()]
    return config


def on_files(files, config):
    for path, _, text in config.reference + config.examples:
        files.append(File.generated(config, path, content=text))
    return files


def drawn(source, language, css_class, options, md, **more):
    """A block of WaveDrom's JSON as the drawing that it describes, or as it is where there is nothing to draw it with."""
    if find_spec("yowasp_wavedrom") is None:
        return f"<pre><code>{escape(source)}</code></pre>"
    return f'<div class="{css_class}">{import_module("yowasp_wavedrom").render(json.loads(source))}</div>'


def on_page_markdown(markdown, page, config, files):
    path = page.file.abs_src_path  # None of what is generated
    return examples.relinked(markdown, Path(path)) if path else markdown
