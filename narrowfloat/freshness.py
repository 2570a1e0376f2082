"""Whether a kept result is still fresh: a digest of all modules that had a part in it, and of the versions of other packages.

The modules are found by what they import, so that no list has to be kept by hand. Needs nothing but the standard library.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
from functools import cache
from pathlib import Path

_PROJECT = __name__.partition(".")[0]


def fingerprint(*modules):
    """A digest on which a result can be kept that these modules, given by name, have computed.

    It covers the source of the modules and of every module of `narrowfloat` or of their own packages that they import, anywhere
    in their text and at any distance; the files beside a module that a string in it names; and the versions of all other
    packages that are imported.

    Raises
    ------
    ModuleNotFoundError
        There is no such module.
    """
    ours = {_PROJECT, *(module.partition(".")[0] for module in modules)}
    missing = [module for module in modules if _path(module) is None]
    if missing:
        raise ModuleNotFoundError(f"there is no module {missing[0]}", name=missing[0])
    todo, files, others = set(modules), {}, set()
    while todo:
        name = todo.pop()
        path = _path(name)
        if name in files or path is None:
            continue
        files[name] = path.read_bytes()
        imported, texts = _contents(files[name], name if path.stem == "__init__" else name.rpartition(".")[0])
        files |= {f"{name} {text}": file.read_bytes() for text in texts if (file := path.with_name(text)).is_file()}
        todo |= {module for module in imported if module.partition(".")[0] in ours}
        others |= {module.partition(".")[0] for module in imported} - ours - sys.stdlib_module_names
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    for name in sorted(others):
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def _path(name):
    """The source file of a module, or None. Of the project only packages are imported for this, never the module itself."""
    package = name.rpartition(".")[0]
    if package:
        parent = _path(package)
        if parent is None or parent.stem != "__init__":
            return None
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec and spec.has_location else None


@cache
def _contents(source, package):
    """Names of all that a module in `package` may import, their parents among them, and the texts in it that may name files."""
    names, texts = {package} if package else set(), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts |= {node.value} if Path(node.value).suffix and node.value.isprintable() and len(node.value) < 100 else set()
    for name in list(names):
        while name := name.rpartition(".")[0]:
            names.add(name)
    return frozenset(names), frozenset(text for text in texts if Path(text).name == text)


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
