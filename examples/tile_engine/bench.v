// The engine and a memory of FP32 words, which answers late and with pauses. Jobs come from jobs.hex, eight words each.

module reader #(
  parameter WORDS = 16,
  parameter SEED = 1
) (
  input  wire                clk,
  input  wire                rst,
  input  wire [31:0]         pauses,    // percent of cycles
  input  wire                addr_valid,
  output reg                 addr_ready,
  input  wire [31:0]         addr,
  output reg                 valid,
  input  wire                ready,
  output reg  [32*WORDS-1:0] data
);

  reg [31:0] addresses [0:15];
  reg [3:0] head, tail;
  wire [3:0] waiting = head - tail;
  integer seed = SEED;
  integer word;
  reg addr_pauses, data_pauses;

  always @(posedge clk) begin
    // Drawn in every cycle: so pauses do not depend on the parts of conditions that a simulator evaluates.
    addr_pauses = $unsigned($random(seed)) % 100 < pauses;
    data_pauses = $unsigned($random(seed)) % 100 < pauses;
    if (rst) begin
      addr_ready <= 1'b0;
      valid <= 1'b0;
      head <= 0;
      tail <= 0;
    end else begin
      // Until this is seen, two more addresses may come.
      addr_ready <= waiting < 12 & ~addr_pauses;
      if (addr_valid & addr_ready) begin
        addresses[head] <= addr;
        head <= head + 1;
      end
      if (~valid | ready) begin
        valid <= 1'b0;
        if (waiting != 0 & ~data_pauses) begin
          for (word = 0; word < WORDS; word = word + 1) data[32*word +: 32] <= bench.memory[addresses[tail] + word];
          valid <= 1'b1;
          tail <= tail + 1;
        end
      end
    end
  end

endmodule


module bench;

  parameter MEMORY_BITS = 20;
  parameter MOST_JOBS = 16;

  reg [31:0] memory [0:(1<<MEMORY_BITS)-1];
  reg [31:0] jobs [0:8*MOST_JOBS-1];
  reg clk = 1'b0, rst = 1'b1, start = 1'b0;
  integer job = 0, count, words, seed = 7, quiet = 0;
  reg [31:0] pauses;

  wire busy, invalid, fault;
  wire [31:0] cycles, beats;
  wire a_addr_valid, a_addr_ready, a_valid, a_ready;
  wire w_addr_valid, w_addr_ready, w_valid, w_ready;
  wire b_addr_valid, b_addr_ready, b_valid, b_ready;
  wire [31:0] a_addr, w_addr, b_addr, o_addr;
  wire [511:0] a_data, w_data;
  wire [127:0] b_data, o_data;
  wire o_valid;
  reg o_ready = 1'b0;

  tile_engine engine (
    .clk(clk), .rst(rst), .start(start), .busy(busy),
    .rows(jobs[8*job][15:0]), .k_tiles(jobs[8*job+1][15:0]), .n_tiles(jobs[8*job+2][15:0]), .relu(jobs[8*job+3][0]),
    .a_base(jobs[8*job+4]), .w_base(jobs[8*job+5]), .b_base(jobs[8*job+6]), .o_base(jobs[8*job+7]),
    .cycles(cycles), .beats(beats), .invalid(invalid), .fault(fault),
    .a_addr_valid(a_addr_valid), .a_addr_ready(a_addr_ready), .a_addr(a_addr),
    .a_valid(a_valid), .a_ready(a_ready), .a_data(a_data),
    .w_addr_valid(w_addr_valid), .w_addr_ready(w_addr_ready), .w_addr(w_addr),
    .w_valid(w_valid), .w_ready(w_ready), .w_data(w_data),
    .b_addr_valid(b_addr_valid), .b_addr_ready(b_addr_ready), .b_addr(b_addr),
    .b_valid(b_valid), .b_ready(b_ready), .b_data(b_data),
    .o_valid(o_valid), .o_ready(o_ready), .o_addr(o_addr), .o_data(o_data)
  );

  reader #(.WORDS(16), .SEED(1)) a_reader (
    .clk(clk), .rst(rst), .pauses(pauses), .addr_valid(a_addr_valid), .addr_ready(a_addr_ready), .addr(a_addr),
    .valid(a_valid), .ready(a_ready), .data(a_data)
  );

  reader #(.WORDS(16), .SEED(2)) w_reader (
    .clk(clk), .rst(rst), .pauses(pauses), .addr_valid(w_addr_valid), .addr_ready(w_addr_ready), .addr(w_addr),
    .valid(w_valid), .ready(w_ready), .data(w_data)
  );

  reader #(.WORDS(4), .SEED(3)) b_reader (
    .clk(clk), .rst(rst), .pauses(pauses), .addr_valid(b_addr_valid), .addr_ready(b_addr_ready), .addr(b_addr),
    .valid(b_valid), .ready(b_ready), .data(b_data)
  );

  integer word;

  always @(posedge clk) begin
    o_ready <= $unsigned($random(seed)) % 100 >= pauses;
    if (o_valid & o_ready & ~rst)
      for (word = 0; word < 4; word = word + 1) memory[o_addr + word] <= o_data[32*word +: 32];
  end

  always #5 clk = ~clk;

  initial begin
    if (!$value$plusargs("jobs=%d", count)) count = 1;
    if (!$value$plusargs("pauses=%d", pauses)) pauses = 0;
    if (!$value$plusargs("words=%d", words)) words = 1 << MEMORY_BITS;
    $readmemh("memory.hex", memory, 0, words - 1);
    $readmemh("jobs.hex", jobs, 0, 8 * count - 1);
    repeat (3) @(negedge clk);
    rst = 1'b0;
    for (job = 0; job < count; job = job + 1) begin
      start = 1'b1;
      @(negedge clk);
      start = 1'b0;
      quiet = 0;
      // After so many cycles without a beat or a result the engine must have stopped for ever.
      while (busy & quiet < 10000) begin
        quiet = (engine.x_valid & engine.x_ready) | (o_valid & o_ready) ? 0 : quiet + 1;
        @(negedge clk);
      end
      $display("job %0d: %0d cycles, %0d beats", job, cycles, beats);
      if (busy | fault | invalid) begin
        $display("stopped: busy=%b fault=%b invalid=%b", busy, fault, invalid);
        $finish;
      end
      @(negedge clk);
    end
    $writememh("result.hex", memory, 0, words - 1);
    $finish;
  end

endmodule
