// Rewrites what linters of widths find fault with: the operands and the result of an adder get one width, and a word is reduced to
// a bit before it is negated.

(* techmap_celltype = "$add" *)
module narrowfloat_add(A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] a, b;
  \$pos #(.A_SIGNED(A_SIGNED && B_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_a (.A(A), .Y(a));
  \$pos #(.A_SIGNED(A_SIGNED && B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_b (.A(B), .Y(b));
  assign Y = a + b;
endmodule

(* techmap_celltype = "$logic_not" *)
module narrowfloat_logic_not(A, Y);
  parameter A_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  assign Y = ~|A;
endmodule

(* techmap_celltype = "$sub" *)
module narrowfloat_sub(A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] a, b;
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH && B_WIDTH == Y_WIDTH;
  \$pos #(.A_SIGNED(A_SIGNED && B_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_a (.A(A), .Y(a));
  \$pos #(.A_SIGNED(A_SIGNED && B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) widen_b (.A(B), .Y(b));
  assign Y = a - b;
endmodule

`define NARROWFLOAT_COMPARISON(TYPE, NAME, OPERATOR) \
(* techmap_celltype = TYPE *) \
module NAME(A, B, Y); \
  parameter A_SIGNED = 0; \
  parameter B_SIGNED = 0; \
  parameter A_WIDTH = 1; \
  parameter B_WIDTH = 1; \
  parameter Y_WIDTH = 1; \
  localparam WIDTH = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH; \
  input [A_WIDTH-1:0] A; \
  input [B_WIDTH-1:0] B; \
  output [Y_WIDTH-1:0] Y; \
  wire [WIDTH-1:0] a, b; \
  wire _TECHMAP_FAIL_ = A_WIDTH == B_WIDTH || (A_SIGNED && B_SIGNED); \
  \$pos #(.A_SIGNED(0), .A_WIDTH(A_WIDTH), .Y_WIDTH(WIDTH)) widen_a (.A(A), .Y(a)); \
  \$pos #(.A_SIGNED(0), .A_WIDTH(B_WIDTH), .Y_WIDTH(WIDTH)) widen_b (.A(B), .Y(b)); \
  assign Y = a OPERATOR b; \
endmodule

`NARROWFLOAT_COMPARISON("$eq", narrowfloat_eq, ==)
`NARROWFLOAT_COMPARISON("$ne", narrowfloat_ne, !=)
`NARROWFLOAT_COMPARISON("$lt", narrowfloat_lt, <)
`NARROWFLOAT_COMPARISON("$le", narrowfloat_le, <=)
`NARROWFLOAT_COMPARISON("$gt", narrowfloat_gt, >)
`NARROWFLOAT_COMPARISON("$ge", narrowfloat_ge, >=)
