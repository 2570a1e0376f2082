"""Memories, each in a module of its own, which a macro may stand in for."""

from amaranth.lib import memory
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl.parts.logic import Circuit


class Ram(Circuit):
    """A memory with a port to write and one to read. A macro with the same ports may take its place.

    What is read is there from the next cycle on until the next read. A word that is written in the cycle in which it is read is
    read as it was before. No reset changes it.

    Parameters
    ----------
    width, depth : int

    Members
    -------
    write_enable, write_address, write_data : In
    read_enable, read_address : In
    read_data : Out(width)
    """

    def __init__(self, width, depth):
        self._width, self._depth = width, depth
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read_enable": In(1),
                "read_address": In(range(depth)),
                "read_data": Out(width),
            }
        )

    def build(self, m):
        m.submodules.words = words = memory.Memory(shape=self._width, depth=self._depth, init=[])
        writer, reader = words.write_port(), words.read_port()
        m.d.comb += [
            writer.en.eq(self.write_enable),
            writer.addr.eq(self.write_address),
            writer.data.eq(self.write_data),
            reader.en.eq(self.read_enable),
            reader.addr.eq(self.read_address),
            self.read_data.eq(reader.data),
        ]
