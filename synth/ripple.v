// Carries one after the other, instead of Yosys' lookahead: the smallest adder, and a row of full adders to extract_fa. Of the
// rules for a cell techmap takes the first by name.

(* techmap_celltype = "$lcu" *)
module _80_ripple_lcu(P, G, CI, CO);
  parameter WIDTH = 1;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry = {G | P & carry[WIDTH-1:0], CI};
  assign CO = carry[WIDTH:1];
endmodule
