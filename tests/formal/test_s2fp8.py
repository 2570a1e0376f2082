"""With alpha = 1 and whole beta S2FP8's converters are the plain ones of E5M2, proven for every input and every bias.

In full precision ties go to even, in short precision away from zero.
"""

import subprocess

import pytest
from narrowfloat.golden.s2fp8 import Parameters
from narrowfloat.tools import yosys

from tests.formal.codec import emitted

LANE = ("lanes=1", "stages=0")
BIAS = 9  # at which it is checked that the wrapper's parameters are the model's


def wrapped(design, settings, user):
    """Verilog of a module `top` with the ports word, bias and result around one lane, whose TUSER is made from the bias."""
    emission = emitted(design, settings)
    widths = {port["name"]: port["width"] for port in emission.manifest["ports"]}
    return f"""
{emission.text}
module top(
  input [{widths["s_axis_tdata"] - 1}:0] word,
  input [5:0] bias,
  output [{widths["m_axis_tdata"] - 1}:0] result
);
  wire [7:0] mean = 8'd142 - bias;
  wire [{widths["s_axis_tuser"] - 1}:0] user = {user};
  {emission.module} block(
    .s_axis_tdata(word), .s_axis_tuser(user), .s_axis_tvalid(1'b1), .s_axis_tlast(1'b0),
    .m_axis_tready(1'b1), .m_axis_tdata(result)
  );
endmodule
"""


def verdict(texts, folder):
    """What ABC says of two such modules."""
    for name, text in zip("ab", texts, strict=True):
        (folder / f"{name}.sv").write_text(text)
        gates = "hierarchy -top top; proc; flatten; opt -full; techmap; opt -full; aigmap; opt_clean -purge"
        yosys(f"read_verilog -sv {name}.sv; {gates}; write_blif {name}.blif", folder)
    command = ["berkeley-abc", "-c", "cec -T 600 -C 1000000 a.blif b.blif"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


ALPHA, INVERSE = "{mean, 8'd0, 11'd0}", "{mean, 8'd0, 22'd131072}"


@pytest.mark.parametrize(
    "kind, user, precision, rounding",
    [
        ("encoder", ALPHA, "full", ("roundings=rne",)),
        ("encoder", ALPHA, "short", ("roundings=rna",)),
        ("decoder", INVERSE, "full", ()),
        ("decoder", INVERSE, "short", ()),
    ],
)
def test_alpha_1_is_the_plain_codec_at_every_input_and_bias(kind, user, precision, rounding, tmp_path, require_tool):
    require_tool("berkeley-abc")
    found = Parameters.of_bias(BIAS)
    assert (found.alpha, found.mean, found.inverse) == (0, 142 - BIAS << 8, 131072)
    plain = wrapped(f"float_{kind}", ("formats=float8_e5m2", *LANE, *rounding), "bias")
    squeezed = wrapped(f"s2_{kind}", (*LANE, f"precision={precision}"), user)
    assert "Networks are equivalent" in verdict([squeezed, plain], tmp_path)
    another = squeezed.replace("8'd142", "8'd143")
    assert "Networks are NOT EQUIVALENT" in verdict([another, plain], tmp_path)
