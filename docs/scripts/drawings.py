"""The drawings of README.md and docs/, as SVG made of boxes, arrows and bit fields.

Without arguments the script writes every drawing into docs/drawings/; with `--check` it fails if a committed one differs.
"""

import argparse
import sys
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "drawings"
INK, SOFT, PAPER = "#1f2933", "#66727f", "#ffffff"
SIGN, EXPONENT, MANTISSA, SHARED = "#f6c9b7", "#bcd9f2", "#cfe8c5", "#e5d3ee"
MODEL, HARDWARE, CHECK, PLAIN = "#e5d3ee", "#bcd9f2", "#cfe8c5", "#eef1f4"


class Drawing:
    """A white sheet; every method adds one thing, in units of pixels."""

    def __init__(self, width, height, title):
        self._width, self._height, self._title = width, height, title
        self._parts = []

    def box(self, x, y, width, height, *lines, fill=PLAIN, size=14):
        """A box with centred lines of text, of which the first is bold if there are several."""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="{fill}" stroke="{INK}" stroke-width="1"/>'
        )
        top = y + height / 2 - (len(lines) - 1) * (size + 3) / 2
        for index, line in enumerate(lines):
            bold = len(lines) > 1 and index == 0
            self.text(
                x + width / 2, top + index * (size + 3), line, size=size if bold or len(lines) == 1 else size - 1, bold=bold
            )

    def text(self, x, y, line, *, size=14, anchor="middle", bold=False, color=INK):
        weight = ' font-weight="600"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}" dominant-baseline="central" '
            f'fill="{color}"{weight}>{escape(line)}</text>'
        )

    def arrow(self, *points, both=False, dashed=False):
        """A line through `points` with a head at its end, and one at its start if `both`."""
        path = " ".join(f"{x},{y}" for x, y in points)
        start = ' marker-start="url(#back)"' if both else ""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"{start}{dashes}/>'
        )

    def line(self, x1, y1, x2, y2, color=SOFT):
        self._parts.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{color}" stroke-width="1"/>')

    def path(self, data, fill):
        self._parts.append(f'<path d="{data}" fill="{fill}" stroke="{INK}"/>')

    def fields(self, x, y, *fields, cell=30, height=32, number=True):
        """Bit fields from the highest bit down, each a name, a width in bits and a colour; bit numbers go below."""
        left = sum(width for _, width, _ in fields)
        for name, width, fill in fields:
            self.box(x, y, width * cell, height, name, fill=fill)
            if number:
                self.text(x + 8, y + height + 10, str(left - 1), size=10, color=SOFT)
                if width > 1:
                    self.text(x + width * cell - 8, y + height + 10, str(left - width), size=10, color=SOFT)
            x, left = x + width * cell, left - width

    def svg(self):
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="{at}" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="{path}" fill="{INK}"/></marker>'
            for name, at, path in (("head", 9, "M0 0L10 5L0 10z"), ("back", 1, "M10 0L0 5L10 10z"))
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {self._height}" width="{self._width}" '
            f'height="{self._height}" font-family="Helvetica, Arial, sans-serif" role="img">\n'
            f"<title>{escape(self._title)}</title>\n<defs>{heads}</defs>\n"
            f'<rect width="{self._width}" height="{self._height}" rx="6" fill="{PAPER}"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


