"""How much DRAM energy a training saves whose tensors are stored in eight bits.

The claim, as reported by the authors of Sadi et al. 2024, DOI 10.1007/s10617-024-09282-2: 3.07 times less over 50 epochs, of
which 4 are in FP32. Here: the traffic that `fp8_training` counted in its MNIST CNN, and the current-based formulas of
Micron's technical notes TN-41-01 (DDR3) and TN-46-12 (mobile DRAM) with the currents of three data sheets.

With s the share of the FP32 run's bytes that is left, beta the share of its energy that is bound to time (refresh and
background), and tau the ratio of the run times, the saving is 1 / ((1 - beta) s + beta tau). It lies between two ends: tau = 1,
where computing sets the pace, and tau = s, where memory does.

Left out, on both sides: output drivers and termination, DDR4's VPP supply, the controller and the codec in it, and the rows
that scattered accesses would open beside those that streams do.
"""

from collections import namedtuple
from itertools import product

import numpy as np

from evidence.claims import fp8_training
from evidence.harness.experiment import Experiment
from evidence.harness.report import new_table
from evidence.training.arms import CALIBRATION, TYPES

EPOCHS = 50
AUTHORS_SAVING = 3.07
UTILIZATIONS = (0.1, 0.3, 0.6, 0.9)
SOURCE = "github.com/umd-memsys/DRAMsim3 at 29817593b3389f1337235d63cac515024ab8fd6e, configs/"


_SHEET = "name source width burst columns vdd tck tras trp trfc trefi idd0 idd2p idd2n idd3n idd4r idd4w idd5"


class Dram(namedtuple("Dram", _SHEET)):
    """One device. Currents are in mA, times in cycles of `tck` ns, both as `source` has them from the vendor's data sheet.

    idd0: activate and precharge, one after the other every tRC. idd2p, idd2n, idd3n: banks closed in power-down, closed, open.
    idd4r, idd4w: reading and writing without a pause. idd5: refresh without a pause.
    """

    @property
    def burst_bytes(self):
        return self.burst * self.width / 8

    @property
    def row_bytes(self):
        return self.columns * self.width / 8

    @property
    def burst_ns(self):
        """Two transfers a cycle."""
        return self.burst / 2 * self.tck

    # mA * V * ns = pJ, and mA * V = mW

    @property
    def activate_pj(self):
        """Opening and closing a row, beyond what open and closed banks take anyway."""
        trc = self.tras + self.trp
        return self.vdd * (self.idd0 * trc - self.idd3n * self.tras - self.idd2n * self.trp) * self.tck

    @property
    def read_pj(self):
        """A burst, beyond what open banks take anyway. Without the current of the output drivers."""
        return self.vdd * (self.idd4r - self.idd3n) * self.burst_ns

    @property
    def write_pj(self):
        return self.vdd * (self.idd4w - self.idd3n) * self.burst_ns

    @property
    def refresh_mw(self):
        return self.vdd * (self.idd5 - self.idd3n) * self.trfc / self.trefi

    @property
    def open_mw(self):
        return self.vdd * self.idd3n

    @property
    def power_down_mw(self):
        return self.vdd * self.idd2p


DRAMS = (
    Dram(
        name="DDR4-3200 8 Gb x8",
        source=SOURCE + "DDR4_8Gb_x8_3200.ini",
        width=8,
        burst=8,
        columns=1024,
        vdd=1.2,
        tck=0.63,
        tras=52,
        trp=22,
        trfc=560,
        trefi=12480,
        idd0=57,
        idd2p=25,
        idd2n=37,
        idd3n=52,
        idd4r=168,
        idd4w=150,
        idd5=250,
    ),
    Dram(
        name="LPDDR4-2400 8 Gb x16",
        source=SOURCE + "LPDDR4_8Gb_x16_2400.ini",
        width=16,
        burst=16,
        columns=1024,
        vdd=1.2,
        tck=0.83,
        tras=32,
        trp=15,
        trfc=392,
        trefi=8660,
        idd0=80,
        idd2p=25,
        idd2n=34,
        idd3n=47,
        idd4r=243,
        idd4w=228,
        idd5=280,
    ),
    Dram(
        name="HBM2 8 Gb x128",
        source=SOURCE + "HBM2_8Gb_x128.ini",
        width=128,
        burst=4,
        columns=64,
        vdd=1.2,
        tck=1.0,
        tras=34,
        trp=14,
        trfc=260,
        trefi=3900,
        idd0=65,
        idd2p=28,
        idd2n=40,
        idd3n=55,
        idd4r=390,
        idd4w=500,
        idd5=250,
    ),
)


def epoch_bytes(traffic, narrow, state):
    """The bytes that an epoch reads and writes, an array of two.

    Parameters
    ----------
    traffic : dict
        Numbers "read" and "written" by tensor type, and "parameters": see `evidence.training.traffic.Traffic`.
    narrow : bool
        Whether tensors are stored in FP8, otherwise in FP32.
    state : bool
        Whether the optimizer's own numbers count too, four bytes each: reading and writing a momentum for each parameter,
        reading the weight and, if tensors are stored in FP8, writing it to the master copy as well.
    """
    size = 1 if narrow else 4
    moved = np.array([size * sum(traffic[type][way] for type in TYPES) for way in ("read", "written")])
    return moved + np.array([2, 2 if narrow else 1]) * (4 * traffic["parameters"]) if state else moved


