  // Random bits of the seed and the register: see narrowfloat.golden.lfsr.
  function automatic [88:0] lfsr_start(input [31:0] seed, input [2:0] register);
    reg [34:0] left;
    reg [88:0] u;
    reg [47:0] d;
    integer i;
    begin
      left = {seed, register};
      u = 89'hORIGIN;
      for (i = 0; i < 83; i = i + 1) begin
        d = {u[3:0] ^ u[6:3] ^ u[7:4] ^ u[10:7], u[88:45]};
        d = d ^ d >> 4;
        d = d ^ d >> 8;
        d = d ^ d >> 16;
        d = d ^ d >> 32;
        d = d ^ {4'h0, u[45:2]};
        u = {INTERLEAVED};
        if (left[34]) u = {u[0] ^ u[3] ^ u[8] ^ u[11], u[88:1]};
        left = left << 1;
      end
      lfsr_start = u ^ 89'hMASK;
    end
  endfunction
