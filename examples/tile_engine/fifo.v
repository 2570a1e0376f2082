// A queue of `2**ADDRESS_BITS` words; the oldest is at the output.

module fifo #(
  parameter WIDTH = 128,
  parameter ADDRESS_BITS = 6
) (
  input  wire             clk,
  input  wire             rst,
  input  wire             s_valid,
  output wire             s_ready,
  input  wire [WIDTH-1:0] s_data,
  output wire             m_valid,
  input  wire             m_ready,
  output wire [WIDTH-1:0] m_data
);

  reg [WIDTH-1:0] memory [0:(1<<ADDRESS_BITS)-1];
  reg [ADDRESS_BITS:0] head, tail;

  wire [ADDRESS_BITS:0] used = head - tail;
  assign s_ready = ~used[ADDRESS_BITS];
  assign m_valid = used != 0;
  assign m_data = memory[tail[ADDRESS_BITS-1:0]];

  always @(posedge clk)
    if (s_valid & s_ready) memory[head[ADDRESS_BITS-1:0]] <= s_data;

  always @(posedge clk)
    if (rst) begin
      head <= 0;
      tail <= 0;
    end else begin
      if (s_valid & s_ready) head <= head + 1'b1;
      if (m_valid & m_ready) tail <= tail + 1'b1;
    end

endmodule
