"""From Yosys' netlists of modules to Verilog-2005 that people read."""

from narrowfloat.hdl.verilog.design import text

__all__ = ["text"]
