// a * b + c, rounded once, to nearest even. Subnormal numbers count as zero, what rounds to one becomes zero; NaN is quiet and
// positive.

module multiply_add #(parameter EXP = 8, parameter MAN = 23) (
  input [EXP+MAN:0] a, b, c,
  output [EXP+MAN:0] y
);
  localparam P = MAN + 1;        // bits of a significand
  localparam W = 3*P + 4;        // a carry, c, two zeros, the product, sticky
  localparam BIAS = (1 << EXP-1) - 1;
  localparam [EXP-1:0] TOP = {EXP{1'b1}};

  wire [EXP-1:0] ea = a[MAN +: EXP], eb = b[MAN +: EXP], ec = c[MAN +: EXP];
  wire nan = ea == TOP & |a[MAN-1:0] | eb == TOP & |b[MAN-1:0] | ec == TOP & |c[MAN-1:0];
  wire infinite_product = ea == TOP | eb == TOP, infinite_c = ec == TOP;
  wire zero_product = ~|ea | ~|eb, zero_c = ~|ec;
  wire sign_product = a[EXP+MAN] ^ b[EXP+MAN], sign_c = c[EXP+MAN];
  wire subtract = sign_product ^ sign_c;

  wire [2*P-1:0] product = {1'b1, a[MAN-1:0]} * {1'b1, b[MAN-1:0]};
  wire signed [EXP+2:0] exponent_product = $signed({3'b0, ea}) + $signed({3'b0, eb}) - BIAS;

  // c begins P + 3 places above the product's leading one and moves right; what leaves is sticky.
  wire signed [EXP+2:0] distance = exponent_product - $signed({3'b0, ec}) + (P + 3);
  wire c_leads = distance <= 0;
  wire [EXP+2:0] shift = c_leads ? 0 : distance > 3*P + 3 ? 3*P + 3 : distance;
  wire [2*(3*P+3)-1:0] moved = {zero_c ? {P{1'b0}} : {1'b1, c[MAN-1:0]}, {2*P+3{1'b0}}, {3*P+3{1'b0}}} >> shift;
  wire [W-1:0] addend = {1'b0, moved[2*(3*P+3)-1 : 3*P+4], |moved[3*P+3 : 0]};
  wire [W:0] sum = {{W-2*P{1'b0}}, product, 1'b0} + ({W+1{subtract}} ^ {1'b0, addend}) + subtract;
  wire negative = sum[W];
  wire [W-1:0] magnitude = negative ? -sum[W-1:0] : sum[W-1:0];
  wire sign = sign_product ^ negative;

  reg [W-1:0] normal;
  reg signed [EXP+2:0] exponent;
  integer i;
  always @* begin
    normal = magnitude;
    exponent = (c_leads ? $signed({3'b0, ec}) : exponent_product + (P + 3)) + 1;
    for (i = 6; i >= 0; i = i - 1)
      if (W > (1 << i) && ~|(normal >> (W - (1 << i)))) begin
        normal = normal << (1 << i);
        exponent = exponent - (1 << i);
      end
  end

  wire round_up = normal[W-P-1] & (normal[W-P] | |normal[W-P-2:0]);
  wire [P:0] rounded = {1'b0, normal[W-1 -: P]} + round_up;
  wire signed [EXP+2:0] final_exponent = exponent + $signed({2'b0, rounded[P]});
  wire [MAN-1:0] fraction = rounded[P] ? 0 : rounded[MAN-1:0];

  wire to_nan = nan | infinite_product & zero_product | infinite_product & infinite_c & subtract;
  assign y = to_nan ? {1'b0, TOP, 1'b1, {MAN-1{1'b0}}}
           : infinite_product ? {sign_product, TOP, {MAN{1'b0}}}
           : infinite_c ? c
           : zero_product ? (zero_c ? {sign_product & sign_c, {EXP+MAN{1'b0}}} : c)
           : ~|magnitude ? 0
           : final_exponent >= $signed({3'b0, TOP}) ? {sign, TOP, {MAN{1'b0}}}
           : final_exponent <= 0 ? {sign, {EXP+MAN{1'b0}}}
           : {sign, final_exponent[EXP-1:0], fraction};
endmodule
