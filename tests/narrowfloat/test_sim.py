"""`narrowfloat sim`: any parameters, a folder for each run, paths that nobody quotes, damaged builds."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from narrowfloat.command import main
from narrowfloat.commands import sim
from narrowfloat.cosim import runner
from narrowfloat.cosim.runner import Job, Result, benches, run
from narrowfloat.places import build_folder
from narrowfloat.tools import VERILATOR

TINY = ("lanes=1", "stages=0", "formats=e2m0")


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A build folder of the test's own, in a path with a space and brackets."""
    folder = tmp_path / "a b [c]"
    monkeypatch.setenv("NARROWFLOAT_BUILD", str(folder))
    return folder


@pytest.fixture
def jobs(monkeypatch):
    """Takes the place of simulators: the list of jobs that they were given. Of formats with "m1" they find a failure."""
    found = []

    def simulate(job):
        assert job.source.exists() and job.manifest_path.exists()
        found.append(job)
        parameters = json.loads(job.manifest_path.read_text())["parameters"]
        failure = "corners: lane 0" if "e3m1" in parameters["formats"] else None
        return Result(job, "float_decoder", parameters, 12, 5, 0.5, failure, job.run_folder / "tensors.npz")

    monkeypatch.setattr(sim, "simulate", simulate)
    return found


def test_any_parameters_are_simulated(build, jobs, capsys, require_tool):
    require_tool("iverilog")
    words = [word for setting in TINY for word in ("--set", setting)]
    assert main(["sim", "float_decoder", *words, "--sim", "icarus", "--seed", "9", "--json", str(build.parent / "x.json")]) == 0
    (job,) = jobs
    assert job.module == "float_decoder_e2m0_x1_stages_0"
    assert job.rerun == f"narrowfloat sim float_decoder {' '.join(words)} --sim icarus --seed 9"
    (row,) = json.loads((build.parent / "x.json").read_text())
    assert (row["parameters"]["lanes"], row["seed"], row["vectors"], row["passed"]) == (1, 9, 12, True)
    assert "bit-exact" in capsys.readouterr().out
    assert not list((build / "sim").iterdir())


def test_failed_run_keeps_its_folder_and_each_has_its_own(build, jobs, capsys, require_tool):
    require_tool("iverilog")
    for _ in range(2):
        assert main(["sim", "float_decoder", "--set", "formats=e3m1", "--sim", "icarus"]) == 1
        out = capsys.readouterr().out
        assert "float_decoder_e3m1_x4: corners: lane 0" in out and "logs and waves: " in out
    assert jobs[0].folder != jobs[1].folder and all(job.source.exists() for job in jobs)


def test_shipped_design_names_make_to_do_it_again(build, jobs, require_tool):
    require_tool("iverilog")
    assert main(["sim", "float_decoder_ab_e5m2_x4", "--sim", "icarus"]) == 0
    assert jobs[0].rerun is None
    assert runner._rerun(jobs[0]) == "make sim DESIGN=float_decoder_ab_e5m2_x4 SIM=icarus SEED=1"


def test_design_without_tests_is_one_line():
    with pytest.raises(
        ValueError, match=r"^negate has no tests: there is no reference object no.such:Negate, nor a bench \S+$"
    ):
        benches("negate", "no.such:Negate")


@pytest.mark.parametrize(
    "again, waves, note",
    [
        ("failed", "dump.fst", "waves: .*dump.fst"),
        ("failed", None, "no waves were written"),
        (None, "dump.fst", "with waves it did not fail again"),
    ],
)
def test_what_a_second_run_with_waves_shows(again, waves, note, tmp_path, monkeypatch):
    job = Job(tmp_path, "m", "icarus", seed=1)

    def once(job):
        job.run_folder.mkdir(exist_ok=True)
        if job.waves and waves:
            (job.run_folder / waves).touch()
        return Result(job, "d", {}, 0, 0, 1.0, again if job.waves else "failed", tmp_path / "t")

    monkeypatch.setattr(runner, "_run", once)
    failure = run(job).failure
    assert failure.splitlines()[0] == "failed"
    assert re.fullmatch(note, failure.splitlines()[1])


@pytest.fixture
def decoder(build, emitted):
    """The emitted tiny decoder, in a folder whose path has a space and brackets."""
    emission = emitted("float_decoder", TINY)
    emission.write(build / "rtl")
    return Job(build / "rtl", emission.module, "icarus", seed=1, tests="reset")


def test_path_that_nobody_quotes(decoder, require_tool):
    require_tool("iverilog")
    assert run(decoder).failure is None
    assert run(replace(decoder, waves=True)).failure is None
    assert list(decoder.run_folder.glob("*.fst"))


@pytest.mark.long
def test_path_that_nobody_quotes_with_verilator(decoder, build, require_tool, monkeypatch):
    """The package itself lies in such a path, too."""
    require_tool("g++")
    (build / "site").mkdir()
    (build / "site" / "verilator").symlink_to(VERILATOR.root)
    monkeypatch.syspath_prepend(str(build / "site"))
    assert VERILATOR.find().startswith(str(build / "site"))
    assert run(replace(decoder, simulator="verilator")).failure is None
    assert run(replace(decoder, simulator="verilator", waves=True)).failure is None


def test_damaged_build_is_made_anew(decoder, require_tool):
    require_tool("iverilog")
    assert run(decoder).failure is None
    (program,) = build_folder("simulations").glob("*/simulation")
    program.write_text("not a program")
    assert run(decoder).failure is None
    shutil.rmtree(program.parent)
    program.parent.touch()  # a file where a folder should be
    assert run(decoder).failure is None
