// A dense layer, O = A W' + b and ReLU if asked for: FP32 in memory, products of block floating point on 4 by 4 cells.
//
// Matrices lie in memory row by row: A [rows, 64 k_tiles], W [4 n_tiles, 64 k_tiles], b [4 n_tiles], O [rows, 4 n_tiles], padded
// with zeros to whole tiles. A tile of W has 4 outputs and 4 groups of 16 inputs. Tiles of the same outputs follow one another,
// and all rows of A go through each: the sums of one tile, kept in a queue, start those of the next, and the first starts from b.
//
// The job, from `rows` to `o_base`, is given while `start` is high and stays until `busy` falls. Addresses are those of 32-bit
// words. A read is an address on one stream, and what is there on another, in order; so a DMA engine or a bus master fits.

module tile_engine #(
  parameter SUM_BITS = 6,      // rows <= 2**SUM_BITS
  parameter BUFFER_BITS = 10   // rows * k_tiles <= 2**BUFFER_BITS
) (
  input  wire         clk,
  input  wire         rst,

  input  wire         start,
  output wire         busy,
  input  wire [15:0]  rows,
  input  wire [15:0]  k_tiles,
  input  wire [15:0]  n_tiles,
  input  wire         relu,
  input  wire [31:0]  a_base,
  input  wire [31:0]  w_base,
  input  wire [31:0]  b_base,
  input  wire [31:0]  o_base,

  // Since `start`: clock cycles, beats that the array multiplied, and whether something in A or W was not finite.
  output reg  [31:0]  cycles,
  output reg  [31:0]  beats,
  output reg          invalid,
  output reg          fault,    // the array discarded something, which this engine never makes it do

  output wire         a_addr_valid,
  input  wire         a_addr_ready,
  output wire [31:0]  a_addr,
  input  wire         a_valid,
  output wire         a_ready,
  input  wire [511:0] a_data,

  output wire         w_addr_valid,
  input  wire         w_addr_ready,
  output wire [31:0]  w_addr,
  input  wire         w_valid,
  output wire         w_ready,
  input  wire [511:0] w_data,

  output wire         b_addr_valid,
  input  wire         b_addr_ready,
  output wire [31:0]  b_addr,
  input  wire         b_valid,
  output wire         b_ready,
  input  wire [127:0] b_data,

  output wire         o_valid,
  input  wire         o_ready,
  output wire [31:0]  o_addr,
  output wire [127:0] o_data
);

  wire begins = start & ~busy;

  // ---- Addresses ----

  // A once, in the order in which the first tiles need it: groups of a beat, rows, tiles along k.
  wire [15:0] a_tile, a_row, a_group;
  loops a_loops (
    .clk(clk), .rst(rst), .start(begins), .step(a_addr_valid & a_addr_ready),
    .outer_count(k_tiles), .middle_count(rows), .inner_count(16'd4),
    .active(a_addr_valid), .outer(a_tile), .middle(a_row), .inner(a_group), .inner_last(), .middle_last()
  );
  assign a_addr = a_base + (a_row * k_tiles + a_tile) * 32'd64 + a_group * 32'd16;

  // W once: of each tile the last row first, in it the groups of all columns.
  wire [15:0] w_outputs, w_tile, w_group;
  loops w_loops (
    .clk(clk), .rst(rst), .start(begins), .step(w_addr_valid & w_addr_ready),
    .outer_count(n_tiles), .middle_count(k_tiles), .inner_count(16'd16),
    .active(w_addr_valid), .outer(w_outputs), .middle(w_tile), .inner(w_group), .inner_last(), .middle_last()
  );
  assign w_addr = w_base + ((w_outputs * 32'd4 + w_group[1:0]) * k_tiles + w_tile) * 32'd64 + (32'd3 - w_group[3:2]) * 32'd16;

  wire [15:0] b_outputs;
  loops b_loops (
    .clk(clk), .rst(rst), .start(begins), .step(b_addr_valid & b_addr_ready),
    .outer_count(16'd1), .middle_count(16'd1), .inner_count(n_tiles),
    .active(b_addr_valid), .outer(), .middle(), .inner(b_outputs), .inner_last(), .middle_last()
  );
  assign b_addr = b_base + b_outputs * 32'd4;

  // ---- Groups ----

  wire a_invalid, w_invalid;
  wire a_beat_valid;
  wire [351:0] a_beat;
  gather a_gather (
    .clk(clk), .rst(rst), .s_valid(a_valid), .s_ready(a_ready), .s_data(a_data),
    .m_valid(a_beat_valid), .m_ready(1'b1), .m_data(a_beat), .invalid(a_invalid)
  );

  wire tile_valid, tile_ready;
  wire [351:0] tile;
  gather w_gather (
    .clk(clk), .rst(rst), .s_valid(w_valid), .s_ready(w_ready), .s_data(w_data),
    .m_valid(tile_valid), .m_ready(tile_ready), .m_data(tile), .invalid(w_invalid)
  );

  // ---- The buffer of A, which is read once for every 4 outputs ----

  reg [351:0] buffer [0:(1<<BUFFER_BITS)-1];
  reg [BUFFER_BITS:0] written;
  reg [BUFFER_BITS-1:0] place;
  reg x_valid, x_swap;
  reg [351:0] x;
  wire x_ready, reads;
  wire [15:0] x_row;
  wire x_is_last_row, x_is_last_tile;
  wire x_active;
  loops x_loops (
    .clk(clk), .rst(rst), .start(begins), .step(reads),
    .outer_count(n_tiles), .middle_count(k_tiles), .inner_count(rows),
    .active(x_active), .outer(), .middle(), .inner(x_row), .inner_last(x_is_last_row), .middle_last(x_is_last_tile)
  );
  assign reads = x_active & {1'b0, place} < written & (~x_valid | x_ready);

  always @(posedge clk)
    if (a_beat_valid) buffer[written[BUFFER_BITS-1:0]] <= a_beat;

  always @(posedge clk)
    if (rst | begins) begin
      written <= 0;
      place <= 0;
    end else begin
      if (a_beat_valid) written <= written + 1'b1;
      if (reads) place <= x_is_last_row & x_is_last_tile ? 0 : place + 1'b1;
    end

  always @(posedge clk)
    if (rst) x_valid <= 1'b0;
    else if (~x_valid | x_ready) x_valid <= reads;

  always @(posedge clk)
    if (reads) begin
      x <= buffer[place];
      x_swap <= x_row == 16'd0;
    end

  // ---- Products ----

  wire sum_valid, sum_ready, kept_valid, kept_ready, result_valid, result_ready;
  wire [127:0] sum, kept, result;
  wire discarded;

  // Every beat resumes: with 0 in the place of b it would start from zero.
  bfp4_array array (
    .clk(clk),
    .rst(rst),
    .s_axis_tvalid(x_valid),
    .s_axis_tready(x_ready),
    .s_axis_tlast(1'b0),
    .s_axis_tdata(x),
    .s_axis_tuser({1'b1, 1'b1, x_swap, 1'b0}),    // chunks less 1, resume, swap, in_place
    .s_columns_tvalid(tile_valid),
    .s_columns_tready(tile_ready),
    .s_columns_tlast(1'b0),
    .s_columns_tdata(tile),
    .s_columns_tuser({1'b1, 1'b0}),               // chunks less 1, in_place
    .s_sums_tvalid(sum_valid),
    .s_sums_tready(sum_ready),
    .s_sums_tlast(1'b0),
    .s_sums_tdata(sum),
    .m_axis_tvalid(result_valid),
    .m_axis_tready(result_ready),
    .m_axis_tlast(),
    .m_axis_tdata(result),
    .discarded(discarded)
  );

  // ---- Sums: from b for the first tile along k, then what the tile before left ----

  wire [15:0] sum_tile;
  wire sum_is_last_row;
  loops sum_loops (
    .clk(clk), .rst(rst), .start(begins), .step(sum_valid & sum_ready),
    .outer_count(n_tiles), .middle_count(k_tiles), .inner_count(rows),
    .active(), .outer(), .middle(sum_tile), .inner(), .inner_last(sum_is_last_row), .middle_last()
  );
  wire from_b = sum_tile == 16'd0;
  assign sum_valid = from_b ? b_valid : kept_valid;
  assign sum = from_b ? b_data : kept;
  assign b_ready = from_b & sum_ready & sum_is_last_row;

  wire [15:0] o_outputs, o_row;
  wire is_whole;
  loops o_loops (
    .clk(clk), .rst(rst), .start(begins), .step(result_valid & result_ready),
    .outer_count(n_tiles), .middle_count(k_tiles), .inner_count(rows),
    .active(busy), .outer(o_outputs), .middle(), .inner(o_row), .inner_last(), .middle_last(is_whole)
  );
  fifo #(.WIDTH(128), .ADDRESS_BITS(SUM_BITS)) sums (
    .clk(clk), .rst(rst),
    .s_valid(result_valid & ~is_whole), .s_ready(kept_ready), .s_data(result),
    .m_valid(kept_valid), .m_ready(sum_ready & ~from_b), .m_data(kept)
  );
  assign result_ready = is_whole ? o_ready : kept_ready;

  // ---- Results ----

  assign o_valid = result_valid & is_whole;
  assign o_addr = o_base + (o_row * n_tiles + o_outputs) * 32'd4;
  genvar column;
  generate
    for (column = 0; column < 4; column = column + 1) begin : outputs
      wire [31:0] word = result[32*column +: 32];
      assign o_data[32*column +: 32] = relu & word[31] ? 32'd0 : word;
    end
  endgenerate

  always @(posedge clk)
    if (rst | begins) begin
      cycles <= 32'd0;
      beats <= 32'd0;
      invalid <= 1'b0;
      fault <= 1'b0;
    end else begin
      if (busy) cycles <= cycles + 32'd1;
      if (x_valid & x_ready) beats <= beats + 32'd1;
      if (a_invalid | w_invalid) invalid <= 1'b1;
      if (discarded) fault <= 1'b1;
    end

endmodule
