// Multipliers of two numbers of WIDTH bits. SIGNED: whether both are in two's complement; sign-magnitude ones are {sign, magnitude}.

module multiplier_star #(parameter WIDTH = 8, parameter SIGNED = 1) (
  input [WIDTH-1:0] a, b,
  output [2*WIDTH-1:0] product
);
  generate
    if (SIGNED) assign product = $signed(a) * $signed(b);
    else assign product = a * b;
  endgenerate
endmodule

// Booth, radix 4: a digit of -2 to 2 for every second bit of b, so half as many rows.
module multiplier_booth #(parameter WIDTH = 8, parameter SIGNED = 1) (
  input [WIDTH-1:0] a, b,
  output [2*WIDTH-1:0] product
);
  localparam ROWS = SIGNED ? (WIDTH + 1) / 2 : WIDTH / 2 + 1;
  wire [2*ROWS:0] digits = {{2*ROWS-WIDTH{SIGNED ? b[WIDTH-1] : 1'b0}}, b, 1'b0};
  wire [WIDTH:0] once = {SIGNED ? a[WIDTH-1] : 1'b0, a};
  reg [WIDTH+1:0] row;
  reg [2*WIDTH-1:0] sum;
  integer i;
  always @* begin
    sum = 0;
    row = 0;
    for (i = 0; i < ROWS; i = i + 1) begin
      case (digits[2*i +: 3])
        3'b000, 3'b111: row = 0;
        3'b001, 3'b010, 3'b101, 3'b110: row = {once[WIDTH], once};
        default: row = {once, 1'b0};
      endcase
      // Minus a row is its inverse plus one.
      sum = sum + ({{WIDTH-2{row[WIDTH+1] ^ digits[2*i+2]}}, row ^ {WIDTH+2{digits[2*i+2]}}} << 2*i)
                + (digits[2*i+2] << 2*i);
    end
  end
  assign product = sum;
endmodule

// Baugh-Wooley: the bits of weight -1 enter inverted, and two ones make up for it. Signed only.
module multiplier_baugh_wooley #(parameter WIDTH = 8) (
  input [WIDTH-1:0] a, b,
  output [2*WIDTH-1:0] product
);
  localparam [WIDTH-1:0] TOP = 1 << WIDTH - 1, REST = TOP - 1;
  reg [2*WIDTH-1:0] sum;
  integer i;
  always @* begin
    sum = (1 << WIDTH) | (1 << 2*WIDTH - 1);
    for (i = 0; i < WIDTH; i = i + 1)
      sum = sum + (((a & {WIDTH{b[i]}}) ^ (i == WIDTH - 1 ? REST : TOP)) << i);
  end
  assign product = sum;
endmodule

module multiplier_sign_magnitude #(parameter WIDTH = 8) (
  input [WIDTH-1:0] a, b,
  output [2*WIDTH-2:0] product
);
  wire [2*WIDTH-3:0] magnitude = a[WIDTH-2:0] * b[WIDTH-2:0];
  assign product = {a[WIDTH-1] ^ b[WIDTH-1], magnitude};
endmodule
