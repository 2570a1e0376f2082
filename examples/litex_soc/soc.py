"""A LiteX SoC without a CPU: a computer masters its bus over a serial line. Started in the folder of the emitted files."""

import argparse

from fp8_encoder import FloatEncoder
from fp8_port import MemoryPort
from litex.build.generic_platform import IOStandard, Pins, Subsignal
from litex.build.io import CRG
from litex.build.lattice import LatticeECP5Platform
from litex.gen import LiteXModule
from litex.soc.cores.dma import WishboneDMAReader, WishboneDMAWriter
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import axi, stream, wishbone
from litex.soc.interconnect.csr import CSRField, CSRStatus, CSRStorage
from migen import If

CLOCK_HZ = 25_000_000
# Radiona ULX3S
PINS = [
    ("clk", 0, Pins("G2"), IOStandard("LVCMOS33")),
    ("serial", 0, Subsignal("tx", Pins("L4")), Subsignal("rx", Pins("M1")), IOStandard("LVCMOS33")),
]


class Encoder(LiteXModule):
    """The encoder between two CSRs: what is written to `word` can be read as `code` and its flags."""

    def __init__(self, platform):
        self.word = CSRStorage(32)
        self.code = CSRStatus(fields=[CSRField("code", 8), CSRField("flags", 4)])
        self.block = block = FloatEncoder(platform)
        self.comb += [
            block.s_axis_tvalid.eq(self.word.re),  # TREADY is high, as TREADY of the output is
            block.s_axis_tlast.eq(1),
            block.s_axis_tdata.eq(self.word.storage),
            block.m_axis_tready.eq(1),
        ]
        self.sync += If(
            block.m_axis_tvalid,
            self.code.fields.code.eq(block.m_axis_tdata),
            self.code.fields.flags.eq(block.m_axis_tuser),
        )


class Storage(LiteXModule):
    """The memory port between DMA on the core's side and a FIFO in the place of DRAM. `axil` are its registers.

    The reader's tensor is encoded into the FIFO; the writer takes the next tensor from there.
    """

    def __init__(self, platform, depth):
        self.tensor = CSRStorage(fields=[CSRField("type"), CSRField("bypass")], description="What the reader's tensor is.")
        self.beats = CSRStatus(32, description="Beats of 32 bits that were stored since reset.")
        self.block = block = MemoryPort(platform)
        # LiteX calls it "big" when words stay as they are on the bus: with "little" it swaps their bytes.
        self.reader = reader = WishboneDMAReader(wishbone.Interface(), endianness="big", with_csr=True)
        self.writer = writer = WishboneDMAWriter(wishbone.Interface(), endianness="big")
        writer.add_ctrl(ready_on_idle=0)  # else a writer that is not started would throw words away
        writer.add_csr()
        # TUSER and TKEEP are stored beside the data.
        layout = [("data", len(block.m_mem_tdata)), ("keep", len(block.m_mem_tkeep)), ("user", len(block.m_mem_tuser))]
        self.fifo = fifo = stream.SyncFIFO(layout, depth, buffered=True)
        self.axil = axil = axi.AXILiteInterface()
        self.comb += [
            block.s_core_tvalid.eq(reader.source.valid),
            reader.source.ready.eq(block.s_core_tready),
            block.s_core_tlast.eq(reader.source.last),
            block.s_core_tkeep.eq(0b1111),
            block.s_core_tdata.eq(reader.source.data),
            block.s_core_tuser.eq(self.tensor.storage),
            fifo.sink.valid.eq(block.m_mem_tvalid),
            block.m_mem_tready.eq(fifo.sink.ready),
            fifo.sink.last.eq(block.m_mem_tlast),
            fifo.sink.data.eq(block.m_mem_tdata),
            fifo.sink.keep.eq(block.m_mem_tkeep),
            fifo.sink.user.eq(block.m_mem_tuser),
            block.s_mem_tvalid.eq(fifo.source.valid),
            fifo.source.ready.eq(block.s_mem_tready),
            block.s_mem_tlast.eq(fifo.source.last),
            block.s_mem_tdata.eq(fifo.source.data),
            block.s_mem_tkeep.eq(fifo.source.keep),
            block.s_mem_tuser.eq(fifo.source.user),
            writer.sink.valid.eq(block.m_core_tvalid),
            block.m_core_tready.eq(writer.sink.ready),
            writer.sink.last.eq(block.m_core_tlast),
            writer.sink.data.eq(block.m_core_tdata),
            block.s_axil_awvalid.eq(axil.aw.valid),
            axil.aw.ready.eq(block.s_axil_awready),
            block.s_axil_awaddr.eq(axil.aw.addr),
            block.s_axil_wvalid.eq(axil.w.valid),
            axil.w.ready.eq(block.s_axil_wready),
            block.s_axil_wdata.eq(axil.w.data),
            block.s_axil_wstrb.eq(axil.w.strb),
            axil.b.valid.eq(block.s_axil_bvalid),
            block.s_axil_bready.eq(axil.b.ready),
            axil.b.resp.eq(block.s_axil_bresp),
            block.s_axil_arvalid.eq(axil.ar.valid),
            axil.ar.ready.eq(block.s_axil_arready),
            block.s_axil_araddr.eq(axil.ar.addr),
            axil.r.valid.eq(block.s_axil_rvalid),
            block.s_axil_rready.eq(axil.r.ready),
            axil.r.data.eq(block.s_axil_rdata),
            axil.r.resp.eq(block.s_axil_rresp),
        ]
        self.sync += If(block.m_mem_tvalid & block.m_mem_tready, self.beats.status.eq(self.beats.status + 1))


class SoC(SoCCore):
    def __init__(self, platform, baudrate):
        clock = platform.request("clk")
        platform.add_period_constraint(clock, 1e9 / CLOCK_HZ)
        self.crg = CRG(clock)
        super().__init__(
            platform,
            CLOCK_HZ,
            cpu_type=None,
            with_uart=False,
            with_timer=False,
            integrated_sram_size=0,
            integrated_main_ram_size=0x1000,
        )
        self.add_uartbone(baudrate=baudrate)
        self.encoder = Encoder(platform)
        self.storage = storage = Storage(platform, depth=256)
        self.bus.add_master("reader", storage.reader.bus)
        self.bus.add_master("writer", storage.writer.bus)
        registers = SoCRegion(origin=0x9000_0000, size=1 << len(storage.block.s_axil_awaddr), cached=False)
        self.bus.add_slave("port_registers", storage.axil, registers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", required=True, help="folder of what is made")
    parser.add_argument("--baudrate", type=int, default=115200)
    options = parser.parse_args()
    platform = LatticeECP5Platform("LFE5U-25F-6BG381C", PINS, toolchain="trellis")
    builder = Builder(
        SoC(platform, options.baudrate),
        output_dir=options.output,
        csr_csv=f"{options.output}/csr.csv",
        compile_software=False,
    )
    builder.build(build_name="soc", run=False)


if __name__ == "__main__":
    main()
