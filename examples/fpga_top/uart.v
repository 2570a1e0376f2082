// A serial line of 8 data bits, no parity and one stop bit. DIVISOR is the number of clock cycles per bit, 4 or more.

module uart_receiver #(
  parameter DIVISOR = 104
) (
  input  wire       clk,
  input  wire       rst,
  input  wire       line,
  output reg        valid,  // high for one cycle with each byte
  output wire [7:0] data
);
  reg [2:0] seen;  // the line, two of its three bits to keep metastability out
  reg [8:0] bits;  // data, and the stop bit on top
  reg [3:0] left;  // bits still to come, the start bit among them; 0 between bytes
  reg [15:0] wait_cycles;

  assign data = bits[7:0];

  always @(posedge clk) begin
    seen <= {seen[1:0], line};
    valid <= 1'b0;
    if (rst) begin
      seen <= 3'b111;
      left <= 4'd0;
    end else if (left == 4'd0) begin
      if (!seen[2]) begin
        left <= 4'd10;
        wait_cycles <= DIVISOR / 2 - 2;  // to the middle of the start bit
      end
    end else if (wait_cycles != 16'd0) begin
      wait_cycles <= wait_cycles - 16'd1;
    end else begin
      wait_cycles <= DIVISOR - 1;
      bits <= {seen[2], bits[8:1]};
      left <= left - 4'd1;
      if (left == 4'd10 && seen[2])
        left <= 4'd0;  // a spike, not a start bit
      if (left == 4'd1)
        valid <= seen[2];  // without a stop bit it is no byte
    end
  end
endmodule

module uart_transmitter #(
  parameter DIVISOR = 104
) (
  input  wire       clk,
  input  wire       rst,
  input  wire       valid,
  output wire       ready,
  input  wire [7:0] data,
  output wire       line
);
  reg [9:0] bits;
  reg [3:0] left;
  reg [15:0] wait_cycles;

  assign ready = left == 4'd0;
  assign line = ready | bits[0];

  always @(posedge clk) begin
    if (rst) begin
      left <= 4'd0;
    end else if (ready) begin
      bits <= {1'b1, data, 1'b0};
      wait_cycles <= DIVISOR - 1;
      if (valid)
        left <= 4'd10;
    end else if (wait_cycles != 16'd0) begin
      wait_cycles <= wait_cycles - 16'd1;
    end else begin
      wait_cycles <= DIVISOR - 1;
      bits <= {1'b1, bits[9:1]};
      left <= left - 4'd1;
    end
  end
endmodule
