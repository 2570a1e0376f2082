// Dot product of LANES pairs of signed numbers of WIDTH bits, added to an accumulator of 32 bits that `clear` starts anew.

module dot_product_star #(parameter WIDTH = 8, parameter LANES = 16) (
  input clk, clear,
  input [LANES*WIDTH-1:0] a, b,
  output reg [31:0] sum
);
  reg signed [31:0] next;
  integer i;
  always @* begin
    next = clear ? 0 : sum;
    for (i = 0; i < LANES; i = i + 1)
      next = next + $signed(a[WIDTH*i +: WIDTH]) * $signed(b[WIDTH*i +: WIDTH]);
  end
  always @(posedge clk) sum <= next;
endmodule

// The same with one multiplier module for each lane.
module dot_product_booth #(parameter WIDTH = 8, parameter LANES = 16) (
  input clk, clear,
  input [LANES*WIDTH-1:0] a, b,
  output reg [31:0] sum
);
  wire [2*WIDTH*LANES-1:0] products;
  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin: lanes
      multiplier_booth #(.WIDTH(WIDTH), .SIGNED(1)) multiplier (
        .a(a[WIDTH*lane +: WIDTH]), .b(b[WIDTH*lane +: WIDTH]), .product(products[2*WIDTH*lane +: 2*WIDTH]));
    end
  endgenerate
  reg [31:0] next;
  integer i;
  always @* begin
    next = clear ? 0 : sum;
    for (i = 0; i < LANES; i = i + 1)
      next = next + {{32-2*WIDTH{products[2*WIDTH*(i+1)-1]}}, products[2*WIDTH*i +: 2*WIDTH]};
  end
  always @(posedge clk) sum <= next;
endmodule

module dot_product_baugh_wooley #(parameter WIDTH = 8, parameter LANES = 16) (
  input clk, clear,
  input [LANES*WIDTH-1:0] a, b,
  output reg [31:0] sum
);
  wire [2*WIDTH*LANES-1:0] products;
  genvar lane;
  generate
    for (lane = 0; lane < LANES; lane = lane + 1) begin: lanes
      multiplier_baugh_wooley #(.WIDTH(WIDTH)) multiplier (
        .a(a[WIDTH*lane +: WIDTH]), .b(b[WIDTH*lane +: WIDTH]), .product(products[2*WIDTH*lane +: 2*WIDTH]));
    end
  endgenerate
  reg [31:0] next;
  integer i;
  always @* begin
    next = clear ? 0 : sum;
    for (i = 0; i < LANES; i = i + 1)
      next = next + {{32-2*WIDTH{products[2*WIDTH*(i+1)-1]}}, products[2*WIDTH*i +: 2*WIDTH]};
  end
  always @(posedge clk) sum <= next;
endmodule
