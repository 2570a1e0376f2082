// Block RAM in the place of DRAM: beats leave in the order in which they came. 2**ADDRESS_BITS of them fit.

module storage #(
  parameter WIDTH = 46,
  parameter ADDRESS_BITS = 8
) (
  input  wire                  clk,
  input  wire                  rst,
  input  wire                  in_valid,
  output wire                  in_ready,
  input  wire [WIDTH-1:0]      in_beat,
  output reg                   out_valid,
  input  wire                  out_ready,
  output reg  [WIDTH-1:0]      out_beat,
  output wire [ADDRESS_BITS:0] held       // beats in the RAM, without the one at the output
);
  reg [WIDTH-1:0] memory [0:(1 << ADDRESS_BITS) - 1];
  reg [ADDRESS_BITS:0] written, fetched;  // a bit more than an address: full is not empty

  assign held = written - fetched;
  assign in_ready = !held[ADDRESS_BITS];
  wire fetch = held != 0 && (out_ready || !out_valid);

  always @(posedge clk) begin
    if (in_valid && in_ready)
      memory[written[ADDRESS_BITS-1:0]] <= in_beat;
    if (fetch)
      out_beat <= memory[fetched[ADDRESS_BITS-1:0]];
  end

  always @(posedge clk) begin
    if (rst) begin
      written <= 0;
      fetched <= 0;
      out_valid <= 1'b0;
    end else begin
      if (in_valid && in_ready)
        written <= written + 1'b1;
      if (fetch)
        fetched <= fetched + 1'b1;
      if (fetch || out_ready)
        out_valid <= fetch;
    end
  end
endmodule
