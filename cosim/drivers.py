"""Both ends of an AXI4-Stream block, and the packing of arrays into its ports."""

import os
from pathlib import Path

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from narrowfloat.cosim.report import PROGRESS_EVERY, ProtocolError, add_to_report
from narrowfloat.golden.reference.streams import Port

RESET_CYCLES = 3


class AxiStream:
    """Drives the ``s_axis`` port of a block and takes what leaves at ``m_axis``, all in one coroutine, for speed.

    Parameters
    ----------
    dut : cocotb handle
    manifest : dict
    """

    def __init__(self, dut, manifest):
        self.dut = dut
        self.input_data, self.input_user = Port(manifest, "s_axis_tdata"), Port(manifest, "s_axis_tuser")
        self.output_data, self.output_user = Port(manifest, "m_axis_tdata"), Port(manifest, "m_axis_tuser")
        self.lanes = manifest["parameters"].get("lanes", 1)
        self.cycles = 0
        self.beats = 0
        self._edge = RisingEdge(dut.clk)
        self._progress = Path(os.environ["NARROWFLOAT_PROGRESS"])
        low = any(port["name"] == "rst_n" for port in manifest["ports"])
        self._reset, self._in_reset = (dut.rst_n, 0) if low else (dut.rst, 1)

    async def start(self):
        """Start the clock and reset the block."""
        Clock(self.dut.clk, 10, unit="ns").start()
        self._drive_idle()
        await self.reset()

    async def reset(self):
        """Hold reset for some cycles, whatever the block is doing."""
        self._reset.value = self._in_reset
        await ClockCycles(self.dut.clk, RESET_CYCLES)
        self._reset.value = 1 - self._in_reset
        self._drive_idle()
        await self._edge

    def _drive_idle(self):
        self.dut.s_axis_tvalid.value = 0
        self.dut.m_axis_tready.value = 0

    def pack(self, data, user, last):
        """Beats for `send`: `data` is [beats, lanes], or such arrays by field name; `user` those by field name; `last` is [beats]."""
        count = len(last)
        data = data if isinstance(data, dict) else {"lane": data}
        rows = self.input_data.pack(count, data), self.input_user.pack(count, user)
        return list(zip(*map(_to_ints, rows), last.tolist(), strict=True))

    async def send(self, beats, idle=None, stall=None, until_accepted=None, results=None):
        """Send `beats` and return those that leave, as (data, user arrays by field name, last [beats]).

        Data is the array of lanes [beats, lanes], or arrays by field name where a block gives out something else.

        Parameters
        ----------
        beats : list
            From `pack`.
        idle, stall : bool arrays, optional
            Cycles in which no beat is offered, or none is taken; repeated for as long as it takes. Default never.
        until_accepted : int, optional
            Stop, with beats still inside, once this many have been accepted.
        results : int, optional
            How many beats leave. Default one for each.

        Raises
        ------
        ProtocolError
            A beat that waited changed, or more cycles went by than the beats can need.
        """
        dut, edge = self.dut, self._edge
        s_valid, s_ready, s_data, s_last = dut.s_axis_tvalid, dut.s_axis_tready, dut.s_axis_tdata, dut.s_axis_tlast
        m_valid, m_ready, m_data, m_last = dut.m_axis_tvalid, dut.m_axis_tready, dut.m_axis_tdata, dut.m_axis_tlast
        s_user = dut.s_axis_tuser if self.input_user.words else None
        m_user = dut.m_axis_tuser if self.output_user.words else None
        idle = np.zeros(1, bool) if idle is None else idle
        stall = np.zeros(1, bool) if stall is None else stall
        idle, stall = idle.tolist(), stall.tolist()
        limit = (len(beats) + 16) * (2 + len(idle) + len(stall))
        offered, accepted, ready, cycle, held = False, 0, False, 0, None
        count, received = len(beats), []
        wanted = count if results is None else results
        m_ready.value = 0
        while len(received) < wanted or accepted < count if until_accepted is None else accepted < until_accepted:
            if not offered and accepted < count and not idle[cycle % len(idle)]:
                offered = True
                data, user, last = beats[accepted]
                s_data.value = data
                s_last.value = last
                if s_user is not None:
                    s_user.value = user
                s_valid.value = 1
            elif not offered:
                s_valid.value = 0
            if ready is stall[cycle % len(stall)]:
                ready = not ready
                m_ready.value = ready
            await edge
            cycle += 1
            if offered and s_ready.value:
                offered = False
                accepted += 1
                if accepted % PROGRESS_EVERY == 0:
                    self._progress.write_text(str(self.beats + accepted))
            if m_valid.value:
                beat = (m_data.value, 0 if m_user is None else m_user.value, m_last.value)
                if held not in (None, beat):
                    raise ProtocolError(f"beat {len(received)} changed while it waited: {_spell(held)} became {_spell(beat)}")
                held = None if ready else beat
                if ready:
                    received.append(beat)
            elif held is not None:
                raise ProtocolError(f"beat {len(received)} was taken back while it waited: {_spell(held)}")
            if cycle > limit:
                raise ProtocolError(
                    f"after {cycle} cycles {accepted} of {count} beats were accepted and {len(received)} of {wanted} came out"
                )
        s_valid.value = 0
        self.cycles += cycle
        self.beats += accepted
        return self._unpack(received)

    def report(self, vectors_per_beat):
        """Count the beats since the last report as vectors of the run, and the cycles."""
        add_to_report(self.beats * vectors_per_beat, self.cycles)
        self.beats = self.cycles = 0

    def _unpack(self, received):
        data, user, last = zip(*received) if received else ((), (), ())
        columns_of_data = self.output_data.unpack(_to_rows(data, self.output_data.words))
        columns = self.output_user.unpack(_to_rows(user, self.output_user.words))
        return columns_of_data.get("lane", columns_of_data), columns, np.array([bool(value) for value in last])


def _to_ints(rows):
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def _to_rows(values, words):
    if not words:
        return np.empty((len(values), 0), np.uint32)
    joined = b"".join(int(value).to_bytes(4 * words, "little") for value in values)
    return np.frombuffer(joined, "<u4").reshape(len(values), words)


def _spell(beat):
    data, user, last = beat
    return f"tdata {data}, tuser {user}, tlast {last}"
