"""Streams of beats, and how they lie in the ports of an emitted design, as its manifest says."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Stream:
    """Beats of an AXI4-Stream.

    Attributes
    ----------
    data, user : dict
        Integers by field name, [beats, columns] or [beats]: those of TDATA and those of TUSER. What is negative is packed in
        two's complement. A field that the design does not have is left out when the beats are packed.
    last : numpy.ndarray
        bool [beats]; default all True.
    origin : numpy.ndarray
        int [beats], of beats that leave: the number of the beat whose arrival completes each. Default one for one.
    keep : numpy.ndarray
        bool [beats, bytes], of a stream with TKEEP; default [beats, 0].
    """

    data: dict
    user: dict = field(default_factory=dict)
    last: np.ndarray | None = None
    origin: np.ndarray | None = None
    keep: np.ndarray | None = None

    def __post_init__(self):
        beats = len(next(iter(self.data.values()))) if self.last is None else len(self.last)
        if self.last is None:
            self.last = np.ones(beats, bool)
        if self.origin is None:
            self.origin = np.arange(beats)
        if self.keep is None:
            self.keep = np.empty((beats, 0), bool)

    def __len__(self):
        return len(self.last)

    def __getitem__(self, rows):
        data, user = ({name: values[rows] for name, values in columns.items()} for columns in (self.data, self.user))
        return Stream(data, user, self.last[rows], keep=self.keep[rows])

    @classmethod
    def join(cls, parts):
        """All beats of the streams `parts`, in their order."""
        data, user = (
            {name: np.concatenate([getattr(part, kind)[name] for part in parts]) for name in getattr(parts[0], kind)}
            for kind in ("data", "user")
        )
        last, keep = (np.concatenate([getattr(part, name) for part in parts]) for name in ("last", "keep"))
        return cls(data, user, last, keep=keep)


class Port:
    """Where the fields of a port lie in rows of 32-bit words.

    Lanes and the like count as one field of several columns, and so does a field of more than 64 bits: its columns are words of
    32 bits, the lowest first.

    Parameters
    ----------
    manifest : dict
    name : str
        Of the port; one that is not there has no fields.

    Attributes
    ----------
    fields : dict
        By name the ranges of bits of all columns, (lsb, msb).
    widths : dict
        By name the bits of a column.
    width, words : int
        Of the port, in bits and in words of 32.
    padding : int
        A mask of the bits that belong to no field and fill TDATA up to whole bytes: packed as zeros.
    """

    def __init__(self, manifest, name):
        port = next((port for port in manifest["ports"] if port["name"] == name), {"width": 0, "fields": []})
        self.fields = {}
        for part in port.get("fields", ()):
            self.fields.setdefault(part["name"].rstrip("0123456789"), []).extend(_columns(part["lsb"], part["msb"]))
        self.widths = {name: ranges[0][1] - ranges[0][0] + 1 for name, ranges in self.fields.items()}
        self.width = port["width"]
        self.padding = ((1 << port.get("padding", 0)) - 1) << self.width - port.get("padding", 0)
        self.words = -(-self.width // 32)
        # Nothing but integers of C, so that arrays need not be copied.
        self.is_array = set(self.widths.values()) <= {8, 16, 32} and len(self.fields) == 1 and self.width % 32 == 0

    def pack(self, count, columns):
        """Rows uint32 [count, words] of arrays [count, columns], [count] or scalars by field name.

        Raises
        ------
        TypeError
            A column is not of integers.
        ValueError
            An integer does not fit its field, neither as an unsigned one nor in two's complement.
        """
        columns = {name: self._checked(name, count, columns[name]) for name in self.fields}
        if self.is_array:
            ((name, values),) = columns.items()
            return np.ascontiguousarray(values, f"<u{self.widths[name] // 8}").view("<u4")
        rows = np.zeros((count, self.words), np.uint32)
        for name, values in columns.items():
            for (lsb, msb), column in zip(self.fields[name], values.T.astype(np.uint64), strict=True):
                for word in range(lsb // 32, msb // 32 + 1):
                    rows[:, word] |= _shift_left(column, lsb - 32 * word).astype(np.uint32)
        return rows

    def _checked(self, name, count, values):
        number, width = len(self.fields[name]), self.widths[name]
        values = np.broadcast_to(np.reshape(values, (-1, number)), (count, number))
        if values.dtype.kind not in "iub":
            raise TypeError(f"{name} must be integers, not {values.dtype}")
        low = -(2 ** (width - 1)) if values.dtype.kind == "i" else 0
        if values.dtype.kind == "i" or 8 * values.dtype.itemsize > width:
            for wrong in values[(values < low) | (values > 2**width - 1)][:1]:
                raise ValueError(f"{name} must be from {low} to {2**width - 1}, not {wrong}")
        return bits_of(values, width) if values.dtype.kind in "ib" else values

    def unpack(self, rows):
        """Arrays [count, columns] by field name, of the smallest unsigned dtype."""
        columns = {}
        for name, ranges in self.fields.items():
            mask = 2 ** self.widths[name] - 1
            dtype = np.min_scalar_type(mask)
            if self.is_array:
                return {name: rows.view(dtype)}
            columns[name] = np.empty((len(rows), len(ranges)), dtype)
            for index, (lsb, msb) in enumerate(ranges):
                value = np.uint64(0)
                for word in range(lsb // 32, msb // 32 + 1):
                    value = value | _shift_left(rows[:, word].astype(np.uint64), 32 * word - lsb)
                columns[name][:, index] = value & np.uint64(mask)
        return columns


class Interface:
    """One AXI4-Stream of a design: `Stream`s to integers for its ports and back.

    Parameters
    ----------
    manifest : dict
    name : str
        The prefix of its ports, as ``s_axis``.
    """

    def __init__(self, manifest, name):
        self.name = name
        self.data, self.user, self.keep = (Port(manifest, f"{name}_t{part}") for part in ("data", "user", "keep"))

    def pack(self, stream):
        """Of each beat TDATA, TUSER, TLAST and, where there is one, TKEEP, ints: a list of tuples."""
        rows = self.data.pack(len(stream), stream.data), self.user.pack(len(stream), stream.user)
        keep = [_to_ints(np.packbits(stream.keep, axis=1, bitorder="little"))] if self.keep.words else []
        return list(zip(*map(_to_ints, rows), stream.last.tolist(), *keep, strict=True))

    def unpack(self, beats):
        """The `Stream` of beats as `pack` gives them, unsigned; values may be whatever `int` takes."""
        data, user, last, *keep = zip(*beats, strict=True) if beats else ((),) * 4
        columns = (port.unpack(_to_rows(values, port.words)) for port, values in ((self.data, data), (self.user, user)))
        return Stream(*columns, np.array([bool(value) for value in last], bool), keep=self._kept(keep[0]) if keep else None)

    def _kept(self, values):
        rows = _to_rows(values, self.keep.words).view(np.uint8)
        return np.unpackbits(rows, axis=1, count=self.keep.width, bitorder="little").astype(bool)


def _columns(lsb, msb):
    """The columns of a field: bit ranges."""
    if msb - lsb < 64:
        return [(lsb, msb)]
    return [(first, min(first + 31, msb)) for first in range(lsb, msb + 1, 32)]


def bits_of(values, width):
    """Integers as the unsigned ones with the same `width` lowest bits: uint64."""
    values = np.asarray(values)
    return values.astype(np.int64 if values.dtype.kind in "ib" else np.uint64).astype(np.uint64) & np.uint64(2**width - 1)


def _shift_left(values, places):
    return values << np.uint64(places) if places >= 0 else values >> np.uint64(-places)


def _to_ints(rows):
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def _to_rows(values, words):
    if not words:
        return np.empty((len(values), 0), np.uint32)
    joined = b"".join(int(value).to_bytes(4 * words, "little") for value in values)
    return np.frombuffer(joined, "<u4").reshape(len(values), words)
