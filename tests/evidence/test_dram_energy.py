"""The energy model's parts against figures worked out by hand, and the committed results against the model."""

import pytest

from evidence.claims import dram_energy, fp8_training
from evidence.claims.dram_energy import DRAMS, EXPERIMENT, energy_mj, largest_beta, needed_tau, saving
from evidence.harness import experiment
from evidence.harness.command import main
from evidence.training.arms import CALIBRATION, TYPES

each_dram = pytest.mark.parametrize("dram", DRAMS, ids=lambda dram: dram.name.split()[0])
TRAFFIC = {type: {"read": 3000, "written": 1000} for type in TYPES} | {"parameters": 100}


def test_ddr4_by_hand():
    dram = DRAMS[0]
    assert dram.burst_bytes == 8 and dram.row_bytes == 1024
    assert dram.activate_pj == pytest.approx(1.2 * 0.63 * (57 * 74 - 52 * 52 - 37 * 22))
    assert dram.read_pj == pytest.approx(1.2 * (168 - 52) * 4 * 0.63)
    assert dram.write_pj == pytest.approx(1.2 * (150 - 52) * 4 * 0.63)
    assert dram.refresh_mw == pytest.approx(1.2 * (250 - 52) * 560 / 12480)


@each_dram
def test_parts_add_up(dram):
    """A second of nothing costs background and refresh; bytes cost the same whenever they come."""
    assert energy_mj(dram, (0, 0), 1000, "standby") == (0, pytest.approx(dram.open_mw + dram.refresh_mw))
    read, written = (energy_mj(dram, moved, 0, "standby")[0] for moved in ((1e6, 0), (0, 1e6)))
    assert energy_mj(dram, (1e6, 1e6), 1000, "standby")[0] == pytest.approx(read + written)


@each_dram
def test_idle_states_agree_where_there_is_no_idle_time(dram):
    moved = 3e9, 1e9
    time = dram_energy.busy_ms(dram, moved)
    standby, power_down = (sum(energy_mj(dram, moved, time, idle)) for idle in ("standby", "power-down"))
    assert standby == pytest.approx(power_down)
    assert sum(energy_mj(dram, moved, 2 * time, "power-down")) < sum(energy_mj(dram, moved, 2 * time, "standby"))


def test_saving_at_both_ends():
    assert saving(0, 0.25, 1) == 4 and saving(1, 0.25, 1) == 1
    assert saving(0.7, 0.25, 0.25) == pytest.approx(4)


def test_inverses_of_the_saving():
    assert saving(largest_beta(0.31, 3.07), 0.31, 1) == pytest.approx(3.07)
    assert saving(0.4, 0.31, needed_tau(0.4, 0.31, 3.07)) == pytest.approx(3.07)
    assert needed_tau(0.4, 0.35, 3.07) is None


def test_bytes_of_an_epoch():
    assert dram_energy.epoch_bytes(TRAFFIC, False, False).tolist() == [48000, 16000]
    assert dram_energy.epoch_bytes(TRAFFIC, True, False).tolist() == [12000, 4000]
    assert dram_energy.epoch_bytes(TRAFFIC, False, True).tolist() == [48800, 16400]
    assert dram_energy.epoch_bytes(TRAFFIC, True, True).tolist() == [12800, 4800]


def test_rows_follow_the_formula():
    rows = dram_energy.evaluate(TRAFFIC)
    assert len(rows) == 2 * len(DRAMS) * 2 * len(dram_energy.UTILIZATIONS)
    share = CALIBRATION / dram_energy.EPOCHS
    for row in rows:
        if not row["optimizer_state"]:
            assert row["s"] == pytest.approx(share + (1 - share) / 4)
            assert row["s_energy"] == pytest.approx(row["s"])
        assert row["same_time"] == pytest.approx(saving(row["beta"], row["s_energy"], 1))
        assert 1 < row["same_time"] < row["memory_bound"] < 4


def test_committed_results_are_the_models():
    committed = EXPERIMENT.read()
    traced = fp8_training.EXPERIMENT.read()
    assert committed["traffic"]["per_epoch"] == traced["traffic_per_epoch"]["mnist"]
    assert committed["drams"] == [dram._asdict() for dram in DRAMS]
    for row, wanted in zip(committed["rows"], dram_energy.evaluate(committed["traffic"]["per_epoch"]), strict=True):
        assert row == {key: pytest.approx(value, abs=1e-6) for key, value in wanted.items()}


def test_command_prints_what_is_committed(tmp_path, capsys):
    assert main(["dram_energy", "--json", str(tmp_path / "again.json")]) == 0
    assert (tmp_path / "again.json").read_text() == EXPERIMENT.committed.read_text()
    assert "Authors: 3.07" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "{"])
def test_an_unreadable_trace_is_one_line(text, tmp_path, monkeypatch, capsys):
    path = tmp_path / "fp8_training.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(experiment, "COMMITTED", tmp_path)
    assert main(["dram_energy"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
