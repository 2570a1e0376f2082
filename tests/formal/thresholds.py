"""The codec's specification as Verilog without shifter and rounder: the encoder counts the thresholds that its input reaches.

A threshold is the smallest magnitude that is rounded to a code or to one above it. Magnitudes are compared as FP32 words, which
rise with the value. The decoder is a table. Both are made from exact rationals, and know of the project only `golden.formats`.
"""

import math
import re
import subprocess
from fractions import Fraction

from narrowfloat.tools import yosys

MAN_BITS = 23  # of FP32
INFINITY = 255 << MAN_BITS
QUIET = 1 << MAN_BITS - 1
MODES = {"rne": 0, "rna": 1, "rtz": 2, "sr": 3}


def counterexample(codec, verilog, folder):
    """Inputs at which `verilog`, a text with a module `implementation`, is not what `codec` must be: ints by name, or None.

    ABC compares the two as networks of gates; `folder` takes the files.
    """
    for module, text in (("implementation", verilog), ("specification", specification(codec))):
        (folder / f"{module}.v").write_text(text)
        gates = "proc; flatten; memory_map; pmuxtree; opt_clean; aigmap; opt_clean"
        yosys(f"read_verilog -sv {module}.v; hierarchy -top {module}; {gates}; write_blif {module}.blif", folder)
    pair = "implementation.blif specification.blif"
    answer = _abc(f"cec -T 600 -C 1000000 {pair}", folder)
    if "Networks are equivalent" in answer:
        return None
    assert "Networks are NOT EQUIVALENT" in answer, answer
    # cec itself shows only inputs that the first network depends on
    _abc(f"miter {pair}; iprove; write_cex -n counterexample.txt", folder)
    inputs = dict.fromkeys(codec.inputs, 0)
    for name, index, bit in re.findall(
        r"^(\w+)(?:\[(\d+)\])?@0=([01])$", (folder / "counterexample.txt").read_text(), re.MULTILINE
    ):
        if name in inputs:
            inputs[name] |= int(bit) << int(index or 0)
    return inputs


def _abc(script, folder):
    return subprocess.run(["berkeley-abc", "-c", script], cwd=folder, capture_output=True, text=True, check=False).stdout


def specification(codec):
    """Verilog of a module `specification` that does what `implementation` in a `tests.formal.codec.Codec`'s Verilog must do."""
    body = (_encoder if codec.design == "float_encoder" else _decoder)(codec)
    ports = [f"input [{width - 1}:0] {name}" for name, width in codec.inputs.items()]
    ports += [f"output [{width - 1}:0] {name}" for name, width in codec.outputs.items()]
    return f"""
module specification(
  input valid, last, out_ready,
  output out_valid, out_last, ready,
  {", ".join(ports)}
);
  assign {{out_valid, out_last, ready}} = {{valid, last, out_ready}};
  // What the bias adds to a word. Only numbers of 8 exponent bits, whose bias is fixed, can be subnormal in FP32.
  wire [30:0] scale = {f"{{bias, {MAN_BITS}'d0}}" if "bias" in codec.inputs else 0};
{body}
endmodule
"""


def _encoder(codec):
    fmt = codec.fmt

    def code(magnitude):
        return f"{{word[31], {magnitude}}}" if fmt.signed else magnitude

    def constant(magnitude):
        return code(f"{fmt.magnitude_bits}'d{magnitude}")

    number = code(f"count[{fmt.magnitude_bits - 1}:0]")
    nan = constant(fmt.max_finite if fmt.nan is None else fmt.nan)
    if fmt.specials == "fnuz":
        number = f"count == 0 ? {fmt.bits}'d0 : {number}"
        nan = f"{fmt.bits}'d{2**fmt.magnitude_bits}"
    infinity = constant(fmt.max_finite)
    if codec.overflow == "format":
        infinity = nan if fmt.infinity is None else constant(fmt.infinity)
    infinity_is_lost = codec.overflow == "saturate" or fmt.infinity is None

    if fmt.underflow == "clamp_exponent" and fmt.specials == "none":
        # Only E is clamped, so E and M are counted apart: M in the binade of E = 1, which is as good as any other.
        binade, last = 2**fmt.man_bits, 2**fmt.exp_bits - 1
        exponents = _reached(codec, "scaled", [exponent * binade for exponent in range(1, last + 2)])
        mantissas = _reached(codec, "in_binade", [binade + mantissa for mantissa in range(1, binade + 1)])
        rounding = f"""
  wire [31:0] in_binade = {_word(_value(codec, binade))} + word[{MAN_BITS - 1}:0];
  wire [{last + 1}:1] exponents = {exponents};
  wire [{binade}:1] mantissas = {mantissas};
  wire too_large = exponents[{last + 1}];
  reg [{fmt.man_bits}:0] mantissa;
  always @* begin
    mantissa = 0;
    for (i = 1; i <= {binade}; i = i + 1) mantissa = mantissa + mantissas[i];
    count = mantissa & {binade - 1};
    for (i = 1; i <= {last}; i = i + 1) if (exponents[i]) count = count + {binade};
  end
  assign code = {number};
  wire is_number = is_finite;
  wire invalid = !is_finite;"""
    else:
        codes = list(range(1, fmt.max_finite + 2))
        if fmt.underflow == "zero_code":
            codes[0] = 0  # what would be rounded to the code of zero gets the one above
        rounding = f"""
  wire [{len(codes)}:1] codes = {_reached(codec, "scaled", codes)};
  wire too_large = codes[{len(codes)}];
  always @* begin
    count = 0;
    for (i = 1; i <= {len(codes)}; i = i + 1) count = count + codes[i];
  end
  wire has_no_code = {int(not fmt.signed)} && !is_nan && (word[31] || magnitude == 0);
  assign code =
    is_nan || has_no_code ? {nan} :
    is_infinity ? {infinity} :
    too_large ? (rounding == {MODES["rtz"]} ? {constant(fmt.max_finite)} : {infinity}) :
    {number};
  wire is_number = is_finite && !has_no_code;
  wire invalid = is_nan && {int(fmt.nan is None)} || is_infinity && {int(infinity_is_lost)} || has_no_code;"""

    flags = ""
    if codec.flags:
        numbers = [_word(_value(codec, code)) for code in range(fmt.underflow != "clamp_exponent", fmt.max_finite + 1)]
        zeros = min(_trailing_zeros(number) for number in numbers)
        equal = ", ".join(f"scaled[31:{zeros}] == {number >> zeros}" for number in numbers)
        has_zero = int(fmt.underflow != "clamp_exponent")
        smallest_normal = {"gradual": 2**fmt.man_bits, "zero_code": 1, "clamp_exponent": 0}[fmt.underflow]
        flags = f"""
  wire exact = scaled[{zeros - 1}:0] == 0 && |{{{equal}}} || {has_zero} && magnitude == 0;
  wire inexact = is_number && !exact;
  wire tiny = scaled < {_word(_value(codec, smallest_normal))};
  assign flags = {{invalid, inexact, inexact && tiny, is_number && too_large}};"""
    return f"""
  wire [30:0] magnitude = word[30:0];
  wire [31:0] scaled = magnitude + scale;
  wire is_nan = magnitude > {INFINITY};
  wire is_infinity = magnitude == {INFINITY};
  wire is_finite = magnitude < {INFINITY};
  integer i;
  reg [{fmt.magnitude_bits}:0] count;
  {"" if "rounding" in codec.inputs else f"localparam rounding = {MODES[codec.roundings[0]]};"}
{rounding}
{flags}"""


