"""Emitted encoders and decoders as proof tools read them, and what to say of inputs at which one is wrong."""

import os
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from narrowfloat.golden import float_codec
from narrowfloat.golden.formats import BIAS_BITS, FloatFormat
from narrowfloat.golden.rounding import ROUNDINGS, Flag
from narrowfloat.hdl.catalog import find
from narrowfloat.hdl.emit import emit
from narrowfloat.tools import yosys

_STREAM_NAMES = {
    "s_axis_tvalid": "valid", "s_axis_tlast": "last", "s_axis_tready": "ready",
    "m_axis_tvalid": "out_valid", "m_axis_tlast": "out_last", "m_axis_tready": "out_ready",
}  # fmt: skip


@cache
def emitted(design, settings):
    """`hdl.emit.emit`, once per design and settings (a tuple)."""
    return emit(find(design), settings)


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One lane of an emitted encoder or decoder without pipeline, to which each beat gives the same one of its formats.

    Parameters
    ----------
    design : str
        "float_encoder" or "float_decoder".
    formats : str
        As the design's parameter.
    chosen : int
        Index of the format.
    roundings, overflow, flags, sr_bits
        As the encoder's parameters. Random bits come with the beat.
    """

    design: str
    formats: str
    chosen: int = 0
    roundings: tuple[str, ...] = ("rne",)
    overflow: str = "saturate"
    flags: bool = False
    sr_bits: int = 8

    def __str__(self):
        words = [self.design.removeprefix("float_"), self.formats.replace(",", "+")]
        if "," in self.formats:
            words.append(f"as_{self.fmt.name}")
        if self.design == "float_encoder":
            words += ["+".join(self.roundings), self.overflow, *["flags"] * self.flags]
        return "-".join(words)

    @property
    def fmt(self):
        return FloatFormat.parse(self.formats.split(",")[self.chosen])

    @property
    def code_bits(self):
        """Width of a code; narrower ones are in its lower bits."""
        return max(FloatFormat.parse(name).bits for name in self.formats.split(","))

    @property
    def inputs(self):
        """Widths of what the result depends on, by name."""
        inputs = {"word": 32} if self.design == "float_encoder" else {"code": self.code_bits}
        if self.fmt.exp_bits < 8:
            inputs["bias"] = BIAS_BITS
        if len(self.roundings) > 1:
            inputs["rounding"] = max(map(ROUNDINGS.index, self.roundings)).bit_length()
        if "sr" in self.roundings:
            inputs["random"] = self.sr_bits
        return inputs

    @property
    def outputs(self):
        """Widths of the result's parts, by name."""
        if self.design == "float_decoder":
            return {"word": 32}
        return {"code": self.code_bits} | ({"flags": len(Flag)} if self.flags else {})

    def verilog(self):
        """The emitted file, and around it a module `implementation` with a port for each field of the manifest."""
        settings = (f"formats={self.formats}", "lanes=1", "stages=0")
        if self.design == "float_encoder":
            settings += (f"roundings={','.join(self.roundings)}", f"overflow={self.overflow}", f"flags={int(self.flags)}")
            settings += (f"sr_bits={self.sr_bits}", "random=port") if "sr" in self.roundings else ()
        emission = emitted(self.design, settings)
        (operand, *_), (result, *_) = self.inputs, self.outputs
        names = {"input": {"lane0": operand, "random0": "random"}, "output": {"lane0": result, "flags0": "flags"}}
        ports, connections = [], []
        for port in emission.manifest["ports"]:
            parts = []
            for field in reversed(port.get("fields", [{"name": _STREAM_NAMES.get(port["name"]), "lsb": 0, "msb": 0}])):
                width = field["msb"] - field["lsb"] + 1
                if field["name"] == "format":
                    parts.append(f"{width}'d{self.chosen}")
                else:
                    parts.append(names[port["direction"]].get(field["name"], field["name"]))
                    ports.append(f"{port['direction']} [{width - 1}:0] {parts[-1]}")
            connections.append(f".{port['name']}({{{', '.join(parts)}}})")
        return f"""{emission.text}
module implementation({", ".join(ports)});
  {emission.module} dut({", ".join(connections)});
endmodule
"""

    def evaluate(self, verilog, inputs, folder):
        """What the module `implementation` of the text `verilog` makes of `inputs`: ints by name, both."""
        (folder / "evaluated.sv").write_text(verilog)
        given = " ".join(f"-set {name} {width}'d{inputs[name]}" for name, width in self.inputs.items())
        shown = " ".join(f"-show {name}" for name in self.outputs)
        read = "read_verilog -sv evaluated.sv; hierarchy -top implementation; proc; flatten"
        log = yosys(f"{read}; eval {given} {shown}", folder)
        results = re.findall(r"^Eval result: \\(\w+) = (?:\d+'([01]+)|(\d+))\.$", log, re.MULTILINE)
        return {name: int(bits, 2) if bits else int(decimal) for name, bits, decimal in results}

    def golden(self, inputs):
        """What the golden model makes of `inputs`."""
        bias = inputs.get("bias")
        if self.design == "float_decoder":
            return {"word": int(self._decoded(inputs["code"], bias).view(np.uint32))}
        x = np.array([inputs["word"]], np.uint32).view(np.float32)
        options = {
            "bias": bias,
            "rounding": self._built.get(inputs.get("rounding"), self.roundings[-1]),
            "overflow": self.overflow,
            "flags": True,
        }
        if options["rounding"] == "sr":
            options |= {"random_bits": np.array([inputs["random"]]), "sr_bits": self.sr_bits}
        code, flags = (int(result[0]) for result in float_codec.encode(x, self.fmt, **options))
        if inputs.get("rounding", min(self._built)) not in self._built:
            flags |= Flag.INVALID
        return {"code": code, "flags": flags} if self.flags else {"code": code}

    def _decoded(self, code, bias):
        code = np.array([code % 2**self.fmt.bits], float_codec.code_dtype(self.fmt))
        return float_codec.decode(code, self.fmt, bias=bias)[0]

    @property
    def _built(self):
        """The roundings by their codes."""
        return {ROUNDINGS.index(name): name for name in self.roundings}

    def describe(self, inputs, got, want):
        """One line about inputs at which the outputs are not what they should be."""
        bias = inputs.get("bias", self.fmt.bias)

        def show(values, names):
            return ", ".join(f"{name} {self._show(name, values[name], bias)}" for name in names)

        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        return (
            f"{self}: {show(inputs, self.inputs)}: got {show(got, self.outputs)}, want {show(want, self.outputs)}; "
            f"rerun: .venv/bin/python -m pytest -m 'long or not long' '{test}'"
        )

    def _show(self, name, bits, bias):
        if name == "word":
            return f"{bits:#010x} ({np.uint32(bits).view(np.float32):.9g})"
        if name == "code":
            return f"{bits:#0{2 + (self.code_bits + 3) // 4}x} ({self._decoded(bits, bias):.9g})"
        if name == "rounding":
            return dict(enumerate(ROUNDINGS)).get(bits, str(bits))
        if name == "flags":
            return "+".join(flag.name.lower() for flag in Flag if flag & bits) or "none"
        return str(bits)
