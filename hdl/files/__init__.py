"""Files that are emitted beside the Verilog of a design."""