def overview():
    """The whole project: formats, two implementations, the emitted files, and what compares them."""
    drawing = Drawing(
        900, 400, "Narrowfloat: formats, a NumPy model and a generator, emitted Verilog, and the checks between them"
    )
    drawing.box(20, 155, 150, 90, "number formats", "float, LBFP, BFP,", "S2FP8: one frozen", "object each", fill=PLAIN)
    drawing.box(240, 40, 190, 80, "golden model", "NumPy: codes, flags,", "random bits", fill=MODEL)
    drawing.box(240, 280, 190, 80, "generator", "Amaranth components,", "declared parameters", fill=HARDWARE)
    drawing.box(510, 280, 170, 80, "emitted files", "Verilog, data sheet,", "testbench, manifest", fill=HARDWARE)
    drawing.box(510, 40, 170, 80, "reference objects", "inputs and outputs", "of each design", fill=MODEL)
    drawing.box(510, 160, 170, 80, "checks", "simulation, exhaustion,", "proof, netlists", fill=CHECK)
    drawing.arrow((170, 180), (205, 180), (205, 80), (240, 80))
    drawing.arrow((170, 220), (205, 220), (205, 320), (240, 320))
    drawing.arrow((430, 80), (510, 80))
    drawing.arrow((430, 320), (510, 320))
    drawing.arrow((595, 120), (595, 160))
    drawing.arrow((595, 280), (595, 240))
    drawing.box(740, 40, 140, 60, "research", "compare formats", size=13)
    drawing.box(740, 120, 140, 60, "verify", "call the reference", size=13)
    drawing.box(740, 200, 140, 60, "measure", "area, speed, power", size=13)
    drawing.box(740, 300, 140, 60, "integrate", "use the Verilog", size=13)
    drawing.arrow((680, 70), (740, 70))
    drawing.arrow((680, 95), (712, 95), (712, 150), (740, 150))
    drawing.arrow((680, 300), (712, 300), (712, 230), (740, 230))
    drawing.arrow((680, 330), (740, 330))
    return drawing


def float_fields():
    """Layouts of the named floats and of the adaptive-bias format."""
    drawing = Drawing(620, 290, "Bit fields of eight-bit floats")
    rows = (
        ("ab_e5m2, float8_e5m2", 5, 2),
        ("float8_e4m3fn, float8_e4m3", 4, 3),
        ("float8_e3m4", 3, 4),
        ("float6_e3m2fn", 3, 2),
        ("float4_e2m1fn", 2, 1),
    )
    for index, (name, exp_bits, man_bits) in enumerate(rows):
        y = 14 + 53 * index
        drawing.text(14, y + 16, name, anchor="start")
        drawing.fields(
            300,
            y,
            ("s", 1, SIGN),
            ("E" if exp_bits < 3 else "exponent E", exp_bits, EXPONENT),
            ("M", man_bits, MANTISSA),
            cell=38,
        )
    return drawing


def adaptive_bias():
    """The range of an E5M2 code at three biases, on a scale of powers of two."""
    drawing = Drawing(760, 215, "The range of ab_e5m2 moves with the bias")

    def place(power):
        return 40 + (power + 45) * 680 / 70

    for power in range(-40, 25, 10):
        drawing.line(place(power), 22, place(power), 180)
        drawing.text(place(power), 196, f"2^{power}", size=11, color=SOFT)
    for index, (bias, word) in enumerate(
        ((10, "large values"), (15, "default"), (30, "errors in training"), (40, "gradients"))
    ):
        low, high, y = -bias, 32 - bias, 26 + 38 * index
        drawing.box(place(low), y, round(place(high) - place(low), 1), 26, f"bias {bias}: {word}", fill=EXPONENT, size=13)
    return drawing


def statistics():
    """An estimator listens to a stream and gives a bias per tensor type."""
    drawing = Drawing(760, 230, "An estimator listens to a stream of tensors and gives each tensor type a bias")
    drawing.box(20, 30, 130, 50, "FP32 beats", "with tensor type")
    drawing.box(310, 30, 140, 50, "float_encoder", fill=HARDWARE)
    drawing.box(605, 30, 140, 50, "codes to memory")
    drawing.arrow((150, 55), (310, 55))
    drawing.arrow((450, 55), (605, 55))
    drawing.box(200, 135, 190, 70, "estimator", "zeros and specials", "do not count", fill=CHECK)
    drawing.arrow((225, 55), (225, 135))
    drawing.text(215, 105, "tap: no ready", anchor="end", size=12, color=SOFT)
    drawing.box(450, 145, 150, 50, "bias per type", "6 bits each", fill=SHARED)
    drawing.arrow((390, 170), (450, 170))
    drawing.arrow((525, 145), (525, 112), (380, 112), (380, 80))
    return drawing


