"""Prints what nextpnr reports of each board as a table of Markdown: `python table.py BOARD...`."""

import json
import sys
from pathlib import Path

DEVICES = {"hx8k": "iCE40HX8K", "icebreaker": "iCE40UP5K", "ulx3s_25f": "LFE5U-25F", "ulx3s_85f": "LFE5U-85F"}
LOGIC = {"ICESTORM_LC": "logic cells", "TRELLIS_COMB": "LUT4"}
MEMORY = ("ICESTORM_RAM", "DP16KD")


def row(board):
    report = json.loads((Path("build") / f"{board}.report").read_text())
    used = report["utilization"]
    logic = next(name for name in LOGIC if name in used)
    memory = next(name for name in MEMORY if name in used)
    (clock,) = report["fmax"].values()
    of = [f"{used[each]['used']} of {used[each]['available']}" for each in (logic, memory)]
    return f"| `{board}` | {DEVICES[board]} | {of[0]} {LOGIC[logic]} | {of[1]} | {clock['achieved']:.1f} MHz |"


print("| board | device | logic | block RAMs | Fmax |", "| --- | --- | --- | --- | ---: |", *map(row, sys.argv[1:]), sep="\n")
