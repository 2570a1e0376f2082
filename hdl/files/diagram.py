"""A timing diagram of an emitted module, with its latency, for WaveDrom."""

import json
from itertools import groupby

import numpy as np
from narrowfloat.golden.reference import load
from narrowfloat.golden.reference.bfp.systolic_array import SystolicArray
from narrowfloat.golden.reference.memory import MemoryPort
from narrowfloat.golden.reference.statistics import Estimator, MedianTracker
from narrowfloat.hdl.files.interfaces import is_buffered

_BEATS = 3
_WIDEST = 24  # columns that are drawn whole


class Timeline:
    """What the rows of a diagram hold, cycle by cycle: 0 and 1, or texts, where None is anything.

    A row has the name of a port, or PORT.FIELD; rows of ports and fields that the module of `manifest` does not have are left
    out.
    """

    def __init__(self, manifest):
        self._names = {port["name"] for port in manifest["ports"]}
        self._names |= {f"{port['name']}.{each['name']}" for port in manifest["ports"] for each in port.get("fields", ())}
        self._rows, self._length = {}, 1

    def has(self, name):
        """Whether there is such a port or field."""
        return name in self._names

    def bit(self, name, cycles, among=None):
        """A row that is 1 in these cycles, and 0 in all others, or if `among` is given in the others among these."""
        values = dict.fromkeys(cycles, 1)
        self._add(name, values if among is None else dict.fromkeys(among, 0) | values, 0 if among is None else None)

    def words(self, name, values):
        """A row of texts by cycle."""
        self._add(name, values, None)

    def beats(self, stream, moves, label, last=(), waits=False, ready=None):
        """Beats of a stream, which move in these cycles, called `label` and their number; those numbered in `last` have TLAST.

        Each is offered in the cycle in which it moves; if it `waits`, the first one is from the beginning, and each of the
        others after the one before. TREADY is 1 where `ready` is, up to the end of that list of cycles, or always.
        """
        moves = list(moves)
        starts = [0, *(cycle + 1 for cycle in moves[:-1])] if waits else moves
        offered = {c: number for number, (start, end) in enumerate(zip(starts, moves)) for c in range(start, end + 1)}
        self.bit(f"{stream}_tvalid", offered)
        if ready is None:
            self._add(f"{stream}_tready", {}, 1)
        else:
            self.bit(f"{stream}_tready", ready, range(max(ready) + 1))
        self.words(f"{stream}_tdata", {cycle: f"{label}{number}" for cycle, number in offered.items()})
        self.bit(f"{stream}_tlast", [cycle for cycle, number in offered.items() if number in last])

    def _add(self, name, values, default):
        if self.has(name):
            self._rows[name] = values, default
            self._length = max(self._length, *(cycle + 2 for cycle in values)) if values else self._length

    def wavedrom(self):
        """The text in WaveDrom's JSON."""
        columns = self._columns()
        rows = [{"name": "clk", "wave": "".join("|" if c is None else "p" if c == 0 else "." for c in columns)}] * self.has(
            "clk"
        )
        shown = [str(c) for c in columns if c is not None]
        rows.append({"name": "cycle", "wave": "".join("|" if c is None else "=" for c in columns), "data": shown})
        rows += [self._row(name, columns) for name in self._rows]
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        return f'{{\n  "signal": [\n{lines}\n  ]\n}}\n'

    def _at(self, name, cycle):
        values, default = self._rows[name]
        return values.get(cycle, default)

    def _columns(self):
        """The cycles that are drawn, with None in place of those in which nothing happens, if there are many."""
        every = range(self._length)
        if self._length <= _WIDEST:
            return list(every)
        changes = {c for c in every if any(self._at(name, c) != self._at(name, c - 1) for name in self._rows)} | {0}
        kept = [c for c in every if {c - 1, c, c + 1} & changes]
        columns = []
        for _, group in groupby(enumerate(kept), lambda pair: pair[1] - pair[0]):
            columns += [*[None] * bool(columns), *(cycle for _, cycle in group)]
        return columns

    def _row(self, name, columns):
        wave, data, before = "", [], object()
        for cycle in columns:
            if cycle is None:
                wave += "|"
                continue
            value = self._at(name, cycle)
            if value == before:
                wave += "."
            elif isinstance(value, str):
                wave += "="
                data.append(value)
            else:
                wave += "x" if value is None else str(value)
            before = value
        return {"name": name, "wave": wave} | ({"data": data} if data else {})


