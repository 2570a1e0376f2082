"""Small combinational parts that more than one block uses."""

from amaranth.hdl import Array


def pick(values, index):
    """The one of `values`, a list, with that `index`, a signal without bits where there is only one."""
    return values[0] if len(values) == 1 else Array(values)[index]
