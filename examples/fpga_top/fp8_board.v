// Three blocks of Narrowfloat behind a serial line. A request is a letter and its arguments, numbers have their lowest byte
// first; every request is answered before the next one may be sent.
//
//   request                       answer
//   E word[4]                     code, flags                          encode to float8_e4m3fn
//   D code                        word[4]                              decode it
//   W head word[4]                1, or 0 if the storage is full       write to memory; head: type (bit 0), bypass (1), last (7)
//   R                             head, word[4]                        read from memory; head: type, bypass, valid (6), last (7)
//   N                             count[2]                             beats that were stored since reset
//   w address data[4]             response                             write a register of the memory port
//   r address                     response, data[4]                    read one
//   anything else                 ?

module fp8_board #(
  parameter DIVISOR = 104,    // clock cycles per bit of the serial line
  parameter ADDRESS_BITS = 8  // of the storage, which holds 2**ADDRESS_BITS beats
) (
  input  wire clk,
  input  wire rx,
  output wire tx,
  output wire led  // lit while the storage holds something
);
  // Emitted modules have no initial values: they need a reset.
  reg [4:0] started = 5'd0;
  wire rst = !(&started);
  always @(posedge clk)
    if (rst)
      started <= started + 5'd1;

  // The serial line.
  wire rx_valid, tx_ready;
  wire [7:0] rx_data;
  reg [39:0] reply;
  reg [2:0] reply_bytes;  // still to be sent
  localparam IDLE = 2'd0, TAKE = 2'd1, ACT = 2'd2, SEND = 2'd3;
  reg [1:0] state;
  wire tx_valid = state == SEND && reply_bytes != 3'd0;
  uart_receiver #(.DIVISOR(DIVISOR)) receiver (.clk(clk), .rst(rst), .line(rx), .valid(rx_valid), .data(rx_data));
  uart_transmitter #(.DIVISOR(DIVISOR)) transmitter (
    .clk(clk), .rst(rst), .valid(tx_valid), .ready(tx_ready), .data(reply[7:0]), .line(tx)
  );

  // A request: its letter, and its arguments, of which the last one came in on top.
  reg [7:0] letter;
  reg [39:0] arguments;
  reg [2:0] arguments_left;
  wire [7:0] first = arguments[7:0];   // of five bytes
  wire [31:0] word = arguments[39:8];  // the last four
  wire [7:0] only = arguments[39:32];  // where there is one

  reg offered, offered_data;  // whether the block in question is offered its beat or address, and a register its data

  // The encoder and the decoder.
  wire encoded_valid, decoded_valid, encoder_ready, decoder_ready;
  wire [7:0] encoded_code;
  wire [3:0] encoded_flags;
  wire [31:0] decoded_word;
  wire encode_valid = offered && letter == "E";
  wire decode_valid = offered && letter == "D";
  fp8_encoder encoder (
    .clk(clk),
    .rst(rst),
    .s_axis_tvalid(encode_valid),
    .s_axis_tready(encoder_ready),
    .s_axis_tlast(1'b1),
    .s_axis_tdata(word),
    .m_axis_tvalid(encoded_valid),
    .m_axis_tready(1'b1),
    .m_axis_tlast(),
    .m_axis_tdata(encoded_code),
    .m_axis_tuser(encoded_flags)
  );
  fp8_decoder decoder (
    .clk(clk),
    .rst(rst),
    .s_axis_tvalid(decode_valid),
    .s_axis_tready(decoder_ready),
    .s_axis_tlast(1'b1),
    .s_axis_tdata(only),
    .m_axis_tvalid(decoded_valid),
    .m_axis_tready(1'b1),
    .m_axis_tlast(),
    .m_axis_tdata(decoded_word)
  );

  // The memory port and the storage behind it. A beat is stored with all that came beside its data.
  wire write_ready, read_valid, read_last;
  wire [31:0] read_word;
  wire [1:0] read_user;
  wire store_valid, store_ready, store_last, stored_valid, stored_ready, stored_last;
  wire [3:0] store_keep, stored_keep;
  wire [31:0] store_data, stored_data;
  wire [8:0] store_user, stored_user;
  wire address_write_ready, data_write_ready, response_valid, address_read_ready, data_read_valid;
  wire [1:0] write_response, read_response;
  wire [31:0] data_read;
  wire write_valid = offered && letter == "W";
  wire read_ready = state == ACT && letter == "R";
  wire address_write_valid = offered && letter == "w";
  wire address_read_valid = offered && letter == "r";
  fp8_port port (
    .clk(clk),
    .rst(rst),
    .s_core_tvalid(write_valid),
    .s_core_tready(write_ready),
    .s_core_tlast(first[7]),
    .s_core_tkeep(4'hf),
    .s_core_tdata(word),
    .s_core_tuser({1'b0, first[1:0]}),  // no flush: TLAST comes
    .m_mem_tvalid(store_valid),
    .m_mem_tready(store_ready),
    .m_mem_tlast(store_last),
    .m_mem_tkeep(store_keep),
    .m_mem_tdata(store_data),
    .m_mem_tuser(store_user),
    .s_mem_tvalid(stored_valid),
    .s_mem_tready(stored_ready),
    .s_mem_tlast(stored_last),
    .s_mem_tkeep(stored_keep),
    .s_mem_tdata(stored_data),
    .s_mem_tuser(stored_user),
    .m_core_tvalid(read_valid),
    .m_core_tready(read_ready),
    .m_core_tlast(read_last),
    .m_core_tkeep(),
    .m_core_tdata(read_word),
    .m_core_tuser(read_user),
    .s_axil_awaddr(first[6:0]),
    .s_axil_awprot(3'd0),
    .s_axil_awvalid(address_write_valid),
    .s_axil_awready(address_write_ready),
    .s_axil_wdata(word),
    .s_axil_wstrb(4'hf),
    .s_axil_wvalid(offered_data),
    .s_axil_wready(data_write_ready),
    .s_axil_bresp(write_response),
    .s_axil_bvalid(response_valid),
    .s_axil_bready(1'b1),
    .s_axil_araddr(only[6:0]),
    .s_axil_arprot(3'd0),
    .s_axil_arvalid(address_read_valid),
    .s_axil_arready(address_read_ready),
    .s_axil_rdata(data_read),
    .s_axil_rresp(read_response),
    .s_axil_rvalid(data_read_valid),
    .s_axil_rready(1'b1)
  );

  localparam WIDTH = 1 + 4 + 9 + 32;  // TLAST, TKEEP, TUSER, TDATA
  wire [ADDRESS_BITS:0] held;
  storage #(.WIDTH(WIDTH), .ADDRESS_BITS(ADDRESS_BITS)) storage (
    .clk(clk),
    .rst(rst),
    .in_valid(store_valid),
    .in_ready(store_ready),
    .in_beat({store_last, store_keep, store_user, store_data}),
    .out_valid(stored_valid),
    .out_ready(stored_ready),
    .out_beat({stored_last, stored_keep, stored_user, stored_data}),
    .held(held)
  );
  assign led = held != 0;
  // One word moves at most two beats: a pack that it cuts short, and its own.
  wire full = held > (1 << ADDRESS_BITS) - 2;
  reg [15:0] beats;  // stored since reset

  // With one lane, and every word written in full, TKEEP toward the core says nothing: each beat is a word.
  wire [7:0] read_head = {read_last, 1'b1, 4'd0, read_user};

  always @(posedge clk) begin
    if (rst) begin
      state <= IDLE;
      offered <= 1'b0;
      offered_data <= 1'b0;
      reply_bytes <= 3'd0;
      beats <= 16'd0;
    end else begin
      if (store_valid && store_ready)
        beats <= beats + 16'd1;
      case (state)
        IDLE:
          if (rx_valid) begin
            letter <= rx_data;
            state <= TAKE;
            case (rx_data)
              "E": arguments_left <= 3'd4;
              "W", "w": arguments_left <= 3'd5;
              "D", "r": arguments_left <= 3'd1;
              default: arguments_left <= 3'd0;
            endcase
          end
        TAKE:
          if (arguments_left == 3'd0) begin
            state <= ACT;
            offered <= letter == "E" || letter == "D" || (letter == "W" && !full) || letter == "w" || letter == "r";
            offered_data <= letter == "w";
          end else if (rx_valid) begin
            arguments <= {rx_data, arguments[39:8]};
            arguments_left <= arguments_left - 3'd1;
          end
        ACT: begin
          state <= SEND;  // unless there is nothing to send yet
          case (letter)
            "E": begin
              if (encoder_ready)
                offered <= 1'b0;
              reply <= {24'd0, 4'd0, encoded_flags, encoded_code};
              reply_bytes <= 3'd2;
              if (!encoded_valid)
                state <= ACT;
            end
            "D": begin
              if (decoder_ready)
                offered <= 1'b0;
              reply <= {8'd0, decoded_word};
              reply_bytes <= 3'd4;
              if (!decoded_valid)
                state <= ACT;
            end
            "W": begin
              reply <= {39'd0, offered};
              reply_bytes <= 3'd1;
              if (offered && !write_ready)
                state <= ACT;
              else
                offered <= 1'b0;
            end
            "R": begin
              // The serial line is slow: whatever is stored has come to the port's output by now.
              reply <= read_valid ? {read_word, read_head} : 40'd0;
              reply_bytes <= 3'd5;
            end
            "N": begin
              reply <= {24'd0, beats};
              reply_bytes <= 3'd2;
            end
            "w": begin
              if (address_write_ready)
                offered <= 1'b0;
              if (data_write_ready)
                offered_data <= 1'b0;
              reply <= {38'd0, write_response};
              reply_bytes <= 3'd1;
              if (!response_valid)
                state <= ACT;
            end
            "r": begin
              if (address_read_ready)
                offered <= 1'b0;
              reply <= {data_read, 6'd0, read_response};
              reply_bytes <= 3'd5;
              if (!data_read_valid)
                state <= ACT;
            end
            default: begin
              reply <= {32'd0, "?"};
              reply_bytes <= 3'd1;
            end
          endcase
        end
        SEND:
          if (tx_ready && tx_valid) begin
            reply <= {8'd0, reply[39:8]};
            reply_bytes <= reply_bytes - 3'd1;
          end else if (!tx_valid)
            state <= IDLE;
      endcase
    end
  end
endmodule
