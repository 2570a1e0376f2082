// Conversions between FP32 and narrow floats of one fixed bias.

// To nearest even. NaN becomes quiet and keeps its sign.
module fp32_to_bfloat16 (
  input [31:0] word,
  output [15:0] code
);
  wire nan = &word[30:23] & |word[22:0];
  wire round_up = word[15] & (word[16] | |word[14:0]);
  assign code = {word[31], nan ? 15'h7fc0 : word[30:16] + {14'b0, round_up}};
endmodule

// OCP E4M3, to nearest even, with subnormals; what is too large, and infinity, becomes 448.
module fp32_to_e4m3 (
  input [31:0] word,
  output [7:0] code
);
  wire nan = &word[30:23] & |word[22:0];
  // E - 1: the significand's leading one adds the one. Negative where it has to be aligned to the subnormals' grid.
  wire [8:0] base = {1'b0, word[30:23]} - 9'd121;
  wire subnormal = base[8];
  // From 5 on all is below half of the smallest code.
  wire [3:0] distance = base[7:3] == 5'b11111 ? -{1'b1, base[2:0]} : 4'd8;
  wire [23:0] significand = {1'b1, word[22:0]};
  wire [31:0] shifted = {significand, 8'b0} >> (subnormal ? distance : 4'd0);
  wire round_up = shifted[27] & (shifted[28] | |shifted[26:0]);
  wire [10:0] rounded = {subnormal ? 8'd0 : base[7:0], 3'd0} + {7'd0, shifted[31:28]} + {10'd0, round_up};
  wire [6:0] magnitude = rounded > 11'h7e ? 7'h7e : rounded[6:0];
  assign code = {word[31], nan ? 7'h7f : magnitude};
endmodule

module e4m3_to_fp32 (
  input [7:0] code,
  output reg [31:0] word
);
  always @* begin
    casez (code[6:0])
      7'b1111111: word = {code[7], 31'h7ff00000};
      7'b0000000: word = {code[7], 31'd0};
      7'b0000001: word = {code[7], 8'd118, 23'd0};
      7'b000001?: word = {code[7], 8'd119, code[0], 22'd0};
      7'b00001??: word = {code[7], 8'd120, code[1:0], 21'd0};
      default: word = {code[7], 8'd120 + {4'd0, code[6:3]}, code[2:0], 20'd0};
    endcase
  end
endmodule