def memory_port():
    """The memory port between a core and a memory controller."""
    drawing = Drawing(
        860, 330, "The memory port: FP32 beats from the core become packed codes, and FP32 again when they are read"
    )
    drawing.box(20, 60, 110, 190, "core")
    drawing.box(730, 60, 110, 190, "memory", "controller")
    drawing.box(240, 20, 380, 290, fill="#f8f9fb")
    drawing.text(430, 38, "memory_port", bold=True)
    drawing.box(265, 60, 110, 50, "encode", "bias of the type", fill=HARDWARE, size=13)
    drawing.box(480, 60, 115, 50, "pack", "four beats in one", fill=HARDWARE, size=13)
    drawing.box(480, 200, 115, 50, "unpack", fill=HARDWARE, size=13)
    drawing.box(265, 200, 110, 50, "decode", "stored bias", fill=HARDWARE, size=13)
    drawing.box(340, 130, 170, 50, "estimators", "one bias per type", fill=CHECK, size=13)
    drawing.arrow((130, 85), (265, 85))
    drawing.text(185, 72, "s_core", size=12, color=SOFT)
    drawing.arrow((375, 85), (480, 85))
    drawing.arrow((595, 85), (730, 85))
    drawing.text(675, 72, "m_mem", size=12, color=SOFT)
    drawing.arrow((730, 225), (595, 225))
    drawing.text(675, 212, "s_mem", size=12, color=SOFT)
    drawing.arrow((480, 225), (375, 225))
    drawing.arrow((265, 225), (130, 225))
    drawing.text(185, 212, "m_core", size=12, color=SOFT)
    drawing.arrow((300, 110), (300, 155), (340, 155), both=True)
    drawing.box(340, 265, 170, 34, "AXI4-Lite registers", size=13)
    drawing.arrow((75, 282), (340, 282))
    drawing.text(185, 272, "s_axil", size=12, color=SOFT)
    drawing.arrow((425, 265), (425, 180), both=True)
    return drawing


def lbfp_fields():
    """A number of LBFP8 and the exponent that its block shares."""
    drawing = Drawing(700, 190, "LBFP8: a sign and a logarithm of seven bits, and an exponent that a block shares")
    drawing.text(140, 20, "once for a block", size=13)
    drawing.fields(20, 36, ("E, two's complement", 8, SHARED))
    drawing.text(490, 20, "each number", size=13)
    drawing.fields(340, 36, ("s", 1, SIGN), ("i", 3, EXPONENT), ("f", 4, MANTISSA), cell=38)
    drawing.text(530, 98, "c = {i, f}, unsigned, 4 fraction bits", size=12, color=SOFT)
    drawing.text(20, 135, "c = 0 means zero; otherwise the number is (-1)^s * 2^(E - 8 + c / 16)", anchor="start")
    drawing.text(
        20, 165, "product: add both c, look up 2^fraction in a table of 16 entries, shift by the integer part", anchor="start"
    )
    return drawing


def bfp_groups():
    """A group of block floating point and its chunks of two bits."""
    drawing = Drawing(760, 260, "A group of block floating point: one exponent, signs and magnitudes that are cut into chunks")
    drawing.text(120, 20, "once for a group of 16", size=13)
    drawing.fields(20, 36, ("E, as in FP32", 8, SHARED), cell=25)
    drawing.text(480, 20, "each number, 4 bits of magnitude", size=13)
    drawing.fields(360, 36, ("s", 1, SIGN), ("k, high", 2, MANTISSA), ("k, low", 2, EXPONENT), cell=48)
    drawing.arrow((456, 92), (380, 140))
    drawing.arrow((552, 92), (620, 140))
    drawing.fields(260, 145, ("E", 2, SHARED), ("s", 1, SIGN), ("k, high", 2, MANTISSA), cell=40, number=False)
    drawing.fields(520, 145, ("E - 2", 2, SHARED), ("s", 1, SIGN), ("k, low", 2, EXPONENT), cell=40, number=False)
    drawing.text(20, 161, "two groups of 2 bits:", anchor="start")
    drawing.text(20, 210, "A number is (-1)^s * k * 2^(E - 127 - 3), with 4 bits of k.", anchor="start")
    drawing.text(
        20,
        237,
        "A pass multiplies one chunk of a group with one chunk of another: 4 bits by 4 bits take 4 passes.",
        anchor="start",
    )
    return drawing


