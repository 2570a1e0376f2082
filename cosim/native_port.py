"""An emitted memory port at native speed: whole tensors through the pins of all four streams, and registers over AXI4-Lite.

A beat is offered in every cycle and one is taken in every cycle. Idle cycles and back-pressure are for the bench.
"""

import ctypes
from typing import ClassVar

import numpy as np
from narrowfloat.cosim.native import Native
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.memory import SLOTS
from narrowfloat.golden.reference import Interface, Stream, load

_RESPONSES = {0: "OKAY", 2: "SLVERR", 3: "DECERR", 4: "none"}
_SETTLING = 1000  # reads of a status; estimators take some forty cycles
_POINTER, _NUMBER, _WORD = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32


class _Counts(ctypes.Structure):
    _fields_ = [(name, _NUMBER) for name in ("taken", "given", "cycles", "stalls")]


_MOVE = (None, _POINTER, _POINTER, _NUMBER, _POINTER, _NUMBER, ctypes.POINTER(_Counts))


class NativePort(Native):
    """An instance of an emitted memory port.

    Attributes
    ----------
    reference : narrowfloat.golden.reference.memory.MemoryPort
        Of which nothing but the layout of beats and registers is used.
    beats, cycles : int
        How many have passed the core's faces, and the clock cycles that took.
    stalls : int
        In how many cycles the write side did not take the beat that was offered.
    """

    driver = "native_port.cpp"
    functions: ClassVar = {
        "port_beat_bytes": (_NUMBER,),
        "port_write": _MOVE,
        "port_read": _MOVE,
        "port_poke": (_WORD, _POINTER, _WORD, _WORD),
        "port_peek": (_WORD, _POINTER, _WORD, ctypes.POINTER(_WORD)),
    }

    def __init__(self, manifest):
        super().__init__(manifest)
        self.reference = load(self.manifest)
        self.lanes, self.types = self.reference.lanes, self.reference.types
        self.beats = self.cycles = self.stalls = 0
        # `Beat` of the driver
        formats = {"keep": ("u1", (8,)), "user": ("<u4", (2,)), "last": "<u4", "data": ("<u4", (self.lanes,))}
        layout = {"names": [*formats], "formats": [*formats.values()], "offsets": [0, 8, 16, 20]}
        self._beat = np.dtype(layout | {"itemsize": self._library.port_beat_bytes()})

    def write(self, beats):
        """Write to memory. Other threads may use other instances meanwhile.

        Parameters
        ----------
        beats : golden.memory.CoreBeats
            Of whole tensors.

        Returns
        -------
        golden.memory.MemoryBeats
            What comes out of the memory's face.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The tensors' ends do not come out.
        """
        written, counts = self._move(self._library.port_write, "s_core", beats, "m_mem", len(beats))
        self.beats += len(beats)
        self.stalls += counts.stalls
        return written

    def read(self, beats):
        """Read from memory.

        Parameters
        ----------
        beats : golden.memory.MemoryBeats
            As `write` gives them.

        Returns
        -------
        golden.memory.CoreBeats

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The tensors' ends do not come out.
        """
        read, _ = self._move(self._library.port_read, "s_mem", beats, "m_core", SLOTS * len(beats))
        self.beats += len(read)
        return read

    def poke(self, name, **fields):
        """Write the register `name` with `fields`, all others zero; it counts for tensors that start hereafter.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The port does not answer, or does not approve.
        """
        word = self.reference.pack_fields(name, fields)
        self._approved(f"writing {name}", self._library.port_poke(self._handle, self._address(name), word))

    def peek(self, name):
        """The fields of the register `name`: int by name; raises as `peek_word`."""
        return self.reference.unpack_fields(name, self.peek_word(name))

    def peek_word(self, name):
        """The register `name`.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The port does not answer, or does not approve.
        """
        word = _WORD()
        self._approved(f"reading {name}", self._library.port_peek(self._handle, self._address(name), word))
        return word.value

    def settle(self, type):
        """Wait until no estimator of `type` is busy: the next tensor gets its last word on the bias, and it misses no beat.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            They stay busy.
        """
        for _ in range(_SETTLING):
            if not self.peek(f"STATUS{type}")["busy"]:
                return
        raise Mismatch(f"{self.manifest['module']}: estimators of type {type} stay busy")

    def _move(self, move, source, beats, sink, room):
        stream, port = self.reference.stream(beats), Interface(self.manifest, source)
        rows = np.zeros(len(beats), self._beat)
        rows["data"], rows["last"] = port.data.pack(len(beats), stream.data), stream.last
        rows["user"][:, : port.user.words] = port.user.pack(len(beats), stream.user)
        keep = np.packbits(stream.keep, axis=1, bitorder="little")
        rows["keep"][:, : keep.shape[1]] = keep
        results, counts = np.empty(room, self._beat), _Counts()
        move(self._handle, rows.ctypes.data, len(rows), results.ctypes.data, room, counts)
        self.cycles += counts.cycles
        results = results[: counts.given]
        if counts.taken != len(rows) or results["last"].sum() != rows["last"].sum():
            moved = f"took {counts.taken} of {len(rows)} beats, and gave {counts.given} in which the last tensor does not end"
            raise Mismatch(f"{self.manifest['module']}: {move.__name__.removeprefix('port_')} {moved}")
        port = Interface(self.manifest, sink)
        user = port.user.unpack(np.ascontiguousarray(results["user"][:, : port.user.words]))
        keep = np.unpackbits(results["keep"], axis=1, count=port.keep.width, bitorder="little").astype(bool)
        left = Stream({"lane": results["data"]}, user, results["last"].astype(bool), keep=keep)
        return self.reference.beats(sink, left), counts

    def _address(self, register):
        return self.reference.registers[register]["address"]

    def _approved(self, doing, response):
        if response:
            raise Mismatch(f"{self.manifest['module']}: {doing} has the response {_RESPONSES[response]}")
