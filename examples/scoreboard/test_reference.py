"""The general way, for any design with one stream in: the reference object that its manifest names."""

import json
import os
from pathlib import Path

import cocotb
from bench import RNG, receive, reset, sink, source
from scoreboard import INPUT, Scoreboard

MANIFEST = json.loads(Path(os.environ["MANIFEST"]).read_text())


@cocotb.test()
@cocotb.parametrize(source_rate=[0, 0.5], sink_rate=[0, 0.5])
async def design_is_its_reference(dut, source_rate, sink_rate):
    scoreboard = Scoreboard(MANIFEST, RNG)
    beats = source(dut, INPUT, 1, source_rate)
    sinks = {name: sink(dut, name, 1, sink_rate) for name in scoreboard.outputs}
    await reset(dut)
    for _ in range(3):  # what the design holds from one packet to the next goes on, in the reference as well
        for frame in scoreboard.frames(200):
            beats.send_nowait(frame)
        for name, end in sinks.items():
            scoreboard.check(name, await receive(end, scoreboard.count(name)))
