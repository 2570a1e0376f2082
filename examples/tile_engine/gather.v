// FP32 to block floating point, and four groups side by side: what the array takes as one beat. The first group lies lowest.

module gather (
  input  wire         clk,
  input  wire         rst,
  input  wire         s_valid,
  output wire         s_ready,
  input  wire [511:0] s_data,    // 16 FP32 words
  output wire         m_valid,
  input  wire         m_ready,
  output wire [351:0] m_data,    // 64 numbers, and above them 4 exponents
  output wire         invalid    // a group that was not finite has been taken
);

  wire        group_valid;
  wire [79:0] group_data;
  wire [10:0] group_user;

  reg [319:0] numbers;
  reg [31:0]  exponents;
  reg [2:0]   count;

  assign m_valid = count == 3'd4;
  assign m_data = {exponents, numbers};
  // A beat that leaves makes room for the next group in the same cycle.
  wire group_ready = ~m_valid | m_ready;
  wire takes = group_valid & group_ready;
  assign invalid = takes & group_user[9];

  bfp4_converter converter (
    .clk(clk),
    .rst(rst),
    .s_axis_tvalid(s_valid),
    .s_axis_tready(s_ready),
    .s_axis_tlast(1'b0),    // groups are whole, so tensors need no end
    .s_axis_tdata(s_data),
    .m_axis_tvalid(group_valid),
    .m_axis_tready(group_ready),
    .m_axis_tlast(),
    .m_axis_tdata(group_data),
    .m_axis_tuser(group_user)
  );

  always @(posedge clk)
    if (rst) count <= 3'd0;
    else count <= (m_valid & m_ready ? 3'd0 : count) + {2'd0, takes};

  always @(posedge clk)
    if (takes) begin
      numbers <= {group_data, numbers[319:80]};
      exponents <= {group_user[7:0], exponents[31:8]};
    end

endmodule
