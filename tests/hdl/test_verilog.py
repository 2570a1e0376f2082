"""The form of emitted Verilog: modules, names, lines, and what each of its constructs means."""

import re
from itertools import product

import pytest
from amaranth.hdl import Array, Cat, Const, Mux, Signal, signed
from amaranth.lib.wiring import In, Out
from narrowfloat.hdl import verilog
from narrowfloat.hdl.catalog import SHIPPED, find
from narrowfloat.hdl.emit import emit
from narrowfloat.hdl.names import MAX_PREFIX, shortened
from narrowfloat.hdl.parts.logic import Circuit
from narrowfloat.tools import ICARUS, VVP

from tests.hdl import anonymous

EVERY_SHIPPED = pytest.mark.parametrize(("name", "settings"), SHIPPED)


@pytest.fixture(scope="module")
def texts():
    return {(name, settings): emit(find(name), settings) for name, settings in SHIPPED}


@EVERY_SHIPPED
def test_lines_are_short(name, settings, texts):
    emission = texts[name, settings]
    long = [line for line in emission.text.splitlines() if len(line.replace(emission.module, "")) > 120]
    assert not [line for line in long if "X_INTERFACE" not in line]


@EVERY_SHIPPED
def test_modules_are_named_after_the_top_and_used(name, settings, texts):
    emission = texts[name, settings]
    top, *others = re.findall(r"^module (\w+)", emission.text, re.MULTILINE)
    assert top == emission.module and len(set(others)) == len(others)
    for other in others:
        assert other.startswith(f"{shortened(top, MAX_PREFIX)}_") and re.search(rf"^  {other}\b", emission.text, re.MULTILINE)
    bodies = [
        body.split("\n", 1)[1] for body in re.findall(r"^module \w+(.*?)^endmodule", emission.text, re.MULTILINE | re.DOTALL)
    ]
    assert len(set(bodies)) == len(bodies)


def test_few_names_are_anonymous(texts):
    counts = [anonymous.count(emission.text) for emission in texts.values()]
    names, nameless = (sum(column) for column in zip(*counts, strict=True))
    assert nameless <= 0.02 * names
    assert all(few <= 0.1 * all_ for all_, few in counts)


@EVERY_SHIPPED
def test_places_in_the_source_are_relative(name, settings, texts):
    places = re.findall(r"// (\S+\.py:\d+)$", texts[name, settings].text, re.MULTILINE)
    assert places and all(re.fullmatch(r"(hdl|amaranth)/[\w/]+\.py:\d+", place) for place in places)


# What is written against what Amaranth says, in all values of its operands


class Operators(Circuit):
    """All that the writer has a form for, of two operands."""

    def __init__(self, width):
        self._width = width
        super().__init__({"a": In(width), "b": In(width), "s": In(2), "o": Out(19 * (2 * width + 6))})

    def build(self, m):
        a, b, s = self.a, self.b, self.s
        left, right = a.as_signed(), b.as_signed()
        chosen = Signal(self._width)
        with m.Switch(s):
            with m.Case(0):
                m.d.comb += chosen.eq(a)
            with m.Case(1):
                m.d.comb += chosen.eq(~b)
            with m.Case(2):
                m.d.comb += chosen.eq(a ^ b)
        results = [
            a + b,
            a - b,
            left + right,
            left - b,
            -left,
            a << s,
            Cat(a == b, a < b, left < right, a >= b, left >= right, a != 0),
            Cat(a.any(), a.all(), a.xor(), ~a.any(), ~(a + b).any()),
            Mux(a > b, a, Mux(s[0], b, ~a)),
            Array([a, b, ~a, a & b])[s],
            chosen,
            (a + b)[1:] ^ (a - b),
            (left + right + s).as_signed() - 1,
            ~(a & b) | (a ^ ~b),
            Cat(b[0].replicate(3), a, Const(1, 2)),
            (left * right)[: self._width],
            a >> s,
            left >> s,
            (left >> s[0]).as_unsigned() & b,
        ]
        part = 2 * self._width + 6
        for place, value in enumerate(results):
            wide = Signal(signed(part) if value.shape().signed else part, name=f"wide{place}")
            m.d.comb += [wide.eq(value), self.o[part * place : part * (place + 1)].eq(wide)]


