"""What runs on the computer at the other end of the serial line: `python host.py PORT` needs a board.

The simulation runs the same class, so that requests and answers are tested without one.
"""

import json
import sys
from pathlib import Path

import numpy as np

MANIFEST = Path(__file__).parent / "build" / "rtl" / "fp8_port.json"
BYPASS, VALID, LAST = 1 << 1, 1 << 6, 1 << 7


class Board:
    """The requests of `fp8_board.v`. `link` has the methods `write` and `read` of a `serial.Serial`."""

    def __init__(self, link, manifest=MANIFEST):
        self.link = link
        self.registers = {each["name"]: each for each in json.loads(Path(manifest).read_text())["registers"]}

    def ask(self, request, size):
        """The `size` bytes of the answer to a request."""
        self.link.write(request)
        answer = self.link.read(size)
        if len(answer) != size:
            raise TimeoutError(f"{len(answer)} bytes came in answer to {request.hex()}, not {size}")
        return answer

    def encode(self, word):
        """The code of a float32, and its flags."""
        code, flags = self.ask(b"E" + np.float32(word).astype("<f4").tobytes(), 2)
        return code, flags

    def decode(self, code):
        """The float32 of a code."""
        return np.frombuffer(self.ask(bytes([ord("D"), code]), 4), "<f4")[0]

    def write(self, tensor, type=0, bypass=False):
        """Write a tensor of float32 to memory."""
        for number, word in enumerate(tensor, start=1):
            head = type | BYPASS * bypass | LAST * (number == len(tensor))
            if self.ask(bytes([ord("W"), head]) + word.astype("<f4").tobytes(), 1) != b"\1":
                raise MemoryError(f"the storage is full after {number - 1} of {len(tensor)} words")

    def read(self):
        """The next tensor in memory; None if there is none."""
        words = []
        while (answer := self.ask(b"R", 5))[0] & VALID:
            words.append(np.frombuffer(answer[1:], "<f4")[0])
            if answer[0] & LAST:
                return np.array(words, np.float32)

    def beats(self):
        """How many beats of 32 bits were stored since reset."""
        return int.from_bytes(self.ask(b"N", 2), "little")

    def set(self, name, **fields):
        """Write a register: 0 to what is not named. A field that is an encoding takes its words."""
        register = self.registers[name]
        word = 0
        for field in register["fields"]:
            if field["name"] in fields:
                value = fields.pop(field["name"])
                word |= field.get("values", {}).get(value, value) << field["lsb"]
        if fields:
            raise KeyError(f"{name} has no field {', '.join(fields)}")
        response = self.ask(bytes([ord("w"), register["address"]]) + word.to_bytes(4, "little"), 1)[0]
        if response:
            raise ValueError(f"{name} answers {response} to {word:#010x}")

    def get(self, name):
        """The fields of a register, as numbers."""
        register = self.registers[name]
        answer = self.ask(bytes([ord("r"), register["address"]]), 5)
        word = int.from_bytes(answer[1:], "little")
        return {field["name"]: word >> field["lsb"] & (2 << field["msb"] - field["lsb"]) - 1 for field in register["fields"]}


def errors_by_bias(board, biases):
    """The mean relative error of a tensor of small values that went through memory, by the bias of its codes."""
    tensor = np.random.default_rng(1).normal(scale=1e-4, size=32).astype(np.float32)
    errors = {}
    board.set("CONTROL0", mode="frozen", estimator="tracker")
    for bias in biases:
        board.set("FORCE0", bias=bias, enable=1)
        board.write(tensor)
        errors[bias] = float(np.abs(board.read() - tensor).sum() / np.abs(tensor).sum())
    return errors


def main():
    import serial

    board = Board(serial.Serial(sys.argv[1], 115200, timeout=1))
    for bias, error in errors_by_bias(board, (15, 20, 25, 30)).items():
        print(f"bias {bias}: mean error {error:.1%}")


if __name__ == "__main__":
    main()
