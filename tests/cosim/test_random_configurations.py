"""Random legal configurations of every design, emitted and simulated as a user would who verifies one of their own."""

import json
import random

import pytest
from narrowfloat import sweep
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
    monkeypatch.setattr(sweep, "emit", lambda design, settings: emit(DESIGNS["float_decoder"], ["lanes=1"]))
    monkeypatch.setattr(sweep, "_verified", lambda emission, job: outcomes.get(int(job.folder.name)))
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