def s2fp8_squeeze():
    """Logarithms of a tensor before and after the shift and the squeeze."""
    drawing = Drawing(760, 270, "S2FP8 shifts and squeezes the logarithms of a tensor into the range of FP8")

    def hump(left, right, base, height, fill):
        width, top = right - left, base - height
        drawing.path(
            f"M{left} {base} C{left + 0.35 * width:g} {base}, {left + 0.4 * width:g} {top}, {left + 0.55 * width:g} {top} "
            f"S{right - 0.1 * width:g} {base}, {right} {base}z",
            fill,
        )

    drawing.text(20, 20, "log2|X| of the tensor", anchor="start", bold=True)
    hump(150, 290, 100, 60, EXPONENT)
    drawing.line(20, 100, 740, 100, INK)
    drawing.line(227, 34, 227, 108)
    drawing.text(227, 118, "mean mu", size=12)
    drawing.line(290, 90, 290, 108)
    drawing.text(300, 118, "largest m", size=12, anchor="start")
    drawing.arrow((227, 130), (400, 178))
    drawing.arrow((290, 130), (660, 172))
    drawing.text(20, 168, "log2|Y| = alpha * (log2|X| - mu)", anchor="start", bold=True)
    hump(90, 660, 230, 42, MANTISSA)
    drawing.line(20, 230, 740, 230, INK)
    drawing.line(403, 180, 403, 238)
    drawing.text(403, 250, "0", size=12)
    drawing.line(660, 222, 660, 238)
    drawing.text(660, 250, "15", size=12)
    drawing.line(90, 222, 90, 238)
    drawing.text(90, 250, "-17: below is zero", size=12)
    return drawing


def architecture():
    """Layers by families, and the way in which imports run."""
    families = ("float_codec", "statistics", "memory", "lbfp", "bfp", "s2fp8")
    layers = (
        ("golden", "NumPy models and reference objects", MODEL, ("codec", "estimators", "port", "products", "groups", "codec")),
        (
            "hdl",
            "Amaranth components, emission",
            HARDWARE,
            ("converters", "estimators", "port", "arithmetic", "arithmetic", "converters"),
        ),
        ("cosim, synth", "drive and measure what was emitted", CHECK, ("generic",) * 6),
        (
            "evidence",
            "experiments, outside the package",
            PLAIN,
            ("training", "biases", "energy", "inference", "training", "training"),
        ),
    )
    drawing = Drawing(900, 320, "Layers by families; imports run upward")
    for column, family in enumerate(families):
        drawing.text(345 + 96 * column, 22, family, size=13, bold=True)
    for row, (layer, words, fill, cells) in enumerate(layers):
        y = 42 + 68 * row
        drawing.box(20, y, 265, 50, layer, words, fill=fill, size=13)
        for column, cell in enumerate(cells):
            drawing.box(301 + 96 * column, y, 88, 50, cell, fill=fill, size=12)
        if layer == "evidence":
            drawing.arrow((20, y + 25), (8, y + 25), (8, 67), (20, 67))
        elif row:
            drawing.arrow((150, y), (150, y - 18))
    return drawing


DRAWINGS = (
    overview,
    float_fields,
    adaptive_bias,
    statistics,
    memory_port,
    lbfp_fields,
    bfp_groups,
    s2fp8_squeeze,
    architecture,
)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m docs.scripts.drawings", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a committed drawing differs")
    options = parser.parse_args(arguments)
    old = 0
    for draw in DRAWINGS:
        path, text = FOLDER / f"{draw.__name__}.svg", draw().svg()
        if not path.exists() or path.read_text() != text:
            old += 1
            print(f"{path.name}: {'differs; run python -m docs.scripts.drawings' if options.check else 'drawn'}")
            if not options.check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
    return 1 if options.check and old else 0


if __name__ == "__main__":
    sys.exit(main())
