// Three nested loops, which are gone through once after `start`: a step whenever `step` is high, the inner one fastest.

module loops (
  input  wire        clk,
  input  wire        rst,
  input  wire        start,
  input  wire        step,
  input  wire [15:0] outer_count,
  input  wire [15:0] middle_count,
  input  wire [15:0] inner_count,
  output reg         active,
  output reg  [15:0] outer,
  output reg  [15:0] middle,
  output reg  [15:0] inner,
  output wire        inner_last,
  output wire        middle_last
);

  wire outer_last = outer == outer_count - 16'd1;
  assign middle_last = middle == middle_count - 16'd1;
  assign inner_last = inner == inner_count - 16'd1;

  always @(posedge clk)
    if (rst) active <= 1'b0;
    else if (start) active <= 1'b1;
    else if (step & inner_last & middle_last & outer_last) active <= 1'b0;

  always @(posedge clk)
    if (start) {outer, middle, inner} <= 48'd0;
    else if (step) begin
      inner <= inner_last ? 16'd0 : inner + 16'd1;
      if (inner_last) middle <= middle_last ? 16'd0 : middle + 16'd1;
      if (inner_last & middle_last) outer <= outer + 16'd1;
    end

endmodule
