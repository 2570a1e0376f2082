"""The blocks as Amaranth components, and the way from them to Verilog that a tool flow takes."""
