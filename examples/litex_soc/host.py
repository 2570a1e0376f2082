"""What runs on the computer at the other end of the serial line: LiteX's own access to the bus, and the blocks behind it.

`python host.py PORT` needs a board. The simulation runs the same class.
"""

import json
import sys
from pathlib import Path

import numpy as np
from litex.tools.remote.comm_uart import CommUART

BUILD = Path(__file__).parent / "build"
MANIFEST = BUILD / "rtl" / "fp8_port.json"


class Host:
    """The SoC as seen by `bus`, which reads and writes as `CommUART` does, and knows what is in the file csr.csv."""

    def __init__(self, bus):
        self.bus, self.csrs = bus, bus.regs
        self.ram, self.registers = bus.mems.main_ram, bus.mems.port_registers
        self.map = {each["name"]: each for each in json.loads(MANIFEST.read_text())["registers"]}

    def encode(self, word):
        """The code of a float32, and its flags, by the CSRs of the encoder."""
        self.csrs.encoder_word.write(int(np.float32(word).view(np.uint32)))
        found = self.csrs.encoder_code.read()
        return found & 0xFF, found >> 8

    def write(self, tensor, type=0, bypass=False):
        """Write a tensor of float32 through the port to its storage: into RAM, and on by DMA."""
        self.bus.write(self.ram.base, tensor.view(np.uint32).tolist())
        self.csrs.storage_tensor.write(type | bypass << 1)
        self.run("reader", self.ram.base, tensor.size)

    def read(self, size):
        """Read the next tensor, of so many words, from the storage."""
        base = self.ram.base + self.ram.size // 2
        self.run("writer", base, size)
        return np.array(self.bus.read(base, size), np.uint32).view(np.float32)

    def run(self, name, base, words):
        """Let a DMA move `words` words from or to `base`, and wait for its end."""
        dma = {each: getattr(self.csrs, f"storage_{name}_{each}") for each in ("base", "length", "enable", "done")}
        dma["base"].write(base)
        dma["length"].write(4 * words)
        dma["enable"].write(1)
        while not dma["done"].read():
            pass
        dma["enable"].write(0)

    def beats(self):
        """How many beats of 32 bits were stored since reset."""
        return self.csrs.storage_beats.read()

    def set(self, name, **fields):
        """Write a register of the port: 0 to what is not named. A field that is an encoding takes its words."""
        register, word = self.map[name], 0
        for field in register["fields"]:
            value = fields.get(field["name"], 0)
            word |= field.get("values", {}).get(value, value) << field["lsb"]
        self.bus.write(self.registers.base + register["address"], word)

    def get(self, name):
        """The fields of a register of the port, as numbers."""
        register = self.map[name]
        word = self.bus.read(self.registers.base + register["address"])
        return {field["name"]: word >> field["lsb"] & (2 << field["msb"] - field["lsb"]) - 1 for field in register["fields"]}


def errors_by_bias(host, biases):
    """The mean relative error of a tensor of small values that went through the storage, by the bias of its codes."""
    tensor = np.random.default_rng(1).normal(scale=1e-4, size=32).astype(np.float32)
    errors = {}
    host.set("CONTROL0", mode="frozen", estimator="tracker")
    for bias in biases:
        host.set("FORCE0", bias=bias, enable=1)
        host.write(tensor)
        errors[bias] = float(np.abs(host.read(tensor.size) - tensor).sum() / np.abs(tensor).sum())
    return errors


def main():
    host = Host(CommUART(sys.argv[1], csr_csv=str(BUILD / "board" / "csr.csv")))
    for bias, error in errors_by_bias(host, (15, 20, 25, 30)).items():
        print(f"bias {bias}: mean error {error:.1%}")


if __name__ == "__main__":
    main()
