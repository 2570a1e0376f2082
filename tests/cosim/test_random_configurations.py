"""Random legal configurations of every design, emitted and simulated as a user would who verifies one of their own."""

import json
import random

import pytest
from narrowfloat import sweep, tools
from narrowfloat.command import main
from narrowfloat.cosim.runner import Job, run
from narrowfloat.hdl.catalog import DESIGNS
from narrowfloat.hdl.emit import emit

SEED = 14


@pytest.mark.long
@pytest.mark.parametrize("name", DESIGNS)
def test_random_configuration_on_icarus(name, tmp_path, require_tool):
    require_tool("iverilog")
    design = DESIGNS[name]
    settings = design.settings(sweep.small_draw(design, random.Random(f"{name} {SEED}")))
    emission = emit(design, settings)
    emission.write(tmp_path)
    result = run(Job(tmp_path, emission.module, "icarus", seed=SEED, tests=sweep.TESTS, runs=tmp_path))
    assert result.failure is None, f"{name} {' '.join(settings)}: {result.failure}"


def test_configurations_are_the_same_in_every_run_and_differ():
    drawn = [sweep.Configuration(number, 3) for number in range(3 * len(DESIGNS))]
    texts = [f"{each.design.name} {' '.join(each.settings)}" for each in drawn]
    assert texts == [f"{each.design.name} {' '.join(each.settings)}" for each in drawn]
    assert len(set(texts)) > 2.5 * len(DESIGNS) and [each.design.name for each in drawn[: len(DESIGNS)]] == list(DESIGNS)


class Told:
    """A progress that nobody sees."""

    def __init__(self):
        self.done = 0

    def tell(self, now):
        """Forget it."""

    def advance(self):
        self.done += 1


def test_sweep_goes_on_where_it_was_and_starts_over_after_a_change(tmp_path, monkeypatch):
    outcomes = {2: "it fails"}
    monkeypatch.setattr(sweep, "_failure", lambda configuration, *_: outcomes.get(configuration.number))
    told = Told()
    sweep.sweep(sweep.Record("icarus", 1, tmp_path), "icarus", 1, range(4), told)
    assert told.done == 4
    with (tmp_path / "icarus.1.jsonl").open("a") as file:
        file.write('{"number": 5, "des')  # what a kill leaves
    again = sweep.Record("icarus", 1, tmp_path)
    assert sorted(again.done) == [0, 1, 2, 3]
    assert [again.done[number]["failure"] for number in range(4)] == [None, None, "it fails", None]
    assert sweep.Record("icarus", 2, tmp_path).done == sweep.Record("verilator", 1, tmp_path).done == {}
    monkeypatch.setattr(sweep, "sources", lambda: "others")
    assert sweep.Record("icarus", 1, tmp_path).done == {}
    assert all(json.loads(line)["design"] for line in (tmp_path / "icarus.1.jsonl").read_text().splitlines()[:4])


@pytest.mark.parametrize("step", ["emit", "lint.check", "run"])
@pytest.mark.parametrize("error", [tools.ToolError("Yosys: ERROR: no"), ValueError("not legal"), AssertionError()], ids=repr)
def test_what_fails_is_that_configurations_failure_and_the_sweep_goes_on(step, error, tmp_path, monkeypatch):
    emission = emit(DESIGNS["float_decoder"], ["lanes=1"])
    calls = iter(range(100))

    def fails_at_1(value):
        if next(calls) == 1:
            raise error
        return value

    class Holds:
        failure = None

    steps = {"emit": lambda *_: emission, "lint.check": lambda _: None, "run": lambda _: Holds}
    for name, good in steps.items():
        step_of = (lambda *_, good=good: fails_at_1(good(*_))) if name == step else good
        monkeypatch.setattr(f"narrowfloat.sweep.{name}", step_of)
    told, record = Told(), sweep.Record("icarus", 1, tmp_path)
    sweep.sweep(record, "icarus", 1, range(4), told)
    failures = [record.done[number]["failure"] for number in range(4)]
    assert told.done == 4 and len([failure for failure in failures if failure]) == 1
    (failure,) = filter(None, failures)
    assert all(record.done[number]["seconds"] >= 0 for number in range(4))
    assert failure == (str(error) if isinstance(error, tools.ToolError) else f"{type(error).__name__}: {error}")


def test_full_disk_is_not_a_configurations_failure(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(sweep, "emit", full)
    record = sweep.Record("icarus", 1, tmp_path)
    with pytest.raises(OSError, match="No space left"):
        sweep.sweep(record, "icarus", 1, range(4), Told())
    assert record.done == {}


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("missing", [tools.YOSYS, tools.VERILATOR, tools.ICARUS], ids=lambda tool: tool.name)
def test_missing_tool_is_refused_before_anything_is_put_down(missing, simulator, tmp_path, monkeypatch, capsys):
    """The linters are both needed, whatever the simulator."""
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(tmp_path))
    find = type(missing).find

    def hidden(tool):
        if tool == missing:
            raise tools.ToolError(f"{tool.name} is missing: {tool.package}")
        return find(tool)

    monkeypatch.setattr(type(missing), "find", hidden)
    assert main(["sweep", "--count", "2", "--sim", simulator]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == f"narrowfloat sweep: {missing.name} is missing: {missing.package}\n"
    assert not list(tmp_path.rglob("*.jsonl"))
