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
  wire below_20 = |word[19:0];
  wire [8:0] exponent = {1'b0, word[30:23]} - 9'd120;
  reg normal;
  reg [2:0] mantissa;
  reg guard, sticky;
  always @* begin
    normal = 0;
    casez (exponent)
      9'b000000000: {mantissa, guard, sticky} = {1'b1, word[22:20], below_20};
      9'b111111111: {mantissa, guard, sticky} = {2'b01, word[22:21], word[20] | below_20};
      9'b111111110: {mantissa, guard, sticky} = {3'b001, word[22], |word[21:20] | below_20};
      9'b111111101: {mantissa, guard, sticky} = {4'b0001, |word[22:20] | below_20};
      9'b1????????: {mantissa, guard, sticky} = 5'b00001;
      default: begin
        normal = 1;
        {mantissa, guard, sticky} = {word[22:19], |word[18:0]};
      end
    endcase
  end
  wire [10:0] rounded = {normal ? exponent[7:0] : 8'd0, mantissa} + (guard & (sticky | mantissa[0]));
  assign code = {word[31], nan ? 7'h7f : rounded > 11'h7e ? 7'h7e : rounded[6:0]};
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
