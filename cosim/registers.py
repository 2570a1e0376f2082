"""The registers of a design, over AXI4-Lite."""

from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from narrowfloat.cosim.report import rerun


class Registers:
    """What a manifest says of registers, and how to write and read them.

    Attributes
    ----------
    axil : cocotbext.axi.AxiLiteMaster
    """

    def __init__(self, driver, manifest):
        bus = AxiLiteBus.from_prefix(driver.dut, "s_axil")
        self.axil = AxiLiteMaster(bus, driver.dut.clk, driver.reset_port, bool(driver.in_reset))
        self._addresses = {register["name"]: register["address"] for register in manifest["registers"]}
        # By register: the bits whose value after reset is known, and that value.
        self._after_reset = {
            register["name"]: (
                sum((2 << field["msb"]) - (1 << field["lsb"]) for field in register["fields"] if "reset" in field),
                sum(field["reset"] << field["lsb"] for field in register["fields"] if "reset" in field),
            )
            for register in manifest["registers"]
        }

    async def write(self, name, word):
        answer = await self.axil.write(self._addresses[name], int(word).to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, f"write of {name}: {answer.resp!r}; {rerun()}"

    async def read(self, name):
        answer = await self.axil.read(self._addresses[name], 4)
        assert answer.resp == AxiResp.OKAY, f"read of {name}: {answer.resp!r}; {rerun()}"
        return int.from_bytes(answer.data, "little")

    async def check_after_reset(self):
        """Compare what all registers hold with what the manifest says of the time after a reset."""
        for name, (mask, want) in self._after_reset.items():
            got = await self.read(name) & mask
            assert got == want, f"{name} after reset: got {got:#x}, want {want:#x}; {rerun()}"