def _decoder(codec):
    fmt = codec.fmt
    table = ""
    for code in range(2**fmt.bits):
        negative, magnitude = divmod(code, 2**fmt.magnitude_bits)
        is_number = False
        if code == 2**fmt.magnitude_bits if fmt.specials == "fnuz" else magnitude > (fmt.infinity or fmt.max_finite):
            word = INFINITY | QUIET | magnitude % 2**fmt.man_bits << MAN_BITS - fmt.man_bits
        elif magnitude == fmt.infinity:
            word = INFINITY
        elif magnitude == 0 and fmt.underflow != "clamp_exponent":
            word = 0
        else:
            word = _word(_value(codec, magnitude))
            is_number = True
        table += f"\n      {code}: {{is_number, entry}} = {{1'd{int(is_number)}, 32'd{negative << 31 | word}}};"
    return f"""
  reg is_number;
  reg [31:0] entry;
  always @*
    case (code[{fmt.bits - 1}:0]){table}
    endcase
  assign word = entry - (is_number ? scale : 0);"""


def _reached(codec, what, codes):
    """Verilog of one bit for each of `codes`, the first lowest: whether the signal `what` is not below its threshold."""
    text = f"{len(codes)}'d0"
    for rounding in codec.roundings:
        for random in range(2**codec.sr_bits) if rounding == "sr" else [0]:
            bits = ",\n      ".join(_at_least(what, _threshold(codec, code, rounding, random)) for code in reversed(codes))
            chosen = f"rounding == {MODES[rounding]}" + f" && random == {random}" * (rounding == "sr")
            text = f"{chosen} ? {{\n      {bits}\n    }} : {text}"
    return text


def _at_least(what, limit):
    """Verilog of ``what >= limit``, spelled out from the lowest bit up as Yosys is slow with hundreds of comparisons."""
    lowest, *others = range(_trailing_zeros(limit), 32)
    text = f"{what}[{lowest}]"
    for index in others:
        text = f"{what}[{index}] & {text}" if limit >> index & 1 else f"({what}[{index}] | {text})"
    return text


def _trailing_zeros(number):
    return (number & -number).bit_length() - 1


def _threshold(codec, code, rounding, random):
    """The smallest FP32 word that is rounded to {E, M} = `code` or above."""
    below, above = _value(codec, code - 1), _value(codec, code)
    if rounding == "rtz":
        return _word(above)
    if rounding == "sr":
        # the fraction is rounded to sr_bits bits, and with this or more of them the random bits carry; a tie goes to even
        enough = 2**codec.sr_bits - random
        return _word(below + Fraction(2 * enough - 1, 2 ** (codec.sr_bits + 1)) * (above - below)) + enough % 2
    # Zero is even. Of other numbers without mantissa the hidden one is the last bit, and a tie takes the one above, which as a
    # multiple of the one below is 2.
    tie_goes_down = code % 2 == 1 if codec.fmt.man_bits else below == 0
    return _word((below + above) / 2) + (rounding == "rne" and tie_goes_down)


def _value(codec, code):
    """What {E, M} = `code` stands for if E has no bounds, no code is special, and a bias that can be chosen is 0."""
    exponent, mantissa = divmod(code, 2**codec.fmt.man_bits)
    hidden = 1
    if codec.fmt.underflow == "gradual" and exponent == 0:
        exponent, hidden = 1, 0
    bias = 0 if "bias" in codec.inputs else codec.fmt.bias
    return (hidden + Fraction(mantissa, 2**codec.fmt.man_bits)) * Fraction(2) ** (exponent - bias)


def _word(number):
    """The FP32 word of a positive number."""
    exponent = max(math.frexp(number)[1] - 1, -126)
    units = number / Fraction(2) ** (exponent - MAN_BITS)
    assert units.denominator == 1, f"{number} is not a number of FP32"
    # The units of a normal number hold the hidden one, which makes up for the one taken off the exponent field.
    return int(units) + (exponent + 126 << MAN_BITS)
