"""The packing of arrays into the ports of an emitted design, by its manifest."""

import numpy as np


class Port:
    """Where the fields of a port lie in rows of 32-bit words; lanes and the like count as one field of several columns.

    Parameters
    ----------
    manifest : dict
    name : str
        Of the port; one that is not there has no fields.
    """

    def __init__(self, manifest, name):
        port = next((port for port in manifest["ports"] if port["name"] == name), {"width": 0, "fields": []})
        self.fields = {}
        for field in port["fields"]:
            self.fields.setdefault(field["name"].rstrip("0123456789"), []).append((field["lsb"], field["msb"]))
        self.widths = {name: ranges[0][1] - ranges[0][0] + 1 for name, ranges in self.fields.items()}
        self.words = -(-port["width"] // 32)
        # Nothing but integers of C, so that arrays need not be copied.
        self.is_array = set(self.widths.values()) <= {8, 16, 32} and len(self.fields) == 1 and port["width"] % 32 == 0

    def pack(self, count, columns):
        """Rows uint32 [count, words] of arrays [count, columns], [count] or scalars by field name."""
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
        if values.dtype.kind not in "iu":
            raise TypeError(f"{name} must be integers, not {values.dtype}")
        if values.dtype.kind == "i" or 8 * values.dtype.itemsize > width:
            for wrong in values[(values < 0) | (values > 2**width - 1)][:1]:
                raise ValueError(f"{name} must be from 0 to {2**width - 1}, not {wrong}")
        return values

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


def _shift_left(values, places):
    return values << np.uint64(places) if places >= 0 else values >> np.uint64(-places)
