// An output with a wire of its own inside, which the optimizer would take for the same (`hdl.parts.axi`).

module narrowfloat_output(A, Y);
  parameter WIDTH = 1;
  input [WIDTH-1:0] A;
  output [WIDTH-1:0] Y;
  (* keep *)
  \$buf #(.WIDTH(WIDTH)) own (.A(A), .Y(Y));
endmodule