def energy_mj(dram, moved, milliseconds, idle):
    """(bound to bytes, bound to time) of one device in mJ that reads and writes the two numbers `moved` of bytes in some time.

    Every row that is opened is used whole, so one activation goes with each `dram.row_bytes`. Between transfers the banks stay
    open (`idle` "standby"), or the device is in power-down with banks closed ("power-down", which takes and costs no time to
    enter: the least that waiting can cost).
    """
    read, written = moved
    bursts_pj = dram.read_pj * read / dram.burst_bytes + dram.write_pj * written / dram.burst_bytes
    rows_pj = dram.activate_pj * sum(moved) / dram.row_bytes
    by_bytes = (bursts_pj + rows_pj) * 1e-9
    always_mw = dram.open_mw
    if idle == "power-down":
        always_mw = dram.power_down_mw
        by_bytes += (dram.open_mw - always_mw) * busy_ms(dram, moved) * 1e-3
    return by_bytes, (always_mw + dram.refresh_mw) * milliseconds * 1e-3


def busy_ms(dram, moved):
    """How long the data bus of one device is busy with these bytes."""
    return sum(moved) / dram.burst_bytes * dram.burst_ns * 1e-6


def saving(beta, s, tau):
    return 1 / ((1 - beta) * s + beta * tau)


def needed_tau(beta, s, wanted):
    """The ratio of run times with which the saving is `wanted`, or None: memory sets the pace at the most, so tau is s or
    more."""
    tau = (1 / wanted - (1 - beta) * s) / beta
    return tau if tau >= s else None


def largest_beta(s, wanted):
    """The largest share bound to time with which a run that takes as long as before still saves `wanted` times; below 0:
    none."""
    return (1 / wanted - s) / (1 - s)


def evaluate(traffic):
    """Rows of results: for each account of bytes, DRAM, idle state and utilization of the FP32 run."""
    rows = []
    for state in (False, True):
        wide, narrow = (epoch_bytes(traffic, is_narrow, state) for is_narrow in (False, True))
        before = wide * EPOCHS
        after = wide * CALIBRATION + narrow * (EPOCHS - CALIBRATION)
        s = sum(after) / sum(before)
        for dram, idle, utilization in product(DRAMS, ("standby", "power-down"), UTILIZATIONS):
            by_bytes, by_time = energy_mj(dram, before, busy_ms(dram, before) / utilization, idle)
            beta = by_time / (by_bytes + by_time)
            # s, but for the share of reads in it, which the optimizer's state changes a little
            bytes_left = energy_mj(dram, after, 0, idle)[0] / by_bytes
            rows.append(
                {
                    "optimizer_state": state,
                    "dram": dram.name,
                    "idle": idle,
                    "utilization": utilization,
                    "energy_mj": by_bytes + by_time,
                    "pj_per_bit": (by_bytes + by_time) * 1e9 / (8 * sum(before)),
                    "s": s,
                    "s_energy": bytes_left,
                    "beta": beta,
                    "same_time": saving(beta, bytes_left, 1),
                    "memory_bound": saving(beta, bytes_left, s),
                    "tau_of_authors_saving": needed_tau(beta, s, AUTHORS_SAVING),
                }
            )
    return rows


def tables(found):
    for state in (False, True):
        rows = [row for row in found["rows"] if row["optimizer_state"] == state]
        account = "tensors and the optimizer's FP32 state" if state else "the four tensor types"
        s = rows[0]["s"]
        cells = (
            (
                *((row["dram"], row["idle"]) if row["utilization"] == UTILIZATIONS[0] else ("", "")),
                f"{row['utilization']:.0%}",
                f"{row['pj_per_bit']:.2f}",
                f"{row['beta']:.3f}",
                f"{row['same_time']:.2f}",
                f"{row['memory_bound']:.2f}",
                f"{row['tau_of_authors_saving']:.3f}" if row["tau_of_authors_saving"] else "none",
            )
            for row in rows
        )
        table = new_table(
            f"DRAM energy, {account}: s = {s:.4f}",
            ["DRAM", "between transfers"],
            ["utilization", "pJ/bit", "beta", "saving, tau = 1", "saving, tau = s", f"tau for {AUTHORS_SAVING}"],
            cells,
        )
        limit = largest_beta(s, AUTHORS_SAVING)
        within = f"only with beta up to {limit:.3f}" if limit > 0 else "at no beta"
        table.caption = f"Authors: {AUTHORS_SAVING}. With tau = 1 that is reached {within}; with tau = s, at most {1 / s:.2f}."
        yield table


def measure():
    """All that goes into the JSON file."""
    traced = fp8_training.EXPERIMENT.read()
    traffic = traced["traffic_per_epoch"]["mnist"]
    return {
        "traffic": {"from": traced["command"], "task": "mnist", "per_epoch": traffic},
        "epochs": {"all": EPOCHS, "fp32": CALIBRATION},
        "authors_saving": AUTHORS_SAVING,
        "drams": [dram._asdict() for dram in DRAMS],
        "rows": [
            {key: round(float(v), 6) if isinstance(v, float) else v for key, v in row.items()} for row in evaluate(traffic)
        ],
    }


EXPERIMENT = Experiment(name="dram_energy", doc=__doc__, measure=measure, tables=tables)