def expected(a, b, s, width):
    """The results in Python's integers, in the order of `Operators`."""
    mask, part = 2**width - 1, 2 * width + 6
    left, right = (value - (value >> width - 1 << width) for value in (a, b))

    def field(value):
        return value & 2**part - 1

    bits = [a == b, a < b, left < right, a >= b, left >= right, a != 0]
    reduced = [a != 0, a == mask, a.bit_count() % 2, a == 0, a + b == 0]
    return [
        field(a + b),
        field(a - b),
        field(left + right),
        field(left - b),
        field(-left),
        field(a << s),
        sum(bit << place for place, bit in enumerate(bits)),
        sum(bit << place for place, bit in enumerate(reduced)),
        a if a > b else (b if s & 1 else ~a & mask),
        [a, b, ~a & mask, a & b][s],
        [a, ~b & mask, a ^ b, 0][s],
        field((a + b >> 1) ^ (a - b)),
        field(left + right + s - 1),
        ~(a & b) & mask | a ^ ~b & mask,
        (7 * (b & 1)) | a << 3 | 1 << width + 3,
        (left * right) & mask,
        a >> s,
        field(left >> s),
        left >> (s & 1) & b,
    ]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_operators_mean_what_amaranth_says(width, tmp_path, require_tool):
    require_tool("iverilog")
    text = verilog.Design(Operators(width), "operators").text(["Operators"], {})
    part = 2 * width + 6
    bench = f"""
module bench;
  reg [{width - 1}:0] a, b;
  reg [1:0] s;
  wire [{19 * part - 1}:0] o;
  integer i;
  operators dut (.a(a), .b(b), .s(s), .o(o));
  initial
    for (i = 0; i < {4 << 2 * width}; i = i + 1) begin
      {{a, b, s}} = i;
      #1 $display("%h", o);
    end
endmodule
"""
    (tmp_path / "operators.v").write_text(text)
    (tmp_path / "bench.v").write_text(bench)
    done = ICARUS.start(["-g2005", "-Wall", "-Wno-timescale", "-o", "bench", "operators.v", "bench.v"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = VVP.start(["-n", "bench"], tmp_path).stdout.split()
    for (a, b, s), line in zip(product(range(2**width), range(2**width), range(4)), lines, strict=True):
        got = int(line, 16)
        assert [got >> part * place & 2**part - 1 for place in range(19)] == expected(a, b, s, width), (a, b, s)


class Inverter(Circuit):
    """Its input, inverted."""

    def __init__(self):
        super().__init__({"i": In(4), "o": Out(4)})

    def build(self, m):
        m.d.comb += self.o.eq(~self.i)


class RegisteredInput(Circuit):
    """A register that the source calls nothing but the input of an instance."""

    def __init__(self):
        super().__init__({"a": In(4), "o": Out(4)})

    def build(self, m):
        m.submodules.inverter = inverter = Inverter()
        m.d.sync += inverter.i.eq(self.a)
        m.d.comb += self.o.eq(inverter.o)


def test_register_that_is_an_input_of_an_instance(tmp_path, require_tool):
    require_tool("iverilog")
    text = verilog.Design(RegisteredInput(), "registered_input").text([], {})
    assert re.search(r"^  reg +\[3:0\] +inverter_i;", text, re.MULTILINE)
    (tmp_path / "top.v").write_text(text)
    (tmp_path / "bench.v").write_text("""module bench;
  reg clk = 0, rst = 1;
  reg [3:0] a = 5;
  wire [3:0] o;
  registered_input top(.clk(clk), .rst(rst), .a(a), .o(o));
  initial begin
    #1 clk = 1; #1 clk = 0; #1 $display("%h", o);
    rst = 0;
    #1 clk = 1; #1 clk = 0; #1 $display("%h", o);
  end
endmodule
""")
    ICARUS.run(["-g2005", "-Wall", "-o", "bench.vvp", "bench.v", "top.v"], tmp_path)
    assert VVP.run(["-n", "bench.vvp"], tmp_path).split() == ["f", "a"]