def diagram(manifest):
    """The diagram of the module that `manifest` describes, and a sentence that says what it shows."""
    reference = load(manifest, np.random.default_rng(0))
    timeline = Timeline(manifest)
    kinds = {Estimator: _tensor, MemoryPort: _words, SystolicArray: _tile}
    usual = _held if manifest["initiation_interval"] > 1 else _packet
    draw = next((draw for kind, draw in kinds.items() if isinstance(reference, kind)), usual)
    said = draw(timeline, manifest, reference)
    return timeline.wavedrom(), said


def _packet(timeline, manifest, reference):
    beats = _BEATS if reference.together == 1 else 2 * reference.together
    traffic = reference.random(4 * beats)
    traffic = traffic[np.resize(np.arange(len(traffic)), beats)]
    traffic.last = np.arange(beats) == beats - 1
    timeline.beats("s_axis", range(beats), "x", last=[beats - 1])
    said = f"A packet of {beats} beats, offered and taken without a pause."
    if timeline.has("s_axis_tuser.complete"):
        traffic.user |= {"complete": np.ones(beats, bool), "lower": np.zeros(beats, bool)}
        timeline.bit("s_axis_tuser.complete", range(beats))
        said += " Each beat is the only pass of its pair of groups."
    leaving = reference.model(traffic)
    for stream, result in (leaving if isinstance(leaving, dict) else {"m_axis": leaving}).items():
        cycles = []
        for origin in result.origin.tolist():
            cycles.append(max(origin + manifest["latency"][stream], cycles[-1] + 1 if cycles else 0))
        timeline.beats(stream, cycles, "y" if stream == "m_axis" else "sums", last=np.flatnonzero(result.last))
    return said


def _held(timeline, manifest, reference):
    first, interval = manifest["latency"]["m_axis"], manifest["initiation_interval"]
    results = [first, first + interval]
    timeline.beats("m_axis", results, "y", last=[1])
    if is_buffered(manifest):
        timeline.beats("s_axis", [0, 1], "x", last=[1], ready=[0, 1, *range(first, first + interval)])
        return "Two beats, which are held in the buffer at the input, one after the other, until their results are there."
    taken = [cycle - 1 for cycle in results]
    timeline.beats("s_axis", taken, "x", last=[1], waits=True, ready=taken)
    return "Two beats, one after the other. Each is held at the input until the cycle before its result is there."


def _tensor(timeline, manifest, reference):
    end, latency = _BEATS - 1, manifest["latency"]["bias"]
    timeline.bit("tap_tvalid", range(_BEATS))
    timeline.words("tap_tuser", dict.fromkeys(range(_BEATS), "type 0"))
    timeline.words("tap_tdata", {cycle: f"x{cycle}" for cycle in range(_BEATS)})
    timeline.bit("end_valid", [end])
    timeline.words("end_type", {end: "type 0"})
    if isinstance(reference, MedianTracker):
        timeline.words("bias.type0", {cycle + latency: f"b{cycle}" for cycle in range(_BEATS)})
        return "Three beats of a tensor of type 0, whose bias follows each beat; the end changes nothing."
    timeline.bit("busy.type0", range(end + 1, end + latency))
    timeline.words("bias.type0", dict.fromkeys(range(end + latency), "before") | dict.fromkeys((end + latency,), "after"))
    return f"A tensor of type 0 in {_BEATS} beats, which ends with its last beat. Its beats would be missed while it is busy."


def _words(timeline, manifest, reference):
    for inner, outer in (("s_core", "m_mem"), ("s_mem", "m_core")):
        timeline.beats(inner, range(_BEATS), "x", last=[_BEATS - 1])
        timeline.beats(outer, [cycle + manifest["latency"][outer] for cycle in range(_BEATS)], "x", last=[_BEATS - 1])
    return "Beats of type 0 in mode FP32, as after reset, both ways at once."


def _tile(timeline, manifest, reference):
    buffered = is_buffered(manifest)
    first = reference.rows + 1 + buffered  # after the cycle of the swap
    passes = range(first, first + _BEATS)
    # A buffer takes two beats at once, and others from the cycle after the first pass on.
    taken = [0, 1, *passes[1:-1]] if buffered else list(passes)
    tile = range(reference.rows)
    timeline.beats("s_columns", tile, "w", ready=tile)
    timeline.beats("s_axis", taken, "x", last=[_BEATS - 1], waits=True, ready=taken)
    timeline.bit("s_axis_tuser.swap", range(taken[0] + 1))
    results = [cycle + manifest["latency"]["m_axis"] - buffered for cycle in passes]
    timeline.beats("m_axis", results, "y", last=[_BEATS - 1])
    return (
        f"Stationary: a tile of {reference.rows} beats is loaded, which x0, with `swap`, takes into use. Then {_BEATS} beats "
        "of groups of 2 bits, each a single pass, become results."
    )
