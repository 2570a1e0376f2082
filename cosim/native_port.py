"""An emitted memory port at native speed: whole tensors through the pins of all four streams, and registers over AXI4-Lite.

A beat is offered in every cycle and one is taken in every cycle. Idle cycles and back-pressure are for the bench.
"""

import ctypes
import json

import numpy as np
from narrowfloat.cosim import build
from narrowfloat.cosim.report import Mismatch
from narrowfloat.golden.memory import SLOTS, CoreBeats, MemoryBeats
from narrowfloat.golden.reference.streams import Port

WORD_BYTES = 4
_RESPONSES = {0: "OKAY", 2: "SLVERR", 3: "DECERR", 4: "none"}
_SETTLING = 1000  # reads of a status; estimators take some forty cycles


class _Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("taken", "given", "cycles", "stalls")]


class NativePort:
    """An instance of an emitted memory port.

    Parameters
    ----------
    manifest : pathlib.Path
        The MODULE.json of the design, beside its MODULE.sv.

    Attributes
    ----------
    beats, cycles : int
        How many have passed the core's faces, and the clock cycles that took.
    stalls : int
        In how many cycles the write side did not take the beat that was offered.

    Raises
    ------
    narrowfloat.tools.ToolError
        Verilator or the C++ compiler is missing or fails.
    """

    def __init__(self, manifest):
        self.manifest = json.loads(manifest.read_text())
        self.lanes = self.manifest["parameters"]["lanes"]
        self.types = self.manifest["parameters"]["types"]
        self.beats = self.cycles = self.stalls = 0
        self._registers = {register["name"]: register for register in self.manifest["registers"]}
        self._core_user, self._memory_user = Port(self.manifest, "s_core_tuser"), Port(self.manifest, "m_mem_tuser")
        fields = {"names": ("keep", "user", "last", "data"), "formats": ("<u8", "<u8", "<u4", ("<u4", (self.lanes,)))}
        self._beat = np.dtype(fields, align=True)
        self._library = library = ctypes.CDLL(str(build.library(manifest.with_suffix(".sv"), "native_port.cpp")))
        library.port_new.restype = ctypes.c_void_p
        library.port_beat_bytes.restype = ctypes.c_uint64
        library.port_delete.argtypes = (ctypes.c_void_p,)
        for move in (library.port_write, library.port_read):
            move.restype = None
            beats = (ctypes.c_void_p, ctypes.c_uint64)
            move.argtypes = (ctypes.c_void_p, *beats, *beats, ctypes.POINTER(_Counts))
        library.port_poke.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)
        library.port_peek.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32))
        assert library.port_beat_bytes() == self._beat.itemsize
        self._handle = library.port_new()

    def __del__(self):
        if hasattr(self, "_handle"):
            self._library.port_delete(self._handle)

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
        user = self._core_user.pack(len(beats), {"type": beats.type, "bypass": beats.bypass.astype(np.uint8)})
        rows = self._rows(beats.words, beats.keep, user, beats.last)
        results, counts = self._move(self._library.port_write, rows, len(beats))
        self.beats += len(beats)
        self.stalls += counts.stalls
        user = self._fields(self._memory_user, results)
        return MemoryBeats(
            bytes=np.ascontiguousarray(results["data"]).view(np.uint8),
            keep=self._keep(results),
            last=results["last"].astype(bool),
            **user | {name: user[name].astype(bool) for name in ("bypass", "packed", "squeezed") if name in user},
        )

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
        fields = {name: getattr(beats, name) for name in self._memory_user.fields}
        fields |= {name: field.astype(np.uint8) for name, field in fields.items() if field.dtype == bool}
        user = self._memory_user.pack(len(beats), fields)
        rows = self._rows(np.ascontiguousarray(beats.bytes).view("<u4"), beats.keep, user, beats.last)
        results, _ = self._move(self._library.port_read, rows, SLOTS * len(beats))
        self.beats += len(results)
        user = self._fields(self._core_user, results)
        return CoreBeats(
            words=np.ascontiguousarray(results["data"]),
            keep=self._keep(results),
            type=user["type"],
            bypass=user["bypass"].astype(bool),
            last=results["last"].astype(bool),
        )

    def poke(self, name, **fields):
        """Write the register `name` with `fields`, all others zero; it counts for tensors that start hereafter.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The port does not answer, or does not approve.
        """
        register = self._registers[name]
        word = sum(fields.pop(field["name"], 0) << field["lsb"] for field in register["fields"])
        if fields:
            raise ValueError(f"{name} has no field {', '.join(fields)}")
        self._approved(f"writing {name}", self._library.port_poke(self._handle, register["address"], word))

    def peek(self, name):
        """The fields of the register `name`: int by name.

        Raises
        ------
        narrowfloat.cosim.report.Mismatch
            The port does not answer, or does not approve.
        """
        register = self._registers[name]
        word = ctypes.c_uint32()
        self._approved(f"reading {name}", self._library.port_peek(self._handle, register["address"], word))
        return {
            field["name"]: word.value >> field["lsb"] & (1 << field["msb"] - field["lsb"] + 1) - 1
            for field in register["fields"]
        }

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

    def _move(self, move, rows, room):
        results, counts = np.empty(room, self._beat), _Counts()
        move(self._handle, rows.ctypes.data, len(rows), results.ctypes.data, room, counts)
        self.cycles += counts.cycles
        results = results[: counts.given]
        if counts.taken != len(rows) or results["last"].sum() != rows["last"].sum():
            moved = f"took {counts.taken} of {len(rows)} beats, and gave {counts.given} in which the last tensor does not end"
            raise Mismatch(f"{self.manifest['module']}: {move.__name__.removeprefix('port_')} {moved}")
        return results, counts

    def _rows(self, words, keep, user, last):
        rows = np.zeros(len(words), self._beat)
        rows["data"], rows["last"] = words, last
        rows["user"] = np.pad(user, ((0, 0), (0, 2 - user.shape[1]))).view("<u8")[:, 0]
        packed = np.packbits(keep, axis=1, bitorder="little")
        rows["keep"] = np.pad(packed, ((0, 0), (0, 8 - packed.shape[1]))).view("<u8")[:, 0]
        return rows

    def _keep(self, results):
        packed = np.ascontiguousarray(results["keep"])[:, None].view(np.uint8)
        return np.unpackbits(packed, axis=1, count=WORD_BYTES * self.lanes, bitorder="little").astype(bool)

    def _fields(self, port, results):
        """The fields of TUSER by name. Where there is one type it has none for it."""
        words = np.ascontiguousarray(results["user"])[:, None].view("<u4")[:, : port.words]
        none = {"type": np.zeros(len(results), np.uint8)}
        return none | {name: values[:, 0] for name, values in port.unpack(np.ascontiguousarray(words)).items()}

    def _approved(self, doing, response):
        if response:
            raise Mismatch(f"{self.manifest['module']}: {doing} has the response {_RESPONSES[response]}")
