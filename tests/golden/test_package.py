"""What `import narrowfloat` gives and costs, its types and its examples."""

import ast
import doctest
import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import narrowfloat
import numpy as np
import pytest
from narrowfloat import golden
from narrowfloat.golden.checks import check_int

ROOT = Path(__file__).resolve().parents[2]
MODULES = [module.name for module in pkgutil.walk_packages(golden.__path__, "narrowfloat.golden.")]
TYPED = sorted(path for path in (ROOT / "golden").rglob("*.py") if "reference" not in path.parts)


def fresh(code):
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_brings_numpy_alone():
    code = (
        "import sys, numpy; old = {*sys.modules}; import narrowfloat; print(*{m.split('.')[0] for m in {*sys.modules} - old})"
    )
    assert set(fresh(code).split()) - set(sys.stdlib_module_names) - {"numpy"} == {"narrowfloat"}


def test_import_takes_less_than_a_third_of_a_second_more_than_numpy():
    code = "import time, numpy; start = time.process_time(); import narrowfloat; print(time.process_time() - start)"
    assert min(float(fresh(code)) for _ in range(3)) < 0.3


def test_formats_by_name():
    x = np.float32([0.3, -7, 1e9])
    fmt = narrowfloat.formats["float8_e5m2"]
    assert narrowfloat.format("float8_e5m2") is fmt and narrowfloat.format("lbfp8") is narrowfloat.formats["lbfp8"]
    codes = narrowfloat.encode(x, "float8_e5m2")
    assert codes.tolist() == narrowfloat.encode(x, fmt).tolist()
    assert narrowfloat.decode(codes, "float8_e5m2").tolist() == narrowfloat.decode(codes, fmt).tolist()


def test_every_kind_of_format_is_parsed():
    for text, name in (("e4m3_fn", "float8_e4m3fn"), ("i3f4e8b32", "i3f4b32"), ("m4e8g16", "bfp4")):
        assert narrowfloat.format(text).name == name
    with pytest.raises(ValueError, match=r"unknown format 'fp8': use one of .*ab_e5m2.*lbfp8.*or spell one like .*e4m3b7_fn"):
        narrowfloat.format("fp8")


@pytest.mark.parametrize(
    "options", [{}, {"bias": 20}, {"rounding": "rtz"}, {"rounding": "sr", "random_bits": np.arange(64) * 4}]
)
def test_quantize_decodes_what_encode_gives(options):
    x = np.random.default_rng(1).standard_normal(64, np.float32)
    codes = narrowfloat.encode(x, "ab_e5m2", **options)
    decoded = narrowfloat.decode(codes, "ab_e5m2", bias=options.get("bias"))
    assert np.array_equal(narrowfloat.quantize(x, "ab_e5m2", **options), decoded)


@pytest.mark.parametrize("kind", [int, np.int8, np.int64, np.uint16])
def test_integers_of_any_type_are_integers(kind):
    assert check_int("n", kind(7), 0, 7) == 7 and type(check_int("n", kind(7), 0, 7)) is int
    assert narrowfloat.FloatFormat(name="made", exp_bits=kind(4), man_bits=kind(3)) == narrowfloat.FloatFormat(
        name="made", exp_bits=4, man_bits=3
    )


@pytest.mark.parametrize("value", [True, np.True_, 7.0, np.float64(7), "7", None, 8, -1])
def test_what_is_no_integer_or_out_of_range(value):
    with pytest.raises(ValueError, match=r"n must be an integer from 0 to 7, not "):
        check_int("n", value, 0, 7)


@pytest.mark.parametrize("name", ["narrowfloat", *MODULES])
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


def test_there_are_examples_to_run():
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(name) for name in ("narrowfloat", *MODULES)]
    assert sum(bool(test.examples) for module in modules for test in finder.find(module)) >= 8


@pytest.mark.parametrize("path", TYPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_are_typed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            missing = [each.arg for each in arguments if each.annotation is None and each.arg not in ("self", "cls")]
            assert not missing and node.returns is not None, f"{node.name}, line {node.lineno}: {missing}"


def test_type_checker_finds_nothing(tmp_path):
    """mypy does not find packages of a mapped editable install: it checks a tree of links."""
    if importlib.util.find_spec("mypy") is None:
        report = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        report("mypy is not installed: pip install narrowfloat[lint]")
    tree = tmp_path / "narrowfloat"
    tree.mkdir()
    for path in (ROOT / "narrowfloat").iterdir():
        (tree / path.name).symlink_to(path)
    for layer in ("golden", "hdl", "cosim", "synth"):
        (tree / layer).symlink_to(ROOT / layer)
    folders = ("narrowfloat/golden", "narrowfloat/commands")
    checked = [*(f"narrowfloat/{path.name}" for path in tree.glob("*.py")), *folders]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        ROOT / "pyproject.toml",
        "--cache-dir",
        tmp_path / "cache",
        *checked,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
